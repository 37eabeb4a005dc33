/*
 * test_embargo.c - not one octet before its time, and nothing after a kill.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "actor.h"
#include "base/clock.h"

#include <cmocka.h>

#define HOUR (3600 * 1000LL)

static void an_embargo_is_released_by_the_clock_and_in_order(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");
	struct offer *a, *b, *c;
	int64_t end = stage_wall() + HOUR;

	vna->answers = true;
	b = actor_publish(kpl, .uri = "urn:b", .words = "SECRETB", .embargo_ms = end + 2000);
	a = actor_publish(kpl, .uri = "urn:a", .words = "SECRETA", .embargo_ms = end);
	c = actor_publish(kpl, .uri = "urn:c", .words = "OPEN");
	stage_settle(stage);
	expect_result(a, RESULT_HELD);
	expect_result(b, RESULT_HELD);
	expect_result(c, RESULT_STORED);
	assert_int_equal(vna->gots_n, 1);
	stage_later(stage, HOUR - 1500);
	assert_int_equal(vna->gots_n, 1);
	assert_false(actor_saw(vna, "SECRET"));
	stage_later(stage, 3500);
	assert_true(actor_saw(vna, "SECRETA"));
	stage_later(stage, 3000);
	assert_true(actor_saw(vna, "SECRETB"));
	assert_int_equal(vna->gots_n, 3);
	assert_true(actor_got(vna, "urn:a", NULL)->position <
		    actor_got(vna, "urn:b", NULL)->position);
}

static void a_clock_that_jumps_releases_nothing(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");

	vna->answers = true;
	actor_publish(kpl, .uri = "urn:a", .words = "SECRET",
		      .embargo_ms = stage_wall() + HOUR / 2);
	stage_later(stage, 5000);
	clock_jump_wall(HOUR);
	stage_later(stage, 60000);
	assert_false(actor_saw(vna, "SECRET"));
	assert_true(stage_logged(stage, "event=clock.suspect"));
	assert_false(actor_is_out(vna)); /* and it closes no link */
	store_clock_ok(stage->exchange->store);
	stage_later(stage, 5000);
	assert_true(actor_saw(vna, "SECRET"));
}

/* the store says so a moment later than the clock jumps, or much later when its disk stands still;
 * a certificate that ends meanwhile ends when the clock is vouched for, not before */
static void a_clock_that_jumps_ends_no_certificate(void **state)
{
	const struct stage_conf conf = {
		.rest = "partner kpl { pin = {@kpl} enforce-expiry = yes publish = {\"*\"} }\n"
	};
	struct stage *stage = scene_begin(state, &conf);
	struct actor *kpl = actor_enter(stage, "kpl");

	line_expires(kpl->line, stage_wall() + HOUR / 2);
	stage_later(stage, 5000);
	clock_jump_wall(HOUR);
	stage->by_hand = true;
	stage_later(stage, 5000);
	assert_false(actor_is_out(kpl));
	stage->by_hand = false;
	stage_later(stage, 5000);
	assert_true(stage_logged(stage, "event=clock.suspect"));
	assert_false(actor_is_out(kpl));
	store_clock_ok(stage->exchange->store);
	stage_later(stage, 5000);
	assert_true(stage_logged(stage, "event=conn.close"));
	assert_true(stage_logged(stage, "reason=expired"));
	assert_true(actor_is_out(kpl));
}

static void a_start_with_an_earlier_clock_is_suspect(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");

	actor_publish(kpl, .uri = "urn:a", .words = "SECRET", .embargo_ms = stage_wall() + 10000);
	stage_later(stage, 5000);
	stage_die(stage);
	clock_jump_wall(-HOUR);
	stage_open(stage);
	vna->answers = true;
	actor_back(vna, "all");
	stage_later(stage, HOUR / 4);
	assert_false(actor_saw(vna, "SECRET"));
	assert_true(stage_logged(stage, "event=clock.suspect"));
	clock_jump_wall(HOUR);
	stage_later(stage, 5000);
	store_clock_ok(stage->exchange->store);
	stage_later(stage, 10000);
	assert_true(actor_saw(vna, "SECRET"));
}

