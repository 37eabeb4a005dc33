/* The rows of what is owed: cut out, split, keep retries apart, merge. */
#include "store/owed.h"

#define ROW_VERSION   1
#define ROW_KEY       12
#define ROW_LEN       25
#define STATE_VERSION 1
#define STATE_LEN     21
#define EXACT_ROWS    64

static struct slice row_key(uint8_t key[ROW_KEY], uint32_t subscription, uint64_t first)
{
	pack_be64(pack_be32(key, subscription), first);
	return slice_of(key, ROW_KEY);
}

bool owed_row(struct slice key, struct slice value, struct owed_row *ret)
{
	const uint8_t *v = value.p;

	if (key.n != ROW_KEY || value.n < ROW_LEN || v[0] != ROW_VERSION)
		return false;
	*ret = (struct owed_row){
		.subscription = unpack_be32(key.p),
		.first = unpack_be64(key.p + 4),
		.last = unpack_u64(v + 1),
		.generation = unpack_u32(v + 9),
		.not_before_ms = (int64_t)unpack_u64(v + 13),
		.attempts = unpack_u32(v + 21),
	};
	return ret->first <= ret->last;
}

static bool row_parse(const struct cur *cur, uint32_t subscription, struct owed_row *ret)
{
	if (!cur->ok || cur->key.n != ROW_KEY || unpack_be32(cur->key.p) != subscription)
		return false;
	if (!owed_row(cur->key, cur->value, ret)) {
		cur->txn->r = NX_ECORRUPT; /* items_mend_met() */
		return false;
	}
	return true;
}

bool owed_at(struct cur *cur, uint32_t subscription, uint64_t position, struct owed_row *ret)
{
	uint8_t key[ROW_KEY];
	struct owed_row row;
	bool after;

	cur_seek(cur, row_key(key, subscription, position));
	after = row_parse(cur, subscription, ret);
	if (after && ret->first == position)
		return true;
	if (cur->ok ? cur_prev(cur) : cur_last(cur)) {
		if (row_parse(cur, subscription, &row) && row.last >= position) {
			*ret = row;
			return true;
		}
		if (after)
			cur_next(cur); /* back, so that owed_next() goes on from *ret */
	} else if (after) {
		cur_first(cur);
	}
	return after && cur->txn->r == 0;
}

bool owed_next(struct cur *cur, uint32_t subscription, struct owed_row *ret)
{
	return cur_next(cur) && row_parse(cur, subscription, ret);
}

void owed_put(struct txn *txn, const struct owed_row *row)
{
	uint8_t key[ROW_KEY], value[ROW_LEN], *p = value;

	*p++ = ROW_VERSION;
	p = pack_u64(p, row->last);
	p = pack_u32(p, row->generation);
	p = pack_u64(p, (uint64_t)row->not_before_ms);
	pack_u32(p, row->attempts);
	txn_put(txn, T_OWED, row_key(key, row->subscription, row->first),
		slice_of(value, sizeof(value)));
}

void owed_del(struct txn *txn, uint32_t subscription, uint64_t first)
{
	uint8_t key[ROW_KEY];

	txn_del(txn, T_OWED, row_key(key, subscription, first));
}

static void rows_changed(struct txn *txn, uint32_t subscription, int by)
{
	struct owed_state state;

	if (by == 0)
		return;
	owed_state_get(txn, subscription, &state);
	state.rows = (uint32_t)((int64_t)state.rows + by);
	owed_state_put(txn, subscription, &state);
}

void owed_cut(struct cur *cur, uint32_t subscription, uint64_t first, uint64_t last,
	      owed_piece_fn *fn, void *arg)
{
	struct txn *txn = cur->txn;
	struct owed_row row;
	int rows = 0;

	while (first <= last && owed_at(cur, subscription, first, &row) && row.first <= last) {
		uint64_t a = row.first > first ? row.first : first;
		uint64_t b = row.last < last ? row.last : last;

		if (fn != NULL)
			fn(&row, a, b, arg);
		rows += (a > row.first) + (b < row.last) - 1;
		if (a > row.first) {
			struct owed_row left = row;

			left.last = a - 1;
			owed_put(txn, &left);
		} else {
			owed_del(txn, subscription, row.first);
		}
		if (b < row.last) {
			row.first = b + 1;
			owed_put(txn, &row);
		}
		if (b == UINT64_MAX || txn->r < 0)
			break;
		first = b + 1;
	}
	rows_changed(txn, subscription, rows);
}

static bool merges(const struct owed_row *row, uint32_t generation)
{
	return row->generation == generation && row->attempts == 0;
}

/* nothing of first..last is owed: puts it, joined with its neighbours; gives by how many rows there
 * are more */
static int fill(struct cur *cur, struct owed_row gap)
{
	struct txn *txn = cur->txn;
	struct owed_row row;
	int rows = 1;

	if (gap.last < UINT64_MAX && owed_at(cur, gap.subscription, gap.last + 1, &row) &&
	    row.first == gap.last + 1 && merges(&row, gap.generation)) {
		owed_del(txn, gap.subscription, row.first);
		gap.last = row.last;
		rows--;
	}
	if (gap.first > 0 && owed_at(cur, gap.subscription, gap.first - 1, &row) &&
	    row.last == gap.first - 1 && merges(&row, gap.generation)) {
		gap.first = row.first;
		rows--;
	}
	owed_put(txn, &gap);
	return rows;
}

