/* an environment comes into being whole or not at all */
#include "base/fault.h"
#include "flushes.h"
#include "items_fixture.h"
#include "looker.h"
#include "store/store.h"
#include "tests/faults.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

/* ---- a disk of our own size, in front of the real one */
static uint64_t disk_free = INT64_MAX; /* what it says */
static uint64_t other_free;            /* what the disk of /dev/shm says */
static off_t disk_gives = -1;          /* octets of a file, then it is full; -1: all */
static unsigned disk_asked;            /* to allocate */
static off_t disk_end;                 /* what was asked for last ends there */
static bool disk_lies;                 /* it takes no room at all */

static bool is_other(const char *path)
{
	struct stat st, other;

	return stat(path, &st) == 0 && stat("/dev/shm", &other) == 0 && st.st_dev == other.st_dev;
}

int statvfs(const char *path, struct statvfs *ret)
{
	*ret = (struct statvfs){ .f_frsize = 512, .f_blocks = 1 << 30 };
	ret->f_bfree = ret->f_bavail = (is_other(path) ? other_free : disk_free) / 512;
	return 0;
}

int posix_fallocate(int fd, off_t from, off_t n)
{
	assert_true(n <= (off_t)1 << 30);
	disk_asked++;
	disk_end = from + n;
	if (disk_lies)
		return 0;
	if (disk_gives < 0 || n <= disk_gives)
		return fallocate(fd, 0, from, n) < 0 ? errno : 0;
	return fallocate(fd, 0, from, disk_gives) < 0 ? errno : ENOSPC;
}

static int fx_bare(void **state) /* nothing opened yet */
{
	struct fx *fx = calloc(1, sizeof(*fx));

	if (fx == NULL)
		return -1;
	disk_free = INT64_MAX;
	disk_gives = -1;
	disk_asked = 0;
	disk_lies = false;
	flushed.n = flushed.fails_at = 0;
	fx_folder(fx);
	fx_conf(fx);
	*state = fx;
	return 0;
}

static int code_of_open(struct fx *fx, struct why *why)
{
	*why = (struct why){ 0 };
	return items_open(&fx->conf, &fx->items, why);
}

static void path_of(const struct fx *fx, char path[400], const char *name)
{
	snprintf(path, 400, "%s/%s", fx->dir, name);
}

static void the_file_is_there_whole(void **state)
{
	static const char *const names[] = { "/items.new/data.mdb", "/items.new", "", NULL };
	struct fx *fx = *state;
	struct stat st;
	char path[400];

	assert_int_equal(fx_open(fx), 0);
	assert_flushed(fx->dir, names);
	path_of(fx, path, "items/data.mdb");
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size == 64 << 20);
	assert_true(st.st_blocks * 512 >= 64 << 20);
	assert_int_equal(st.st_mode & 0777, 0600);
	path_of(fx, path, "items.new");
	assert_int_equal(stat(path, &st), -1);
	assert_true((fcntl(db_fd(items_db(fx->items)), F_GETFD) & FD_CLOEXEC) != 0);
}

static void each_flush_fails_in_turn(void **state)
{
	struct fx *fx = *state;
	unsigned n = 0;
	bool fired = true;

	while (fired) {
		struct why why;
		int r;

		flushed.n = 0;
		flushed.fails_at = ++n;
		r = code_of_open(fx, &why);
		fired = flushed.n >= n;
		assert_int_equal(r, fired ? NX_EIO : 0);
	}
	assert_int_equal(n, 4);
	assert_int_equal(fx_put(fx, .uri = "urn:a").code, 0);
}

static void leftovers_are_removed(void **state)
{
	struct fx *fx = *state;
	struct stat st;
	char path[400];
	int fd;

	path_of(fx, path, "items.new");
	assert_int_equal(mkdir(path, 0700), 0);
	path_of(fx, path, "items.new/data.mdb");
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8192), 0); /* zeros: what LMDB would refuse for ever */
	close(fd);
	assert_int_equal(fx_open(fx), 0);
	path_of(fx, path, "items.new");
	assert_int_equal(stat(path, &st), -1);
}

