/* Answers: SETTLE, LATER, OWE_AGAIN. */
#include "store/items_priv.h"
#include "store/owed.h"
#include <stdlib.h>

/* ---- SETTLE: the runs of one subscription, sorted and joined, are cut out of its rows in one go
 */
struct piece {
	uint64_t first, last;
};
struct pieces {
	struct piece *p;
	size_t n, cap;
	int r;
};

static void piece_add(const struct owed_row *row, uint64_t first, uint64_t last, void *arg)
{
	struct pieces *pieces = arg;

	(void)row;
	if (pieces->n == pieces->cap) {
		size_t cap = pieces->cap > 0 ? pieces->cap * 2 : 64;
		struct piece *p = reallocarray(pieces->p, cap, sizeof(*p));

		if (p == NULL) {
			pieces->r = NX_ENOMEM;
			return;
		}
		pieces->p = p;
		pieces->cap = cap;
	}
	pieces->p[pieces->n++] = (struct piece){ first, last };
}

/* the earlier of two answers to one position counts: their order in the request is their address */
static int by_position(const void *a, const void *b)
{
	const struct settle_run *x = *(const struct settle_run *const *)a;
	const struct settle_run *y = *(const struct settle_run *const *)b;

	if (x->subscription != y->subscription)
		return x->subscription < y->subscription ? -1 : 1;
	if (x->last != y->last)
		return x->last < y->last ? -1 : 1;
	return x < y ? -1 : x > y;
}

struct settling {
	struct items *items;
	struct txn *txn;
	struct cur owed;
	const struct settle_run **runs; /* sorted */
	struct receipt_entry *entries;
	struct pieces pieces;
	struct subdir *subdir;
};

/* the end of the runs from i on that are of one subscription and leave no gap; the lowest position
 * of them */
static size_t joined(const struct settling *s, size_t i, size_t n, uint64_t *ret_first)
{
	uint64_t last = s->runs[i]->last;
	uint32_t subscription = s->runs[i]->subscription;

	*ret_first = s->runs[i]->first;
	for (i++; i < n && s->runs[i]->subscription == subscription; i++) {
		if (s->runs[i]->first > last + 1)
			break;
		last = s->runs[i]->last;
		if (s->runs[i]->first < *ret_first)
			*ret_first = s->runs[i]->first;
	}
	return i;
}

static void had_put(struct settling *s, const struct settle_run *run)
{
	const struct sub *sub = subs_find(s->subdir, run->subscription);
	struct record record;
	uint8_t key[16];

	if (sub == NULL || record_read(s->txn, run->sequence, &record, NULL) < 0)
		return;
	for (unsigned i = 0; i < record.parts_n; i++) {
		pack_be64(pack_be64(key, record.parts[i].number), sub->partner);
		txn_put(s->txn, T_HAD, slice_of(key, sizeof(key)), (struct slice){ 0 });
	}
	record_done(&record);
}

static void run_settled(struct settling *s, const struct settle_run *run, size_t *n)
{
	if (run->how == SETTLE_SKIPPED)
		return;
	s->entries[(*n)++] = (struct receipt_entry){
		.position = run->last,
		.at_ms = run->at_ms,
		.how = run->how,
		.kill = run->kill,
	};
	if (run->parts_n > 0 && run->how == SETTLE_ACKED)
		had_put(s, run);
}

static bool is_first(const struct receipt_entry *entry, void *arg)
{
	*(struct receipt_entry *)arg = *entry;
	return false;
}

/* it was on the line when it was given up by rule, and has come after all */
static bool acked_after_expiry(const struct settling *s, const struct settle_run *run)
{
	struct receipt_entry entry = { 0 };

	if (run->how != SETTLE_ACKED)
		return false;
	receipts_each(s->txn, run->subscription, run->last, is_first, &entry);
	return entry.position == run->last && entry.how == RECEIPT_EXPIRED;
}

