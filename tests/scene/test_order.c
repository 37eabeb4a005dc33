/*
 * test_order.c - one story's versions: in order, across lanes and embargoes; who may go out of
 * turn.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "actor.h"
#include "store/owed.h"
#include "store/store_priv.h"

#include <cmocka.h>

#define HOUR (3600 * 1000LL)

/* stored before the next one is offered: a flash would overtake it on its way in already */
#define publish(stage, kpl, ...)                                                                   \
	do {                                                                                       \
		struct offer *offer = actor_publish(kpl, __VA_ARGS__);                             \
                                                                                                   \
		stage_settle(stage);                                                               \
		expect_ack(offer);                                                                 \
	} while (0)

static unsigned place_of(const struct actor *actor, const char *uri, const char *version)
{
	for (unsigned i = 0; i < actor->gots_n; i++)
		if (strcmp(actor->gots[i]->uri, uri) == 0 &&
		    strcmp(actor->gots[i]->version, version) == 0)
			return i;
	fail_msg("%s never got %s %s", actor->name, uri, version);
	return 0;
}

static void expect_order(const struct actor *actor, const char *uri, unsigned n)
{
	char version[12];

	for (unsigned i = 1; i <= n; i++) {
		snprintf(version, sizeof(version), "%u", i);
		assert_int_equal(actor_count(actor, uri, version), 1);
		if (i == 1)
			continue;
		snprintf(version, sizeof(version), "%u", i - 1);
		assert_true(place_of(actor, uri, version) <
			    place_of(actor, uri,
				     (snprintf(version, sizeof(version), "%u", i), version)));
	}
}

/* no routine credit: three wait, then the third version is a flash */
static struct actor *without_routine_credit(struct stage *stage)
{
	struct actor *web = actor_new(stage, "web");

	web->stingy = true;
	web->credit_items = 1;
	assert_int_equal(actor_dial(web), 0);
	stage_settle(stage);
	return web;
}

static void routine_goes_on(struct stage *stage, struct actor *actor)
{
	actor->answers = true;
	for (unsigned i = 0; i < actor->gots_n; i++)
		actor_ack(actor, actor->gots[i]);
	actor->stingy = false;
	actor_credit(actor, 100);
	stage_later(stage, 5000);
}

static void all_versions_come_in_order_though_the_newest_is_a_flash(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *web = without_routine_credit(stage);

	actor_claim(web, "every");
	publish(stage, kpl, .uri = "urn:0");
	publish(stage, kpl, .uri = "urn:a", .version = "1");
	publish(stage, kpl, .uri = "urn:a", .version = "2");
	publish(stage, kpl, .uri = "urn:a", .version = "3", .urgency = 1);
	publish(stage, kpl, .uri = "urn:b", .version = "1", .urgency = 1);
	stage_settle(stage);
	assert_int_equal(actor_count(web, "urn:b", "1"), 1); /* a flash that follows nothing */
	assert_int_equal(actor_count(web, "urn:a", NULL), 0);
	routine_goes_on(stage, web);
	expect_order(web, "urn:a", 3);
}

static void the_same_from_a_backlog(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *web;

	publish(stage, kpl, .uri = "urn:0");
	publish(stage, kpl, .uri = "urn:a", .version = "1");
	publish(stage, kpl, .uri = "urn:a", .version = "2", .urgency = 1);
	publish(stage, kpl, .uri = "urn:a", .version = "3");
	publish(stage, kpl, .uri = "urn:b", .version = "1", .urgency = 1);
	stage_settle(stage);
	web = without_routine_credit(stage);
	actor_claim(web, "every");
	assert_int_equal(actor_count(web, "urn:b", "1"), 1);
	assert_int_equal(actor_count(web, "urn:a", NULL), 0);
	routine_goes_on(stage, web);
	expect_order(web, "urn:a", 3);
	assert_int_equal(web->gots_n, 5);
	actor_cut(web);
	assert_int_equal(actor_dial(web), 0);
	stage_settle(stage);
	actor_claim(web, "every");
	assert_int_equal(web->subscribed.owed, 0);
}

static void a_flash_whose_forerunners_are_answered_overtakes_the_rest(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *web = actor_reader(stage, "web", "every");

	web->answers = true;
	publish(stage, kpl, .uri = "urn:a", .version = "1");
	stage_later(stage, 2000);
	actor_cut(web);
	web = without_routine_credit(stage);
	web->answers = false;
	actor_claim(web, "every");
	publish(stage, kpl, .uri = "urn:0");
	publish(stage, kpl, .uri = "urn:1");
	publish(stage, kpl, .uri = "urn:a", .version = "2", .urgency = 1);
	stage_settle(stage);
	assert_int_equal(actor_count(web, "urn:1", NULL), 0);
	assert_int_equal(actor_count(web, "urn:a", "2"), 1);
}

static void a_kill_waits_for_no_version(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *web = without_routine_credit(stage);

	actor_claim(web, "every");
	publish(stage, kpl, .uri = "urn:0");
	publish(stage, kpl, .uri = "urn:a", .version = "1");
	publish(stage, kpl, .uri = "urn:a", .version = "2", .kill = true);
	stage_settle(stage);
	assert_int_equal(actor_count(web, "urn:a", "2"), 1);
	assert_int_equal(actor_count(web, "urn:a", "1"), 0);
}

