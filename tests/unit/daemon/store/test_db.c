/* transactions that keep their first error */
#include "base/fault.h"
#include "items_fixture.h"
#include "tests/faults.h"

#include <fcntl.h>

enum { NUMBERS, NAMES };
static const struct db_table tables[] = {
	[NUMBERS] = { "numbers", true }, [NAMES] = { "names", false }
};

struct own {
	char dir[256];
	struct db_conf conf;
	struct db *db;
};

static int own_open(struct own *own)
{
	struct why why = { 0 };
	int r = db_open(own->dir, &own->conf, &own->db, &why);

	if (r < 0)
		fprintf(stderr, "db_open: %s\n", why.words);
	return r;
}

static int setup(void **state)
{
	struct own *own = calloc(1, sizeof(*own));
	const char *tmp = getenv("TMPDIR");

	if (own == NULL)
		return -1;
	snprintf(own->dir, sizeof(own->dir), "%s/newsxd-db-XXXXXX", tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(own->dir) == NULL)
		return -1;
	own->conf = (struct db_conf){ .tables = tables, .tables_n = 2, .map_size = 1 << 20 };
	*state = own;
	return own_open(own);
}

static int teardown(void **state)
{
	struct own *own = *state;
	char path[300];

	db_close(&own->db);
	snprintf(path, sizeof(path), "%s/data.mdb", own->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/lock.mdb", own->dir);
	unlink(path);
	rmdir(own->dir);
	free(own);
	return 0;
}

static void put_number(struct txn *txn, uint64_t key, const char *text)
{
	txn_put(txn, NUMBERS, key_u64(&key), slice_str(text));
}

static bool has_number(struct own *own, uint64_t key, const char *text)
{
	struct slice value;
	struct txn txn;
	bool has;

	txn_begin(&txn, own->db, TXN_READ);
	has = txn_get(&txn, NUMBERS, key_u64(&key), &value) && slice_is(value, text);
	return txn_end(&txn) == 0 && has;
}

static void what_is_put_is_found(void **state)
{
	struct own *own = *state;
	struct txn txn;

	txn_begin(&txn, own->db, TXN_WRITE);
	put_number(&txn, 1, "one");
	put_number(&txn, 300, "three hundred");
	assert_int_equal(txn_entries(&txn, NUMBERS), 2);
	assert_int_equal(txn_end(&txn), 0);
	assert_true(has_number(own, 300, "three hundred"));
	db_close(&own->db);
	assert_int_equal(own_open(own), 0);
	assert_true(has_number(own, 1, "one"));
}

static void the_first_error_stays(void **state)
{
	struct own *own = *state;
	uint64_t key = 1;
	struct slice value;
	struct txn txn;

	txn_begin(&txn, own->db, TXN_WRITE);
	put_number(&txn, 2, "two");
	txn_append(&txn, NUMBERS, key_u64(&key), slice_str("below")); /* is not the highest */
	assert_int_equal(txn.r, NX_EEXIST);
	put_number(&txn, 3, "three");
	assert_false(txn_get(&txn, NUMBERS, key_u64(&key), &value));
	assert_int_equal(txn_entries(&txn, NUMBERS), 0);
	assert_int_equal(txn_end(&txn), NX_EEXIST);
	assert_false(has_number(own, 2, "two"));
}

static void an_abort_leaves_nothing(void **state)
{
	struct own *own = *state;
	struct txn txn;

	txn_begin(&txn, own->db, TXN_WRITE);
	put_number(&txn, 2, "two");
	txn_abort(&txn);
	assert_false(has_number(own, 2, "two"));
}

static void cursors_walk_and_delete(void **state)
{
	struct own *own = *state;
	uint64_t expect = 0, key;
	char big[900];
	struct cur cur;
	struct txn txn;

	memset(big, 'x', sizeof(big));
	txn_begin(&txn, own->db, TXN_WRITE);
	for (key = 0; key < 500; key++)
		txn_append(&txn, NUMBERS, key_u64(&key), slice_of(big, sizeof(big)));
	cur_open(&cur, &txn, NUMBERS);
	for (bool ok = cur_first(&cur); ok; ok = cur_next(&cur)) { /* two of three go */
		assert_true(u64_of(cur.key) == expect++);
		if (u64_of(cur.key) % 3 != 0)
			cur_del(&cur);
	}
	assert_int_equal(expect, 500);
	cur_close(&cur);
	assert_int_equal(txn_entries(&txn, NUMBERS), 167);
	cur_open(&cur, &txn, NUMBERS);
	key = 4;
	assert_true(cur_seek(&cur, key_u64(&key)));
	assert_true(u64_of(cur.key) == 6);
	assert_true(cur_prev(&cur));
	assert_true(u64_of(cur.key) == 3);
	assert_true(cur_last(&cur));
	assert_true(u64_of(cur.key) == 498);
	assert_false(cur_next(&cur));
	for (bool ok = cur_first(&cur); ok; ok = cur_next(&cur))
		cur_del(&cur);
	assert_int_equal(txn_entries(&txn, NUMBERS), 0);
	cur_close(&cur);
	assert_int_equal(txn_end(&txn), 0);
}

static void deleting_tells_what_was_there(void **state)
{
	struct own *own = *state;
	uint64_t key = 5;
	struct txn txn;

	txn_begin(&txn, own->db, TXN_WRITE);
	put_number(&txn, 5, "five");
	assert_true(txn_del(&txn, NUMBERS, key_u64(&key)));
	assert_false(txn_del(&txn, NUMBERS, key_u64(&key)));
	assert_int_equal(txn_end(&txn), 0);
}

static void a_full_map_writes_nothing_and_goes_on(void **state)
{
	struct own *own = *state;
	char big[DB_VALUE_MAX];
	struct txn txn;

	memset(big, 'x', sizeof(big));
	txn_begin(&txn, own->db, TXN_WRITE);
	for (uint64_t key = 0; key < 1000; key++)
		txn_put(&txn, NUMBERS, key_u64(&key), slice_of(big, sizeof(big)));
	assert_int_equal(txn.r, NX_EFULL);
	assert_int_equal(txn_end(&txn), NX_EFULL);
	txn_begin(&txn, own->db, TXN_WRITE);
	assert_int_equal(txn_entries(&txn, NUMBERS), 0);
	put_number(&txn, 1, "one");
	assert_int_equal(txn_end(&txn), 0);
}

/* what the trees hold and what the free list holds are all there is */
static void usage_adds_up(void **state)
{
	struct own *own = *state;
	struct db_usage full, thin;
	char big[DB_VALUE_MAX];
	struct txn txn;

	memset(big, 'x', sizeof(big));
	txn_begin(&txn, own->db, TXN_WRITE);
	for (uint64_t key = 0; key < 100; key++)
		txn_put(&txn, NUMBERS, key_u64(&key), slice_of(big, sizeof(big)));
	assert_int_equal(txn_end(&txn), 0);
	assert_int_equal(db_usage(own->db, &full), 0);
	assert_int_equal(full.pages_map, 256);
	assert_in_range(full.pages_end - full.pages_free, 103, 115);
	txn_begin(&txn, own->db, TXN_WRITE);
	for (uint64_t key = 0; key < 90; key++)
		txn_del(&txn, NUMBERS, key_u64(&key));
	assert_int_equal(txn_end(&txn), 0);
	assert_int_equal(db_usage(own->db, &thin), 0);
	assert_in_range(thin.pages_end - thin.pages_free, 13, 25);
	assert_true(thin.pages_free >= 90);
}

static void once_in_a_process(void **state)
{
	struct own *own = *state;
	struct db *second = NULL;
	struct why why;

	assert_int_equal(db_open(own->dir, &own->conf, &second, &why), NX_ELOCKED);
	assert_null(second);
	assert_true((fcntl(db_fd(own->db), F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(db_readers_clear(own->db), 0);
	db_close(&own->db);
	db_close(&own->db); /* nothing */
	assert_int_equal(own_open(own), 0);
}

static void a_reader_meets_a_store_with_fewer_tables(void **state)
{
	static const struct db_table more[] = { [NUMBERS] = { "numbers", true },
						[NAMES] = { "names", false },
						[2] = { "later", true } };
	struct own *own = *state;
	struct slice value;
	uint64_t key = 1;
	struct txn txn;
	struct cur cur;

	txn_begin(&txn, own->db, TXN_WRITE);
	put_number(&txn, 1, "one");
	assert_int_equal(txn_end(&txn), 0);
	db_close(&own->db);
	own->conf = (struct db_conf){ .tables = more, .tables_n = 3, .read_only = true };
	assert_int_equal(own_open(own), 0);
	assert_true(has_number(own, 1, "one"));
	txn_begin(&txn, own->db, TXN_READ);
	assert_false(txn_get(&txn, 2, key_u64(&key), &value));
	cur_open(&cur, &txn, 2);
	assert_false(cur_first(&cur));
	cur_close(&cur);
	assert_int_equal(txn_entries(&txn, 2), 0);
	assert_int_equal(txn_end(&txn), 0);
}

static int one_put(struct own *own, const char *place)
{
	struct txn txn;
	int r;

	fault_arm(place, 1, false);
	txn_begin(&txn, own->db, TXN_WRITE);
	put_number(&txn, 1, place);
	r = txn_end(&txn);
	fault_off();
	return r;
}

static void outcomes_of_faults(void **state)
{
	struct own *own = *state;

	need_faults();
	assert_int_equal(one_put(own, "db.begin"), NX_ENOMEM);
	assert_int_equal(one_put(own, "db.put"), NX_EFULL);
	assert_int_equal(one_put(own, "db.commit"), NX_EUNSURE);
	assert_false(has_number(own, 1, "db.commit"));
	assert_int_equal(one_put(own, "db.committed"),
			 NX_EUNSURE); /* it is on disk, nobody knows */
	assert_true(has_number(own, 1, "db.committed"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_is_put_is_found),
		T(the_first_error_stays),
		T(an_abort_leaves_nothing),
		T(cursors_walk_and_delete),
		T(deleting_tells_what_was_there),
		T(a_full_map_writes_nothing_and_goes_on),
		T(usage_adds_up),
		T(once_in_a_process),
		T(a_reader_meets_a_store_with_fewer_tables),
		T(outcomes_of_faults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
