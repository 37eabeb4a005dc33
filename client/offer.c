#include "base/clock.h"
#include "client/publisher.h"
#include "client/report.h"
#include "client/rights.h"

#include <stdlib.h>
#include <unistd.h>

#define OPEN_PARTS 16 /* of items not yet answered: as many as an exchange gets at a time */

void offer_add(struct queue *queue, struct entry *entry)
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
	held_close(&(*publish)->held);
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

void offer_undelivered(struct publish *p, const struct entry *entry, int code)
{
	struct outcome outcome = outcome_of(entry, "undelivered");

	refused(p, &outcome, nx_word(code), NX_LATER,
		entry->id == 0 ? "it was not offered; publish it again"
			       : "no answer came; publish it again, a copy is recognised");
}

/* a file that never became an item */
void offer_unusable(struct publish *p, const char *file, int code, const struct why *why)
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

void offer_forget_rest(struct publish *p, int code)
{
	for (int lane = LANES - 1; lane >= 0; lane--)
		for (struct entry *at = p->waiting[lane].first; at != NULL; at = at->next)
			offer_undelivered(p, at, code);
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
	offer_add(&p->open, entry);
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
	struct file *part;
	int r;

	if (handle == NULL || handle->entry == NULL)
		return NX_ENOTOPEN;
	part = outbox_part(handle->entry->box, handle->sha256);
	r = part == NULL || offset >= part->size ? NX_ENOTOPEN : file_read(part, offset, to, n);
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

void offer_need(struct publish *p, struct link *link, const struct need *need)
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

void offer_acked(struct publish *p, struct link *link, const struct ack *ack)
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
	held_note(&p->held, session_peer(link_session(link))->epoch, ack->sequence);
	entry_free(entry);
}

/* after a refusal for the channel, once: which ones there are */
static void tell_rights(struct publish *p, const char *code)
{
	const struct hello *hello = session_peer(p->session);

	if (p->told_rights || !hello->has_rights ||
	    (strcmp(code, nx_word(NX_ECHANNEL)) != 0 && strcmp(code, nx_word(NX_ENOTALLOWED)) != 0))
		return;
	p->told_rights = true;
	report_words("this key may publish to: %s; --channel NAME says where an item goes",
		     rights_words(hello->publish));
}

void offer_refused(struct publish *p, struct link *link, const struct refuse *refuse)
{
	struct entry *entry = answered(p, link, refuse->id);
	struct outcome outcome;

	if (entry == NULL)
		return;
	outcome = outcome_of(entry, "refused");
	refused(p, &outcome, refuse->code, refuse->retry, refuse->words);
	tell_rights(p, refuse->code);
	entry_free(entry);
}
