/* the door: requests go in, and come back finished; news of the other threads */
#include "store/store_priv.h"

#include <stdlib.h>

static struct worker *worker_of(const struct store *store, enum store_kind kind)
{
	switch (kind) {
	case REQ_PART_BEGIN:
	case REQ_PART_APPEND:
	case REQ_PART_DROP: /* all of them, or they would overtake each other */
		return store->digest_worker;
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
	worker_submit(worker_of(store, req->kind), req);
}

bool store_step(struct store *store)
{
	bool items = worker_turn(store->items_worker);
	bool digest = worker_turn(store->digest_worker);
	bool photos = worker_turn(store->photos_worker);
	bool reader = worker_turn(store->reader_worker);

	return items || digest || photos || reader;
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

/* the one that stood here may be on its way out since the writer looked: its octets come again */
static void appended(struct store *store, struct store_part_append *append)
{
	if (append->req.code < 0 || !append->complete)
		return;
	if (leases_going(store->leases, append->number))
		append->req.code = why_set(&append->req.why, NX_EPARTSGONE,
					   "the same photo is just being deleted here");
	else if (leases_take(store->leases, append->number) < 0)
		append->req.code = NX_ENOMEM;
	append->complete = append->req.code == 0;
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

/* finished, or not: nobody is told any more */
void store_drop_finished(struct store *store)
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

void store_lease(struct store *store, uint64_t part)
{
	leases_take(store->leases, part);
}

void store_unlease(struct store *store, uint64_t part)
{
	leases_give(store->leases, part);
	leases_run(store->leases, false);
}
