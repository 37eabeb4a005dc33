/*
 * verify.h - what the two halves of --verify-store share: a walk in slices, and a voice. Private to
 * the store room.
 *
 * Reads beside a running daemon: no transaction lasts longer than some hundred rows, so that the
 * daemon's file does not grow; what does not fit together is looked at once more, in new
 * transactions, before it is called a fault.
 */
#pragma once
#include "store/items.h"
#include "store/photos.h"

#define VERIFY_SLICE 256 /* rows */

struct verify {
	void (*fn)(const char *words, void *arg);
	void *arg;
	int faults;
	int r; /* reading itself failed */
	/* verify_part_of_item(): handed down, for those who are looked at once more */
	void (*again)(struct verify *verify, uint64_t part, uint64_t sequence, bool last_word);
	struct db *items_db, *photos_db;
	struct txn items, photos; /* of the slice; items is begun first */
	uint64_t sequence_last, position_last;
	struct {
		uint64_t part, sequence;
	} suspects[VERIFY_SLICE];
	unsigned suspects_n;
	uint32_t owed_subscription; /* the row before */
	uint64_t owed_last;
};
/* -- verify_walk.c */
void verify_fault(struct verify *verify, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
typedef void verify_row_fn(struct verify *verify, struct slice key, struct slice value);
void verify_items(struct verify *verify, unsigned table, verify_row_fn *fn);
void verify_photos(struct verify *verify, unsigned table, verify_row_fn *fn);
void verify_begin(struct verify *verify);
void verify_end(struct verify *verify);

void verify_all_meta(struct verify *verify);
void verify_all_items(struct verify *verify);
void verify_all_owed(struct verify *verify);
void verify_all_photos(struct verify *verify);
/* is the part there that an item uses? last_word: or is it a fault */
void verify_part_of_item(struct verify *verify, uint64_t part, uint64_t sequence, bool last_word);