static void a_held_version_that_is_overtaken_is_told_and_never_comes(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *web = actor_reader(stage, "web", "every");
	struct offer *two, *three;

	web->answers = true;
	two = actor_publish(kpl, .uri = "urn:a", .version = "2", .words = "SECRET",
			    .embargo_ms = stage_wall() + HOUR);
	stage_settle(stage);
	expect_result(two, RESULT_HELD);
	assert_false(stage_logged(stage, "event=item.overtaken"));
	three = actor_publish(kpl, .uri = "urn:a", .version = "3");
	stage_settle(stage);
	expect_result(three, RESULT_STORED);
	assert_true(stage_logged(stage, "event=item.overtaken seq=1 by_seq=2 reason=superseded"));
	assert_int_equal(stage->exchange->count.overtaken, 1);
	stage_later(stage, HOUR + 5000);
	assert_int_equal(actor_count(web, "urn:a", "3"), 1);
	assert_false(actor_saw(web, "SECRET"));
	assert_int_equal(stage->exchange->state.held, 0);
}

static void a_held_version_that_is_killed_is_told(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");

	publish(stage, kpl, .uri = "urn:a", .version = "2", .embargo_ms = stage_wall() + HOUR);
	publish(stage, kpl, .uri = "urn:a", .version = "3", .kill = true);
	stage_settle(stage);
	assert_true(stage_logged(stage, "event=item.overtaken seq=1 by_seq=2 reason=killed"));
}

/* as many rows as there may be: that many debts refused later take long to make */
/* the reader saw the store as it was: what the exchange has heard since counts */
static void what_was_read_before_it_is_not_sent_after_it(void **state)
{
	const struct story later[] = { { .uri = "urn:a", .version = "2" },
				       { .uri = "urn:a", .version = "2", .urgency = 1 },
				       { .uri = "urn:a", .version = "2", .kill = true } };

	for (unsigned i = 0; i < 6; i++) {
		struct stage *stage = scene_begin(state, NULL);
		struct actor *kpl = actor_enter(stage, "kpl");
		bool all = i >= 3, old = all && !later[i % 3].kill;
		struct actor *reader = actor_enter(stage, all ? "web" : "vna");

		actor_publish(kpl, .uri = "urn:a", .version = "1");
		stage_settle(stage);
		stage->reader_late = true;
		actor_subscribe(reader, all ? "every" : "all");
		stage_settle(stage);
		stage_reader_answers(stage); /* the claim */
		stage_settle(stage);
		assert_non_null(stage->read); /* what is owed */
		actor_offer(kpl, &later[i % 3]);
		stage_settle(stage);
		expect_result(kpl->offers[1], RESULT_STORED);
		assert_int_equal(actor_count(reader, "urn:a", "1"), 0);
		stage->reader_late = false;
		stage_reader_answers(stage);
		reader->answers = true;
		stage_settle(stage);
		assert_int_equal(actor_count(reader, "urn:a", "1"), old);
		assert_int_equal(actor_count(reader, "urn:a", "2"), 1);
		assert_string_equal(reader->gots[reader->gots_n - 1]->version, "2");
		assert_int_equal(actor_dial(reader), 0); /* and nothing is owed any more */
		stage_settle(stage);
		actor_subscribe(reader, all ? "every" : "all");
		stage_settle(stage);
		assert_int_equal(reader->subscribed.owed, 0);
	}
}

static void rows_are(struct stage *stage, const char *feed, uint32_t rows)
{
	struct items *items = stage->exchange->store->items;
	uint32_t number = exchange_feed(stage->exchange, feed)->number;
	struct owed_state owed;
	struct txn txn;

	txn_begin(&txn, items_db(items), TXN_WRITE);
	owed_state_get(&txn, number, &owed);
	owed.rows = rows;
	owed_state_put(&txn, number, &owed);
	assert_int_equal(txn_end(&txn), 0);
}

static void with_too_many_rows_only_kills_go_out_of_turn(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *web = without_routine_credit(stage);

	rows_are(stage, "every", OWED_ROWS_MAX);
	actor_claim(web, "every");
	publish(stage, kpl, .uri = "urn:0");
	publish(stage, kpl, .uri = "urn:1");
	publish(stage, kpl, .uri = "urn:a", .urgency = 1);
	publish(stage, kpl, .uri = "urn:b", .version = "1", .kill = true);
	stage_settle(stage);
	assert_int_equal(actor_count(web, "urn:b", NULL), 1);
	assert_int_equal(actor_count(web, "urn:a", NULL), 0);
	routine_goes_on(stage, web); /* in its turn it goes */
	assert_int_equal(actor_count(web, "urn:a", NULL), 1);
	assert_true(place_of(web, "urn:1", "1") < place_of(web, "urn:a", "1"));
	rows_are(stage, "every", 1);
	actor_cut(web);
	web = without_routine_credit(stage);
	actor_claim(web, "every");
	assert_int_equal(web->subscribed.owed, 0);
	publish(stage, kpl, .uri = "urn:2");
	publish(stage, kpl, .uri = "urn:3");
	publish(stage, kpl, .uri = "urn:c", .urgency = 1);
	stage_settle(stage);
	assert_int_equal(actor_count(web, "urn:c", NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(all_versions_come_in_order_though_the_newest_is_a_flash),
		scene(the_same_from_a_backlog),
		scene(a_flash_whose_forerunners_are_answered_overtakes_the_rest),
		scene(a_kill_waits_for_no_version),
		scene(a_held_version_that_is_overtaken_is_told_and_never_comes),
		scene(what_was_read_before_it_is_not_sent_after_it),
		scene(a_held_version_that_is_killed_is_told),
		scene(with_too_many_rows_only_kills_go_out_of_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
