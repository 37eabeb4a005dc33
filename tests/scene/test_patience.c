/*
 * test_patience.c - what is begun and does not end: half an item, a slow line, a slow disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "actor.h"
#include "base/clock.h"

#include <cmocka.h>

/* an ITEM of which 2 octets are here, and 98 never come; its actor sends no other after it */
static void half_an_item(struct actor *actor, uint64_t id, enum lane lane)
{
	uint8_t frame[FRAME_HEADER + ITEM_HEAD + 2], *at = frame;

	frame_header(&at, FRAME_ITEM, sizeof(frame) - FRAME_HEADER);
	put_u64(&at, id);
	put_u64(&at, 0);
	put_u64(&at, 0);
	put_u32(&at, 0);
	put_u32(&at, 50);
	put_u32(&at, 50);
	put_u32(&at, (uint32_t)lane << 24);
	put_bytes(&at, "{}", 2);
	line_write(actor->line, frame, sizeof(frame));
}

static void one_more_octet(struct actor *actor, uint64_t id, uint32_t offset)
{
	uint8_t frame[FRAME_HEADER + MORE_HEAD + 1], *at = frame;

	frame_header(&at, FRAME_MORE, sizeof(frame) - FRAME_HEADER);
	put_u64(&at, id);
	put_u32(&at, offset);
	put_u8(&at, ' ');
	line_write(actor->line, frame, sizeof(frame));
}

static void half_an_item_does_not_stand_for_ever(void **state)
{
	struct stage *stage = scene_begin(state, NULL);

	for (int lane = 0; lane < LANES; lane++) {
		struct actor *kpl = actor_enter(stage, "kpl"), *afp = actor_enter(stage, "afp");

		half_an_item(kpl, 1, (enum lane)lane);
		stage_later(stage, 590000); /* it answers every PING */
		assert_false(actor_is_out(kpl));
		one_more_octet(kpl, 1, 2);
		stage_later(stage, 590000);
		assert_false(actor_is_out(kpl));
		stage_forget_log(stage);
		stage_later(stage, 20000);
		assert_true(actor_is_out(kpl));
		assert_string_equal(kpl->bye_code, "no-more");
		assert_true(stage_logged(stage, "event=conn.close peer=kpl reason=no-more"));
		assert_false(actor_is_out(afp));
		assert_int_equal(stage->exchange->inbound_held, 0);
	}
}

/* one that reads to its end what it will refuse waits no longer for that end */
static void half_of_what_is_thrown_away_neither(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *vna = actor_enter(stage, "vna"); /* may not publish */

	half_an_item(vna, 1, LANE_FLASH);
	stage_later(stage, 610000);
	assert_true(actor_is_out(vna));
	assert_string_equal(vna->bye_code, "no-more");
}

/* a sender may serve a photo first: while it comes, the rest of the item may wait */
static void half_an_item_waits_while_a_photo_comes(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 1, 400000);
	struct offer *a;

	kpl->part_end = 0;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	half_an_item(kpl, 2, LANE_ROUTINE);
	for (unsigned i = 1; i <= 12; i++) {
		kpl->part_end = 30000 * i;
		session_need_ready(kpl->session, 1);
		stage_later(stage, 100000);
		assert_false(actor_is_out(kpl));
	}
	kpl->part_end = UINT64_MAX;
	session_need_ready(kpl->session, 1);
	stage_settle(stage);
	expect_ack(a);
	stage_later(stage, 590000);
	assert_false(actor_is_out(kpl));
	stage_later(stage, 20000);
	assert_string_equal(kpl->bye_code, "no-more");
}

