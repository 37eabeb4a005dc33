/*
 * fresh.h - stories that came lately. Private to the store room.
 *
 * A new story's two rows (its identity, the story itself) do not go to their random places in
 * `stories` at once: they are appended to `fresh` as one row, by the sequence of the story's first
 * item, and merged in the order of the keys when there are many. While they are there, what is in
 * `fresh` is the truth; a story stands in `fresh` at most once, and all that comes of it later
 * changes that row. Identities of its later items go to `stories` at once.
 *
 * Who has an item finds its story without memory of ours: the row at its sequence is the story's,
 * or says where that is. So a reader sees both tables as its transaction does. A key alone is found
 * through a mirror in the writer's memory, made from the rows when it is first needed.
 */
#pragma once
#include "store/items.h"
#include "store/meta.h"

#define FRESH_MOST 262144 /* rows of stories at most; merged from half of it on */
#define FRESH_NONE 1      /* items_conf.fresh_most: all go to `stories` at once */

/* ---- fresh_rows.c */

/* row "fresh" of meta: rows before `first` are merged and wait to be removed; those before `split`
 * are being merged, and whatever changes in them changes in `stories` too. split 0: none are */
struct fresh_marks {
	uint64_t first, split;
};
struct fresh_marks fresh_marks_get(struct txn *txn); /* damaged: NX_ECORRUPT in txn */
enum meta_state fresh_marks_parse(struct slice value, struct fresh_marks *ret);
struct fresh_marks fresh_marks_find(struct txn *txn); /* by what stands in both tables */
void fresh_marks_put(struct txn *txn, const struct fresh_marks *marks);

#define FRESH_ROW_MAX 256 /* octets of each of both rows */
struct fresh_row {
	uint64_t at; /* its sequence */
	bool merging;
	uint8_t story[32], identity[32];
	struct slice identity_row, story_row; /* as in `stories` */
};
/* the story's row of the item `sequence`. 1, 0 (there is none: look into `stories`), NX_ECORRUPT */
int fresh_get(struct txn *txn, uint64_t sequence, struct fresh_row *ret);
/* 1: a story's row; 0: it points to one; NX_ECORRUPT. at and merging are not set */
int fresh_parse(struct slice value, struct fresh_row *ret, uint64_t *ret_points);
void fresh_put(struct txn *txn, const struct fresh_row *row);
/* the story of the item `sequence` stands at `at` */
void fresh_point(struct txn *txn, uint64_t sequence, uint64_t at);

/* ---- fresh.c: the mirror. Thread: the items writer */
struct fresh_entry {
	uint64_t key, sequence; /* the first octets of the story's key */
};
struct fresh_mirror {
	struct fresh_entry *slots; /* sequence 0: free */
	size_t size, n;
};
struct fresh {
	struct fresh_mirror young, old; /* old: being merged */
	uint64_t secret;                /* so that nobody can choose where a key falls */
	unsigned most;
	bool loaded;
	bool trash;     /* rows before marks.first may be left */
	bool asked;     /* merge, however few they are */
	int64_t put_ms; /* boot time of the last one */
	struct fresh_entry *order;
	size_t order_n, order_at; /* the next one to merge */
};
/* so many rows at most in an environment of so many pages */
unsigned fresh_most(uint64_t pages);
/* what their merge will take: set aside, so that it takes no room from others when it comes */
uint64_t fresh_pages(const struct fresh *fresh);
/* the first to need it makes it, in the writer's thread: the start does not wait for it. Does
 * nothing when it is there. 0 or an error: then nothing may be put */
int fresh_load(struct items *items);
void fresh_free(struct items *items);
/* where the story may stand; 0: not in `fresh`. A guess: compare the row */
uint64_t fresh_guess(const struct items *items, const uint8_t story[32]);
/* may a new story go to `fresh`? Then fresh_add() cannot fail */
bool fresh_room(struct items *items, const uint8_t story[32]);
void fresh_add(struct items *items, const uint8_t story[32], uint64_t sequence);

/* ---- merge.c */
/* one bounded transaction. 1 = there is more, 0 = not, negative: fatal */
int items_merge(struct items *items);
