/*
 * Ceilings on debt: the mark of a store that is nearly full. The oldest item goes that only those
 * are owed who are owed much.
 *
 * backlog-size is a share of the whole store, and stories have a share of that: one who reads
 * nothing may be owed all of them. Were it simply the oldest debt that goes, what little somebody
 * else has waited for longer would go first. So each subscription is weighed, in slices; heavy is
 * who has half of what the heaviest has, and what a light one is owed too stays: it would free
 * nothing. When there is nothing of that kind, half of that is heavy, until all are; then kills go.
 */
#include "store/tend.h"

#include <stdlib.h>

#define SPAN       EXPIRE_MAX /* positions that go together */
#define LOOK       200
#define WEIGH_MS   300000
#define ITEM_COST  1024 /* octets that an item takes of the stories' room beside its own */
#define LEAST_HALF (64 << 10)

static bool of_photos(const struct expiring *e)
{
	return tend_items_percent(e->items) < MARK_PERCENT;
}

static uint64_t cost(const struct brim *brim, const struct debt *debt)
{
	return brim->photos ? debt->octets - debt->text : debt->text + ITEM_COST;
}

/* the next subscription; false: there is no memory for it */
static bool choose(struct expiring *e, unsigned i)
{
	e->sub = &e->subdir->subs[i];
	e->state = expire_state(e->tend, e->sub->number);
	return e->state != NULL;
}

/* ---- who is heavy */

static void weighed(struct expiring *e)
{
	struct brim *brim = &e->tend->brim;
	uint64_t most = 0;

	for (unsigned i = 0; i < e->subdir->n; i++)
		if (choose(e, i) && e->state->weight > most)
			most = e->state->weight;
	brim->heavy = most / 2;
	brim->gave = false;
	brim->kills = false;
	brim->at = 1;
	brim->weighed_ms = e->wall_ms;
}

/* some more of it; true: all are weighed */
static bool weigh(struct expiring *e)
{
	struct brim *brim = &e->tend->brim;
	struct debts debts;
	struct debt debt;
	bool tired;

	for (; brim->sub < e->subdir->n; brim->sub++, brim->at = 1) {
		if (!choose(e, brim->sub))
			continue;
		if (brim->at == 1)
			e->state->weight = 0;
		expire_debts(&debts, e, brim->at, e->items->count.position_last);
		while (debts_next(&debts, &debt))
			e->state->weight += cost(brim, &debt);
		brim->at = debts.at;
		tired = debts_tired(&debts);
		expire_debts_end(&debts, e);
		if (tired)
			return false;
	}
	weighed(e);
	return true;
}

static bool is_weighed(struct expiring *e)
{
	struct brim *brim = &e->tend->brim;
	int64_t age_ms = e->wall_ms - brim->weighed_ms;

	if (brim->weighed_ms != 0 && age_ms >= 0 && age_ms < WEIGH_MS &&
	    brim->photos == of_photos(e))
		return true;
	if (!brim->weighing || brim->photos != of_photos(e))
		*brim = (struct brim){ .weighing = true, .photos = of_photos(e), .at = 1 };
	brim->weighing = !weigh(e);
	return !brim->weighing;
}

/* who has read much since is no longer as heavy */
static bool is_heavy(struct expiring *e)
{
	const struct brim *brim = &e->tend->brim;
	struct owed_sum sum;
	uint64_t most;

	owed_at_most(e->txn, e->sub->number, &sum);
	most = sum.octets + (brim->photos ? 0 : ITEM_COST * sum.items);
	if (e->state->weight > most)
		e->state->weight = most;
	return e->state->weight >= brim->heavy;
}

/* ---- what goes */

struct span {
	uint64_t first, last; /* positions; first UINT64_MAX: nothing is left */
	bool kept[SPAN];      /* a light one is owed it too */
	bool *heavy;          /* of each subscription */
	size_t n;             /* debts that went */
};