static void an_empty_folder_is_taken_a_robbed_one_is_not(void **state)
{
	struct fx *fx = *state;
	struct why why;
	char path[400];

	assert_int_equal(mkdir(fx->items_dir, 0700), 0);
	assert_int_equal(fx_open(fx), 0);
	items_close(&fx->items);
	path_of(fx, path, "items/data.mdb");
	assert_int_equal(unlink(path), 0); /* lock.mdb is left: there was a store */
	assert_int_equal(code_of_open(fx, &why), NX_EIO);
	assert_non_null(strstr(why.words, "rename"));
}

static void it_grows_at_a_start(void **state)
{
	struct fx *fx = *state;
	struct store_state shown = { 0 };
	struct stat st;

	assert_int_equal(fx_open(fx), 0);
	fx_put(fx, .uri = "urn:a");
	items_close(&fx->items);
	fx->conf.size = 64 << 20;
	assert_int_equal(fx_open(fx), 0);
	assert_int_equal(fstat(db_fd(items_db(fx->items)), &st), 0);
	assert_true(st.st_size == 96 << 20);
	items_state(fx->items, &shown);
	assert_true(shown.items_octets == 64 << 20);
	assert_int_equal(fx_put(fx, .uri = "urn:a").result, RESULT_DUPLICATE);
	assert_null(fx_told(fx, STORE_SIZE));
}

/* nothing is taken of a disk that is too small: others live there, and each start would try */
static void a_disk_that_is_too_small_is_left_alone(void **state)
{
	struct fx *fx = *state;
	struct stat st;
	struct why why;

	disk_free = (64 << 20) - 512;
	assert_int_equal(code_of_open(fx, &why), NX_EFULL);
	assert_int_equal(disk_asked, 0);
	assert_non_null(strstr(why.words, "cannot take its 64 MiB from the disk"));
	assert_non_null(strstr(why.words, "No space left on device"));
	assert_int_equal(stat(fx->items_dir, &st), -1);
	disk_free = 64 << 20;
	assert_int_equal(fx_open(fx), 0);
	items_close(&fx->items);
	disk_free = 0; /* it has all that it needs */
	assert_int_equal(fx_open(fx), 0);
	items_close(&fx->items);
	fx->conf.size = 64 << 20;
	disk_free = (32 << 20) - (1 << 20);
	disk_asked = 0;
	assert_int_equal(code_of_open(fx, &why), NX_EFULL);
	assert_int_equal(disk_asked, 0);
	disk_free = 32 << 20;
	assert_int_equal(fx_open(fx), 0);
}

/* what an interrupted creation took is ours, and both are asked for before the first is made */
static void both_have_room_or_neither_is_made(void **state)
{
	static const struct env_want wants[] = { { "items", 64 << 20 }, { "photos", 32 << 20 } };
	struct fx *fx = *state;
	struct why why = { 0 };
	char path[400];
	int fd;

	disk_free = (96 << 20) - 512;
	assert_int_equal(env_room(fx->dir, wants, 1, &why), 0);
	assert_int_equal(env_room(fx->dir, wants, 2, &why), NX_EFULL);
	assert_non_null(strstr(why.words, "cannot take its 96 MiB"));
	path_of(fx, path, "photos.new");
	assert_int_equal(mkdir(path, 0700), 0);
	path_of(fx, path, "photos.new/data.mdb");
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, 1 << 20), 0);
	close(fd);
	assert_int_equal(env_room(fx->dir, wants, 2, &why), 0);
	assert_int_equal(unlink(path), 0);
	path_of(fx, path, "photos.new");
	assert_int_equal(rmdir(path), 0);
}

