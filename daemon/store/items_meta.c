/*
 * The rows of meta that every start reads. Each of them stands in "copy" too, under a checksum:
 * u8 version, u32 format, u64 epoch, u64 epoch and u64 sequence of "restored", "counters" without
 * its version, i64 wall (TIME_NONE: none), u8 octets of "node", node.
 */
#include "store/items_meta.h"
#include "store/items_priv.h"

#define COUNT_VERSION 1
#define COUNT_LEN     41
#define COPY_VERSION  1
#define COPY_FIXED    78 /* without the node */
_Static_assert(COPY_FIXED + NAME_MAX_ + META_SUM <= META_ROW_MAX, "it fits");

static uint8_t *count_pack(uint8_t *p, const struct items_count *count)
{
	p = pack_u64(p, count->sequence_last);
	p = pack_u64(p, count->position_last);
	p = pack_u64(p, count->total_items);
	p = pack_u64(p, count->total_octets);
	return pack_u64(p, count->held);
}

static void count_unpack(const uint8_t *p, struct items_count *ret)
{
	ret->sequence_last = unpack_u64(p);
	ret->position_last = unpack_u64(p + 8);
	ret->total_items = unpack_u64(p + 16);
	ret->total_octets = unpack_u64(p + 24);
	ret->held = unpack_u64(p + 32);
}

enum meta_state count_parse(struct slice value, struct items_count *ret)
{
	enum meta_state state = meta_state(slice_str("counters"), value, COUNT_LEN);

	*ret = (struct items_count){ 0 };
	if (state == META_BAD || value.p[0] != COUNT_VERSION)
		return META_BAD;
	count_unpack(value.p + 1, ret);
	return state;
}

bool count_get(struct txn *txn, struct items_count *ret)
{
	struct slice value;

	*ret = (struct items_count){ 0 };
	return txn_get(txn, T_META, slice_str("counters"), &value) &&
	       count_parse(value, ret) != META_BAD;
}

void count_put(struct txn *txn, const struct items_count *count)
{
	uint8_t octets[COUNT_LEN] = { COUNT_VERSION };

	count_pack(octets + 1, count);
	meta_put(txn, T_META, "counters", octets, sizeof(octets));
}

void meta_u64(struct txn *txn, const char *name, uint64_t u)
{
	uint8_t value[8];

	pack_u64(value, u);
	txn_put(txn, T_META, slice_str(name), slice_of(value, sizeof(value)));
}

/* ---- the copy */

struct meta_facts items_meta_facts(const struct items *items)
{
	struct meta_facts facts = { .format = ITEMS_FORMAT,
				    .epoch = items->epoch,
				    .restored_epoch = items->restored_epoch,
				    .restored_sequence = items->restored_sequence,
				    .count = items->count,
				    .wall_ms = items->wall_stored_ms };

	memcpy(facts.node, items->node, sizeof(facts.node));
	return facts;
}

static size_t copy_pack(uint8_t octets[COPY_FIXED + NAME_MAX_], const struct meta_facts *facts)
{
	size_t n = strnlen(facts->node, NAME_MAX_);
	uint8_t *p = octets;

	*p++ = COPY_VERSION;
	p = pack_u32(p, facts->format);
	p = pack_u64(p, facts->epoch);
	p = pack_u64(p, facts->restored_epoch);
	p = pack_u64(p, facts->restored_sequence);
	p = count_pack(p, &facts->count);
	p = pack_u64(p, (uint64_t)facts->wall_ms);
	*p++ = (uint8_t)n;
	memcpy(p, facts->node, n);
	return COPY_FIXED + n;
}

void meta_copy_put(struct txn *txn, const struct meta_facts *facts)
{
	uint8_t octets[COPY_FIXED + NAME_MAX_];

	meta_put(txn, T_META, META_COPY, octets, copy_pack(octets, facts));
}

bool meta_copy_is(const struct meta_facts *copy, const struct meta_facts *facts)
{
	uint8_t one[COPY_FIXED + NAME_MAX_], other[COPY_FIXED + NAME_MAX_];

	return slice_eq(slice_of(one, copy_pack(one, copy)),
			slice_of(other, copy_pack(other, facts)));
}

enum meta_state meta_copy_parse(struct slice value, struct meta_facts *ret)
{
	const uint8_t *p = value.p;
	enum meta_state state;
	size_t n;

	*ret = (struct meta_facts){ 0 };
	if (value.n < COPY_FIXED + META_SUM || p[COPY_FIXED - 1] > NAME_MAX_)
		return META_BAD;
	n = p[COPY_FIXED - 1];
	state = meta_state(slice_str(META_COPY), value, COPY_FIXED + n);
	if (state == META_BAD || value.n == COPY_FIXED + n || p[0] != COPY_VERSION)
		return META_BAD;
	ret->format = unpack_u32(p + 1);
	ret->epoch = unpack_u64(p + 5);
	ret->restored_epoch = unpack_u64(p + 13);
	ret->restored_sequence = unpack_u64(p + 21);
	count_unpack(p + 29, &ret->count);
	ret->wall_ms = (int64_t)unpack_u64(p + 69);
	memcpy(ret->node, p + COPY_FIXED, n);
	return state;
}

/* ---- all of them */

void meta_facts_put(struct txn *txn, const struct meta_facts *facts)
{
	uint8_t format[4], restored[16];

	pack_u32(format, facts->format);
	pack_u64(pack_u64(restored, facts->restored_epoch), facts->restored_sequence);
	txn_put(txn, T_META, slice_str("format"), slice_of(format, sizeof(format)));
	meta_u64(txn, "epoch", facts->epoch);
	txn_put(txn, T_META, slice_str("node"), slice_str(facts->node));
	if (facts->restored_epoch != 0)
		txn_put(txn, T_META, slice_str("restored"), slice_of(restored, sizeof(restored)));
	if (facts->wall_ms != TIME_NONE)
		meta_u64(txn, "wall", (uint64_t)facts->wall_ms);
	count_put(txn, &facts->count);
	meta_copy_put(txn, facts);
}
