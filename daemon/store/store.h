/*
 * store.h - what must outlive a power cut: the door of the room.
 *
 * Two LMDB environments (items, photos), a writer thread each, one that hashes photos on their way,
 * one reader thread. The loop queues requests and gets them back, done, in store_collect(); it
 * opens no transaction and never waits. A request is the caller's memory and must stand still until
 * done() is called with it; slices in it too. After a commit whose outcome is unsure no done() is
 * called any more: event STORE_FATAL says so, and the process ends with exit status 74; partners
 * offer again. Identity in the store is a number (partner, subscription), given by store_define().
 * Knows nothing of links or TLS. Thread: the loop's, for every function here. conf.in_line: no
 * threads, store_step() does the work (scenes).
 */
#pragma once
#include "news/facts.h"

#include <stdatomic.h>

struct store;

enum store_event_kind {
	STORE_RELEASED, /* held items got positions: .first to .last. Fetch them as backlog */
	STORE_EXPIRED,  /* debts given up by rule: .subscription, .name, .items, .octets, .first,
			   .last, .code */
	STORE_RETIRED,  /* .items, .octets: nobody is owed them and their keep is over */
	/* .sequence or .part is quarantined; or a row of .table at .key was damaged; .why says what
	 * was done */
	STORE_CORRUPT,
	STORE_STALLED, /* a commit has taken .ms so far (5 s): .code NX_EBUSY; again with .ms when
			  it is over: .code 0 */
	STORE_CLOCK,   /* embargo releases are stopped (.code NX_ECLOCK) or go on (.code 0); .why */
	STORE_NEAR_DEBT, /* .subscription at .percent of its backlog-size or backlog-age (50, 80) */
	STORE_VANISHED,  /* a subscription or partner that the configuration no longer has: frozen;
			    .why names it; daily */
	STORE_FORGOTTEN, /* it is forgotten: orphan-keep is over or the operator said so */
	STORE_SIZE, /* at the start: it is larger than what is asked for, and stays so: .octets,
		       .why */
	STORE_FILESYSTEM, /* at the start: it lies on a file system that was never tried: .why */
	STORE_HISTORY,    /* it fills the store and is shortened: .ms */
	/* .sequence was held and is never released: .code NX_ESUPERSEDED (by a newer version) or
	 * NX_EKILLED, .first the sequence of that; 0 = not known */
	STORE_OVERTAKEN,
	STORE_HELD_FAR, /* embargo further off than embargo-ahead: .sequence */
	STORE_FATAL,    /* outcome of a commit unsure, or the disk failed: exit 74. .why */
};
struct store_event {
	enum store_event_kind kind;
	uint32_t subscription;
	char name[NAME_MAX_ + 1]; /* its name: it may be in no configuration any more */
	uint64_t items, octets, first, last, sequence, part;
	unsigned percent;
	int64_t ms;
	int code;
	const char *table; /* NULL: none */
	char key[80];
	struct why why;
};
typedef void store_event_fn(const struct store_event *event, void *arg);
typedef void
store_wake_fn(void *arg); /* called by the other threads: then call store_collect() in the loop */

/* times and ceilings: what a reload may change */
struct store_times {
	int64_t keep_ms, orphan_keep_ms, history_keep_ms, embargo_ahead_ms, clock_jump_ms;
	uint64_t held_size;
	bool clock_ntp;
};

struct store_conf {
	const char *directory, *node;
	uint64_t size; /* sum of both environments */
	unsigned items_share_pct;
	struct store_times times;
	bool in_line;
	store_event_fn *event;
	store_wake_fn *wake;
	/* a new store, or one that grows, takes its room from the disk, which may last: so much of
	 * it is done. In store_open(), in the caller's thread. May be NULL */
	void (*taking)(void *arg);
	void *arg;
};
/*
 * store_open - takes the lock, creates what is not there (no power cut can brick it), checks the
 * format, starts the threads. returns  0; NX_ELOCKED; NX_EFORMAT (newer format, network file
 * system); NX_ECORRUPT; NX_EIO; NX_EFULL (cannot preallocate); NX_ENOMEM
 */
