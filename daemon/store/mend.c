/*
 * At open, and when one is met later (mend_met.c): rows of owed that cannot be right.
 *
 * A run whose row is damaged is owed again whole, from its key up to where the next row begins, for
 * delivering once too often is allowed and never is not. What is retired already is in no feed and
 * is passed by. The last row of every subscription has no end: without one it would get nothing
 * new.
 */
#include "store/items_priv.h"
#include "store/subs.h"

#include <stdio.h>
#include <stdlib.h>

struct fix {
	struct owed_row row;
	enum { FIX_PUT, FIX_TAIL, FIX_NOBODY } kind;
};

struct walk {
	struct items *items;
	struct txn *txn;
	struct sub_rows subs;
	const struct sub_row *sub; /* of the row */
	uint32_t generation;       /* of it, known to have a filter */
	uint32_t *rows;            /* of each of subs */
	bool *tail;
	uint64_t *last;
	struct fix *fixes; /* to be made when the cursor is closed */
	size_t n;
};

static void fix_add(struct walk *walk, struct fix fix)
{
	struct fix *p = reallocarray(walk->fixes, walk->n + 1, sizeof(*p));

	if (p == NULL) {
		walk->txn->r = NX_ENOMEM;
		return;
	}
	walk->fixes = p;
	p[walk->n++] = fix;
}

static const struct sub_row *sub_of(const struct walk *walk, uint32_t number)
{
	if (walk->sub != NULL && walk->sub->sub.number == number)
		return walk->sub;
	for (size_t i = 0; i < walk->subs.n; i++)
		if (walk->subs.p[i].sub.number == number)
			return &walk->subs.p[i];
	return NULL;
}

static bool has_filter(struct walk *walk, const struct sub *sub, uint32_t generation)
{
	struct slice channels, text;

	if (generation == walk->generation || generation == sub->generation)
		return true;
	if (!filter_get(walk->txn, sub->number, generation, &channels, &text))
		return false;
	walk->generation = generation;
	return true;
}

/* next: where the next row of the subscription begins; 0: this is its last one */
static void look(struct walk *walk, uint32_t number, uint64_t first, struct slice key,
		 struct slice value, uint64_t next)
{
	struct fix fix = { .kind = FIX_PUT };
	struct owed_row *row = &fix.row;
	const struct sub_row *sub = sub_of(walk, number);
	uint64_t upto = next == 0 ? UINT64_MAX : next - 1;
	bool well = owed_row(key, value, row);
	size_t i;

	if (sub == NULL) {
		*row = (struct owed_row){ .subscription = number, .first = first };
		fix.kind = FIX_NOBODY;
		fix_add(walk, fix);
		return;
	}
	if (sub != walk->sub)
		walk->generation = sub->sub.generation;
	walk->sub = sub;
	i = (size_t)(sub - walk->subs.p);
	if (!well || row->last > upto ||
	    (row->last != UINT64_MAX && row->last > walk->items->count.position_last)) {
		*row = (struct owed_row){ .subscription = number,
					  .generation =
						  well ? row->generation : sub->sub.generation,
					  .first = first,
					  .last = upto };
		well = false;
	}
	if (!has_filter(walk, &sub->sub, row->generation)) {
		row->generation = sub->sub.generation;
		well = false;
	}
	if (row->attempts > 0 && row->first != row->last) {
		row->attempts = 0;
		row->not_before_ms = 0;
		well = false;
	}
	if (!well)
		fix_add(walk, fix);
	walk->rows[i]++;
	walk->tail[i] = row->last == UINT64_MAX;
	walk->last[i] = row->last;
}

static void walk_owed(struct walk *walk)
{
	struct cur cur;
	bool more;

	cur_open(&cur, walk->txn, T_OWED);
	more = cur_first(&cur);
	while (more && walk->txn->r == 0) {
		struct slice key = cur.key, value = cur.value; /* nothing is written meanwhile */
		bool one = key.n == 12, same;

		more = cur_next(&cur);
		same = one && more && cur.key.n == 12 && memcmp(cur.key.p, key.p, 4) == 0;
		if (one)
			look(walk, unpack_be32(key.p), unpack_be64(key.p + 4), key, value,
			     same ? unpack_be64(cur.key.p + 4) : 0);
	}
	cur_close(&cur);
}

/* one that has no row without an end gets it behind what it is owed, or over all that stands. Its
 * receipts do not say where: what was owed again has one too */
