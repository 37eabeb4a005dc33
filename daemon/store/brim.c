/*
 * Ceilings on debt: the mark of a store that is nearly full. The oldest item goes that only those
 * are owed who are owed much.
 *
 * backlog-size is a share of the whole store, and stories have a share of that: one who reads
 * nothing may be owed all of them. Were it simply the oldest debt that goes, what little somebody
 * else has waited for longer would go first. So each partner is weighed, in slices, with all its
 * subscriptions: what two of them are owed fills the store once. Heavy is who has half of what the
 * heaviest has, and of its subscriptions those that have half of its heaviest one's; what a light
 * one is owed too stays: it would free nothing. When there is nothing of that kind, half of that is
 * heavy, until all are; then kills go.
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

/* by partner: those of one follow each other */
static const struct sub *sub_at(const struct subdir *subdir, unsigned rank)
{
	return &subdir->subs[subdir->by_partner[rank]];
}

static bool same_partner(const struct subdir *subdir, unsigned rank, unsigned other)
{
	return other < subdir->n && sub_at(subdir, rank)->partner == sub_at(subdir, other)->partner;
}

/* what is left of what its partner was owed when it was weighed, each item once: known is what is
 * left of each of its subscriptions, from the first on */
static uint64_t partner_weight(const struct expiring *e, unsigned first, uint64_t *ret_most)
{
	uint64_t left = 0, most_left = 0, own = 0, all = 0;

	*ret_most = 0;
	for (unsigned i = first; same_partner(e->subdir, first, i); i++) {
		const struct tend_sub *state = expire_state(e->tend, sub_at(e->subdir, i)->number);

		if (state == NULL)
			continue;
		left += state->weight;
		most_left = state->weight > most_left ? state->weight : most_left;
		own += state->own;
		all += state->weighed;
		*ret_most = state->weighed > *ret_most ? state->weighed : *ret_most;
	}
	if (all > 0)
		own = (uint64_t)((double)own * ((double)left / (double)all));
	return own > most_left ? own : most_left;
}

static void weighed(struct expiring *e)
{
	struct brim *brim = &e->tend->brim;
	const struct subdir *subdir = e->subdir;
	unsigned n = subdir->n;
	uint64_t most = 0, unused;

	for (unsigned i = 0; i < n; i++)
		if (choose(e, i))
			e->state->weighed = e->state->weight;
	for (unsigned i = 0; i < n; i++) {
		uint64_t weight = 0;

		if (i == 0 || !same_partner(subdir, i, i - 1))
			weight = partner_weight(e, i, &unused);
		most = weight > most ? weight : most;
	}
	brim->heavy = most / 2;
	brim->gave = false;
	brim->kills = false;
	brim->at = 1;
	brim->weighed_ms = e->wall_ms;
}

/* from where on somebody is owed something, at the earliest; UINT64_MAX: nowhere */
static uint64_t next_owed(const struct expiring *e, uint64_t from)
{
	uint64_t next = UINT64_MAX;
	struct owed_row row;
	struct cur cur;

	cur_open(&cur, e->txn, T_OWED);
	for (unsigned i = 0; i < e->subdir->n; i++)
		if (owed_at(&cur, e->subdir->subs[i].number, from, &row) && row.first < next)
			next = row.first;
	cur_close(&cur);
	if (next < from)
		next = from;
	return next > e->items->count.position_last ? UINT64_MAX : next;
}

static void next_span(struct expiring *e, uint64_t from)
{
	struct brim *brim = &e->tend->brim;

	brim->span = brim->at = next_owed(e, from);
	brim->rank = 0;
	memset(brim->seen, 0, sizeof(brim->seen));
}

static void next_sub(struct expiring *e)
{
	struct brim *brim = &e->tend->brim;

	if (!same_partner(e->subdir, brim->rank, brim->rank + 1))
		memset(brim->seen, 0, sizeof(brim->seen));
	brim->rank++;
	brim->at = brim->span;
}

