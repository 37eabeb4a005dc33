/*
 * test_disk.c - what is said, and when, while the disk is slow, full or broken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "actor.h"
#include "base/fault.h"

#include <cmocka.h>

static void an_ack_waits_for_the_disk(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct offer *a;

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
}

static void a_subscriber_gets_nothing_before_the_commit(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");

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
}

static void what_was_not_committed_was_not_acknowledged(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct offer *a, *b;

	a = actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	expect_ack(a);
	stage->by_hand = true;
	b = actor_publish(kpl, .uri = "urn:b");
	stage_settle(stage);
	stage_crash(stage);
	expect_nothing(b);
	stage->by_hand = false;
	actor_dial(vna);
	stage_settle(stage);
	vna->answers = true;
	actor_subscribe(vna, "all");
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 1);
	actor_dial(kpl); /* offers b again */
	stage_settle(stage);
	expect_result(b, RESULT_STORED);
	assert_int_equal(actor_count(vna, "urn:b", NULL), 1);
}

static void committed_and_not_acknowledged_is_a_duplicate(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct offer *a;

	stage->by_hand = true;
	a = actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	while (stage_disk_step(stage))
		;
	stage_crash(stage); /* before anybody was told */
	stage->by_hand = false;
	expect_nothing(a);
	assert_int_equal(actor_dial(kpl), 0);
	stage_settle(stage);
	expect_result(a, RESULT_DUPLICATE);
	actor_dial(vna);
	vna->answers = true;
	stage_settle(stage);
	actor_subscribe(vna, "all");
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 1);
}

static void an_answer_survives_a_crash_only_when_it_is_settled(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");

	actor_publish(kpl, .uri = "urn:a");
	actor_subscribe(vna, "all");
	stage_settle(stage);
	stage->by_hand = true;
	actor_ack(vna, actor_got(vna, "urn:a", NULL));
	stage_settle(stage);
	stage_crash(stage); /* the settling was not committed */
	stage->by_hand = false;
	actor_dial(vna);
	vna->answers = true;
	stage_settle(stage);
	actor_subscribe(vna, "all");
	stage_settle(stage);
	assert_int_equal(actor_count(vna, "urn:a", NULL), 2);
	stage_crash(stage);
	actor_dial(vna);
	stage_settle(stage);
	actor_subscribe(vna, "all");
	stage_settle(stage);
	assert_int_equal(actor_count(vna, "urn:a", NULL), 2);
	assert_int_equal(vna->subscribed.owed, 0);
}

/* ---- a full store */

static void a_full_store_refuses_routine_and_settles_on(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct offer *a, *b, *flash, *late;

	actor_subscribe(vna, "all");
	a = actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	expect_ack(a);
	store_usage_fake(stage->exchange->store, 96, 0);
	b = actor_publish(kpl, .uri = "urn:b");
	flash = actor_publish(kpl, .uri = "urn:flash", .urgency = 1);
	stage_settle(stage);
	expect_refusal(b, "store-full", NX_LATER);
	assert_true(b->refuse.after_ms > 0);
	expect_result(flash, RESULT_STORED);
	actor_ack(vna, actor_got(vna, "urn:a", NULL));
	actor_ack(vna, actor_got(vna, "urn:flash", NULL));
	stage_settle(stage);
	store_usage_fake(stage->exchange->store, 99, 0);
	late = actor_publish(kpl, .uri = "urn:late", .urgency = 1);
	stage_settle(stage);
	expect_refusal(late, "store-full", NX_LATER);
	store_usage_fake(stage->exchange->store, 0, 0);
	stage_later(stage, 2000);
	actor_again(kpl, b);
	stage_settle(stage);
	expect_result(b, RESULT_STORED);
	/* what was answered while it was full is settled */
	actor_dial(vna);
	stage_settle(stage);
	actor_subscribe(vna, "all");
	stage_settle(stage);
	assert_int_equal(vna->subscribed.owed, 1);
}

/* not even the room for settling is left: the answer is lost, the debt is not, and does not wait
 * for a restart */
static void what_could_not_be_settled_comes_with_the_next_claim(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");

	actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	store_usage_fake(stage->exchange->store, 300, 0);
	actor_ack(vna, actor_got(vna, "urn:a", NULL));
	stage_settle(stage);
	assert_true(stage_logged(stage, "level=err event=feed.settle runs=1 reason=store-full"));
	store_usage_fake(stage->exchange->store, 0, 0);
	vna->answers = true;
	actor_back(vna, "all");
	assert_int_equal(actor_count(vna, "urn:a", NULL), 2);
	actor_back(vna, "all");
	assert_int_equal(vna->subscribed.owed, 0);
	assert_int_equal(actor_count(vna, "urn:a", NULL), 2);
}

static void parts_stop_at_ninety(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 1, 50000);
	struct offer *a, *b;

	store_usage_fake(stage->exchange->store, 0, 91);
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	b = actor_publish(kpl, .uri = "urn:b");
	stage_settle(stage);
	expect_refusal(a, "store-full", NX_LATER);
	assert_true(stage_logged(stage, "no room for its photos"));
	assert_int_equal(kpl->needs_n, 0);
	expect_ack(b);
	store_usage_fake(stage->exchange->store, 0, 0);
	actor_again(kpl, a);
	stage_settle(stage);
	expect_ack(a);
}

/* on its way to disk when it was taken back: the disk decides, and what it does not take is
 * withdrawn */
static void taken_back_and_not_stored_is_withdrawn(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct offer *a, *b;

	stage->by_hand = true;
	a = actor_publish(kpl, .uri = "urn:1");
	b = actor_publish(kpl, .uri = "urn:1", .words = "others");
	stage_settle(stage);
	actor_withdraw(kpl, a);
	actor_withdraw(kpl, b);
	stage_settle(stage);
	expect_nothing(a);
	expect_nothing(b);
	stage_disk_commits(stage);
	expect_result(a, RESULT_STORED);
	expect_refusal(b, "withdrawn", NX_NEVER);
}

static void credit_is_not_raised_while_the_store_is_nearly_full(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl;
	unsigned sent = 0;

	store_usage_fake(stage->exchange->store, 94, 0);
	stage_later(stage, 1000);
	kpl = actor_enter(stage, "kpl");
	for (unsigned i = 0; i < 40; i++)
		actor_publish(kpl, .uri = "urn:x");
	stage_settle(stage);
	for (unsigned i = 0; i < kpl->offers_n; i++)
		sent += kpl->offers[i]->sent;
	assert_in_range(sent, 1,
			8); /* the first credit, and what was topped up before it was known */
	store_usage_fake(stage->exchange->store, 0, 0);
	stage_later(stage, 3000);
	for (unsigned i = 0; i < kpl->offers_n; i++)
		assert_true(kpl->offers[i]->sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(an_ack_waits_for_the_disk),
		scene(a_subscriber_gets_nothing_before_the_commit),
		scene(what_was_not_committed_was_not_acknowledged),
		scene(committed_and_not_acknowledged_is_a_duplicate),
		scene(an_answer_survives_a_crash_only_when_it_is_settled),
		scene(a_full_store_refuses_routine_and_settles_on),
		scene(what_could_not_be_settled_comes_with_the_next_claim),
		scene(parts_stop_at_ninety),
		scene(taken_back_and_not_stored_is_withdrawn),
		scene(credit_is_not_raised_while_the_store_is_nearly_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
