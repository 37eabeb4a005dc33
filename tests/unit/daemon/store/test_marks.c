/* three marks, and who stops where */
#include "items_fixture.h"

#define MIB (UINT64_C(1) << 20)

static void a_small_store_has_the_least(void **state)
{
	struct marks marks = marks_of(64 * MIB, 4096);

	(void)state;
	assert_true(marks.size == 64 * 256);
	assert_true(marks.settle == (64 + 16) * 256);
	assert_true(marks.map == (64 + 32) * 256);
}

static void a_large_store_has_percents(void **state)
{
	struct marks marks = marks_of(10000 * MIB, 4096);

	(void)state;
	assert_true(marks.size == 10000 * 256);
	assert_true(marks.settle == 10400 * 256);
	assert_true(marks.map == 10800 * 256);
}

static void who_stops_where(void **state)
{
	struct marks marks = { .page = 4096, .size = 1000, .settle = 1100, .map = 1200 };

	(void)state;
	assert_true(marks_room(&marks, MARK_PARTS, 890, 10));
	assert_false(marks_room(&marks, MARK_PARTS, 890, 11));
	assert_true(marks_room(&marks, MARK_ROUTINE, 940, 10));
	assert_false(marks_room(&marks, MARK_ROUTINE, 940, 11));
	assert_true(marks_room(&marks, MARK_FLASH, 980, 10));
	assert_false(marks_room(&marks, MARK_FLASH, 980, 11));
	assert_true(marks_room(&marks, MARK_SETTLE, 1000, 100));
	assert_false(marks_room(&marks, MARK_SETTLE, 1000, 101));
	assert_false(marks_room(&marks, MARK_ROUTINE, 951, 0));
	assert_false(marks_room(&marks, MARK_ROUTINE, 1, UINT64_MAX));
	assert_int_equal(marks_percent(&marks, 995), 99);
	assert_int_equal(marks_percent(&marks, 1050), 105);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_store_has_the_least),
		cmocka_unit_test(a_large_store_has_percents),
		cmocka_unit_test(who_stops_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
