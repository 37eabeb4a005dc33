/* where in `fresh` a story stands, by the first octets of its key: two tables with open places */
#include "store/fresh.h"

#include "base/hash.h"
#include "store/items_priv.h"

#include <stdlib.h>

#define SIZE_LEAST  1024
#define ROWS_A_PAGE 8  /* of stories: both rows, in leaves that are little more than half full */
#define SIZE_PARTS  25 /* such a part of the environment is set aside for a merge at most */

static size_t place(const struct fresh *fresh, const struct fresh_mirror *mirror, uint64_t key)
{
	uint64_t mixed = (key ^ fresh->secret) * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(mixed >> 32) & (mirror->size - 1);
}

/* its entry, or the free place where it would stand */
static struct fresh_entry *look(const struct fresh *fresh, const struct fresh_mirror *mirror,
				uint64_t key)
{
	size_t at = place(fresh, mirror, key);

	while (mirror->slots[at].sequence != 0 && mirror->slots[at].key != key)
		at = (at + 1) & (mirror->size - 1);
	return &mirror->slots[at];
}

static uint64_t find(const struct fresh *fresh, const struct fresh_mirror *mirror, uint64_t key)
{
	return mirror->n == 0 ? 0 : look(fresh, mirror, key)->sequence;
}

/* room for one more, a third of the places left free */
static bool grow(const struct fresh *fresh, struct fresh_mirror *mirror)
{
	struct fresh_mirror more = { .size = mirror->size == 0 ? SIZE_LEAST : 2 * mirror->size,
				     .n = mirror->n };

	if ((mirror->n + 1) * 3 <= mirror->size * 2)
		return true;
	more.slots = calloc(more.size, sizeof(*more.slots));
	if (more.slots == NULL)
		return false;
	for (size_t i = 0; i < mirror->size; i++)
		if (mirror->slots[i].sequence != 0)
			*look(fresh, &more, mirror->slots[i].key) = mirror->slots[i];
	free(mirror->slots);
	*mirror = more;
	return true;
}

static void add(const struct fresh *fresh, struct fresh_mirror *mirror, uint64_t key,
		uint64_t sequence)
{
	struct fresh_entry *entry = look(fresh, mirror, key);

	mirror->n += entry->sequence == 0;
	*entry = (struct fresh_entry){ .key = key, .sequence = sequence };
}

uint64_t fresh_guess(const struct items *items, const uint8_t story[32])
{
	uint64_t key = unpack_be64(story);
	uint64_t sequence = find(&items->fresh, &items->fresh.young, key);

	return sequence != 0 ? sequence : find(&items->fresh, &items->fresh.old, key);
}

/* another story that begins with the same octets stands there, or one whose transaction failed:
 * then `stories` is the place for this one */
bool fresh_room(struct items *items, const uint8_t story[32])
{
	struct fresh *fresh = &items->fresh;

	return fresh->most != FRESH_NONE && fresh->young.n + fresh->old.n < fresh->most &&
	       fresh_guess(items, story) == 0 && grow(fresh, &fresh->young);
}

void fresh_add(struct items *items, const uint8_t story[32], uint64_t sequence)
{
	add(&items->fresh, &items->fresh.young, unpack_be64(story), sequence);
	items->fresh.put_ms = items->boot_ms;
}

unsigned fresh_most(uint64_t pages)
{
	uint64_t most = pages / SIZE_PARTS * ROWS_A_PAGE;

	return most < FRESH_MOST ? (unsigned)most : FRESH_MOST;
}

uint64_t fresh_pages(const struct fresh *fresh)
{
	uint64_t rows = fresh->young.n + fresh->old.n - fresh->order_at;

	return (rows + ROWS_A_PAGE - 1) / ROWS_A_PAGE;
}

/* ---- start and end */

static int load(struct fresh *fresh, struct txn *txn)
{
	struct fresh_marks marks = fresh_marks_get(txn);
	struct fresh_row row;
	struct cur cur;
	uint64_t points;
	int r = 0;

	cur_open(&cur, txn, T_FRESH);
	for (bool more = cur_seek(&cur, key_u64(&marks.first)); more && r == 0;
	     more = cur_next(&cur)) {
		struct fresh_mirror *mirror =
			u64_of(cur.key) < marks.split ? &fresh->old : &fresh->young;

		if (fresh_parse(cur.value, &row, &points) != 1)
			continue; /* a damaged one costs one story; --verify-store tells */
		if (grow(fresh, mirror))
			add(fresh, mirror, unpack_be64(row.story), u64_of(cur.key));
		else
			r = NX_ENOMEM;
	}
	cur_close(&cur);
	return r;
}

static void forget(struct fresh *fresh)
{
	free(fresh->young.slots);
	free(fresh->old.slots);
	fresh->young = fresh->old = (struct fresh_mirror){ 0 };
}

int fresh_load(struct items *items)
{
	struct fresh *fresh = &items->fresh;
	struct txn txn;
	int r;

	if (fresh->loaded)
		return 0;
	fresh->trash = true;
	random_octets(&fresh->secret, sizeof(fresh->secret));
	txn_begin(&txn, items->db, TXN_READ);
	r = txn.r == 0 ? load(fresh, &txn) : txn.r;
	if (txn_end(&txn) < 0)
		r = txn.r;
	fresh->loaded = r == 0;
	if (r < 0)
		forget(fresh);
	return r;
}

void fresh_free(struct items *items)
{
	forget(&items->fresh);
	free(items->fresh.order);
}