int store_open(const struct store_conf *conf, struct store **ret, struct why *why);
void store_close(struct store **store); /* finishes what is queued, without calling done() */
void store_collect(
	struct store *store); /* a done() may submit, lease and so on, but not store_close() */
bool store_step(struct store *store); /* in_line: do one batch of each worker; false = nothing was
					 waiting */
/* waits at most ms until something is finished (in_line: a step), then collects: at start, before
 * the loop runs */
bool store_wait(struct store *store, int64_t ms);
void store_tick(struct store *store, int64_t boot_ms, int64_t wall_ms, bool synchronised); /* each
	second or so: releases, expiry, retirement, clock rule, last wall time */
/* how long a writer has had something to do and not got on, as of the last tick; 0: both are well
 */
int64_t store_stuck_ms(const struct store *store, int64_t boot_ms);
void store_reload(struct store *store,
		  const struct store_conf *conf); /* its times; not size or directory */
void store_clock_ok(struct store *store);         /* the operator vouches for the clock */

#define CLOCK_SUSPECT INT64_MIN
struct store_state {
	uint64_t epoch, sequence_last, position_last;
	/* restored from a backup: the epoch it had and the last sequence in it; 0 = never */
	uint64_t restored_epoch, restored_sequence;
	uint64_t items_octets, items_used, photos_octets,
		photos_used;                    /* size and what stands in it */
	unsigned items_percent, photos_percent; /* of `size` (the first mark) */
	uint64_t held;
	/* how far the wall clock stood before the boot-time clock when the store last looked and
	 * trusted it; CLOCK_SUSPECT: it does not */
	int64_t clock_off_ms;
	unsigned queued_items, queued_photos; /* requests waiting: "the writer is behind" */
};
void store_state(const struct store *store, struct store_state *ret);
void store_usage_fake(struct store *store, unsigned items_percent,
		      unsigned photos_percent); /* scenes only; 0: no more */

/* ---- requests */
struct store_req;
typedef void store_done_fn(struct store_req *req, void *arg);
enum store_kind {
	REQ_PUT,
	REQ_SETTLE,
	REQ_LATER,
	REQ_OWE_AGAIN,
	REQ_DEFINE,
	REQ_FORGET, /* items writer */
	REQ_PART_BEGIN,
	REQ_PART_APPEND,
	REQ_PART_DROP, /* photos writer */
	REQ_CLAIM,
	REQ_FETCH,
	REQ_READ_PART,
	REQ_PART_FIND, /* reader */
	REQ_INTERNAL,  /* the room's own */
};
struct store_req { /* the first member of each request */
	enum store_kind kind;
	store_done_fn *done;
	void *arg;
	int code; /* 0, or why not */
	struct why why;
	bool urgent; /* flash, kills: before others */
	/* whose it is: partners take turns (queue.h). 0: nobody's; settlings, and what is owed
	 * again behind them, must keep one order */
	uint32_t partner;
	/* the caller's, at any time: nobody waits for what READ_PART or PART_FIND brings. One that
	 * has not begun brings nothing then, NX_ENOTOPEN: a row of them costs next to nothing */
	atomic_bool unwanted;
	struct store_req *next;
	uint64_t cost; /* the room's */
};
void store_submit(struct store *store, struct store_req *req);

/* only writer.c makes one, after the commit; without it there is nothing to acknowledge with */
struct receipt;
uint64_t receipt_sequence(const struct receipt *receipt);
uint64_t receipt_position(const struct receipt *receipt); /* 0: held, or superseded without one */
int64_t receipt_stored_ms(const struct receipt *receipt); /* wall */
enum result receipt_result(const struct receipt *receipt);
bool receipt_follows(const struct receipt *receipt); /* its story was known before */

