/* DEFINE: the configuration as the store sees it. Nothing is written that stands already. */
#include "store/items_priv.h"
#include "store/subs.h"
#include <stdio.h>
#include <stdlib.h>

struct defining {
	struct items *items;
	struct txn *txn;
	const struct store_define *define;
	struct sub_rows rows; /* as they stood before */
	int64_t wall_ms;
};

static bool partner_in(const struct store_define *define, const char *name)
{
	for (unsigned i = 0; name != NULL && i < define->partners_n; i++) {
		if (strcmp(define->partners[i].name, name) == 0)
			return true;
	}
	return false;
}

static bool sub_in(const struct store_define *define, const char *name)
{
	for (unsigned i = 0; name != NULL && i < define->subscriptions_n; i++) {
		if (strcmp(define->subscriptions[i].name, name) == 0)
			return true;
	}
	return false;
}

static void define_partner(struct defining *d, struct store_partner_def *def)
{
	struct partner_row row;
	struct txn *txn = d->txn;

	if (!partner_get(txn, def->name, &row)) {
		if (!partner_in(d->define, def->renamed_from) &&
		    partner_get(txn, def->renamed_from, &row))
			partner_del(txn, def->renamed_from);
		else
			row.number = number_next(txn, false);
	}
	row.vanished_ms = 0;
	partner_put(txn, def->name, &row);
	def->number = row.number;
}

/* what was owed under another generation keeps it; the tail from here on is the new one's */
static void turn_tail(struct defining *d, uint32_t number, uint32_t generation)
{
	uint64_t next = d->items->count.position_last + 1;
	struct cur cur;

	cur_open(&cur, d->txn, T_OWED);
	owed_cut(&cur, number, next, UINT64_MAX, NULL, NULL);
	owed_add(&cur, number, next, UINT64_MAX, generation);
	cur_close(&cur);
}

static const struct sub_row *row_of(const struct defining *d, uint32_t number)
{
	for (size_t i = 0; i < d->rows.n; i++) {
		if (d->rows.p[i].sub.number == number)
			return &d->rows.p[i];
	}
	return NULL;
}

static void sub_new(struct defining *d, const struct store_sub_def *def, struct sub *sub)
{
	uint64_t first = def->start_all ? 1 : d->items->count.position_last + 1;
	struct cur cur;

	sub->number = number_next(d->txn, true);
	sub->generation = 1;
	cur_open(&cur, d->txn, T_OWED);
	owed_add(&cur, sub->number, first, UINT64_MAX, sub->generation);
	cur_close(&cur);
}

/* its debts were another partner's: they are given up by rule; its receipts stay, under the old
 * number */
static void sub_moved(struct defining *d, const struct sub_row *row)
{
	struct store_event event = { .kind = STORE_EXPIRED,
				     .subscription = row->sub.number,
				     .code = NX_EEXPIREDDEBT };
	struct owed_sum sum;

	memcpy(event.name, row->sub.name, sizeof(event.name));
	owed_at_most(d->txn, row->sub.number, &sum);
	event.items = sum.items;
	event.octets = sum.octets;
	event.first = sum.first;
	event.last = d->items->count.position_last;
	why_set(&event.why, NX_EEXPIREDDEBT,
		"subscription %s is another partner's now, it was %s's", row->sub.name,
		row->sub.partner_name);
	sub_row_drop(d->txn, row);
	if (sum.items > 0)
		items_note(d->items, d->txn, &event);
}

static void sub_filters(struct defining *d, const struct store_sub_def *def, struct sub *sub,
			bool fresh)
{
	struct slice channels, filter;

	if (!fresh) {
		filter_get(d->txn, sub->number, sub->generation, &channels, &filter);
		/* one that was damaged stays what it is, as the configuration has it now */
		if (!slice_is(filter, FILTER_DAMAGED) &&
		    (!slice_is(channels, def->channels) || !slice_is(filter, def->filter))) {
			sub->generation++;
			turn_tail(d, sub->number, sub->generation);
			filters_sweep(d->txn, sub->number);
		}
	}
	filter_put(d->txn, sub->number, sub->generation, slice_str(def->channels),
		   slice_str(def->filter));
	filter_put(d->txn, sub->number, FILTER_RIGHTS, slice_str(def->rights), slice_str(""));
}

