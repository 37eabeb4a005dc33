/*
 * Beneath the other files of `items`: its tables, and what everybody may look at.
 */
#include "store/items_priv.h"

#define WALL_EACH_MS 60000

// clang-format off
const struct db_table items_tables[ITEMS_TABLES] = {
	[T_META]	  = { "meta",	       false },
	[T_ITEMS]	  = { "items",	       true },
	[T_BODIES]	  = { "bodies",	       true },
	[T_FEED]	  = { "feed",	       true },
	[T_FLASH]	  = { "flash",	       true },
	[T_STORIES]	  = { "stories",       false },
	[T_USES]	  = { "uses",	       false },
	[T_DOOMED]	  = { "doomed",	       true },
	[T_HAD]		  = { "had",	       false },
	[T_SUBSCRIPTIONS] = { "subscriptions", false },
	[T_FILTERS]	  = { "filters",       false },
	[T_OWED]	  = { "owed",	       false },
	[T_RECEIPTS]	  = { "receipts",      false },
	[T_HELD]	  = { "held",	       false },
	[T_FRESH]	  = { "fresh",	       true },
};
// clang-format on
_Static_assert(ITEMS_TABLES <= DB_TABLES, "LMDB is told how many");

/* ---- what everybody may look at */

/* and what is set aside */
static uint64_t used_pages(const struct items *items)
{
	unsigned fake = atomic_load(&items->used_fake_percent);

	return fake > 0 ? items->marks.size * fake / 100
			: items->used_pages + fresh_pages(&items->fresh);
}

void items_show(struct items *items)
{
	uint64_t used = used_pages(items);

	items->shown.sequence_last = items->count.sequence_last;
	items->shown.position_last = items->count.position_last;
	items->shown.held = items->count.held;
	items->shown.used_octets = used * items->marks.page;
	items->shown.size_octets = items->marks.size * items->marks.page;
	items->shown.percent = marks_percent(&items->marks, used);
}

int items_look_at_usage(struct items *items)
{
	struct db_usage usage;
	int r = db_usage(items->db, &usage);

	if (r == 0)
		items->used_pages = usage.pages_end - usage.pages_free;
	return r;
}

void items_state(const struct items *items, struct store_state *ret)
{
	ret->epoch = items->epoch;
	ret->restored_epoch = items->restored_epoch;
	ret->restored_sequence = items->restored_sequence;
	ret->sequence_last = items->shown.sequence_last;
	ret->position_last = items->shown.position_last;
	ret->items_octets = items->shown.size_octets;
	ret->items_used = items->shown.used_octets;
	ret->items_percent = items->shown.percent;
	ret->held = items->shown.held;
	ret->clock_off_ms = items->shown.clock_off_ms;
}

void items_usage_fake(struct items *items, unsigned percent)
{
	atomic_store(&items->used_fake_percent, percent);
	if (percent > 0) {
		items->shown.percent = percent;
		items->shown.used_octets = items->marks.size * percent / 100 * items->marks.page;
	}
}

/* what flashes took of their own pages leaves routine items theirs */
static uint64_t counts_for(const struct items *items, enum mark mark)
{
	uint64_t used = used_pages(items), urgent = fair_sum(&items->urgent);

	return mark != MARK_ROUTINE ? used : used > urgent ? used - urgent : 0;
}

bool items_room(const struct items *items, enum mark mark, uint64_t pages)
{
	return marks_room(&items->marks, mark, counts_for(items, mark), pages);
}

uint64_t items_zone(const struct items *items)
{
	return marks_above(&items->marks, MARK_PERCENT, used_pages(items));
}

bool items_at_mark(const struct items *items)
{
	return items_zone(items) > 0;
}

uint64_t items_left(const struct items *items, enum mark mark, uint64_t pages)
{
	uint64_t used = counts_for(items, mark) + pages, most = marks_pages(&items->marks, mark);

	return used < most ? most - used : 0;
}

uint64_t items_left_urgent(const struct items *items, uint64_t pages)
{
	uint64_t kept = marks_pages(&items->marks, MARK_FLASH) -
			marks_pages(&items->marks, MARK_ROUTINE),
		 used = fair_sum(&items->urgent) + pages;

	return used < kept ? kept - used : 0;
}

struct db *items_db(struct items *items)
{
	return items->db;
}

/* a suspect time is not stored: the next start would believe it */
bool items_wall_due(const struct items *items)
{
	return items->clock.started && clockrule_good(&items->clock) &&
	       (items->wall_stored_ms == TIME_NONE ||
		items->wall_ms - items->wall_stored_ms >= WALL_EACH_MS ||
		items->wall_ms < items->wall_stored_ms);
}
