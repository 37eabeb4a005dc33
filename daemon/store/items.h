/*
 * items.h - the environment `items`, private to the store room: tables, keys, and who writes what.
 */
// clang-format off
/*
 *   table          key                                    value
 *   meta           name                                   "format" u32, "epoch" u64, "node", "wall" i64,
 *                                                         "restored": epoch u64, sequence u64 before that,
 *                                                         "copy" of these and "counters" (items_meta.h);
 *                                                         "counters", "kills:N", "held:N" of partner N,
 *                                                         "fresh": first u64, split u64 (fresh.h), these
 *                                                         and the copy with a checksum (meta.h)
 *   items          sequence (integer)                     record head + facts + parts + envelope +
 *                                                         document, first cut (records.c)
 *   bodies         sequence << 10 + chunk (integer)       the rest of that octet string, each row
 *                                                         4,076 octets + CRC32C
 *   feed           position (integer)                     sequence, lane, kill, running totals (feed.c)
 *   flash          position (integer)                     nothing
 *   stories        SHA-256 of the story | first half      story row | identity row (stories.c)
 *                  of that + half of the identity's
 *   fresh          sequence (integer)                     both rows of a new story, or where they
 *                                                         are (fresh_rows.c); the truth while there
 *   uses           part + sequence (big-endian u64)       nothing
 *   doomed         part number (integer)                  nothing
 *   had            part + partner (big-endian u64)        nothing
 *   subscriptions  number (big-endian u32) | names        definition | number
 *                  "p:NAME", "s:NAME"
 *   filters        subscription + generation (be u32)     channel patterns + filter text
 *   owed           subscription (be u32) + first          last position (UINT64_MAX = live tail), filter
 *                  position (be u64)                      generation, retry-not-before, attempts
 *   receipts       subscription (be u32) + first          packed run of (position, time, result)
 *                  position (be u64)
 *   held           release time + sequence (be u64)       nothing (release UINT64_MAX: withheld, no time)
 *
 * Files: records.c (cut, CRC, join), put.c with rules.c, stories.c, fresh*.c, merge.c, feed.c, held*.c (PUT, releases), owed.c (rows: add,
 * cut out, merge), settle.c, subs.c (DEFINE, FORGET, matching), fetch.c (CLAIM, FETCH in the reader), retire.c
 * (retention), expire.c, ceilings.c, brim.c (expiry), doom.c (parts on their way out), items.c and
 * items_txn.c (open, transactions), items_meta.c (rows of meta), mend*.c (damaged rows), batch.c.
 * Values that go to disk are packed by hand, little-endian, each with a version octet first; never a raw struct.
 */
// clang-format on
#pragma once
#include "store/db.h"
#include "store/store.h"

enum items_table {
	T_META,
	T_ITEMS,
	T_BODIES,
	T_FEED,
	T_FLASH,
	T_STORIES,
	T_USES,
	T_DOOMED,
	T_HAD,
	T_SUBSCRIPTIONS,
	T_FILTERS,
	T_OWED,
	T_RECEIPTS,
	T_HELD,
	T_FRESH,
	ITEMS_TABLES,
};
extern const struct db_table items_tables[ITEMS_TABLES];

enum item_state {
	ITEM_RELEASED = 1, /* has a position */
	ITEM_HELD = 2,     /* embargo or withheld */
	/* kept for items released before their parts; never committed by this version */
	ITEM_DOCUMENT = 3,
	/* an older version: never sent to versions = latest; position 0 when it was still held */
	ITEM_SUPERSEDED = 4,
	ITEM_KILLED = 5, /* a tombstone stands over it */
	ITEM_QUARANTINED = 6,
};
/* what the record says besides the octets; facts point into the buffer given to record_read() */
struct record {
	enum item_state state;
	enum lane lane;
	uint32_t partner;
	uint64_t sequence, position;
	int64_t stored_ms, received_ms, released_ms;
	uint8_t content[32], story[32], identity[32];
	uint32_t envelope_n, document_n;
	int64_t held_until_ms; /* ITEM_HELD: its key in `held`; INT64_MAX = withheld, no time */
	uint64_t octets; /* envelope, document and parts: its weight in feed totals and held-size */
	bool kill;
	unsigned parts_n;
	struct store_part *parts; /* malloc'ed with names behind it */
	struct facts facts;
	/* for record_write(): the octets of facts_write() when they are at hand; may be empty */
	struct slice facts_packed;
};
/* -- records.c: one octet string, cut into the items row and bodies. */
void record_write(struct txn *txn, const struct record *record, struct slice envelope,
		  struct slice document);