/* the disk said that it had room, and somebody else took it */
static void what_a_refused_allocation_took_goes_back(void **state)
{
	struct fx *fx = *state;
	struct stat st;
	struct why why;
	char path[400];

	disk_gives = 40 << 20;
	assert_int_equal(code_of_open(fx, &why), NX_EFULL);
	path_of(fx, path, "items.new");
	assert_int_equal(stat(path, &st), -1);
	disk_gives = -1;
	assert_int_equal(fx_open(fx), 0);
	fx_put(fx, .uri = "urn:a");
	items_close(&fx->items);
	fx->conf.size = 64 << 20;
	disk_gives = 80 << 20;
	assert_int_equal(code_of_open(fx, &why), NX_EFULL);
	assert_non_null(strstr(why.words, "cannot take its 96 MiB"));
	path_of(fx, path, "items/data.mdb");
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size == 64 << 20);
	assert_in_range(st.st_blocks * 512, 64 << 20, 65 << 20);
	fx->conf.size = 32 << 20;
	assert_int_equal(fx_open(fx), 0);
	assert_int_equal(fx_put(fx, .uri = "urn:a").result, RESULT_DUPLICATE);
	assert_null(fx_told(fx, STORE_SIZE));
}

/* photos that were moved to a disk of their own: each is asked for what is its own */
static void each_disk_is_asked(void **state)
{
	static const struct env_want wants[] = { { "items", 64 << 20 }, { "photos", 32 << 20 } };
	char other[] = "/dev/shm/newsxd-create-XXXXXX", path[400];
	struct fx *fx = *state;
	struct why why = { 0 };
	int fd;

	if (is_other(fx->dir) || mkdtemp(other) == NULL)
		skip();
	path_of(fx, path, "photos");
	assert_int_equal(symlink(other, path), 0);
	path_of(fx, path, "photos/data.mdb");
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, 1 << 20), 0);
	close(fd);
	disk_free = 64 << 20;
	other_free = (31 << 20) - 512;
	assert_int_equal(env_room(fx->dir, wants, 2, &why), NX_EFULL);
	assert_non_null(strstr(why.words, "/photos: cannot take its 32 MiB"));
	assert_int_equal(env_room(fx->dir, wants, 1, &why), 0);
	other_free = 31 << 20;
	assert_int_equal(env_room(fx->dir, wants, 2, &why), 0);
	disk_free = (64 << 20) - 512;
	assert_int_equal(env_room(fx->dir, wants, 2, &why), NX_EFULL);
	assert_non_null(strstr(why.words, "cannot take its 64 MiB"));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(other), 0);
}

static void no_event(const struct store_event *event, void *arg)
{
	(void)event;
	(void)arg;
}

static void no_wake(void *arg)
{
	(void)arg;
}

/* somebody else took the disk between the stories' part and the photos' */
static void half_a_store_is_no_store(void **state)
{
	struct fx *fx = *state;
	struct store_conf conf = { .directory = fx->dir,
				   .node = "exchange",
				   .size = 256 << 20,
				   .items_share_pct = 25,
				   .in_line = true,
				   .event = no_event,
				   .wake = no_wake };
	struct store *store = NULL;
	struct store_state shown;
	struct stat st;
	struct why why;
	char path[400];

	disk_gives = 100 << 20;
	assert_int_equal(store_open(&conf, &store, &why), NX_EFULL);
	path_of(fx, path, "items");
	assert_int_equal(stat(path, &st), -1);
	path_of(fx, path, "items.new");
	assert_int_equal(stat(path, &st), -1);
	/* a size that finds room is shared out as it was asked for */
	conf.size = 64 << 20;
	assert_int_equal(store_open(&conf, &store, &why), 0);
	store_state(store, &shown);
	assert_in_range(shown.items_octets, 15 << 20, 16 << 20);
	store_close(&store);
	/* what was there before is left alone */
	path_of(fx, path, "photos/data.mdb");
	assert_int_equal(unlink(path), 0);
	path_of(fx, path, "photos/lock.mdb");
	assert_int_equal(unlink(path), 0);
	disk_gives = 4096;
	assert_int_equal(store_open(&conf, &store, &why), NX_EFULL);
	path_of(fx, path, "items/data.mdb");
	assert_int_equal(stat(path, &st), 0);
	disk_gives = -1;
	assert_int_equal(store_open(&conf, &store, &why), 0);
	store_close(&store);
}

