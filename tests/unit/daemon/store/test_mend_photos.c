/* rows of meta in `photos` that were damaged: no number is given twice, and all photos stay */
#include "store_fixture.h"

#include "flip_fixture.h"
#include "store/photos_meta.h"
#include "store/store_priv.h"

#define PHOTO 9000

struct there {
	struct sx sx;
	uint8_t *first, *second, *half;
	struct store_part part;
	uint64_t next;
};

static int setup(void **state)
{
	struct there *there = calloc(1, sizeof(*there));
	struct store_part_append append;
	struct store_part_begin begin;
	struct sx *sx = &there->sx;
	struct sx_put put;

	*state = there;
	sx_init(sx, true);
	sx->conf.size = 8 << 20;
	sx->conf.items_share_pct = 50;
	assert_int_equal(sx_open(sx), 0);
	there->first = sx_octets(1, PHOTO);
	there->second = sx_octets(2, PHOTO);
	there->half = sx_octets(3, PHOTO);
	assert_int_equal(sx_upload(sx, sx->afp, there->first, PHOTO, PHOTO, &there->part), 0);
	sx_put_make(&put, sx->afp, 1, &there->part, 1);
	assert_int_equal(sx_put(sx, &put), 0);
	store_unlease(sx->store, there->part.number);
	assert_int_equal(sx_begin(sx, sx->afp, there->half, PHOTO, &begin), 0);
	sx_append_make(&append, begin.number, 0, there->half, PHOTO / 2);
	assert_int_equal(sx_run(sx, &append.req), 0);
	there->next = sx->store->photos->next;
	store_close(&sx->store);
	return 0;
}

static int teardown(void **state)
{
	struct there *there = *state;

	sx_end(&there->sx);
	free(there->first);
	free(there->second);
	free(there->half);
	free(there);
	return 0;
}

/* what stood stands; what comes gets a number of its own */
static void assert_works(struct there *there, uint64_t next)
{
	struct sx *sx = &there->sx;
	struct store_part_begin begin;
	struct store_part part;

	assert_int_equal(sx->store->photos->next, next);
	sx_assert_part(sx, there->part.number, there->first, PHOTO);
	assert_int_equal(sx_upload(sx, sx->afp, there->second, PHOTO, PHOTO, &part), 0);
	assert_int_equal(part.number, next);
	store_unlease(sx->store, part.number);
	sx_assert_part(sx, there->part.number, there->first, PHOTO);
	sx_assert_part(sx, part.number, there->second, PHOTO);
	assert_int_equal(sx_begin(sx, sx->afp, there->half, PHOTO, &begin), 0);
	assert_int_equal(begin.offset, PHOTO / 2);
	store_close(&sx->store);
	assert_int_equal(sx_verify(sx), 0);
}

static void each_bit(struct there *there, const struct image *image, const struct row_place *row)
{
	struct sx *sx = &there->sx;

	for (size_t at = 0; at < row->n; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			image_flip(image, row->at + (off_t)at, bit);
			if (sx_verify(sx) == 0)
				fail_msg("%s, octet %zu: not found", row->name, at);
			memset(sx->events, 0, sizeof(sx->events));
			assert_int_equal(sx_open(sx), 0);
			store_collect(sx->store);
			if (sx->events[STORE_CORRUPT] != 1)
				fail_msg("%s, octet %zu: told %u times", row->name, at,
					 sx->events[STORE_CORRUPT]);
			assert_string_equal(sx->last[STORE_CORRUPT].table, "meta");
			assert_memory_equal(sx->last[STORE_CORRUPT].key, "photos/", 7);
			assert_works(there, there->next);
			image_back(image);
		}
}

static void each_bit_of_each_row(void **state)
{
	struct there *there = *state;
	struct db *db = open_alone(there->sx.dir, "photos", photos_tables, PHOTOS_TABLES);
	struct row_place rows[8];
	struct image image;
	unsigned n = row_places(db, P_META, rows, 8);

	db_close(&db);
	assert_int_equal(n, 3);
	image_take(&image, there->sx.dir, "photos");
	for (unsigned i = 0; i < n; i++) {
		each_bit(there, &image, &rows[i]);
		for (unsigned bit = 0; bit < 16; bit++) {
			image_flip(&image, rows[i].at - 8 + bit / 8, bit % 8);
			assert_int_equal(sx_open(&there->sx), 0);
			assert_works(there, there->next);
			image_back(&image);
		}
	}
	image_done(&image);
}

static void put_row(struct there *there, const char *name, const void *octets, size_t n)
{
	struct db_conf conf = { .tables = photos_tables, .tables_n = PHOTOS_TABLES };
	struct db *db = NULL;
	char path[300];
	struct txn txn;

	snprintf(path, sizeof(path), "%s/photos", there->sx.dir);
	assert_int_equal(db_open(path, &conf, &db, NULL), 0);
	txn_begin(&txn, db, TXN_WRITE);
	if (octets == NULL)
		txn_del(&txn, P_META, slice_str(name));
	else
		txn_put(&txn, P_META, slice_str(name), slice_of(octets, n));
	assert_int_equal(txn_end(&txn), 0);
	db_close(&db);
}

static void a_number_without_a_copy(void **state)
{
	static const uint64_t wrong[] = { 0, 1, 2, UINT64_C(1) << 50 };
	struct there *there = *state;
	struct sx *sx = &there->sx;
	struct image image;

	image_take(&image, sx->dir, "photos");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		put_row(there, META_COPY, NULL, 0);
		put_row(there, "next", &wrong[i], i == 0 ? 3 : 8);
		sx->events[STORE_CORRUPT] = 0;
		assert_int_equal(sx_open(sx), 0);
		store_collect(sx->store);
		assert_int_equal(sx->events[STORE_CORRUPT], 1);
		assert_works(there, there->next);
		image_back(&image);
	}
	image_done(&image);
}

/* it had no copy, or went on without one */
static void what_an_older_newsxd_left(void **state)
{
	struct there *there = *state;
	struct sx *sx = &there->sx;
	uint64_t far = there->next + 100;

	put_row(there, META_COPY, NULL, 0);
	put_row(there, "next", &far, 8);
	assert_int_equal(sx_open(sx), 0);
	store_collect(sx->store);
	assert_int_equal(sx->events[STORE_CORRUPT], 0);
	assert_works(there, far);
}

static void a_format_that_nobody_tells(void **state)
{
	struct there *there = *state;
	struct why why = { 0 };

	put_row(there, META_COPY, NULL, 0);
	put_row(there, "format", "?", 1);
	assert_int_equal(store_open(&there->sx.conf, &there->sx.store, &why), NX_ECORRUPT);
	assert_non_null(strstr(why.words, "says nothing of its format"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(each_bit_of_each_row),
		T(a_number_without_a_copy),
		T(what_an_older_newsxd_left),
		T(a_format_that_nobody_tells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
