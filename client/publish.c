#include "client/publish.h"
#include "base/clock.h"
#include "client/input.h"
#include "client/report.h"
#include "client/signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WAITING_MAX  32        /* items read ahead */
#define READ_AT_ONCE (8 << 20) /* octets of parts hashed before the link has its turn again */
#define OPEN_PARTS   16 /* of items not yet answered: as many as an exchange gets at a time */
#define HANDLES      64
#define FINISH_MS    5000

struct entry {
	struct entry *next;
	struct outbox *box;
	uint64_t id;
	int64_t offered_ms;
};
struct queue {
	struct entry *first, **end;
	unsigned n;
};
struct handle { /* a NEED of the exchange's */
	uint64_t handle;
	struct entry *entry; /* NULL: not open any more */
	uint8_t sha256[32];
};
struct publish {
	const struct publish_options *options;
	struct input input;
	struct queue waiting[LANES];
	struct queue open; /* offered, not answered */
	unsigned open_parts;
	struct handle handles[HANDLES];
	unsigned next_handle;
	const struct session *session; /* of the link while there is one */
	bool never, later, unreadable, ending;
};

static void queue_add(struct queue *queue, struct entry *entry)
{
	entry->next = NULL;
	*queue->end = entry;
	queue->end = &entry->next;
	queue->n++;
}

/* take out what *at points to */
static struct entry *queue_take(struct queue *queue, struct entry **at)
{
	struct entry *entry = *at;

	*at = entry->next;
	if (entry->next == NULL)
		queue->end = at;
	queue->n--;
	return entry;
}

static void entry_free(struct entry *entry)
{
	outbox_free(&entry->box);
	free(entry);
}

struct publish *publish_new(const struct publish_options *options)
{
	struct publish *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->options = options;
	input_init(&p->input, options->files, options->files_n, options->channel, STDIN_FILENO);
	p->open.end = &p->open.first;
	for (int lane = 0; lane < LANES; lane++)
		p->waiting[lane].end = &p->waiting[lane].first;
	return p;
}

static void queue_clear(struct queue *queue)
{
	while (queue->first != NULL)
		entry_free(queue_take(queue, &queue->first));
}

void publish_free(struct publish **publish)
{
	if (*publish == NULL)
		return;
	input_done(&(*publish)->input);
	queue_clear(&(*publish)->open);
	for (int lane = 0; lane < LANES; lane++)
		queue_clear(&(*publish)->waiting[lane]);
	free(*publish);
	*publish = NULL;
}

/* ---- what became of each */

static struct outcome outcome_of(const struct entry *entry, const char *result)
{
	struct outcome outcome = {
		.result = result,
		.uri = slice_str(entry->box->uri),
		.version = slice_str(entry->box->version),
		.ms = entry->id == 0 ? -1 : clock_boot_ms() - entry->offered_ms,
		.file = entry->box->file,
	};

	return outcome;
}

static void refused(struct publish *p, struct outcome *outcome, const char *code,
		    enum nx_retry retry, const char *words)
{
	outcome->code = code;
	outcome->retry = retry;
	outcome->words = words;
	if (retry == NX_LATER)
		p->later = true;
	else
		p->never = true;
	report_outcome(outcome, p->options->json);
}

static void undelivered(struct publish *p, const struct entry *entry, int code)
{
	struct outcome outcome = outcome_of(entry, "undelivered");

	refused(p, &outcome, nx_word(code), NX_LATER,
		entry->id == 0 ? "it was not offered; publish it again"
			       : "no answer came; publish it again, a copy is recognised");
}

/* a file that never became an item */
static void unusable(struct publish *p, const char *file, int code, const struct why *why)
{
	struct outcome outcome = { .result = "refused", .ms = -1, .file = file };

	if (code == NX_ENOENT) {
		report_words("%s: not sent", why->words);
		p->unreadable = true;
	} else {
		if (code == NX_ENOMEM)
			outcome.result = "undelivered";
		refused(p, &outcome, nx_word(code), nx_retry(code), why->words);
	}
}

