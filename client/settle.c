#include "base/clock.h"
#include "client/folder.h"
#include "client/report.h"
#include "client/subscriber.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW_ITEMS  64
#define WINDOW_OCTETS (4 << 20)
#define HELD_MAX      256        /* items here and not answered: above it no more credit */
#define HELD_OCTETS   (16 << 20) /* and their octets */
#define QUEUE_MS      60000      /* with --exec: no more items than the command does in this time */
#define LATER_MS      60000      /* a refused item may come again after this */
#define BATCH_MAX     64         /* folders written together */
#define TOGETHER      6          /* from so many on the file system is flushed as a whole */

void subscriber_end(struct subscriber *s, int status)
{
	if (!s->over)
		s->status = status;
	s->over = true;
}

/* ---- the list of what is here */

static void set_window(struct subscriber *s)
{
	uint64_t most = HELD_MAX, n = WINDOW_ITEMS;

	if (s->options->exec != NULL) {
		most = (uint64_t)(QUEUE_MS / (s->exec_ms > 200 ? s->exec_ms : 200));
		most = most < 1 ? 1 : most;
		n = most < n ? most : n;
	}
	if (s->held >= most || s->held_octets >= HELD_OCTETS || s->ending)
		session_window(s->session, LANE_ROUTINE, 0, 0);
	else
		session_window(s->session, LANE_ROUTINE, n, WINDOW_OCTETS);
	session_window(s->session, LANE_FLASH, 8, 64 << 10);
}

void settle_add(struct subscriber *s, struct arrival *arrival)
{
	struct arrival **at = &s->first;

	while (*at != NULL)
		at = &(*at)->next;
	*at = arrival;
	s->held++;
	s->held_octets += arrival->envelope_octets.n + arrival->document.n;
}

void settle_forget(struct subscriber *s, struct arrival *arrival)
{
	struct arrival **at = &s->first;

	while (*at != arrival)
		at = &(*at)->next;
	*at = arrival->next;
	s->held--;
	s->held_octets -= arrival->envelope_octets.n + arrival->document.n;
	arrival_free(&arrival, &s->inbox, s->fetches, s->session);
}

/* ---- answers */

static void tell(const struct subscriber *s, const struct arrival *arrival, struct outcome *outcome)
{
	outcome->ms = -1;
	outcome->has_seq = arrival != NULL;
	if (arrival != NULL) {
		outcome->seq = arrival->head.sequence;
		outcome->folder = arrival->folder[0] == '\0' ? NULL : arrival->folder;
		outcome->origin = slice_str(arrival->envelope.origin);
		outcome->channel = slice_str(arrival->envelope.channel);
	}
	if (arrival != NULL && arrival->has_story) {
		outcome->uri = arrival->story.facts.uri;
		outcome->version = arrival->story.facts.version;
	}
	report_outcome(outcome, s->options->json);
}

static void put_off(struct subscriber *s, const struct arrival *arrival)
{
	for (unsigned i = 0; arrival != NULL && i < s->put_off_n; i++)
		if (s->put_off[i] == arrival->head.sequence)
			return;
	if (arrival != NULL && s->put_off_n < PUT_OFF_MAX)
		s->put_off[s->put_off_n++] = arrival->head.sequence;
	else
		s->put_off_more++;
}

static void came_after_all(struct subscriber *s, const struct arrival *arrival)
{
	for (unsigned i = 0; i < s->put_off_n; i++)
		if (s->put_off[i] == arrival->head.sequence)
			s->put_off[i--] = s->put_off[--s->put_off_n];
}

static void acknowledge(struct subscriber *s, struct arrival *arrival)
{
	struct ack ack = {
		.id = arrival->head.id,
		.stored_at_ms = (uint64_t)clock_wall_ms(),
		.result = arrival->found ? RESULT_DUPLICATE : RESULT_STORED,
		.stage = STAGE_COMPLETE,
	};
	struct outcome outcome = { .result = arrival->found ? "duplicate" : "stored" };

	/* before the ACK: a position below one that was acknowledged would call all above it back
	 */
	position_note(&s->position, arrival->head.position);
	session_ack(s->session, &ack);
	tell(s, arrival, &outcome);
	came_after_all(s, arrival);
	settle_forget(s, arrival);
	if (++s->settled == s->options->count)
		subscriber_end(s, 0);
}

