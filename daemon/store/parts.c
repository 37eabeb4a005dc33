#include "store/photos_meta.h"

#include "store/items.h"

uint64_t part_find(struct txn *txn, const uint8_t sha256[32], uint32_t partner)
{
	uint8_t key[INDEX_KEY_LEN];
	struct slice value;

	index_key(key, sha256, partner);
	return txn_get(txn, P_INDEX, slice_of(key, sizeof(key)), &value) ? u64_of(value) : 0;
}

/* only while it still names that number */
static void index_del(struct txn *txn, const uint8_t sha256[32], uint32_t partner, uint64_t number)
{
	uint8_t key[INDEX_KEY_LEN];

	if (part_find(txn, sha256, partner) != number)
		return;
	index_key(key, sha256, partner);
	txn_del(txn, P_INDEX, slice_of(key, sizeof(key)));
}

static void partial_del(struct txn *txn, uint64_t number, const struct part_row *row)
{
	uint8_t key[PARTIAL_KEY_LEN];

	partial_key(key, row->partner, number);
	txn_del(txn, P_PARTIALS, slice_of(key, sizeof(key)));
	index_del(txn, row->sha256, row->partner, number);
}

void part_throw_away(struct txn *txn, uint64_t number, struct part_row *row)
{
	if (row->state == PART_PARTIAL)
		partial_del(txn, number, row);
	else
		index_del(txn, row->sha256, 0, number);
	row->state = PART_DELETING;
	part_put(txn, number, row);
	txn_put(txn, P_GONE, key_u64(&number), slice_of(NULL, 0));
}

void part_complete(struct txn *txn, uint64_t number, struct part_row *row, int64_t wall_ms)
{
	uint8_t key[INDEX_KEY_LEN];

	partial_del(txn, number, row);
	row->state = PART_COMPLETE;
	row->touched_ms = wall_ms;
	part_put(txn, number, row);
	index_key(key, row->sha256, 0);
	txn_put(txn, P_INDEX, slice_of(key, sizeof(key)), key_u64(&number));
}

bool photos_stands(struct txn *txn, uint64_t number)
{
	struct part_row row;

	return part_get(txn, number, &row) == 0 && row.state == PART_COMPLETE;
}

/*
 * What a partner may know: a part is there for it only if it had that part itself, else nothing but
 * what it sent so far. Another's photo and an unknown hash give the same answer.
 */
int photos_find(struct txn *txn, struct txn *items, struct store_part_find *find)
{
	uint64_t number = part_find(txn, find->sha256, 0);
	struct part_row row;

	find->complete = false;
	find->number = find->offset = 0;
	if (number != 0 && part_get(txn, number, &row) == 0 && row.state == PART_COMPLETE &&
	    row.size == find->size && items_had(items, number, find->req.partner) &&
	    !items_is_doomed(items, number)) {
		find->complete = true;
		find->number = number;
		return items->r;
	}
	number = part_find(txn, find->sha256, find->req.partner);
	if (number != 0 && part_get(txn, number, &row) == 0 && row.state == PART_PARTIAL &&
	    row.size == find->size) {
		find->number = number;
		find->offset = row.committed;
	}
	return txn->r < 0 ? txn->r : items->r;
}

/* ---- BEGIN */

/* what the partner has under way: is there room for one more? */
static int within_ceilings(struct txn *txn, const struct store_part_begin *begin)
{
	uint8_t from[PARTIAL_KEY_LEN];
	uint64_t octets = begin->size;
	unsigned n = 1;
	struct cur cur;

	partial_key(from, begin->req.partner, 0);
	cur_open(&cur, txn, P_PARTIALS);
	for (bool more = cur_seek(&cur, slice_of(from, sizeof(from)));
	     more && cur.key.n == sizeof(from) && memcmp(cur.key.p, from, 4) == 0;
	     more = cur_next(&cur)) {
		n++;
		octets += u64_of(cur.value);
	}
	cur_close(&cur);
	if (txn->r < 0)
		return txn->r;
	return n > begin->partials_max || octets > begin->partials_octets_max ? NX_EPARTIALS : 0;
}

