#include "store/store_priv.h"

#include "base/clock.h"
#include "store/create.h"
#include "store/lock.h"
#include "store/marks.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define READER_BATCH   8 /* answers of 256 KiB are not kept back for many others */
#define READER_FETCHES 2 /* of them: a few ms each */

/* ---- what the workers do */

static unsigned items_size(void *arg, const struct store_req *list)
{
	struct store *store = arg;

	return items_batch_size(store->items, list);
}

static int items_run(void *arg, struct store_req *list, struct why *why)
{
	struct store *store = arg;
	int r = items_batch(store->items, list, clock_boot_ms(), clock_wall_ms());

	if (r < 0)
		return why_set(why, r, "items: the outcome of a commit is not known");
	return items_at_mark(store->items) ? 1 : 0; /* what frees room does not wait for a tick */
}

static int items_idle(void *arg, const struct worker_now *now, struct why *why)
{
	struct store *store = arg;
	int r = items_maintain(store->items, now->boot_ms, now->wall_ms, now->synchronised);

	return r < 0 ? why_set(why, r, "items: a step of maintenance failed: %s", nx_word(r)) : r;
}

static unsigned photos_size(void *arg, const struct store_req *list)
{
	struct store *store = arg;

	return photos_batch_size(list, worker_waiting(store->items_worker) > 0);
}

static int photos_run(void *arg, struct store_req *list, struct why *why)
{
	struct store *store = arg;
	int r = photos_batch(store->photos, list, clock_wall_ms());

	return r < 0 ? why_set(why, r, "photos: the outcome of a commit is not known") : 0;
}

static int photos_idle(void *arg, const struct worker_now *now, struct why *why)
{
	struct store *store = arg;
	int r = photos_maintain(store->photos, now->wall_ms);

	return r < 0 ? why_set(why, r, "photos: a step of maintenance failed: %s", nx_word(r)) : r;
}

static unsigned digest_size(void *arg, const struct store_req *list)
{
	(void)arg;
	(void)list;
	return 1; /* the writer need not wait for the next one's digest */
}

static int digest_run(void *arg, struct store_req *list, struct why *why)
{
	struct store *store = arg;

	(void)why;
	for (; list != NULL; list = list->next)
		if (list->kind == REQ_PART_APPEND)
			digests_ahead(&store->digests, (struct store_part_append *)list);
	return 0;
}

static void digest_pass(void *arg, struct store_req *list)
{
	struct store *store = arg;

	while (list != NULL) {
		struct store_req *next = list->next;

		worker_submit(store->photos_worker, list);
		list = next;
	}
}

static unsigned reader_size(void *arg, const struct store_req *list)
{
	unsigned n = 0, fetches = 0;

	(void)arg;
	for (; list != NULL && n < READER_BATCH && fetches < READER_FETCHES; list = list->next, n++)
		fetches += list->kind == REQ_FETCH;
	return n;
}

static int reader_batch(void *arg, struct store_req *list, struct why *why)
{
	struct store *store = arg;

	(void)why;
	for (; list != NULL; list = list->next)
		reader_run(&store->reader, list);
	return 0;
}

static void photos_drop(void *arg, struct store_req *list)
{
	(void)arg;
	photos_discard(list);
}

/* ---- news from the other threads */

static void on_event(void *arg, const struct store_event *event)
{
	outbox_note(((struct store *)arg)->outbox, NOTE_EVENT, event);
}

static void on_unused(void *arg, uint64_t part)
{
	struct store_event event = { .part = part };

	outbox_note(((struct store *)arg)->outbox, NOTE_UNUSED, &event);
}

static void on_doomed(void *arg, uint64_t part)
{
	struct store_event event = { .part = part };

	outbox_note(((struct store *)arg)->outbox, NOTE_DOOMED, &event);
}

/* ---- open */

static int copy_conf(struct store *store, const struct store_conf *conf, struct why *why)
{
	store->conf = *conf;
	store->directory = strdup(conf->directory);
	store->node = strdup(conf->node == NULL ? "" : conf->node);
	if (store->directory == NULL || store->node == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	store->conf.directory = store->directory;
	store->conf.node = store->node;
	return 0;
}

static int open_items(struct store *store, uint64_t size, struct why *why)
{
	char dir[PATH_MAX];
	struct items_conf conf = { .dir = dir,
				   .size = size,
				   .store = &store->conf,
				   .event = on_event,
				   .unused = on_unused,
				   .arg = store };
	int n = snprintf(dir, sizeof(dir), "%s/items", store->directory);

	if (n < 0 || (size_t)n >= sizeof(dir))
		return why_set(why, NX_EARG, "the directory's name is too long");
	return items_open(&conf, &store->items, why);
}

/* the octets of the map that an environment of that size will have */
static uint64_t map_octets(const struct store *store, const char *name, uint64_t size)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	char dir[PATH_MAX];
	bool kept;

	snprintf(dir, sizeof(dir), "%.4000s/%s", store->directory, name);
	return marks_standing(size, page, env_octets(dir), &kept).map * page;
}

static bool is_there(const struct store *store, const char *name)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%.4000s/%s", store->directory, name);
	return env_octets(dir) > 0;
}

/* stories without photos are no store, but would keep their room, and their share of a size that
 * the next start is no longer asked for */
static void undo_items(struct store *store)
{
	struct store_state state = { 0 };

	items_state(store->items, &state);
	if (state.sequence_last > 0)
		return;
	items_close(&store->items);
	env_undo(store->directory, "items");
}

