/*
 * db.h - LMDB transactions that keep their first error; the only user of <lmdb.h>.
 *
 * Default durability: a txn_end() that returns 0 is on disk. Foreign codes are translated here,
 * once. Values are at most DB_VALUE_MAX octets: one page, for a larger one costs seconds in a
 * fragmented file. Integer keys are native u64, composite keys big-endian octets. One handle per
 * path in a process.
 * Threads: a write txn belongs to the thread that began it; MDB_NOTLS, so a read txn may move.
 */
#pragma once
#include "proto/err.h"

#define DB_VALUE_MAX 4080
#define DB_TABLES    20

struct db;
struct db_table {
	const char *name;
	bool integer; /* keys are native u64 */
};
struct db_conf {
	const struct db_table *tables; /* index = the table number used below */
	unsigned tables_n;
	uint64_t map_size; /* octets; a multiple of the page */
	bool read_only;    /* --owed, --verify-store: beside a running daemon */
	bool no_readahead;
};
/* dir exists. creates data.mdb when it is not there. returns 0, NX_EIO, NX_ENOMEM, NX_ECORRUPT
 * (LMDB does not know the file) */
int db_open(const char *dir, const struct db_conf *conf, struct db **ret, struct why *why);
void db_close(struct db **db);
int db_fd(const struct db *db);
struct db_usage {
	uint64_t page;                 /* octets */
	uint64_t pages_map, pages_end; /* in the map; ever used (high water) */
	uint64_t pages_free;           /* in the free list, those readers still see included */
};
int db_usage(struct db *db, struct db_usage *ret); /* begins a read txn of its own */
/*
 * db_copy - everything that one read transaction sees, as a data.mdb into fd (a pipe will do).
 * compact: without free pages; NX_ECORRUPT when LMDB's count of pages does not add up: then whole.
 * The transaction lasts as long as fd takes: what the writer frees meanwhile is not used again.
 */
int db_copy(struct db *db, int fd, bool compact, struct why *why);
int db_readers_clear(struct db *db); /* stale readers of dead processes */
/* the same, from a writer's idle step, every ten seconds: a --backup that was killed beside us
 * would keep every page that is freed from being used again. What fails is tried again */
void db_readers_look(struct db *db, int64_t boot_ms);

enum txn_mode { TXN_READ, TXN_WRITE };
struct txn {
	struct db *db;
	void *mdb; /* MDB_txn */
	int r;     /* first error; everything after it does nothing */
	bool wrote;
	enum txn_mode mode;
};
void txn_begin(struct txn *txn, struct db *db, enum txn_mode mode);
/*
 * commit (a read txn just ends).
 * returns  0           durable
 *          NX_EFULL    the map is full, nothing written; NX_ENOMEM likewise
 *          NX_EUNSURE  it may or may not be on disk: no answers, exit
 *          the first error of the txn, after aborting
 */
int txn_end(struct txn *txn);
void txn_abort(struct txn *txn);

/* values: get gives a slice into the map, good until the txn ends or writes */
bool txn_get(struct txn *txn, unsigned table, struct slice key, struct slice *ret);
void txn_put(struct txn *txn, unsigned table, struct slice key, struct slice value);
/* key is the highest */
void txn_append(struct txn *txn, unsigned table, struct slice key, struct slice value);
bool txn_del(struct txn *txn, unsigned table, struct slice key); /* was it there? */
uint64_t txn_entries(struct txn *txn, unsigned table);
/* every row goes; the leaves are not read, so what stands in them may be damaged */
void txn_clear(struct txn *txn, unsigned table);

struct cur {
	struct txn *txn;
	void *mdb;
	bool ok; /* key and value stand */
	struct slice key, value;
};
void cur_open(struct cur *cur, struct txn *txn, unsigned table);
void cur_close(struct cur *cur);
bool cur_first(struct cur *cur);
bool cur_last(struct cur *cur);
bool cur_seek(struct cur *cur, struct slice key); /* the first at or after key */
bool cur_next(struct cur *cur);
bool cur_prev(struct cur *cur);
void cur_del(struct cur *cur); /* the one it stands on; cur_next() then gives the one after it */

static inline struct slice key_u64(const uint64_t *key)
{
	return slice_of(key, sizeof(*key));
}
static inline uint64_t u64_of(struct slice s)
{
	uint64_t u = 0;

	if (s.n == sizeof(u))
		memcpy(&u, s.p, sizeof(u));
	return u;
}
