/*
 * At open, and when one is met later: names, numbers, definitions and filters that cannot be read.
 *
 * What the configuration says anyway it says again in DEFINE; here it is enough that each name
 * finds its number, for its debts and rights hang on that, and that no number is given twice.
 */
#include "store/items_priv.h"
#include "store/subs.h"

#include <stdio.h>
#include <stdlib.h>

#define SKIP_NUMBERS 1000 /* when nobody knows how many were given */

struct subs {
	struct items *items;
	struct txn *txn;
	struct sub_row *p; /* heads; channels and rights NULL */
	size_t n;
};

static void text_of(char *to, size_t size, struct slice from)
{
	snprintf(to, size, "%.*s", (int)from.n, (const char *)from.p);
}

/* the name of a key "k:NAME" whose row says the number; false: none */
static bool named(struct txn *txn, char kind, uint32_t number, char name[NAME_MAX_ + 1])
{
	const uint8_t prefix[2] = { (uint8_t)kind, ':' };
	bool found = false;
	struct cur cur;

	cur_open(&cur, txn, T_SUBSCRIPTIONS);
	for (bool more = cur_seek(&cur, slice_of(prefix, 2));
	     more && !found && cur.key.n > 2 && memcmp(cur.key.p, prefix, 2) == 0;
	     more = cur_next(&cur)) {
		text_of(name, NAME_MAX_ + 1, slice_of(cur.key.p + 2, cur.key.n - 2));
		if (kind == 's') {
			found = sub_named(txn, name) == number;
		} else {
			struct partner_row row;

			found = partner_get(txn, name, &row) && row.number == number;
		}
	}
	cur_close(&cur);
	return found;
}

static uint32_t newest_generation(struct txn *txn, uint32_t number)
{
	uint32_t generation = 0;
	uint8_t key[8];
	struct cur cur;

	pack_be32(pack_be32(key, number), UINT32_MAX);
	cur_open(&cur, txn, T_FILTERS);
	cur_seek(&cur, slice_of(key, 8));
	if ((cur.ok ? cur_prev(&cur) : cur_last(&cur)) && cur.key.n == 8 &&
	    unpack_be32(cur.key.p) == number)
		generation = unpack_be32(cur.key.p + 4);
	cur_close(&cur);
	return generation > 0 ? generation : 1;
}

/* ---- definitions */

/* while the daemon runs it knows them: what the configuration said last. At the start: NULL */
static const struct sub *known(const struct subs *subs, uint32_t number)
{
	const struct subdir *subdir = items_subs_now(subs->items);

	return subdir == NULL ? NULL : subs_find(subdir, number);
}

static void rebuild_known(struct subs *subs, struct sub_row *row, const struct sub *sub)
{
	row->sub = *sub;
	row->sub.channels = row->sub.rights = NULL;
	row->vanished_ms = sub->frozen ? subs->items->wall_ms : 0;
}

/* what the names and the filters say of it; the rest is the configuration's */
static void rebuild_found(struct subs *subs, struct sub_row *row)
{
	char name[NAME_MAX_ + 1];
	struct sub *sub = &row->sub;

	if (!named(subs->txn, 's', sub->number, name))
		snprintf(name, sizeof(name), "subscription-%u", sub->number);
	snprintf(sub->name, sizeof(sub->name), "%s", name);
	if (!named(subs->txn, 'p', sub->partner, sub->partner_name)) {
		sub->partner = 0;
		sub->partner_name[0] = '\0';
	}
	sub->generation = newest_generation(subs->txn, sub->number);
	sub->backlog_age_ms = 0;
	sub->backlog_size = 0;
	row->vanished_ms = 0;
	sub->frozen = false;
}

