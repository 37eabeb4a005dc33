/* rows that were damaged: the store opens, owes what it may owe, and names each of them once */
#include "debts_fixture.h"
#include "store/subs.h"

static struct slice owed_key(uint8_t key[12], uint32_t sub, uint64_t first)
{
	pack_be64(pack_be32(key, sub), first);
	return slice_of(key, 12);
}

static struct slice sub_key(uint8_t key[4], uint32_t sub)
{
	pack_be32(key, sub);
	return slice_of(key, 4);
}

/* one octet of a value; octet `at` of more than it has: cuts it there instead */
static void damage(struct fx *fx, unsigned table, struct slice key, size_t at, uint8_t bits)
{
	uint8_t copy[DB_VALUE_MAX];
	struct slice value;
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	assert_true(txn_get(&txn, table, key, &value));
	assert_true(at < value.n);
	memcpy(copy, value.p, value.n);
	copy[at] ^= bits;
	txn_put(&txn, table, key, slice_of(copy, bits == 0 ? at : value.n));
	assert_int_equal(txn_end(&txn), 0);
}

static void damage_owed(struct fx *fx, uint32_t sub, uint64_t first, size_t at, uint8_t bits)
{
	uint8_t key[12];

	damage(fx, T_OWED, owed_key(key, sub, first), at, bits);
}

static void put_owed(struct fx *fx, uint32_t sub, uint64_t first, uint64_t last)
{
	struct owed_row row = {
		.subscription = sub, .generation = 1, .first = first, .last = last
	};
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	owed_put(&txn, &row);
	assert_int_equal(txn_end(&txn), 0);
}

/* so many were named since, the last one with these words */
static void assert_named(struct fx *fx, unsigned n, const char *table, const char *key,
			 const char *words)
{
	const struct store_event *told = fx_told(fx, STORE_CORRUPT);
	unsigned told_n = 0;

	for (unsigned i = 0; i < fx->events_n; i++)
		told_n += fx->events[i].kind == STORE_CORRUPT;
	assert_int_equal(told_n, n);
	assert_non_null(told);
	assert_string_equal(told->table, table);
	assert_string_equal(told->key, key);
	if (strstr(told->why.words, words) == NULL)
		fail_msg("said: %s", told->why.words);
}

/* opens, and names nothing the second time */
static void reopen(struct fx *fx)
{
	unsigned n;

	fx->events_n = 0;
	fx_reopen(fx);
	n = fx->events_n;
	fx_reopen(fx);
	assert_int_equal(fx->events_n, n);
}

/* what it says of the one row of debts that was mended, and all rows then */
static void assert_mended(struct fx *fx, uint32_t sub, const char *key, const char *words,
			  const char *rows)
{
	reopen(fx);
	assert_named(fx, 1, "owed", key, words);
	assert_rows(fx, sub, rows);
}

/* six items; 1, 3 and 5 settled, 4 refused later: rows 2-2 4-4a1 6-; number 1 */
static uint32_t six(struct fx *fx)
{
	uint32_t sub = fx_sub(fx, "world", true);

	fx_items(fx, "a", 6, "world");
	fx_ack(fx, sub, 1);
	fx_ack(fx, sub, 3);
	fx_ack(fx, sub, 5);
	fx_later(fx, sub, 4, START + 1000);
	assert_rows(fx, sub, "2-2g1 4-4g1a1 6-g1");
	assert_int_equal(sub, 1);
	return sub;
}

static void all_is_well(void **state)
{
	struct fx *fx = *state;

	six(fx);
	reopen(fx);
	assert_int_equal(fx->events_n, 0);
}

static void a_version_octet(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_owed(fx, sub, 2, 0, 0x10);
	assert_mended(fx, sub, "1/2", "subscription s is owed was damaged: positions 2 to 3",
		      "2-3g1 4-4g1a1 6-g1");
	fx_advance(fx, 2000);
	assert_fetch(fx, sub, LANE_ROUTINE, "2 3 4 6");
	fx_ack(fx, sub, 2);
	fx_ack(fx, sub, 3);
	assert_receipts(fx, sub, "1A 2A 3A 5A");
}

static void a_short_value(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_owed(fx, sub, 4, 24, 0);
	assert_mended(fx, sub, "1/4", "positions 4 to 5", "2-2g1 4-5g1 6-g1");
}

