/*
 * store_priv.h - struct store, for the files of the door: store.c (open, close), collect.c
 * (requests) and tick.c (time, state).
 */
#pragma once
#include "store/items.h"
#include "store/leases.h"
#include "store/photos.h"
#include "store/reader.h"
#include "store/worker.h"

struct watch {         /* over a writer's commits */
	int64_t since; /* of the commit that was told to take long; 0 = none */
	int64_t ms;    /* what it has taken so far */
	uint64_t steps;
	int64_t moved_ms; /* when it last got on, or had nothing to do; 0 = not looked yet */
};
struct store {
	struct store_conf conf; /* directory and node are copies */
	char *directory, *node;
	int lock_fd;
	struct items *items;
	struct photos *photos;
	struct reader reader;
	struct leases *leases;
	struct outbox *outbox;
	struct worker *items_worker, *photos_worker, *reader_worker;
	struct worker *digest_worker; /* a stage before photos_worker */
	struct digests digests;       /* its own */
	bool fatal_told;
	int64_t ticked_ms;
	struct watch items_watch, photos_watch;
};
/* collect.c: lets go of what is finished without telling anybody */
void store_drop_finished(struct store *store);