static void forget_rest(struct publish *p, int code)
{
	for (int lane = LANES - 1; lane >= 0; lane--)
		for (struct entry *at = p->waiting[lane].first; at != NULL; at = at->next)
			undelivered(p, at, code);
	if (!input_over(&p->input))
		p->later = true;
	for (; p->input.next < p->input.files_n; p->input.next++) {
		struct outcome outcome = { .result = "undelivered",
					   .ms = -1,
					   .file = p->input.files[p->input.next] };

		if (strcmp(outcome.file, "-") != 0)
			refused(p, &outcome, nx_word(code), NX_LATER,
				"it was not offered; publish it again");
	}
}

/* ---- the session's source */

/* photos offered all at once would be refused: the exchange keeps only so many unfinished ones of a
 * partner */
static bool must_wait(const struct publish *p, const struct entry *entry)
{
	return entry->box->parts_n > 0 && p->open_parts > 0 && !entry->box->flash &&
	       p->open_parts + entry->box->parts_n > OPEN_PARTS;
}

static struct entry *next_entry(struct publish *p, enum lane lane)
{
	struct queue *queue = &p->waiting[lane];
	const struct hello *peer = session_peer(p->session);

	while (queue->first != NULL && !must_wait(p, queue->first)) {
		struct entry *entry = queue_take(queue, &queue->first);
		struct why why = { 0 };
		int r = peer == NULL ? 0 : outbox_check(entry->box, &peer->max, &why);
		struct outcome outcome;

		if (r == 0)
			return entry;
		outcome = outcome_of(entry, "refused");
		refused(p, &outcome, nx_word(r), NX_NEVER, why.words);
		entry_free(entry);
	}
	return NULL;
}

static bool give_item(void *arg, enum session_class class, uint64_t id, struct session_out *out)
{
	struct publish *p = arg;
	enum lane lane = class == CLASS_FLASH ? LANE_FLASH : LANE_ROUTINE;
	struct entry *entry = class == CLASS_BACKLOG || p->session == NULL || p->ending
				      ? NULL
				      : next_entry(p, lane);

	if (entry == NULL)
		return false;
	entry->id = id;
	entry->offered_ms = clock_boot_ms();
	queue_add(&p->open, entry);
	p->open_parts += entry->box->parts_n;
	*out = (struct session_out){
		.lane = lane,
		.envelope = slice_of(entry->box->envelope, entry->box->envelope_n),
		.document = slice_of(entry->box->document, entry->box->document_n),
	};
	return true;
}

static void item_sent(void *arg, uint64_t id)
{
	(void)arg; /* the octets stay until the answer */
	(void)id;
}

static struct handle *find_handle(struct publish *p, uint64_t handle)
{
	for (unsigned i = 0; i < HANDLES; i++)
		if (p->handles[i].handle == handle)
			return &p->handles[i];
	return NULL;
}

static int give_part(void *arg, uint64_t number, uint64_t offset, uint8_t *to, size_t n)
{
	struct publish *p = arg;
	struct handle *handle = find_handle(p, number);
	struct outbox_part *part;
	int r;

	if (handle == NULL || handle->entry == NULL)
		return NX_ENOTOPEN;
	part = outbox_part(handle->entry->box, handle->sha256);
	r = part == NULL || offset >= part->size ? NX_ENOTOPEN : outbox_read(part, offset, to, n);
	if (r == NX_EPARTSGONE)
		report_words("%s was changed or removed while it was being sent", part->path);
	return r;
}

void publish_source(struct publish *publish, struct session_conf *conf)
{
	conf->source.item = give_item;
	conf->source.sent = item_sent;
	conf->source.part = give_part;
	conf->arg = publish;
}

/* ---- events */

