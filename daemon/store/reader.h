/*
 * reader.h - the requests that only read: what a worker's batch does with CLAIM, FETCH, READ_PART,
 * PART_FIND.
 *
 * Transactions of its own on both environments, begun for a request and ended with it: a reader
 * that stays keeps the writers from using freed pages again. Thread: the reader's.
 */
#pragma once
#include "store/items.h"
#include "store/photos.h"

struct reader {
	struct items *items;
	struct photos *photos;
	void (*event)(void *arg, const struct store_event *event);
	void *arg;
};
void reader_run(struct reader *reader, struct store_req *req);
/* the outputs of a request that nobody will be told of */
void reader_discard(struct store_req *req);