struct store_part { /* a part of an item, complete in photos */
	uint64_t number, size;
	uint8_t sha256[32];
	struct slice name;
};
/*
 * PUT - an item, whole, its parts complete. code 0 and a receipt; or NX_ECONFLICT, NX_EORDER,
 * NX_EOTHERCHAN, NX_EKILLED, NX_EFULL, NX_EHELDFULL, NX_EKILLS, NX_EPARTSGONE (offer the parts
 * again: NEED), NX_ENOMEM. An identity already stored with the same content gives its old sequence
 * and RESULT_DUPLICATE; one that is still held RESULT_HELD, one that never goes
 * out because a newer one came first RESULT_SUPERSEDED. A kill: tombstone, older versions
 * settled and withdrawn, held ones never released, in this same commit.
 */
struct store_put {
	struct store_req req;      /* partner: whose link brought it */
	const struct facts *facts; /* origin and channel set */
	struct slice envelope, document;
	const struct store_part *parts;
	unsigned parts_n;
	unsigned kills_per_day;
	int64_t received_ms;           /* wall */
	const struct receipt *receipt; /* good in done() */
	bool urgent;                   /* the writer's: of what is kept for flashes, at the mark */
};
enum settle_how {
	SETTLE_ACKED,
	SETTLE_NEVER,
	SETTLE_SUPERSEDED,
	SETTLE_KILLED,
	SETTLE_SKIPPED,  /* did not match: no receipt */
	SETTLE_GIVEN_UP, /* lost or quarantined */
};
struct settle_run {
	uint32_t subscription;
	enum settle_how how;  /* of `last`; the positions from first to last-1 did not match */
	uint64_t first, last; /* positions */
	uint64_t sequence;    /* of last */
	int64_t at_ms;        /* wall: when the answer came */
	unsigned parts_n;     /* of its item: possession is written for each */
	bool kill;
};
/* what it dirties at most: leaves of owed and of receipts, and one of possession for each part,
 * each with its split */
static inline unsigned settle_pages(const struct settle_run *run)
{
	return 4 + (run->how == SETTLE_ACKED ? 2 * run->parts_n : 0);
}
struct store_settle {
	struct store_req req;
	struct settle_run *runs;
	unsigned n;
};
/* refused later: owed, not before that wall time. More than LATER_CEILING_MS ahead can only be a
 * clock that was set back since: then it is due now */
#define LATER_CEILING_MS (2 * 3600 * 1000LL)
struct store_later {
	struct store_req req;
	uint32_t subscription;
	uint64_t position;
	int64_t not_before_ms;
	unsigned attempts; /* out: how many times so far, this one included */
	bool kills_only;   /* out: as FETCH tells */
};
struct store_owe_again { /* a restored client: what it ACKed above `position` is owed again */
	struct store_req req;
	uint32_t subscription;
	uint64_t position;
	uint64_t items; /* out */
};
/* the configuration as the store sees it. Numbers are given by name, for ever. In_line or at start:
 * call store_step/collect. */
struct store_sub_def {
	const char *name, *partner, *renamed_from;
	const char *channels; /* patterns joined with '\n' */
	const char *filter;
	const char *rights; /* what the partner may read now, joined with '\n' */
	bool start_all;
	bool versions_all;
	int64_t backlog_age_ms;
	uint64_t backlog_size;
	uint32_t number; /* out */
};
struct store_partner_def {
	const char *name, *renamed_from;
	uint32_t number; /* out */
};
struct store_define {
	struct store_req req;
	struct store_partner_def *partners;
	unsigned partners_n;
	struct store_sub_def *subscriptions;
	unsigned subscriptions_n;
};
struct store_forget { /* the operator: newsxd --forget-subscription */
	struct store_req req;
	const char *name;
};
/* does a released item of this channel belong to the subscription now (its newest filter and
 * rights)? after store_define() */
bool store_match(const struct store *store, uint32_t subscription, struct slice channel);