static void rebuild(struct subs *subs, struct sub_row *row)
{
	const struct sub *sub = known(subs, row->sub.number);
	char key[24];

	if (sub != NULL)
		rebuild_known(subs, row, sub);
	else
		rebuild_found(subs, row);
	sub = &row->sub;
	sub_row_put(subs->txn, row);
	snprintf(key, sizeof(key), "%u", sub->number);
	items_note_mended(subs->items, subs->txn, "subscriptions", key,
			  "the definition of subscription %s was damaged: made again; its debts "
			  "and receipts stay",
			  sub->name);
}

static void definitions(struct subs *subs)
{
	struct cur cur;

	cur_open(&cur, subs->txn, T_SUBSCRIPTIONS);
	for (bool more = cur_first(&cur); more && cur.key.n > 0 && cur.key.p[0] == 0;
	     more = cur_next(&cur)) {
		struct sub_row *p;

		if (cur.key.n != 4)
			continue;
		p = reallocarray(subs->p, subs->n + 1, sizeof(*p));
		if (p == NULL) {
			subs->txn->r = NX_ENOMEM;
			break;
		}
		subs->p = p;
		/* a name that is empty: to be made again, when the cursor is closed */
		if (!sub_row_head(cur.key, cur.value, &p[subs->n]))
			p[subs->n].sub.name[0] = '\0';
		subs->n++;
	}
	cur_close(&cur);
	for (size_t i = 0; i < subs->n && subs->txn->r == 0; i++)
		if (subs->p[i].sub.name[0] == '\0')
			rebuild(subs, &subs->p[i]);
}

/* ---- names */

static void sub_names(struct subs *subs)
{
	for (size_t i = 0; i < subs->n && subs->txn->r == 0; i++) {
		const struct sub *sub = &subs->p[i].sub;
		char key[NAME_MAX_ + 3];

		if (sub_named(subs->txn, sub->name) != 0)
			continue;
		sub_name_put(subs->txn, sub->name, sub->number);
		snprintf(key, sizeof(key), "s:%s", sub->name);
		items_note_mended(subs->items, subs->txn, "subscriptions", key,
				  "the number of subscription %s was damaged: it is %u, as its "
				  "definition says",
				  sub->name, sub->number);
	}
}

static void partner_name(struct subs *subs, const char *name)
{
	struct partner_row row = { 0 };
	char key[NAME_MAX_ + 3];

	for (size_t i = 0; i < subs->n && row.number == 0; i++)
		if (strcmp(subs->p[i].sub.partner_name, name) == 0)
			row.number = subs->p[i].sub.partner;
	snprintf(key, sizeof(key), "p:%s", name);
	items_note_mended(
		subs->items, subs->txn, "subscriptions", key,
		row.number != 0 ? "the number of partner %s was damaged: its subscriptions know it"
				: "the number of partner %s was damaged: it gets a new one, and "
				  "sends its photos again",
		name);
	if (row.number == 0)
		row.number = number_next(subs->txn, false);
	partner_put(subs->txn, name, &row);
}

static void partner_names(struct subs *subs)
{
	char name[NAME_MAX_ + 1];
	struct partner_row row;
	struct cur cur;
	bool bad = true;

	while (bad &&
	       subs->txn->r == 0) { /* one at a time: a row is put behind the cursor's back */
		bad = false;
		cur_open(&cur, subs->txn, T_SUBSCRIPTIONS);
		for (bool more = cur_seek(&cur, slice_str("p:"));
		     more && !bad && cur.key.n > 2 && memcmp(cur.key.p, "p:", 2) == 0;
		     more = cur_next(&cur)) {
			text_of(name, sizeof(name), slice_of(cur.key.p + 2, cur.key.n - 2));
			bad = cur.key.n - 2 <= NAME_MAX_ && !partner_parse(cur.value, &row);
		}
		cur_close(&cur);
		if (bad)
			partner_name(subs, name);
	}
}

/* ---- numbers */

static void highest_partner(const char *name, const struct partner_row *row, void *arg)
{
	uint32_t *most = arg;

	(void)name;
	*most = row->number > *most ? row->number : *most;
}

/* receipts stay under the number of a subscription that is gone. A key that cannot be one of ours
 * counts for nothing */
