/*
 * The feed: one row a released item, positions rising by one.
 *
 * Row, little-endian: u8 version, u8 lane, u8 kill, u64 sequence, u64 total of items, u64 total of
 * octets.
 */
#include "store/items_priv.h"

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

bool feed_get(struct txn *txn, uint64_t position, struct feed_row *ret)
{
	struct slice value;

	if (!txn_get(txn, T_FEED, key_u64(&position), &value))
		return false;
	if (feed_parse(key_u64(&position), value, ret))
		return true;
	txn->r = NX_ECORRUPT;
	return false;
}

uint64_t feed_append(struct items *items, struct txn *txn, const struct record *record)
{
	struct items_count *count = &items->count;
	uint8_t value[ROW_LEN], *p = value;

	count->position_last++;
	count->total_items++;
	count->total_octets += record->octets;
	*p++ = ROW_VERSION;
	*p++ = (uint8_t)record->lane;
	*p++ = record->kill;
	p = pack_u64(p, record->sequence);
	p = pack_u64(p, count->total_items);
	pack_u64(p, count->total_octets);
	txn_append(txn, T_FEED, key_u64(&count->position_last), slice_of(value, sizeof(value)));
	if (record->lane == LANE_FLASH)
		txn_append(txn, T_FLASH, key_u64(&count->position_last), (struct slice){ 0 });
	return count->position_last;
}
