/* embargoes and desks: held, released in order of time, never early, whatever the clocks say */
#include "items_fixture.h"

static void released_when_its_time_has_come(void **state)
{
	struct fx *fx = *state;
	struct given a = fx_put(fx, .uri = "urn:a", .embargo_ms = START + 2000), b, c;

	b = fx_put(fx, .uri = "urn:b", .embargo_ms = START + 1000);
	c = fx_put(fx, .uri = "urn:c");
	assert_int_equal(c.position, 1);
	fx_advance(fx, 999);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
	fx_advance(fx, 1001);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_head(fx, b.sequence).position, 2); /* the earlier first */
	assert_int_equal(fx_head(fx, a.sequence).position, 3);
	assert_int_equal(fx_head(fx, a.sequence).state, ITEM_RELEASED);
	assert_true(fx_head(fx, a.sequence).released_ms == START + 2000);
	assert_non_null(fx_told(fx, STORE_RELEASED));
	assert_int_equal(fx_told(fx, STORE_RELEASED)->first, 2);
	assert_int_equal(fx_told(fx, STORE_RELEASED)->last, 3);
	assert_int_equal(fx_entries(fx, T_HELD), 0);
	assert_int_equal(fx_put(fx, .uri = "urn:a", .embargo_ms = START + 2000).position, 3);
}

static void a_past_embargo_holds_nothing(void **state)
{
	struct fx *fx = *state;

	assert_int_equal(fx_put(fx, .embargo_ms = START).position, 1);
}

static void withheld_has_no_time(void **state)
{
	struct fx *fx = *state;
	struct given a = fx_put(fx, .status = STATUS_WITHHELD);

	assert_int_equal(a.result, RESULT_HELD);
	assert_int_equal(fx_put(fx, .status = STATUS_WITHHELD).result, RESULT_HELD); /* again */
	fx_advance(fx, 100000 * DAY);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_entries(fx, T_HELD), 1);
	assert_int_equal(fx_entries(fx, T_FEED), 0);
}

static void a_hundred_a_transaction(void **state)
{
	struct fx *fx = *state;
	struct store_state shown = { 0 };
	char uri[32];

	for (unsigned i = 0; i < 150; i++) {
		snprintf(uri, sizeof(uri), "urn:%u", i);
		fx_put(fx, .uri = uri, .embargo_ms = START + 1000);
	}
	items_state(fx->items, &shown);
	assert_int_equal(shown.held, 150);
	fx_advance(fx, 1000);
	assert_int_equal(fx_release(fx), 1);
	assert_int_equal(fx_told(fx, STORE_RELEASED)->items, 100);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_told(fx, STORE_RELEASED)->items, 50);
	items_state(fx->items, &shown);
	assert_int_equal(shown.held, 0);
	assert_int_equal(shown.position_last, 150);
}

static void held_items_of_a_partner_have_a_ceiling(void **state)
{
	struct fx *fx = *state;
	struct store_part part = { .number = 1, .size = 900000, .name = slice_str("p") };
	struct given a;

	a = fx_put(fx, .uri = "urn:a", .embargo_ms = START + 1000, .parts = &part, .parts_n = 1);
	assert_int_equal(a.result, RESULT_HELD);
	part.number = 2;
	assert_int_equal(
		fx_put(fx, .uri = "urn:b", .embargo_ms = START + 1000, .parts = &part, .parts_n = 1)
			.code,
		NX_EHELDFULL);
	fx_reopen(fx);
	assert_int_equal(
		fx_put(fx, .uri = "urn:b", .embargo_ms = START + 1000, .parts = &part, .parts_n = 1)
			.code,
		NX_EHELDFULL);
	assert_int_equal(fx_put(fx, .uri = "urn:b", .partner = 2, .embargo_ms = START + 1000,
				.parts = &part, .parts_n = 1)
				 .code,
			 0);
	fx_advance(fx, 1000);
	fx_release(fx);
	assert_int_equal(
		fx_put(fx, .uri = "urn:c", .embargo_ms = START + 9000, .parts = &part, .parts_n = 1)
			.code,
		0);
}

static void far_away_is_told(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .embargo_ms = START + 400 * DAY);
	assert_null(fx_told(fx, STORE_HELD_FAR));
	fx_put(fx, .uri = "urn:b", .embargo_ms = START + 401 * DAY);
	assert_non_null(fx_told(fx, STORE_HELD_FAR));
	assert_int_equal(fx_told(fx, STORE_HELD_FAR)->sequence, 2);
	assert_string_equal(fx_told(fx, STORE_HELD_FAR)->why.words,
			    "its embargo ends 2028-02-20T08:00:00.000Z");
}