static void a_last_before_its_first(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_owed(fx, sub, 4, 1, 0x04); /* 4-0 */
	reopen(fx);
	assert_named(fx, 1, "owed", "1/4", "positions 4 to 5");
	fx_advance(fx, 2000);
	assert_fetch(fx, sub, LANE_ROUTINE, "2 4 5 6");
}

static void a_last_that_was_never_given(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_owed(fx, sub, 6, 8, 0x80); /* the tail has an end, far off */
	assert_mended(fx, sub, "1/6", "positions 6 to its end", "2-2g1 4-4g1a1 6-g1");
}

static void rows_that_overlap(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	put_owed(fx, sub, 2, 5);
	assert_mended(fx, sub, "1/2", "positions 2 to 3", "2-3g1 4-4g1a1 6-g1");
}

static void a_filter_that_there_is_none_of(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_owed(fx, sub, 2, 9, 0x40);
	assert_mended(fx, sub, "1/2", "positions 2 to 2", "2-2g1 4-4g1a1 6-g1");
}

static void a_retry_of_a_whole_run(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_owed(fx, sub, 6, 21, 1);
	assert_mended(fx, sub, "1/6", "positions 6 to its end", "2-2g1 4-4g1a1 6-g1");
}

/* what is stored after the start still comes */
static void no_row_without_an_end(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	put_owed(fx, sub, 6, 6);
	reopen(fx);
	assert_named(fx, 2, "subscriptions", "c/1", "counted wrongly");
	assert_rows(fx, sub, "2-2g1 4-4g1a1 6-6g1 7-g1");
	fx_items(fx, "b", 1, "world");
	fx_advance(fx, 2000);
	assert_fetch(fx, sub, LANE_ROUTINE, "2 4 6 7");
}

static void a_row_of_nobody(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	put_owed(fx, 77, 3, 5);
	reopen(fx);
	assert_named(fx, 1, "owed", "77/3", "no subscription");
	assert_rows(fx, 77, "");
	assert_rows(fx, sub, "2-2g1 4-4g1a1 6-g1");
}

static void counters(void **state)
{
	static const uint8_t key[5] = { 'c', 0, 0, 0, 1 };
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage(fx, T_SUBSCRIPTIONS, slice_of(key, 5), 0, 0x02);
	reopen(fx);
	assert_named(fx, 1, "subscriptions", "c/1", "not known any more");
	damage(fx, T_SUBSCRIPTIONS, slice_of(key, 5), 2, 0x7f); /* 10,000 rows and more? */
	assert_true(fx_claim(fx, sub).kills_only);
	reopen(fx);
	assert_named(fx, 1, "subscriptions", "c/1", "counted wrongly");
	assert_false(fx_claim(fx, sub).kills_only);
}

/* the daemon opens, and the configuration finds what is owed under the old number */
static void again_with_its_debts(struct fx *fx, uint32_t sub)
{
	struct fx_def def = fx_def_one("world", true);

	fx->events_n = 0;
	assert_int_equal(fx_define(fx, &def), 0);
	assert_int_equal(def.subs[0].number, sub);
	assert_int_equal(fx->events_n, 0);
	assert_rows(fx, sub, "2-2g1 4-4g1a1 6-g1");
	fx_advance(fx, 2000);
	assert_fetch(fx, sub, LANE_ROUTINE, "2 4 6");
	reopen(fx);
	assert_int_equal(fx->events_n, 0);
}

static void a_definition(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);
	uint8_t key[4];

	damage(fx, T_SUBSCRIPTIONS, sub_key(key, sub), 0, 0x02);
	reopen(fx);
	assert_named(fx, 1, "subscriptions", "1", "definition of subscription s was damaged");
	again_with_its_debts(fx, sub);
}

static void a_definition_cut_short(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);
	uint8_t key[4];

	damage(fx, T_SUBSCRIPTIONS, sub_key(key, sub), 3, 0);
	reopen(fx);
	assert_named(fx, 1, "subscriptions", "1", "definition of subscription s was damaged");
	again_with_its_debts(fx, sub);
}

static void names_and_numbers(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage(fx, T_SUBSCRIPTIONS, slice_str("s:s"), 0, 0x02);
	reopen(fx);
	assert_named(fx, 1, "subscriptions", "s:s", "it is 1");
	damage(fx, T_SUBSCRIPTIONS, slice_str("p:vna"), 12, 0);
	reopen(fx);
	assert_named(fx, 1, "subscriptions", "p:vna", "know it");
	damage(fx, T_SUBSCRIPTIONS, slice_str("n"), 5, 0x01); /* none was given yet? */
	reopen(fx);
	assert_named(fx, 1, "subscriptions", "n", "subscriptions from 1");
	damage(fx, T_SUBSCRIPTIONS, slice_str("n"), 0, 0x02);
	reopen(fx);
	assert_named(fx, 1, "subscriptions", "n", "subscriptions from 1001");
	again_with_its_debts(fx, sub);
}

