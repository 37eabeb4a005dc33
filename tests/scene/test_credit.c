/*
 * test_credit.c - what a partner may have on its way to us, as the CREDIT frames say it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "actor.h"

#include <cmocka.h>

struct told { /* the last CREDIT of a lane; 0, 0: none came */
	uint64_t items, octets;
};

/* reads what the hub said and forgets it: the actor is deaf */
static void read_credit(struct actor *actor, struct told told[LANES])
{
	struct slice all = line_peek(actor->line), in = all;
	struct frame frame;
	struct msg msg;
	int n;

	while ((n = frame_next(in, FRAME_FLOOR, &frame)) > 0) {
		in = slice_of(in.p + n, in.n - (size_t)n);
		if (frame.type != FRAME_CREDIT)
			continue;
		assert_int_equal(msg_read(&frame, &msg, NULL), 0);
		told[msg.credit.lane] = (struct told){ msg.credit.items, msg.credit.octets };
	}
	assert_int_equal(n, 0);
	line_take(actor->line, all.n - in.n);
}

static void comes(struct actor *actor, struct told told[LANES])
{
	actor->deaf = true;
	if (actor->line == NULL)
		assert_int_equal(actor_dial(actor), 0);
	stage_settle(actor->stage);
	told[LANE_ROUTINE] = told[LANE_FLASH] = (struct told){ 0 };
	read_credit(actor, told);
}

#define expect_told(told, i, o)                                                                    \
	do {                                                                                       \
		assert_int_equal((told).items, (i));                                               \
		assert_int_equal((told).octets, (o));                                              \
	} while (0)

/* an item by hand: the actor, who is deaf, knows of no credit */
static void item(struct actor *actor, uint64_t id, enum lane lane, uint32_t n)
{
	uint8_t frame[FRAME_HEADER + ITEM_HEAD + 16000] = { 0 }, *at = frame;

	assert_true(n <= 16000);
	frame_header(&at, FRAME_ITEM, ITEM_HEAD + n);
	put_u64(&at, id);
	put_u64(&at, 0);
	put_u64(&at, 0);
	put_u32(&at, 0);
	put_u32(&at, 0);
	put_u32(&at, n);
	put_u32(&at, (uint32_t)lane << 24);
	line_write(actor->line, frame, FRAME_HEADER + ITEM_HEAD + n);
	stage_settle(actor->stage);
}

static void four_items_at_first_and_more_for_who_is_active(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_new(stage, "kpl");
	struct told told[LANES];

	comes(kpl, told);
	expect_told(told[LANE_ROUTINE], 4, 256 << 10);
	expect_told(told[LANE_FLASH], 8, 64 << 10);
	item(kpl, 1, LANE_ROUTINE, 1000);
	read_credit(kpl, told);
	expect_told(told[LANE_ROUTINE], 1 + 64, 1000 + (4 << 20));
	item(kpl, 2, LANE_ROUTINE, 1000); /* nothing to say: more than half is left */
	read_credit(kpl, told);
	expect_told(told[LANE_ROUTINE], 1 + 64, 1000 + (4 << 20));
}

static void flash_is_restored_at_once(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_new(stage, "kpl"), *vna = actor_new(stage, "vna");
	struct told told[LANES];

	store_usage_fake(stage->exchange->store, 94, 0); /* whatever else is held back */
	stage_later(stage, 1000);
	comes(kpl, told);
	for (unsigned i = 1; i <= 20; i++) {
		item(kpl, i, LANE_FLASH, 100 * i);
		read_credit(kpl, told);
		expect_told(told[LANE_FLASH], i + 8, 100 * i * (i + 1) / 2 + (64 << 10));
	}
	comes(vna, told); /* it may not publish: that is said in an answer */
	expect_told(told[LANE_FLASH], 8, 64 << 10);
}

static void none_for_who_may_not_publish(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *vna = actor_new(stage, "vna");
	struct told told[LANES];

	comes(vna, told);
	expect_told(told[LANE_ROUTINE], 0, 0);
	item(vna, 1, LANE_FLASH, 1000);
	stage_later(stage, 3000);
	read_credit(vna, told);
	expect_told(told[LANE_ROUTINE], 0, 0);
}

