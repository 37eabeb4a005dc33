#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/settle.h"

#include <cmocka.h>

static void a_position_is_busy_once_however_often_it_is_said(void **state)
{
	struct feed feed = { 0 };

	(void)state;
	map_init(&feed.busy);
	assert_false(feed_busy(&feed, 7));
	assert_int_equal(feed_busy_add(&feed, 7), 0);
	assert_int_equal(feed_busy_add(&feed, 7), 0);
	assert_int_equal(feed.busy.n, 1);
	assert_true(feed_busy(&feed, 7));
	feed_busy_del(&feed, 7);
	assert_false(feed_busy(&feed, 7));
	feed_busy_del(&feed, 7); /* a no-op */
	for (uint64_t p = 1; p <= 3000; p++)
		assert_int_equal(feed_busy_add(&feed, p), 0);
	for (uint64_t p = 1; p <= 3000; p += 3)
		feed_busy_del(&feed, p);
	for (uint64_t p = 1; p <= 3000; p++)
		assert_int_equal(feed_busy(&feed, p), p % 3 != 1);
	for (uint64_t p = 1; p <= 3000; p++)
		feed_busy_del(&feed, p);
	assert_int_equal(feed.busy.n, 0);
	map_done(&feed.busy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_position_is_busy_once_however_often_it_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