void owed_add(struct cur *cur, uint32_t subscription, uint64_t first, uint64_t last,
	      uint32_t generation)
{
	struct owed_row row;
	int rows = 0;

	while (first <= last && cur->txn->r == 0) {
		bool more = owed_at(cur, subscription, first, &row) && row.first <= last;

		if (!more || row.first > first)
			rows += fill(cur, (struct owed_row){
						  .subscription = subscription,
						  .generation = generation,
						  .first = first,
						  .last = more ? row.first - 1 : last,
					  });
		if (!more || row.last == UINT64_MAX)
			break;
		first = row.last + 1;
	}
	rows_changed(cur->txn, subscription, rows);
}

void owed_drop(struct txn *txn, uint32_t subscription)
{
	struct owed_row row;
	struct cur cur;

	cur_open(&cur, txn, T_OWED);
	while (owed_at(&cur, subscription, 0, &row))
		owed_del(txn, subscription, row.first);
	cur_close(&cur);
	owed_state_drop(txn, subscription);
}

/* ---- counters */
static struct slice state_key(uint8_t key[5], uint32_t subscription)
{
	key[0] = 'c';
	pack_be32(key + 1, subscription);
	return slice_of(key, 5);
}

bool owed_state_read(struct txn *txn, uint32_t subscription, struct owed_state *ret)
{
	struct slice value;
	uint8_t key[5];

	*ret = (struct owed_state){ 0 };
	if (!txn_get(txn, T_SUBSCRIPTIONS, state_key(key, subscription), &value))
		return true;
	if (value.n < STATE_LEN || value.p[0] != STATE_VERSION)
		return false;
	ret->rows = unpack_u32(value.p + 1);
	ret->expired_items = unpack_u64(value.p + 5);
	ret->expired_octets = unpack_u64(value.p + 13);
	return true;
}

void owed_state_get(struct txn *txn, uint32_t subscription, struct owed_state *ret)
{
	if (!owed_state_read(txn, subscription, ret))
		txn->r = NX_ECORRUPT;
}

void owed_state_put(struct txn *txn, uint32_t subscription, const struct owed_state *state)
{
	uint8_t key[5], value[STATE_LEN], *p = value;

	*p++ = STATE_VERSION;
	p = pack_u32(p, state->rows);
	p = pack_u64(p, state->expired_items);
	pack_u64(p, state->expired_octets);
	txn_put(txn, T_SUBSCRIPTIONS, state_key(key, subscription), slice_of(value, STATE_LEN));
}

void owed_state_drop(struct txn *txn, uint32_t subscription)
{
	uint8_t key[5];

	txn_del(txn, T_SUBSCRIPTIONS, state_key(key, subscription));
}

/* ---- sums */
struct totals {
	uint64_t items, octets;
};

/* the totals up to and including the position, or the nearest before it that still stands */
static bool totals_upto(struct cur *feed, uint64_t position, struct totals *ret)
{
	struct feed_row row;
	bool there;

	cur_seek(feed, key_u64(&position));
	there = feed->ok && u64_of(feed->key) == position;
	if (!there)
		there = feed->ok ? cur_prev(feed) : cur_last(feed);
	*ret = (struct totals){ 0 };
	if (!there || !feed_read(feed, &row))
		return false;
	*ret = (struct totals){ row.total_items, row.total_octets };
	return true;
}

/*
 * The totals before the first row of first..last that still stands: that row's, less its own item.
 * The row before it may be far away, with much between them that was retired and is owed to nobody.
 * False: nothing of the run stands any more.
 */
static bool totals_before(struct cur *feed, uint64_t first, uint64_t last, struct totals *ret)
{
	struct record record;
	struct feed_row row;

	if (!cur_seek(feed, key_u64(&first)) || !feed_read(feed, &row) || row.position > last)
		return false;
	*ret = (struct totals){ row.total_items - 1, row.total_octets };
	if (record_head(feed->txn, row.sequence, &record) == 0 && record.octets <= row.total_octets)
		ret->octets -= record.octets;
	else
		totals_upto(feed, row.position - 1, ret);
	return true;
}

static void sum_run(struct cur *feed, uint64_t first, uint64_t last, struct owed_sum *ret)
{
	struct totals before, upto;

	if (!totals_before(feed, first, last, &before) || !totals_upto(feed, last, &upto))
		return;
	if (upto.items > before.items)
		ret->items += upto.items - before.items;
	if (upto.octets > before.octets)
		ret->octets += upto.octets - before.octets;
}

void owed_at_most(struct txn *txn, uint32_t subscription, struct owed_sum *ret)
{
	struct cur rows, feed;
	struct owed_row row;
	unsigned n = 0;

	*ret = (struct owed_sum){ 0 };
	cur_open(&rows, txn, T_OWED);
	cur_open(&feed, txn, T_FEED);
	for (bool more = owed_at(&rows, subscription, 0, &row); more;
	     more = owed_next(&rows, subscription, &row)) {
		if (n++ == 0)
			ret->first = row.first;
		if (n > EXACT_ROWS) {
			sum_run(&feed, row.first, UINT64_MAX, ret);
			break;
		}
		sum_run(&feed, row.first, row.last, ret);
	}
	cur_close(&feed);
	cur_close(&rows);
}