/* octets (envelope + document, malloc'ed) are read only if ret_octets != NULL. CRC checked:
 * NX_ECORRUPT. returns 0, NX_ENOENT ... */
int record_read(struct txn *txn, uint64_t sequence, struct record *ret, uint8_t **ret_octets);
/* the head alone, one row: no facts, no parts (parts_n is set, parts is NULL); nothing to free.
 * returns as record_read() */
int record_head(struct txn *txn, uint64_t sequence, struct record *ret);
void record_done(struct record *record);
void record_state(struct txn *txn, uint64_t sequence, enum item_state state, uint64_t position,
		  int64_t released_ms);
uint64_t record_remove(struct txn *txn, uint64_t sequence); /* pages freed, about */
/* for the marks: the worst case. head_n: facts and parts */
unsigned record_pages(size_t head_n, size_t envelope_n, size_t document_n);
/* octets that parts take in the head */
size_t record_parts_n(const struct store_part *parts, unsigned n);

/* -- feed rows (put.c writes, all read) */
struct items;
struct feed_row {
	uint64_t position, sequence;
	uint64_t total_items, total_octets; /* including this one; octets as record.octets */
	enum lane lane;
	bool kill;
};
/*
 * A damaged row is read from the item, which says its position under a checksum; when none does the
 * sequence is 0: something stands there, and nobody knows what. false: no row
 */
bool feed_get(struct txn *txn, uint64_t position, struct feed_row *ret);
bool feed_read(struct cur *cur, struct feed_row *ret); /* the one that the cursor stands on */
/* the writer's: and writes it anew, and tells */
bool feed_read_mend(struct items *items, struct cur *cur, struct feed_row *ret);
bool feed_parse(struct slice key, struct slice value, struct feed_row *ret);
/* gives the next position (items->count); flash row too */
uint64_t feed_append(struct items *items, struct txn *txn, const struct record *record);

/* -- stories.c */
struct story_row {
	uint64_t newest, newest_released; /* sequences; 0 = none */
	uint64_t kill;                    /* sequence of the tombstone; 0 = none */
	int64_t created_ms;               /* versioncreated of the newest */
	char version[VERSION_MAX + 1], channel[NAME_MAX_ + 1];
	int64_t stored_ms; /* of the last item that touched it */
	/* of the newest released one, when it is not the newest */
	char released_version[VERSION_MAX + 1];
	int64_t released_created_ms;
	/* the one version that is held (a newer one takes an older one out); 0 = none. Held kills
	 * are not told here */
	uint64_t held;
	uint64_t fresh; /* not in the row: where it stands in `fresh`; 0 = in `stories` */
};
/* sequence: of any item of the story, or what fresh_guess() says; 0: look into `stories` alone */
bool story_get(struct txn *txn, const uint8_t story[32], uint64_t sequence, struct story_row *ret);
/* where story_find() found it */
void story_put(struct txn *txn, const uint8_t story[32], const struct story_row *row);
/* is there another version of its story with a position before its own, for which fn (NULL: always)
 * says yes? Of very many versions of one story only some are looked at, and then the answer is yes
 */
typedef bool version_fn(const struct record *older, void *arg);
bool versions_before(struct txn *txn, const struct record *record, version_fn *fn, void *arg);
/* would this item be sent to a subscription now? ACKED = yes, SUPERSEDED, KILLED */
enum settle_how story_verdict(struct txn *txn, const struct record *record, bool versions_all);

/* -- the directory of partners and subscriptions: immutable, reference-counted, swapped by DEFINE;
 * any thread may hold one */
struct sub {
	uint32_t number, partner, generation;
	char name[NAME_MAX_ + 1], partner_name[NAME_MAX_ + 1];
	char *channels, *rights; /* '\n' joined; of the newest generation; rights now */
	bool versions_all, frozen;
	int64_t backlog_age_ms;
	uint64_t backlog_size;
};
struct subdir {
	unsigned n;
	struct sub *subs;     /* by number */
	unsigned *by_partner; /* where in subs: those of one partner follow each other */
	int refs;
};

