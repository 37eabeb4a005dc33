/*
 * items_priv.h - what the writer's files of `items` share: struct items, its counters, the rules of
 * a batch.
 *
 * A handler (items_put, items_settle ...) works in the batch's transaction and sets its request's
 * code. It must look before it leaps: everything that may refuse comes before its first put, for
 * the other requests of the batch stay in the transaction. What it changes in memory must be undone
 * when the transaction does not commit: numbers in items->count are restored by the batch; events,
 * unused parts and a new subdir are handed to the functions below, which keep them until the commit
 * is durable. Thread: the items writer, but where it says otherwise.
 */
#pragma once
#include "store/clockrule.h"
#include "store/create.h"
#include "store/fair.h"
#include "store/fresh.h"
#include "store/items.h"
#include "store/marks.h"
#include "store/owed.h"

#include <pthread.h>
#include <stdatomic.h>

#define ITEMS_FORMAT 2 /* 2: the table `fresh` */

/* the row "counters" of meta, written with every commit that changes it */
struct items_count {
	uint64_t sequence_last, position_last; /* never given twice, whatever is retired */
	uint64_t total_items, total_octets;    /* of the feed, as in its last row */
	uint64_t held;                         /* rows in T_HELD */
};
bool count_get(struct txn *txn, struct items_count *ret); /* false: not there, or damaged */
void count_put(struct txn *txn, const struct items_count *count);

struct items_note { /* waits for the commit */
	struct store_event event;
	uint64_t unused_part; /* != 0: this instead of the event */
	struct items_note *next;
};

struct items {
	struct db *db;
	char node[NAME_MAX_ + 1];
	uint64_t epoch, restored_epoch, restored_sequence;
	struct store_times times; /* the writer's copy, taken from times_next by items_now() */
	struct marks marks;
	struct items_count count;        /* with what the open transaction does */
	struct items_count count_before; /* as last committed */
	struct clockrule clock;
	int64_t boot_ms, wall_ms; /* of this batch */
	int64_t wall_stored_ms;   /* the row "wall"; TIME_NONE = none */
	bool wall_written;        /* by the open transaction */
	uint64_t used_pages;      /* after the last commit */
	struct fair fair;         /* who took what is left, at the mark */
	struct fair urgent;       /* who took what is kept for flashes: no routine item's room */
	struct receipt *drafts;   /* what the puts of this transaction will be answered with */
	struct items_note *notes, **notes_end;
	struct subdir *subs_next; /* what DEFINE or FORGET made; becomes subs at the commit */

	void (*event)(void *arg, const struct store_event *event);
	void (*unused)(void *arg, uint64_t part);
	void *arg;

	pthread_mutex_t lock; /* over what is below: any thread */
	struct subdir *subs;
	struct store_times times_next;
	/* somebody vouched for the clock when it stood so far from the boot-time clock: it may have
	 * jumped since. INT64_MIN: nobody did */
	_Atomic int64_t clock_ok_off;
	atomic_uint used_fake_percent; /* scenes; 0 = none */
	atomic_bool damaged;           /* a reader met a row of owed that cannot be right */
	atomic_uint photos_percent;    /* of the other environment: items_photos_percent() */
	atomic_bool photos_held_up;    /* ... items_photos_held_up() */
	struct {
		_Atomic uint64_t sequence_last, position_last, used_octets, size_octets, held;
		_Atomic int64_t clock_off_ms;
		_Atomic unsigned percent;
	} shown; /* for items_state() */

	int64_t mend_from_ms;        /* mend.c: not before */
	struct fresh fresh;          /* fresh.c, merge.c */
	struct tend *tend;           /* tend.c */
	struct vanishing *vanishing; /* vanished.c */
};
void meta_u64(struct txn *txn, const char *name, uint64_t u); /* items_meta.c */
/* items_state.c */
bool items_wall_due(const struct items *items);
void items_show(struct items *items);
int items_look_at_usage(struct items *items);

void tend_free(struct items *items); /* tend.c */
int subs_load(struct items *items);  /* subs.c: at open, reads the rows and sets items->subs */

/* mend_meta.c: at open, first of all: epoch, counters and the like, mended when they are damaged.
 * returns 0; NX_EFORMAT; as txn_end() */
int items_meta_open(struct items *items, struct why *why);
/* of a running daemon, from what it knows. NX_ECORRUPT in txn: only a start can */
void items_mend_meta(struct items *items, struct txn *txn);

/*
 * mend.c: at open, before anybody reads them: rows of subscriptions, filters and owed that cannot
 * be right are made so that nothing that may be owed is lost, and each is told. Room for them is
 * what settling has
 */
