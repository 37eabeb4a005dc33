/*
 * photos.h - the environment `photos`, private to the store room: parts of items, whole or on their
 * way in.
 */
// clang-format off
/*
 *   table     key                                        value
 *   meta      name                                       "format" u32, "next" u64: the next part
 *                                                        number, "copy" of both (photos_meta.h)
 *   parts     part number (integer)                      part row: state, partner, size, octets so
 *                                                        far, hash, times
 *   index     SHA-256 + partner u32 (big-endian)         part number u64; partner 0 = complete
 *   chunks    part number << 17 + index (integer)        at most 4,076 octets + CRC32C of them
 *   partials  partner u32 + part number u64 (big-endian) size u64: what a partner has under way
 *   gone      part number (integer)                      nothing: its chunks are being deleted
 *
 * A part number is never given twice: the next one is in memory, and on disk with its part. Shifted
 * by 17 and not 16, because 65,536 chunks hold 254.75 MiB and a part may have 256. Values are
 * packed by hand, little-endian, with a version octet first. Files: parts.c (rows, BEGIN, DROP,
 * FIND), chunks.c (octets in and out), photos.c (open, batch), sweep.c (what happens with time:
 * chunks of deleted parts, old partials, orphans). Thread: the photos writer's, but photos_find,
 * photos_read (the reader's) and photos_state (any).
 */
// clang-format on
#pragma once
#include "store/db.h"
#include "store/digests.h"
#include "store/fair.h"
#include "store/store.h"

#include <stdatomic.h>

enum photos_table { P_META, P_PARTS, P_INDEX, P_CHUNKS, P_PARTIALS, P_GONE, PHOTOS_TABLES };
extern const struct db_table photos_tables[PHOTOS_TABLES];

#define PHOTOS_FORMAT  1
#define CHUNK_MAX      4076
#define CHUNK_SHIFT    17
#define PART_MAX       (256ull << 20)
#define APPEND_MAX     ((size_t)1 << 20)   /* octets of one request */
#define READ_MAX       ((size_t)256 << 10) /* likewise */
#define CHUNKS_A_TXN   440 /* deleted; with the leaves they lie in below 480 pages */
#define PAGES_BUSY     256 /* of a transaction while items wait */
#define PAGES_FREE     1000
#define PARTIAL_OLD_MS (7ll * 24 * 3600 * 1000)
#define ORPHAN_OLD_MS  (3600ll * 1000)

enum part_state { PART_PARTIAL = 1, PART_COMPLETE = 2, PART_DELETING = 3, PART_QUARANTINED = 4 };
struct part_row {
	enum part_state state;
	uint32_t partner; /* who sends or sent it */
	uint64_t size, committed;
	uint8_t sha256[32];
	int64_t begun_ms, touched_ms; /* wall; a complete one was last touched when it became so */
};
#define PART_ROW_LEN 70
/* 0, NX_ENOENT, NX_ECORRUPT, or the transaction's error */
int part_get(struct txn *txn, uint64_t number, struct part_row *ret);
bool part_parse(struct slice value, struct part_row *ret);
void part_put(struct txn *txn, uint64_t number, const struct part_row *row);
uint64_t part_find(struct txn *txn, const uint8_t sha256[32], uint32_t partner); /* 0 = none */
/* index and partials forget it, its chunks go with time */
void part_throw_away(struct txn *txn, uint64_t number, struct part_row *row);
void part_complete(struct txn *txn, uint64_t number, struct part_row *row, int64_t wall_ms);
/* big-endian keys */
#define INDEX_KEY_LEN   36
#define PARTIAL_KEY_LEN 12
void index_key(uint8_t key[INDEX_KEY_LEN], const uint8_t sha256[32], uint32_t partner);
void partial_key(uint8_t key[PARTIAL_KEY_LEN], uint32_t partner, uint64_t number);