static void killed_under_embargo_is_never_seen(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");
	struct actor *web = actor_reader(stage, "web", "every");
	struct offer *kill;

	vna->answers = web->answers = true;
	actor_publish(kpl, .uri = "urn:a", .words = "SECRET", .embargo_ms = stage_wall() + 10000);
	stage_later(stage, 2000);
	kill = actor_publish(kpl, .uri = "urn:a", .version = "2", .words = "KILLED", .kill = true);
	stage_settle(stage);
	expect_ack(kill);
	stage_later(stage, 30000);
	stage_crash(stage);
	actor_back(vna, "all");
	actor_back(web, "every");
	stage_later(stage, 30000);
	assert_false(actor_saw(vna, "SECRET"));
	assert_false(actor_saw(web, "SECRET"));
}

static void a_held_item_survives_a_crash(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo photo = photo_of(stage, 3, 30000);
	struct offer *a;

	a = actor_publish(kpl, .uri = "urn:a", .words = "SECRET", .photo = &photo,
			  .embargo_ms = stage_wall() + 20000);
	stage_settle(stage);
	expect_result(a, RESULT_HELD);
	stage_crash(stage);
	vna->answers = true;
	actor_back(vna, "all");
	stage_later(stage, 10000);
	assert_int_equal(vna->gots_n, 0);
	stage_later(stage, 15000);
	assert_true(actor_saw(vna, "SECRET"));
	assert_memory_equal(vna->gots[0]->photo, photo.octets, photo.n);
}

/* ---- kills and newer versions */

static void a_kill_takes_back_an_open_delivery(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");
	struct actor *web = actor_reader(stage, "web", "every");

	actor_publish(kpl, .uri = "urn:a", .words = "OLD");
	stage_settle(stage);
	actor_publish(kpl, .uri = "urn:a", .version = "2", .kill = true);
	stage_settle(stage);
	assert_true(actor_got(vna, "urn:a", "1")->withdrawn);
	assert_string_equal(actor_got(vna, "urn:a", "1")->withdrawn_code, "killed");
	assert_true(actor_got(web, "urn:a", "1")->withdrawn); /* also with all versions */
	assert_non_null(actor_got(vna, "urn:a", "2"));
	assert_int_equal(actor_got(vna, "urn:a", "2")->lane, LANE_FLASH);
	actor_refuse(vna, actor_got(vna, "urn:a", "1"), NX_EBUSY, NX_LATER, HOUR); /* it crossed */
	actor_ack(web, actor_got(web, "urn:a", "1")); /* so did this: it stands */
	actor_ack(vna, actor_got(vna, "urn:a", "2"));
	actor_ack(web, actor_got(web, "urn:a", "2"));
	stage_settle(stage);
	actor_back(vna, "all");
	actor_back(web, "every");
	assert_int_equal(vna->gots_n + web->gots_n, 4);
	assert_int_equal(vna->subscribed.owed + web->subscribed.owed, 0);
}

static void killed_before_delivery_is_never_sent(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_new(stage, "vna");

	vna->stingy = true;
	vna->credit_items = 1; /* one item, and it is not answered */
	assert_int_equal(actor_dial(vna), 0);
	stage_settle(stage);
	actor_subscribe(vna, "all");
	actor_publish(kpl, .uri = "urn:0");
	actor_publish(kpl, .uri = "urn:a", .words = "OLD");
	stage_settle(stage);
	assert_false(actor_saw(vna, "OLD"));
	actor_publish(kpl, .uri = "urn:a", .version = "2", .kill = true);
	stage_settle(stage);
	vna->answers = true;
	actor_ack(vna, vna->gots[0]);
	vna->stingy = false;
	actor_credit(vna, 100);
	stage_later(stage, 3000);
	assert_int_equal(actor_count(vna, "urn:a", "2"), 1);
	assert_false(actor_saw(vna, "OLD"));
}

/* the store was read already when the kill came: the items wait for credit in memory */
static void a_kill_reaches_what_was_fetched_and_not_yet_sent(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_new(stage, "vna");

	actor_publish(kpl, .uri = "urn:0");
	actor_publish(kpl, .uri = "urn:a", .words = "OLD");
	actor_publish(kpl, .uri = "urn:b", .words = "FORMER");
	stage_settle(stage);
	vna->stingy = true;
	vna->credit_items = 1;
	assert_int_equal(actor_dial(vna), 0);
	stage_settle(stage);
	actor_subscribe(vna, "all"); /* all three are backlog */
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 1);
	actor_publish(kpl, .uri = "urn:a", .version = "2", .kill = true);
	actor_publish(kpl, .uri = "urn:b", .version = "2", .words = "LATTER");
	stage_settle(stage);
	vna->answers = true;
	for (unsigned i = 0; i < vna->gots_n; i++)
		actor_ack(vna, vna->gots[i]);
	vna->stingy = false;
	actor_credit(vna, 100);
	stage_later(stage, 3000);
	assert_int_equal(actor_count(vna, "urn:a", "2"), 1);
	assert_false(actor_saw(vna, "OLD"));
	assert_true(actor_saw(vna, "LATTER"));
	assert_false(actor_saw(vna, "FORMER"));
	stage_later(stage, 2000);
	actor_back(vna, "all");
	assert_int_equal(vna->subscribed.owed, 0);
}

