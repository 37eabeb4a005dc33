/*
 * What each partner has held, in meta under "held:NUMBER": u8 version, u64 octets, u64 items,
 * checksum (meta.h).
 */
#include "store/items_priv.h"
#include "store/meta.h"

#include <stdio.h>

#define SUM_VERSION 1
#define SUM_LEN     17

static const char *sum_key(char key[32], uint32_t partner)
{
	snprintf(key, 32, HELD_KIND "%u", partner);
	return key;
}

struct held_sum held_sum_get(struct txn *txn, uint32_t partner)
{
	const uint8_t *p;
	char key[32];

	switch (meta_get(txn, T_META, sum_key(key, partner), SUM_LEN, &p)) {
	case META_NONE:
		return (struct held_sum){ 0 };
	case META_BAD:
		txn->r = NX_ECORRUPT;
		return (struct held_sum){ 0 };
	default:
		return (struct held_sum){ .octets = unpack_u64(p + 1), .items = unpack_u64(p + 9) };
	}
}

void held_sum_put(struct txn *txn, uint32_t partner, struct held_sum sum)
{
	uint8_t octets[SUM_LEN] = { SUM_VERSION };
	char key[32];

	pack_u64(pack_u64(octets + 1, sum.octets), sum.items);
	meta_put(txn, T_META, sum_key(key, partner), octets, sizeof(octets));
}

enum meta_state held_sum_state(struct slice key, struct slice value)
{
	enum meta_state state = meta_state(key, value, SUM_LEN);

	return state != META_BAD && value.p[0] == SUM_VERSION ? state : META_BAD;
}

void held_sums_anew(struct txn *txn)
{
	struct record record;
	struct cur cur;

	cur_open(&cur, txn, T_HELD);
	for (bool more = cur_first(&cur); more && txn->r == 0; more = cur_next(&cur)) {
		struct held_sum sum;

		if (cur.key.n != 16 || record_head(txn, unpack_be64(cur.key.p + 8), &record) < 0)
			continue; /* it is given up when its time comes */
		sum = held_sum_get(txn, record.partner);
		sum.octets += record.octets;
		sum.items++;
		held_sum_put(txn, record.partner, sum);
	}
	cur_close(&cur);
}

uint64_t held_octets(struct txn *txn, uint32_t partner)
{
	return held_sum_get(txn, partner).octets;
}
