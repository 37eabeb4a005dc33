#include "store/clockrule.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static void trust(struct clockrule *rule, int64_t boot_ms, int64_t wall_ms)
{
	rule->base_boot_ms = boot_ms;
	rule->base_wall_ms = wall_ms;
	rule->good_ms = rule->label_ms = wall_ms;
	rule->start_suspect = rule->jumped = false;
}

void clockrule_start(struct clockrule *rule, int64_t boot_ms, int64_t wall_ms, int64_t stored_ms)
{
	trust(rule, boot_ms, wall_ms);
	rule->started = true;
	if (stored_ms == INT64_MIN)
		return;
	rule->start_suspect = wall_ms < stored_ms || wall_ms - stored_ms > DAY_MS;
	if (rule->start_suspect && stored_ms < wall_ms)
		rule->good_ms = stored_ms; /* nobody has seen a later one */
	if (wall_ms < stored_ms)
		rule->label_ms = stored_ms; /* it is later than that, whatever the clock says */
}

bool clockrule_good(const struct clockrule *rule)
{
	return !rule->start_suspect && !rule->jumped;
}

/* how far the wall clock stands from where the boot-time clock says */
static int64_t off(const struct clockrule *rule, int64_t boot_ms, int64_t wall_ms)
{
	return (wall_ms - rule->base_wall_ms) - (boot_ms - rule->base_boot_ms);
}

bool clockrule_look(struct clockrule *rule, int64_t boot_ms, int64_t wall_ms, bool synchronised,
		    struct why *why)
{
	bool before = clockrule_good(rule);
	int64_t by = off(rule, boot_ms, wall_ms);

	rule->jumped = by > rule->jump_ms || by < -rule->jump_ms;
	if (rule->ntp && synchronised)
		trust(rule, boot_ms, wall_ms);
	if (clockrule_good(rule) && wall_ms > rule->good_ms)
		rule->good_ms = wall_ms;
	if (clockrule_good(rule))
		why_set(why, 0, "the clock is trusted");
	else if (rule->jumped)
		why_set(why, NX_ECLOCK,
			"the wall clock stands %lld s from where it should; embargoes wait: "
			"if it is right, newsxd --config FILE --clock-ok",
			(long long)(by / 1000));
	else
		why_set(why, NX_ECLOCK,
			"since the store was last open the clock went back, or on by more than "
			"a day; embargoes wait: if it is right, newsxd --config FILE --clock-ok");
	return clockrule_good(rule) != before;
}

bool clockrule_vouch(struct clockrule *rule, int64_t boot_ms, int64_t wall_ms)
{
	bool before = clockrule_good(rule);

	trust(rule, boot_ms, wall_ms);
	return !before;
}

int64_t clockrule_now(const struct clockrule *rule, int64_t wall_ms)
{
	return clockrule_good(rule) || wall_ms < rule->good_ms ? wall_ms : rule->good_ms;
}

int64_t clockrule_label(const struct clockrule *rule, int64_t boot_ms, int64_t wall_ms)
{
	return clockrule_good(rule) ? wall_ms : rule->label_ms + (boot_ms - rule->base_boot_ms);
}
