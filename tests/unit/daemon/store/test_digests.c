/* digests that are made ahead of the writer: what it takes over is of the octets that it has */
#include "base/hash.h"
#include "store/digests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct both {
	struct digests ahead, writers;
};

static int setup(void **state)
{
	*state = calloc(1, sizeof(struct both));
	return *state == NULL ? -1 : 0;
}

static int teardown(void **state)
{
	struct both *both = *state;

	digests_done(&both->ahead);
	digests_done(&both->writers);
	free(both);
	return 0;
}

static struct store_part_append append_of(uint64_t number, uint64_t offset, const char *octets)
{
	return (struct store_part_append){
		.number = number, .offset = offset, .octets = (uint8_t *)octets, .n = strlen(octets)
	};
}

/* through both, as when the writer has it on disk up to offset; was it taken over? */
static bool pass(struct both *both, uint64_t number, uint64_t offset, const char *octets)
{
	struct store_part_append append = append_of(number, offset, octets);
	bool taken;

	digests_ahead(&both->ahead, &append);
	taken = digest_take(digests_of(&both->writers, number), &append);
	ahead_free(&append.ahead);
	return taken;
}

/* hashed by the stage, and then refused by the writer */
static void refuse(struct both *both, uint64_t number, uint64_t offset, const char *octets)
{
	struct store_part_append append = append_of(number, offset, octets);

	digests_ahead(&both->ahead, &append);
	ahead_free(&append.ahead);
}

static void assert_digest(struct both *both, uint64_t number, const char *octets)
{
	uint8_t got[SHA256_LEN], expected[SHA256_LEN];
	struct digest *digest = digests_of(&both->writers, number);

	assert_true(digest->number == number && digest->hashed == strlen(octets));
	sha256_end(digest->sha, got);
	sha256_of(octets, strlen(octets), expected);
	assert_memory_equal(got, expected, sizeof(got));
}

static void pieces_in_order_are_taken_over(void **state)
{
	struct both *both = *state;

	assert_true(pass(both, 5, 0, "abc"));
	assert_true(pass(both, 6, 0, "xy"));
	assert_true(pass(both, 5, 3, "def"));
	assert_true(pass(both, 6, 2, "z"));
	assert_digest(both, 5, "abcdef");
	assert_digest(both, 6, "xyz");
}

static void taken_over_once(void **state)
{
	struct both *both = *state;
	struct store_part_append append = append_of(5, 0, "abc");

	digests_ahead(&both->ahead, &append);
	assert_non_null(append.ahead);
	assert_true(digest_take(digests_of(&both->writers, 5), &append));
	assert_null(append.ahead);
	assert_false(digest_take(digests_of(&both->writers, 5), &append)); /* it is run again */
}

static void a_gap_ends_it(void **state)
{
	struct both *both = *state;

	assert_true(pass(both, 5, 0, "abc"));
	assert_false(pass(both, 5, 4, "e"));  /* one is missing */
	assert_false(pass(both, 5, 3, "d"));  /* and the stage has given up */
	assert_true(pass(both, 5, 0, "abc")); /* until it begins anew */
	assert_false(pass(both, 7, 100, "after a start"));
}

/* the writer refused a piece, and another came in its place */
static void what_was_refused_is_not_in_it(void **state)
{
	struct both *both = *state;

	assert_true(pass(both, 5, 0, "abc"));
	refuse(both, 5, 3, "DEF");
	assert_false(pass(both, 5, 3, "def"));
	assert_false(pass(both, 5, 6, "ghi"));
}

/* a first piece once more, with other octets: it ends where the committed ones end, and what
 * follows must not count as their digest */
static void another_beginning_is_another_run(void **state)
{
	struct both *both = *state;

	assert_true(pass(both, 5, 0, "abc"));
	refuse(both, 5, 0, "DEF");
	assert_false(pass(both, 5, 3, "def"));
}

static void more_parts_than_places(void **state)
{
	struct both *both = *state;

	for (uint64_t i = 1; i <= DIGESTS_MAX + 1; i++)
		assert_true(pass(both, i, 0, "abc"));
	assert_false(pass(both, 1, 3, "def")); /* the oldest had to go; and its place is 2's */
	assert_true(pass(both, DIGESTS_MAX + 1, 3, "def"));
	assert_digest(both, DIGESTS_MAX + 1, "abcdef");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(pieces_in_order_are_taken_over),
		T(taken_over_once),
		T(a_gap_ends_it),
		T(what_was_refused_is_not_in_it),
		T(another_beginning_is_another_run),
		T(more_parts_than_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
