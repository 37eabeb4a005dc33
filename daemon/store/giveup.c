/* Beneath expire.c, ceilings.c and brim.c: debts that are given up are told, counted and have a
 * receipt; and what is remembered of each subscription between two steps. */
#include "store/tend.h"

#include <stdlib.h>

#define DAY_MS INT64_C(86400000)

struct given {
	uint64_t items, octets, first, last;
};

static void cut_count(const struct owed_row *row, uint64_t first, uint64_t last, void *arg)
{
	(void)row;
	*(uint64_t *)arg += last - first + 1;
}

static void note_given(struct items *items, struct txn *txn, uint32_t subscription,
		       const struct given *given, const char *rule)
{
	struct store_event event = {
		.kind = STORE_EXPIRED,
		.subscription = subscription,
		.items = given->items,
		.octets = given->octets,
		.first = given->first,
		.last = given->last,
		.code = NX_EEXPIREDDEBT,
	};
	const struct sub *sub = subs_find(items_subs_now(items), subscription);
	struct owed_state state;

	if (given->items == 0)
		return;
	if (sub != NULL)
		memcpy(event.name, sub->name, sizeof(event.name));
	why_set(&event.why, NX_EEXPIREDDEBT, "%s", rule);
	owed_state_get(txn, subscription, &state);
	state.expired_items += given->items;
	state.expired_octets += given->octets;
	owed_state_put(txn, subscription, &state);
	items_note(items, txn, &event);
	items_retire_again(items, given->first, given->last);
}

void expire_positions(struct items *items, struct txn *txn, uint32_t subscription,
		      const uint64_t *positions, size_t n, int64_t wall_ms, const char *rule)
{
	struct receipt_entry *entries = calloc(n + 1, sizeof(*entries));
	struct given given = { 0 };
	struct feed_row feed;
	struct record record;
	struct cur cur;

	if (entries == NULL) {
		txn->r = txn->r < 0 ? txn->r : NX_ENOMEM;
		return;
	}
	cur_open(&cur, txn, T_OWED);
	for (size_t i = 0; i < n; i++) {
		uint64_t owed = 0;

		owed_cut(&cur, subscription, positions[i], positions[i], cut_count, &owed);
		if (owed == 0)
			continue;
		entries[given.items] = (struct receipt_entry){ .position = positions[i],
							       .at_ms = wall_ms,
							       .how = RECEIPT_EXPIRED };
		if (feed_get(txn, positions[i], &feed)) {
			entries[given.items].kill = feed.kill;
			if (record_head(txn, feed.sequence, &record) == 0)
				given.octets += record.octets;
		}
		if (given.items++ == 0)
			given.first = positions[i];
		given.last = positions[i];
	}
	cur_close(&cur);
	receipts_add(items, txn, subscription, entries, given.items);
	note_given(items, txn, subscription, &given, rule);
	free(entries);
}

/* ---- what is remembered of each subscription */
struct tend_sub *expire_state(struct tend *tend, uint32_t number)
{
	unsigned low = 0, high = tend->n;
	struct tend_sub *p;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (tend->subs[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < tend->n && tend->subs[low].number == number)
		return &tend->subs[low];
	p = reallocarray(tend->subs, tend->n + 1, sizeof(*p));
	if (p == NULL)
		return NULL;
	tend->subs = p;
	memmove(&p[low + 1], &p[low], (tend->n++ - low) * sizeof(*p));
	p[low] = (struct tend_sub){ .number = number, .look = 1 };
	return &p[low];
}

void expire_look_again(struct items *items, uint32_t subscription)
{
	struct tend *tend = tend_of(items);

	if (tend != NULL && subscription == 0)
		tend->brim = (struct brim){ 0 };
	for (unsigned i = 0; tend != NULL && i < tend->n; i++) {
		struct tend_sub *state = &tend->subs[i];

		if (subscription != 0 && state->number != subscription)
			continue;
		state->look = 1;
		state->kill = 0;
		state->counting = false;
		state->counted_total = 0;
		state->excess = 0;
		state->sized_ms = 0;
	}
}

/* ---- steps */
static unsigned level_of(uint64_t percent)
{
	return percent >= 80 ? 80 : percent >= 50 ? 50 : 0;
}

/* a level is left when 10 % below it: who stands about it is told of once */
void expire_near(struct expiring *e, int by, uint64_t percent)
{
	struct store_event event = { .kind = STORE_NEAR_DEBT, .subscription = e->sub->number };
	struct tend_sub *state = e->state;
	unsigned level = level_of(percent), left = level_of(percent + 10);

	if (level < state->warned[by] && left >= state->warned[by])
		level = state->warned[by];

	if (level > state->warned[by] ||
	    (level > 0 && e->wall_ms - state->warned_ms[by] >= DAY_MS)) {
		event.percent = level;
		why_set(&event.why, 0, "%s", by == BY_AGE ? "backlog-age" : "backlog-size");
		items_note(e->items, e->txn, &event);
		state->warned_ms[by] = e->wall_ms;
	}
	state->warned[by] = level;
}

void expire_now(struct expiring *e, const char *rule)
{
	if (e->n == 0)
		return;
	expire_positions(e->items, e->txn, e->sub->number, e->go, e->n, e->wall_ms, rule);
	e->n = 0;
	e->more = true;
	e->gave = true;
}

void expire_wait(struct expiring *e)
{
	e->tend->wait = e->tend->going = true;
	e->tend->freed = false;
	e->tend->mark_ms = e->wall_ms;
}

void expire_debts(struct debts *debts, struct expiring *e, uint64_t from, uint64_t upto)
{
	debts_open(debts, e->txn, e->sub, from, upto, e->left);
}

void expire_debts_end(struct debts *debts, struct expiring *e)
{
	e->left -= debts->looked < e->left ? debts->looked : e->left;
	e->more = e->more || debts_tired(debts);
	debts_close(debts);
}