static int open_environments(struct store *store, struct why *why)
{
	uint64_t items = store->conf.size / 100 * store->conf.items_share_pct;
	struct photos_conf photos = { .parent = store->directory,
				      .size = store->conf.size - items,
				      .event = on_event,
				      .unused = on_unused,
				      .doomed = on_doomed,
				      .arg = store,
				      .taking = store->conf.taking,
				      .taking_arg = store->conf.arg };
	const struct env_want wants[] = {
		{ "items", map_octets(store, "items", items) },
		{ "photos", map_octets(store, "photos", photos.size) },
	};
	bool begins = !is_there(store, "items") && !is_there(store, "photos");
	int r = env_room(store->directory, wants, 2, why);

	if (r == 0)
		r = open_items(store, items, why);
	if (r < 0)
		return r;
	photos.items = items_db(store->items);
	r = photos_open(&photos, &store->photos, why);
	if (r < 0 && begins)
		undo_items(store);
	store->reader = (struct reader){
		.items = store->items, .photos = store->photos, .event = on_event, .arg = store
	};
	return r;
}

static int make_workers(struct store *store)
{
	const struct worker_conf items = { .name = "newsxd-items",
					   .size = items_size,
					   .batch = items_run,
					   .idle = items_idle,
					   .arg = store,
					   .outbox = store->outbox };
	const struct worker_conf photos = { .name = "newsxd-photos",
					    .size = photos_size,
					    .batch = photos_run,
					    .idle = photos_idle,
					    .discard = photos_drop,
					    .arg = store,
					    .outbox = store->outbox };
	const struct worker_conf digest = { .name = "newsxd-digest",
					    .size = digest_size,
					    .batch = digest_run,
					    .pass = digest_pass,
					    .discard = photos_drop,
					    .arg = store,
					    .outbox = store->outbox };
	const struct worker_conf reader = { .name = "newsxd-reader",
					    .size = reader_size,
					    .batch = reader_batch,
					    .drop_at_stop = true,
					    .arg = store,
					    .outbox = store->outbox };

	if (worker_new(&items, &store->items_worker) < 0 ||
	    worker_new(&digest, &store->digest_worker) < 0 ||
	    worker_new(&photos, &store->photos_worker) < 0)
		return NX_ENOMEM;
	return worker_new(&reader, &store->reader_worker);
}

static void to_items(void *arg, struct store_req *req)
{
	worker_submit(((struct store *)arg)->items_worker, req);
}

static void to_photos(void *arg, struct store_req *req)
{
	worker_submit(((struct store *)arg)->photos_worker, req);
}

/* deletions that a crash cut short go on where they were */
static int resume_deletions(struct store *store)
{
	const struct leases_conf conf = {
		.directory = store->directory, .items = to_items, .photos = to_photos, .arg = store
	};
	uint64_t *doomed = NULL;
	size_t n = 0;
	int r = leases_new(&conf, &store->leases);

	if (r == 0)
		r = items_doomed(store->items, &doomed, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		leases_resume(store->leases, doomed[i]);
	free(doomed);
	return r;
}

static int start_threads(struct store *store, struct why *why)
{
	int r = worker_start(store->items_worker, why);

	if (r == 0)
		r = worker_start(store->photos_worker, why);
	if (r == 0)
		r = worker_start(store->digest_worker, why);
	if (r == 0)
		r = worker_start(store->reader_worker, why);
	return r;
}

int store_open(const struct store_conf *conf, struct store **ret, struct why *why)
{
	struct store *store = calloc(1, sizeof(*store));
	int r = NX_ENOMEM;

	if (store == NULL)
		return why_set(why, r, "out of memory");
	store->lock_fd = -1;
	store->ticked_ms = INT64_MIN;
	r = copy_conf(store, conf, why);
	if (r == 0)
		r = lock_take(conf->directory, &store->lock_fd, why);
	if (r == 0 && (store->outbox = outbox_new(conf->wake, conf->arg)) == NULL)
		r = why_set(why, NX_ENOMEM, "out of memory");
	if (r == 0 && !conf->in_line)
		worker_tune_malloc();
	if (r == 0)
		r = open_environments(store, why);
	if (r == 0 && ((r = make_workers(store)) < 0 || (r = resume_deletions(store)) < 0))
		why_set(why, r, "%s: %s", conf->directory, nx_word(r));
	if (r == 0 && !conf->in_line)
		r = start_threads(store, why);
	if (r < 0) {
		store_close(&store);
		return r;
	}
	leases_run(store->leases, true);
	*ret = store;
	return 0;
}

/* ---- close */

void store_close(struct store **store)
{
	struct store *it = *store;

	if (it == NULL)
		return;
	worker_stop(it->reader_worker);
	worker_stop(it->items_worker);
	worker_stop(it->digest_worker); /* it passes on what it has */
	worker_stop(it->photos_worker);
	if (it->outbox != NULL)
		store_drop_finished(it);
	worker_free(&it->reader_worker);
	worker_free(&it->items_worker);
	worker_free(&it->digest_worker);
	worker_free(&it->photos_worker);
	digests_done(&it->digests);
	leases_free(&it->leases);
	photos_close(&it->photos);
	items_close(&it->items);
	outbox_free(&it->outbox);
	lock_drop(&it->lock_fd);
	free(it->directory);
	free(it->node);
	free(it);
	*store = NULL;
}
