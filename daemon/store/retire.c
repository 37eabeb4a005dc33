/* Retirement: items that nobody is owed and whose keep is over go, in small steps. */
#include "proto/channel.h"
#include "store/removal.h"
#include <stdlib.h>

#define LOOK_MAX 1000 /* positions a step */
#define AGAIN_MS 5000 /* between two returns to what was settled behind the pass */
#define PASS_MS  INT64_C(86400000)

void items_photos_percent(struct items *items, unsigned percent)
{
	atomic_store(&items->photos_percent, percent);
}

void items_photos_held_up(struct items *items, bool held_up)
{
	atomic_store(&items->photos_held_up, held_up);
}

void items_retire_again(struct items *items, uint64_t first, uint64_t last)
{
	struct tend *tend = tend_of(items);

	if (tend == NULL || first >= tend->at)
		return;
	if (first == 0)
		first = 1;
	if (tend->low == 0 || first < tend->low)
		tend->low = first;
	if (last > tend->high)
		tend->high = last;
}

/* ---- is anybody owed it? One row is remembered for each subscription while positions rise */
struct owers {
	struct txn *txn;
	const struct subdir *subdir;
	struct cur rows;
	struct {
		struct owed_row row;
		bool none; /* no row at or after */
		struct filter_cache filters;
	} * p;
};

static bool covered(struct owers *owers, unsigned i, uint64_t position)
{
	struct owed_row *row = &owers->p[i].row;

	if (owers->p[i].none || row->first > position)
		return false;
	if (row->first != 0 && row->last >= position)
		return true;
	if (!owed_at(&owers->rows, owers->subdir->subs[i].number, position, row)) {
		owers->p[i].none = true;
		return false;
	}
	return row->first <= position;
}

enum ower { OWED_BY_NONE, OWED_BY_SOME, OWED_NOT_KNOWN };

static enum ower owed_by(struct owers *owers, uint64_t position, uint64_t sequence)
{
	struct record record = { 0 };
	bool have = false;
	enum ower ower = OWED_BY_NONE;

	for (unsigned i = 0; ower == OWED_BY_NONE && i < owers->subdir->n; i++) {
		const struct sub *sub = &owers->subdir->subs[i];
		int r = 0;

		if (!covered(owers, i, position))
			continue;
		if (!have)
			r = sequence == 0 ? NX_ECORRUPT
					  : record_read(owers->txn, sequence, &record, NULL);
		if (r == NX_ENOENT)
			return OWED_BY_NONE;
		if (r < 0)
			return OWED_NOT_KNOWN;
		have = true;
		if (filter_match(owers->txn, &owers->p[i].filters, sub, owers->p[i].row.generation,
				 record.facts.channel))
			ower = OWED_BY_SOME;
	}
	if (have)
		record_done(&record);
	return ower;
}

/* ---- the pass over the feed */
struct pass {
	struct items *items;
	struct tend *tend;
	struct txn *txn;
	struct owers owers;
	int64_t now_ms;
	int64_t keep_until_ms; /* released before it: keep is over */
	uint64_t upto;
	struct {
		uint64_t position, sequence;
	} go[REMOVAL_ITEMS];
	unsigned n, looked;
	uint64_t pages;
	bool young; /* came to one whose keep is not over */
};

/* true: look at the next one */
static bool pass_one(struct pass *pass, const struct feed_row *feed)
{
	struct record record = { 0 };
	int r = record_head(pass->txn, feed->sequence, &record);
	enum ower ower;

	if (pass->looked++ >= LOOK_MAX || pass->n == REMOVAL_ITEMS)
		return false;
	if (r == 0 && record.released_ms >= pass->keep_until_ms) {
		pass->young = true;
		return false;
	}
	ower = owed_by(&pass->owers, feed->position, feed->sequence);
	if (ower != OWED_BY_NONE)
		return pass->txn->r == 0;
	if (pass->n > 0 && pass->pages + removal_pages(&record) > REMOVAL_PAGES)
		return false;
	pass->pages += removal_pages(&record) + record.parts_n;
	pass->go[pass->n].position = feed->position;
	pass->go[pass->n++].sequence = feed->sequence;
	return true;
}

/* from..upto; gives the first position that was not looked at */
static uint64_t pass_over(struct pass *pass, uint64_t from, uint64_t upto)
{
	struct feed_row feed;
	struct cur cur;

	cur_open(&cur, pass->txn, T_FEED);
	cur_open(&pass->owers.rows, pass->txn, T_OWED);
	for (bool more = cur_seek(&cur, key_u64(&from));; more = cur_next(&cur)) {
		if (!more || !feed_read_mend(pass->items, &cur, &feed) || feed.position > upto) {
			from = upto + 1;
			break;
		}
		from = feed.position;
		if (!pass_one(pass, &feed))
			break;
	}
	cur_close(&pass->owers.rows);
	cur_close(&cur);
	return from;
}

