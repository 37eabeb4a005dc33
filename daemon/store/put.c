/*
 * PUT: the rows of an item that the rules (rules.c) let in, and its answer.
 */
#include "store/put.h"

#include "base/clock.h"
#include "store/receipt.h"

#include <stdlib.h>

static void add_had(struct putting *p)
{
	uint8_t key[16];

	for (unsigned i = 0; i < p->put->parts_n; i++) {
		pack_be64(pack_be64(key, p->put->parts[i].number), p->put->req.partner);
		txn_put(p->txn, T_HAD, slice_of(key, sizeof(key)), (struct slice){ 0 });
	}
}

static void add_uses(struct putting *p)
{
	uint8_t key[16];

	for (unsigned i = 0; i < p->put->parts_n; i++) {
		pack_be64(pack_be64(key, p->put->parts[i].number), p->record.sequence);
		txn_put(p->txn, T_USES, slice_of(key, sizeof(key)), (struct slice){ 0 });
	}
}

/* a newer version or a kill: the one that waits never comes out */
static void take_out_held(struct putting *p, enum item_state state)
{
	struct store_event event = { .kind = STORE_OVERTAKEN,
				     .sequence = p->story.held,
				     .first = p->record.sequence,
				     .code = state == ITEM_KILLED ? NX_EKILLED : NX_ESUPERSEDED };
	struct record record;

	if (p->story.held == 0)
		return;
	if (record_head(p->txn, p->story.held, &record) == 0) {
		held_remove(p->items, p->txn, &record);
		record_state(p->txn, p->story.held, state, 0, 0);
		items_note(p->items, p->txn, &event);
	}
	p->story.held = 0; /* a damaged one is caught at its release */
}

static void text_copy(char to[65], struct slice from)
{
	size_t n = from.n > 64 ? 64 : from.n;

	if (n > 0)
		memcpy(to, from.p, n);
	to[n] = '\0';
}

static void story_newer(struct putting *p)
{
	const struct facts *facts = p->put->facts;
	struct story_row *story = &p->story;

	take_out_held(p, ITEM_SUPERSEDED);
	if (p->record.state == ITEM_HELD) {
		if (story->newest_released != 0 && story->newest_released == story->newest) {
			memcpy(story->released_version, story->version, sizeof(story->version));
			story->released_created_ms = story->created_ms;
		}
		story->held = p->record.sequence;
	} else {
		story->newest_released = p->record.sequence;
		story->released_version[0] = '\0';
	}
	story->newest = p->record.sequence;
	story->created_ms = facts->version_created_ms;
	text_copy(story->version, facts->version);
	text_copy(story->channel, facts->channel);
}

/* older than the newest, which is held; but newer than what is out */
static void story_between(struct putting *p)
{
	p->story.newest_released = p->record.sequence;
	p->story.released_created_ms = p->put->facts->version_created_ms;
	text_copy(p->story.released_version, p->put->facts->version);
}

static void story_kill(struct putting *p)
{
	uint8_t value[KILLS_LEN] = { KILLS_VERSION };
	char key[32];

	take_out_held(p, ITEM_KILLED);
	p->story.kill = p->record.sequence;
	if (!p->story_known)
		text_copy(p->story.channel, p->put->facts->channel);
	pack_u32(pack_u32(value + 1, utc_day(p->items->wall_ms)), p->kills);
	meta_put(p->txn, T_META, kills_key(key, p->put->req.partner), value, sizeof(value));
}

static void warn_far(struct putting *p)
{
	struct store_event event = { .kind = STORE_HELD_FAR, .sequence = p->record.sequence };
	char until[40];

	if (p->record.state != ITEM_HELD || p->record.held_until_ms == INT64_MAX ||
	    p->record.held_until_ms - p->items->wall_ms <= p->items->times.embargo_ahead_ms)
		return;
	event.ms = p->record.held_until_ms;
	clock_rfc3339(event.ms, until);
	why_set(&event.why, 0, "its embargo ends %s", until);
	items_note(p->items, p->txn, &event);
}

static void update_story(struct putting *p)
{
	if (p->record.kill)
		story_kill(p);
	else if (!p->older)
		story_newer(p);
	else if (p->record.state == ITEM_RELEASED)
		story_between(p);
	p->story.stored_ms = p->items->wall_ms;
}