/* a smaller one would put what stands above the marks: debts would go, or nothing be settled */
static void it_never_shrinks_and_says_so(void **state)
{
	struct fx *fx = *state;
	struct store_state shown = { 0 };
	static char document[900001];
	char uri[16];

	memset(document, 'x', sizeof(document) - 1);
	fx->conf.size = 128 << 20;
	assert_int_equal(fx_open(fx), 0);
	for (unsigned i = 0; i < 80; i++) {
		snprintf(uri, sizeof(uri), "urn:%u", i);
		assert_int_equal(fx_put(fx, .uri = uri, .document = document).code, 0);
	}
	items_close(&fx->items);
	fx->conf.size = 16 << 20;
	assert_int_equal(fx_open(fx), 0);
	assert_non_null(fx_told(fx, STORE_SIZE));
	assert_true(fx_told(fx, STORE_SIZE)->octets == 128 << 20);
	assert_non_null(strstr(fx_told(fx, STORE_SIZE)->why.words, "stories 16 MiB"));
	assert_non_null(strstr(fx_told(fx, STORE_SIZE)->why.words, "have 128 MiB"));
	items_state(fx->items, &shown);
	assert_true(shown.items_octets == 128 << 20);
	assert_in_range(shown.items_percent, 45, 75);
	assert_int_equal(fx_put(fx, .uri = "urn:new").code, 0);
}

static void a_reader_that_died_is_let_go(void **state)
{
	struct fx *fx = *state;
	struct looker looker;
	uint64_t first, held;

	assert_int_equal(fx_open(fx), 0);
	items_close(&fx->items);
	looker_begin(&looker, fx->items_dir, items_tables, ITEMS_TABLES);
	assert_int_equal(fx_open(fx), 0);
	first = churn(items_db(fx->items), T_META);
	looker_dies(&looker);
	held = churn(items_db(fx->items), T_META);
	assert_true(held > first + 60); /* its pages are kept for it */
	assert_int_equal(items_maintain(fx->items, fx->boot_ms, fx->wall_ms, false), 0);
	first = churn(items_db(fx->items), T_META);
	assert_true(first < held + 20);
}

static void one_path_is_opened_once(void **state)
{
	struct fx *fx = *state;
	struct items *second = NULL;
	struct why why = { 0 };

	assert_int_equal(fx_open(fx), 0);
	assert_int_equal(items_open(&fx->conf, &second, &why), NX_ELOCKED);
	assert_null(second);
	assert_int_equal(fx_put(fx, .uri = "urn:a").code, 0);
}

static void a_newer_format_is_refused_in_words(void **state)
{
	const uint8_t newer[4] = { ITEMS_FORMAT + 1 };
	struct fx *fx = *state;
	struct why why;
	struct txn txn;

	assert_int_equal(fx_open(fx), 0);
	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	txn_del(&txn, T_META, slice_str(META_COPY)); /* or says the same */
	txn_put(&txn, T_META, slice_str("format"), slice_of(newer, 4));
	assert_int_equal(txn_end(&txn), 0);
	items_close(&fx->items);
	assert_int_equal(code_of_open(fx, &why), NX_EFORMAT);
	assert_non_null(strstr(why.words, "format 3"));
}