static uint32_t highest_in(struct txn *txn, unsigned table)
{
	uint32_t number = 0;
	struct cur cur;

	cur_open(&cur, txn, table);
	if (cur_last(&cur) && cur.key.n == 12)
		number = unpack_be32(cur.key.p);
	cur_close(&cur);
	return number < 1 << 24 ? number : 0;
}

static uint32_t higher(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static void numbers(struct subs *subs)
{
	struct numbers given, used = { .subscriptions = highest_in(subs->txn, T_RECEIPTS) };
	bool there = numbers_get(subs->txn, &given);

	partners_each(subs->txn, highest_partner, &used.partners);
	for (size_t i = 0; i < subs->n; i++) {
		used.partners = higher(used.partners, subs->p[i].sub.partner);
		used.subscriptions = higher(used.subscriptions, subs->p[i].sub.number);
	}
	if (used.partners <= given.partners && used.subscriptions <= given.subscriptions)
		return; /* nothing was given yet, or all is well */
	used.partners = higher(used.partners, given.partners) + (there ? 0 : SKIP_NUMBERS);
	used.subscriptions =
		higher(used.subscriptions, given.subscriptions) + (there ? 0 : SKIP_NUMBERS);
	numbers_put(subs->txn, &used);
	items_note_mended(subs->items, subs->txn, "subscriptions", "n",
			  "the numbers given so far were damaged: those of partners go on from %u, "
			  "of subscriptions from %u",
			  used.partners, used.subscriptions);
}

/* ---- filters */

/* which matches too much rather than too little. What the partner may read is written anew by
 * DEFINE before anything is fetched */
static void filter(struct subs *subs, uint32_t number, uint32_t generation)
{
	const struct sub *sub = known(subs, number);
	const char *channels = "*";
	char key[32];

	if (sub != NULL && generation == FILTER_RIGHTS)
		channels = sub->rights;
	else if (sub != NULL && generation == sub->generation)
		channels = sub->channels;
	filter_put(subs->txn, number, generation, slice_str(channels), slice_str(FILTER_DAMAGED));
	snprintf(key, sizeof(key), "%u/%u", number, generation);
	items_note_mended(subs->items, subs->txn, "filters", key,
			  "a filter of subscription %u was damaged: what is owed under it goes out "
			  "whatever its channel, within the partner's rights",
			  number);
}

static void sub_filters(struct subs *subs, const struct sub *sub)
{
	uint32_t bad[64];
	struct slice channels, text;
	unsigned n = 0;
	uint8_t key[8];
	struct cur cur;

	pack_be32(pack_be32(key, sub->number), 0);
	cur_open(&cur, subs->txn, T_FILTERS);
	for (bool more = cur_seek(&cur, slice_of(key, 8));
	     more && n < sizeof(bad) / sizeof(bad[0]) && cur.key.n == 8 &&
	     unpack_be32(cur.key.p) == sub->number;
	     more = cur_next(&cur))
		if (!filter_get(subs->txn, sub->number, unpack_be32(cur.key.p + 4), &channels,
				&text))
			bad[n++] = unpack_be32(cur.key.p + 4);
	cur_close(&cur);
	for (unsigned i = 0; i < n; i++)
		filter(subs, sub->number, bad[i]);
	if (!filter_get(subs->txn, sub->number, FILTER_RIGHTS, &channels, &text))
		filter(subs, sub->number, FILTER_RIGHTS);
	if (!filter_get(subs->txn, sub->number, sub->generation, &channels, &text))
		filter(subs, sub->number, sub->generation);
}

void mend_subs(struct items *items, struct txn *txn)
{
	struct subs subs = { .items = items, .txn = txn };

	definitions(&subs);
	sub_names(&subs);
	numbers(&subs); /* before one is given */
	partner_names(&subs);
	for (size_t i = 0; i < subs.n && txn->r == 0; i++)
		sub_filters(&subs, &subs.p[i].sub);
	free(subs.p);
}
