#include "base/buf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void adds_and_takes(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 100);
	assert_int_equal(buf_add(&buf, "hello ", 6), 0);
	assert_int_equal(buf_addf(&buf, "%s %d", "world", 42), 0);
	assert_true(slice_is(buf_slice(&buf), "hello world 42"));
	buf_take(&buf, 6);
	assert_true(slice_is(buf_slice(&buf), "world 42"));
	buf_take(&buf, 8);
	assert_int_equal(buf_len(&buf), 0);
	assert_int_equal(buf.start, 0);
	buf_done(&buf);
}

static void keeps_its_first_error(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 10);
	assert_int_equal(buf_add(&buf, "0123456789", 10), 0);
	assert_int_equal(buf_add(&buf, "x", 1), NX_EFULL);
	buf_take(&buf, 5);
	assert_int_equal(buf_add(&buf, "x", 1), NX_EFULL);
	assert_int_equal(buf_addf(&buf, "x"), NX_EFULL);
	assert_null(buf_room(&buf, 1));
	assert_true(slice_is(buf_slice(&buf), "56789"));
	buf_clear(&buf);
	assert_int_equal(buf.r, 0);
	assert_int_equal(buf_add(&buf, "x", 1), 0);
	assert_true(slice_is(buf_slice(&buf), "x"));
	assert_null(buf_room(&buf, SIZE_MAX));
	buf_done(&buf);
}

static void room_below_the_ceiling_is_found_by_moving(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 300);
	for (unsigned i = 0; i < 1000; i++) {
		uint8_t *p = buf_room(&buf, 200);

		assert_non_null(p);
		memset(p, (int)i, 200);
		buf_commit(&buf, 200);
		assert_int_equal(buf_slice(&buf).p[0], (uint8_t)(i - (i > 0)));
		buf_take(&buf, i == 0 ? 100 : 200);
		assert_int_equal(buf_len(&buf), 100);
	}
	assert_true(buf.cap <= 300);
	buf_done(&buf);
}

static void clearing_gives_much_memory_back(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 1 << 20);
	assert_non_null(buf_room(&buf, 1 << 20));
	buf_clear(&buf);
	assert_int_equal(buf.cap, 0);
	assert_non_null(buf_room(&buf, 1000));
	buf_clear(&buf);
	assert_true(buf.cap >= 1000);
	buf_done(&buf);
}

static void hands_its_memory_over(void **state)
{
	struct buf buf;
	uint8_t *p;

	(void)state;
	buf_init(&buf, 100);
	buf_add(&buf, "abcdef", 6);
	buf_take(&buf, 2);
	assert_int_equal(buf_steal(&buf, &p), 4);
	assert_memory_equal(p, "cdef", 4);
	free(p);
	assert_int_equal(buf_len(&buf), 0);
	assert_int_equal(buf_steal(&buf, &p), 0);
	free(p);
	assert_int_equal(buf_add(&buf, "again", 5), 0);
	buf_done(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adds_and_takes),
		cmocka_unit_test(keeps_its_first_error),
		cmocka_unit_test(room_below_the_ceiling_is_found_by_moving),
		cmocka_unit_test(clearing_gives_much_memory_back),
		cmocka_unit_test(hands_its_memory_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
