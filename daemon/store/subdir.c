/* the directory of subscriptions as everybody sees it: found, matched, let go */
#include "proto/channel.h"
#include "store/subs.h"

#include <stdlib.h>

/* ---- the directory */
void subdir_free(struct subdir **subdir)
{
	struct subdir *old = *subdir;

	*subdir = NULL;
	if (old == NULL || __atomic_sub_fetch(&old->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (unsigned i = 0; i < old->n; i++) {
		free(old->subs[i].channels);
		free(old->subs[i].rights);
	}
	free(old->subs);
	free(old->by_partner);
	free(old);
}

struct subdir *subdir_ref(struct subdir *subdir)
{
	if (subdir != NULL)
		__atomic_add_fetch(&subdir->refs, 1, __ATOMIC_RELAXED);
	return subdir;
}

const struct sub *subs_find(const struct subdir *subdir, uint32_t subscription)
{
	unsigned low = 0, high = subdir == NULL ? 0 : subdir->n;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (subdir->subs[middle].number < subscription)
			low = middle + 1;
		else
			high = middle;
	}
	if (subdir == NULL || low == subdir->n || subdir->subs[low].number != subscription)
		return NULL;
	return &subdir->subs[low];
}

bool subs_match(const struct subdir *subdir, uint32_t subscription, struct slice channel)
{
	const struct sub *sub = subs_find(subdir, subscription);

	return sub != NULL && !sub->frozen &&
	       channel_match_any(slice_str(sub->channels), channel) &&
	       channel_match_any(slice_str(sub->rights), channel);
}
