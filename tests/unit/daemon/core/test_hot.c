#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/hot.h"

#include <cmocka.h>

static struct hot *item(uint64_t position, uint32_t octets)
{
	struct hot *hot = calloc(1, sizeof(*hot));

	assert_non_null(hot);
	hot->refs = 1;
	hot->position = position;
	hot->octets = calloc(1, octets + 1);
	hot->octets_n = octets;
	return hot;
}

static void count(void *arg, struct hot *hot)
{
	(void)hot;
	++*(unsigned *)arg;
}

static void put(struct ring *ring, uint64_t position, uint32_t octets, unsigned *gone)
{
	struct hot *hot = item(position, octets);

	ring_add(ring, hot, count, gone);
	hot_unref(&hot);
}

static void gaps_are_gaps_until_they_are_filled(void **state)
{
	struct ring ring;
	unsigned gone = 0;

	(void)state;
	assert_int_equal(ring_init(&ring, 1 << 20, 10), 0);
	assert_null(ring_at(&ring, 11));
	put(&ring, 13, 10, &gone);
	assert_null(ring_at(&ring, 11));
	assert_null(ring_at(&ring, 12));
	assert_non_null(ring_at(&ring, 13));
	put(&ring, 11, 10, &gone);
	put(&ring, 11, 10, &gone); /* a second time: nothing */
	assert_int_equal(ring_at(&ring, 11)->position, 11);
	assert_int_equal(ring.first, 11);
	assert_int_equal(ring.end, 14);
	put(&ring, 5, 10, &gone); /* from before: nothing */
	assert_null(ring_at(&ring, 5));
	ring_extend(&ring, 20, count, &gone);
	assert_int_equal(ring.end, 21);
	assert_null(ring_at(&ring, 20));
	assert_int_equal(gone, 0);
	ring_done(&ring);
}

static void it_keeps_to_its_octets_and_drops_the_oldest(void **state)
{
	struct ring ring;
	unsigned gone = 0;

	(void)state;
	assert_int_equal(ring_init(&ring, 100000, 0), 0);
	for (uint64_t p = 1; p <= 100; p++) {
		put(&ring, p, 9000, &gone);
		assert_true(ring.octets <= 100000);
		assert_non_null(ring_at(&ring, p));
	}
	assert_null(ring_at(&ring, 1));
	assert_int_equal(ring.end - ring.first, 100 - gone);
	put(&ring, 101, 200000, &gone); /* larger than all of it: it is not kept */
	assert_null(ring_at(&ring, 101));
	assert_int_equal(ring.octets, 0);
	assert_int_equal(gone, 101);
	put(&ring, 102, 10, &gone);
	assert_non_null(ring_at(&ring, 102));
	ring_done(&ring);
}

static void it_grows_with_many_small_ones(void **state)
{
	struct ring ring;
	unsigned gone = 0;

	(void)state;
	assert_int_equal(ring_init(&ring, UINT64_MAX, 0), 0);
	for (uint64_t p = 1; p <= 5000; p++)
		put(&ring, p, 1, &gone);
	for (uint64_t p = 1; p <= 5000; p++)
		assert_int_equal(ring_at(&ring, p)->position, p);
	assert_int_equal(gone, 0);
	ring_done(&ring);
}

static void a_long_gap_begins_anew(void **state)
{
	struct ring ring;
	unsigned gone = 0;

	(void)state;
	assert_int_equal(ring_init(&ring, 1 << 20, 0), 0);
	put(&ring, 1, 10, &gone);
	put(&ring, 1000000, 10, &gone);
	assert_int_equal(gone, 1);
	assert_non_null(ring_at(&ring, 1000000));
	assert_null(ring_at(&ring, 1));
	put(&ring, 1000001, 10, &gone);
	assert_non_null(ring_at(&ring, 1000001));
	assert_int_equal(ring.end, 1000002);
	ring_done(&ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gaps_are_gaps_until_they_are_filled),
		cmocka_unit_test(it_keeps_to_its_octets_and_drops_the_oldest),
		cmocka_unit_test(it_grows_with_many_small_ones),
		cmocka_unit_test(a_long_gap_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
