/* CLAIM and FETCH: order, skips, lanes, retries, verdicts, damage, bounds */
#include "debts_fixture.h"

#define URGENT .urgency = 1

static void in_order_with_skips(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "a", true);

	fx_items(fx, "x", 2, "b");
	fx_items(fx, "y", 2, "a");
	fx_items(fx, "z", 1, "b");
	fx_items(fx, "v", 1, "a");
	fx_items(fx, "w", 2, "b");
	assert_fetch(fx, sub, LANE_ROUTINE, "(1-)3 4 (5-)6 skip7-8");
	assert_int_equal(fx_claim(fx, sub).owed_at_most, 8);
}

static void octets_and_parts_come_whole(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);
	struct store_part part = { .number = 77, .size = 5, .name = slice_str("p.jpg") };
	struct store_fetch fetch = { .subscription = sub };
	char *document = calloc(1, 20001);

	memset(document, 'x', 20000);
	fx_put(fx, .uri = "urn:p", .parts = &part, .parts_n = 1, .document = document);
	fx_fetch_into(fx, &fetch);
	assert_int_equal(fetch.n, 1);
	assert_true(fetch.end);
	assert_int_equal(fetch.next, 2);
	assert_int_equal(fetch.items[0].verdict, SETTLE_ACKED);
	assert_int_equal(fetch.items[0].envelope_n, 2);
	assert_int_equal(fetch.items[0].document_n, 20000);
	assert_memory_equal(fetch.items[0].octets, "{}", 2);
	assert_memory_equal(fetch.items[0].octets + 2, document, 20000);
	assert_true(fetch.items[0].has_parts);
	assert_int_equal(fetch.items[0].parts_n, 1);
	assert_int_equal(fetch.items[0].parts[0].number, 77);
	assert_true(slice_is(fetch.items[0].parts[0].name, "p.jpg"));
	store_fetch_done(&fetch);
	free(document);
}

static void lanes_do_not_skip_each_other(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "a", true);

	fx_items(fx, "x", 2, "b");
	fx_put(fx, .uri = "urn:f1", .channel = "a", URGENT); /* 3 */
	fx_put(fx, .uri = "urn:f2", .channel = "b", URGENT); /* 4: not wanted */
	fx_items(fx, "y", 1, "a");                           /* 5 */
	assert_fetch(fx, sub, LANE_ROUTINE, "skip1-2 (4-)5");
	assert_fetch(fx, sub, LANE_FLASH, "3");
	fx_ack(fx, sub, 3);
	assert_fetch(fx, sub, LANE_ROUTINE, "(1-)5");
	assert_fetch(fx, sub, LANE_FLASH, "");
}

static void retries_are_passed_until_their_time(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "a", true);
	struct store_fetch fetch = { .subscription = sub };

	fx_items(fx, "x", 1, "b");
	fx_items(fx, "y", 2, "a"); /* 2, 3 */
	fx_put(fx, .uri = "urn:f", .channel = "a", URGENT);
	fx_later(fx, sub, 2, fx->wall_ms + 5000);
	fx_later(fx, sub, 4, fx->wall_ms + 3000);
	assert_fetch(fx, sub, LANE_ROUTINE, "skip1-1 3");
	assert_fetch(fx, sub, LANE_FLASH, "");
	fetch.lane = LANE_FLASH;
	fx_fetch_into(fx, &fetch);
	assert_true(fetch.retry_at_ms == fx->wall_ms + 3000);
	fetch = (struct store_fetch){ .subscription = sub, .from = 2 };
	fx_fetch_into(fx, &fetch);
	assert_true(fetch.retry_at_ms == fx->wall_ms + 5000); /* the flash is not this lane's */
	store_fetch_done(&fetch);
	fx_advance(fx, 5000);
	fetch = (struct store_fetch){ .subscription = sub };
	fx_fetch_into(fx, &fetch);
	assert_int_equal(fetch.n, 2);
	assert_int_equal(fetch.items[0].position, 2);
	assert_int_equal(fetch.items[0].skip_first, 1);
	assert_int_equal(fetch.items[0].attempts, 1);
	assert_true(fetch.retry_at_ms == INT64_MAX);
	store_fetch_done(&fetch);
	assert_fetch(fx, sub, LANE_FLASH, "4");
}

static void versions_and_kills(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);

	def.subs[1] = def.subs[0];
	def.subs[1].name = "all";
	def.subs[1].versions_all = true;
	def.subs_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_put(fx, .uri = "urn:a", .version = "1");
	fx_put(fx, .uri = "urn:b", .version = "1");
	fx_put(fx, .uri = "urn:a", .version = "2");
	assert_fetch(fx, def.subs[0].number, LANE_ROUTINE, "1!superseded 2 3");
	assert_fetch(fx, def.subs[1].number, LANE_ROUTINE, "1 2 3");
	fx_put(fx, .uri = "urn:a", .version = "3", .status = STATUS_CANCELED);
	assert_fetch(fx, def.subs[0].number, LANE_ROUTINE, "1!killed 2 3!killed");
	assert_fetch(fx, def.subs[1].number, LANE_ROUTINE, "1!killed 2 3!killed");
	assert_fetch(fx, def.subs[1].number, LANE_FLASH, "4");
}

static void rights_count_now(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);

	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "a", 1, "a");
	fx_items(fx, "b", 1, "b");
	def.subs[0].rights = "b";
	assert_int_equal(fx_define(fx, &def), 0);
	assert_fetch(fx, def.subs[0].number, LANE_ROUTINE, "(1-)2");
	def.subs[0].rights = "*";
	assert_int_equal(fx_define(fx, &def), 0);
	assert_fetch(fx, def.subs[0].number, LANE_ROUTINE, "1 2");
}

