/* what a publisher remembers of acknowledgements: a line for each server, and what HELLO makes of
 * it */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "client/held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct world {
	char dir[200], identity[250], file[260];
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const char *tmp = getenv("TMPDIR");

	snprintf(w->dir, sizeof(w->dir), "%s/newsx-held-XXXXXX", tmp == NULL ? "/tmp" : tmp);
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->identity, sizeof(w->identity), "%s/kpl", w->dir);
	snprintf(w->file, sizeof(w->file), "%s.held", w->identity);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	unlink(w->file);
	rmdir(w->dir);
	free(w);
	return 0;
}

static struct held open_for(struct world *w, const char *server)
{
	struct held held;

	assert_int_equal(held_open(&held, NULL, w->identity, server, NULL), 0);
	return held;
}

static void note(struct world *w, const char *server, uint64_t epoch, uint64_t sequence)
{
	struct held held = open_for(w, server);

	held_note(&held, epoch, sequence);
	held_close(&held);
}

static void assert_held(struct world *w, const char *server, uint64_t epoch, uint64_t sequence)
{
	struct held held = open_for(w, server);
	struct hello mine = { 0 };

	held_say(&held, &mine);
	assert_true(mine.has_held);
	assert_true(mine.held_epoch == epoch);
	assert_int_equal(mine.held_sequence, sequence);
	held_close(&held);
}

static void the_highest_of_each_server_is_kept(void **state)
{
	struct world *w = *state;
	struct held held = open_for(w, "a:7417");
	struct hello mine = { 0 };

	held_say(&held, &mine);
	assert_false(mine.has_held);
	held_note(&held, 10, 5);
	held_note(&held, 10, 9);
	held_note(&held, 10, 7);
	held_close(&held);
	note(w, "b:7417", 20, 3);
	note(w, "a:741", 30, 1);
	assert_held(w, "a:7417", 10, 9);
	assert_held(w, "b:7417", 20, 3);
	note(w, "a:7417", 10, 8); /* another publisher was faster */
	assert_held(w, "a:7417", 10, 9);
	note(w, "a:7417", 11, 2); /* another epoch counts anew */
	assert_held(w, "a:7417", 11, 2);
	assert_held(w, "a:741", 30, 1);
}

static void after_a_loss_lower_numbers_count(void **state)
{
	struct world *w = *state;
	struct hello theirs = { .epoch = 10, .has_last = true, .last = 9 };
	struct held held;

	note(w, "a:7417", 10, 9);
	held = open_for(w, "a:7417");
	held_check(&held, &theirs);
	assert_true(held.known && !held.anew); /* nothing is gone */
	theirs.last = 4;
	held_check(&held, &theirs);
	assert_true(!held.known && held.anew);
	held_note(&held, 10, 5);
	held_close(&held);
	assert_held(w, "a:7417", 10, 5);
}

static void what_cannot_be_read_is_not_known(void **state)
{
	struct world *w = *state;
	FILE *file = fopen(w->file, "w");
	struct held held;
	struct hello mine = { 0 };

	fputs("rubbish\n000000000000000a 0000000000000000000x a:7417\n", file);
	fclose(file);
	held = open_for(w, "a:7417");
	held_say(&held, &mine);
	assert_false(mine.has_held);
	held_note(&held, 10, 5);
	held_close(&held);
	assert_held(w, "a:7417", 10, 5);
}

static void only_a_file_that_was_asked_for_must_open(void **state)
{
	struct world *w = *state;
	struct why why = { 0 };
	struct held held;

	assert_int_equal(held_open(&held, NULL, "/no/such/place", "a:1", &why), 0);
	held_note(&held, 1, 1);
	held_close(&held);
	assert_int_equal(held_open(&held, "/no/such/place", w->identity, "a:1", &why), NX_EIO);
	assert_non_null(strstr(why.words, "/no/such/place"));
	held = (struct held){ 0 };
	held_close(&held); /* never opened: standard input stays open */
	assert_int_equal(dup2(0, 0), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_highest_of_each_server_is_kept),
		T(after_a_loss_lower_numbers_count),
		T(what_cannot_be_read_is_not_known),
		T(only_a_file_that_was_asked_for_must_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
