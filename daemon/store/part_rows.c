/* the rows of a part: its own, those that find it, those that count it */
#include "store/photos.h"

#define ROW_VERSION 1

static void put_le(uint8_t **to, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		*(*to)++ = (uint8_t)(v >> 8 * i);
}

static uint64_t get_le(const uint8_t **p, unsigned n)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < n; i++)
		v |= (uint64_t) * (*p)++ << 8 * i;
	return v;
}

static void put_be(uint8_t *to, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> 8 * (n - 1 - i));
}

void index_key(uint8_t key[INDEX_KEY_LEN], const uint8_t sha256[32], uint32_t partner)
{
	memcpy(key, sha256, 32);
	put_be(key + 32, partner, 4);
}

void partial_key(uint8_t key[PARTIAL_KEY_LEN], uint32_t partner, uint64_t number)
{
	put_be(key, partner, 4);
	put_be(key + 4, number, 8);
}

bool part_parse(struct slice value, struct part_row *ret)
{
	const uint8_t *p = value.p;

	if (value.n < PART_ROW_LEN || *p++ != ROW_VERSION)
		return false;
	ret->state = *p++;
	ret->partner = (uint32_t)get_le(&p, 4);
	ret->size = get_le(&p, 8);
	ret->committed = get_le(&p, 8);
	memcpy(ret->sha256, p, 32);
	p += 32;
	ret->begun_ms = (int64_t)get_le(&p, 8);
	ret->touched_ms = (int64_t)get_le(&p, 8);
	return ret->state >= PART_PARTIAL && ret->state <= PART_QUARANTINED;
}

int part_get(struct txn *txn, uint64_t number, struct part_row *ret)
{
	struct slice value;

	if (!txn_get(txn, P_PARTS, key_u64(&number), &value))
		return txn->r < 0 ? txn->r : NX_ENOENT;
	return part_parse(value, ret) ? 0 : NX_ECORRUPT;
}

void part_put(struct txn *txn, uint64_t number, const struct part_row *row)
{
	uint8_t value[PART_ROW_LEN], *p = value;

	*p++ = ROW_VERSION;
	*p++ = (uint8_t)row->state;
	put_le(&p, row->partner, 4);
	put_le(&p, row->size, 8);
	put_le(&p, row->committed, 8);
	memcpy(p, row->sha256, 32);
	p += 32;
	put_le(&p, (uint64_t)row->begun_ms, 8);
	put_le(&p, (uint64_t)row->touched_ms, 8);
	txn_put(txn, P_PARTS, key_u64(&number), slice_of(value, sizeof(value)));
}
