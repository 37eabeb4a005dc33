#include "store/reader.h"

#include <inttypes.h>
#include <stdlib.h>

static int find(struct reader *reader, struct store_part_find *find)
{
	struct txn photos, items;
	int r;

	/* items first: what is had there is complete in photos, which is looked at later */
	txn_begin(&items, items_db(reader->items), TXN_READ);
	txn_begin(&photos, photos_db(reader->photos), TXN_READ);
	r = items.r < 0 ? items.r : photos.r;
	if (r == 0)
		r = photos_find(&photos, &items, find);
	txn_end(&photos);
	txn_end(&items);
	return r;
}

static void tell_corrupt(struct reader *reader, uint64_t part)
{
	struct store_event event = { .kind = STORE_CORRUPT, .part = part, .code = NX_EQUARANTINE };

	why_set(&event.why, NX_EQUARANTINE, "part %" PRIu64 ": checksum", part);
	reader->event(reader->arg, &event);
}

static int read_part(struct reader *reader, struct store_read_part *read)
{
	bool fresh = false;
	struct txn txn;
	int r;

	txn_begin(&txn, photos_db(reader->photos), TXN_READ);
	r = txn.r < 0 ? txn.r : photos_read(&txn, read, &fresh);
	txn_end(&txn);
	if (fresh)
		tell_corrupt(reader, read->number);
	return r;
}

static int of_items(struct reader *reader, struct store_req *req)
{
	struct txn txn;
	int r;

	txn_begin(&txn, items_db(reader->items), TXN_READ);
	r = txn.r;
	if (r == 0 && req->kind == REQ_CLAIM)
		r = items_claim(reader->items, &txn, (struct store_claim *)req);
	else if (r == 0)
		r = items_fetch(reader->items, &txn, (struct store_fetch *)req);
	txn_end(&txn);
	return r;
}

static bool is_unwanted(struct store_req *req)
{
	return (req->kind == REQ_READ_PART || req->kind == REQ_PART_FIND) &&
	       atomic_load(&req->unwanted);
}

void reader_run(struct reader *reader, struct store_req *req)
{
	if (is_unwanted(req)) {
		req->code = NX_ENOTOPEN;
		return;
	}
	switch (req->kind) {
	case REQ_CLAIM:
	case REQ_FETCH:
		req->code = of_items(reader, req);
		break;
	case REQ_READ_PART:
		req->code = read_part(reader, (struct store_read_part *)req);
		break;
	case REQ_PART_FIND:
		req->code = find(reader, (struct store_part_find *)req);
		break;
	default:
		req->code = NX_EARG;
	}
}

void reader_discard(struct store_req *req)
{
	struct store_read_part *read = (struct store_read_part *)req;

	if (req->kind == REQ_FETCH)
		store_fetch_done((struct store_fetch *)req);
	if (req->kind != REQ_READ_PART)
		return;
	free(read->octets);
	read->octets = NULL;
	read->got = 0;
}
