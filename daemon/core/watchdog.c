#include "core/watchdog.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/notify.h"
#include <stdlib.h>

enum { LEAST_MS = 10, MOST_MS = 1000 };

struct watchdog {
	const struct exchange *exchange;
	struct timer *timer;
	int64_t every_ms, due_ms;
	bool held;
};

static void set(struct watchdog *watchdog, int64_t after_ms, int64_t now_ms)
{
	watchdog->due_ms = now_ms + after_ms;
	timer_set(watchdog->timer, after_ms);
}

static void on_time(void *arg)
{
	struct watchdog *watchdog = arg;
	const struct exchange *exchange = watchdog->exchange;
	int64_t now_ms = clock_boot_ms(), late_ms = now_ms - watchdog->due_ms;
	int64_t stuck_ms = store_stuck_ms(exchange->store, now_ms);
	bool held;

	/* the machine slept, or the loop did: the store's tick is as late as we are, and looks at
	 * the writers before we come again */
	if (!watchdog->held)
		stuck_ms -= late_ms;
	held = stuck_ms >= exchange->conf->commit_stall_ms;
	set(watchdog, watchdog->every_ms, now_ms);
	if (held != watchdog->held) {
		if (held)
			log_err("watchdog.held", kv_i64("ms", stuck_ms));
		else
			log_warn("watchdog.fed", kv_i64("ms", stuck_ms));
		watchdog->held = held;
	}
	if (!held)
		notify_watchdog();
}

int watchdog_new(const struct exchange *exchange, struct watchdog **ret)
{
	struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
	int64_t every_ms = notify_watchdog_ms() / 3;
	int r;

	if (watchdog == NULL)
		return NX_ENOMEM;
	watchdog->exchange = exchange;
	watchdog->every_ms = every_ms > MOST_MS    ? MOST_MS
			     : every_ms < LEAST_MS ? LEAST_MS
						   : every_ms;
	r = timer_new(exchange->loop, on_time, watchdog, &watchdog->timer);
	if (r < 0) {
		free(watchdog);
		return r;
	}
	if (notify_watchdog_ms() > 0)
		set(watchdog, 0, clock_boot_ms());
	*ret = watchdog;
	return 0;
}

void watchdog_free(struct watchdog **watchdog)
{
	if (*watchdog != NULL)
		timer_free(&(*watchdog)->timer);
	free(*watchdog);
	*watchdog = NULL;
}
