/* rows of stories, verdicts, and versions that meet while one of them waits */
#include "items_fixture.h"

static void rows_come_back_as_they_went(void **state)
{
	struct fx *fx = *state;
	const struct story_row story = { .newest = 5,
					 .newest_released = 4,
					 .kill = 7,
					 .held = 5,
					 .created_ms = -12,
					 .stored_ms = START,
					 .released_created_ms = TIME_NONE,
					 .version = "v-5",
					 .channel = "world",
					 .released_version = "v-4" };
	const struct identity_row identity = { .sequence = UINT64_C(1) << 52,
					       .position = 9,
					       .stored_ms = START,
					       .content = { 1, 2, 3 },
					       .channel = "sport" };
	const uint8_t a[32] = { 1 }, b[32] = { 2 }, c[32] = { 3 }, d[32] = { 4 };
	struct identity_row identity_back;
	struct story_row back;
	struct slice value;
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	story_put(&txn, a, &story);
	identity_put(&txn, b, &identity);
	txn_put(&txn, T_STORIES, slice_of(d, 32), slice_str("nonsense"));
	assert_true(story_get(&txn, a, 0, &back));
	assert_int_equal(back.newest, 5);
	assert_int_equal(back.newest_released, 4);
	assert_int_equal(back.kill, 7);
	assert_int_equal(back.held, 5);
	assert_true(back.created_ms == -12 && back.stored_ms == START);
	assert_true(back.released_created_ms == TIME_NONE);
	assert_string_equal(back.version, "v-5");
	assert_string_equal(back.channel, "world");
	assert_string_equal(back.released_version, "v-4");
	assert_int_equal(identity_find(&txn, b, 0, &identity_back), 1);
	assert_true(identity_back.sequence == identity.sequence && identity_back.position == 9);
	assert_memory_equal(identity_back.content, identity.content, 32);
	assert_string_equal(identity_back.channel, "sport");
	assert_int_equal(identity_find(&txn, c, 0, &identity_back), 0);
	assert_int_equal(story_find(&txn, c, 0, &back), 0);
	assert_int_equal(story_find(&txn, b, 0, &back), NX_ECORRUPT); /* the other kind */
	assert_int_equal(story_find(&txn, d, 0, &back), NX_ECORRUPT);
	assert_int_equal(txn.r, 0);
	assert_true(txn_get(&txn, T_STORIES, slice_of(a, 32), &value));
	assert_int_equal(stories_kind(value), STORY_STORY);
	txn_abort(&txn);
}

static void a_damaged_story_row_costs_one_story(void **state)
{
	struct fx *fx = *state;
	struct it it = { .uri = "urn:a" };
	struct given a;
	struct fx_put p;
	uint8_t key[32];
	struct txn txn;

	items_close(&fx->items);
	fx->conf.fresh_most = FRESH_NONE; /* of those in `fresh`: test_fresh.c */
	assert_int_equal(fx_open(fx), 0);
	a = fx_it(fx, &it);
	fx_make(&p, &it);
	facts_story_key(&p.facts, key);
	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	txn_put(&txn, T_STORIES, slice_of(key, 32), slice_str("?"));
	assert_int_equal(txn_end(&txn), 0);
	assert_int_equal(fx_put(fx, .uri = "urn:a", .version = "2").code, NX_ECORRUPT);
	assert_int_equal(fx_put(fx, .uri = "urn:b").code, 0);
	assert_int_equal(fx_verdict(fx, a.sequence, false), SETTLE_GIVEN_UP);
}

static void newer_takes_the_held_one_out(void **state)
{
	struct fx *fx = *state;
	struct given one = fx_put(fx, .version = "1", .embargo_ms = START + 1000), two;

	assert_int_equal(one.result, RESULT_HELD);
	assert_int_equal(one.position, 0);
	two = fx_put(fx, .version = "2");
	assert_int_equal(two.position, 1);
	assert_int_equal(fx_head(fx, one.sequence).state, ITEM_SUPERSEDED);
	assert_int_equal(fx_entries(fx, T_HELD), 0);
	fx_advance(fx, 5000);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
	assert_int_equal(fx_put(fx, .version = "1", .embargo_ms = START + 1000).result,
			 RESULT_SUPERSEDED);
}

