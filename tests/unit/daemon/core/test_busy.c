#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/settle.h"

#include <cmocka.h>

static void a_position_is_busy_once_however_often_it_is_said(void **state)
{
	struct feed feed = { .late_end = &feed.late };

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

static void what_is_settled_stays_busy_for_fetches_that_began_before(void **state)
{
	struct feed feed = { .late_end = &feed.late };

	(void)state;
	map_init(&feed.busy);
	for (uint64_t p = 1; p <= 5; p++)
		assert_int_equal(feed_busy_add(&feed, p), 0);
	feed_busy_settled(&feed, 1); /* nobody reads */
	assert_false(feed_busy(&feed, 1));
	feed_fetch_begin(&feed, LANE_ROUTINE);
	feed_busy_settled(&feed, 2);
	feed_busy_settled(&feed, 2);
	feed_busy_del(&feed, 2);
	assert_true(feed_busy(&feed, 2));
	feed_fetch_begin(&feed, LANE_FLASH);
	feed_busy_settled(&feed, 3);
	feed_fetch_end(&feed, LANE_ROUTINE);
	assert_false(feed_busy(&feed, 2)); /* the flash lane's began after it was settled */
	assert_true(feed_busy(&feed, 3));
	feed_fetch_begin(&feed, LANE_ROUTINE); /* it sees that 3 is settled */
	feed_fetch_end(&feed, LANE_FLASH);
	assert_false(feed_busy(&feed, 3));
	feed_busy_settled(&feed, 4);
	feed_busy_forget(&feed);
	assert_false(feed_busy(&feed, 4));
	assert_true(feed_busy(&feed, 5)); /* it is open, not settled */
	feed_fetch_end(&feed, LANE_ROUTINE);
	feed_busy_del(&feed, 5);
	assert_int_equal(feed.busy.n, 0);
	map_done(&feed.busy);
}

static void photos_make_a_request_of_fewer(void **state)
{
	static struct settle_run runs[2000];

	(void)state;
	assert_int_equal(settle_at_once(runs, 0), 0);
	assert_int_equal(settle_at_once(runs, 300), 300);
	assert_int_equal(settle_at_once(runs, 2000), 512);
	for (unsigned i = 0; i < 2000; i++)
		runs[i] = (struct settle_run){ .how = SETTLE_ACKED, .parts_n = 64 };
	assert_int_equal(settle_at_once(runs, 2000), 15); /* 132 pages each */
	for (unsigned i = 0; i < 2000; i++)
		runs[i].how = SETTLE_NEVER; /* it has not got them */
	assert_int_equal(settle_at_once(runs, 2000), 512);
	runs[0] = (struct settle_run){ .how = SETTLE_ACKED, .parts_n = 1024 };
	assert_int_equal(settle_at_once(runs, 2000), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_position_is_busy_once_however_often_it_is_said),
		cmocka_unit_test(what_is_settled_stays_busy_for_fetches_that_began_before),
		cmocka_unit_test(photos_make_a_request_of_fewer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
