/* The directory of subscriptions, and who wants which channel. */
#include "store/subs.h"
#include "proto/channel.h"
#include "store/items_priv.h"
#include <stdlib.h>

static int by_partner(const void *a, const void *b, void *arg)
{
	const struct sub *subs = arg, *one = &subs[*(const unsigned *)a],
			 *other = &subs[*(const unsigned *)b];

	if (one->partner != other->partner)
		return one->partner < other->partner ? -1 : 1;
	return (one->number > other->number) - (one->number < other->number);
}

int subdir_load(struct txn *txn, struct subdir **ret)
{
	struct subdir *subdir = calloc(1, sizeof(*subdir));
	struct sub_rows rows;
	int r = NX_ENOMEM;

	if (subdir == NULL)
		return r;
	r = sub_rows_load(txn, &rows);
	if (r < 0)
		goto out;
	r = NX_ENOMEM;
	subdir->subs = calloc(rows.n + 1, sizeof(*subdir->subs));
	subdir->by_partner = calloc(rows.n + 1, sizeof(*subdir->by_partner));
	if (subdir->subs == NULL || subdir->by_partner == NULL)
		goto out;
	for (size_t i = 0; i < rows.n; i++) {
		subdir->subs[i] = rows.p[i].sub;
		rows.p[i].sub.channels = rows.p[i].sub.rights = NULL; /* the directory's now */
		subdir->by_partner[i] = (unsigned)i;
	}
	qsort_r(subdir->by_partner, rows.n, sizeof(*subdir->by_partner), by_partner, subdir->subs);
	subdir->n = (unsigned)rows.n;
	subdir->refs = 1;
	*ret = subdir;
	subdir = NULL;
	r = 0;
out:
	sub_rows_free(&rows);
	if (subdir != NULL) {
		free(subdir->subs);
		free(subdir->by_partner);
	}
	free(subdir);
	return r;
}

static struct slice patterns_of(struct txn *txn, struct filter_cache *cache, const struct sub *sub,
				uint32_t generation)
{
	const unsigned most = sizeof(cache->generation) / sizeof(cache->generation[0]);
	struct slice channels, filter;
	unsigned i;

	if (generation == sub->generation)
		return slice_str(sub->channels);
	if (cache->subscription != sub->number)
		*cache = (struct filter_cache){ .subscription = sub->number };
	for (i = 0; i < cache->n; i++) {
		if (cache->generation[i] == generation)
			return cache->channels[i];
	}
	/* to pass it by would be to settle what may be owed under it */
	if (!filter_get(txn, sub->number, generation, &channels, &filter) && txn->r == 0)
		txn->r = NX_ECORRUPT;
	i = cache->n < most ? cache->n++ : cache->turn++ % most;
	cache->generation[i] = generation;
	cache->channels[i] = channels;
	return channels;
}

bool filter_match(struct txn *txn, struct filter_cache *cache, const struct sub *sub,
		  uint32_t generation, struct slice channel)
{
	return channel_match_any(patterns_of(txn, cache, sub, generation), channel) &&
	       channel_match_any(slice_str(sub->rights), channel);
}

int subs_load(struct items *items)
{
	struct subdir *subdir;
	struct txn txn;
	int r;

	txn_begin(&txn, items->db, TXN_READ);
	r = txn.r < 0 ? txn.r : subdir_load(&txn, &subdir);
	txn_abort(&txn);
	if (r == 0)
		items->subs = subdir;
	return r;
}

void subs_directory_anew(struct items *items, struct txn *txn)
{
	struct subdir *subdir = NULL;
	int r = txn->r < 0 ? txn->r : subdir_load(txn, &subdir);

	if (r < 0)
		txn->r = r;
	else
		items_subs_set(items, subdir);
}

struct subdir *items_subs(struct items *items)
{
	struct subdir *subdir;

	pthread_mutex_lock(&items->lock);
	subdir = subdir_ref(items->subs);
	pthread_mutex_unlock(&items->lock);
	return subdir;
}