static void what_is_no_store_is_corrupt(void **state)
{
	struct fx *fx = *state;
	struct why why;
	char path[400];
	int fd;

	assert_int_equal(mkdir(fx->items_dir, 0700), 0);
	path_of(fx, path, "items/data.mdb");
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 8192), 0);
	close(fd);
	assert_int_equal(code_of_open(fx, &why), NX_ECORRUPT);
}

static void the_folder_must_be_there(void **state)
{
	struct fx *fx = *state;
	struct why why;

	fx->conf.dir = "/nowhere/at/all/items";
	assert_int_equal(code_of_open(fx, &why), NX_EIO);
	assert_non_null(strstr(why.words, "/nowhere/at/all"));
}

static void the_file_system_is_looked_at(void **state)
{
	struct why why = { 0 };

	(void)state;
	assert_true(env_filesystem("/tmp", &why) >= 0);
	assert_int_equal(env_filesystem("/proc", &why), 1);
	assert_non_null(strstr(why.words, "never tried"));
}

/* by the number that statfs gives */
static void network_file_systems_are_refused(void **state)
{
	static const uint32_t good[] = { 0xEF53, 0x58465342, 0x9123683E, 0x01021994 };
	static const struct {
		uint32_t type;
		const char *name;
	} bad[] = {
		{ 0x6969, "NFS" },        { 0x517B, "SMB" },         { 0xFF534D42, "CIFS" },
		{ 0xFE534D42, "SMB2" },   { 0x794C7630, "overlay" }, { 0x65735546, "FUSE" },
		{ 0x01021997, "9P" },     { 0x00C36400, "Ceph" },    { 0x5346414F, "AFS" },
		{ 0x6B414653, "AFS" },    { 0x7461636F, "OCFS2" },   { 0x01161970, "GFS2" },
		{ 0x0BD00BD0, "Lustre" }, { 0x73757245, "Coda" },    { 0x47504653, "GPFS" },
		{ 0x19830326, "BeeGFS" }, { 0x786F4256, "vboxsf" },  { 0xBACBACBC, "vmhgfs" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct why why = { 0 };

		assert_int_equal(env_filesystem_of(good[i], "/srv/x", &why), 0);
		assert_string_equal(why.words, "");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct why why = { 0 };

		assert_int_equal(env_filesystem_of(bad[i].type, "/srv/x", &why), NX_EFORMAT);
		assert_non_null(strstr(why.words, bad[i].name));
		assert_non_null(strstr(why.words, "/srv/x"));
		assert_non_null(strstr(why.words, "local file system"));
	}
}

static void no_rows(struct txn *txn, void *arg)
{
	(void)txn;
	(void)arg;
}

static void keep_words(const struct why *why, void *arg)
{
	*(struct why *)arg = *why;
}

/* who opens it is told, and told nothing where all is well or nothing was opened */
static void what_was_never_tried_is_told(void **state)
{
	struct fx *fx = *state;
	static const struct db_table tables[] = { { "t", false } };
	struct why told = { 0 }, why = { 0 };
	struct create create = {
		.parent = fx->dir,
		.name = "items",
		.db = { .tables = tables, .tables_n = 1, .map_size = 1 << 20 },
		.first = no_rows,
		.untried = keep_words,
		.arg = &told,
	};
	struct db *db = NULL;

	assert_int_equal(env_open(&create, &db, &why), 0);
	db_close(&db);
	assert_string_equal(why.words, "");
	assert_int_equal(told.words[0] != '\0', env_filesystem(fx->dir, &why) == 1);
	told = (struct why){ 0 };
	create.parent = "/proc"; /* nothing can be made there */
	assert_true(env_open(&create, &db, &why) < 0);
	assert_string_equal(told.words, "");
	assert_null(strstr(why.words, "never tried"));
}

static void two_stores_have_two_epochs(void **state)
{
	struct fx *fx = *state;
	struct store_state one = { 0 }, two = { 0 };

	assert_int_equal(fx_open(fx), 0);
	items_state(fx->items, &one);
	items_close(&fx->items);
	fx_remove(fx);
	assert_int_equal(mkdir(fx->dir, 0700), 0);
	assert_int_equal(fx_open(fx), 0);
	items_state(fx->items, &two);
	assert_true(one.epoch != two.epoch);
}

static void a_network_file_system_is_refused_whole(void **state)
{
	struct fx *fx = *state;
	struct stat st;
	struct why why;

	need_faults();
	fault_arm("create.network", 1, false);
	assert_int_equal(code_of_open(fx, &why), NX_EFORMAT);
	fault_off();
	assert_non_null(strstr(why.words, "is on NFS"));
	assert_int_equal(stat(fx->items_dir, &st), -1); /* nothing was made */
	assert_int_equal(fx_open(fx), 0);
}

static void no_room_to_preallocate(void **state)
{
	struct fx *fx = *state;
	struct why why;

	need_faults();
	fault_arm("create.allocate", 1, false);
	assert_int_equal(code_of_open(fx, &why), NX_EFULL);
	fault_off();
	assert_non_null(strstr(why.words, "cannot take its "));
	assert_int_equal(fx_open(fx), 0);
}

static void a_failed_step_leaves_what_opens(void **state)
{
	struct fx *fx = *state;
	struct why why;
	bool fired;
	unsigned n = 0;
	int r;

	need_faults();
	do {
		fault_arm(NULL, ++n, false);
		r = code_of_open(fx, &why);
		fired = fault_fired();
		fault_off();
		if (r < 0) {
			assert_true(fired);
			assert_true(why.words[0] != '\0');
			assert_null(fx->items);
		} else if (fired) { /* only a look at how full it is: the next commit looks again */
			items_close(&fx->items);
		}
	} while (fired && n < 100);
	assert_int_equal(r, 0);
	assert_true(n > 8);
}

static unsigned taken;

static void takes(void *arg)
{
	(void)arg;
	taken++;
	assert_int_equal(disk_asked, taken);
}

/* where a disk has to write them, some hundred GiB last: who waits for the start hears of each */
static void a_large_store_is_taken_in_pieces(void **state)
{
	struct fx *fx = *state;

	taken = 0;
	fx->store.taking = takes;
	assert_int_equal(fx_open(fx), 0);
	assert_int_equal(taken, 1);
	items_close(&fx->items);
	assert_int_equal(fx_open(fx), 0);
	assert_int_equal(taken, 1); /* it has its room */
	items_close(&fx->items);
	fx->conf.size = UINT64_C(5) << 29;
	disk_lies = true;
	assert_int_equal(fx_open(fx), 0);
	assert_int_equal(taken, 1 + 3);
	assert_true(disk_end >= (off_t)5 << 29);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_bare, fx_teardown)
	const struct CMUnitTest tests[] = {
		T(the_file_is_there_whole),
		T(each_flush_fails_in_turn),
		T(leftovers_are_removed),
		T(an_empty_folder_is_taken_a_robbed_one_is_not),
		T(it_grows_at_a_start),
		T(a_disk_that_is_too_small_is_left_alone),
		T(both_have_room_or_neither_is_made),
		T(what_a_refused_allocation_took_goes_back),
		T(half_a_store_is_no_store),
		T(each_disk_is_asked),
		T(a_large_store_is_taken_in_pieces),
		T(it_never_shrinks_and_says_so),
		T(a_reader_that_died_is_let_go),
		T(one_path_is_opened_once),
		T(a_newer_format_is_refused_in_words),
		T(what_is_no_store_is_corrupt),
		T(the_folder_must_be_there),
		T(the_file_system_is_looked_at),
		T(network_file_systems_are_refused),
		T(what_was_never_tried_is_told),
		T(two_stores_have_two_epochs),
		T(a_network_file_system_is_refused_whole),
		T(no_room_to_preallocate),
		T(a_failed_step_leaves_what_opens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
