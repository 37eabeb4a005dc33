/*
 * What is true of every transaction of the writer: its counters go with it, and what it wants to
 * tell waits for its commit.
 */
#include "store/items_meta.h"
#include "store/receipt.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void items_begin(struct items *items, struct txn *txn)
{
	assert(items->notes == NULL && items->drafts == NULL && items->subs_next == NULL);
	items->count_before = items->count;
	items->notes_end = &items->notes;
	txn_begin(txn, items->db, TXN_WRITE);
}

static struct items_note *note_add(struct items *items, struct txn *txn)
{
	struct items_note *note = txn->r < 0 ? NULL : calloc(1, sizeof(*note));

	if (note == NULL) {
		txn->r = txn->r < 0 ? txn->r : NX_ENOMEM;
		return NULL;
	}
	*items->notes_end = note;
	items->notes_end = &note->next;
	return note;
}

void items_note(struct items *items, struct txn *txn, const struct store_event *event)
{
	struct items_note *note = note_add(items, txn);

	if (note != NULL)
		note->event = *event;
}

void items_note_unused(struct items *items, struct txn *txn, uint64_t part)
{
	struct items_note *note = note_add(items, txn);

	if (note != NULL)
		note->unused_part = part;
}

void items_note_mended(struct items *items, struct txn *txn, const char *table, const char *key,
		       const char *format, ...)
{
	struct store_event event = { .kind = STORE_CORRUPT, .code = NX_ECORRUPT, .table = table };
	va_list args;

	snprintf(event.key, sizeof(event.key), "%s", key);
	event.why.code = NX_ECORRUPT;
	va_start(args, format);
	vsnprintf(event.why.words, sizeof(event.why.words), format, args);
	va_end(args);
	items_note(items, txn, &event);
}

static void notes_end(struct items *items, bool tell)
{
	while (items->notes != NULL) {
		struct items_note *note = items->notes;

		items->notes = note->next;
		if (tell && note->unused_part != 0)
			items->unused(items->arg, note->unused_part);
		else if (tell)
			items->event(items->arg, &note->event);
		free(note);
	}
}

static void drafts_end(struct items *items, bool mint)
{
	while (items->drafts != NULL) {
		struct receipt *draft = items->drafts;

		items->drafts = draft->next;
		if (mint)
			draft->put->receipt = draft;
		else
			free(draft);
	}
}

static void subs_end(struct items *items, bool swap)
{
	struct subdir *old = items->subs_next;

	if (swap && items->subs_next != NULL) {
		pthread_mutex_lock(&items->lock);
		old = items->subs;
		items->subs = items->subs_next;
		pthread_mutex_unlock(&items->lock);
	}
	items->subs_next = NULL;
	subdir_free(&old);
}

struct subdir *items_subs_now(struct items *items)
{
	return items->subs_next != NULL ? items->subs_next : items->subs;
}

void items_subs_set(struct items *items, struct subdir *subs)
{
	subdir_free(&items->subs_next);
	items->subs_next = subs;
}

/* the rows that go with every commit */
static void put_common(struct items *items, struct txn *txn)
{
	bool counted = memcmp(&items->count, &items->count_before, sizeof(items->count)) != 0;
	struct meta_facts facts;

	if (counted)
		count_put(txn, &items->count);
	items->wall_written = items_wall_due(items);
	if (items->wall_written)
		meta_u64(txn, "wall", (uint64_t)items->wall_ms);
	if (!counted && !items->wall_written)
		return;
	facts = items_meta_facts(items);
	facts.wall_ms = items->wall_written ? items->wall_ms : facts.wall_ms;
	meta_copy_put(txn, &facts);
}

int items_end(struct items *items, struct txn *txn)
{
	int r;

	if (txn->r == 0)
		put_common(items, txn);
	r = txn_end(txn);
	if (r == 0 && items->wall_written)
		items->wall_stored_ms = items->wall_ms;
	items->wall_written = false;
	if (r < 0)
		items->count = items->count_before;
	if (r == 0)
		items_look_at_usage(items); /* when it fails, the last figure stands */
	items_show(items);
	subs_end(items, r == 0);
	drafts_end(items, r == 0);
	notes_end(items, r == 0);
	return r;
}