static struct entry *who_has(struct publish *p, const uint8_t sha256[32])
{
	for (struct entry *at = p->open.first; at != NULL; at = at->next)
		if (outbox_part(at->box, sha256) != NULL)
			return at;
	return NULL;
}

static void need(struct publish *p, struct link *link, const struct need *need)
{
	struct handle *handle = find_handle(p, need->handle);
	struct entry *entry = who_has(p, need->sha256);

	if (entry == NULL) {
		session_gone(link_session(link), need->handle, NX_ENOTOPEN);
		return;
	}
	if (handle == NULL)
		handle = &p->handles[p->next_handle++ % HANDLES];
	handle->handle = need->handle;
	handle->entry = entry;
	memcpy(handle->sha256, need->sha256, 32);
	session_need_accept(link_session(link), need->handle, entry->box->flash);
}

/* take the entry of an answer off the open ones */
static struct entry *answered(struct publish *p, struct link *link, uint64_t id)
{
	struct entry **at = &p->open.first, *entry;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	if (*at == NULL)
		return NULL;
	entry = queue_take(&p->open, at);
	p->open_parts -= entry->box->parts_n;
	session_item_ready(link_session(link), CLASS_ROUTINE);
	for (unsigned i = 0; i < HANDLES; i++)
		if (p->handles[i].entry == entry)
			p->handles[i].entry = who_has(p, p->handles[i].sha256);
	return entry;
}

static void acked(struct publish *p, struct link *link, const struct ack *ack)
{
	struct entry *entry = answered(p, link, ack->id);
	struct outcome outcome;

	if (entry == NULL)
		return;
	/* a result of a later version counts as stored */
	outcome = outcome_of(
		entry, result_word(ack->result <= RESULT_SUPERSEDED ? ack->result : RESULT_STORED));
	outcome.has_seq = true;
	outcome.seq = ack->sequence;
	report_outcome(&outcome, p->options->json);
	entry_free(entry);
}

static void was_refused(struct publish *p, struct link *link, const struct refuse *refuse)
{
	struct entry *entry = answered(p, link, refuse->id);
	struct outcome outcome;

	if (entry == NULL)
		return;
	outcome = outcome_of(entry, "refused");
	refused(p, &outcome, refuse->code, refuse->retry, refuse->words);
	entry_free(entry);
}

static void on_event(struct publish *p, struct link *link, struct session_event *event)
{
	switch (event->kind) {
	case SESSION_ANSWER:
		acked(p, link, &event->ack);
		break;
	case SESSION_REFUSED:
		was_refused(p, link, &event->refuse);
		break;
	case SESSION_NEED:
		need(p, link, &event->need);
		break;
	case SESSION_SUBSCRIBE:
		session_unsubscribed(link_session(link), event->subscribe.name, 0, NX_ENOSUB,
				     "newsxctl publish serves no subscriptions");
		break;
	case SESSION_ITEM: /* nothing was asked for */
		free(event->item.octets);
		session_refuse(link_session(link), event->item.head.id, NX_ENOTALLOWED, NX_NEVER, 0,
			       "newsxctl publish takes nothing");
		break;
	case SESSION_ITEM_DROPPED:
		session_refuse(link_session(link), event->id, NX_ENOTALLOWED, NX_NEVER, 0,
			       "newsxctl publish takes nothing");
		break;
	case SESSION_BYE:
		report_words("the exchange says goodbye: %s%s%s", event->bye.code,
			     event->bye.words[0] ? ": " : "", event->bye.words);
		p->ending = true;
		break;
	default:
		break;
	}
}

