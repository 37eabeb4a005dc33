/* What expiry and retirement remember between their steps: made when first asked for. */
#include "store/tend.h"

#include <stdlib.h>

struct tend *tend_of(struct items *items)
{
	if (items->tend == NULL) {
		struct tend *tend = calloc(1, sizeof(*tend));

		if (tend != NULL)
			tend->at = 1;
		items->tend = tend;
	}
	return items->tend;
}

void tend_free(struct items *items)
{
	struct tend *tend = items->tend;

	items->tend = NULL;
	if (tend != NULL)
		free(tend->subs);
	free(tend);
}

unsigned tend_items_percent(const struct items *items)
{
	return items->used_fake_percent > 0 ? items->used_fake_percent
					    : marks_percent(&items->marks, items->used_pages);
}

unsigned tend_percent(const struct items *items)
{
	unsigned photos = atomic_load(&items->photos_percent), percent = tend_items_percent(items);

	return percent > photos ? percent : photos;
}

int64_t tend_now(const struct items *items, int64_t wall_ms)
{
	return clockrule_now(&items->clock, wall_ms);
}
