/* turns, timers, wake-ups, signals, descriptors */
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/loop_priv.h"

struct seen {
	struct loop *loop;
	struct timer *timer;
	unsigned n, stop_at;
	char order[16];
};

static int setup(void **state)
{
	struct seen *seen = calloc(1, sizeof(*seen));

	*state = seen;
	return loop_new(&seen->loop);
}

static int teardown(void **state)
{
	struct seen *seen = *state;

	timer_free(&seen->timer);
	loop_free(&seen->loop);
	assert_null(seen->loop);
	loop_free(&seen->loop);
	free(seen);
	return 0;
}

static void count(void *arg)
{
	struct seen *seen = arg;

	if (++seen->n >= seen->stop_at)
		loop_stop(seen->loop);
}

static void again(void *arg)
{
	struct seen *seen = arg;

	count(seen);
	timer_set(seen->timer, 5);
}

static void timers(void **state)
{
	struct seen *seen = *state;
	int64_t began_ms = clock_boot_ms();

	seen->stop_at = 3;
	assert_int_equal(timer_new(seen->loop, again, seen, &seen->timer), 0);
	timer_set(seen->timer, 100000);
	timer_set(seen->timer, 20); /* replaces */
	assert_int_equal(loop_run(seen->loop), 0);
	assert_int_equal(seen->n, 3);
	assert_true(clock_boot_ms() - began_ms >= 30);
	timer_stop(seen->timer);
	timer_free(&seen->timer);
	assert_null(seen->timer);
}

static void never_early(void **state)
{
	struct seen *seen = *state;

	seen->stop_at = 1;
	assert_int_equal(timer_new(seen->loop, count, seen, &seen->timer), 0);
	for (int64_t ms = 0; ms < 12; ms++) {
		int64_t due_ms = clock_boot_ms() + ms;

		timer_set(seen->timer, ms);
		assert_int_equal(loop_run(seen->loop), 0);
		assert_true(clock_boot_ms() >= due_ms);
	}
	timer_set(seen->timer, -5);
	assert_int_equal(loop_run(seen->loop), 0);
}

static void say_a(void *arg)
{
	strcat(((struct seen *)arg)->order, "a");
}

static void say_b_and_c(void *arg)
{
	struct seen *seen = arg;

	strcat(seen->order, "b");
	assert_int_equal(loop_later(seen->loop, count, seen), 0); /* the next turn */
	strcat(seen->order, "c");
}

static void later(void **state)
{
	struct seen *seen = *state;
	uint64_t turn = loop_turn(seen->loop);

	seen->stop_at = 1;
	assert_int_equal(loop_later(seen->loop, say_a, seen), 0);
	assert_int_equal(loop_later(seen->loop, say_b_and_c, seen), 0);
	assert_int_equal(loop_run(seen->loop), 0);
	assert_string_equal(seen->order, "abc");
	assert_int_equal(loop_turn(seen->loop) - turn, 2);
	/* what is left at the end is done then */
	assert_int_equal(loop_later(seen->loop, say_a, seen), 0);
	loop_free(&seen->loop);
	assert_string_equal(seen->order, "abca");
}

/* something that comes again and again does not keep the loop from its other work */
static struct later busy_later;
static void busy(void *arg)
{
	struct seen *seen = arg;

	later_add(seen->loop, &busy_later, busy, seen);
}

static void later_is_no_trap(void **state)
{
	struct seen *seen = *state;

	seen->stop_at = 1;
	busy(seen);
	assert_int_equal(timer_new(seen->loop, count, seen, &seen->timer), 0);
	timer_set(seen->timer, 5);
	assert_int_equal(loop_run(seen->loop), 0);
	later_drop(&busy_later);
	later_drop(&busy_later);
}

static void *wake_it(void *arg)
{
	for (int i = 0; i < 1000; i++)
		wake_up(arg);
	return NULL;
}

static void wakes(void **state)
{
	struct seen *seen = *state;
	struct wake *wake;
	pthread_t thread;

	seen->stop_at = 1;
	assert_int_equal(wake_new(seen->loop, count, seen, &wake), 0);
	assert_int_equal(pthread_create(&thread, NULL, wake_it, wake), 0);
	assert_int_equal(loop_run(seen->loop), 0);
	pthread_join(thread, NULL);
	assert_true(seen->n >= 1);
	wake_it(wake); /* a thousand calls, one turn, one callback */
	seen->n = 0;
	assert_int_equal(loop_run(seen->loop), 0);
	assert_int_equal(seen->n, 1);
	wake_free(&wake);
	assert_null(wake);
}

static void signals(void **state)
{
	struct seen *seen = *state;
	struct signal_ *signal;

	seen->stop_at = 1;
	assert_int_equal(signal_new(seen->loop, SIGHUP, count, seen, &signal), 0);
	raise(SIGHUP);
	assert_int_equal(loop_run(seen->loop), 0);
	assert_int_equal(seen->n, 1);
	signal_free(&signal);
	assert_null(signal);
}

static void hear(const char *line, void *arg)
{
	snprintf(arg, 400, "%s", line);
}

/* what libevent has to say is a line of the log, and nothing that it writes by itself */
static void libevent_speaks_through_the_log(void **state)
{
	struct seen *seen = *state;
	char line[400] = "";
	struct event event;

	log_tap(hear, line);
	event_assign(&event, loop_base(seen->loop), 9999, EV_READ, NULL, NULL);
	assert_true(event_add(&event, NULL) < 0);
	log_tap(NULL, NULL);
	assert_non_null(strstr(line, "level=warn event=loop.warn words=\"Epoll ADD"));
}

static int64_t times[2];
static void look(void *arg)
{
	struct seen *seen = arg;

	times[0] = loop_now_ms(seen->loop);
	clock_advance(500);
	times[1] = loop_now_ms(seen->loop);
	loop_stop(seen->loop);
}

static void one_time_a_turn(void **state)
{
	struct seen *seen = *state;

	clock_fake(1000, 2000);
	assert_int_equal(loop_later(seen->loop, look, seen), 0);
	assert_int_equal(loop_run(seen->loop), 0);
	assert_int_equal(times[0], 1000);
	assert_int_equal(times[1], 1000);
	assert_int_equal(loop_later(seen->loop, look, seen), 0);
	assert_int_equal(loop_run(seen->loop), 0);
	assert_int_equal(times[0], 1500);
	clock_real();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(timers), T(never_early), T(later),           T(later_is_no_trap),
		T(wakes),  T(signals),     T(one_time_a_turn), T(libevent_speaks_through_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