static void filters(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);
	uint8_t key[8];

	pack_be32(pack_be32(key, sub), 1);
	damage(fx, T_FILTERS, slice_of(key, 8), 0, 0x02);
	reopen(fx);
	assert_named(fx, 1, "filters", "1/1", "whatever its channel");
	again_with_its_debts(fx, sub);
	pack_be32(pack_be32(key, sub), FILTER_RIGHTS);
	damage(fx, T_FILTERS, slice_of(key, 8), 2, 0);
	reopen(fx);
	assert_named(fx, 1, "filters", "1/0", "damaged");
	again_with_its_debts(fx, sub);
	fx_items(fx, "other", 1, "sports");
	assert_fetch(fx, sub, LANE_ROUTINE, "2 4 6 skip7-7");
}

/* ---- the feed: read from the item, and written anew when retirement comes by */

static void a_feed_row(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);
	uint64_t two = 2, six = 6;

	damage(fx, T_FEED, key_u64(&two), 0, 0x04);
	damage(fx, T_FEED, key_u64(&six), 5, 0); /* even its item's number is gone */
	fx_reopen(fx);
	fx_advance(fx, 2000);
	assert_fetch(fx, sub, LANE_ROUTINE, "2 4 6");
	assert_true(fx_claim(fx, sub).owed_at_most == 3);
	fx_items(fx, "b", 1, "world");
	fx_settle_as(fx, sub, SETTLE_ACKED, 2, 2);
	assert_fetch(fx, sub, LANE_ROUTINE, "4 6 7");
	fx_advance(fx, 8 * DAY);
	fx->events_n = 0;
	fx_maintain(fx);
	assert_named(fx, 2, "feed", "6", "item 6 was damaged: made again");
	fx->events_n = 0;
	fx_advance(fx, 2 * DAY);
	fx_maintain(fx);
	assert_null(fx_told(fx, STORE_CORRUPT));
	assert_fetch(fx, sub, LANE_ROUTINE, "4 6 7");
	assert_int_equal(fx_entries(fx, T_FEED), 3);
}

static void a_feed_row_and_its_item(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);
	uint64_t two = 2;

	damage(fx, T_FEED, key_u64(&two), 0, 0x04);
	damage(fx, T_ITEMS, key_u64(&two), 9, 0x04);
	fx_reopen(fx);
	fx_maintain(fx);
	fx->events_n = 0;
	assert_fetch(fx, sub, LANE_ROUTINE, "4 6");
	assert_int_equal(fx_told(fx, STORE_CORRUPT)->first, 2);
	assert_rows(fx, sub, "2-2g1 4-4g1a1 6-g1"); /* owed until its rule gives it up */
	fx_advance(fx, 8 * DAY);
	fx_maintain(fx);
	assert_rows(fx, sub, "2-2g1 4-4g1a1 6-g1");
	assert_int_equal(fx_entries(fx, T_FEED), 3);
}

/* ---- receipts: who writes mends, who reads passes by */

static void damage_receipts(struct fx *fx, uint32_t sub, uint64_t first, size_t at, uint8_t bits)
{
	uint8_t key[12];

	damage(fx, T_RECEIPTS, owed_key(key, sub, first), at, bits);
}

static void a_version_octet_of_receipts(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_receipts(fx, sub, 1, 0, 0x08);
	fx_reopen(fx);
	assert_int_equal(fx_claim(fx, sub).acked_last, 0);
	assert_receipts(fx, sub, "");
	fx->events_n = 0;
	fx_ack(fx, sub, 6);
	assert_named(fx, 1, "receipts", "1/1", "what it says was not");
	assert_receipts(fx, sub, "1A 3A 5A 6A");
	assert_int_equal(fx_claim(fx, sub).acked_last, 6);
}

/* a step of each walk of an hourly round */
static void walk(struct fx *fx)
{
	for (unsigned i = 0; i < 8; i++)
		fx_maintain(fx);
}

