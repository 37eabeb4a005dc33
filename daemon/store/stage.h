/*
 * stage.h - a store is made ready beside the one that stands, then the two change places at once.
 * Private to the store room.
 *
 * DIRECTORY.restoring is made ready and has a mark in it; after the exchange the old store lies
 * there, without one, and is then named DIRECTORY.before-TIME. Whatever a crash leaves, what has
 * the mark is half and may go, what has none is somebody's store and is kept.
 */
#pragma once
#include "store/copies.h"

struct stage {
	char directory[COPY_PATH], fresh[COPY_PATH];
	int lock, backup_lock; /* of the store that stands: no daemon runs, and no backup of it */
};
/* takes the locks. returns 0; NX_ELOCKED: a daemon or a backup runs; ... */
int stage_begin(struct stage *stage, const char *directory, struct why *why);
/* only what an interrupted one left: half a store goes, an old one is set aside, as ret_before; ""
 * when there is none. returns as stage_begin(); no lock is taken where nothing was left */
int stage_clear(const char *directory, char ret_before[COPY_PATH], struct why *why);
/* fresh becomes the store. ret_before: where the old one lies; "" when there was none.
 * returns  0; STAGE_UNTIDY: it has, but it is not on disk for sure, or the old one could not be set
 *          aside: words in why; below 0: it has not */
enum { STAGE_UNTIDY = 1 };
int stage_swap(struct stage *stage, int64_t wall_ms, char ret_before[COPY_PATH], struct why *why);
/* always at the end: drops the locks; when not swapped, what was made ready goes */
void stage_end(struct stage *stage);