/* where the next debt of a heavy one stands, or where the look at it ended */
static uint64_t next_of(struct expiring *e)
{
	struct brim *brim = &e->tend->brim;
	uint64_t last = e->items->count.position_last, from = brim->at;
	struct debts debts;
	struct debt debt;
	bool found;

	if (!brim->kills && from < e->state->look)
		from = e->state->look;
	debts_open(&debts, e->txn, e->sub, from, last, LOOK);
	debts.kills = brim->kills;
	while ((found = debts_next(&debts, &debt)) && debt.feed.kill != brim->kills)
		;
	from = found ? debt.feed.position : debts.at;
	debts_close(&debts);
	return from > last ? UINT64_MAX : from;
}

static void find_span(struct expiring *e, struct span *span)
{
	span->first = UINT64_MAX;
	for (unsigned i = 0; i < e->subdir->n; i++) {
		uint64_t at;

		span->heavy[i] = choose(e, i) && is_heavy(e);
		at = span->heavy[i] ? next_of(e) : UINT64_MAX;
		if (at < span->first)
			span->first = at;
	}
	if (span->first != UINT64_MAX)
		span->last = span->first + SPAN - 1;
}

static void keep_of(struct expiring *e, struct span *span)
{
	struct debts debts;
	struct debt debt;

	debts_open(&debts, e->txn, e->sub, span->first, span->last, 4 * SPAN);
	while (debts_next(&debts, &debt))
		span->kept[debt.feed.position - span->first] = true;
	debts_close(&debts);
}

static void give_up_of(struct expiring *e, struct span *span)
{
	const struct brim *brim = &e->tend->brim;
	struct debts debts;
	struct debt debt;

	debts_open(&debts, e->txn, e->sub, span->first, span->last, 4 * SPAN);
	debts.kills = brim->kills;
	while (e->n < EXPIRE_MAX && debts_next(&debts, &debt)) {
		uint64_t weight = cost(brim, &debt);

		if (debt.feed.kill != brim->kills || span->kept[debt.feed.position - span->first])
			continue;
		e->go[e->n++] = debt.feed.position;
		e->state->weight -= weight < e->state->weight ? weight : e->state->weight;
	}
	debts_close(&debts);
	span->n += e->n;
	expire_now(e, "store-full");
}

static void give_up_span(struct expiring *e, struct span *span)
{
	for (unsigned i = 0; i < e->subdir->n; i++)
		if (!span->heavy[i] && choose(e, i))
			keep_of(e, span);
	for (unsigned i = 0; i < e->subdir->n; i++)
		if (span->heavy[i] && choose(e, i))
			give_up_of(e, span);
}

/* nothing is left that only heavy ones are owed: who comes next? false: nobody. If something went
 * since they were weighed it may be the same ones, for what they are owed grows */
static bool next_level(struct brim *brim)
{
	bool last = brim->kills;

	if (brim->gave) {
		*brim = (struct brim){ 0 };
		return true;
	}
	brim->at = 1;
	brim->kills = !last && brim->heavy == 0;
	brim->heavy = brim->heavy / 2 < LEAST_HALF ? 0 : brim->heavy / 2;
	return !last;
}

static void step(struct expiring *e)
{
	struct tend *tend = e->tend;
	struct span span = { .heavy = calloc(e->subdir->n + 1, sizeof(bool)) };

	if (span.heavy == NULL)
		return; /* the next tick tries again */
	find_span(e, &span);
	if (span.first == UINT64_MAX) {
		e->more = next_level(&tend->brim);
		goto out;
	}
	give_up_span(e, &span);
	tend->brim.at = span.last + 1;
	if (span.n > 0) {
		tend->brim.gave = true;
		tend->wait = true;
		tend->freed = false;
		tend->mark_ms = e->wall_ms;
	}
	e->more = span.n == 0; /* it stood on what does not match: go on from there */
out:
	free(span.heavy);
}

void expire_at_mark(struct expiring *e)
{
	if (atomic_load(&e->items->photos_percent) >= MARK_PERCENT && e->tend->mark_ms != 0 &&
	    e->wall_ms - e->tend->mark_ms < MARK_WAIT_MS && e->wall_ms >= e->tend->mark_ms)
		return;
	if (is_weighed(e))
		step(e);
	else
		e->more = true;
}
