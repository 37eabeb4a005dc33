/*
 * The environment `items`: opening, counters in meta, and what must be true of every transaction on
 * it.
 */
#include "store/copies.h"
#include "store/items_priv.h"

#include "base/hash.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT_VERSION 1
#define COUNT_LEN     41
#define WALL_EACH_MS  60000
#define PAGE          4096

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
};
// clang-format on
_Static_assert(ITEMS_TABLES <= DB_TABLES, "LMDB is told how many");

/* ---- rows of meta */

bool count_get(struct txn *txn, struct items_count *ret)
{
	struct slice value;

	*ret = (struct items_count){ 0 };
	if (!txn_get(txn, T_META, slice_str("counters"), &value) || value.n < COUNT_LEN ||
	    value.p[0] != COUNT_VERSION)
		return false;
	ret->sequence_last = unpack_u64(value.p + 1);
	ret->position_last = unpack_u64(value.p + 9);
	ret->total_items = unpack_u64(value.p + 17);
	ret->total_octets = unpack_u64(value.p + 25);
	ret->held = unpack_u64(value.p + 33);
	return true;
}

void count_put(struct txn *txn, const struct items_count *count)
{
	uint8_t value[COUNT_LEN], *p = value;

	*p++ = COUNT_VERSION;
	p = pack_u64(p, count->sequence_last);
	p = pack_u64(p, count->position_last);
	p = pack_u64(p, count->total_items);
	p = pack_u64(p, count->total_octets);
	pack_u64(p, count->held);
	txn_put(txn, T_META, slice_str("counters"), slice_of(value, sizeof(value)));
}

void meta_u64(struct txn *txn, const char *name, uint64_t u)
{
	uint8_t value[8];

	pack_u64(value, u);
	txn_put(txn, T_META, slice_str(name), slice_of(value, sizeof(value)));
}

static bool meta_u64_get(struct txn *txn, const char *name, uint64_t *ret)
{
	struct slice value;

	if (!txn_get(txn, T_META, slice_str(name), &value) || value.n != 8)
		return false;
	*ret = unpack_u64(value.p);
	return true;
}

static void first_rows(struct txn *txn, void *arg)
{
	const struct items *items = arg;
	const struct items_count none = { 0 };
	uint8_t format[4];
	uint64_t epoch = 0;

	while (epoch == 0)
		random_octets(&epoch, sizeof(epoch));
	pack_u32(format, ITEMS_FORMAT);
	txn_put(txn, T_META, slice_str("format"), slice_of(format, sizeof(format)));
	meta_u64(txn, "epoch", epoch);
	txn_put(txn, T_META, slice_str("node"), slice_str(items->node));
	count_put(txn, &none);
}

static int read_rows(struct items *items, struct txn *txn, struct why *why)
{
	struct slice value;
	uint64_t wall;
	int r;

	if (!txn_get(txn, T_META, slice_str("format"), &value) || value.n != 4)
		return why_set(why, NX_ECORRUPT, "the store has no format row");
	r = copies_format("the store", unpack_u32(value.p), ITEMS_FORMAT, false, why);
	if (r < 0)
		return r;
	if (!meta_u64_get(txn, "epoch", &items->epoch) || !count_get(txn, &items->count))
		return why_set(why, NX_ECORRUPT, "the store has no epoch or no counters");
	if (txn_get(txn, T_META, slice_str("restored"), &value) && value.n >= 16) {
		items->restored_epoch = unpack_u64(value.p);
		items->restored_sequence = unpack_u64(value.p + 8);
	}
	items->wall_stored_ms = meta_u64_get(txn, "wall", &wall) ? (int64_t)wall : TIME_NONE;
	return 0;
}

/* ---- what everybody may look at */

void items_show(struct items *items)
{
	unsigned fake = atomic_load(&items->used_fake_percent);
	uint64_t used = fake > 0 ? items->marks.size * fake / 100 : items->used_pages;

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
}

void items_usage_fake(struct items *items, unsigned percent)
{
	atomic_store(&items->used_fake_percent, percent);
	if (percent > 0) {
		items->shown.percent = percent;
		items->shown.used_octets = items->marks.size * percent / 100 * items->marks.page;
	}
}

bool items_room(const struct items *items, enum mark mark, uint64_t pages)
{
	unsigned fake = atomic_load(&items->used_fake_percent);
	uint64_t used = fake > 0 ? items->marks.size * fake / 100 : items->used_pages;

	return marks_room(&items->marks, mark, used, pages);
}

struct db *items_db(struct items *items)
{
	return items->db;
}

void items_reload(struct items *items, const struct store_conf *conf)
{
	pthread_mutex_lock(&items->lock);
	items->times_next = (struct items_times){
		.keep_ms = conf->keep_ms,
		.orphan_keep_ms = conf->orphan_keep_ms,
		.history_keep_ms = conf->history_keep_ms,
		.embargo_ahead_ms = conf->embargo_ahead_ms,
		.clock_jump_ms = conf->clock_jump_ms,
		.held_size = conf->held_size,
		.clock_ntp = conf->clock_ntp,
	};
	pthread_mutex_unlock(&items->lock);
}

