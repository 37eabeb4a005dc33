/*
 * The feed: one row a released item, positions rising by one.
 *
 * Row, little-endian: u8 version, u8 lane, u8 kill, u64 sequence, u64 total of items, u64 total of
 * octets.
 */
#include "store/items_priv.h"

#include <stdio.h>

#define ROW_VERSION 1
#define ROW_LEN     27

bool feed_parse(struct slice key, struct slice value, struct feed_row *ret)
{
	if (key.n != 8 || value.n < ROW_LEN || value.p[0] != ROW_VERSION || value.p[1] >= LANES)
		return false;
	*ret = (struct feed_row){
		.position = u64_of(key),
		.lane = (enum lane)value.p[1],
		.kill = value.p[2] != 0,
		.sequence = unpack_u64(value.p + 3),
		.total_items = unpack_u64(value.p + 11),
		.total_octets = unpack_u64(value.p + 19),
	};
	return true;
}

/* is it the item of the position? then the row says what it says */
static bool take(struct txn *txn, uint64_t position, uint64_t sequence, struct feed_row *ret)
{
	struct record record;

	if (sequence == 0 || record_head(txn, sequence, &record) < 0 || record.position != position)
		return false;
	ret->sequence = sequence;
	ret->lane = record.lane;
	ret->kill = record.kill;
	ret->total_items++;
	ret->total_octets += record.octets;
	return true;
}

/* the row itself may still name the item; else it is likely the one after the item before */
static void read_damaged(struct txn *txn, uint64_t position, struct slice value,
			 struct feed_row *ret)
{
	struct feed_row before = { 0 };
	struct cur cur;

	cur_open(&cur, txn, T_FEED);
	if (cur_seek(&cur, key_u64(&position)) && cur_prev(&cur))
		feed_parse(cur.key, cur.value, &before);
	cur_close(&cur);
	*ret = (struct feed_row){ .position = position,
				  .total_items = before.total_items,
				  .total_octets = before.total_octets,
				  .lane = LANE_ROUTINE };
	if (value.n < 11 || !take(txn, position, unpack_u64(value.p + 3), ret))
		take(txn, position, before.sequence + 1, ret);
}

bool feed_get(struct txn *txn, uint64_t position, struct feed_row *ret)
{
	struct slice value;

	if (!txn_get(txn, T_FEED, key_u64(&position), &value))
		return false;
	if (!feed_parse(key_u64(&position), value, ret))
		read_damaged(txn, position, value, ret);
	return true;
}

bool feed_read(struct cur *cur, struct feed_row *ret)
{
	if (!cur->ok)
		return false;
	if (!feed_parse(cur->key, cur->value, ret))
		read_damaged(cur->txn, u64_of(cur->key), cur->value, ret);
	return true;
}

static void row_put(struct txn *txn, const struct feed_row *row, bool last)
{
	uint8_t value[ROW_LEN], *p = value;

	*p++ = ROW_VERSION;
	*p++ = (uint8_t)row->lane;
	*p++ = row->kill;
	p = pack_u64(p, row->sequence);
	p = pack_u64(p, row->total_items);
	pack_u64(p, row->total_octets);
	(last ? txn_append : txn_put)(txn, T_FEED, key_u64(&row->position),
				      slice_of(value, sizeof(value)));
}

bool feed_read_mend(struct items *items, struct cur *cur, struct feed_row *ret)
{
	char key[24];

	if (!cur->ok || feed_parse(cur->key, cur->value, ret))
		return cur->ok;
	read_damaged(cur->txn, u64_of(cur->key), cur->value, ret);
	snprintf(key, sizeof(key), "%llu", (unsigned long long)ret->position);
	if (ret->sequence != 0)
		row_put(cur->txn, ret, false);
	items_note_mended(items, cur->txn, "feed", key,
			  ret->sequence != 0
				  ? "the row of item %llu was damaged: made again"
				  : "the row is damaged, and no item (%llu) says that it is its "
				    "own: what is owed there cannot be delivered",
			  (unsigned long long)ret->sequence);
	return true;
}

uint64_t feed_append(struct items *items, struct txn *txn, const struct record *record)
{
	struct items_count *count = &items->count;

	count->position_last++;
	count->total_items++;
	count->total_octets += record->octets;
	row_put(txn,
		&(struct feed_row){ .position = count->position_last,
				    .sequence = record->sequence,
				    .total_items = count->total_items,
				    .total_octets = count->total_octets,
				    .lane = record->lane,
				    .kill = record->kill },
		true);
	if (record->lane == LANE_FLASH)
		txn_append(txn, T_FLASH, key_u64(&count->position_last), (struct slice){ 0 });
	return count->position_last;
}