/* -- chunks.c */
static inline uint64_t chunk_key(uint64_t number, uint64_t index)
{
	return number << CHUNK_SHIFT | index;
}
/* the octets of one chunk. returns 0, NX_ENOENT, NX_EQUARANTINE (checksum, or not n octets) */
int chunk_get(struct txn *txn, uint64_t number, uint64_t index, size_t n, struct slice *ret);
size_t chunk_len(uint64_t size, uint64_t index); /* of a part of that size so far */
/* writes them behind `committed` of row (which grows) */
int chunks_append(struct txn *txn, uint64_t number, struct part_row *row, struct slice octets);
/* runs fn over the first n octets */
int chunks_walk(struct txn *txn, uint64_t number, uint64_t n, void (*fn)(struct slice, void *),
		void *arg);
/* at most `most`; true when none is left */
bool chunks_delete(struct txn *txn, uint64_t number, unsigned most, unsigned *ret_n);
unsigned chunks_pages(size_t n); /* worst case of writing n octets, for the marks */

/* -- photos.c */
struct photos;
struct photos_conf {
	const char *parent; /* DIRECTORY: the folder photos/ is made in it */
	uint64_t size;
	struct db *items; /* read: who uses a part, what is doomed. Outlives photos */
	void (*event)(void *arg, const struct store_event *event);
	void (*unused)(void *arg, uint64_t part); /* an orphan */
	void (*doomed)(void *arg, uint64_t part); /* a deletion that somebody must go on with */
	void *arg;
	void (*taking)(void *arg); /* as in create.h */
	void *taking_arg;
};
int photos_open(const struct photos_conf *conf, struct photos **ret, struct why *why);
void photos_close(struct photos **photos);
struct db *photos_db(struct photos *photos);
unsigned photos_batch_size(const struct store_req *list, bool items_wait);
/* 0, or negative: fatal */
int photos_batch(struct photos *photos, struct store_req *list, int64_t wall_ms);
/* what the requests carry is freed */
void photos_discard(struct store_req *list);
/* 1 when there is more to do now, 0, negative: fatal */
int photos_maintain(struct photos *photos, int64_t wall_ms);
void photos_state(const struct photos *photos, struct store_state *ret);
void photos_usage_fake(struct photos *photos, int percent); /* -1: no more */

enum photos_verb {
	PHOTOS_DELETE,     /* step (2): chunks, then the part. Submit again while .more */
	PHOTOS_QUARANTINE, /* its octets are not what was sent: who offers it must send it again */
};
struct photos_req { /* kind REQ_INTERNAL */
	struct store_req req;
	enum photos_verb verb;
	uint64_t part;
	bool more; /* out */
};

/* the reader's, with its own transactions */
int photos_find(struct txn *txn, struct txn *items, struct store_part_find *find);
/* *ret_fresh: it is broken and that was not known yet */
int photos_read(struct txn *txn, struct store_read_part *read, bool *ret_fresh);
/* a part that may be put into an item: complete and of that size. For verify too */
bool photos_stands(struct txn *txn, uint64_t number);

/* -- inside */
struct photos {
	struct photos_conf conf;
	struct db *db;
	struct marks marks;
	_Atomic uint64_t used;    /* pages, as last counted and written since */
	_Atomic int fake_percent; /* -1: none */
	int64_t counted_ms;
	uint64_t pages;   /* of the batch that runs, worst case */
	struct fair fair; /* who took what is left, under pressure */
	struct digests digests;
	uint64_t next;      /* a part's number: never given twice, not by a transaction that failed
			       either */
	uint64_t walk_part; /* orphans: examined so far */
	uint8_t walk_partial[PARTIAL_KEY_LEN];
	int64_t doomed_ms; /* when doomed rows were last looked at */
	unsigned budget;   /* chunks that this transaction may still delete */
};
bool photos_room(struct photos *photos, enum mark mark, uint64_t pages);
/* may this partner begin a part of so many pages? */
bool photos_admit(struct photos *photos, uint32_t partner, uint64_t pages);
int photos_usage(struct photos *photos);
void parts_begin(struct photos *photos, struct txn *txn, struct store_part_begin *begin,
		 int64_t wall_ms);
void parts_append(struct photos *photos, struct txn *txn, struct store_part_append *append,
		  int64_t wall_ms);
void parts_drop(struct txn *txn, struct store_part_drop *drop);
void parts_internal(struct photos *photos, struct txn *txn, struct photos_req *req);