static const char reader[] = "partner kpl { pin = {@kpl} read = {\"*\"} }\n";
static const char writer[] =
	"partner kpl { pin = {@kpl} publish = {\"kpl.*\"} credit-items = 10 }\n";

static void a_reload_gives_and_takes(void **state)
{
	struct stage *stage = scene_begin(state, &(struct stage_conf){ .rest = reader });
	struct actor *kpl = actor_new(stage, "kpl");
	struct told told[LANES];

	comes(kpl, told);
	expect_told(told[LANE_ROUTINE], 0, 0);
	stage_reload(stage, writer);
	stage_later(stage, 1000);
	read_credit(kpl, told);
	expect_told(told[LANE_ROUTINE], 4, 256 << 10);
	item(kpl, 1, LANE_ROUTINE, 1000);
	read_credit(kpl, told);
	expect_told(told[LANE_ROUTINE], 1 + 10, 1000 + (4 << 20));
	stage_reload(stage, reader);
	stage_later(stage, 1000);
	for (unsigned i = 2; i <= 11; i++) /* what was promised is read */
		item(kpl, i, LANE_ROUTINE, 1000);
	stage_later(stage, 3000);
	read_credit(kpl, told);
	expect_told(told[LANE_ROUTINE], 1 + 10, 1000 + (4 << 20));
	assert_false(actor_is_out(kpl));
}

static void none_while_the_store_is_nearly_full(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_new(stage, "kpl"), *afp = actor_new(stage, "afp");
	struct told told[LANES];

	comes(kpl, told);
	item(kpl, 1, LANE_ROUTINE, 1000);
	read_credit(kpl, told);
	expect_told(told[LANE_ROUTINE], 1 + 64, 1000 + (4 << 20));
	store_usage_fake(stage->exchange->store, 94, 0);
	stage_later(stage, 1000);
	for (unsigned i = 2; i <= 60; i++)
		item(kpl, i, LANE_ROUTINE, 1000);
	read_credit(kpl, told);
	expect_told(told[LANE_ROUTINE], 1 + 64, 1000 + (4 << 20));
	comes(afp, told); /* who comes now hears why, and waits too */
	expect_told(told[LANE_ROUTINE], 4, 256 << 10);
	for (unsigned i = 1; i <= 4; i++)
		item(afp, i, LANE_ROUTINE, 1000);
	stage_later(stage, 3000);
	read_credit(afp, told);
	expect_told(told[LANE_ROUTINE], 4, 256 << 10);
	store_usage_fake(stage->exchange->store, 0, 0);
	stage_later(stage, 2000);
	read_credit(afp, told);
	expect_told(told[LANE_ROUTINE], 4 + 64, 4000 + (4 << 20));
	read_credit(kpl, told);
	expect_told(told[LANE_ROUTINE], 60 + 64, 60000 + (4 << 20));
}

static void none_while_the_writer_is_behind(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *afp = actor_new(stage, "afp");
	struct told told[LANES];

	stage->by_hand = true;
	for (unsigned n = 0; n < 3; n++) {
		struct actor *kpl = actor_enter(stage, "kpl");

		for (unsigned i = 0; i < 800; i++) {
			char uri[32];

			snprintf(uri, sizeof(uri), "urn:%u:%u", n, i);
			actor_publish(kpl, .uri = uri);
		}
		stage_settle(stage);
	}
	stage_later(stage, 1000);
	comes(afp, told);
	for (unsigned i = 1; i <= 3; i++)
		item(afp, i, LANE_ROUTINE, 1000);
	stage_later(stage, 2000);
	read_credit(afp, told);
	expect_told(told[LANE_ROUTINE], 4, 256 << 10);
	stage_disk_commits(stage);
	stage_later(stage, 2000);
	read_credit(afp, told);
	expect_told(told[LANE_ROUTINE], 3 + 64, 3000 + (4 << 20));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(four_items_at_first_and_more_for_who_is_active),
		scene(flash_is_restored_at_once),
		scene(none_for_who_may_not_publish),
		scene(a_reload_gives_and_takes),
		scene(none_while_the_store_is_nearly_full),
		scene(none_while_the_writer_is_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
