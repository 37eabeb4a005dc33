/* Ceilings on debt: backlog-size, and the mark at which the oldest debt of whichever subscription
 * goes. */
#include "store/tend.h"

#define SIZE_MS   10000 /* between two looks at a subscription's size */
#define MARK_SPAN 256   /* positions that go together at the mark */
#define MARK_LOOK 200

/* ---- by size */
static void count_begin(struct expiring *e)
{
	struct tend_sub *state = e->state;

	state->counting = true;
	state->count_at = 1;
	state->count_octets = 0;
	state->count_total = e->items->count.total_octets;
}

static void count_end(struct expiring *e)
{
	struct tend_sub *state = e->state;
	uint64_t most = e->sub->backlog_size;

	state->counting = false;
	state->counted = state->count_octets;
	state->counted_total = state->count_total + 1;
	state->excess = state->counted > most ? state->counted - most : 0;
	state->excess_at = 1;
	state->excess_kills = false;
	expire_near(e, BY_SIZE, state->counted / (most / 100 + 1));
}

static void count_step(struct expiring *e)
{
	struct tend_sub *state = e->state;
	struct debts debts;
	struct debt debt;
	bool tired;

	expire_debts(&debts, e, state->count_at, e->items->count.position_last);
	while (debts_next(&debts, &debt))
		state->count_octets += debt.octets;
	state->count_at = debts.at;
	tired = debts_tired(&debts);
	expire_debts_end(&debts, e);
	if (!tired)
		count_end(e);
}

/* the oldest, until the excess is gone; kills only when nothing else is left */
static void excess_step(struct expiring *e)
{
	struct tend_sub *state = e->state;
	struct debts debts;
	struct debt debt;

	expire_debts(&debts, e, state->excess_at, e->items->count.position_last);
	debts.kills = state->excess_kills;
	while (state->excess > 0 && e->n < EXPIRE_MAX && debts_next(&debts, &debt)) {
		if (debt.feed.kill && !state->excess_kills)
			continue;
		e->go[e->n++] = debt.feed.position;
		state->excess -= debt.octets < state->excess ? debt.octets : state->excess;
	}
	state->excess_at = debts.at;
	if (debts.at > debts.upto) {
		if (state->excess_kills)
			state->excess = 0;
		state->excess_kills = true;
		state->excess_at = 1;
	}
	expire_debts_end(&debts, e);
	expire_now(e, "backlog-size");
	e->more = e->more || state->excess > 0;
}

/* never less than what is owed: the totals say so, or the last exact count and all that came since
 */
static uint64_t size_at_most(struct expiring *e, uint64_t *ret_grown)
{
	struct tend_sub *state = e->state;
	struct owed_sum sum;

	*ret_grown = UINT64_MAX;
	owed_at_most(e->txn, e->sub->number, &sum);
	if (state->counted_total == 0)
		return sum.octets;
	*ret_grown = e->items->count.total_octets - (state->counted_total - 1);
	return state->counted + *ret_grown < sum.octets ? state->counted + *ret_grown : sum.octets;
}

void expire_by_size(struct expiring *e)
{
	struct tend_sub *state = e->state;
	uint64_t most = e->sub->backlog_size, octets, grown, percent;

	if (!state->counting && state->excess == 0) {
		if (state->sized_ms != 0 && e->wall_ms >= state->sized_ms &&
		    e->wall_ms - state->sized_ms < SIZE_MS)
			return;
		state->sized_ms = e->wall_ms;
		octets = size_at_most(e, &grown);
		percent = octets / (most / 100 + 1);
		if (percent < 50 || grown < most / 20 + 1) {
			expire_near(e, BY_SIZE,
				    percent < state->warned[BY_SIZE] ? percent
								     : state->warned[BY_SIZE]);
			return;
		}
		count_begin(e);
	}
	if (state->counting)
		count_step(e);
	if (!state->counting && state->excess > 0 && e->left > 0)
		excess_step(e);
}

/* ---- at the mark */

/* where the oldest debt of a subscription stands, kills apart; UINT64_MAX: it has none */
static uint64_t oldest_of(struct expiring *e)
{
	struct tend_sub *state = e->state;
	uint64_t last = e->items->count.position_last, at;
	struct debts debts;
	struct debt debt;
	bool found;

	debts_open(&debts, e->txn, e->sub, state->look, last, MARK_LOOK);
	while ((found = debts_next(&debts, &debt)) && debt.feed.kill) {
		if (state->kill == 0)
			state->kill = debt.feed.position;
	}
	at = found ? debt.feed.position : debts.at;
	debts_close(&debts);
	state->look = at;
	return at > last ? UINT64_MAX : at;
}

static uint64_t oldest_kill_of(struct expiring *e)
{
	uint64_t last = e->items->count.position_last, at = UINT64_MAX;
	struct debts debts;
	struct debt debt;

	debts_open(&debts, e->txn, e->sub, e->state->kill, last, MARK_LOOK);
	debts.kills = true;
	if (debts_next(&debts, &debt))
		at = debt.feed.position;
	else if (debts_tired(&debts))
		at = e->state->kill = debts.at;
	debts_close(&debts);
	return at;
}

static uint64_t oldest_of_all(struct expiring *e, bool kills)
{
	uint64_t oldest = UINT64_MAX, at;

	for (unsigned i = 0; i < e->subdir->n; i++) {
		e->sub = &e->subdir->subs[i];
		e->state = expire_state(e->tend, e->sub->number);
		if (e->state == NULL)
			continue;
		at = kills ? oldest_kill_of(e) : oldest_of(e);
		if (at < oldest)
			oldest = at;
	}
	return oldest;
}

/* returns how many went */
static size_t mark_sub(struct expiring *e, uint64_t from, uint64_t upto, bool kills)
{
	struct debts debts;
	struct debt debt;
	size_t n;

	debts_open(&debts, e->txn, e->sub, from, upto, MARK_SPAN + MARK_LOOK);
	debts.kills = kills;
	while (e->n < EXPIRE_MAX && debts_next(&debts, &debt)) {
		if (debt.feed.kill == kills)
			e->go[e->n++] = debt.feed.position;
	}
	debts_close(&debts);
	n = e->n;
	expire_now(e, "store-full");
	return n;
}

void expire_at_mark(struct expiring *e)
{
	bool kills = false;
	uint64_t oldest;
	size_t n = 0;

	if (atomic_load(&e->items->photos_percent) >= MARK_PERCENT && e->tend->mark_ms != 0 &&
	    e->wall_ms - e->tend->mark_ms < MARK_WAIT_MS && e->wall_ms >= e->tend->mark_ms)
		return;
	oldest = oldest_of_all(e, false);
	if (oldest == UINT64_MAX) {
		kills = true;
		oldest = oldest_of_all(e, true);
	}
	if (oldest == UINT64_MAX)
		return;
	for (unsigned i = 0; i < e->subdir->n; i++) {
		e->sub = &e->subdir->subs[i];
		e->state = expire_state(e->tend, e->sub->number);
		if (e->state != NULL)
			n += mark_sub(e, oldest, oldest + MARK_SPAN / 2 - 1, kills);
	}
	if (n > 0) {
		e->tend->wait = true;
		e->tend->freed = false;
		e->tend->mark_ms = e->wall_ms;
	}
	e->more = n == 0; /* it stood on what does not match: go on from there */
}