/* what one subscription is owed of a span; false: not yet all of it */
static bool weigh_sub(struct expiring *e)
{
	struct brim *brim = &e->tend->brim;
	uint64_t last = e->items->count.position_last;
	struct debts debts;
	struct debt debt;
	bool tired;

	if (last > brim->span + BRIM_SPAN - 1)
		last = brim->span + BRIM_SPAN - 1;
	expire_debts(&debts, e, brim->at, last);
	while (debts_next(&debts, &debt)) {
		bool *seen = &brim->seen[debt.feed.position - brim->span];
		uint64_t weight = cost(brim, &debt);

		e->state->weight += weight;
		e->state->own += *seen ? 0 : weight;
		*seen = true;
	}
	brim->at = debts.at;
	tired = debts_tired(&debts);
	expire_debts_end(&debts, e);
	e->left -= e->left > 0; /* one that is owed nothing there costs something too */
	return !tired;
}

static void weigh_begin(struct expiring *e)
{
	for (unsigned i = 0; i < e->subdir->n; i++)
		if (choose(e, i))
			e->state->weight = e->state->own = e->state->weighed = 0;
	next_span(e, 1);
}

/* some more of it; true: all are weighed */
static bool weigh(struct expiring *e)
{
	struct brim *brim = &e->tend->brim;

	if (brim->span == 0)
		weigh_begin(e);
	while (brim->span != UINT64_MAX) {
		for (; brim->rank < e->subdir->n; next_sub(e))
			if (choose(e, e->subdir->by_partner[brim->rank]) && !weigh_sub(e))
				return false;
		next_span(e, brim->span + BRIM_SPAN);
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
		*brim = (struct brim){ .weighing = true, .photos = of_photos(e) };
	brim->weighing = !weigh(e);
	return !brim->weighing;
}

/* who has read much since is no longer as heavy */
static void weigh_less(struct expiring *e)
{
	const struct brim *brim = &e->tend->brim;
	struct owed_sum sum;
	uint64_t most;

	owed_at_most(e->txn, e->sub->number, &sum);
	most = sum.octets + (brim->photos ? 0 : ITEM_COST * sum.items);
	if (e->state->weight > most)
		e->state->weight = most;
}

static void find_heavy(struct expiring *e, bool *heavy)
{
	const struct brim *brim = &e->tend->brim;
	const struct subdir *subdir = e->subdir;
	unsigned n = subdir->n;
	uint64_t weight = 0, most = 0;

	for (unsigned i = 0; i < n; i++)
		if (choose(e, i))
			weigh_less(e);
	for (unsigned rank = 0; rank < n; rank++) {
		unsigned i = subdir->by_partner[rank];

		if (rank == 0 || !same_partner(subdir, rank, rank - 1))
			weight = partner_weight(e, rank, &most);
		heavy[i] = choose(e, i) && weight >= brim->heavy &&
			   (e->state->weight >= brim->heavy || e->state->weight >= most / 2);
	}
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
	find_heavy(e, span->heavy);
	for (unsigned i = 0; i < e->subdir->n; i++) {
		uint64_t at = span->heavy[i] && choose(e, i) ? next_of(e) : UINT64_MAX;

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
		tend->granted = false;
		expire_wait(e);
	}
	e->more = span.n == 0; /* it stood on what does not match: go on from there */
out:
	free(span.heavy);
}

/* is room of the photos on its way? While a backup holds their deletion up, no debt makes any */
static bool photos_are_going(struct expiring *e)
{
	struct tend *tend = e->tend;

	if (atomic_load(&e->items->photos_percent) < MARK_PERCENT)
		return false;
	if (atomic_load(&e->items->photos_held_up))
		tend->mark_ms = e->wall_ms;
	return tend->mark_ms != 0 && e->wall_ms >= tend->mark_ms &&
	       e->wall_ms - tend->mark_ms < MARK_WAIT_MS;
}

void expire_at_mark(struct expiring *e)
{
	if (photos_are_going(e))
		return;
	if (is_weighed(e))
		step(e);
	else
		e->more = true;
}
