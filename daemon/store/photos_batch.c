/* the photos writer's batches: how much goes together, and what is run again alone */
#include "store/photos.h"

#include <stdlib.h>

static unsigned pages_of(const struct store_req *req)
{
	if (req->kind == REQ_PART_APPEND)
		return chunks_pages(((const struct store_part_append *)req)->n);
	return req->kind == REQ_INTERNAL ? 32 : 16;
}

unsigned photos_batch_size(const struct store_req *list, bool items_wait)
{
	unsigned most = items_wait ? PAGES_BUSY : PAGES_FREE, pages = 0, n = 0;

	for (; list != NULL; list = list->next, n++) {
		pages += pages_of(list);
		if (n > 0 && pages > most)
			break;
	}
	return n;
}

static void run_one(struct photos *photos, struct txn *txn, struct store_req *req, int64_t wall_ms)
{
	req->code = 0;
	switch (req->kind) {
	case REQ_PART_BEGIN:
		parts_begin(photos, txn, (struct store_part_begin *)req, wall_ms);
		break;
	case REQ_PART_APPEND:
		parts_append(photos, txn, (struct store_part_append *)req, wall_ms);
		break;
	case REQ_PART_DROP:
		parts_drop(txn, (struct store_part_drop *)req);
		break;
	case REQ_INTERNAL:
		parts_internal(photos, txn, (struct photos_req *)req);
		break;
	default:
		req->code = NX_EARG;
	}
	photos->pages += pages_of(req);
}

static int run_list(struct photos *photos, struct store_req *list, int64_t wall_ms)
{
	struct txn txn;

	photos->budget = CHUNKS_A_TXN;
	photos->pages = 0;
	txn_begin(&txn, photos->db, TXN_WRITE);
	for (struct store_req *req = list; req != NULL && txn.r == 0; req = req->next)
		run_one(photos, &txn, req, wall_ms);
	if (txn_end(&txn) < 0)
		return txn.r;
	atomic_fetch_add(&photos->used, photos->pages);
	photos->pages = 0;
	return 0;
}

/* nothing was written, and the same may go well with less of it */
static bool may_run_again(int r)
{
	return r == NX_EFULL || r == NX_ENOMEM;
}

static int run_alone(struct photos *photos, struct store_req *req, int64_t wall_ms)
{
	struct store_req *next = req->next;
	int r;

	if (req->kind == REQ_PART_APPEND) /* the first run may have given it another's number */
		((struct store_part_append *)req)->number = req->cost;
	req->next = NULL;
	r = run_list(photos, req, wall_ms);
	req->next = next;
	if (!may_run_again(r))
		return r;
	req->code = r;
	if (req->kind == REQ_PART_APPEND) {
		struct store_part_append *append = (struct store_part_append *)req;

		append->number = req->cost;
		append->complete = false;
		append->committed = append->offset;
	} else if (req->kind == REQ_PART_BEGIN) {
		((struct store_part_begin *)req)->number = 0;
	} else if (req->kind == REQ_INTERNAL) {
		((struct photos_req *)req)->more = true;
	}
	return 0;
}

int photos_batch(struct photos *photos, struct store_req *list, int64_t wall_ms)
{
	int r;

	for (struct store_req *req = list; req != NULL; req = req->next)
		if (req->kind == REQ_PART_APPEND)
			req->cost = ((struct store_part_append *)req)->number;
	r = run_list(photos, list, wall_ms);
	if (may_run_again(r)) {
		r = 0;
		for (struct store_req *req = list; req != NULL && r == 0; req = req->next)
			r = run_alone(photos, req, wall_ms);
	}
	if (r == 0)
		photos_discard(list);
	return r;
}

void photos_discard(struct store_req *list)
{
	for (; list != NULL; list = list->next) {
		struct store_part_append *append = (struct store_part_append *)list;

		if (list->kind != REQ_PART_APPEND)
			continue;
		free(append->octets);
		append->octets = NULL;
		ahead_free(&append->ahead);
	}
}
