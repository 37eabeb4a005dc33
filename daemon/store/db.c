#include "store/db.h"

#include "base/fault.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READERS_MAX 512
/* LMDB's own: the list of free pages, the table of tables, and two meta pages */
#define FREE_TABLE 0
#define MAIN_TABLE 1
#define META_PAGES 2

struct db {
	MDB_env *env;
	MDB_dbi dbi[DB_TABLES];
	bool there[DB_TABLES]; /* a read-only opener may meet a store that has fewer tables */
	unsigned tables_n;
	bool integer[DB_TABLES];
	bool read_only;
	int64_t looked_ms; /* boot time: when readers that died were last let go */
	dev_t dev;
	ino_t ino;
	bool listed;
	struct db *next;
};

#define READERS_EACH_MS 10000

/*
 * The folders that are open in this process. LMDB accepts a second handle on one file without a
 * word, and closing it drops the first one's lock; so this is the one list that must
 * be known to the whole process.
 */
static struct {
	pthread_mutex_t lock;
	struct db *first;
} opened = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int list_add(struct db *db, const char *dir, struct why *why)
{
	struct stat st;
	int r = 0;

	if (stat(dir, &st) < 0)
		return why_set(why, NX_EIO, "%s: %s", dir, strerror(errno));
	db->dev = st.st_dev;
	db->ino = st.st_ino;
	pthread_mutex_lock(&opened.lock);
	for (const struct db *o = opened.first; o != NULL; o = o->next)
		if (o->dev == db->dev && o->ino == db->ino)
			r = NX_ELOCKED;
	if (r == 0) {
		db->next = opened.first;
		opened.first = db;
		db->listed = true;
	}
	pthread_mutex_unlock(&opened.lock);
	return r == 0 ? 0 : why_set(why, r, "%s is open in this process already", dir);
}

static void list_remove(struct db *db)
{
	if (!db->listed)
		return;
	pthread_mutex_lock(&opened.lock);
	for (struct db **at = &opened.first; *at != NULL; at = &(*at)->next)
		if (*at == db) {
			*at = db->next;
			break;
		}
	pthread_mutex_unlock(&opened.lock);
}

/* the one border at which LMDB's codes and errno become ours */
static int from_mdb(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return 0;
	case MDB_NOTFOUND:
		return NX_ENOENT;
	case MDB_KEYEXIST:
		return NX_EEXIST;
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case MDB_BAD_TXN: /* what a MAP_FULL leaves behind in its transaction */
		return NX_EFULL;
	case ENOMEM:
		return NX_ENOMEM;
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
	case MDB_INCOMPATIBLE:
		return NX_ECORRUPT;
	case MDB_BAD_VALSIZE:
	case EINVAL:
		return NX_EARG;
	default:
		return NX_EIO;
	}
}

static int open_env(struct db *db, const char *dir, const struct db_conf *conf)
{
	unsigned flags = MDB_NOTLS;
	int rc = mdb_env_create(&db->env);

	if (conf->read_only)
		flags |= MDB_RDONLY;
	if (conf->no_readahead)
		flags |= MDB_NORDAHEAD;
	if (rc == 0)
		rc = mdb_env_set_maxdbs(db->env, DB_TABLES);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(db->env, READERS_MAX);
	if (rc == 0 && conf->map_size > 0)
		rc = mdb_env_set_mapsize(db->env, conf->map_size);
	if (rc == 0)
		rc = mdb_env_open(db->env, dir, flags, 0600);
	return rc;
}

static int open_table(struct db *db, MDB_txn *txn, unsigned i, const struct db_table *table)
{
	unsigned flags = table->integer ? MDB_INTEGERKEY : 0;
	int rc;

	if (!db->read_only)
		flags |= MDB_CREATE;
	rc = mdb_dbi_open(txn, table->name, flags, &db->dbi[i]);
	db->there[i] = rc == 0;
	db->integer[i] = table->integer;
	return rc == MDB_NOTFOUND && db->read_only ? 0 : rc;
}