/* the batch goes on, and so do all after it */
static void receipts_that_cannot_be_read(void **state)
{
	static const struct {
		size_t at;
		uint8_t bits;
	} how[] = { { 20, 0 }, { 22, 0 }, { 3, 0x80 }, { 11, 0x80 }, { 25, 0 } };
	struct fx *fx = *state;
	uint32_t sub = six(fx);
	uint64_t first = 1;

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		damage_receipts(fx, sub, first, how[i].at, how[i].bits);
		fx->events_n = 0;
		fx_items(fx, (char[]){ (char)('b' + i), '\0' }, 1, "world");
		fx_ack(fx, sub, 7 + i);
		assert_named(fx, 1, "receipts", "1/1", "is not known any more");
		fx_reopen(fx);
		fx->events_n = 0;
		walk(fx); /* finds nothing more */
		assert_null(fx_told(fx, STORE_CORRUPT));
	}
	assert_receipts(fx, sub, "1- 11A");
}

static void a_bit_within_receipts(void **state)
{
	static const size_t at[] = { 2, 4, 12, 20, 24, 27, 28, 29 };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct fx *fx;
		uint32_t sub;

		assert_int_equal(fx_setup(state), 0);
		fx = *state;
		sub = six(fx);
		damage_receipts(fx, sub, 1, at[i], 0x10);
		fx->events_n = 0;
		walk(fx);
		assert_named(fx, 1, "receipts", "1/1", "positions 1 to 6");
		assert_receipts(fx, sub, "1- 6-");
		assert_int_equal(fx_claim(fx, sub).acked_last, 6);
		fx->events_n = 0;
		fx_reopen(fx);
		walk(fx);
		assert_null(fx_told(fx, STORE_CORRUPT));
		fx_teardown(state);
	}
}

/* it had two at least; what the exchange does not know it delivers again */
static void a_restored_client_and_damaged_receipts(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_receipts(fx, sub, 1, 21, 0);
	fx->events_n = 0;
	fx_owe_again(fx, sub, 2);
	assert_named(fx, 1, "receipts", "1/1", "positions 1 to 6");
	fx_advance(fx, 2000);
	assert_fetch(fx, sub, LANE_ROUTINE, "2 3 4 5 6");
	assert_receipts(fx, sub, "1- 6R");
}

static int fetch_code(struct fx *fx, uint32_t sub)
{
	struct store_fetch fetch = { .subscription = sub,
				     .items_max = FETCH_MAX,
				     .octets_max = SIZE_MAX,
				     .wall_ms = fx->wall_ms };
	struct txn txn;
	int r;

	txn_begin(&txn, items_db(fx->items), TXN_READ);
	r = items_fetch(fx->items, &txn, &fetch);
	txn_abort(&txn);
	store_fetch_done(&fetch);
	return r;
}

static void a_row_that_a_reader_meets(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_owed(fx, sub, 2, 0, 0x10);
	assert_int_equal(fetch_code(fx, sub), NX_ECORRUPT);
	fx_maintain(fx);
	assert_named(fx, 1, "owed", "1/2", "positions 2 to 3");
	assert_rows(fx, sub, "2-3g1 4-4g1a1 6-g1");
	assert_fetch(fx, sub, LANE_ROUTINE, "2 3 4 6");
}

static void counters_that_a_claim_meets(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);
	struct store_claim claim = { .req = { .kind = REQ_CLAIM }, .subscription = sub };
	uint8_t key[5] = { 'c' };
	struct txn txn;

	pack_be32(key + 1, sub);
	damage(fx, T_SUBSCRIPTIONS, slice_of(key, 5), 0, 0x10);
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_int_equal(items_claim(fx->items, &txn, &claim), NX_ECORRUPT);
	txn_abort(&txn);
	fx_maintain(fx);
	assert_named(fx, 1, "subscriptions", "c/1", "the counters of subscription s");
	assert_int_equal(fx_claim(fx, sub).first_owed, 2);
}

/* the batch that met it is done all the same */
static void a_row_that_the_writer_meets(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage_owed(fx, sub, 2, 0, 0x10);
	fx_ack(fx, sub, 2);
	assert_named(fx, 1, "owed", "1/2", "positions 2 to 3");
	assert_rows(fx, sub, "3-3g1 4-4g1a1 6-g1");
	assert_receipts(fx, sub, "1A 2A 3A 5A");
	fx_advance(fx, 60000);
	damage_owed(fx, sub, 3, 0, 0x10);
	fx_maintain(fx); /* expiry comes by */
	assert_named(fx, 2, "owed", "1/3", "positions 3 to 3");
	assert_rows(fx, sub, "3-3g1 4-4g1a1 6-g1");
}

