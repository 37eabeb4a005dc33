/*
 * `fresh` becomes part of `stories`, in the order of the keys, so that a leaf which takes several
 * rows is written once.
 *
 * First a mark (split): the rows before it are the old ones. Then, some hundred in a transaction,
 * their copies go to `stories`; meanwhile the old rows are still the truth. The last of these
 * transactions sets the other mark (first), and from then on nobody looks at them. Last they are
 * removed. After a crash the copying begins anew: the same rows are put once more.
 */
#include "store/fresh.h"
#include "store/items_priv.h"

#include <stdlib.h>

#define STORIES_A_STEP 512
#define STORY_PAGES    3     /* two leaves, and what they split and stand on */
#define REMOVED_A_STEP 4000  /* some 250 pages */
#define QUIET_MS       2000  /* no new story for so long ... */
#define QUIET_LEAST    16384 /* ... and so many of them: now is a good time */

static void forget(struct fresh_mirror *mirror)
{
	free(mirror->slots);
	*mirror = (struct fresh_mirror){ 0 };
}

/* ---- what was merged goes */

static bool any_left(const struct items *items)
{
	struct txn txn;
	struct cur cur;
	bool any;

	txn_begin(&txn, items->db, TXN_READ);
	cur_open(&cur, &txn, T_FRESH);
	any = cur_first(&cur) && u64_of(cur.key) < fresh_marks_get(&txn).first;
	cur_close(&cur);
	txn_end(&txn);
	return any;
}

/* 1 = something was done */
static int remove_some(struct items *items)
{
	struct fresh_marks marks;
	unsigned n = 0;
	struct txn txn;
	struct cur cur;

	if (!any_left(items)) {
		items->fresh.trash = false;
		return 0;
	}
	items_begin(items, &txn);
	marks = fresh_marks_get(&txn);
	cur_open(&cur, &txn, T_FRESH);
	for (bool more = cur_first(&cur);
	     more && u64_of(cur.key) < marks.first && n < REMOVED_A_STEP; more = cur_next(&cur)) {
		cur_del(&cur);
		n++;
	}
	cur_close(&cur);
	return items_end(items, &txn) < 0 ? txn.r : 1;
}

/* ---- the beginning */

static bool is_due(const struct items *items)
{
	const struct fresh *fresh = &items->fresh;

	return fresh->young.n > 0 &&
	       (fresh->asked || fresh->young.n >= fresh->most / 2 ||
		(fresh->young.n >= QUIET_LEAST && items->boot_ms - fresh->put_ms >= QUIET_MS));
}

static int by_key(const void *a, const void *b)
{
	const struct fresh_entry *one = a, *other = b;

	return (one->key > other->key) - (one->key < other->key);
}

/* the old rows in the order of their keys */
static bool put_in_order(struct fresh *fresh)
{
	fresh->order = malloc(fresh->old.n * sizeof(*fresh->order));
	fresh->order_n = fresh->order_at = 0;
	if (fresh->order == NULL)
		return false;
	for (size_t i = 0; i < fresh->old.size; i++)
		if (fresh->old.slots[i].sequence != 0)
			fresh->order[fresh->order_n++] = fresh->old.slots[i];
	qsort(fresh->order, fresh->order_n, sizeof(*fresh->order), by_key);
	return true;
}

static int begin(struct items *items)
{
	struct fresh *fresh = &items->fresh;
	struct fresh_marks marks;
	struct txn txn;
	int r;

	items_begin(items, &txn);
	marks = fresh_marks_get(&txn);
	marks.split = items->count.sequence_last + 1;
	fresh_marks_put(&txn, &marks);
	r = items_end(items, &txn);
	if (r < 0)
		return r;
	fresh->old = fresh->young;
	fresh->young = (struct fresh_mirror){ 0 };
	fresh->asked = false;
	return 1;
}

/* ---- copies */

static void copy(struct items *items, struct txn *txn, const struct fresh_entry *entry)
{
	struct store_event event = { .kind = STORE_CORRUPT, .sequence = entry->sequence };
	uint8_t octets[2 * FRESH_ROW_MAX];
	struct fresh_row row;
	size_t n;
	int r = fresh_get(txn, entry->sequence, &row);

	if (r == NX_ECORRUPT) {
		why_set(&event.why, r, "what is known of its story cannot be read");
		items_note(items, txn, &event);
	}
	if (r != 1)
		return; /* of a transaction that failed: it never was */
	/* a row that LMDB shows is only good until the next put */
	n = row.identity_row.n + row.story_row.n;
	memcpy(octets, row.identity_row.p, n);
	txn_put(txn, T_STORIES, slice_of(row.identity, 32), slice_of(octets, row.identity_row.n));
	txn_put(txn, T_STORIES, slice_of(row.story, 32),
		slice_of(octets + row.identity_row.n, row.story_row.n));
}

/* with few rows, as in tests, few at a time: a merge is a row of steps */
static size_t step_of(const struct fresh *fresh)
{
	size_t part = fresh->most / 8;

	return part == 0 ? 1 : part < STORIES_A_STEP ? part : STORIES_A_STEP;
}

static int copy_some(struct items *items)
{
	struct fresh *fresh = &items->fresh;
	size_t from = fresh->order_at, end = from + step_of(fresh);
	struct fresh_marks marks;
	struct txn txn;
	int r;

	/* its room is set aside; what a step copies beside that is free again after the next one */
	if (!items_room(items, MARK_SETTLE, (end - from) * STORY_PAGES))
		return 0;
	if (end > fresh->order_n)
		end = fresh->order_n;
	items_begin(items, &txn);
	for (size_t i = from; i < end && txn.r == 0; i++)
		copy(items, &txn, &fresh->order[i]);
	if (end == fresh->order_n) {
		marks = fresh_marks_get(&txn);
		marks = (struct fresh_marks){ .first = marks.split };
		fresh_marks_put(&txn, &marks);
	}
	fresh->order_at = end;
	r = items_end(items, &txn);
	if (r < 0) {
		fresh->order_at = from;
		return r;
	}
	if (end < fresh->order_n)
		return 1;
	forget(&fresh->old);
	free(fresh->order);
	fresh->order = NULL;
	fresh->order_n = fresh->order_at = 0;
	fresh->trash = true;
	return 1;
}

int items_merge(struct items *items)
{
	struct fresh *fresh = &items->fresh;
	int r = fresh->trash ? remove_some(items) : 0;

	if (r != 0)
		return r;
	if (fresh->old.n == 0)
		return is_due(items) ? begin(items) : 0;
	if (fresh->order == NULL && !put_in_order(fresh))
		return 0; /* no memory: later */
	return copy_some(items);
}
