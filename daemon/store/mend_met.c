/* A row that cannot be right is met while the daemon runs. */
#include "store/tend.h"

#define AGAIN_MS 60000

bool items_mend_due(const struct items *items, int64_t boot_ms)
{
	return boot_ms >= items->mend_from_ms;
}

int items_mend_met(struct items *items, int64_t boot_ms)
{
	int r;

	if (!items_mend_due(items, boot_ms))
		return NX_ECORRUPT;
	items->mend_from_ms = boot_ms + AGAIN_MS;
	atomic_store(&items->damaged, false);
	r = items_mend_running(items);
	if (r == NX_ECORRUPT)
		items->mend_from_ms = INT64_MAX;
	if (r == 0)
		expire_look_again(items, 0);
	return r;
}

int items_mend_damaged(struct items *items, int64_t boot_ms)
{
	struct store_event event = { .kind = STORE_CORRUPT, .code = NX_ECORRUPT, .table = "owed" };
	int r;

	if (!atomic_load(&items->damaged) || !items_mend_due(items, boot_ms))
		return 0;
	r = items_mend_met(items, boot_ms);
	if (r != NX_ECORRUPT)
		return r;
	why_set(&event.why, NX_ECORRUPT, "it cannot be mended while newsxd runs: restart it");
	items->event(items->arg, &event);
	return 0;
}
