#include "client/subscribe.h"
#include "base/clock.h"
#include "client/arrival.h"
#include "client/folder.h"
#include "client/position.h"
#include "client/report.h"
#include "client/signals.h"

#include <inttypes.h>
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
#define FLUSH_MS      1000
#define FINISH_MS     3000

struct subscriber {
	const struct subscribe_options *options;
	struct link *link;
	struct session *session;
	struct inbox inbox;
	struct fetches *fetches;
	struct position position;
	struct arrival *first; /* in the order in which they came */
	unsigned held;
	size_t held_octets;
	struct exec exec;
	struct arrival *running; /* whose command it is */
	int64_t exec_ms;         /* what a command takes, roughly */
	uint64_t settled;        /* acknowledged items */
	int64_t moved_ms, flushed_ms;
	bool claimed, ending; /* ending: take no more, answer what is here */
	bool over, hurried;
	int status;
};

static void end(struct subscriber *s, int status)
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

static void add(struct subscriber *s, struct arrival *arrival)
{
	struct arrival **at = &s->first;

	while (*at != NULL)
		at = &(*at)->next;
	*at = arrival;
	s->held++;
	s->held_octets += arrival->envelope_octets.n + arrival->document.n;
}

static void forget(struct subscriber *s, struct arrival *arrival)
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
	forget(s, arrival);
	if (++s->settled == s->options->count)
		end(s, 0);
}

static void refuse_later(struct subscriber *s, struct arrival *arrival, uint64_t id, int code,
			 const char *words)
{
	struct outcome outcome = {
		.result = "refused", .code = nx_word(code), .retry = NX_LATER, .words = words
	};

	session_refuse(s->session, id, code, NX_LATER, LATER_MS, words);
	tell(s, arrival, &outcome);
}