/* a frame each 25 seconds: it reads, and nobody can answer what is not here */
static void a_slow_line_is_not_a_missing_answer(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	int64_t began;

	actor_subscribe(vna, "all");
	stage_settle(stage);
	began = clock_boot_ms();
	line_slow(vna->line, 1, 1024);
	vna->deaf = true;
	actor_publish(kpl, .uri = "urn:a", .pad = 20000);
	stage_settle(stage);
	for (unsigned i = 0; i < 100 && vna->gots_n == 0; i++) {
		stage_later(stage, 25000);
		assert_false(actor_is_out(vna));
		vna->deaf = false;
		(void)actor_turn(vna);
		vna->deaf = vna->gots_n == 0;
	}
	assert_int_equal(vna->gots_n, 1);
	assert_true(clock_boot_ms() - began > 700000);
	stage_later(stage, 560000);
	assert_false(actor_is_out(vna));
	stage_later(stage, 50000);
	assert_true(actor_is_out(vna));
	assert_string_equal(vna->bye_code, "no-answer");
}

/* nor is a photo that is on its way for longer than that */
static void a_slow_photo_is_not_a_missing_answer(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo photo = photo_of(stage, 3, 60000);
	int64_t began;

	actor_subscribe(vna, "all");
	actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 1);
	began = clock_boot_ms();
	line_slow(vna->line, 1, 1024);
	actor_pull(vna, vna->gots[0]);
	for (unsigned i = 0; i < 100 && vna->gots[0]->photo_got < photo.n; i++) {
		(void)actor_turn(vna);
		vna->deaf = true;
		stage_later(stage, 25000);
		assert_false(actor_is_out(vna));
		vna->deaf = false;
	}
	assert_int_equal(vna->gots[0]->photo_got, photo.n);
	assert_true(clock_boot_ms() - began > 700000);
	stage_later(stage, 500000);
	assert_false(actor_is_out(vna));
	stage_later(stage, 110000);
	assert_string_equal(vna->bye_code, "no-answer");
}

/* all that was asked for came at once, and the disk took its time: no octet was missing */
static void a_slow_disk_is_not_a_missing_octet(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 2, 3000000);
	struct offer *a;

	kpl->part_end = 0;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	stage->by_hand = true;
	kpl->part_end = kpl->need.length; /* as much as was asked for, and no more */
	session_need_ready(kpl->session, kpl->need.handle);
	stage_later(stage, 200000);
	expect_nothing(a);
	stage->by_hand = false;
	stage_settle(stage);
	assert_true(kpl->needs_n > 1);
	stage_later(stage, 110000); /* of what was asked for now */
	expect_nothing(a);
	kpl->part_end = UINT64_MAX;
	session_need_ready(kpl->session, kpl->need.handle);
	stage_settle(stage);
	expect_result(a, RESULT_STORED);
}

/* the clock goes on while the machine sleeps, and the watchdog may be the first to wake up; a
 * writer that really stands still is told of all the same */
static void a_suspended_machine_is_no_writer_that_hangs(void **state)
{
	struct stage *stage;
	struct actor *kpl;

	setenv("WATCHDOG_USEC", "900000", 1);
	stage = scene_begin(state, NULL);
	unsetenv("WATCHDOG_USEC");
	kpl = actor_enter(stage, "kpl");
	stage_later(stage, 5000);
	for (unsigned i = 0; i < 10; i++) {
		stage_later(stage, 100);
		clock_advance(8 * 3600 * 1000);
		stage_settle(stage);
		stage_later(stage, 2000);
	}
	assert_false(stage_logged(stage, "event=watchdog.held"));
	if (actor_is_out(kpl))
		kpl = actor_enter(stage, "kpl");
	stage->by_hand = true;
	actor_publish(kpl, .uri = "urn:slow");
	stage_later(stage, 130000);
	assert_true(stage_logged(stage, "event=watchdog.held"));
	assert_false(stage_logged(stage, "event=watchdog.fed"));
	stage->by_hand = false;
	stage_later(stage, 3000);
	assert_true(stage_logged(stage, "event=watchdog.fed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(half_an_item_does_not_stand_for_ever),
		scene(half_of_what_is_thrown_away_neither),
		scene(half_an_item_waits_while_a_photo_comes),
		scene(a_slow_line_is_not_a_missing_answer),
		scene(a_slow_photo_is_not_a_missing_answer),
		scene(a_slow_disk_is_not_a_missing_octet),
		scene(a_suspended_machine_is_no_writer_that_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
