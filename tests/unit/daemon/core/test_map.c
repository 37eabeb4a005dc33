#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/map.h"

#include <cmocka.h>

struct thing {
	struct map_node node;
	unsigned value;
};

static void what_is_added_is_found_until_it_is_taken_out(void **state)
{
	static struct thing things[5000];
	struct map map;

	(void)state;
	map_init(&map);
	for (unsigned i = 0; i < 5000; i++) {
		things[i].value = i;
		map_add(&map, &things[i].node, map_hash_u64(i));
	}
	assert_int_equal(map.n, 5000);
	for (unsigned i = 0; i < 5000; i += 2)
		map_del(&map, &things[i].node);
	map_del(&map, &things[0].node); /* a no-op */
	assert_int_equal(map.n, 2500);
	for (unsigned i = 0; i < 5000; i++) {
		struct map_node *node = map_first(&map, map_hash_u64(i));

		while (node != NULL && container_of(node, struct thing, node)->value != i)
			node = map_next(node);
		assert_int_equal(node != NULL, i % 2);
	}
	map_done(&map);
}

static void several_share_a_hash(void **state)
{
	struct thing things[40] = { 0 };
	struct map map;
	unsigned seen = 0;

	(void)state;
	map_init(&map);
	for (unsigned i = 0; i < 40; i++)
		map_add(&map, &things[i].node, i < 20 ? 7 : 7 + 16);
	for (struct map_node *n = map_first(&map, 7); n != NULL; n = map_next(n))
		seen++;
	assert_int_equal(seen, 20);
	map_done(&map);
}

/* hashes that differ in their highest bits alone would all meet where the lowest choose the place
 */
static void every_bit_of_a_hash_counts(void **state)
{
	static struct thing things[1024];
	struct map map;
	unsigned worst = 0;

	(void)state;
	map_init_secret(&map, 0x5851f42d4c957f2d);
	for (unsigned i = 0; i < 1024; i++)
		map_add(&map, &things[i].node, (uint64_t)i << 54);
	for (size_t i = 0; i < map.cap; i++) {
		unsigned n = 0;

		for (struct map_node *at = map.slots[i]; at != NULL; at = at->next)
			n++;
		if (n > worst)
			worst = n;
	}
	assert_true(worst < 16);
	map_done(&map);
}

static void any_empties_it(void **state)
{
	struct thing things[100] = { 0 };
	struct map map;
	struct map_node *node;
	unsigned n = 0;

	(void)state;
	map_init(&map);
	for (unsigned i = 0; i < 100; i++)
		map_add(&map, &things[i].node, map_hash_u64(i));
	while ((node = map_any(&map)) != NULL) {
		map_del(&map, node);
		n++;
	}
	assert_int_equal(n, 100);
	map_done(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_added_is_found_until_it_is_taken_out),
		cmocka_unit_test(several_share_a_hash),
		cmocka_unit_test(every_bit_of_a_hash_counts),
		cmocka_unit_test(any_empties_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