static void give_up(struct subscriber *s, struct arrival *arrival, int code, const char *words)
{
	refuse_later(s, arrival, arrival->head.id, code, words);
	forget(s, arrival);
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

static void work(struct subscriber *s)
{
	bool more = true;

	watch_command(s);
	check_parts(s);
	while (more && !s->over && s->running == NULL) {
		if (s->ending && s->options->exec != NULL)
			break; /* no new command; these stay owed */
		more = settle(s);
	}
	fetches_start(s->fetches, s->session);
	set_window(s);
}

/* ---- events */

static void item(struct subscriber *s, struct session_event *event)
{
	struct arrival *arrival = NULL;
	struct why why = { 0 };
	int r = arrival_new(&s->inbox, s->fetches, &event->item.head, event->item.octets, &arrival,
			    &why);

	s->moved_ms = clock_boot_ms();
	if (r == 0) {
		add(s, arrival);
		return;
	}
	refuse_later(s, arrival, event->item.head.id, r, why.words);
	arrival_free(&arrival, &s->inbox, s->fetches, s->session);
}

static void dropped(struct subscriber *s, const struct session_event *event)
{
	int code = event->code < 0 ? event->code : NX_EBUSY;

	refuse_later(s, NULL, event->id, code, "the item is larger than newsxctl takes");
}

static void withdrawn(struct subscriber *s, const struct session_event *event)
{
	struct arrival *at = s->first;

	if (event->withdraw.whole) {
		while (at != NULL && at->head.id != event->withdraw.id)
			at = at->next;
		/* what the command has in hand is finished, and answered as it ends */
		if (at == NULL || at->state == ARRIVAL_RUNNING)
			return;
		forget(s, at);
	}
	session_refuse(s->session, event->withdraw.id, NX_EWITHDRAWN, NX_NEVER, 0, NULL);
}

static void subscribed(struct subscriber *s, const struct subscribed *subscribed)
{
	s->claimed = true;
	s->moved_ms = clock_boot_ms();
	position_epoch(&s->position, subscribed->epoch);
	report_words("subscribed to %s: at most %" PRIu64 " items are owed", subscribed->name,
		     subscribed->owed);
	if (subscribed->expired > 0)
		report_words("%" PRIu64 " items were given up by the exchange since the last time: "
			     "they were older, or more, than it keeps",
			     subscribed->expired);
}

static void unsubscribed(struct subscriber *s, const struct unsubscribed *un)
{
	int code = nx_code(un->code, strlen(un->code));
	const char *words = un->words;

	if (code == NX_ETAKENOVER)
		words = "another newsxctl, or another program with this key, has taken the "
			"subscription over; stop one of the two";
	else if (code == NX_ENOSUB)
		words = "the exchange has no such subscription for this key: ask its operator for "
			"the "
			"right name";
	report_words("%s: %s: %s", s->options->subscription, un->code, words);
	end(s, code == NX_ETAKENOVER || nx_retry(code) == NX_NEVER ? 1 : 75);
}

static void hello(struct subscriber *s)
{
	int r = session_subscribe(s->session, s->options->subscription, s->position.known,
				  s->position.epoch, s->position.at);

	if (r == 0)
		return;
	report_words("'%s' cannot be the name of a subscription", s->options->subscription);
	end(s, 2);
}

static void on_event(struct subscriber *s, struct session_event *event)
{
	switch (event->kind) {
	case SESSION_HELLO:
		hello(s);
		break;
	case SESSION_SUBSCRIBED:
		subscribed(s, &event->subscribed);
		break;
	case SESSION_UNSUBSCRIBED:
		unsubscribed(s, &event->unsubscribed);
		break;
	case SESSION_ITEM:
		item(s, event);
		break;
	case SESSION_ITEM_DROPPED:
		dropped(s, event);
		break;
	case SESSION_WITHDRAW:
		withdrawn(s, event);
		break;
	case SESSION_DATA:
		s->moved_ms = clock_boot_ms();
		fetches_data(s->fetches, s->session, event);
		break;
	case SESSION_GONE:
		fetches_gone(s->fetches, event);
		break;
	case SESSION_SUBSCRIBE:
		session_unsubscribed(s->session, event->subscribe.name, 0, NX_ENOSUB,
				     "newsxctl subscribe serves no subscriptions");
		break;
	case SESSION_NEED:
		session_gone(s->session, event->need.handle, NX_ENOTOPEN);
		break;
	case SESSION_BYE:
		report_words("the exchange says goodbye: %s%s%s", event->bye.code,
			     event->bye.words[0] ? ": " : "", event->bye.words);
		s->status = 75;
		s->ending = true;
		break;
	default:
		break;
	}
}

/* ---- turns */

static int64_t next_time(const struct subscriber *s)
{
	int64_t at = INT64_MAX;

	if (s->running != NULL)
		at = s->exec.began_ms + EXEC_LIMIT_MS;
	else if (s->options->idle_exit_ms >= 0 && s->claimed && s->held == 0)
		at = s->moved_ms + s->options->idle_exit_ms;
	if (s->position.dirty && s->flushed_ms + FLUSH_MS < at)
		at = s->flushed_ms + FLUSH_MS;
	return at;
}

static void check_times(struct subscriber *s)
{
	int64_t now_ms = clock_boot_ms();

	if (s->position.dirty && now_ms >= s->flushed_ms + FLUSH_MS) {
		position_flush(&s->position);
		s->flushed_ms = now_ms;
	}
	if (s->options->idle_exit_ms >= 0 && s->claimed && s->held == 0 &&
	    now_ms >= s->moved_ms + s->options->idle_exit_ms)
		end(s, 0);
	/* after a goodbye: parts come no more, what the command has in hand is finished */
	if (s->ending && s->running == NULL)
		end(s, s->status);
}

/* the first signal waits for the command that runs, the second does not */
static void interrupted(struct subscriber *s)
{
	if (!s->ending && s->running != NULL)
		report_words("a signal came: waiting for the command to end");
	s->hurried = s->ending;
	s->ending = true;
	if (s->hurried)
		end(s, 75);
}

/* returns 0 when it ended as it should, negative when the link was lost */
static int converse(struct subscriber *s, int signals, struct why *why)
{
	while (!s->over) {
		struct pollfd also[2] = { { .fd = signals, .events = POLLIN },
					  { .fd = -1, .events = POLLIN } };
		struct session_event event;
		int r;

		while (!s->over && (r = link_event(s->link, &event, why)) != 0) {
			if (r < 0)
				return r;
			on_event(s, &event);
		}
		if (!s->over)
			work(s);
		check_times(s);
		if (s->over)
			break;
		also[1].fd = s->running == NULL ? -1 : s->exec.fd;
		r = link_turn(s->link, also, 2, next_time(s), why);
		if (r < 0)
			return r;
		if (also[0].revents != 0 && signals_take(signals) != 0)
			interrupted(s);
	}
	return 0;
}

/* the link is gone or must wait no longer: the command still has its time, so that it need not be
 * run again */
static void await_command(struct subscriber *s)
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

static int talk(struct subscriber *s, int signals)
{
	struct why why = { 0 };
	int r = converse(s, signals, &why);

	if (r < 0 && s->status == 0 && !s->ending) {
		report_words("%s", why.words);
		s->status = 75;
	}
	link_finish(s->link, NX_EBYE, "done", r < 0 ? 200 : FINISH_MS);
	if (!s->hurried)
		await_command(s);
	position_close(&s->position);
	while (s->first != NULL)
		forget(s, s->first);
	return s->status;
}

void subscribe_conf(struct session_conf *ret, const char *identity)
{
	link_session_conf(ret, identity);
	/* as much as any exchange holds: what it took must not fail here */
	ret->hello.max.document = 1000 << 10;
	ret->hello.max.envelope = 1000 << 10;
	ret->hello.max.parts = PARTS_CEILING;
	ret->hello.max.part = 256 << 20;
}

int subscribe_talk(const struct subscribe_options *options, struct link *link)
{
	struct subscriber s = {
		.options = options,
		.link = link,
		.session = link_session(link),
		.moved_ms = clock_boot_ms(),
		.exec = { .fd = -1 },
		.exec_ms = 5000,
	};
	struct why why = { 0 };
	int signals, status = 2;

	if (inbox_open(options->out, &s.inbox, &why) < 0) {
		report_words("%s", why.words);
		link_finish(link, NX_EBYE, "no folder", FINISH_MS);
		return status;
	}
	signals = signals_open();
	position_open(s.inbox.dir, options->subscription, &s.position);
	s.fetches = fetches_new(&s.inbox);
	if (s.fetches != NULL)
		status = talk(&s, signals);
	fetches_free(&s.fetches);
	inbox_close(&s.inbox);
	signals_close(&signals);
	return status;
}

int subscribe_run(const struct subscribe_options *options)
{
	struct session_conf conf;
	struct link *link = NULL;
	struct inbox inbox;
	struct why why = { 0 };
	int r, status;

	/* a folder that cannot be written is said before anybody is called */
	if (inbox_open(options->out, &inbox, &why) < 0) {
		report_words("%s", why.words);
		return 2;
	}
	inbox_close(&inbox);
	subscribe_conf(&conf, options->link.identity);
	r = link_open(&options->link, &conf, &link, &why);
	if (r < 0) {
		report_words("%s", why.words);
		return r == NX_EARG ? 2 : 75;
	}
	status = subscribe_talk(options, link);
	link_close(&link);
	return status;
}