void settle_refuse(struct subscriber *s, struct arrival *arrival, uint64_t id, int code,
		   const char *words)
{
	struct outcome outcome = {
		.result = "refused", .code = nx_word(code), .retry = NX_LATER, .words = words
	};

	session_refuse(s->session, id, code, NX_LATER, LATER_MS, words);
	tell(s, arrival, &outcome);
	put_off(s, arrival);
}

static void give_up(struct subscriber *s, struct arrival *arrival, int code, const char *words)
{
	settle_refuse(s, arrival, arrival->head.id, code, words);
	settle_forget(s, arrival);
}

/* ---- the operator's command */

static void start_command(struct subscriber *s, struct arrival *arrival)
{
	char *base = realpath(s->options->out, NULL), *path = NULL;
	struct why why = { 0 };
	int r = NX_ENOMEM;

	if (asprintf(&path, "%s/%s", base == NULL ? s->options->out : base, arrival->folder) < 0)
		path = NULL;
	if (path != NULL)
		r = arrival_exec(arrival, s->options->exec, path, clock_boot_ms(), &s->exec, &why);
	free(base);
	free(path);
	if (r < 0) {
		give_up(s, arrival, r, why.words);
		return;
	}
	arrival->state = ARRIVAL_RUNNING;
	s->running = arrival;
}

static int mark_done(const struct subscriber *s, const char *name, struct why *why)
{
	int folder = folder_open(s->inbox.dir, name), r;

	if (folder < 0)
		return 0; /* the command has taken the folder away: that is its right */
	r = inbox_set_done(folder, why);
	close(folder);
	return r;
}

static bool is_done(const struct subscriber *s, const char *name)
{
	int folder = folder_open(s->inbox.dir, name);
	bool done = folder >= 0 && inbox_is_done(folder);

	if (folder >= 0)
		close(folder);
	return done;
}

static void command_ended(struct subscriber *s, int status)
{
	struct arrival *arrival = s->running;
	int64_t took_ms = clock_boot_ms() - s->exec.began_ms;
	struct why why = { 0 };
	int r = NX_ECONSUMERLATER;

	s->running = NULL;
	s->exec_ms = (3 * s->exec_ms + took_ms) / 4;
	s->moved_ms = clock_boot_ms();
	if (status == 0)
		r = mark_done(s, arrival->folder, &why);
	else if (s->exec.killed)
		why_set(&why, r, "the command was killed after %d s", EXEC_LIMIT_MS / 1000);
	else if (status == 75)
		why_set(&why, r, "the command asks to be called again later");
	else
		why_set(&why, r, "the command failed with status %d", status);
	if (r == 0)
		acknowledge(s, arrival);
	else
		give_up(s, arrival, r, why.words);
}

static void watch_command(struct subscriber *s)
{
	int status;

	if (s->running == NULL)
		return;
	if (exec_end(&s->exec, &status) == 1)
		command_ended(s, status);
	else if (clock_boot_ms() - s->exec.began_ms >= EXEC_LIMIT_MS)
		exec_kill(&s->exec);
}

/* ---- what is ready */

static void check_parts(struct subscriber *s)
{
	for (struct arrival *at = s->first, *next; at != NULL; at = next) {
		struct why why = { 0 };
		int r;

		next = at->next;
		if (at->state != ARRIVAL_FETCHING)
			continue;
		r = arrival_parts(at, &why);
		if (r < 0)
			give_up(s, at, r, why.words);
		else if (r == 1)
			at->state = ARRIVAL_READY;
	}
}

