/* what a store says of itself, and the copy of it */
#include "store/copies.h"

#include "base/fault.h"
#include "store/items_priv.h"
#include "store/photos.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

const char *const copy_names[COPY_ENVS] = { "items", "photos" };

static uint32_t format_of(struct txn *txn, unsigned meta)
{
	struct slice value;

	if (!txn_get(txn, meta, slice_str("format"), &value) || value.n != 4)
		return 0;
	return unpack_u32(value.p);
}

static void look_items(struct txn *txn, struct copy_facts *ret)
{
	struct items_count count;
	struct slice value;

	ret->items_format = format_of(txn, T_META);
	if (!count_get(txn, &count) && txn->r == 0)
		txn->r = NX_ECORRUPT;
	ret->sequence = count.sequence_last;
	ret->position = count.position_last;
	if (txn_get(txn, T_META, slice_str("epoch"), &value) && value.n == 8)
		ret->epoch = unpack_u64(value.p);
	if (txn_get(txn, T_META, slice_str("node"), &value) && value.n < sizeof(ret->node)) {
		memcpy(ret->node, value.p, value.n);
		ret->node[value.n] = '\0';
	}
}

static int open_env(const char *dir, int env, struct db **ret, struct why *why)
{
	struct db_conf conf = { .tables = env == COPY_ITEMS ? items_tables : photos_tables,
				.tables_n = env == COPY_ITEMS ? ITEMS_TABLES : PHOTOS_TABLES,
				.read_only = true,
				.no_readahead = env == COPY_PHOTOS };
	char path[COPY_PATH];
	int r = path_join(path, dir, "/", copy_names[env], why);

	if (r == 0 && access(path, F_OK) < 0)
		return why_set(why, errno == ENOENT ? NX_ENOENT : NX_EIO, "%s: %s", path,
			       errno == ENOENT ? "there is no store" : strerror(errno));
	return r < 0 ? r : db_open(path, &conf, ret, why);
}

static int look_env(struct db *db, int env, const char *dir, struct copy_facts *ret,
		    struct why *why)
{
	struct txn txn;

	txn_begin(&txn, db, TXN_READ);
	if (env == COPY_ITEMS)
		look_items(&txn, ret);
	else
		ret->photos_format = format_of(&txn, P_META);
	return txn_end(&txn) < 0 ? why_set(why, txn.r, "%s/%s: cannot be read: %s", dir,
					   copy_names[env], nx_word(txn.r))
				 : 0;
}

static int judge(const char *dir, int env, const struct copy_facts *facts, bool older_ok,
		 struct why *why)
{
	char what[COPY_PATH];
	int r = path_join(what, dir, "/", copy_names[env], why);

	if (r < 0)
		return r;
	return env == COPY_ITEMS
		       ? format_check(what, facts->items_format, ITEMS_FORMAT, older_ok, why)
		       : format_check(what, facts->photos_format, PHOTOS_FORMAT, older_ok, why);
}

int copies_look(const char *dir, bool older_ok, struct copy_facts *ret, struct why *why)
{
	struct db *db = NULL;
	int r = 0;

	*ret = (struct copy_facts){ .taken_ms = TIME_NONE };
	for (int env = 0; r == 0 && env < COPY_ENVS; env++) {
		r = open_env(dir, env, &db, why);
		if (r == 0)
			r = look_env(db, env, dir, ret, why);
		if (r == 0)
			r = judge(dir, env, ret, older_ok, why);
		db_close(&db);
	}
	return r;
}

/* ---- the copy. LMDB writes into a pipe, in a thread; the file, its pace and its faults are ours
 */

struct source {
	struct db *db;
	int fd;
	bool compact;
	int r;
	struct why why;
};

static void *read_env(void *arg)
{
	struct source *source = arg;
	sigset_t pipe;

	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE); /* we close the other end when the disk is full */
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	source->r = db_copy(source->db, source->fd, source->compact, &source->why);
	close(source->fd);
	return NULL;
}

static int copy_once(struct db *db, bool compact, struct pump *pump, struct why *why)
{
	struct source source = { .db = db, .compact = compact };
	pthread_t thread;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return copies_failed(why, "pipe", pump->path);
	pump->in = fds[0];
	source.fd = fds[1];
	if (pthread_create(&thread, NULL, read_env, &source) != 0) {
		close(fds[0]);
		close(fds[1]);
		return why_set(why, NX_ENOMEM, "%s: no thread for the copy", pump->path);
	}
	r = pump_run(pump, why);
	close(fds[0]); /* after a fault of ours LMDB's next write fails, and it ends */
	pthread_join(thread, NULL);
	if (r == 0 && source.r < 0)
		r = why_set(why, source.r, "%s: %s", pump->path, source.why.words);
	return r;
}

static int copy_env(struct db *db, const char *to, int env, uint64_t rate, struct copy_facts *ret,
		    struct why *why)
{
	char folder[COPY_PATH], path[COPY_PATH];
	struct pump pump = { .path = path, .rate = rate };
	int r = path_join(folder, to, "/", copy_names[env], why);

	if (r == 0)
		r = path_join(path, folder, "/", "data.mdb", why);
	if (r == 0)
		r = folder_make(folder, why);
	if (r == 0)
		r = copy_once(db, true, &pump, why);
	if (r ==
	    NX_ECORRUPT) { /* pages were leaked once: with them, then; verifying has the word */
		unlink(path);
		r = copy_once(db, false, &pump, why);
	}
	if (r == 0)
		r = folder_sync(folder, why);
	ret->octets[env] = pump.octets;
	memcpy(ret->sha256[env], pump.sha256, SHA256_LEN);
	return r;
}

int copies_take(const char *dir, const char *to, uint64_t rate, struct copy_facts *ret,
		struct why *why)
{
	struct db *db = NULL;
	int r = 0;

	for (int env = 0; r == 0 && env < COPY_ENVS; env++) {
		(void)FAULT(env == COPY_ITEMS ? "copy.items" : "copy.photos");
		r = open_env(dir, env, &db, why);
		if (r == 0)
			r = copy_env(db, to, env, rate, ret, why);
		db_close(&db);
	}
	return r;
}
