/*
 * The environment `items`: opening, its first rows, and what must be true of every transaction on
 * it.
 */
#include "store/items_meta.h"

#include "base/hash.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 4096

static void first_rows(struct txn *txn, void *arg)
{
	const struct items *items = arg;
	const struct fresh_marks none = { 0 };
	struct meta_facts facts = { .format = ITEMS_FORMAT, .wall_ms = TIME_NONE };

	while (facts.epoch == 0)
		random_octets(&facts.epoch, sizeof(facts.epoch));
	memcpy(facts.node, items->node, sizeof(facts.node));
	meta_facts_put(txn, &facts);
	fresh_marks_put(txn, &none);
}

void items_reload(struct items *items, const struct store_conf *conf)
{
	pthread_mutex_lock(&items->lock);
	items->times_next = conf->times;
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

void items_clock_ok(struct items *items, int64_t boot_ms, int64_t wall_ms)
{
	items->clock_ok_off = wall_ms - boot_ms;
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
	int64_t off = atomic_exchange(&items->clock_ok_off, INT64_MIN);
	bool good = clockrule_good(clock);
	struct why why = { 0 };

	take_times(items);
	items->boot_ms = boot_ms;
	if (!clock->started)
		clockrule_start(clock, boot_ms, wall_ms, items->wall_stored_ms);
	if (off != INT64_MIN)
		clockrule_vouch(clock, boot_ms, boot_ms + off);
	clockrule_look(clock, boot_ms, wall_ms, synchronised, &why);
	items->wall_ms = clockrule_label(clock, boot_ms, wall_ms);
	items->shown.clock_off_ms = clockrule_good(clock) ? wall_ms - boot_ms : CLOCK_SUSPECT;
	if (clockrule_good(clock) != good)
		tell_clock(items, &why);
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

static void tell_filesystem(const struct why *why, void *arg)
{
	struct store_event event = { .kind = STORE_FILESYSTEM, .why = *why };
	struct items *items = arg;

	items->event(items->arg, &event);
}

static int open_db(struct items *items, const struct items_conf *conf, struct why *why)
{
	char parent[PATH_MAX];
	struct create create = {
		.parent = parent,
		.db = { .tables = items_tables,
			.tables_n = ITEMS_TABLES,
			.map_size = items->marks.map * items->marks.page },
		.first = first_rows,
		.untried = tell_filesystem, /* once: the photos lie beside it */
		.arg = items,
		.taking = conf->store->taking,
		.taking_arg = conf->store->arg,
	};
	int r = split_dir(conf->dir, parent, &create.name);

	return r < 0 ? why_set(why, r, "%s: too long a path", conf->dir)
		     : env_open(&create, &items->db, why);
}

static int begin_life(struct items *items, struct why *why)
{
	int r = items_meta_open(items, why);

	if (r == 0)
		r = items_look_at_usage(items);
	if (r == 0)
		r = items_mend(items);
	if (r == 0)
		r = subs_load(items);
	if (r == 0)
		items_show(items);
	if (r < 0 && why != NULL && why->code == 0)
		why_set(why, r, "the store's first rows cannot be read: %s", nx_word(r));
	return r;
}

static void tell_size(struct items *items, uint64_t asked)
{
	struct store_event event = { .kind = STORE_SIZE,
				     .octets = items->marks.size * items->marks.page };

	env_kept("stories", asked, event.octets, &event.why);
	items->event(items->arg, &event);
}

int items_open(const struct items_conf *conf, struct items **ret, struct why *why)
{
	struct items *items = calloc(1, sizeof(*items));
	bool kept;
	int r;

	if (items == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	pthread_mutex_init(&items->lock, NULL);
	items->event = conf->event;
	items->clock_ok_off = INT64_MIN;
	items->shown.clock_off_ms = CLOCK_SUSPECT; /* nobody has looked */
	items->unused = conf->unused;
	items->arg = conf->arg;
	items->marks = marks_standing(conf->size, PAGE, env_octets(conf->dir), &kept);
	items->fresh.most =
		conf->fresh_most == 0 ? fresh_most(items->marks.size) : conf->fresh_most;
	snprintf(items->node, sizeof(items->node), "%s",
		 conf->store->node == NULL ? "" : conf->store->node);
	items_reload(items, conf->store);
	take_times(items);
	if (why != NULL)
		why->code = 0;
	r = open_db(items, conf, why);
	if (r == 0)
		r = begin_life(items, why);
	if (r == 0 && kept)
		tell_size(items, conf->size);
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
	free((*items)->vanishing);
	tend_free(*items);
	fresh_free(*items);
	fair_done(&(*items)->fair);
	fair_done(&(*items)->urgent);
	subdir_free(&(*items)->subs);
	db_close(&(*items)->db);
	pthread_mutex_destroy(&(*items)->lock);
	free(*items);
	*items = NULL;
}
