/*
 * tend.h - what expiry and retirement remember between their small steps: where they stand, so that
 * a pass over what is still owed does not begin anew each tick. Only hints: lost at a restart,
 * rebuilt by looking again.
 *
 * Private to the store room. Thread: the items writer.
 */
#pragma once
#include "store/items_priv.h"

/* photos are deleted by another thread, and readers need a moment: what goes is not seen at once */
#define MARK_WAIT_MS 5000

enum tend_walk { WALK_REST, WALK_ITEMS, WALK_HELD, WALK_STORIES, WALK_RECEIPTS };

struct tend_sub {
	uint32_t number;
	uint64_t look;    /* before it no debt is left but kills from `kill` on */
	uint64_t kill;    /* the first old kill that was passed; 0 = none */
	int64_t sized_ms; /* when the size was looked at; 0 = not yet */
	bool counting;
	uint64_t count_at, count_octets,
		count_total;        /* the exact count: next position, so far, the feed's total */
	uint64_t counted;           /* the last exact one ... */
	uint64_t counted_total;     /* ... when the feed's total was this; 0 = none */
	uint64_t excess, excess_at; /* octets to give up, and where that stands */
	bool excess_kills;          /* nothing else is left */
	/* brim.c, in octets of what is full: what it is owed; when it was weighed; what of that no
	 * other subscription of its partner that was weighed before it is owed too */
	uint64_t weight, weighed, own;
	unsigned warned[2]; /* percent told, by age and by size */
	int64_t warned_ms[2];
};

#define BRIM_SPAN 1024

struct brim {                         /* at the mark: brim.c */
	bool weighing, photos, kills; /* photos: it is they that are full */
	bool gave;                    /* something went since they were weighed */
	int64_t weighed_ms;           /* 0 = not yet */
	uint64_t span;                /* positions from here on are weighed; 0 = it begins */
	bool seen[BRIM_SPAN];         /* its partner is owed it by another subscription */
	unsigned rank;                /* the subscription that is being weighed, by partner */
	uint64_t at;                  /* and how far; then: positions before it were looked at */
	uint64_t heavy;               /* who is owed so much */
};

struct tend {
	/* retirement */
	uint64_t at;        /* the pass: positions before it are owed, or too young */
	uint64_t low, high; /* positions behind `at` that were settled since; low 0 = none */
	int64_t pass_ms;    /* when the last whole pass began */
	int64_t again_ms;   /* when it last went back for low..high */
	bool freed;         /* since expiry at the mark */
	enum tend_walk walk;
	int64_t walked_ms; /* when the last round of slow walks ended */
	uint64_t sequence;
	uint8_t story[32];
	bool story_more;
	struct receipts_place receipts;
	/* expiry */
	struct tend_sub *subs; /* by number */
	unsigned n, turn;
	bool wait;  /* debts went at the mark: what that frees is not seen before retirement ran */
	bool going; /* what then went is on its way out: retirement has not come to its end */
	int64_t mark_ms; /* when; or when the last of it was retired; or when the deletion of photos
			    was last seen to be held up */
	bool granted;    /* by another rule, since the mark's own last slice */
	struct brim brim;
	/* before debts go at the mark, all else went */
	int64_t marked_ms;  /* since when the store stands at the mark; 0 = it does not */
	bool clear;         /* retirement found nothing more that nobody is owed */
	bool bare;          /* the history cannot be shortened any further */
	bool looked;        /* the round saw all stories */
	int64_t history_ms; /* the history that is kept under pressure; 0 = as configured */
	int64_t oldest_ms;  /* the oldest that a round left; INT64_MAX = none */
};
struct tend *tend_of(struct items *items);        /* NULL: out of memory */
unsigned tend_percent(const struct items *items); /* the fuller of the two environments */
unsigned tend_items_percent(const struct items *items);
int64_t tend_now(const struct items *items,
		 int64_t wall_ms); /* no later than a trusted clock says */

/* the debts of one subscription that are still there and match, positions rising. Nothing is
 * written meanwhile */
struct debt {
	struct feed_row feed;
	uint64_t octets, text; /* text: envelope and document alone */
	int64_t released_ms;   /* of a damaged one: TIME_NONE */
	unsigned attempts;
};
struct debts {
	struct txn *txn;
	const struct sub *sub;
	struct filter_cache filters;
	struct cur rows, feed;
	uint64_t at, upto; /* next position; the last one */
	unsigned looked, most;
	bool kills; /* kills alone */
};
void debts_open(struct debts *debts, struct txn *txn, const struct sub *sub, uint64_t from,
		uint64_t upto, unsigned most);
void debts_close(struct debts *debts);
bool debts_next(struct debts *debts, struct debt *ret); /* false: at the end, or tired */
static inline bool debts_tired(const struct debts *debts)
{
	return debts->looked >= debts->most && debts->at <= debts->upto;
}

/* -- a step of expiry: expire.c, ceilings.c for size, brim.c for the mark */
#define EXPIRE_MAX 128 /* debts of a subscription in one transaction */

struct expiring {
	struct items *items;
	struct txn *txn;
	struct tend *tend;
	const struct subdir *subdir;
	const struct sub *sub;
	struct tend_sub *state;
	int64_t wall_ms, now_ms;
	uint64_t go[EXPIRE_MAX]; /* positions, rising */
	size_t n;
	unsigned left; /* positions that may still be looked at */
	bool more;
	bool gave; /* something went */
};
enum { BY_AGE, BY_SIZE };
/* good until the next call. NULL: out of memory */
struct tend_sub *expire_state(struct tend *tend, uint32_t number);
void expire_near(struct expiring *e, int by, uint64_t percent);
/* gives up e->go; rule: the setting or mark that it passed, for the log */
void expire_now(struct expiring *e, const char *rule);
/* what went makes room, but not at once: no more at the mark before that is seen */
void expire_wait(struct expiring *e);
void expire_debts(struct debts *debts, struct expiring *e, uint64_t from, uint64_t upto);
void expire_debts_end(struct debts *debts, struct expiring *e);
void expire_by_size(struct expiring *e);
void expire_at_mark(struct expiring *e);