int items_mend(struct items *items);
int items_mend_running(struct items *items); /* from what the daemon knows; meta too */
/*
 * mend_met.c: the same when the writer met such a row later: not twice a minute, so that what
 * cannot be mended is not tried for ever. returns 0; NX_ECORRUPT: it was not the time, or in vain;
 * as txn_end()
 */
bool items_mend_due(const struct items *items, int64_t boot_ms);
int items_mend_met(struct items *items, int64_t boot_ms);
/* when a reader met one. In vain: told once, and the others go on */
int items_mend_damaged(struct items *items, int64_t boot_ms);

/* -- items.c: the time of what follows; takes reloaded times, judges the clock */
void items_now(struct items *items, int64_t boot_ms, int64_t wall_ms, bool synchronised);
/* when it is a minute old: in a transaction of its own */
int items_store_wall(struct items *items);
/* items_txn.c: a transaction of one's own (release, expiry, retirement). items_end() commits, then
 * tells events and shows counters; when it does not commit, everything in memory is as before.
 * returns as txn_end() */
void items_begin(struct items *items, struct txn *txn);
int items_end(struct items *items, struct txn *txn);
/* told after the commit; forgotten when there is none. Out of memory: txn->r */
void items_note(struct items *items, struct txn *txn, const struct store_event *event);
void items_note_unused(struct items *items, struct txn *txn, uint64_t part);
/* a damaged row: what was done about it */
void items_note_mended(struct items *items, struct txn *txn, const char *table, const char *key,
		       const char *format, ...) __attribute__((format(printf, 5, 6)));
/* as this transaction sees them; not referenced: good until items_end() */
struct subdir *items_subs_now(struct items *items);
/* takes subs over; it is seen by others once the transaction is durable */
void items_subs_set(struct items *items, struct subdir *subs);
/* is there room for so many pages of settling and retiring? of items? */
bool items_room(const struct items *items, enum mark mark, uint64_t pages);
/* pages in use above the mark where debts go; 0 = below it */
uint64_t items_zone(const struct items *items);
/* how many are left up to the mark, when so many more are used */
uint64_t items_left(const struct items *items, enum mark mark, uint64_t pages);
/* ... of what is kept for flashes */
uint64_t items_left_urgent(const struct items *items, uint64_t pages);

/* -- stories.c: the rows of T_STORIES as they stand; retire.c walks them by age */
struct identity_row {
	uint64_t sequence, position; /* position 0: none was given when it was stored */
	int64_t stored_ms;
	uint8_t content[32];
	char channel[NAME_MAX_ + 1];
};
enum story_kind { STORY_BAD = 0, STORY_IDENTITY = 1, STORY_STORY = 2 };
enum story_kind stories_kind(struct slice value);
bool identity_parse(struct slice value, struct identity_row *ret);
bool story_parse(struct slice value, struct story_row *ret);
/* 1 found, 0 not there, NX_ECORRUPT: this row cannot be read (the transaction goes on). sequence:
 * as for story_get() */
int identity_find(struct txn *txn, const uint8_t identity[32], uint64_t sequence,
		  struct identity_row *ret);
int story_find(struct txn *txn, const uint8_t story[32], uint64_t sequence, struct story_row *ret);
void identity_put(struct txn *txn, const uint8_t identity[32], const struct identity_row *row);
/* both rows of a new story, into `fresh`, by record's keys and sequence */
void story_put_new(struct txn *txn, const struct record *record,
		   const struct identity_row *identity, const struct story_row *story);

/* -- held.c: the row in T_HELD and the sums of its partner */
void held_add(struct items *items, struct txn *txn, const struct record *record);
/* takes it out; the caller writes the record's new state. record: at least from record_head() */
void held_remove(struct items *items, struct txn *txn, const struct record *record);

/* -- held_sum.c: those sums; NX_ECORRUPT in txn when one is damaged */
struct held_sum {
	uint64_t octets, items;
};
struct held_sum held_sum_get(struct txn *txn, uint32_t partner);
void held_sum_put(struct txn *txn, uint32_t partner, struct held_sum sum);
uint64_t held_octets(struct txn *txn, uint32_t partner);
#define HELD_KIND "held:" /* the rows' names in meta, before the partner's number */
enum meta_state held_sum_state(struct slice key, struct slice value);
void held_sums_anew(struct txn *txn); /* by the rows of T_HELD, when there are none in meta */

/* -- batch.c: what a request dirties at most, and what each transaction does besides: branches,
 * rows of meta, LMDB's own */
uint64_t items_worst_pages(const struct store_req *req);
#define BATCH_PAGES 64

/* -- put.c: the worst case in pages, and what it likely dirties */
unsigned put_pages(const struct store_put *put);
unsigned put_pages_likely(const struct store_put *put);

/* -- doom.c: parts that are being deleted */
void items_doom(struct items *items, struct txn *txn, struct items_part_req *req);
