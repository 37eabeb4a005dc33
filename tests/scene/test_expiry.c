/*
 * test_expiry.c - what was given up by rule is not sent any more, wherever it waited.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "actor.h"

#include <cmocka.h>

static const char impatient[] =
	"partner kpl { pin = {@kpl} publish = {\"kpl.*\"} }\n"
	"partner vna { pin = {@vna} read = {\"*\"} }\n"
	"subscription all { partner = \"vna\" channels = {\"*\"} start = \"all\" "
	"backlog-age = \"20s\" }\n";

/* one who takes an item and then gives no more credit */
static struct actor *without_credit(struct stage *stage)
{
	struct actor *vna = actor_new(stage, "vna");

	vna->stingy = true;
	vna->credit_items = 1;
	assert_int_equal(actor_dial(vna), 0);
	stage_settle(stage);
	return vna;
}

/* and now it has time, too late for what it was owed */
static void comes_to_itself(struct stage *stage, struct actor *kpl, struct actor *vna)
{
	assert_int_equal(actor_count(vna, "urn:a", NULL), 1);
	for (unsigned i = 0; i < 15; i++)
		stage_later(stage, 2000);
	assert_true(stage_logged(stage, "event=subscription.expired rule=backlog-age"));
	assert_false(actor_is_out(vna));
	vna->stingy = false;
	vna->answers = true;
	actor_credit(vna, 1000);
	stage_settle(stage);
	assert_int_equal(actor_count(vna, "urn:b", NULL), 0);
	assert_int_equal(actor_count(vna, "urn:c", NULL), 0);
	actor_publish(kpl, .uri = "urn:d");
	stage_settle(stage);
	assert_int_equal(actor_count(vna, "urn:d", NULL), 1);
	actor_cut(vna);
	actor_back(vna, "all");
	assert_int_equal(vna->subscribed.expired, 3);
	assert_int_equal(vna->subscribed.owed, 0);
}

static void what_waited_in_memory_is_not_sent(void **state)
{
	struct stage *stage = scene_begin(state, &(struct stage_conf){ .rest = impatient });
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = without_credit(stage);

	actor_claim(vna, "all");
	for (const char *uri = "urn:a\0urn:b\0urn:c\0"; *uri != '\0'; uri += 6) {
		actor_publish(kpl, .uri = uri);
		stage_settle(stage);
	}
	comes_to_itself(stage, kpl, vna);
}

static void what_was_fetched_is_not_sent(void **state)
{
	struct stage *stage = scene_begin(state, &(struct stage_conf){ .rest = impatient });
	struct actor *kpl = actor_enter(stage, "kpl"), *vna;

	for (const char *uri = "urn:a\0urn:b\0urn:c\0"; *uri != '\0'; uri += 6) {
		actor_publish(kpl, .uri = uri);
		stage_settle(stage);
	}
	vna = without_credit(stage);
	actor_claim(vna, "all");
	comes_to_itself(stage, kpl, vna);
}

/* it was on the line when its time was over, and came all the same: that is what is remembered */
static void what_is_acked_after_it_expired_was_delivered(void **state)
{
	struct stage *stage = scene_begin(state, &(struct stage_conf){ .rest = impatient });
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");

	actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	for (unsigned i = 0; i < 15; i++)
		stage_later(stage, 2000);
	assert_true(stage_logged(stage, "event=subscription.expired rule=backlog-age"));
	actor_ack(vna, actor_got(vna, "urn:a", NULL));
	stage_settle(stage);
	assert_true(stage_logged(stage, "event=item.delivered position=1"));
	actor_back(vna, "all");
	assert_int_equal(vna->subscribed.position, 1);
	assert_int_equal(vna->subscribed.expired, 1);
	assert_int_equal(vna->subscribed.owed, 0);
}

/* the reader read it, and before that was heard it was owed no more: by age, or by right */
static void what_was_read_before_it_went_is_not_sent(void **state)
{
	static const char no_right[] =
		"partner kpl { pin = {@kpl} publish = {\"kpl.*\"} }\n"
		"partner vna { pin = {@vna} read = {\"afp.*\"} }\n"
		"subscription all { partner = \"vna\" channels = {\"afp.*\"} start = \"all\" }\n";

	for (unsigned by_right = 0; by_right < 2; by_right++) {
		struct stage *stage = scene_begin(state, &(struct stage_conf){ .rest = impatient });
		struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");

		actor_publish(kpl, .uri = "urn:a");
		stage_settle(stage);
		stage->reader_late = true;
		actor_subscribe(vna, "all");
		stage_settle(stage);
		stage_reader_answers(stage); /* the claim */
		stage_settle(stage);
		assert_non_null(stage->read); /* what is owed */
		if (by_right)
			stage_reload(stage, no_right);
		for (unsigned i = 0; i < 15 && !by_right; i++)
			stage_later(stage, 2000);
		stage->reader_late = false;
		stage_reader_answers(stage);
		stage_settle(stage);
		assert_false(actor_is_out(vna));
		assert_int_equal(vna->subscribed_n, 1);
		assert_int_equal(vna->gots_n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(what_waited_in_memory_is_not_sent),
		scene(what_was_fetched_is_not_sent),
		scene(what_is_acked_after_it_expired_was_delivered),
		scene(what_was_read_before_it_went_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