static int open_tables(struct db *db, const struct db_conf *conf)
{
	MDB_txn *txn = NULL;
	int rc = mdb_txn_begin(db->env, NULL, conf->read_only ? MDB_RDONLY : 0, &txn);

	if (rc == MDB_MAP_RESIZED && mdb_env_set_mapsize(db->env, 0) == 0)
		rc = mdb_txn_begin(db->env, NULL, conf->read_only ? MDB_RDONLY : 0, &txn);
	if (rc != 0)
		return rc;
	for (unsigned i = 0; rc == 0 && i < conf->tables_n; i++)
		rc = open_table(db, txn, i, &conf->tables[i]);
	if (rc == 0)
		rc = mdb_txn_commit(txn); /* a read one too: only so do the handles stay */
	else
		mdb_txn_abort(txn);
	return rc;
}

/* LMDB opens its data file without it */
static int close_on_exec(struct db *db)
{
	int fd = db_fd(db);
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFD);

	return flags < 0 || fcntl(fd, F_SETFD, flags | FD_CLOEXEC) < 0 ? errno : 0;
}

/* LMDB makes lock.mdb for whoever comes first; when root looks into the store of another user
 * before its daemon does, that one must be able to open it too */
static void give_lock_to_owner(const char *dir)
{
	char path[4096];
	struct stat st;

	if (geteuid() != 0 || stat(dir, &st) < 0 ||
	    snprintf(path, sizeof(path), "%s/lock.mdb", dir) >= (int)sizeof(path))
		return;
	if (lchown(path, st.st_uid, st.st_gid) < 0)
		return; /* that daemon will say so */
}

