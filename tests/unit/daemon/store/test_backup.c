/* copies: beside a store that works, back again under a new epoch, and what stands in between */
#include "flushes.h"
#include "store_fixture.h"

#include "store/backup.h"
#include "store/convert.h"
#include "store/items_priv.h"
#include "store/lock.h"
#include "tests/faults.h"

#include <dirent.h>
#include <limits.h>
#include <sys/wait.h>

struct world {
	struct sx sx;
	char root[200], store[250], copy[250];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	sx_init(&w->sx, false);
	snprintf(w->root, sizeof(w->root), "%.190s", w->sx.dir);
	snprintf(w->store, sizeof(w->store), "%s/store", w->root);
	snprintf(w->copy, sizeof(w->copy), "%s/copy", w->root);
	flushed.n = flushed.fails_at = 0;
	w->sx.conf.directory = w->store;
	*state = w;
	return sx_open(&w->sx);
}

static int teardown(void **state)
{
	struct world *w = *state;

	fault_off();
	sx_end(&w->sx);
	free(w);
	return 0;
}

static void on_fault(const char *words, void *arg)
{
	struct world *w = arg;

	printf("fault: %s\n", words);
	w->sx.words_n++;
}

static int back_up(struct world *w, struct copy_facts *ret, struct why *why)
{
	const struct backup_conf conf = { .directory = w->store,
					  .to = w->copy,
					  .wall_ms = clock_wall_ms(),
					  .fault = on_fault,
					  .arg = w };

	return store_backup(&conf, ret, why);
}

/* LMDB is open once in a process: a backup beside a daemon is another process */
static int back_up_beside(struct world *w)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) { /* nothing of the parent's environments is touched */
		execl("/proc/self/exe", "test_backup", "backup", w->store, w->copy, NULL);
		_exit(99);
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int child_main(char **argv)
{
	struct copy_facts facts;
	struct why why = { 0 };
	const struct backup_conf conf = { .directory = argv[2], .to = argv[3], .fault = on_fault };
	static struct world none;
	struct backup_conf mine = conf;
	int r;

	mine.arg = &none;
	r = store_backup(&mine, &facts, &why);
	if (r < 0)
		printf("child: %s: %s\n", nx_word(r), why.words);
	return -r;
}

static void put_some(struct world *w, unsigned first, unsigned n)
{
	struct sx_put put;

	for (unsigned i = 0; i < n; i++) {
		sx_put_make(&put, w->sx.afp, first + i, NULL, 0);
		assert_int_equal(sx_put(&w->sx, &put), 0);
	}
}

static uint64_t put_photo(struct world *w, unsigned n, const uint8_t *p, size_t size)
{
	struct store_part part;
	struct sx_put put;

	assert_int_equal(sx_upload(&w->sx, w->sx.afp, p, size, 100000, &part), 0);
	sx_put_make(&put, w->sx.afp, n, &part, 1);
	assert_int_equal(sx_put(&w->sx, &put), 0);
	store_unlease(w->sx.store, part.number);
	return part.number;
}

static bool exists(const struct world *w, const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", w->root, name);
	return access(path, F_OK) == 0;
}

static unsigned entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n - 2;
}

static void store_shut(struct world *w)
{
	store_close(&w->sx.store);
}

static struct store_state state_of(struct world *w)
{
	struct store_state now;

	store_state(w->sx.store, &now);
	return now;
}

/* ---- */

static void a_copy_beside_a_store_comes_back(void **state)
{
	struct world *w = *state;
	size_t size = 300000;
	uint8_t *p = sx_octets(7, size);
	struct restore_conf conf = { .directory = w->store, .from = w->copy };
	struct restored restored;
	struct why why = { 0 };
	uint64_t part, epoch = state_of(w).epoch;
	char before[300];

	put_some(w, 0, 20);
	part = put_photo(w, 100, p, size);
	assert_int_equal(back_up_beside(w), 0);
	assert_int_equal(entries(w->copy), 3); /* no lock.mdb, nothing half */
	assert_false(exists(w, "copy.new"));
	put_some(w, 200, 5); /* after the copy */
	assert_int_equal(state_of(w).sequence_last, 26);
	store_shut(w);

	assert_int_equal(store_restore(&conf, &restored, &why), 0);
	assert_int_equal(restored.copy.sequence, 21);
	assert_true(restored.copy.epoch == epoch && restored.epoch != epoch && restored.epoch != 0);
	snprintf(before, sizeof(before), "%s.before-", w->store);
	assert_memory_equal(restored.before, before, strlen(before));
	assert_int_equal(access(restored.before, F_OK), 0);
	assert_false(exists(w, "store.restoring") || exists(w, "store/restoring"));

	assert_int_equal(sx_open(&w->sx), 0);
	assert_int_equal(state_of(w).sequence_last, 21);
	assert_true(state_of(w).epoch == restored.epoch);
	assert_true(state_of(w).restored_epoch == epoch);
	assert_int_equal(state_of(w).restored_sequence, 21);
	sx_assert_part(&w->sx, part, p, size);
	put_some(w, 300, 1);
	assert_int_equal(state_of(w).sequence_last, 22);
	store_shut(w);
	assert_int_equal(store_verify(w->store, on_fault, w, &why), 0);
	free(p);
}