/* what was settled behind the pass: the run from the lowest to the highest of it */
static void pass_back(struct pass *pass)
{
	struct tend *tend = pass->tend;
	uint64_t high = tend->high < tend->at ? tend->high : tend->at - 1;
	uint64_t next = pass_over(pass, tend->low, high);

	if (pass->young) /* the pass itself must come by again when its time is over */
		tend->at = next;
	tend->low = pass->young || next > high ? 0 : next;
	if (tend->low == 0) {
		tend->high = 0;
		tend->again_ms = pass->now_ms;
	}
}

static bool back_is_due(const struct pass *pass)
{
	const struct tend *tend = pass->tend;

	return tend->low > 0 && tend->low < tend->at &&
	       (pass->keep_until_ms == INT64_MAX || pass->now_ms - tend->again_ms >= AGAIN_MS ||
		pass->now_ms < tend->again_ms);
}

/* returns true when there is more to do now */
static bool pass_step(struct pass *pass)
{
	struct tend *tend = pass->tend;
	uint64_t last = pass->items->count.position_last;

	if (back_is_due(pass)) {
		pass_back(pass);
		return true;
	}
	if (tend->low >= tend->at)
		tend->low = tend->high = 0;
	if (tend->at > last)
		return false;
	tend->at = pass_over(pass, tend->at, last);
	return !pass->young && tend->at <= last;
}

static bool pass_run(struct pass *pass, struct removal *removal)
{
	bool more = pass_step(pass);

	for (unsigned i = 0; i < pass->n && pass->txn->r == 0; i++)
		removal_item(removal, pass->go[i].sequence, pass->go[i].position);
	return more;
}

/* ---- a step */
static int retire_step(struct items *items, struct tend *tend, int64_t now_ms, int64_t wall_ms)
{
	unsigned percent = tend_percent(items);
	struct txn txn;
	struct removal removal = { .items = items, .txn = &txn };
	struct pass *pass = calloc(1, sizeof(*pass));
	struct tend before = *tend;
	bool more;
	int r;

	if (pass == NULL)
		return 0; /* the next tick tries again */
	items_begin(items, &txn);
	*pass = (struct pass){ .items = items, .tend = tend, .txn = &txn, .now_ms = now_ms };
	pass->keep_until_ms =
		percent >= PRESSURE_PERCENT ? INT64_MAX : now_ms - items->times.keep_ms;
	pass->owers = (struct owers){ .txn = &txn, .subdir = items_subs_now(items) };
	pass->owers.p = calloc(pass->owers.subdir->n + 1, sizeof(*pass->owers.p));
	if (pass->owers.p == NULL)
		txn.r = txn.r < 0 ? txn.r : NX_ENOMEM;
	more = txn.r == 0 && pass_run(pass, &removal);
	if (txn.r == 0 && !more && removal.items_n == 0)
		walk_step(&removal, tend, now_ms, pass->keep_until_ms);
	removal_tell(&removal);
	free(pass->owers.p);
	free(pass);
	r = items_end(items, &txn);
	if (r < 0) {
		*tend = before;
		return r;
	}
	tend->freed = tend->freed || removal.items_n > 0;
	tend->clear = !more && removal.items_n == 0;
	if (tend->going && removal.items_n > 0) /* of thousands the last one's photos count */
		tend->mark_ms = wall_ms;
	tend->going = tend->going && !tend->clear;
	return !tend->clear || walk_presses(items, tend);
}

int items_retire(struct items *items, int64_t wall_ms)
{
	struct tend *tend = tend_of(items);
	int64_t now_ms = tend_now(items, wall_ms);
	int r;

	if (tend == NULL)
		return 0;
	if (tend->pass_ms == 0 || now_ms - tend->pass_ms >= PASS_MS) {
		items_retire_again(items, 0, UINT64_MAX);
		tend->pass_ms = now_ms;
	}
	r = retire_step(items, tend, now_ms, wall_ms);
	if (r == 0 &&
	    tend->wait) { /* what expiry gave up is gone: it may look at the marks again */
		tend->wait = false;
		r = tend->freed && tend_percent(items) >= MARK_PERCENT &&
		    atomic_load(&items->photos_percent) < MARK_PERCENT;
		tend->freed = false;
	}
	return r;
}