/* a new story into `fresh` when it may; what comes of one that stands there says where */
static void put_story(struct putting *p, const struct identity_row *row)
{
	const struct record *record = &p->record;

	if (!p->story_known && fresh_room(p->items, record->story)) {
		story_put_new(p->txn, record, row, &p->story);
		fresh_add(p->items, record->story, record->sequence);
		return;
	}
	identity_put(p->txn, record->identity, row);
	story_put(p->txn, record->story, &p->story);
	if (p->story.fresh != 0)
		fresh_point(p->txn, record->sequence, p->story.fresh);
}

static void store(struct putting *p)
{
	struct record *record = &p->record;
	struct identity_row row;

	record->sequence = ++p->items->count.sequence_last;
	if (record->state != ITEM_HELD && record->held_until_ms == 0) {
		record->position = feed_append(p->items, p->txn, record);
		record->released_ms = p->items->wall_ms;
	}
	record_write(p->txn, record, p->put->envelope, p->put->document);
	row = (struct identity_row){ .sequence = record->sequence,
				     .position = record->position,
				     .stored_ms = record->stored_ms };
	memcpy(row.content, record->content, 32);
	text_copy(row.channel, p->put->facts->channel);
	update_story(p);
	put_story(p, &row);
	if (record->state == ITEM_HELD)
		held_add(p->items, p->txn, record);
	add_uses(p);
	add_had(p);
	warn_far(p);
}

static void answer(struct putting *p)
{
	const struct record *record = &p->record;

	p->draft->sequence = record->sequence;
	p->draft->position = record->position;
	p->draft->stored_ms = record->stored_ms;
	p->draft->follows = p->story_known;
	p->draft->result = record->state == ITEM_HELD         ? RESULT_HELD
			   : record->state == ITEM_SUPERSEDED ? RESULT_SUPERSEDED
							      : RESULT_STORED;
}

static void answer_again(struct putting *p)
{
	struct record record;

	*p->draft = (struct receipt){ .sequence = p->seen.sequence,
				      .position = p->seen.position,
				      .stored_ms = p->seen.stored_ms,
				      .result = RESULT_DUPLICATE,
				      .put = p->put };
	if (record_head(p->txn, p->seen.sequence, &record) == 0) {
		p->draft->position = record.position;
		if (record.state == ITEM_HELD)
			p->draft->result = RESULT_HELD;
		if (record.state == ITEM_SUPERSEDED && record.position == 0)
			p->draft->result = RESULT_SUPERSEDED; /* it never goes out: say so again */
	}
	if (put_check_parts(p) == 0)
		add_had(p); /* this partner has sent them whole all the same */
}

void items_put(struct items *items, struct txn *txn, struct store_put *put, int64_t wall_ms)
{
	struct putting p = { .items = items, .txn = txn, .put = put };
	int r = put_begin(&p);

	(void)wall_ms; /* items->wall_ms */
	if (r == 0)
		p.draft = calloc(1, sizeof(*p.draft));
	if (r == 0 && p.draft == NULL)
		r = NX_ENOMEM;
	if (r == 0)
		r = put_check(&p);
	put->req.code = r < 0 ? r : 0;
	if (r < 0) {
		put_refused(&p, r, &put->req.why);
		free(p.draft);
		goto out;
	}
	if (r > 0) {
		answer_again(&p);
	} else {
		store(&p);
		answer(&p);
	}
	p.draft->put = put;
	p.draft->next = items->drafts;
	items->drafts = p.draft;
out:
	free((void *)p.record.facts_packed.p);
}

/* ---- sizes */

unsigned put_pages(const struct store_put *put)
{
	size_t head = 4096 + record_parts_n(put->parts, put->parts_n);

	/* a random leaf, its split and branches; a row of `fresh`, and a pointer to it; the row of
	 * a held older version; feed, flash, held, counters */
	return record_pages(head, put->envelope.n, put->document.n) + 10 + 4 * put->parts_n;
}

unsigned put_pages_likely(const struct store_put *put)
{
	size_t n =
		600 + record_parts_n(put->parts, put->parts_n) + put->envelope.n + put->document.n;

	return (unsigned)(n / 4076) + 1 + 2 * put->parts_n;
}
