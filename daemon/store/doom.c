/*
 * Parts that are being deleted (step 1 and 3), and who is known to have which part. Keys of `uses`
 * and `had`: big-endian pairs.
 */
#include "store/items_priv.h"

#include <stdlib.h>

static bool begins_with(struct slice key, const uint8_t *front, size_t n)
{
	return key.n >= n && memcmp(key.p, front, n) == 0;
}

static bool is_used(struct txn *txn, uint64_t part)
{
	uint8_t key[8];
	struct cur cur;
	bool used;

	pack_be64(key, part);
	cur_open(&cur, txn, T_USES);
	used = cur_seek(&cur, slice_of(key, 8)) && begins_with(cur.key, key, 8);
	cur_close(&cur);
	return used;
}

static void forget_had(struct txn *txn, uint64_t part)
{
	uint8_t key[8];
	struct cur cur;

	pack_be64(key, part);
	cur_open(&cur, txn, T_HAD);
	for (bool ok = cur_seek(&cur, slice_of(key, 8)); ok && begins_with(cur.key, key, 8);
	     ok = cur_next(&cur))
		cur_del(&cur);
	cur_close(&cur);
}

void items_doom(struct items *items, struct txn *txn, struct items_part_req *req)
{
	(void)items;
	req->req.code = 0;
	if (!req->doom) {
		txn_del(txn, T_DOOMED, key_u64(&req->part));
		forget_had(txn, req->part);
	} else if (is_used(txn, req->part)) {
		req->req.code = NX_EEXIST;
	} else {
		txn_put(txn, T_DOOMED, key_u64(&req->part), (struct slice){ 0 });
	}
}

int items_doomed(struct items *items, uint64_t **ret, size_t *ret_n)
{
	struct txn txn;
	struct cur cur;
	uint64_t *parts = NULL;
	size_t n = 0, room;

	txn_begin(&txn, items->db, TXN_READ);
	room = txn_entries(&txn, T_DOOMED);
	if (txn.r == 0 && room > 0 && (parts = calloc(room, sizeof(*parts))) == NULL)
		txn.r = NX_ENOMEM;
	cur_open(&cur, &txn, T_DOOMED);
	for (bool ok = parts != NULL && cur_first(&cur); ok && n < room; ok = cur_next(&cur))
		parts[n++] = u64_of(cur.key);
	cur_close(&cur);
	if (txn_end(&txn) < 0) {
		free(parts);
		return txn.r;
	}
	*ret = parts;
	*ret_n = n;
	return 0;
}

bool items_had(struct txn *txn, uint64_t part, uint32_t partner)
{
	uint8_t key[16];
	struct slice value;

	pack_be64(pack_be64(key, part), partner);
	return txn_get(txn, T_HAD, slice_of(key, sizeof(key)), &value);
}

bool items_is_doomed(struct txn *txn, uint64_t part)
{
	struct slice value;

	return txn_get(txn, T_DOOMED, key_u64(&part), &value);
}

uint64_t items_part_last(struct txn *txn)
{
	static const unsigned tables[] = { T_USES, T_HAD };
	uint64_t last = 0;
	struct cur cur;

	cur_open(&cur, txn, T_DOOMED);
	if (cur_last(&cur))
		last = u64_of(cur.key);
	cur_close(&cur);
	for (unsigned i = 0; i < 2; i++) {
		cur_open(&cur, txn, tables[i]);
		if (cur_last(&cur) && cur.key.n == 16 && unpack_be64(cur.key.p) > last)
			last = unpack_be64(cur.key.p);
		cur_close(&cur);
	}
	return last;
}