/* at most n of those that are ready: urgent ones first, then as they came */
static unsigned gather(const struct subscriber *s, struct arrival **batch, unsigned most)
{
	unsigned n = 0;

	for (enum lane lane = LANE_FLASH;; lane = LANE_ROUTINE) {
		for (struct arrival *at = s->first; at != NULL && n < most; at = at->next)
			if (at->state == ARRIVAL_READY && at->head.lane == lane)
				batch[n++] = at;
		if (lane == LANE_ROUTINE)
			return n;
	}
}

/* refuse those that did not get through a step, and close the ranks */
static unsigned keep_good(struct subscriber *s, struct arrival **batch, const int *results,
			  unsigned n, const struct why *why)
{
	unsigned good = 0;

	for (unsigned i = 0; i < n; i++) {
		if (results[i] >= 0 || results[i] == NX_EEXIST)
			batch[good++] = batch[i];
		else
			give_up(s, batch[i], results[i], why[i].words);
	}
	return good;
}

/* many at a time, because flushing is what takes the time. Returns how many are here durably. */
static unsigned store(struct subscriber *s, struct arrival **batch, unsigned n)
{
	struct why why[BATCH_MAX] = { 0 };
	int results[BATCH_MAX];
	bool together = n >= TOGETHER;

	for (unsigned i = 0; i < n; i++)
		results[i] = arrival_fill(batch[i], &s->inbox, !together, &why[i]);
	n = keep_good(s, batch, results, n, why);
	for (unsigned i = 0; i < n; i++)
		results[i] = i > 0 ? results[0] : together ? inbox_sync(&s->inbox, &why[0]) : 0;
	for (unsigned i = 1; i < n; i++)
		why[i] = why[0];
	n = keep_good(s, batch, results, n, why);
	for (unsigned i = 0; i < n; i++)
		results[i] = arrival_appear(batch[i], &s->inbox, s->fetches, s->session, &why[i]);
	n = keep_good(s, batch, results, n, why);
	for (unsigned i = 0; i < n; i++)
		results[i] = i > 0 ? results[0] : inbox_seal(&s->inbox, &why[0]);
	for (unsigned i = 1; i < n; i++)
		why[i] = why[0];
	return keep_good(s, batch, results, n, why);
}

/* all parts are here: let the folders appear, then the command, then the answer */
static bool settle(struct subscriber *s)
{
	struct arrival *batch[BATCH_MAX];
	uint64_t left = s->options->count == 0 ? BATCH_MAX : s->options->count - s->settled;
	unsigned most = s->options->exec != NULL ? 1
			: left < BATCH_MAX       ? (unsigned)left
						 : BATCH_MAX;
	unsigned n = gather(s, batch, most);

	if (n == 0)
		return false;
	n = store(s, batch, n);
	for (unsigned i = 0; i < n; i++) {
		if (s->options->exec == NULL || (batch[i]->found && is_done(s, batch[i]->folder)))
			acknowledge(s, batch[i]);
		else
			start_command(s, batch[i]);
	}
	return true;
}

void settle_work(struct subscriber *s)
{
	watch_command(s);
	do {
		bool more = true;

		check_parts(s);
		while (more && !s->over && s->running == NULL) {
			if (s->ending && s->options->exec != NULL)
				break; /* no new command; these stay owed */
			more = settle(s);
		}
	} while (!s->over && fetches_start(s->fetches, s->session));
	set_window(s);
}

void settle_await_command(struct subscriber *s)
{
	int status = 0;

	while (s->running != NULL) {
		struct pollfd ready = { .fd = s->exec.fd, .events = POLLIN };
		int64_t left = s->exec.began_ms + EXEC_LIMIT_MS - clock_boot_ms();

		if (left <= 0)
			exec_kill(&s->exec);
		poll(&ready, 1, left <= 0 ? 1000 : (int)left);
		if (exec_end(&s->exec, &status) == 1) {
			if (status == 0)
				mark_done(s, s->running->folder, NULL);
			s->running = NULL;
		}
	}
}
