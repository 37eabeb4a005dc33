#include "store/store_priv.h"

#include "base/clock.h"
#include "store/lock.h"
#include "store/receipt.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define READER_BATCH 8 /* answers of 256 KiB are not kept back for many others */

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

	return r < 0 ? why_set(why, r, "items: the outcome of a commit is not known") : 0;
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

static unsigned reader_size(void *arg, const struct store_req *list)
{
	(void)arg;
	(void)list;
	return READER_BATCH;
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

static int open_environments(struct store *store, struct why *why)
{
	uint64_t items = store->conf.size / 100 * store->conf.items_share_pct;
	struct photos_conf photos = { .parent = store->directory,
				      .size = store->conf.size - items,
				      .event = on_event,
				      .unused = on_unused,
				      .doomed = on_doomed,
				      .arg = store };
	int r = open_items(store, items, why);

	if (r < 0)
		return r;
	photos.items = items_db(store->items);
	r = photos_open(&photos, &store->photos, why);
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
	const struct worker_conf reader = { .name = "newsxd-reader",
					    .size = reader_size,
					    .batch = reader_batch,
					    .drop_at_stop = true,
					    .arg = store,
					    .outbox = store->outbox };

	if (worker_new(&items, &store->items_worker) < 0 ||
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

/* ---- requests */

struct worker *store_worker_of(const struct store *store, enum store_kind kind)
{
	switch (kind) {
	case REQ_PART_BEGIN:
	case REQ_PART_APPEND:
	case REQ_PART_DROP:
		return store->photos_worker;
	case REQ_CLAIM:
	case REQ_FETCH:
	case REQ_READ_PART:
	case REQ_PART_FIND:
		return store->reader_worker;
	default:
		return store->items_worker;
	}
}

void store_submit(struct store *store, struct store_req *req)
{
	req->code = 0;
	worker_submit(store_worker_of(store, req->kind), req);
}

bool store_step(struct store *store)
{
	bool items = worker_turn(store->items_worker);
	bool photos = worker_turn(store->photos_worker);
	bool reader = worker_turn(store->reader_worker);

	return items || photos || reader;
}

static void found(struct store *store, struct store_part_find *find)
{
	if (find->req.code < 0 || !find->complete)
		return;
	/* a part whose deletion has begun is as good as gone */
	if (leases_going(store->leases, find->number))
		find->complete = false;
	else if (leases_take(store->leases, find->number) < 0)
		find->req.code = NX_ENOMEM;
	if (!find->complete || find->req.code < 0) {
		find->complete = false;
		find->number = find->offset = 0;
	}
}

static void appended(struct store *store, struct store_part_append *append)
{
	if (append->req.code == 0 && append->complete &&
	    leases_take(store->leases, append->number) < 0)
		append->req.code = NX_ENOMEM;
}

/* what a request carries that was the room's */
static void let_go(struct store_req *req)
{
	if (req->kind == REQ_PUT)
		items_receipt_free((struct store_put *)req);
}

static void finished(struct store *store, struct store_req *req)
{
	const struct receipt *receipt = NULL;

	if (req->kind == REQ_PART_FIND)
		found(store, (struct store_part_find *)req);
	else if (req->kind == REQ_PART_APPEND)
		appended(store, (struct store_part_append *)req);
	else if (req->kind == REQ_PUT)
		receipt = ((struct store_put *)req)->receipt;
	req->next = NULL;
	if (req->done != NULL)
		req->done(req, req->arg); /* it may be gone after this */
	free((struct receipt *)receipt);
}

static void quarantined(struct store_req *req, void *arg)
{
	(void)arg;
	free(req);
}

static void quarantine(struct store *store, uint64_t part)
{
	struct photos_req *req = calloc(1, sizeof(*req));

	if (req == NULL) /* the next one who reads it says so again */
		return;
	req->req = (struct store_req){ .kind = REQ_INTERNAL, .done = quarantined };
	req->verb = PHOTOS_QUARANTINE;
	req->part = part;
	worker_submit(store->photos_worker, &req->req);
}

static void noted(struct store *store, const struct note *note)
{
	if (note->kind == NOTE_UNUSED) {
		leases_unused(store->leases, note->event.part);
	} else if (note->kind == NOTE_DOOMED) {
		leases_resume(store->leases, note->event.part);
	} else {
		if (note->event.kind == STORE_CORRUPT && note->event.part != 0)
			quarantine(store, note->event.part);
		store->conf.event(&note->event, store->conf.arg);
	}
}

static void tell_fatal(struct store *store, const struct why *why)
{
	struct store_event event = { .kind = STORE_FATAL, .code = why->code, .why = *why };

	if (store->fatal_told)
		return;
	store->fatal_told = true;
	store->conf.event(&event, store->conf.arg);
}

void store_collect(struct store *store)
{
	struct store_req *list, *req;
	struct note *notes, *note;
	struct why why;
	bool fatal;

	outbox_take(store->outbox, &list, &notes);
	fatal = outbox_is_fatal(store->outbox, &why);
	while ((req = list) != NULL && !fatal) {
		list = req->next;
		finished(store, req);
	}
	while ((note = notes) != NULL) {
		notes = note->next;
		if (!fatal)
			noted(store, note);
		free(note);
	}
	if (fatal)
		tell_fatal(store, &why);
	else
		leases_run(store->leases, false);
}

bool store_wait(struct store *store, int64_t ms)
{
	bool there;

	if (store->conf.in_line)
		there = store_step(store);
	else
		there = outbox_wait(store->outbox, ms);
	store_collect(store);
	return there;
}

/* ---- close */

/* finished, or not: nobody is told any more */
static void drop_rest(struct store *store)
{
	struct store_req *list, *req;
	struct note *notes, *note;

	outbox_take(store->outbox, &list, &notes);
	while ((req = list) != NULL) {
		list = req->next;
		let_go(req);
		reader_discard(req);
		if (req->done == quarantined)
			free(req);
	}
	while ((note = notes) != NULL) {
		notes = note->next;
		free(note);
	}
}

void store_close(struct store **store)
{
	struct store *it = *store;

	if (it == NULL)
		return;
	worker_stop(it->reader_worker);
	worker_stop(it->items_worker);
	worker_stop(it->photos_worker);
	if (it->outbox != NULL)
		drop_rest(it);
	worker_free(&it->reader_worker);
	worker_free(&it->items_worker);
	worker_free(&it->photos_worker);
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

void store_lease(struct store *store, uint64_t part)
{
	leases_take(store->leases, part);
}

void store_unlease(struct store *store, uint64_t part)
{
	leases_give(store->leases, part);
	leases_run(store->leases, false);
}