static void older_that_would_be_held_never_comes_out(void **state)
{
	struct fx *fx = *state;
	struct given two = fx_put(fx, .version = "2"), one;

	one = fx_put(fx, .version = "1", .embargo_ms = START + 1000);
	assert_int_equal(one.result, RESULT_SUPERSEDED);
	assert_int_equal(one.position, 0);
	assert_int_equal(fx_head(fx, one.sequence).state, ITEM_SUPERSEDED);
	assert_int_equal(fx_entries(fx, T_HELD), 0);
	assert_int_equal(fx_story(fx, "urn:1").newest_released, two.sequence);
}

static void older_goes_out_while_the_newest_waits(void **state)
{
	struct fx *fx = *state;
	struct given one = fx_put(fx, .version = "1"), five, three, two;

	five = fx_put(fx, .version = "5", .embargo_ms = START + 1000);
	assert_int_equal(five.result, RESULT_HELD);
	assert_int_equal(fx_verdict(fx, one.sequence, false), SETTLE_ACKED);
	three = fx_put(fx, .version = "3");
	assert_int_equal(three.result, RESULT_STORED); /* the newest is held: this one is sent */
	assert_int_equal(fx_verdict(fx, three.sequence, false), SETTLE_ACKED); /* ... not yet out */
	assert_int_equal(fx_verdict(fx, one.sequence, false), SETTLE_SUPERSEDED);
	two = fx_put(fx, .version = "2");
	assert_int_equal(fx_head(fx, two.sequence).state, ITEM_SUPERSEDED);
	assert_int_equal(fx_verdict(fx, three.sequence, false), SETTLE_ACKED);
	fx_reopen(fx);
	fx_advance(fx, 1000);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_verdict(fx, five.sequence, false), SETTLE_ACKED);
	assert_int_equal(fx_verdict(fx, three.sequence, false), SETTLE_SUPERSEDED);
	assert_int_equal(fx_verdict(fx, three.sequence, true), SETTLE_ACKED);
}

static void a_kill_takes_the_held_one_out(void **state)
{
	struct fx *fx = *state;
	struct given one = fx_put(fx, .version = "1", .embargo_ms = START + 1000), kill;

	kill = fx_put(fx, .version = "1", .status = STATUS_CANCELED);
	assert_int_equal(kill.position, 1);
	assert_int_equal(fx_head(fx, one.sequence).state, ITEM_KILLED);
	assert_int_equal(fx_entries(fx, T_HELD), 0);
	fx_advance(fx, DAY);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
	assert_int_equal(fx_put(fx, .version = "1", .embargo_ms = START + 1000).result,
			 RESULT_DUPLICATE);
}

static void a_kill_waits_only_when_nothing_was_out(void **state)
{
	struct fx *fx = *state;
	struct given kill;

	fx_put(fx, .uri = "urn:out", .version = "1");
	kill = fx_put(fx, .uri = "urn:out", .status = STATUS_CANCELED, .embargo_ms = START + 1000);
	assert_int_equal(kill.result, RESULT_STORED);
	assert_int_equal(kill.position, 2);
	fx_put(fx, .uri = "urn:in", .version = "1", .embargo_ms = START + 1000);
	kill = fx_put(fx, .uri = "urn:in", .status = STATUS_CANCELED, .embargo_ms = START + 1000);
	assert_int_equal(kill.result, RESULT_HELD);
	assert_int_equal(fx_put(fx, .uri = "urn:in", .version = "2").code, NX_EKILLED);
	fx_advance(fx, 1000);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_head(fx, kill.sequence).position, 3);
	assert_int_equal(fx_entries(fx, T_FEED), 3);
	assert_int_equal(fx_verdict(fx, kill.sequence, false), SETTLE_ACKED);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
	const struct CMUnitTest tests[] = {
		T(rows_come_back_as_they_went),
		T(a_damaged_story_row_costs_one_story),
		T(newer_takes_the_held_one_out),
		T(older_that_would_be_held_never_comes_out),
		T(older_goes_out_while_the_newest_waits),
		T(a_kill_takes_the_held_one_out),
		T(a_kill_waits_only_when_nothing_was_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
