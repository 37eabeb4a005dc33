/* Ceilings on debt: what goes is told, counted and has a receipt. By age here, by size in
 * ceilings.c, at the mark in brim.c. */
#include "store/tend.h"
#include <stdlib.h>

#define LOOK_MAX 1000 /* positions a step */

/* the old kills that were passed, when nothing else of their age is owed any more */
static void by_age_kills(struct expiring *e)
{
	struct debts debts;
	struct debt debt;

	expire_debts(&debts, e, e->state->kill, e->state->look - 1);
	debts.kills = true;
	while (e->n < EXPIRE_MAX && debts_next(&debts, &debt))
		e->go[e->n++] = debt.feed.position;
	e->state->kill = debts.at < e->state->look ? debts.at : 0;
	expire_debts_end(&debts, e);
	expire_now(e, "backlog-age");
}

/*
 * walks on from the last look to the oldest debt that is not old enough; expires what it meets on
 * the way. The age of a damaged item is not known: it is passed
 */
static void by_age(struct expiring *e)
{
	struct tend_sub *state = e->state;
	int64_t most = e->sub->backlog_age_ms, age, oldest = 0;
	struct debts debts;
	struct debt debt;
	bool found = false;

	expire_debts(&debts, e, state->look, e->items->count.position_last);
	while (e->n < EXPIRE_MAX && debts_next(&debts, &debt)) {
		if (debt.released_ms == TIME_NONE)
			continue;
		age = e->now_ms - debt.released_ms; /* below 0: released since the tick */
		found = age <= most;
		if (found) {
			oldest = age > 0 ? age : 0;
			debts.at = debt.feed.position;
			break;
		}
		if (!debt.feed.kill)
			e->go[e->n++] = debt.feed.position;
		else if (state->kill == 0)
			state->kill = debt.feed.position;
	}
	state->look = debts.at;
	expire_debts_end(&debts, e);
	if (found)
		e->more = false; /* it came to what it looked for */
	expire_now(e, "backlog-age");
	if (state->kill != 0 && !e->more)
		by_age_kills(e);
	if (!e->more)
		expire_near(e, BY_AGE, (uint64_t)oldest / ((uint64_t)most / 100 + 1));
}

static void expire_subs(struct expiring *e)
{
	unsigned n = e->subdir->n;

	for (unsigned i = 0; i < n && !e->more && e->left > 0; i++) {
		e->tend->turn = e->tend->turn + 1 < n ? e->tend->turn + 1 : 0;
		e->sub = &e->subdir->subs[e->tend->turn];
		e->state = expire_state(e->tend, e->sub->number);
		if (e->sub->frozen || e->state == NULL)
			continue;
		if (e->sub->backlog_age_ms > 0)
			by_age(e);
		if (e->sub->backlog_size > 0 && !e->more)
			expire_by_size(e);
	}
}

/*
 * debts are the last to go: the store has stood at the mark for a while, nothing is left that
 * nobody is owed, and where it is the stories that fill it the history was shortened first. What
 * went by a ceiling makes room as well and is waited for, but once between two slices of the mark's
 * own: where some debt grows too old each second, the mark would wait for ever
 */
static bool debts_must_go(struct expiring *e)
{
	struct tend *tend = e->tend;

	if (tend_percent(e->items) < MARK_PERCENT) {
		tend->marked_ms = 0;
		tend->granted = false;
		return false;
	}
	if (e->gave && !tend->granted) {
		tend->granted = true;
		expire_wait(e);
	}
	if (tend->marked_ms == 0 || e->wall_ms < tend->marked_ms)
		tend->marked_ms = e->wall_ms;
	return !tend->wait && tend->clear && e->wall_ms - tend->marked_ms >= MARK_WAIT_MS &&
	       (tend->bare || tend_items_percent(e->items) < MARK_PERCENT);
}

int items_expire(struct items *items, int64_t wall_ms)
{
	struct expiring e = { .items = items, .wall_ms = wall_ms, .left = LOOK_MAX };
	struct txn txn;
	int r;

	e.tend = tend_of(items);
	if (e.tend == NULL)
		return 0; /* the next tick tries again */
	e.now_ms = tend_now(items, wall_ms);
	e.txn = &txn;
	items_begin(items, &txn);
	e.subdir = items_subs_now(items);
	if (txn.r == 0)
		expire_subs(&e);
	if (txn.r == 0 && debts_must_go(&e) && !e.more)
		expire_at_mark(&e);
	r = items_end(items, &txn);
	if (r < 0)
		expire_look_again(items, 0);
	return r < 0 ? r : e.more;
}