/* cuts, then keeps those whose position really was owed */
static void settle_joined(struct settling *s, size_t from, size_t upto, uint64_t first, size_t *n)
{
	const struct settle_run *last = s->runs[upto - 1];
	size_t piece = 0;

	s->pieces.n = 0;
	owed_cut(&s->owed, last->subscription, first, last->last, piece_add, &s->pieces);
	if (s->pieces.r < 0) {
		s->txn->r = s->pieces.r;
		return;
	}
	for (size_t i = from; i < upto; i++) {
		uint64_t at = s->runs[i]->last;

		if (i > from && s->runs[i - 1]->last == at)
			continue;
		while (piece < s->pieces.n && s->pieces.p[piece].last < at)
			piece++;
		if ((piece < s->pieces.n && s->pieces.p[piece].first <= at) ||
		    acked_after_expiry(s, s->runs[i]))
			run_settled(s, s->runs[i], n);
	}
	items_retire_again(s->items, first, last->last);
}

static void settle_runs(struct settling *s, size_t runs)
{
	size_t entries = 0;

	for (size_t i = 0, end; i < runs && s->txn->r == 0; i = end) {
		uint32_t subscription = s->runs[i]->subscription;
		uint64_t first;

		end = joined(s, i, runs, &first);
		settle_joined(s, i, end, first, &entries);
		if (end == runs || s->runs[end]->subscription != subscription) {
			receipts_add(s->items, s->txn, subscription, s->entries, entries);
			entries = 0;
		}
	}
}

void items_settle(struct items *items, struct txn *txn, struct store_settle *settle,
		  int64_t wall_ms)
{
	struct settling s = { .items = items, .txn = txn, .subdir = items_subs(items) };
	size_t n = 0;

	(void)wall_ms;
	s.runs = calloc(settle->n + 1, sizeof(*s.runs));
	s.entries = calloc(settle->n + 1, sizeof(*s.entries));
	if (s.runs == NULL || s.entries == NULL) {
		settle->req.code = NX_ENOMEM;
		goto out;
	}
	for (unsigned i = 0; i < settle->n; i++) {
		const struct settle_run *run = &settle->runs[i];

		if (run->first <= run->last && run->last <= items->count.position_last)
			s.runs[n++] = run;
	}
	qsort(s.runs, n, sizeof(*s.runs), by_position);
	cur_open(&s.owed, txn, T_OWED);
	settle_runs(&s, n);
	cur_close(&s.owed);
	settle->req.code = txn->r;
out:
	free(s.pieces.p);
	free(s.entries);
	free(s.runs);
	subdir_free(&s.subdir);
}

/* ---- LATER */
struct cut_out {
	struct owed_row row;
	bool owed;
};

static void cut_out(const struct owed_row *row, uint64_t first, uint64_t last, void *arg)
{
	struct cut_out *cut = arg;

	(void)first;
	(void)last;
	cut->row = *row;
	cut->owed = true;
}

/* the oldest that was refused later; a kill only when there is nothing else */
static bool oldest_retry(struct txn *txn, uint32_t subscription, uint64_t *ret)
{
	struct feed_row feed;
	struct owed_row row;
	bool found = false;
	struct cur cur;

	cur_open(&cur, txn, T_OWED);
	for (bool more = owed_at(&cur, subscription, 0, &row); more;
	     more = owed_next(&cur, subscription, &row)) {
		bool kill;

		if (row.attempts == 0)
			continue;
		kill = feed_get(txn, row.first, &feed) && feed.kill;
		if (found && kill)
			continue;
		*ret = row.first;
		found = true;
		if (!kill)
			break;
	}
	cur_close(&cur);
	return found;
}

static void rows_within(struct items *items, struct txn *txn, uint32_t subscription,
			int64_t wall_ms)
{
	struct owed_state state;
	uint64_t position;

	owed_state_get(txn, subscription, &state);
	for (unsigned i = 0; state.rows > OWED_ROWS_MAX && i < 4; i++) {
		if (!oldest_retry(txn, subscription, &position))
			return;
		expire_positions(items, txn, subscription, &position, 1, wall_ms, "too many rows");
		owed_state_get(txn, subscription, &state);
	}
}