static uint64_t next_number(struct photos *photos, struct txn *txn)
{
	uint64_t number = photos->next++;

	photos_next_put(txn, photos->next);
	return number;
}

static uint64_t new_partial(struct photos *photos, struct txn *txn,
			    const struct store_part_begin *begin, int64_t wall_ms)
{
	struct part_row row = { .state = PART_PARTIAL,
				.partner = begin->req.partner,
				.size = begin->size,
				.begun_ms = wall_ms,
				.touched_ms = wall_ms };
	uint64_t number = next_number(photos, txn);
	uint8_t key[INDEX_KEY_LEN];

	memcpy(row.sha256, begin->sha256, 32);
	part_put(txn, number, &row);
	index_key(key, begin->sha256, begin->req.partner);
	txn_put(txn, P_INDEX, slice_of(key, sizeof(key)), key_u64(&number));
	partial_key(key, begin->req.partner, number);
	txn_put(txn, P_PARTIALS, slice_of(key, PARTIAL_KEY_LEN), key_u64(&begin->size));
	return number;
}

void parts_begin(struct photos *photos, struct txn *txn, struct store_part_begin *begin,
		 int64_t wall_ms)
{
	uint64_t number = part_find(txn, begin->sha256, begin->req.partner);
	struct part_row row;
	int r;

	begin->number = begin->offset = 0;
	if (begin->size > PART_MAX || begin->req.partner == 0) {
		begin->req.code = begin->req.partner == 0 ? NX_EARG : NX_EBIGPART;
		return;
	}
	if (number != 0 && part_get(txn, number, &row) == 0 && row.state == PART_PARTIAL) {
		if (row.size == begin->size) {
			begin->number = number;
			begin->offset = row.committed;
			return;
		}
		part_throw_away(txn, number, &row);
	}
	r = photos_admit(photos, begin->req.partner, chunks_pages(begin->size)) ? 0 : NX_EFULL;
	if (r == 0)
		r = within_ceilings(txn, begin);
	if (r == 0)
		begin->number = new_partial(photos, txn, begin, wall_ms);
	begin->req.code = r;
}

/* ---- the rest */

void parts_drop(struct txn *txn, struct store_part_drop *drop)
{
	struct part_row row;
	int r = part_get(txn, drop->number, &row);

	if (r == 0 && row.state == PART_PARTIAL)
		part_throw_away(txn, drop->number, &row);
	else if (r == 0)
		r = NX_EEXIST; /* complete: others may have it too */
	drop->req.code = r;
}

static void delete_some(struct photos *photos, struct txn *txn, struct photos_req *req,
			struct part_row *row)
{
	unsigned n = 0;

	if (row->state != PART_DELETING)
		part_throw_away(txn, req->part, row);
	req->more = photos->budget == 0 || !chunks_delete(txn, req->part, photos->budget, &n);
	photos->budget -= n;
	if (req->more)
		return;
	txn_del(txn, P_PARTS, key_u64(&req->part));
	txn_del(txn, P_GONE, key_u64(&req->part));
}

void parts_internal(struct photos *photos, struct txn *txn, struct photos_req *req)
{
	struct part_row row;
	int r = part_get(txn, req->part, &row);

	req->more = false;
	if (r == NX_ENOENT) /* done, before a crash perhaps */
		return;
	req->req.code = r;
	if (r == 0 && req->verb == PHOTOS_DELETE) {
		delete_some(photos, txn, req, &row);
	} else if (r == 0 && row.state == PART_COMPLETE) {
		index_del(txn, row.sha256, 0, req->part);
		row.state = PART_QUARANTINED;
		part_put(txn, req->part, &row);
	}
}