static void held_are_not_there(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_put(fx, .uri = "urn:e", .embargo_ms = fx->wall_ms + 1000);
	fx_items(fx, "a", 1, "a");
	assert_fetch(fx, sub, LANE_ROUTINE, "1");
	fx_advance(fx, 1001);
	assert_true(fx_release(fx) >= 0);
	assert_fetch(fx, sub, LANE_ROUTINE, "1 2");
}

static void bounds_hold(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);
	struct store_fetch fetch = { .subscription = sub, .items_max = 3 };

	fx_items(fx, "a", 9, "a");
	fx_fetch_into(fx, &fetch);
	assert_int_equal(fetch.n, 3);
	assert_int_equal(fetch.next, 4);
	assert_false(fetch.end);
	store_fetch_done(&fetch);
	fetch = (struct store_fetch){ .subscription = sub, .from = 4, .octets_max = 18 };
	fx_fetch_into(fx, &fetch);
	assert_int_equal(fetch.n, 2); /* the one that passes it still comes: 17 octets each */
	store_fetch_done(&fetch);
	fetch = (struct store_fetch){ .subscription = sub, .from = 4, .upto = 7 };
	fx_fetch_into(fx, &fetch);
	assert_int_equal(fetch.n, 4);
	assert_int_equal(fetch.next, 8);
	assert_true(fetch.end);
	store_fetch_done(&fetch);
	fetch = (struct store_fetch){ .subscription = sub, .from = 10 };
	fx_fetch_into(fx, &fetch);
	assert_int_equal(fetch.n, 0);
	assert_true(fetch.end);
	assert_int_equal(fetch.next, 10);
	assert_int_equal(fetch.skip_first, 0);
}

/* a long way of what does not match is walked in steps */
static void work_a_call_is_bounded(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "a", true);
	struct store_fetch fetch = { .subscription = sub };

	fx_items(fx, "x", 600, "b");
	fx_items(fx, "y", 1, "a");
	fx_fetch_into(fx, &fetch);
	assert_int_equal(fetch.n, 0);
	assert_false(fetch.end);
	assert_int_equal(fetch.skip_first, 1);
	assert_in_range(fetch.next, 400, 600);
	fetch = (struct store_fetch){ .subscription = sub, .from = fetch.next };
	fx_fetch_into(fx, &fetch);
	assert_int_equal(fetch.n, 1);
	store_fetch_done(&fetch);
}

static void spoil(struct fx *fx, uint64_t sequence)
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

static void damaged_is_left_out_and_stays_owed(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "a", 3, "a");
	spoil(fx, 2);
	assert_fetch(fx, sub, LANE_ROUTINE, "1 3");
	assert_non_null(fx_told(fx, STORE_CORRUPT));
	assert_int_equal(fx_told(fx, STORE_CORRUPT)->sequence, 2);
	fx_ack(fx, sub, 1);
	fx_ack(fx, sub, 3);
	assert_rows(fx, sub, "2-2g1 4-g1");
}

static void unknown_subscription(void **state)
{
	struct fx *fx = *state;
	struct store_fetch fetch = { .subscription = 99, .items_max = 1 };
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_int_equal(items_fetch(fx->items, &txn, &fetch), NX_ENOSUB);
	txn_abort(&txn);
}

static void so_many_rows_that_only_kills_go_out_of_turn(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);
	struct owed_state counters = { .rows = OWED_ROWS_MAX };
	struct txn txn;

	fx_put(fx, .uri = "urn:f", URGENT);
	fx_put(fx, .uri = "urn:k", .status = STATUS_CANCELED);
	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	owed_state_put(&txn, sub, &counters);
	assert_int_equal(txn_end(&txn), 0);
	assert_fetch(fx, sub, LANE_FLASH, "2");
}

static void owed_words(const struct owed_line *line, void *arg)
{
	struct fx_words *words = arg;

	words->n += (size_t)snprintf(
		words->to + words->n, words->size - words->n, "%s %s %llu %llu %lld %lld;",
		line->subscription, line->partner, (unsigned long long)line->items,
		(unsigned long long)line->octets,
		(long long)(line->oldest_ms == TIME_NONE ? -1 : line->oldest_ms - START),
		(long long)(line->acked_ms == TIME_NONE ? -1 : line->acked_ms - START));
}

static void owed_is_exact(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "a", true);
	char to[200];
	struct fx_words words = { .to = to, .size = sizeof(to) };
	struct why why;

	fx_items(fx, "x", 2, "a");
	fx_advance(fx, 50);
	fx_items(fx, "y", 2, "b");
	fx_items(fx, "z", 2, "a");
	fx_advance(fx, 50);
	fx_ack(fx, sub, 1);
	fx_ack(fx, sub, 2);
	items_close(&fx->items);
	assert_int_equal(store_owed(fx->dir, owed_words, &words, &why), 0);
	assert_string_equal(to, "s vna 2 34 50 100;");
	assert_true(store_owed("/nowhere/at/all", owed_words, &words, &why) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
		T(in_order_with_skips),
		T(octets_and_parts_come_whole),
		T(lanes_do_not_skip_each_other),
		T(retries_are_passed_until_their_time),
		T(versions_and_kills),
		T(rights_count_now),
		T(held_are_not_there),
		T(bounds_hold),
		T(work_a_call_is_bounded),
		T(damaged_is_left_out_and_stays_owed),
		T(unknown_subscription),
		T(so_many_rows_that_only_kills_go_out_of_turn),
		T(owed_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