/* as the configuration said it, and not only what the names tell */
static void a_definition_that_is_met(void **state)
{
	struct fx_def def = fx_def_one("world", true);
	struct fx *fx = *state;
	struct sub_row row;
	uint32_t sub;
	uint8_t key[4];
	struct slice value;
	struct txn txn;

	sub = six(fx);
	damage_owed(fx, sub, 2, 0, 0x10);
	damage(fx, T_SUBSCRIPTIONS, sub_key(key, sub), 0, 0x10);
	assert_int_equal(fetch_code(fx, sub), NX_ECORRUPT);
	fx_maintain(fx);
	assert_named(fx, 2, "owed", "1/2", "positions 2 to 3");
	assert_int_equal(fetch_code(fx, sub), 0);
	assert_rows(fx, sub, "2-3g1 4-4g1a1 6-g1");
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_true(txn_get(&txn, T_SUBSCRIPTIONS, sub_key(key, sub), &value));
	assert_true(sub_row_head(slice_of(key, 4), value, &row));
	assert_true(row.sub.backlog_age_ms == 30 * DAY && row.sub.backlog_size == 1 << 30);
	txn_abort(&txn);
	/* a reload meets one, and is done all the same */
	fx_advance(fx, 60000);
	damage(fx, T_SUBSCRIPTIONS, sub_key(key, sub), 0, 0x10);
	fx->events_n = 0;
	assert_int_equal(fx_define(fx, &def), 0);
	assert_int_equal(def.subs[0].number, sub);
	assert_named(fx, 1, "subscriptions", "1", "definition of subscription s was damaged");
	reopen(fx);
	assert_int_equal(fx->events_n, 0);
}

/* what is owed under it is not passed by as if it did not match */
static void an_old_filter_that_is_met(void **state)
{
	struct fx_def def = fx_def_one("sports", true);
	struct fx *fx = *state;
	uint32_t sub = six(fx);
	uint8_t key[8];

	assert_int_equal(fx_define(fx, &def), 0);
	assert_rows(fx, sub, "2-2g1 4-4g1a1 6-6g1 7-g2");
	pack_be32(pack_be32(key, sub), 1);
	damage(fx, T_FILTERS, slice_of(key, 8), 0, 0x10);
	assert_int_equal(fetch_code(fx, sub), NX_ECORRUPT);
	fx->events_n = 0;
	fx_maintain(fx);
	assert_named(fx, 1, "filters", "1/1", "whatever its channel");
	fx_advance(fx, 2000);
	assert_fetch(fx, sub, LANE_ROUTINE, "2 4 6");
}

/* what only a start mends is told once, with what to do */
static void a_row_that_must_wait_for_a_start(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = six(fx);

	damage(fx, T_META, slice_str("fresh"), 3, 0x10);
	assert_int_equal(fetch_code(fx, sub), NX_ECORRUPT);
	fx->events_n = 0;
	for (unsigned i = 0; i < 3; i++) {
		fx_advance(fx, 70000);
		items_maintain(fx->items, fx->boot_ms, fx->wall_ms, false);
		assert_int_equal(fetch_code(fx, sub), NX_ECORRUPT);
	}
	assert_int_equal(fx->events_n, 1);
	assert_non_null(strstr(fx_told(fx, STORE_CORRUPT)->why.words, "restart it"));
	fx_reopen(fx);
	assert_int_equal(fetch_code(fx, sub), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_is_well, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_version_octet, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_short_value, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_row_that_a_reader_meets, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(counters_that_a_claim_meets, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_row_that_the_writer_meets, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_row_that_must_wait_for_a_start, fx_setup,
						fx_teardown),
		cmocka_unit_test_setup_teardown(a_definition_that_is_met, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(an_old_filter_that_is_met, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_last_before_its_first, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_last_that_was_never_given, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(rows_that_overlap, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_filter_that_there_is_none_of, fx_setup,
						fx_teardown),
		cmocka_unit_test_setup_teardown(a_retry_of_a_whole_run, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(no_row_without_an_end, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_row_of_nobody, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(counters, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_definition, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_definition_cut_short, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(names_and_numbers, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(filters, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_feed_row, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_feed_row_and_its_item, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(a_version_octet_of_receipts, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(receipts_that_cannot_be_read, fx_setup,
						fx_teardown),
		cmocka_unit_test(a_bit_within_receipts),
		cmocka_unit_test_setup_teardown(a_restored_client_and_damaged_receipts, fx_setup,
						fx_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
