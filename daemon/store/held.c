/*
 * Items that wait: for their embargo, or for an editor. Nothing of them is sent before they have a
 * position.
 *
 * Row: key u64 release time (UINT64_MAX: none), u64 sequence, big-endian; no value. A partner's
 * sum: held_sum.c.
 */
#include "store/items_priv.h"

#include <stdio.h>

#define RELEASE_MAX 100 /* in one transaction */

static struct slice held_key(uint8_t key[16], int64_t until_ms, uint64_t sequence)
{
	uint64_t until = until_ms == INT64_MAX ? UINT64_MAX : until_ms < 0 ? 0 : (uint64_t)until_ms;

	pack_be64(pack_be64(key, until), sequence);
	return slice_of(key, 16);
}

void held_add(struct items *items, struct txn *txn, const struct record *record)
{
	struct held_sum sum = held_sum_get(txn, record->partner);
	uint8_t key[16];

	txn_put(txn, T_HELD, held_key(key, record->held_until_ms, record->sequence),
		(struct slice){ 0 });
	sum.octets += record->octets;
	sum.items++;
	held_sum_put(txn, record->partner, sum);
	items->count.held++;
}

void held_remove(struct items *items, struct txn *txn, const struct record *record)
{
	struct held_sum sum;
	uint8_t key[16];

	if (!txn_del(txn, T_HELD, held_key(key, record->held_until_ms, record->sequence)))
		return;
	sum = held_sum_get(txn, record->partner);
	sum.octets -= record->octets < sum.octets ? record->octets : sum.octets;
	sum.items -= sum.items > 0;
	held_sum_put(txn, record->partner, sum);
	items->count.held -= items->count.held > 0;
}

/* ---- release */

struct due {
	unsigned n;
	uint8_t keys[RELEASE_MAX][16];
};

/* the rows whose time has come, the earliest first */
static void find_due(struct txn *txn, int64_t now_ms, struct due *ret)
{
	struct cur cur;

	ret->n = 0;
	cur_open(&cur, txn, T_HELD);
	for (bool ok = cur_first(&cur); ok && ret->n < RELEASE_MAX; ok = cur_next(&cur)) {
		if (cur.key.n != 16 || unpack_be64(cur.key.p) > (uint64_t)now_ms)
			break;
		memcpy(ret->keys[ret->n++], cur.key.p, 16);
	}
	cur_close(&cur);
}

static void give_up(struct items *items, struct txn *txn, const uint8_t key[16], uint64_t sequence,
		    const char *words)
{
	struct store_event event = { .kind = STORE_CORRUPT, .sequence = sequence };

	txn_del(txn, T_HELD, slice_of(key, 16));
	items->count.held -= items->count.held > 0;
	record_state(txn, sequence, ITEM_QUARANTINED, 0, 0);
	why_set(&event.why, NX_ECORRUPT, "%s", words);
	items_note(items, txn, &event);
}

static void update_story(struct txn *txn, const struct record *record, struct story_row *story)
{
	if (record->kill)
		return;
	story->held = 0;
	story->newest_released = record->sequence; /* a newer one would have taken it out of held */
	story->released_version[0] = '\0';
	story_put(txn, record->story, story);
}

/* returns the position, or 0 */
static uint64_t release_one(struct items *items, struct txn *txn, const uint8_t key[16])
{
	uint64_t sequence = unpack_be64(key + 8), position;
	struct story_row story;
	struct record record;
	int r = record_head(txn, sequence, &record);

	if (r == NX_ECORRUPT || r == NX_ENOENT) {
		give_up(items, txn, key, sequence, "a held item cannot be read");
		return 0;
	}
	if (r < 0)
		return 0;
	r = story_find(txn, record.story, sequence, &story);
	if (r < 0 || (r == 0 && !record.kill)) {
		give_up(items, txn, key, sequence, "the story of a held item cannot be read");
		return 0;
	}
	held_remove(items, txn, &record);
	if (!record.kill && (story.kill != 0 || story.held != sequence)) {
		struct store_event event = { .kind = STORE_OVERTAKEN,
					     .sequence = sequence,
					     .first = story.kill,
					     .code = story.kill != 0 ? NX_EKILLED
								     : NX_ESUPERSEDED };

		record_state(txn, sequence, story.kill != 0 ? ITEM_KILLED : ITEM_SUPERSEDED, 0, 0);
		items_note(items, txn, &event);
		return 0;
	}
	position = feed_append(items, txn, &record);
	record_state(txn, sequence, ITEM_RELEASED, position, items->wall_ms);
	update_story(txn, &record, &story);
	return position;
}

static void release_all(struct items *items, struct txn *txn, const struct due *due)
{
	struct store_event event = { .kind = STORE_RELEASED };

	for (unsigned i = 0; i < due->n && txn->r == 0; i++) {
		uint64_t position = release_one(items, txn, due->keys[i]);

		if (position == 0)
			continue;
		event.items++;
		event.first = event.first == 0 ? position : event.first;
		event.last = position;
	}
	if (event.items > 0)
		items_note(items, txn, &event);
}

int items_release(struct items *items, int64_t boot_ms, int64_t wall_ms, bool synchronised)
{
	struct due due;
	struct txn txn;
	int r;

	items_now(items, boot_ms, wall_ms, synchronised);
	if (!clockrule_good(&items->clock) || items->count.held == 0)
		return 0;
	txn_begin(&txn, items->db, TXN_READ);
	find_due(&txn, wall_ms, &due);
	r = txn_end(&txn);
	if (r < 0 || due.n == 0)
		return r;
	items_begin(items, &txn);
	release_all(items, &txn, &due);
	r = items_end(items, &txn);
	return r < 0 ? r : due.n == RELEASE_MAX;
}
