/*
 * test_broken_disk.c - a commit whose outcome is not known, at every place where that can happen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "actor.h"
#include "base/fault.h"
#include "tests/faults.h"

#include <cmocka.h>

/* after a commit in doubt nobody is told anything, so what was asked stays behind: the process ends
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:fake_turn\nleak:store_step\nleak:worker_turn\nleak:hub_open_in_line\n";
}

static void an_unsure_commit_answers_nobody(void **state)
{
	struct stage *stage;
	struct actor *kpl, *vna;
	struct offer *a;

	need_faults();
	stage = scene_begin(state, NULL);
	kpl = actor_enter(stage, "kpl");
	vna = actor_enter(stage, "vna");
	actor_subscribe(vna, "all");
	stage_settle(stage);
	fault_arm("db.commit", 1, false);
	a = actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	assert_true(fault_fired());
	expect_nothing(a);
	assert_int_equal(vna->gots_n, 0);
	assert_true(stage_failed(stage));
	assert_int_equal(stage->status, 74);
	assert_true(stage_logged(stage, "level=err event=store.fatal"));
	fault_off();
	stage_crash(stage);
	assert_int_equal(actor_dial(kpl), 0);
	stage_settle(stage);
	expect_ack(a);
}

/* ---- two publishers, two subscribers, a script; a fault at the n-th commit */

static const char *const claims[] = { "all", "every" };

static void subscribe(struct stage *stage, struct actor *reader, unsigned i)
{
	if (actor_dial(reader) < 0)
		return;
	stage_settle(stage);
	if (stage->status == 0)
		actor_subscribe(reader, claims[i]);
	stage_settle(stage);
}

static void script(struct stage *stage, struct actor **who, const struct photo *photo)
{
	for (unsigned i = 0; i < 2 && stage->status == 0; i++)
		subscribe(stage, who[2 + i], i);
	if (stage->status != 0)
		return;
	actor_publish(who[0], .uri = "urn:a", .photo = photo);
	actor_publish(who[1], .uri = "urn:b");
	stage_settle(stage);
	actor_publish(who[0], .uri = "urn:a", .version = "2");
	actor_publish(who[1], .uri = "urn:h", .embargo_ms = stage_wall() + 2500);
	if (stage->status == 0)
		stage_settle(stage);
	actor_publish(who[1], .uri = "urn:b", .version = "9", .kill = true);
	if (stage->status == 0)
		stage_later(stage, 6000);
}

static void everything_acked_is_delivered(struct actor **who, unsigned n)
{
	for (unsigned p = 0; p < 2; p++) {
		for (unsigned i = 0; i < who[p]->offers_n; i++) {
			const struct offer *offer = who[p]->offers[i];

			if (offer->answer == REFUSED && /* a kill overtakes */
			    strcmp(offer->refuse.code, "killed") == 0)
				continue;
			if (offer->answer != ACKED)
				fail_msg("fault %u: %s %s: %s", n, offer->uri, offer->version,
					 offer->answer == REFUSED ? offer->refuse.code
								  : "no answer");
		}
	}
	for (unsigned r = 2; r < 4; r++) {
		assert_true(actor_count(who[r], "urn:a", "2") > 0);
		assert_true(actor_count(who[r], "urn:h", NULL) > 0);
		assert_true(actor_count(who[r], "urn:b", "9") > 0);
		assert_int_equal(who[r]->subscribed_n, 1);
	}
}

static bool survives(const char *place, unsigned n)
{
	static const char *const names[] = { "kpl", "afp", "vna", "web" };
	struct stage *stage = stage_new(NULL);
	struct photo photo = photo_of(stage, n, 300000);
	struct actor *who[4];
	bool fired;

	for (unsigned i = 0; i < 4; i++) {
		who[i] = actor_new(stage, names[i]);
		who[i]->answers = true;
		if (i < 2)
			assert_int_equal(actor_dial(who[i]), 0);
	}
	fault_arm(place, n, false);
	stage_settle(stage);
	script(stage, who, &photo);
	fired = fault_fired();
	fault_off();
	if (stage_failed(stage)) { /* else it was one that is only refused */
		stage_crash(stage);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(actor_dial(who[i]), 0);
		stage_settle(stage);
		for (unsigned i = 0; i < 2; i++)
			subscribe(stage, who[2 + i], i);
	}
	for (unsigned p = 0; p < 2; p++)
		for (unsigned i = 0; i < who[p]->offers_n; i++)
			if (who[p]->offers[i]->answer == REFUSED &&
			    who[p]->offers[i]->refuse.retry == NX_LATER)
				actor_again(who[p], who[p]->offers[i]);
	if (who[0]->offers_n < 2) { /* it broke before the script began */
		script(stage, who, &photo);
	}
	stage_later(stage, 30000);
	if (who[1]->offers_n == 3)
		everything_acked_is_delivered(who, n);
	stage_free(&stage);
	return fired;
}

static void every_commit_may_fail(void **state)
{
	unsigned n = 1;

	(void)state;
	need_faults();
	while (survives("db.commit", n))
		n++;
	assert_true(n > 8);
	print_message("%u commits failed\n", n - 1);
}

static void every_commit_may_be_the_last(void **state)
{
	unsigned n = 1;

	(void)state;
	need_faults();
	while (survives("db.committed", n))
		n++;
	assert_true(n > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(an_unsure_commit_answers_nobody),
		scene(every_commit_may_fail),
		scene(every_commit_may_be_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
