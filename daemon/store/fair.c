#include "store/fair.h"

#include <stdlib.h>

#define PARTNERS_MAX 4096 /* more than there are; a ceiling all the same */

static struct fair_taken *find(const struct fair *fair, uint32_t partner)
{
	for (unsigned i = 0; i < fair->n; i++)
		if (fair->of[i].partner == partner)
			return &fair->of[i];
	return NULL;
}

bool fair_allows(const struct fair *fair, uint32_t partner, uint64_t pages, uint64_t left)
{
	const struct fair_taken *taken = find(fair, partner);
	uint64_t before = taken == NULL ? 0 : taken->pages;

	return pages <= left && (before == 0 || before + pages <= FAIR_TIMES * (left - pages));
}

void fair_took(struct fair *fair, uint32_t partner, uint64_t pages)
{
	struct fair_taken *taken = find(fair, partner);

	if (taken == NULL && fair->n == fair->room) {
		unsigned room = fair->room == 0 ? 16 : fair->room * 2;
		struct fair_taken *more;

		if (room > PARTNERS_MAX)
			return;
		more = reallocarray(fair->of, room, sizeof(*more));
		if (more == NULL)
			return;
		fair->of = more;
		fair->room = room;
	}
	if (taken == NULL) {
		taken = &fair->of[fair->n++];
		*taken = (struct fair_taken){ .partner = partner };
	}
	taken->pages += pages;
}

uint64_t fair_sum(const struct fair *fair)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < fair->n; i++)
		sum += fair->of[i].pages;
	return sum;
}

void fair_fit(struct fair *fair, uint64_t zone)
{
	uint64_t sum = fair_sum(fair);

	if (zone == 0)
		fair->n = 0;
	if (sum <= zone)
		return;
	for (unsigned i = 0; i < fair->n; i++)
		fair->of[i].pages =
			(uint64_t)((double)fair->of[i].pages * (double)zone / (double)sum);
}

void fair_fit_both(struct fair *a, struct fair *b, uint64_t zone)
{
	uint64_t sum = fair_sum(a), both = sum + fair_sum(b), share;

	if (zone > 0 && both <= zone)
		return;
	share = both == 0 ? 0 : (uint64_t)((double)zone * (double)sum / (double)both);
	fair_fit(a, share);
	fair_fit(b, zone - share);
}

void fair_done(struct fair *fair)
{
	free(fair->of);
	*fair = (struct fair){ 0 };
}