static void a_newer_version_takes_back_and_skips_older_ones(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");
	struct actor *web = actor_reader(stage, "web", "every");

	web->answers = true;
	actor_publish(kpl, .uri = "urn:a", .version = "1");
	stage_settle(stage);
	actor_publish(kpl, .uri = "urn:a", .version = "2");
	stage_settle(stage);
	assert_string_equal(actor_got(vna, "urn:a", "1")->withdrawn_code, "superseded");
	vna->answers = true;
	actor_refuse(vna, actor_got(vna, "urn:a", "1"), NX_EWITHDRAWN, NX_NEVER, 0);
	actor_ack(vna, actor_got(vna, "urn:a", "2"));
	stage_settle(stage);
	assert_int_equal(web->gots_n, 2); /* versions = all: each, in order */
	assert_string_equal(web->gots[0]->version, "1");
	assert_false(web->gots[0]->withdrawn);
}

/* version 5 was stored first and held; 4 went out; when 5 is free, 4 must not follow it */
/* version 5 waits; 4 comes after it and goes out meanwhile; at its time 5 follows, though it was
 * stored first */
static void what_is_older_than_a_held_version_goes_out_meanwhile(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");
	struct offer *five, *four;

	vna->answers = true;
	five = actor_publish(kpl, .uri = "urn:a", .version = "5",
			     .embargo_ms = stage_wall() + HOUR);
	four = actor_publish(kpl, .uri = "urn:a", .version = "4");
	stage_settle(stage);
	expect_result(five, RESULT_HELD);
	expect_result(four, RESULT_STORED);
	assert_int_equal(actor_count(vna, "urn:a", "4"), 1);
	assert_int_equal(actor_count(vna, "urn:a", "5"), 0);
	stage_later(stage, HOUR + 3000);
	assert_int_equal(actor_count(vna, "urn:a", "5"), 1);
	assert_int_equal(actor_count(vna, "urn:a", "4"), 1);
}

static void a_released_version_is_not_followed_by_an_older_one(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_new(stage, "vna");

	vna->stingy = true;
	vna->credit_items = 1;
	assert_int_equal(actor_dial(vna), 0);
	stage_settle(stage);
	actor_subscribe(vna, "all");
	actor_publish(kpl, .uri = "urn:0");
	stage_settle(stage); /* the one credit is spent, and its answer waits */
	actor_publish(kpl, .uri = "urn:a", .version = "5", .urgency = 1,
		      .embargo_ms = stage_wall() + 10000);
	actor_publish(kpl, .uri = "urn:a", .version = "4");
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 1);
	stage_later(stage, 15000);
	assert_int_equal(actor_count(vna, "urn:a", "5"), 1);
	vna->answers = true;
	for (unsigned i = 0; i < vna->gots_n; i++)
		actor_ack(vna, vna->gots[i]);
	vna->stingy = false;
	actor_credit(vna, 100);
	stage_later(stage, 5000);
	assert_int_equal(actor_count(vna, "urn:a", "4"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(an_embargo_is_released_by_the_clock_and_in_order),
		scene(a_clock_that_jumps_releases_nothing),
		scene(a_clock_that_jumps_ends_no_certificate),
		scene(a_start_with_an_earlier_clock_is_suspect),
		scene(killed_under_embargo_is_never_seen),
		scene(a_held_item_survives_a_crash),
		scene(a_kill_takes_back_an_open_delivery),
		scene(killed_before_delivery_is_never_sent),
		scene(a_kill_reaches_what_was_fetched_and_not_yet_sent),
		scene(a_newer_version_takes_back_and_skips_older_ones),
		scene(a_released_version_is_not_followed_by_an_older_one),
		scene(what_is_older_than_a_held_version_goes_out_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