/* one bit of its head; the same again mends it */
static void damage(struct fx *fx, uint64_t sequence)
{
	uint8_t octets[DB_VALUE_MAX];
	struct slice value;
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	assert_true(txn_get(&txn, T_ITEMS, key_u64(&sequence), &value));
	memcpy(octets, value.p, value.n);
	octets[value.n / 2] ^= 4;
	txn_put(&txn, T_ITEMS, key_u64(&sequence), slice_of(octets, value.n));
	assert_int_equal(txn_end(&txn), 0);
}

/* it could not be read when it was killed, or replaced, and stayed among those that are held */
static void what_was_overtaken_unseen_is_not_released(void **state)
{
	struct fx *fx = *state;
	struct given a = fx_put(fx, .uri = "urn:a", .embargo_ms = START + 1000), b, later;

	b = fx_put(fx, .uri = "urn:b", .embargo_ms = START + 2000);
	damage(fx, a.sequence);
	damage(fx, b.sequence);
	fx_put(fx, .uri = "urn:a", .version = "9", .status = STATUS_CANCELED);
	later = fx_put(fx, .uri = "urn:b", .version = "2", .embargo_ms = START + 3000);
	assert_int_equal(later.result, RESULT_HELD);
	assert_int_equal(fx_entries(fx, T_HELD), 3);
	damage(fx, a.sequence);
	damage(fx, b.sequence);
	fx_advance(fx, 1000);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_head(fx, a.sequence).state, ITEM_KILLED);
	assert_int_equal(fx_told(fx, STORE_OVERTAKEN)->sequence, a.sequence);
	assert_int_equal(fx_told(fx, STORE_OVERTAKEN)->code, NX_EKILLED);
	fx_advance(fx, 1000);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_head(fx, b.sequence).state, ITEM_SUPERSEDED);
	assert_int_equal(fx_told(fx, STORE_OVERTAKEN)->sequence, b.sequence);
	assert_int_equal(fx_told(fx, STORE_OVERTAKEN)->code, NX_ESUPERSEDED);
	assert_int_equal(fx_entries(fx, T_FEED), 1); /* the kill */
	fx_advance(fx, 1000);
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_head(fx, later.sequence).state, ITEM_RELEASED);
	assert_int_equal(fx_entries(fx, T_FEED), 2);
	assert_int_equal(fx_entries(fx, T_HELD), 0);
}

/* ---- the clock */

static void a_jump_releases_nothing(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .embargo_ms = START + DAY);
	fx->wall_ms += DAY; /* the boot-time clock stands */
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_entries(fx, T_FEED), 0);
	assert_int_equal(fx_told(fx, STORE_CLOCK)->code, NX_ECLOCK);
	/* an embargo that is over by that clock only is held all the same */
	assert_int_equal(fx_put(fx, .uri = "urn:b", .embargo_ms = START + 1000).result,
			 RESULT_HELD);
	fx->wall_ms -= DAY; /* somebody mends it */
	assert_int_equal(fx_release(fx), 0);
	assert_int_equal(fx_told(fx, STORE_CLOCK)->code, 0);
	fx_advance(fx, 1000);
	fx_release(fx);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
}

static void the_operator_may_vouch(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .embargo_ms = START + DAY);
	fx->wall_ms += DAY;
	fx_release(fx);
	assert_int_equal(fx_entries(fx, T_FEED), 0);
	items_clock_ok(fx->items, fx->boot_ms, fx->wall_ms);
	fx_release(fx);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
	assert_int_equal(fx_told(fx, STORE_CLOCK)->code, 0);
}

static void a_vouch_is_for_the_clock_as_it_stood(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .embargo_ms = START + DAY);
	items_clock_ok(fx->items, fx->boot_ms, fx->wall_ms);
	fx->wall_ms += DAY; /* it jumps before anybody looks */
	fx_release(fx);
	assert_int_equal(fx_entries(fx, T_FEED), 0);
}

/* its age counts one day: it must not be that of the wrong clock */
static void what_comes_under_a_wrong_clock_has_its_right_age(void **state)
{
	struct fx *fx = *state;
	struct record record;
	struct txn txn;

	fx_put(fx, .uri = "urn:a");
	fx->wall_ms -= 30 * DAY;
	fx->boot_ms += 1000;
	fx_put(fx, .uri = "urn:b");
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_int_equal(record_head(&txn, 2, &record), 0);
	assert_int_equal(txn_end(&txn), 0);
	assert_int_equal(record.released_ms, START + 1000);
}