static void take_times(struct items *items)
{
	pthread_mutex_lock(&items->lock);
	items->times = items->times_next;
	pthread_mutex_unlock(&items->lock);
	items->clock.jump_ms = items->times.clock_jump_ms;
	items->clock.ntp = items->times.clock_ntp;
}

void items_clock_ok(struct items *items)
{
	items->clock_ok_asked = true;
}

/* ---- now */

static void tell_clock(struct items *items, const struct why *why)
{
	struct store_event event = { .kind = STORE_CLOCK, .why = *why };

	event.code = clockrule_good(&items->clock) ? 0 : NX_ECLOCK;
	items->event(items->arg, &event);
}

void items_now(struct items *items, int64_t boot_ms, int64_t wall_ms, bool synchronised)
{
	struct clockrule *clock = &items->clock;
	bool good = clockrule_good(clock);
	struct why why = { 0 };

	take_times(items);
	items->boot_ms = boot_ms;
	items->wall_ms = wall_ms;
	if (!clock->started)
		clockrule_start(clock, boot_ms, wall_ms, items->wall_stored_ms);
	if (atomic_exchange(&items->clock_ok_asked, false))
		clockrule_vouch(clock, boot_ms, wall_ms);
	clockrule_look(clock, boot_ms, wall_ms, synchronised, &why);
	if (clockrule_good(clock) != good)
		tell_clock(items, &why);
}

/* a suspect time is not stored: the next start would believe it */
bool items_wall_due(const struct items *items)
{
	return items->clock.started && clockrule_good(&items->clock) &&
	       (items->wall_stored_ms == TIME_NONE ||
		items->wall_ms - items->wall_stored_ms >= WALL_EACH_MS ||
		items->wall_ms < items->wall_stored_ms);
}

int items_store_wall(struct items *items)
{
	struct txn txn;

	if (!items_wall_due(items))
		return 0;
	items_begin(items, &txn);
	return items_end(items, &txn);
}

/* ---- life */

static int split_dir(const char *dir, char parent[PATH_MAX], const char **name)
{
	const char *slash = strrchr(dir, '/');
	size_t n = slash == NULL ? 1 : (size_t)(slash - dir);

	if (n >= PATH_MAX)
		return NX_EARG;
	memcpy(parent, slash == NULL ? "." : dir, n);
	parent[n] = '\0';
	*name = slash == NULL ? dir : slash + 1;
	return 0;
}

static int open_db(struct items *items, const char *dir, struct why *why)
{
	char parent[PATH_MAX];
	struct create create = {
		.parent = parent,
		.db = { .tables = items_tables,
			.tables_n = ITEMS_TABLES,
			.map_size = items->marks.map * items->marks.page },
		.first = first_rows,
		.arg = items,
	};
	int r = split_dir(dir, parent, &create.name);

	return r < 0 ? why_set(why, r, "%s: too long a path", dir)
		     : env_open(&create, &items->db, why);
}

static int begin_life(struct items *items, struct why *why)
{
	struct txn txn;
	int r;

	txn_begin(&txn, items->db, TXN_READ);
	r = txn.r == 0 ? read_rows(items, &txn, why) : txn.r;
	if (txn_end(&txn) < 0 && r == 0)
		r = txn.r;
	if (r == 0)
		r = items_look_at_usage(items);
	if (r == 0)
		r = subs_load(items);
	if (r == 0)
		items_show(items);
	if (r < 0 && why != NULL && why->code == 0)
		why_set(why, r, "the store's first rows cannot be read: %s", nx_word(r));
	return r;
}

int items_open(const struct items_conf *conf, struct items **ret, struct why *why)
{
	struct items *items = calloc(1, sizeof(*items));
	int r;

	if (items == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	pthread_mutex_init(&items->lock, NULL);
	items->event = conf->event;
	items->unused = conf->unused;
	items->arg = conf->arg;
	items->marks = marks_of(conf->size, PAGE);
	snprintf(items->node, sizeof(items->node), "%s",
		 conf->store->node == NULL ? "" : conf->store->node);
	items_reload(items, conf->store);
	take_times(items);
	if (why != NULL)
		why->code = 0;
	r = open_db(items, conf->dir, why);
	if (r == 0)
		r = begin_life(items, why);
	if (r == 0) {
		*ret = items;
		items = NULL; /* the caller's now */
	}
	items_close(&items);
	return r;
}

void items_close(struct items **items)
{
	if (*items == NULL)
		return;
	subs_private_free(*items);
	retire_private_free(*items);
	subdir_free(&(*items)->subs);
	db_close(&(*items)->db);
	pthread_mutex_destroy(&(*items)->lock);
	free(*items);
	*items = NULL;
}
