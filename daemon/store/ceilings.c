/* Ceilings on debt: backlog-size. */
#include "store/tend.h"

#define SIZE_MS 10000 /* between two looks at a subscription's size */

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