static void look_for_tails(struct walk *walk)
{
	for (size_t i = 0; i < walk->subs.n && walk->txn->r == 0; i++) {
		const struct sub *sub = &walk->subs.p[i].sub;
		struct fix fix = { .kind = FIX_TAIL };

		if (walk->tail[i])
			continue;
		fix.row = (struct owed_row){
			.subscription = sub->number,
			.generation = sub->generation,
			.first = walk->last[i] + 1,
			.last = UINT64_MAX,
		};
		walk->rows[i]++;
		fix_add(walk, fix);
	}
}

/* ---- what is done about it */

static void mend(struct walk *walk, const struct fix *fix)
{
	const struct owed_row *row = &fix->row;
	const struct sub_row *sub = sub_of(walk, row->subscription);
	const char *name = sub == NULL ? "" : sub->sub.name;
	char key[40], upto[24] = "its end";

	snprintf(key, sizeof(key), "%u/%llu", row->subscription, (unsigned long long)row->first);
	if (row->last != UINT64_MAX)
		snprintf(upto, sizeof(upto), "%llu", (unsigned long long)row->last);
	switch (fix->kind) {
	case FIX_PUT:
		owed_put(walk->txn, row);
		items_note_mended(walk->items, walk->txn, "owed", key,
				  "what subscription %s is owed was damaged: positions %llu to %s "
				  "are owed again",
				  name, (unsigned long long)row->first, upto);
		break;
	case FIX_TAIL:
		owed_put(walk->txn, row);
		items_note_mended(walk->items, walk->txn, "owed", key,
				  "what is new was not owed to subscription %s any more: it is, "
				  "from position %llu on",
				  name, (unsigned long long)row->first);
		break;
	case FIX_NOBODY:
		owed_del(walk->txn, row->subscription, row->first);
		items_note_mended(walk->items, walk->txn, "owed", key,
				  "a row of no subscription: removed");
		break;
	}
}

static void mend_states(struct walk *walk)
{
	for (size_t i = 0; i < walk->subs.n && walk->txn->r == 0; i++) {
		const struct sub *sub = &walk->subs.p[i].sub;
		struct owed_state state;
		bool well = owed_state_read(walk->txn, sub->number, &state);
		char key[24];

		if (well && state.rows == walk->rows[i])
			continue;
		snprintf(key, sizeof(key), "c/%u", sub->number);
		items_note_mended(walk->items, walk->txn, "subscriptions", key,
				  well ? "the rows of subscription %s were counted wrongly: they "
					 "are counted anew"
				       : "the counters of subscription %s were damaged: rows are "
					 "counted anew, what had expired is not known any more",
				  sub->name);
		state.rows = walk->rows[i];
		owed_state_put(walk->txn, sub->number, &state);
	}
}

static void mend_owed(struct walk *walk)
{
	walk->txn->r = walk->txn->r < 0 ? walk->txn->r : sub_rows_load(walk->txn, &walk->subs);
	if (walk->txn->r < 0)
		return;
	walk->rows = calloc(walk->subs.n + 1, sizeof(*walk->rows));
	walk->tail = calloc(walk->subs.n + 1, sizeof(*walk->tail));
	walk->last = calloc(walk->subs.n + 1, sizeof(*walk->last));
	if (walk->rows == NULL || walk->tail == NULL || walk->last == NULL) {
		walk->txn->r = NX_ENOMEM;
		return;
	}
	walk_owed(walk);
	look_for_tails(walk);
	for (size_t i = 0; i < walk->n && walk->txn->r == 0; i++)
		mend(walk, &walk->fixes[i]);
	mend_states(walk);
}

static int mend_rows(struct items *items, bool running)
{
	struct txn txn;
	struct walk walk = { .items = items, .txn = &txn };

	items_begin(items, &txn);  /* when all is well nothing is written, and nothing synced */
	if (txn.r == 0 && running) /* the start has looked there already */
		items_mend_meta(items, &txn);
	if (txn.r == 0)
		mend_subs(items, &txn);
	if (txn.r == 0)
		mend_owed(&walk);
	free(walk.rows);
	free(walk.tail);
	free(walk.last);
	free(walk.fixes);
	sub_rows_free(&walk.subs);
	return items_end(items, &txn);
}

int items_mend(struct items *items)
{
	return mend_rows(items, false);
}

int items_mend_running(struct items *items)
{
	return mend_rows(items, true);
}