static void while_it_copies_no_part_is_deleted(void **state)
{
	struct world *w = *state;
	int lock = -1, other = -1;
	struct why why = { 0 };

	assert_int_equal(lock_backup(w->store, 0, &lock, &why), 0);
	assert_int_equal(lock_deletions(w->store, &other), NX_ELOCKED);
	assert_int_equal(lock_backup(w->store, 0, &other, &why), NX_ELOCKED);
	assert_non_null(strstr(why.words, "another backup"));
	lock_drop(&lock);
	assert_int_equal(lock_deletions(w->store, &other), 0);
	assert_int_equal(lock_backup(w->store, 50, &lock, &why), NX_ELOCKED); /* one is under way */
	lock_drop(&other);
	assert_int_equal(lock_backup(w->store, 50, &lock, &why), 0);
	lock_drop(&lock);
}

struct swap {
	char store[250], aside[300];
	int lock;
};

static void *swap_soon(void *arg)
{
	struct swap *swap = arg;

	usleep(100 * 1000);
	assert_int_equal(rename(swap->store, swap->aside), 0);
	assert_int_equal(mkdir(swap->store, 0700), 0);
	lock_drop(&swap->lock);
	return NULL;
}

/* a --restore put another folder there while we waited: it is that one's lock that we need */
static void a_lock_is_that_of_the_folder_that_is_there(void **state)
{
	struct world *w = *state;
	struct swap swap = { .lock = -1 };
	int lock = -1, other = -1;
	struct why why = { 0 };
	pthread_t thread;

	store_shut(w);
	memcpy(swap.store, w->store, sizeof(swap.store));
	snprintf(swap.aside, sizeof(swap.aside), "%s.aside", w->store);
	assert_int_equal(lock_deletions(w->store, &swap.lock), 0);
	assert_int_equal(pthread_create(&thread, NULL, swap_soon, &swap), 0);
	assert_int_equal(lock_backup(w->store, 5000, &lock, &why), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(lock_deletions(w->store, &other), NX_ELOCKED);
	lock_drop(&lock);
}

static void a_name_that_is_taken_is_refused(void **state)
{
	struct world *w = *state;
	struct copy_facts facts;
	struct why why = { 0 };

	assert_int_equal(mkdir(w->copy, 0700), 0);
	assert_int_equal(back_up(w, &facts, &why), NX_EEXIST);
	assert_int_equal(rmdir(w->copy), 0);
}

/* a disk that fills up at any write leaves nothing half, and the store as it was */
static void a_full_disk_leaves_nothing_half(void **state)
{
	struct world *w = *state;
	struct restore_conf conf = { .directory = w->store, .from = w->copy };
	struct copy_facts facts;
	struct restored restored;
	struct why why;
	uint64_t epoch = state_of(w).epoch;
	unsigned n;

	need_faults();
	put_some(w, 0, 30);
	store_shut(w);
	for (n = 1; n < 100; n++) {
		fault_arm("pump.write", n, false);
		why = (struct why){ 0 };
		if (back_up(w, &facts, &why) == 0)
			break;
		assert_true(fault_fired());
		assert_int_equal(why.code, NX_EFULL);
		assert_non_null(strstr(why.words, "No space"));
		assert_false(exists(w, "copy") || exists(w, "copy.new"));
	}
	assert_true(n > 2);
	for (n = 1; n < 100; n++) {
		fault_arm("pump.write", n, false);
		if (store_restore(&conf, &restored, &why) == 0)
			break;
		assert_int_equal(why.code, NX_EFULL);
		assert_false(exists(w, "store.restoring"));
		assert_int_equal(sx_open(&w->sx), 0);
		assert_true(state_of(w).epoch == epoch && state_of(w).sequence_last == 30);
		store_shut(w);
	}
	assert_true(n > 2);
}

static int restore_that_dies(struct world *w, const char *place)
{
	struct restore_conf conf = { .directory = w->store, .from = w->copy };
	struct restored restored;
	struct why why;
	int status;
	pid_t child = fork();

	if (child == 0) {
		fault_arm(place, 1, true);
		_exit(store_restore(&conf, &restored, &why) == 0 ? 0 : 1);
	}
	assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* a crash leaves the one store or the other, whole, and never loses the old one */
static void a_crash_while_restoring_leaves_a_whole_store(void **state)
{
	static const char *const places[] = { "copy.items",   "copy.photos", "db.commit",
					      "db.committed", "stage.swap",  "stage.swapped" };
	struct world *w = *state;
	struct copy_facts facts;
	struct why why = { 0 };
	uint64_t epoch = state_of(w).epoch;

	need_faults();
	put_some(w, 0, 10);
	store_shut(w);
	assert_int_equal(back_up(w, &facts, &why), 0);
	assert_int_equal(sx_open(&w->sx), 0);
	put_some(w, 100, 10);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		bool swapped = i == 5;

		store_shut(w);
		assert_int_equal(restore_that_dies(w, places[i]), 137);
		assert_int_equal(sx_open(&w->sx), 0);
		assert_int_equal(state_of(w).sequence_last, swapped ? 10 : 20);
		assert_true((state_of(w).epoch != epoch) == swapped);
	}
	store_shut(w);
	/* the old one lies in store.restoring: another restore keeps it */
	assert_true(exists(w, "store.restoring/items/data.mdb"));
	assert_int_equal(restore_that_dies(w, "no-such-place"), 0);
	assert_false(exists(w, "store.restoring"));
	assert_int_equal(entries(w->root), 4); /* store, copy, two before it */
}

static int do_backup(struct world *w)
{
	struct copy_facts facts;
	struct why why = { 0 };

	return back_up(w, &facts, &why);
}

static int do_restore(struct world *w)
{
	struct restore_conf conf = { .directory = w->store, .from = w->copy };
	struct restored restored;
	struct why why = { 0 };

	return store_restore(&conf, &restored, &why);
}

/* each octet before the name under which it is found */
static void a_copy_is_on_disk_before_its_name(void **state)
{
	static const char *const copied[] = { "/copy.new/items/data.mdb",
					      "/copy.new/items",
					      "/copy.new/photos/data.mdb",
					      "/copy.new/photos",
					      "/copy.new/backup.txt",
					      "/copy.new",
					      "",
					      NULL };
	static const char *const restored[] = { "/store.restoring", /* it is a half one */
						"/store.restoring/items/data.mdb",
						"/store.restoring/items",
						"/store.restoring/photos/data.mdb",
						"/store.restoring/photos",
						"/store.restoring",
						"",       /* changed places */
						"",       /* the old one aside */
						"/store", /* it is whole */
						NULL };
	struct world *w = *state;

	put_some(w, 0, 10);
	store_shut(w);
	flushed.n = 0;
	assert_int_equal(do_backup(w), 0);
	assert_flushed(w->root, copied);
	assert_int_equal(do_restore(w), 0);
	assert_flushed(w->root, restored);
}

static ino_t inode(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

/* whichever flush fails: it is said, and what stands is whole */
static void each_flush_of_a_copy_fails_in_turn(void **state)
{
	static int (*const copies[])(struct world *) = { do_backup, do_restore };
	struct world *w = *state;

	put_some(w, 0, 10);
	store_shut(w);
	for (unsigned i = 0; i < 2; i++) {
		unsigned n = 0;
		bool fired = true;

		while (fired) {
			ino_t before = inode(w->store);
			int r;

			flushed.n = 0;
			flushed.fails_at = ++n;
			r = copies[i](w);
			fired = flushed.n >= n;
			flushed.fails_at = 0;
			if (fired && inode(w->store) != before) /* they have changed places */
				assert_int_equal(r, 1);
			else if (fired)
				assert_true(r < 0);
			else /* the last one failed when the copy had its name */
				assert_true(r == 0 || r == NX_EEXIST);
			assert_int_equal(sx_open(&w->sx), 0);
			assert_int_equal(state_of(w).sequence_last, 10);
			store_shut(w);
		}
		assert_in_range(n, 8, 20);
	}
}

/* every name that an old store could be set aside by at time 0 */
static void take_all_names(const struct world *w)
{
	char path[300];

	for (unsigned n = 1; n < 1000; n++) {
		snprintf(path, sizeof(path), "%s.before-19700101T000000Z-%u", w->store, n);
		if (n == 1)
			*strrchr(path, '-') = '\0';
		assert_int_equal(mkdir(path, 0700), 0);
	}
}

static void to(char path[300], const char *front, const char *end)
{
	snprintf(path, 300, "%s%s", front, end);
}

/* the store is the restored one by then: who hears that nothing was would start the wrong one */
static void an_old_store_that_cannot_be_set_aside_undoes_nothing(void **state)
{
	struct world *w = *state;
	struct restore_conf conf = { .directory = w->store, .from = w->copy };
	struct copy_facts facts;
	struct restored restored;
	struct why why = { 0 };
	char aside[300];

	put_some(w, 0, 10);
	store_shut(w);
	assert_int_equal(back_up(w, &facts, &why), 0);
	assert_int_equal(sx_open(&w->sx), 0);
	put_some(w, 100, 10);
	store_shut(w);
	take_all_names(w);
	assert_int_equal(store_restore(&conf, &restored, &why), 1);
	assert_non_null(strstr(why.words, "too many old stores"));
	to(aside, w->store, ".restoring");
	assert_string_equal(restored.before, aside);
	assert_true(exists(w, "store.restoring/items/data.mdb"));
	assert_int_equal(sx_open(&w->sx), 0);
	assert_int_equal(state_of(w).sequence_last, 10);
	assert_true(state_of(w).epoch == restored.epoch);
}

static void assert_owner(const char *front, const char *end, uid_t uid)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s%s", front, end);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_uid, uid);
}

/* root restores and looks, another user's daemon must still open it all */
static void what_root_restores_is_the_owners(void **state)
{
	struct world *w = *state;
	struct restore_conf conf = { .directory = w->store, .from = w->copy };
	struct restored restored;
	struct copy_facts facts;
	struct why why = { 0 };
	struct converted converted;
	char aside[300];

	if (geteuid() != 0)
		skip();
	store_shut(w);
	assert_int_equal(back_up(w, &facts, &why), 0);
	snprintf(aside, sizeof(aside), "%s.aside", w->store);
	assert_int_equal(rename(w->store, aside),
			 0); /* there is no directory: it is the parent's */
	assert_int_equal(chown(w->root, 12345, 12345), 0);
	assert_int_equal(store_restore(&conf, &restored, &why), 0);
	assert_string_equal(restored.before, "");
	assert_int_equal(store_convert(w->store, 0, &converted, &why), 0);
	assert_owner(w->store, "", 12345);
	assert_owner(w->store, "/items/data.mdb", 12345);
	assert_owner(w->store, "/items/lock.mdb", 12345);
	assert_owner(w->store, "/photos", 12345);
	assert_int_equal(store_restore(&conf, &restored, &why), 0); /* and again, over that one */
	assert_owner(restored.before, "/newsxd.lock", 12345);
	assert_owner(w->store, "/photos/data.mdb", 12345);
}

static void a_running_daemon_is_not_restored_over(void **state)
{
	struct world *w = *state;
	struct restore_conf conf = { .directory = w->store, .from = w->copy };
	struct restored restored;
	struct why why = { 0 };

	assert_int_equal(back_up_beside(w), 0);
	assert_int_equal(store_restore(&conf, &restored, &why), NX_ELOCKED);
	assert_non_null(strstr(why.words, "stop it first"));
	assert_false(exists(w, "store.restoring"));
}

static void a_copy_that_was_changed_is_refused(void **state)
{
	struct world *w = *state;
	struct restore_conf conf = { .directory = w->store, .from = w->copy };
	struct restored restored;
	struct copy_facts facts;
	struct why why = { 0 };
	char path[512];
	uint8_t octet;
	int fd;

	put_some(w, 0, 5);
	store_shut(w);
	assert_int_equal(back_up(w, &facts, &why), 0);
	assert_int_equal(facts.faults, 0);
	snprintf(path, sizeof(path), "%s/items/data.mdb", w->copy);
	fd = open(path, O_RDWR);
	assert_int_equal(pread(fd, &octet, 1, 5000), 1);
	octet ^= 4;
	assert_int_equal(pwrite(fd, &octet, 1, 5000), 1);
	close(fd);
	assert_int_equal(store_restore(&conf, &restored, &why), NX_ECORRUPT);
	assert_non_null(strstr(why.words, "not what the backup wrote"));
	assert_false(exists(w, "store.restoring"));
	conf.from = w->root;
	assert_int_equal(store_restore(&conf, &restored, &why), NX_ENOENT);
	assert_non_null(strstr(why.words, "no backup"));
}

static void nothing_is_converted_when_the_format_is_ours(void **state)
{
	struct world *w = *state;
	struct converted converted;
	struct why why = { 0 };

	store_shut(w);
	assert_int_equal(store_convert(w->store, 0, &converted, &why), 0);
	assert_int_equal(converted.facts.items_format, ITEMS_FORMAT);
	assert_false(exists(w, "store.restoring"));
}

static void to_three(struct txn *txn)
{
	meta_u64(txn, "of-format-3", 3);
}

static void pretend_newer(const char *copy)
{
	char path[300], text[4096] = "", *at;
	FILE *file;

	to(path, copy, "/backup.txt");
	file = fopen(path, "r+");
	assert_non_null(file);
	assert_true(fread(text, 1, sizeof(text) - 1, file) > 0);
	at = strstr(text, "items-format 2");
	assert_non_null(at);
	at[13] = '3';
	rewind(file);
	fputs(text, file);
	fclose(file);
}

/* a made-up format 3: the old files are kept, and everybody of format 2 refuses it in words */
static void a_later_format_keeps_the_old_files_and_is_refused(void **state)
{
	static const struct convert_step steps[] = { { COPY_ITEMS, 2, to_three } };
	const struct convert_formats formats = { 3, 1, steps, 1 }, gap = { 4, 1, steps, 1 };
	struct world *w = *state;
	struct restore_conf restore = { .directory = w->store, .from = w->copy };
	struct converted converted;
	struct restored restored;
	struct copy_facts facts;
	struct why why = { 0 };
	char newer[300], older[300];

	put_some(w, 0, 5);
	store_shut(w);
	assert_int_equal(convert_with(w->store, &gap, 0, &converted, &why), NX_EFORMAT);
	assert_non_null(strstr(why.words, "too old"));
	assert_int_equal(convert_with(w->store, &formats, 0, &converted, &why), 1);
	assert_int_equal(converted.items_from, 2);
	assert_int_equal(converted.facts.items_format, 3);

	assert_int_equal(store_open(&w->sx.conf, &w->sx.store, &why), NX_EFORMAT);
	assert_non_null(strstr(why.words, "made by a newer one"));
	assert_int_equal(back_up(w, &facts, &why), NX_EFORMAT);
	assert_non_null(strstr(why.words, "made by a newer one"));
	assert_int_equal(store_convert(w->store, 0, &converted, &why), NX_EFORMAT);
	/* going back: the old files in their place */
	to(newer, w->store, ".newer");
	to(older, w->store, ".before-19700101T000000Z");
	assert_int_equal(rename(w->store, newer), 0);
	assert_int_equal(rename(older, w->store), 0);
	assert_int_equal(back_up(w, &facts, &why), 0);
	assert_int_equal(facts.sequence, 5);
	pretend_newer(w->copy);
	assert_int_equal(store_restore(&restore, &restored, &why), NX_EFORMAT);
	assert_non_null(strstr(why.words, "made by a newer one"));
	assert_int_equal(sx_open(&w->sx), 0);
	assert_int_equal(state_of(w).sequence_last, 5);
}

/* as the first format was: no table `fresh`, both rows of each story in `stories` */
static void make_first_format(struct world *w)
{
	struct db_conf conf = { .tables = items_tables, .tables_n = ITEMS_TABLES };
	const uint8_t format[4] = { 1 };
	uint8_t octets[2 * FRESH_ROW_MAX];
	struct fresh_row row = { 0 };
	struct db *db = NULL;
	char path[300];
	uint64_t points;
	struct txn txn;
	struct cur cur;

	to(path, w->store, "/items");
	assert_int_equal(db_open(path, &conf, &db, NULL), 0);
	txn_begin(&txn, db, TXN_WRITE);
	cur_open(&cur, &txn, T_FRESH);
	while (cur_first(&cur)) {
		assert_int_equal(fresh_parse(cur.value, &row, &points), 1);
		memcpy(octets, row.identity_row.p, row.identity_row.n + row.story_row.n);
		txn_put(&txn, T_STORIES, slice_of(row.identity, 32),
			slice_of(octets, row.identity_row.n));
		txn_put(&txn, T_STORIES, slice_of(row.story, 32),
			slice_of(octets + row.identity_row.n, row.story_row.n));
		assert_true(cur_first(&cur));
		cur_del(&cur);
	}
	cur_close(&cur);
	txn_del(&txn, T_META, slice_str("fresh"));
	txn_del(&txn, T_META, slice_str(META_COPY));
	txn_put(&txn, T_META, slice_str("format"), slice_of(format, 4));
	assert_int_equal(txn_end(&txn), 0);
	db_close(&db);
}

static void the_first_format_is_converted(void **state)
{
	struct world *w = *state;
	struct converted converted;
	struct why why = { 0 };
	char before[300];

	put_some(w, 0, 5);
	store_shut(w);
	make_first_format(w);
	assert_int_equal(store_open(&w->sx.conf, &w->sx.store, &why), NX_EFORMAT);
	assert_non_null(strstr(why.words, "convert it with newsxd --config FILE --convert"));
	assert_int_equal(store_convert(w->store, 0, &converted, &why), 1);
	assert_int_equal(converted.items_from, 1);
	assert_int_equal(converted.photos_from, 1);
	assert_int_equal(converted.facts.items_format, ITEMS_FORMAT);
	to(before, w->store, ".before-19700101T000000Z");
	assert_string_equal(converted.before, before);
	assert_int_equal(access(before, F_OK), 0);
	/* what was known is known, and what is new comes after it */
	assert_int_equal(sx_open(&w->sx), 0);
	assert_int_equal(state_of(w).sequence_last, 5);
	put_some(w, 0, 5);
	assert_int_equal(state_of(w).sequence_last, 5);
	put_some(w, 5, 2);
	assert_int_equal(state_of(w).sequence_last, 7);
	store_shut(w);
	assert_int_equal(store_verify(w->store, sx_words, &w->sx, &why), 0);
}

/* the old files are not left under a name that the manual does not know */
static void the_next_conversion_sets_aside_what_an_interrupted_one_left(void **state)
{
	struct world *w = *state;
	struct converted converted;
	struct why why = { 0 };
	char before[300], left[300];
	int lock = -1;

	put_some(w, 0, 5);
	store_shut(w);
	make_first_format(w);
	take_all_names(w); /* so it comes no further than the exchange */
	assert_int_equal(store_convert(w->store, 0, &converted, &why), 2);
	to(left, w->store, ".restoring");
	assert_string_equal(converted.before, left);
	assert_int_equal(lock_take(w->store, &lock, &why), 0);
	assert_int_equal(store_convert(w->store, 0, &converted, &why), NX_ELOCKED);
	assert_true(exists(w, "store.restoring"));
	lock_drop(&lock);
	assert_int_equal(store_convert(w->store, 0, &converted, &why), 0);
	assert_false(exists(w, "store.restoring"));
	to(before, w->store, ".before-2");
	assert_memory_equal(converted.before, before, strlen(before));
	assert_true(entries(converted.before) >= 2);
	assert_int_equal(store_convert(w->store, 0, &converted, &why), 0);
	assert_string_equal(converted.before, "");
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_copy_beside_a_store_comes_back),
		T(while_it_copies_no_part_is_deleted),
		T(a_lock_is_that_of_the_folder_that_is_there),
		T(a_name_that_is_taken_is_refused),
		T(a_full_disk_leaves_nothing_half),
		T(a_crash_while_restoring_leaves_a_whole_store),
		T(a_copy_is_on_disk_before_its_name),
		T(each_flush_of_a_copy_fails_in_turn),
		T(an_old_store_that_cannot_be_set_aside_undoes_nothing),
		T(what_root_restores_is_the_owners),
		T(a_running_daemon_is_not_restored_over),
		T(a_copy_that_was_changed_is_refused),
		T(the_first_format_is_converted),
		T(the_next_conversion_sets_aside_what_an_interrupted_one_left),
		T(nothing_is_converted_when_the_format_is_ours),
		T(a_later_format_keeps_the_old_files_and_is_refused),
	};

	if (argc == 4 && strcmp(argv[1], "backup") == 0)
		return child_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