void items_later(struct items *items, struct txn *txn, struct store_later *later, int64_t wall_ms)
{
	struct cut_out cut = { 0 };
	struct cur cur;

	later->attempts = 0;
	cur_open(&cur, txn, T_OWED);
	owed_cut(&cur, later->subscription, later->position, later->position, cut_out, &cut);
	cur_close(&cur);
	if (cut.owed) {
		struct owed_state state;

		later->attempts = cut.row.attempts + 1;
		cut.row.first = cut.row.last = later->position;
		cut.row.not_before_ms = later->not_before_ms;
		cut.row.attempts = later->attempts;
		owed_put(txn, &cut.row);
		owed_state_get(txn, later->subscription, &state);
		state.rows++;
		owed_state_put(txn, later->subscription, &state);
		rows_within(items, txn, later->subscription, wall_ms);
		owed_state_get(txn, later->subscription, &state);
		later->kills_only = state.rows >= OWED_ROWS_MAX;
	}
	later->req.code = txn->r;
}

/* ---- OWE_AGAIN: runs from one acked item to the next, broken by whatever was settled otherwise */
#define AGAIN_MAX                                                                                  \
	100000 /* receipts a request, and no more rows of owed than there may be: the rest when    \
		  the client claims again, which finds them acked still */

struct again {
	struct txn *txn;
	struct cur owed;
	uint32_t subscription, generation;
	uint64_t first, last; /* the run so far; first 0 = none */
	uint64_t before;      /* the entry before */
	uint64_t items, looked;
	bool full;
};

static void again_room(struct again *again)
{
	struct owed_state state;

	owed_state_get(again->txn, again->subscription, &state);
	again->full = state.rows >= OWED_ROWS_MAX;
}

static void again_flush(struct again *again)
{
	if (again->first == 0)
		return;
	owed_add(&again->owed, again->subscription, again->first, again->last, again->generation);
	again_room(again);
	again->first = 0;
}

static bool again_one(const struct receipt_entry *entry, void *arg)
{
	struct again *again = arg;
	uint64_t first = entry->position;
	struct feed_row feed;

	if (entry->how == RECEIPT_UNKNOWN) /* rather once too often than never */
		first = again->before + 1;
	again->before = entry->position;
	if (entry->how == RECEIPT_AGAIN)
		return false;
	if (entry->how != SETTLE_ACKED && entry->how != RECEIPT_UNKNOWN) {
		again_flush(again);
		return false;
	}
	if (again->full || again->looked++ >= AGAIN_MAX ||
	    (entry->how == SETTLE_ACKED && !feed_get(again->txn, entry->position, &feed)))
		return false;
	again->items++;
	if (again->first == 0)
		again->first = first;
	again->last = entry->position;
	return true;
}

void items_owe_again(struct items *items, struct txn *txn, struct store_owe_again *owe,
		     int64_t wall_ms)
{
	struct again again = { .txn = txn, .subscription = owe->subscription };
	struct subdir *subdir = items_subs(items);
	const struct sub *sub = subs_find(subdir, owe->subscription);
	uint64_t from = owe->position + 1;
	struct cur feed;

	(void)wall_ms;
	cur_open(&feed, txn, T_FEED);
	if (sub != NULL && cur_first(&feed) && from > 0) {
		if (u64_of(feed.key) > from)
			from = u64_of(feed.key);
		again.before = from - 1;
		again_room(&again);
		again.generation = sub->generation;
		cur_open(&again.owed, txn, T_OWED);
		receipts_again(items, txn, owe->subscription, from, again_one, &again);
		again_flush(&again);
		cur_close(&again.owed);
	}
	cur_close(&feed);
	subdir_free(&subdir);
	owe->items = again.items;
	owe->req.code = sub == NULL ? NX_ENOSUB : txn->r;
	if (again.items > 0)
		expire_look_again(items, owe->subscription);
}
