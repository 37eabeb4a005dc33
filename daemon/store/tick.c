/* the door, as far as time, sizes and settings go */
#include "base/clock.h"
#include "store/owed.h"
#include "store/store_priv.h"

#define TICK_MS  1000
#define STALL_MS 5000

static void tell_stalled(struct store *store, int64_t ms, bool over)
{
	struct store_event event = { .kind = STORE_STALLED, .ms = ms, .code = over ? 0 : NX_EBUSY };

	store->conf.event(&event, store->conf.arg);
}

/* how long has the commit of that writer been running? told once, and when it is over */
static void watch(struct store *store, struct watch *watch, const struct worker *worker,
		  int64_t boot_ms)
{
	int64_t last_ms, since = worker_busy_since(worker, &last_ms);

	if (watch->since != 0 && since != watch->since) {
		watch->since = 0; /* there may have been another commit meanwhile, a quick one */
		tell_stalled(store, last_ms > watch->ms ? last_ms : watch->ms, true);
	}
	if (watch->since != 0)
		watch->ms = boot_ms - since;
	if (watch->since == 0 && since != 0 && boot_ms - since >= STALL_MS) {
		watch->since = since;
		watch->ms = boot_ms - since;
		tell_stalled(store, watch->ms, false);
	}
}

/* when did that writer last get on? */
static void watch_steps(struct watch *watch, const struct worker *worker, int64_t boot_ms)
{
	uint64_t steps = worker_steps(worker);
	int64_t last_ms;
	bool idle = worker_waiting(worker) == 0 && worker_busy_since(worker, &last_ms) == 0;

	if (idle || steps != watch->steps || watch->moved_ms == 0)
		watch->moved_ms = boot_ms;
	watch->steps = steps;
}

int64_t store_stuck_ms(const struct store *store, int64_t boot_ms)
{
	int64_t items = boot_ms - store->items_watch.moved_ms;
	int64_t photos = boot_ms - store->photos_watch.moved_ms;

	if (store->items_watch.moved_ms == 0)
		return 0;
	return items > photos ? items : photos;
}

void store_tick(struct store *store, int64_t boot_ms, int64_t wall_ms, bool synchronised)
{
	const struct worker_now now = { boot_ms, wall_ms, synchronised };
	struct store_state state;

	watch(store, &store->items_watch, store->items_worker, boot_ms);
	watch(store, &store->photos_watch, store->photos_worker, boot_ms);
	watch_steps(&store->items_watch, store->items_worker, boot_ms);
	watch_steps(&store->photos_watch, store->photos_worker, boot_ms);
	if (store->ticked_ms != INT64_MIN && boot_ms - store->ticked_ms < TICK_MS &&
	    boot_ms >= store->ticked_ms)
		return;
	store->ticked_ms = boot_ms;
	if (!store->fatal_told)
		leases_run(store->leases, true);
	photos_state(store->photos, &state);
	items_photos_percent(store->items, state.photos_percent);
	items_photos_held_up(store->items, leases_held_up(store->leases));
	worker_kick(store->items_worker, &now);
	worker_kick(store->photos_worker, &now);
}

void store_reload(struct store *store, const struct store_conf *conf)
{
	items_reload(store->items, conf);
}

void store_clock_ok(struct store *store)
{
	items_clock_ok(store->items, clock_boot_ms(), clock_wall_ms());
}

void store_state(const struct store *store, struct store_state *ret)
{
	memset(ret, 0, sizeof(*ret));
	items_state(store->items, ret);
	photos_state(store->photos, ret);
	ret->queued_items = worker_waiting(store->items_worker);
	ret->queued_photos =
		worker_waiting(store->digest_worker) + worker_waiting(store->photos_worker);
}

void store_usage_fake(struct store *store, unsigned items_percent, unsigned photos_percent)
{
	items_usage_fake(store->items, items_percent);
	photos_usage_fake(store->photos, photos_percent == 0 ? -1 : (int)photos_percent);
}

bool store_match(const struct store *store, uint32_t subscription, struct slice channel)
{
	struct subdir *subs = items_subs(store->items);
	bool matches = subs_match(subs, subscription, channel);

	subdir_free(&subs);
	return matches;
}