static void the_kernel_may_vouch_with_ntp(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .embargo_ms = START + DAY);
	fx->wall_ms += DAY;
	items_release(fx->items, fx->boot_ms, fx->wall_ms, true); /* not asked */
	assert_int_equal(fx_entries(fx, T_FEED), 0);
	fx->store.times.clock_ntp = true;
	items_reload(fx->items, &fx->store);
	items_release(fx->items, fx->boot_ms, fx->wall_ms, false);
	assert_int_equal(fx_entries(fx, T_FEED), 0);
	items_release(fx->items, fx->boot_ms, fx->wall_ms, true);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
}

/* that the clock was synchronised a moment ago excuses no jump since */
static void a_stale_word_of_the_kernel_does_not_count(void **state)
{
	struct fx *fx = *state;

	fx->store.times.clock_ntp = true;
	items_reload(fx->items, &fx->store);
	items_release(fx->items, fx->boot_ms, fx->wall_ms, true);
	fx_put(fx, .uri = "urn:a", .embargo_ms = START + DAY);
	fx->wall_ms += DAY;
	assert_int_equal(fx_put(fx, .uri = "urn:b", .embargo_ms = START + DAY).result, RESULT_HELD);
	items_release(fx->items, fx->boot_ms, fx->wall_ms, false);
	assert_int_equal(fx_entries(fx, T_FEED), 0);
}

static void restart_at(struct fx *fx, int64_t wall_ms)
{
	fx->wall_ms = wall_ms;
	fx->boot_ms = 5000; /* the machine too */
	fx_reopen(fx);
}

static void a_start_with_a_strange_clock_releases_nothing(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .embargo_ms = START + 1000);
	restart_at(fx, START + DAY + 1); /* more than a day later */
	fx_release(fx);
	assert_int_equal(fx_entries(fx, T_FEED), 0);
	assert_int_equal(fx_told(fx, STORE_CLOCK)->code, NX_ECLOCK);
	restart_at(fx, START + DAY + 2); /* the suspect time was not stored */
	fx_release(fx);
	assert_int_equal(fx_entries(fx, T_FEED), 0);
	restart_at(fx, START - 1);
	fx_release(fx);
	assert_int_equal(fx_entries(fx, T_FEED), 0);
	restart_at(fx, START + DAY);
	fx_release(fx);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
}

static void the_wall_clock_is_stored_each_minute(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .embargo_ms = START + 3 * DAY);
	for (int i = 0; i < 3 * 24; i++) { /* three quiet days */
		fx_advance(fx, DAY / 24);
		assert_int_equal(items_store_wall(fx->items), 0);
		items_now(fx->items, fx->boot_ms, fx->wall_ms, false);
		assert_int_equal(items_store_wall(fx->items), 0);
	}
	restart_at(fx, fx->wall_ms + 10);
	fx_release(fx);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
}

static void rules_of_the_clock(void **state)
{
	struct clockrule rule = { .jump_ms = 60000 };
	struct why why;

	(void)state;
	clockrule_start(&rule, 0, START, INT64_MIN);
	assert_true(clockrule_good(&rule));
	assert_false(clockrule_look(&rule, 1000, START + 61000, false, &why));
	assert_true(clockrule_look(&rule, 1000, START + 61001, false, &why));
	assert_int_equal(why.code, NX_ECLOCK);
	assert_true(clockrule_now(&rule, START + 61001) == START + 61000);
	assert_true(clockrule_look(&rule, 2000, START + 1900, false, &why));
	assert_false(clockrule_look(&rule, 2000, START - 57000, false, &why));
	assert_true(clockrule_look(&rule, 2000, START - 58001, false, &why));
	assert_true(clockrule_now(&rule, START - 58001) == START - 58001);
	assert_true(clockrule_vouch(&rule, 2000, START - 58001));
	assert_false(clockrule_look(&rule, 3000, START - 57001, false, &why));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
	const struct CMUnitTest tests[] = {
		T(released_when_its_time_has_come),
		T(a_past_embargo_holds_nothing),
		T(withheld_has_no_time),
		T(a_hundred_a_transaction),
		T(held_items_of_a_partner_have_a_ceiling),
		T(far_away_is_told),
		T(what_was_overtaken_unseen_is_not_released),
		T(a_jump_releases_nothing),
		T(the_operator_may_vouch),
		T(a_vouch_is_for_the_clock_as_it_stood),
		T(what_comes_under_a_wrong_clock_has_its_right_age),
		T(the_kernel_may_vouch_with_ntp),
		T(a_stale_word_of_the_kernel_does_not_count),
		T(a_start_with_a_strange_clock_releases_nothing),
		T(the_wall_clock_is_stored_each_minute),
		cmocka_unit_test(rules_of_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
