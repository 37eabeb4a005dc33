/*
 * test_sizes.c - what a store holds, as newsxd.conf(5) says it: so many stories of 4 KB.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "actor.h"

#include <cmocka.h>

enum { STORY = 4000, BATCH = 32, MOST = 20000 };

/* how many go in before the first is refused, or waits for credit: without a tick nothing goes */
static unsigned stories_until_full(const char *store)
{
	struct stage *stage = stage_new(&(struct stage_conf){ .store = store });
	struct actor *kpl = actor_enter(stage, "kpl");
	unsigned n = 0;

	for (bool full = false; !full && n < MOST;) {
		char uri[32];

		for (unsigned i = 0; i < BATCH; i++) {
			snprintf(uri, sizeof(uri), "urn:newsml:kpl:%u", n + i);
			actor_publish(kpl, .uri = uri, .pad = STORY);
		}
		stage_settle(stage);
		for (unsigned i = 0; i < BATCH && !full; i++) {
			struct offer *offer = kpl->offers[n];

			full = offer->answer != ACKED;
			n += !full;
			if (offer->answer == REFUSED)
				expect_refusal(offer, "store-full", NX_LATER);
		}
	}
	stage_free(&stage);
	return n;
}

static void a_small_store_holds_what_the_manual_says(void **state)
{
	unsigned quarter = stories_until_full("size = 64MiB");
	unsigned most = stories_until_full("size = 64MiB items-share = 75");

	(void)state;
	print_message("64 MiB hold %u stories of 4 KB, %u with items-share = 75\n", quarter, most);
	assert_in_range(quarter, 47000 / 16, 47000 / 16 * 11 / 10);
	assert_in_range(most, 140000 / 16, 140000 / 16 * 11 / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(a_small_store_holds_what_the_manual_says),
	};

	if (access("/dev/shm", W_OK) == 0) /* it is not the disk that is tried here */
		setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
