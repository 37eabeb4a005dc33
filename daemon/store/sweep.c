/* what happens in `photos` with time: a little at each tick, nothing at the start */
#include "base/clock.h"
#include "base/fault.h"
#include "store/items.h"
#include "store/photos.h"

#define ORPHANS_A_STEP  256
#define PARTIALS_A_STEP 64
#define DOOMED_A_STEP   64
#define DOOMED_EVERY_MS 10000

/* chunks of parts that were thrown away. 1 = something was done */
static int sweep_gone(struct photos *photos)
{
	struct photos_req req = { .req.kind = REQ_INTERNAL, .verb = PHOTOS_DELETE };
	struct cur cur;
	struct txn txn;

	txn_begin(&txn, photos->db, TXN_READ);
	cur_open(&cur, &txn, P_GONE);
	if (cur_first(&cur))
		req.part = u64_of(cur.key);
	cur_close(&cur);
	if (txn_end(&txn) < 0)
		return txn.r;
	if (req.part == 0)
		return 0;
	(void)FAULT("photos.sweep");
	photos->budget = CHUNKS_A_TXN;
	txn_begin(&txn, photos->db, TXN_WRITE);
	parts_internal(photos, &txn, &req);
	return txn_end(&txn) < 0 ? txn.r : 1;
}

struct found {
	uint64_t number;
	struct part_row row;
};

/* partials that nobody has touched for long, from where the last step stopped */
static unsigned old_partials(struct photos *photos, struct txn *txn, int64_t wall_ms,
			     struct found *ret)
{
	unsigned n = 0, looked = 0;
	struct cur cur;
	bool more;

	cur_open(&cur, txn, P_PARTIALS);
	more = cur_seek(&cur, slice_of(photos->walk_partial, PARTIAL_KEY_LEN));
	for (; more && looked < PARTIALS_A_STEP; more = cur_next(&cur), looked++) {
		uint64_t number = 0;

		if (cur.key.n != PARTIAL_KEY_LEN)
			continue;
		for (unsigned i = 4; i < PARTIAL_KEY_LEN; i++)
			number = number << 8 | cur.key.p[i];
		ret[n].number = number;
		if (part_get(txn, number, &ret[n].row) == 0 && ret[n].row.state == PART_PARTIAL &&
		    wall_ms - ret[n].row.touched_ms > PARTIAL_OLD_MS)
			n++;
	}
	if (more && cur.key.n == PARTIAL_KEY_LEN)
		memcpy(photos->walk_partial, cur.key.p, PARTIAL_KEY_LEN);
	else
		memset(photos->walk_partial, 0, PARTIAL_KEY_LEN);
	cur_close(&cur);
	return n;
}

static int sweep_partials(struct photos *photos, int64_t wall_ms)
{
	struct found found[PARTIALS_A_STEP];
	struct txn txn;
	unsigned n;

	txn_begin(&txn, photos->db, TXN_READ);
	n = old_partials(photos, &txn, wall_ms, found);
	if (txn_end(&txn) < 0 || n == 0)
		return txn.r;
	txn_begin(&txn, photos->db, TXN_WRITE);
	for (unsigned i = 0; i < n; i++)
		part_throw_away(&txn, found[i].number, &found[i].row);
	return txn_end(&txn) < 0 ? txn.r : 1;
}

static bool is_used(struct txn *items, uint64_t number)
{
	uint8_t key[16] = { 0 };
	struct cur cur;
	bool used;

	for (unsigned i = 0; i < 8; i++)
		key[i] = (uint8_t)(number >> 8 * (7 - i));
	cur_open(&cur, items, T_USES);
	used = cur_seek(&cur, slice_of(key, sizeof(key))) && cur.key.n == sizeof(key) &&
	       memcmp(cur.key.p, key, 8) == 0;
	cur_close(&cur);
	return used;
}

static bool is_orphan(struct txn *items, uint64_t number, const struct part_row *row,
		      int64_t wall_ms)
{
	return (row->state == PART_COMPLETE || row->state == PART_QUARANTINED) &&
	       wall_ms - row->touched_ms > ORPHAN_OLD_MS && !is_used(items, number) &&
	       !items_is_doomed(items, number);
}

/* parts that no item uses, because the item was refused or the power went */
static int sweep_orphans(struct photos *photos, int64_t wall_ms)
{
	uint64_t from = photos->walk_part + 1;
	struct txn txn, items;
	struct part_row row;
	unsigned looked = 0;
	struct cur cur;
	bool more;

	txn_begin(&items, photos->conf.items, TXN_READ);
	txn_begin(&txn, photos->db, TXN_READ);
	cur_open(&cur, &txn, P_PARTS);
	more = cur_seek(&cur, key_u64(&from));
	for (; more && looked < ORPHANS_A_STEP; more = cur_next(&cur), looked++) {
		photos->walk_part = u64_of(cur.key);
		if (part_parse(cur.value, &row) &&
		    is_orphan(&items, photos->walk_part, &row, wall_ms))
			photos->conf.unused(photos->conf.arg, photos->walk_part);
	}
	if (!more)
		photos->walk_part = 0;
	cur_close(&cur);
	txn_end(&items);
	return txn_end(&txn) < 0 ? txn.r : items.r;
}

/* deletions that stopped half way: the loop knows those that are under way */
static int sweep_doomed(struct photos *photos)
{
	int64_t now = clock_boot_ms();
	unsigned n = 0;
	struct txn items;
	struct cur cur;

	if (now - photos->doomed_ms < DOOMED_EVERY_MS)
		return 0;
	photos->doomed_ms = now;
	txn_begin(&items, photos->conf.items, TXN_READ);
	cur_open(&cur, &items, T_DOOMED);
	for (bool more = cur_first(&cur); more && n < DOOMED_A_STEP; more = cur_next(&cur), n++)
		photos->conf.doomed(photos->conf.arg, u64_of(cur.key));
	cur_close(&cur);
	return txn_end(&items);
}

/* nothing written and nothing lost: the next tick tries again */
static int unless_fatal(int r)
{
	return r == NX_EFULL || r == NX_ENOMEM ? 0 : r;
}

int photos_maintain(struct photos *photos, int64_t wall_ms)
{
	int r = sweep_gone(photos);

	db_readers_look(photos->db, clock_boot_ms());
	if (r == 0)
		r = sweep_partials(photos, wall_ms);
	if (r != 0)
		return unless_fatal(r);
	r = sweep_orphans(photos, wall_ms);
	if (r == 0)
		r = sweep_doomed(photos);
	if (r == 0 && clock_boot_ms() - photos->counted_ms > 1000)
		r = photos_usage(photos);
	return unless_fatal(r);
}