/* -- items.c: the room's writer side, called by the items worker (or in line) */
struct items_conf {
	const char *dir; /* DIRECTORY/items */
	uint64_t size;
	/* times and ceilings; items copies what it needs at each reload */
	const struct store_conf *store;
	/* called in the writer's thread; the door passes it on */
	void (*event)(void *arg, const struct store_event *event);
	/* a part that no item uses any more: the door starts its deletion when it is not leased */
	void (*unused)(void *arg, uint64_t part);
	void *arg;
	unsigned fresh_most; /* 0: as many as there may be; a test chooses few (fresh.h) */
};
int items_open(const struct items_conf *conf, struct items **ret, struct why *why);
void items_close(struct items **items);
void items_reload(struct items *items, const struct store_conf *conf);
struct db *items_db(struct items *items);
/*
 * run a list of requests (linked by next, in order) in one transaction and commit; sets each one's
 * code and receipt. requests over a mark are left out with NX_EFULL before the first put; MAP_FULL
 * all the same: again without items, then items one a transaction. returns 0, or NX_EUNSURE /
 * NX_EIO: fatal, no done() for any of them
 */
int items_batch(struct items *items, struct store_req *list, int64_t boot_ms, int64_t wall_ms);
/* does the environment stand where the oldest debts go? Thread: the writer's */
bool items_at_mark(const struct items *items);
/* the door calls it for each PUT after its done(): the receipt is gone with it */
void items_receipt_free(struct store_put *put);
/* at most how many of `list` belong in one batch (256 requests, 1,000 pages; PUTs of one partner at
 * most 32 while others wait) */
unsigned items_batch_size(const struct items *items, const struct store_req *list);
/* one bounded transaction of releases, expiry, retirement ... returns 1 when there is more, 0 when
 * not, negative: fatal */
int items_maintain(struct items *items, int64_t boot_ms, int64_t wall_ms, bool synchronised);
void items_clock_ok(struct items *items, int64_t boot_ms, int64_t wall_ms); /* as they stand */
/* step (1) and (3) of deleting a part; requests of kind REQ_INTERNAL run through items_batch */
struct items_part_req {
	struct store_req req;
	uint64_t part;
	/* true: (1) write doomed, NX_EEXIST if a use stands; false: (3) remove doomed and had */
	bool doom;
};
int items_doomed(struct items *items, uint64_t **ret, size_t *ret_n); /* at start: resume at (2) */
/* thread: any. sets epoch, sequence_last, position_last, items_octets, items_used, items_percent,
 * held; leaves the rest */
void items_state(const struct items *items, struct store_state *ret);
void items_usage_fake(struct items *items, unsigned percent); /* scenes: 0 = the truth again */
/* thread: any. how full the photos stand: retirement shortens keep and expiry starts for them as
 * well */
void items_photos_percent(struct items *items, unsigned percent);
/* thread: any. photos that nobody uses wait to be deleted: no debt goes for more of them */
void items_photos_held_up(struct items *items, bool held_up);
struct subdir *items_subs(struct items *items); /* takes a reference; thread: any */
void subdir_free(struct subdir **subdir);

/* in the reader's thread, with its own read txn */
int items_claim(struct items *items, struct txn *txn, struct store_claim *claim);
int items_fetch(struct items *items, struct txn *txn, struct store_fetch *fetch);
bool items_had(struct txn *txn, uint64_t part, uint32_t partner);
bool items_is_doomed(struct txn *txn, uint64_t part);
uint64_t items_part_last(struct txn *txn); /* the highest number that a row names; 0 = none */

/* -- owed.c, settle.c, subs.c, retire.c, put.c, held.c: what items_batch and items_maintain call */
void items_put(struct items *items, struct txn *txn, struct store_put *put, int64_t wall_ms);
void items_settle(struct items *items, struct txn *txn, struct store_settle *settle,
		  int64_t wall_ms);
void items_later(struct items *items, struct txn *txn, struct store_later *later, int64_t wall_ms);
void items_owe_again(struct items *items, struct txn *txn, struct store_owe_again *again,
		     int64_t wall_ms);
void items_define(struct items *items, struct txn *txn, struct store_define *define,
		  int64_t wall_ms);
void items_forget(struct items *items, struct txn *txn, struct store_forget *forget,
		  int64_t wall_ms);
/* each in transactions of its own; 1 = there is more. held.c: items whose time has come */
int items_release(struct items *items, int64_t boot_ms, int64_t wall_ms, bool synchronised);
int items_expire(struct items *items, int64_t wall_ms);
int items_retire(struct items *items, int64_t wall_ms);
int items_vanished(struct items *items, int64_t wall_ms);
/* what is missing since then is told at the next tick, not when the day is over */
void items_vanished_news(struct items *items, int64_t wall_ms);
/* a kill settles what stands owed of the older versions: the verdict at fetch does it; nothing to
 * do at put */
