/* three marks, and who stops where; who gets what is left */
#include "items_fixture.h"
#include "store/fair.h"

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

/* what a file says of the size that it was made with */
static void a_file_never_shrinks(void **state)
{
	static const uint64_t sizes[] = { 16, 64, 399, 400, 401, 512, 2048, 9999, 16u << 20 };
	bool kept;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct marks made = marks_of(sizes[i] * MIB, 4096), marks;
		uint64_t file = made.map * 4096;

		marks = marks_standing(sizes[i] * MIB, 4096, file, &kept);
		assert_false(kept);
		marks = marks_standing(sizes[i] * MIB, 4096, 0, &kept);
		assert_false(kept);
		assert_true(marks.map == made.map);
		marks = marks_standing(sizes[i] * MIB + MIB, 4096, file, &kept);
		assert_false(kept);
		assert_true(marks.map > made.map);
		marks = marks_standing(sizes[i] * MIB / 2, 4096, file, &kept);
		assert_true(kept);
		assert_in_range(marks.size, made.size, made.size + 1);
		assert_in_range(marks.settle, made.settle, made.settle + 1);
		assert_int_equal(marks.map, made.map);
	}
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

static void one_leaves_room_for_others(void **state)
{
	struct fair fair = { 0 };
	uint64_t left = 1000;

	(void)state;
	for (; fair_allows(&fair, 7, 10, left); left -= 10)
		fair_took(&fair, 7, 10);
	assert_in_range(left, 190, 210); /* a fifth */
	assert_true(fair_allows(&fair, 8, 10, left));
	assert_false(fair_allows(&fair, 8, left + 1, left));
	fair_done(&fair);
}

static void two_leave_some_too(void **state)
{
	struct fair fair = { 0 };
	uint64_t left = 900;
	bool more = true;

	(void)state;
	while (more) {
		more = false;
		for (uint32_t who = 1; who <= 2; who++) {
			if (!fair_allows(&fair, who, 1, left))
				continue;
			fair_took(&fair, who, 1);
			left--;
			more = true;
		}
	}
	assert_in_range(left, 99, 101); /* a ninth; each of them four times that */
	assert_true(fair_allows(&fair, 3, 90, left));
	fair_done(&fair);
}

static void what_is_freed_is_given_back(void **state)
{
	struct fair fair = { 0 };

	(void)state;
	fair_took(&fair, 1, 600);
	fair_took(&fair, 2, 200);
	fair_fit(&fair, 900); /* others took the rest */
	assert_int_equal(fair.of[0].pages, 600);
	fair_fit(&fair, 400);
	assert_int_equal(fair.of[0].pages, 300);
	assert_int_equal(fair.of[1].pages, 100);
	assert_true(fair_allows(&fair, 1, 10, 600));
	fair_fit(&fair, 0);
	assert_int_equal(fair.n, 0);
	fair_done(&fair);
}

static struct given give_as(struct fx *fx, uint32_t partner, unsigned n, int urgency)
{
	static char document[30000];
	char uri[32];

	snprintf(uri, sizeof(uri), "urn:%u:%u", partner, n);
	memset(document, 'x', sizeof(document) - 1);
	return fx_put(fx, .uri = uri, .partner = partner, .document = document, .urgency = urgency);
}

static struct given give(struct fx *fx, uint32_t partner, unsigned n)
{
	return give_as(fx, partner, n, 5);
}

static struct given give_flash(struct fx *fx, uint32_t partner, unsigned n)
{
	return give_as(fx, partner, n, 1);
}

/* everything is owed, so nothing can be retired: one partner floods, another comes with a story */
static void a_flood_does_not_fill_the_store_for_others(void **state)
{
	struct fx *fx = *state;
	struct given given = { 0 };
	unsigned n = 0;

	while (given.code == 0 && n < 5000)
		given = give(fx, 1, n++);
	assert_int_equal(given.code, NX_EFULL);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(give(fx, 2, i).code, 0);
	for (unsigned i = 0; i < 200; i++) /* what is known takes nothing */
		assert_int_equal(give(fx, 2, 0).result, RESULT_DUPLICATE);
	assert_int_equal(give(fx, 2, 4).code, 0);
	assert_int_equal(give(fx, 1, n).code, NX_EFULL);
	assert_int_equal(fx_put(fx, .uri = "urn:1:0", .status = STATUS_CANCELED).code, 0);
	assert_int_equal(give(fx, 3, 0).code, 0);
}

/* the same with flashes: they have pages of their own, and take no more of the others' */
static void a_flood_of_flashes_leaves_room_for_routine_items(void **state)
{
	struct fx *fx = *state;
	struct given given = { 0 };
	unsigned n = 0, routine;

	while (given.code == 0 && n < 5000)
		given = give(fx, 1, n++);
	routine = n;
	for (given.code = 0; given.code == 0 && n < 5000;)
		given = give_flash(fx, 1, n++);
	assert_int_equal(given.code, NX_EFULL);
	assert_in_range(n - routine, 10, 5000); /* flashes pass what is full for routine items */
	for (unsigned i = 0; i < 4; i += 2) {
		assert_int_equal(give(fx, 2, i).code, 0);
		assert_int_equal(give_flash(fx, 2, i + 1).code, 0);
	}
	assert_int_equal(give_flash(fx, 1, n).code, NX_EFULL);
	assert_int_equal(give(fx, 3, 0).code, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_store_has_the_least),
		cmocka_unit_test(a_large_store_has_percents),
		cmocka_unit_test(a_file_never_shrinks),
		cmocka_unit_test(who_stops_where),
		cmocka_unit_test(one_leaves_room_for_others),
		cmocka_unit_test(two_leave_some_too),
		cmocka_unit_test(what_is_freed_is_given_back),
		cmocka_unit_test_setup_teardown(a_flood_does_not_fill_the_store_for_others,
						fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_flood_of_flashes_leaves_room_for_routine_items,
						fx_setup, fx_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