static void define_sub(struct defining *d, struct store_sub_def *def)
{
	const struct sub_row *old = row_of(d, sub_named(d->txn, def->name));
	struct sub_row row = { 0 };
	struct partner_row partner;

	if (!partner_get(d->txn, def->partner, &partner))
		return; /* checked before: cannot be */
	if (old == NULL && !sub_in(d->define, def->renamed_from)) {
		old = row_of(d, sub_named(d->txn, def->renamed_from));
		if (old != NULL)
			sub_name_del(d->txn, def->renamed_from);
	}
	/* 0: it was damaged (mend_subs.c) */
	if (old != NULL && old->sub.partner != 0 && old->sub.partner != partner.number) {
		sub_moved(d, old);
		old = NULL;
	}
	if (old != NULL) {
		row.sub.number = old->sub.number;
		row.sub.generation = old->sub.generation;
	} else {
		sub_new(d, def, &row.sub);
	}
	sub_filters(d, def, &row.sub, old == NULL);
	row.sub.partner = partner.number;
	row.sub.versions_all = def->versions_all;
	row.sub.backlog_age_ms = def->backlog_age_ms;
	row.sub.backlog_size = def->backlog_size;
	snprintf(row.sub.name, sizeof(row.sub.name), "%s", def->name);
	snprintf(row.sub.partner_name, sizeof(row.sub.partner_name), "%s", def->partner);
	sub_row_put(d->txn, &row);
	sub_name_put(d->txn, def->name, row.sub.number);
	def->number = row.sub.number;
}

struct missing {
	struct defining *d;
	struct {
		char name[NAME_MAX_ + 1];
		struct partner_row row;
	} p[16];
	unsigned n;
};

static void missing_partner(const char *name, const struct partner_row *row, void *arg)
{
	struct missing *m = arg;

	if (row->vanished_ms != 0 || m->n == 16 || partner_in(m->d->define, name))
		return;
	snprintf(m->p[m->n].name, sizeof(m->p[m->n].name), "%s", name);
	m->p[m->n++].row = *row;
}

/* whoever is not in the configuration any more is frozen from today */
static void freeze(struct defining *d)
{
	struct missing m = { .d = d };

	for (size_t i = 0; i < d->rows.n; i++) {
		struct sub_row row = d->rows.p[i];

		if (row.vanished_ms != 0 || sub_in(d->define, row.sub.name) ||
		    sub_named(d->txn, row.sub.name) != row.sub.number)
			continue;
		row.vanished_ms = d->wall_ms;
		sub_row_put(d->txn, &row);
		items_vanished_news(d->items, d->wall_ms);
	}
	do {
		m.n = 0;
		partners_each(d->txn, missing_partner, &m);
		for (unsigned i = 0; i < m.n; i++) {
			m.p[i].row.vanished_ms = d->wall_ms;
			items_vanished_news(d->items, d->wall_ms);
			partner_put(d->txn, m.p[i].name, &m.p[i].row);
		}
	} while (m.n == 16 && d->txn->r == 0);
}

static int define_check(const struct store_define *define, struct why *why)
{
	for (unsigned i = 0; i < define->subscriptions_n; i++) {
		const struct store_sub_def *def = &define->subscriptions[i];
		size_t filter = def->filter == NULL ? 0 : strlen(def->filter);

		if (!partner_in(define, def->partner))
			return why_set(why, NX_ECONF, "subscription %s: no such partner '%s'",
				       def->name, def->partner);
		if (strlen(def->channels) + filter > FILTER_MAX || strlen(def->rights) > FILTER_MAX)
			return why_set(why, NX_ECONF,
				       "subscription %s: more than %d octets of channels, filter "
				       "or rights",
				       def->name, FILTER_MAX);
	}
	return 0;
}

void items_define(struct items *items, struct txn *txn, struct store_define *define,
		  int64_t wall_ms)
{
	struct defining d = { .items = items, .txn = txn, .define = define, .wall_ms = wall_ms };

	define->req.code = define_check(define, &define->req.why);
	if (define->req.code < 0)
		return;
	define->req.code = sub_rows_load(txn, &d.rows);
	if (define->req.code == NX_ECORRUPT)
		txn->r = NX_ECORRUPT; /* mended, and once more */
	if (define->req.code < 0)
		return;
	for (unsigned i = 0; i < define->partners_n; i++)
		define_partner(&d, &define->partners[i]);
	for (unsigned i = 0; i < define->subscriptions_n; i++)
		define_sub(&d, &define->subscriptions[i]);
	freeze(&d);
	sub_rows_free(&d.rows);
	subs_directory_anew(items, txn);
	expire_look_again(items, 0);
	items_retire_again(items, 0, UINT64_MAX);
	define->req.code = txn->r;
}