/* read ahead, a little at a time. true: there is more that could be read at once */
static bool fill(struct publish *p, struct link *link)
{
	uint64_t octets = 0;

	while (p->waiting[LANE_ROUTINE].n + p->waiting[LANE_FLASH].n < WAITING_MAX && !p->ending) {
		struct why why = { 0 };
		struct entry *entry;
		struct outbox *box = NULL;
		int r = input_next(&p->input, &box, &why);

		if (r == 0)
			return false;
		if (r < 0) {
			unusable(p, p->input.name, r, &why);
			continue;
		}
		entry = calloc(1, sizeof(*entry));
		if (entry == NULL) {
			outbox_free(&box);
			unusable(p, p->input.name, NX_ENOMEM, &why);
			continue;
		}
		entry->box = box;
		queue_add(&p->waiting[box->flash ? LANE_FLASH : LANE_ROUTINE], entry);
		session_item_ready(link_session(link), box->flash ? CLASS_FLASH : CLASS_ROUTINE);
		octets += box->document_n;
		for (unsigned i = 0; i < box->parts_n; i++)
			octets += box->parts[i].size;
		if (octets > READ_AT_ONCE)
			return true;
	}
	return false;
}

static bool is_done(const struct publish *p)
{
	if (p->open.n > 0)
		return false;
	return p->ending || (input_over(&p->input) && p->waiting[LANE_ROUTINE].n == 0 &&
			     p->waiting[LANE_FLASH].n == 0);
}

static void interrupted(struct publish *p, struct link *link)
{
	report_words("interrupted: waiting for the answers that are on their way");
	p->ending = true;
	session_bye(link_session(link), NX_EBYE, "interrupted");
}

/* returns 0 when all is said, negative when the link was lost */
static int converse(struct publish *p, struct link *link, int signals, struct why *why)
{
	for (;;) {
		struct pollfd also[2] = { { .fd = signals, .events = POLLIN },
					  { .fd = -1, .events = POLLIN } };
		struct session_event event;
		bool more;
		int r;

		while ((r = link_event(link, &event, why)) > 0)
			on_event(p, link, &event);
		if (r < 0)
			return r;
		more = fill(p, link);
		if (is_done(p))
			return 0;
		if (p->waiting[LANE_ROUTINE].n + p->waiting[LANE_FLASH].n < WAITING_MAX &&
		    !p->ending)
			also[1].fd = input_waits(&p->input);
		r = link_turn(link, also, 2, more ? 0 : INT64_MAX, why);
		if (r < 0)
			return r;
		if (also[0].revents != 0 && signals_take(signals) != 0 && !p->ending)
			interrupted(p, link);
	}
}

static int status_of(const struct publish *p)
{
	if (p->unreadable)
		return 2;
	return p->never ? 1 : p->later ? 75 : 0;
}

int publish_talk(struct publish *publish, struct link *link)
{
	struct why why = { 0 };
	int signals = signals_open(), r;

	publish->session = link_session(link);
	r = converse(publish, link, signals, &why);
	if (r < 0 && !publish->ending)
		report_words("%s", why.words);
	publish->ending = true;
	for (struct entry *at = publish->open.first; at != NULL; at = at->next)
		undelivered(publish, at, r < 0 ? r : NX_EBYE);
	forget_rest(publish, r < 0 ? r : NX_EBYE);
	link_finish(link, NX_EBYE, "done", r < 0 ? 200 : FINISH_MS);
	publish->session = NULL;
	signals_close(&signals);
	return status_of(publish);
}

int publish_run(const struct publish_options *options)
{
	struct publish *publish = publish_new(options);
	struct session_conf conf;
	struct link *link = NULL;
	struct why why = { 0 };
	int r, status;

	if (publish == NULL) {
		report_words("out of memory");
		return 75;
	}
	link_session_conf(&conf, options->link.identity);
	publish_source(publish, &conf);
	r = link_open(&options->link, &conf, &link, &why);
	if (r < 0) {
		report_words("%s", why.words);
		if (r != NX_EARG)
			forget_rest(publish, r);
		status = r == NX_EARG ? 2 : 75;
	} else {
		status = publish_talk(publish, link);
	}
	link_close(&link);
	publish_free(&publish);
	return status;
}
