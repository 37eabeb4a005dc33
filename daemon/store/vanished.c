/* FORGET, and what is not in the configuration any more: told each day, forgotten after
 * orphan-keep. */
#include "store/items_priv.h"
#include "store/subs.h"
#include "store/tend.h"
#include <stdio.h>
#include <stdlib.h>

#define DAY_MS  86400000
#define LOOK_MS 60000

static void forget_sub(struct items *items, struct txn *txn, const struct sub_row *row)
{
	struct store_event event = { .kind = STORE_FORGOTTEN, .subscription = row->sub.number };
	struct owed_sum sum;

	owed_at_most(txn, row->sub.number, &sum);
	event.items = sum.items;
	event.octets = sum.octets;
	event.first = sum.first;
	why_set(&event.why, 0, "subscription %s of %s", row->sub.name, row->sub.partner_name);
	sub_row_drop(txn, row);
	items_note(items, txn, &event);
	items_retire_again(items, 0, UINT64_MAX);
}

void items_forget(struct items *items, struct txn *txn, struct store_forget *forget,
		  int64_t wall_ms)
{
	uint32_t number = sub_named(txn, forget->name);
	struct sub_rows rows;
	int r = sub_rows_load(txn, &rows);

	(void)wall_ms;
	for (size_t i = 0; r == 0 && number != 0 && i < rows.n; i++) {
		if (rows.p[i].sub.number != number)
			continue;
		if (rows.p[i].vanished_ms == 0) {
			r = why_set(&forget->req.why, NX_EEXIST,
				    "subscription %s is in the configuration: take it out first",
				    forget->name);
			break;
		}
		forget_sub(items, txn, &rows.p[i]);
		subs_directory_anew(items, txn);
		r = txn->r;
	}
	if (r == 0 && number == 0)
		r = why_set(&forget->req.why, NX_ENOSUB, "no subscription %s", forget->name);
	sub_rows_free(&rows);
	forget->req.code = r;
}

struct vanishing {       /* items->vanishing */
	int64_t told_ms; /* when those that vanished were last announced; 0 = not since the start */
	int64_t looked_ms;
	int64_t news_ms; /* since then some are missing that were never told; 0 = none */
	bool more;
};

struct vanished {
	struct items *items;
	struct txn *txn;
	int64_t wall_ms, news_ms;
	bool tell;
	char forget[NAME_MAX_ + 1]; /* a partner whose time is over */
};

static bool over(const struct vanished *v, int64_t since_ms)
{
	return v->wall_ms - since_ms >= v->items->times.orphan_keep_ms;
}

/* all, once a day, and at once what is new */
static bool to_tell(const struct vanished *v, int64_t since_ms)
{
	return v->tell || (v->news_ms != 0 && since_ms >= v->news_ms);
}

static void tell_vanished(struct vanished *v, uint32_t number, int64_t since_ms, const char *kind,
			  const char *name)
{
	struct store_event event = { .kind = STORE_VANISHED, .subscription = number };
	int64_t left_ms = since_ms + v->items->times.orphan_keep_ms - v->wall_ms;
	struct owed_sum sum = { 0 };

	if (number != 0)
		owed_at_most(v->txn, number, &sum);
	event.items = sum.items;
	event.octets = sum.octets;
	event.ms = left_ms;
	why_set(&event.why, 0, "%s %s is not in the configuration", kind, name);
	items_note(v->items, v->txn, &event);
}

static void vanished_partner(const char *name, const struct partner_row *row, void *arg)
{
	struct vanished *v = arg;

	if (row->vanished_ms == 0)
		return;
	if (over(v, row->vanished_ms))
		snprintf(v->forget, sizeof(v->forget), "%s", name);
	else if (to_tell(v, row->vanished_ms))
		tell_vanished(v, 0, row->vanished_ms, "partner", name);
}

/* all are told of, then one subscription or partner a step is forgotten; true: there may be more */
static bool vanished_step(struct vanished *v, const struct sub_rows *rows)
{
	const struct sub_row *forget = NULL;

	for (size_t i = 0; i < rows->n; i++) {
		const struct sub_row *row = &rows->p[i];

		if (row->vanished_ms == 0)
			continue;
		if (over(v, row->vanished_ms))
			forget = row;
		else if (to_tell(v, row->vanished_ms))
			tell_vanished(v, row->sub.number, row->vanished_ms, "subscription",
				      row->sub.name);
	}
	partners_each(v->txn, vanished_partner, v);
	if (forget != NULL) {
		forget_sub(v->items, v->txn, forget);
		subs_directory_anew(v->items, v->txn);
		return true;
	}
	if (v->forget[0] != '\0') {
		struct store_event event = { .kind = STORE_FORGOTTEN };

		partner_del(v->txn, v->forget);
		why_set(&event.why, 0, "partner %s", v->forget);
		items_note(v->items, v->txn, &event);
		return true;
	}
	return false;
}

static bool due(struct vanishing *state, int64_t wall_ms, bool *ret_tell)
{
	*ret_tell = state->told_ms == 0 || wall_ms - state->told_ms >= DAY_MS ||
		    wall_ms < state->told_ms;
	return *ret_tell || state->more || state->news_ms != 0 ||
	       wall_ms - state->looked_ms >= LOOK_MS || wall_ms < state->looked_ms;
}

void items_vanished_news(struct items *items, int64_t wall_ms)
{
	if (items->vanishing != NULL && items->vanishing->news_ms == 0)
		items->vanishing->news_ms = wall_ms; /* else the first look tells of all */
}

int items_vanished(struct items *items, int64_t wall_ms)
{
	struct vanished v = { .items = items, .wall_ms = tend_now(items, wall_ms) };
	struct vanishing *state = items->vanishing;
	struct sub_rows rows = { 0 };
	bool more = false;
	struct txn txn;
	int r;

	if (state == NULL)
		items->vanishing = state = calloc(1, sizeof(*state));
	if (state == NULL || !due(state, wall_ms, &v.tell))
		return 0;
	v.txn = &txn;
	v.news_ms = state->news_ms;
	items_begin(items, &txn);
	txn.r = txn.r < 0 ? txn.r : sub_rows_load(&txn, &rows);
	if (txn.r == 0)
		more = vanished_step(&v, &rows);
	sub_rows_free(&rows);
	r = items_end(items, &txn);
	if (r < 0)
		return r;
	state->looked_ms = wall_ms;
	state->more = more;
	state->news_ms = 0;
	if (v.tell)
		state->told_ms = wall_ms;
	return more;
}
