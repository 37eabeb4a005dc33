/* a partner's share of a turn: its own work counts, not what it had to wait for */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/share.h"

static int setup(void **state)
{
	return loop_new((struct loop **)state);
}

static int teardown(void **state)
{
	loop_free((struct loop **)state);
	return 0;
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void turn(struct loop *loop)
{
	assert_int_equal(loop_later(loop, stop, loop), 0);
	assert_int_equal(loop_run(loop), 0);
}

static int64_t worked_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void work(int64_t us)
{
	for (int64_t end = worked_us() + us; worked_us() < end;)
		;
}

static void its_work_ends_it(void **state)
{
	struct share share = { 0 };

	turn(*state);
	share_begin(*state, &share);
	assert_true(share_left(&share));
	work(SHARE_US / 2 + 100);
	assert_true(share_left(&share));
	share_end(&share);
	share_begin(*state, &share); /* another conn, the same turn */
	work(SHARE_US / 2 + 100);
	assert_false(share_left(&share));
	share_end(&share);
	share_begin(*state, &share);
	assert_false(share_left(&share));
	share_end(&share);
	turn(*state);
	share_begin(*state, &share);
	assert_true(share_left(&share));
	share_end(&share);
}

static void others_have_the_processor(void **state)
{
	struct share share = { 0 };

	turn(*state);
	for (int i = 0; i < 3; i++) {
		share_begin(*state, &share);
		usleep(3 * SHARE_US);
		assert_true(share_left(&share));
		usleep(3 * SHARE_US);
		share_end(&share);
	}
	share_begin(*state, &share);
	assert_true(share_left(&share));
	work(SHARE_US + 100);
	assert_false(share_left(&share));
	share_end(&share);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(its_work_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(others_have_the_processor, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
