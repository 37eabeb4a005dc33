#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "actor.h"
#include "base/fault.h"

#include <cmocka.h>

static void an_ack_waits_for_the_disk(void **state)
{
	struct stage *stage = stage_new(NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct offer *a;

	(void)state;
	stage->by_hand = true;
	a = actor_publish(kpl, .uri = "urn:1");
	stage_settle(stage);
	assert_true(a->sent);
	expect_nothing(a);
	assert_true(stage_disk_step(stage));
	expect_nothing(a);
	stage_settle(stage);
	expect_result(a, RESULT_STORED);
	assert_int_equal(a->ack.sequence, 1);
	stage_free(&stage);
}

static void a_subscriber_gets_nothing_before_the_commit(void **state)
{
	struct stage *stage = stage_new(NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");

	(void)state;
	actor_subscribe(vna, "all");
	stage_settle(stage);
	assert_int_equal(vna->subscribed_n, 1);
	stage->by_hand = true;
	actor_publish(kpl, .uri = "urn:1", .words = "MEKONG");
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 0);
	stage_disk_commits(stage);
	assert_int_equal(vna->gots_n, 1);
	assert_true(actor_saw(vna, "MEKONG"));
	stage_free(&stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_ack_waits_for_the_disk),
		cmocka_unit_test(a_subscriber_gets_nothing_before_the_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
