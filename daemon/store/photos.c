#include "store/photos_meta.h"

#include "base/clock.h"
#include "base/hash.h"
#include "store/create.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// clang-format off
const struct db_table photos_tables[PHOTOS_TABLES] = {
	[P_META]     = { "meta",     false },
	[P_PARTS]    = { "parts",    true  },
	[P_INDEX]    = { "index",    false },
	[P_CHUNKS]   = { "chunks",   true  },
	[P_PARTIALS] = { "partials", false },
	[P_GONE]     = { "gone",     true  },
};
// clang-format on

static void first_rows(struct txn *txn, void *arg)
{
	(void)arg;
	photos_meta_put(txn, 1);
}

int photos_usage(struct photos *photos)
{
	struct db_usage usage;
	int r = db_usage(photos->db, &usage);

	if (r < 0)
		return r;
	atomic_store(&photos->used, usage.pages_end - usage.pages_free);
	photos->counted_ms = clock_boot_ms();
	return 0;
}

static void tell_size(struct photos *photos)
{
	struct store_event event = { .kind = STORE_SIZE,
				     .octets = photos->marks.size * photos->marks.page };

	env_kept("photos", photos->conf.size, event.octets, &event.why);
	photos->conf.event(photos->conf.arg, &event);
}

int photos_open(const struct photos_conf *conf, struct photos **ret, struct why *why)
{
	struct photos *photos = calloc(1, sizeof(*photos));
	struct create create = { .parent = conf->parent,
				 .name = "photos",
				 .first = first_rows,
				 .taking = conf->taking,
				 .taking_arg = conf->taking_arg };
	char dir[4096];
	bool kept;
	int r;

	if (photos == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	photos->conf = *conf;
	atomic_init(&photos->fake_percent, -1);
	snprintf(dir, sizeof(dir), "%.4000s/photos", conf->parent);
	photos->marks =
		marks_standing(conf->size, (uint64_t)sysconf(_SC_PAGESIZE), env_octets(dir), &kept);
	create.db = (struct db_conf){ .tables = photos_tables,
				      .tables_n = PHOTOS_TABLES,
				      .map_size = photos->marks.map * photos->marks.page,
				      .no_readahead = true };
	r = env_open(&create, &photos->db, why);
	if (r == 0)
		r = photos_meta_open(photos, why);
	if (r == 0 && (r = photos_usage(photos)) < 0)
		why_set(why, r, "%s/photos: cannot be read", conf->parent);
	if (r < 0) {
		photos_close(&photos);
		return r;
	}
	if (kept)
		tell_size(photos);
	*ret = photos;
	return 0;
}

void photos_close(struct photos **photos)
{
	if (*photos == NULL)
		return;
	digests_done(&(*photos)->digests);
	fair_done(&(*photos)->fair);
	db_close(&(*photos)->db);
	free(*photos);
	*photos = NULL;
}

struct db *photos_db(struct photos *photos)
{
	return photos->db;
}

/* ---- how full */

static uint64_t used_pages(const struct photos *photos)
{
	int fake = atomic_load(&photos->fake_percent);

	if (fake >= 0)
		return photos->marks.size / 100 * (unsigned)fake;
	return atomic_load(&photos->used);
}

/* the free list is counted once a second; in between every page written counts as used */
bool photos_room(struct photos *photos, enum mark mark, uint64_t pages)
{
	if (clock_boot_ms() - photos->counted_ms > 1000 ||
	    !marks_room(&photos->marks, mark, used_pages(photos) + photos->pages, pages))
		photos_usage(photos);
	return marks_room(&photos->marks, mark, used_pages(photos) + photos->pages, pages);
}

bool photos_admit(struct photos *photos, uint32_t partner, uint64_t pages)
{
	uint64_t used, most = marks_pages(&photos->marks, MARK_PARTS);

	if (!photos_room(photos, MARK_PARTS, pages))
		return false;
	used = used_pages(photos) + photos->pages;
	fair_fit(&photos->fair, marks_above(&photos->marks, PRESSURE_PERCENT, used));
	return used <= photos->marks.size * PRESSURE_PERCENT / 100 ||
	       fair_allows(&photos->fair, partner, pages, most - used);
}

void photos_state(const struct photos *photos, struct store_state *ret)
{
	uint64_t used = used_pages(photos);

	ret->photos_octets = photos->marks.size * photos->marks.page;
	ret->photos_used = used * photos->marks.page;
	ret->photos_percent = marks_percent(&photos->marks, used);
}

void photos_usage_fake(struct photos *photos, int percent)
{
	atomic_store(&photos->fake_percent, percent);
}