/* parts on their way in. PART_FIND first. */
struct store_part_find {
	struct store_req req;
	uint8_t sha256[32];
	uint64_t size;
	/* out: */
	bool complete;   /* it stands here and this partner may count it as had: .number is leased
			    until store_unlease() */
	uint64_t number; /* of the complete one, or of this partner's partial; 0 = neither */
	uint64_t offset; /* committed octets of the partial */
};
struct store_part_begin { /* a partial of (partner, sha256). NX_EPARTIALS, NX_EFULL, NX_EBIGPART */
	struct store_req req;
	uint8_t sha256[32];
	uint64_t size;
	unsigned partials_max;
	uint64_t partials_octets_max; /* of the sizes of all that it has under way, this one
					 included */
	uint64_t number;              /* out */
	uint64_t offset;              /* out: committed octets, when it was begun before */
};
struct store_part_append { /* octets in order; at size the hash is checked. NX_EMISMATCH: the
			      partial is thrown away */
	struct store_req req;
	uint64_t number, offset;
	uint8_t *octets; /* malloc'ed, the request's: freed by the room when done with */
	size_t n;
	struct ahead *ahead; /* the room's own (digests.h) */
	uint64_t committed;  /* out: octets on disk */
	bool complete; /* out: verified; .number is now the number to put (perhaps another: the same
			  photo is stored once) and is leased */
};
struct store_part_drop {
	struct store_req req;
	uint64_t number;
};
void store_lease(struct store *store, uint64_t part);
void store_unlease(struct store *store, uint64_t part);

/* what a claim begins with */
struct store_claim {
	struct store_req req;
	uint32_t subscription;
	uint64_t epoch_position; /* unused by the store */
	/* out: */
	uint64_t owed_at_most, expired, acked_last, position_last, first_owed;
	bool kills_only; /* as FETCH tells */
};
/*
 * FETCH - the next items owed to a subscription, from a position on, in position order, of one
 * lane. Rows whose retry time is not over are passed by; their earliest time is told.
 */
#define FETCH_MAX 64
struct fetched {
	uint64_t position, sequence;
	uint64_t skip_first; /* positions skip_first..position-1 did not match: settle them with
				this one */
	enum settle_how
		verdict; /* SETTLE_ACKED = deliver; SUPERSEDED, KILLED, GIVEN_UP: settle at once */
	enum lane lane;
	bool kill, has_parts;
	bool follows; /* versions = all: there are other versions of its story, so order matters */
	unsigned attempts;
	uint8_t story[32]; /* facts_story_key */
	uint8_t *octets;   /* envelope, then document: malloc'ed; the caller takes it (sets NULL) or
			      store_fetch_done() frees */
	uint32_t envelope_n, document_n;
	struct store_part *parts; /* malloc'ed with names behind it; likewise */
	unsigned parts_n;
};
struct store_fetch {
	struct store_req req;
	uint32_t subscription;
	enum lane lane;
	uint64_t from, upto; /* positions; upto 0 = the end */
	unsigned items_max;  /* <= FETCH_MAX */
	size_t octets_max;   /* stop after the item that passes it */
	int64_t wall_ms;
	/* out: */
	struct fetched items[FETCH_MAX];
	unsigned n;
	uint64_t next;       /* continue from here */
	uint64_t skip_first; /* if != 0: skip_first..next-1 did not match: settle as SKIPPED */
	bool end;            /* nothing more up to upto (or the feed's end) */
	int64_t retry_at_ms; /* earliest not-before among rows passed by, INT64_MAX when none */
	bool kills_only; /* it has so many rows of debts that nothing but kills may be sent out of
			    turn */
};
void store_fetch_done(struct store_fetch *fetch);
struct store_read_part {
	struct store_req req;
	uint64_t number, offset;
	size_t n;        /* at most 256 KiB */
	uint8_t *octets; /* out: malloc'ed, the caller's; fewer than n only at the part's end.
			    Checksums verified: NX_EQUARANTINE */
	size_t got;
};

/* ---- without a daemon, or beside one (they do not take its lock) */
struct owed_line {
	const char *subscription, *partner;
	uint64_t items, octets;      /* exact */
	int64_t oldest_ms, acked_ms; /* wall; TIME_NONE */
	int64_t vanished_ms;         /* since when it is not in the configuration; or TIME_NONE */
};
int store_owed(const char *directory, void (*fn)(const struct owed_line *, void *), void *arg,
	       struct why *why);
/* reads everything: CRC, hashes, uses, owed, stories against items. fn gets one line per fault.
 * returns faults found or NX_E... */
int store_verify(const char *directory, void (*fn)(const char *words, void *), void *arg,
		 struct why *why);
