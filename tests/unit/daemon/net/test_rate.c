/* the arithmetic of a line's rate, without sockets */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/rate.h"

/* the line moves `rate` octets a second for ms, looked at every 50 ms */
static void run(struct rate *rate, struct rate_line *line, int64_t *now_ms, uint64_t octets,
		int64_t ms)
{
	for (int64_t end_ms = *now_ms + ms; *now_ms < end_ms; *now_ms += 50) {
		rate_add(rate, line, *now_ms);
		line->acked += octets / 20;
	}
	rate_add(rate, line, *now_ms);
}

static void nothing_known(void **state)
{
	struct rate far = { 0 }, near_ = { .near_ = true };

	(void)state;
	assert_int_equal(rate_small_max(&far, 0), 4096);
	assert_int_equal(rate_small_max(&near_, 0), 16384);
	assert_false(rate_slow(&far, 0));
	assert_int_equal(rate_batch(&far, 0), 16384);
}

static void steady(void **state)
{
	static const struct {
		uint64_t rate;
		size_t small_max, batch;
		bool slow;
	} rows[] = {
		{ 8000, 1024, 256, true },         { 250000, 7424, 1856, true },
		{ 500000, 14848, 3712, true },     { 1000000, 16384, 30000, false },
		{ 25000000, 16384, 65536, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rate rate = { 0 };
		struct rate_line line = { 0 };
		int64_t now_ms = 5000;

		run(&rate, &line, &now_ms, rows[i].rate, 700);
		assert_int_equal(rate.rate, rows[i].rate);
		assert_int_equal(rate_small_max(&rate, now_ms), rows[i].small_max);
		assert_int_equal(rate_batch(&rate, now_ms), rows[i].batch);
		assert_int_equal(rate_slow(&rate, now_ms), rows[i].slow);
		/* a minute later it is no longer trusted */
		assert_int_equal(rate_small_max(&rate, now_ms + RATE_STALE_MS), 4096);
		rate_dry(&rate);
		assert_null(rate.points);
	}
}

/* 200 kB vanish into buffers at once, then the line shows what it is */
static void buffers_fill_first(void **state)
{
	struct rate rate = { .near_ = true };
	struct rate_line line = { 0 };
	int64_t now_ms = 0;

	(void)state;
	rate_add(&rate, &line, now_ms);
	line.acked = 200000;
	now_ms = 50;
	run(&rate, &line, &now_ms, 250000, 100);
	assert_true(rate.rate > 1000000);
	assert_int_equal(rate_batch(&rate, now_ms), 16384); /* not sure yet: one frame at a time */
	run(&rate, &line, &now_ms, 250000, 500);
	assert_int_equal(rate.rate, 250000);
	rate_dry(&rate);
}

static void the_kernel_knows_better_at_first(void **state)
{
	struct rate rate = { 0 };
	struct rate_line line = { .delivery = 300000 };

	(void)state;
	rate_add(&rate, &line, 0);
	line.acked = 200000;
	rate_add(&rate, &line, 60);
	assert_int_equal(rate.rate, 300000);
	rate_dry(&rate);
}

static void weather_changes(void **state)
{
	struct rate rate = { 0 };
	struct rate_line line = { .rtt_us = 40000 };
	int64_t now_ms = 0;

	(void)state;
	run(&rate, &line, &now_ms, 25000000, 2000);
	run(&rate, &line, &now_ms, 250000, 550);
	assert_int_equal(rate.rate, 250000);
	/* it stands still for three seconds, with nobody looking */
	now_ms += 3000;
	rate_add(&rate, &line, now_ms);
	assert_true(rate.rate < 50000 && rate.rate > 0);
	run(&rate, &line, &now_ms, 25000000, 600);
	assert_int_equal(rate.rate, 25000000);
	/* nothing to say: what was known stays, and a new measurement begins anew */
	rate_dry(&rate);
	now_ms += 10000;
	run(&rate, &line, &now_ms, 25000000, 0);
	assert_int_equal(rate.rate, 25000000);
	run(&rate, &line, &now_ms, 250000, 100);
	assert_int_equal(rate.rate, 250000);
	rate_dry(&rate);
}

static void a_dead_line_is_slow_not_unknown(void **state)
{
	struct rate rate = { 0 };
	struct rate_line line = { .acked = 77 };
	int64_t now_ms = 0;

	(void)state;
	run(&rate, &line, &now_ms, 0, 5000);
	assert_int_equal(rate.rate, 1);
	assert_int_equal(rate_small_max(&rate, now_ms), 1024);
	assert_true(rate.n <= RATE_POINTS);
	rate_dry(&rate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_known),
		cmocka_unit_test(steady),
		cmocka_unit_test(buffers_fill_first),
		cmocka_unit_test(the_kernel_knows_better_at_first),
		cmocka_unit_test(weather_changes),
		cmocka_unit_test(a_dead_line_is_slow_not_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
