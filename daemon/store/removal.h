/*
 * removal.h - one item and all that hangs on it goes: its octets, its place in the feed, its uses
 * of parts. And the slow walks that find what no feed shows. Private to the store room. Thread: the
 * items writer.
 */
#pragma once
#include "store/tend.h"

#define REMOVAL_ITEMS 200 /* in one transaction, and: */
#define REMOVAL_PAGES 480 /* freed by it: beyond, its own free list would need a run of pages */

struct removal {
	struct items *items;
	struct txn *txn;
	uint64_t pages, items_n, octets, first, last;
};

uint64_t removal_pages(const struct record *record); /* about, without its uses */
void removal_item(struct removal *removal, uint64_t sequence,
		  uint64_t position); /* position 0: it has none */
void removal_tell(const struct removal *removal);

/* one bounded step of one walk; a round an hour, and one after the other while the stories press:
 * each leaves a shorter history. keep_ms: what was stored before it has outlived its keep */
void walk_step(struct removal *removal, struct tend *tend, int64_t now_ms, int64_t keep_ms);
bool walk_presses(const struct items *items, const struct tend *tend); /* go on at once */