int db_open(const char *dir, const struct db_conf *conf, struct db **ret, struct why *why)
{
	struct db *db = calloc(1, sizeof(*db));
	int r, rc;

	assert(conf->tables_n <= DB_TABLES);
	if (db == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	db->tables_n = conf->tables_n;
	db->read_only = conf->read_only;
	r = list_add(db, dir, why);
	if (r < 0)
		goto out;
	rc = open_env(db, dir, conf);
	if (rc == 0)
		give_lock_to_owner(dir);
	if (rc == 0)
		rc = close_on_exec(db);
	if (rc == 0)
		rc = open_tables(db, conf);
	if (rc != 0) {
		r = why_set(why, from_mdb(rc), "%s/data.mdb: %s", dir, mdb_strerror(rc));
		goto out;
	}
	*ret = db;
	db = NULL; /* the caller's now */
out:
	db_close(&db);
	return r;
}

void db_close(struct db **db)
{
	if (*db == NULL)
		return;
	if ((*db)->env != NULL)
		mdb_env_close((*db)->env);
	list_remove(*db);
	free(*db);
	*db = NULL;
}

int db_fd(const struct db *db)
{
	mdb_filehandle_t fd = -1;

	return mdb_env_get_fd(db->env, &fd) == 0 ? fd : -1;
}

static int add_pages(MDB_txn *txn, MDB_dbi dbi, uint64_t *sum)
{
	MDB_stat stat;
	int rc = mdb_stat(txn, dbi, &stat);

	if (rc == 0)
		*sum += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
	return rc;
}

/* every page up to the end is a meta page, in a tree, or free; so nobody need read the long free
 * list */
static int count_used(const struct db *db, MDB_txn *txn, uint64_t *ret)
{
	int rc = add_pages(txn, FREE_TABLE, ret);

	if (rc == 0)
		rc = add_pages(txn, MAIN_TABLE, ret);
	for (unsigned i = 0; rc == 0 && i < db->tables_n; i++)
		if (db->there[i])
			rc = add_pages(txn, db->dbi[i], ret);
	return rc;
}

int db_usage(struct db *db, struct db_usage *ret)
{
	uint64_t used = META_PAGES;
	MDB_envinfo info;
	MDB_stat stat;
	struct txn txn;

	*ret = (struct db_usage){ .page = 4096 };
	txn_begin(&txn, db, TXN_READ);
	if (txn.r < 0)
		return txn.r;
	mdb_env_info(db->env, &info);
	mdb_env_stat(db->env, &stat);
	ret->page = stat.ms_psize;
	ret->pages_map = info.me_mapsize / stat.ms_psize;
	ret->pages_end = info.me_last_pgno + 1;
	txn.r = from_mdb(count_used(db, txn.mdb, &used));
	ret->pages_free = used < ret->pages_end ? ret->pages_end - used : 0;
	return txn_end(&txn);
}

int db_copy(struct db *db, int fd, bool compact, struct why *why)
{
	int rc = mdb_env_copyfd2(db->env, fd, compact ? MDB_CP_COMPACT : 0);

	return rc == 0 ? 0 : why_set(why, from_mdb(rc), "copying: %s", mdb_strerror(rc));
}

int db_readers_clear(struct db *db)
{
	int dead = 0;

	return from_mdb(mdb_reader_check(db->env, &dead));
}

void db_readers_look(struct db *db, int64_t boot_ms)
{
	if (boot_ms - db->looked_ms < READERS_EACH_MS)
		return;
	db->looked_ms = boot_ms;
	(void)db_readers_clear(db);
}

void txn_begin(struct txn *txn, struct db *db, enum txn_mode mode)
{
	unsigned flags = mode == TXN_READ ? MDB_RDONLY : 0;
	MDB_txn *mdb = NULL;
	int rc;

	*txn = (struct txn){ .db = db, .mode = mode };
	if (FAULT("db.begin")) {
		txn->r = NX_ENOMEM;
		return;
	}
	rc = mdb_txn_begin(db->env, NULL, flags, &mdb);
	/* beside a daemon that was restarted with a larger size; alone in this process, so that no
	 * other reads now */
	if (rc == MDB_MAP_RESIZED && db->read_only && mdb_env_set_mapsize(db->env, 0) == 0)
		rc = mdb_txn_begin(db->env, NULL, flags, &mdb);
	txn->r = from_mdb(rc);
	txn->mdb = mdb;
}

void txn_abort(struct txn *txn)
{
	if (txn->mdb != NULL)
		mdb_txn_abort(txn->mdb);
	txn->mdb = NULL;
}

/* ENOMEM came back from a commit: did it come before the first write? If so the last transaction on
 * disk is not ours */
static bool surely_not_stored(struct db *db, size_t id)
{
	MDB_txn *probe;
	bool before;

	if (mdb_txn_begin(db->env, NULL, MDB_RDONLY, &probe) != 0)
		return false; /* PANIC: the meta page's own write failed */
	before = mdb_txn_id(probe) < id;
	mdb_txn_abort(probe);
	return before;
}

static int commit(struct txn *txn)
{
	size_t id = mdb_txn_id(txn->mdb);
	int rc;

	if (FAULT("db.commit")) {
		txn_abort(txn);
		return NX_EUNSURE;
	}
	rc = mdb_txn_commit(txn->mdb);
	txn->mdb = NULL;
	if (FAULT("db.committed"))
		return NX_EUNSURE;
	if (rc == 0)
		return 0;
	if (rc == MDB_MAP_FULL || rc == MDB_BAD_TXN)
		return NX_EFULL;
	if (rc == ENOMEM && surely_not_stored(txn->db, id))
		return NX_ENOMEM;
	return NX_EUNSURE;
}

int txn_end(struct txn *txn)
{
	if (txn->r == 0 && txn->mode == TXN_WRITE)
		txn->r = commit(txn);
	else
		txn_abort(txn);
	return txn->r;
}

static MDB_val val_of(struct slice s)
{
	return (MDB_val){ .mv_size = s.n, .mv_data = (void *)s.p };
}

static struct slice of_val(MDB_val v)
{
	return slice_of(v.mv_data, v.mv_size);
}

/* may this transaction go on, with that table and a key of its kind? */
static bool ready(const struct txn *txn, unsigned table, struct slice key)
{
	assert(table < txn->db->tables_n);
	assert(!txn->db->integer[table] || key.n == sizeof(uint64_t));
	(void)key;
	return txn->r == 0 && txn->db->there[table];
}

bool txn_get(struct txn *txn, unsigned table, struct slice key, struct slice *ret)
{
	MDB_val k = val_of(key), v;
	int rc;

	*ret = (struct slice){ 0 };
	if (!ready(txn, table, key))
		return false;
	rc = mdb_get(txn->mdb, txn->db->dbi[table], &k, &v);
	if (rc == 0)
		*ret = of_val(v);
	else if (rc != MDB_NOTFOUND)
		txn->r = from_mdb(rc);
	return rc == 0;
}

static void put(struct txn *txn, unsigned table, struct slice key, struct slice value,
		unsigned flags)
{
	MDB_val k = val_of(key), v = val_of(value);

	assert(value.n <= DB_VALUE_MAX);
	assert(txn->mode == TXN_WRITE);
	if (!ready(txn, table, key))
		return;
	txn->wrote = true;
	if (FAULT("db.put"))
		txn->r = NX_EFULL;
	else
		txn->r = from_mdb(mdb_put(txn->mdb, txn->db->dbi[table], &k, &v, flags));
}

void txn_put(struct txn *txn, unsigned table, struct slice key, struct slice value)
{
	put(txn, table, key, value, 0);
}

void txn_append(struct txn *txn, unsigned table, struct slice key, struct slice value)
{
	put(txn, table, key, value, MDB_APPEND);
}

bool txn_del(struct txn *txn, unsigned table, struct slice key)
{
	MDB_val k = val_of(key);
	int rc;

	assert(txn->mode == TXN_WRITE);
	if (!ready(txn, table, key))
		return false;
	txn->wrote = true;
	rc = mdb_del(txn->mdb, txn->db->dbi[table], &k, NULL);
	if (rc != 0 && rc != MDB_NOTFOUND)
		txn->r = from_mdb(rc);
	return rc == 0;
}

uint64_t txn_entries(struct txn *txn, unsigned table)
{
	MDB_stat stat;
	int rc;

	if (txn->r < 0 || !txn->db->there[table])
		return 0;
	rc = mdb_stat(txn->mdb, txn->db->dbi[table], &stat);
	if (rc != 0)
		txn->r = from_mdb(rc);
	return rc == 0 ? stat.ms_entries : 0;
}

void txn_clear(struct txn *txn, unsigned table)
{
	assert(txn->mode == TXN_WRITE);
	if (txn->r < 0 || !txn->db->there[table])
		return;
	txn->wrote = true;
	txn->r = from_mdb(mdb_drop(txn->mdb, txn->db->dbi[table], 0));
}

void cur_open(struct cur *cur, struct txn *txn, unsigned table)
{
	MDB_cursor *mdb = NULL;

	*cur = (struct cur){ .txn = txn };
	assert(table < txn->db->tables_n);
	if (txn->r < 0 || !txn->db->there[table])
		return;
	txn->r = from_mdb(mdb_cursor_open(txn->mdb, txn->db->dbi[table], &mdb));
	cur->mdb = mdb;
}

void cur_close(struct cur *cur)
{
	if (cur->mdb != NULL)
		mdb_cursor_close(cur->mdb);
	cur->mdb = NULL;
	cur->ok = false;
}

static bool move(struct cur *cur, struct slice to, MDB_cursor_op op)
{
	MDB_val k = val_of(to), v = { 0 };
	int rc;

	cur->ok = false;
	if (cur->mdb == NULL || cur->txn->r < 0)
		return false;
	rc = mdb_cursor_get(cur->mdb, &k, &v, op);
	if (rc != 0 && rc != MDB_NOTFOUND)
		cur->txn->r = from_mdb(rc);
	if (rc != 0)
		return false;
	cur->key = of_val(k);
	cur->value = of_val(v);
	cur->ok = true;
	return true;
}

bool cur_first(struct cur *cur)
{
	return move(cur, (struct slice){ 0 }, MDB_FIRST);
}

bool cur_last(struct cur *cur)
{
	return move(cur, (struct slice){ 0 }, MDB_LAST);
}

bool cur_seek(struct cur *cur, struct slice key)
{
	return move(cur, key, MDB_SET_RANGE);
}

bool cur_next(struct cur *cur)
{
	return move(cur, (struct slice){ 0 }, MDB_NEXT);
}

bool cur_prev(struct cur *cur)
{
	return move(cur, (struct slice){ 0 }, MDB_PREV);
}

void cur_del(struct cur *cur)
{
	if (cur->mdb == NULL || cur->txn->r < 0 || !cur->ok)
		return;
	cur->ok = false;
	cur->txn->wrote = true;
	cur->txn->r = from_mdb(mdb_cursor_del(cur->mdb, 0));
}
