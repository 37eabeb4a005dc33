/* answers: rows are cut, receipts are packed, a second answer changes nothing */
#include "debts_fixture.h"

static void in_order_the_tail_moves(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "a", 4, "world");
	assert_rows(fx, sub, "1-g1");
	fx_ack(fx, sub, 1);
	fx_ack(fx, sub, 2);
	assert_rows(fx, sub, "3-g1");
	assert_receipts(fx, sub, "1A 2A");
}

static void out_of_order_splits_and_closes(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "a", 6, "world");
	fx_ack(fx, sub, 3);
	assert_rows(fx, sub, "1-2g1 4-g1");
	fx_settle_as(fx, sub, SETTLE_NEVER, 5, 5);
	assert_rows(fx, sub, "1-2g1 4-4g1 6-g1");
	fx_settle_as(fx, sub, SETTLE_SUPERSEDED, 1, 2);
	fx_ack(fx, sub, 4);
	assert_rows(fx, sub, "6-g1");
	assert_receipts(fx, sub, "2S 3A 4A 5N");
}

static void second_answer_changes_nothing(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "a", 3, "world");
	fx_ack(fx, sub, 2);
	fx_settle_as(fx, sub, SETTLE_NEVER, 2, 2);
	fx_settle_as(fx, sub, SETTLE_SKIPPED, 1, 2);
	assert_rows(fx, sub, "3-g1");
	assert_receipts(fx, sub, "2A");
	fx_settle_as(fx, sub, SETTLE_NEVER, 1, 1);
	assert_receipts(fx, sub, "2A");
}

/* who was given up by rule and acks all the same has it; no other answer says more than the rule */
static void an_ack_after_expiry_is_the_truth(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);
	uint32_t sub;

	def.subs[0].backlog_age_ms = 10 * DAY;
	assert_int_equal(fx_define(fx, &def), 0);
	sub = def.subs[0].number;
	fx_items(fx, "a", 4, "world");
	fx_advance(fx, 11 * DAY);
	fx_maintain(fx);
	assert_receipts(fx, sub, "1X 2X 3X 4X");
	fx_ack(fx, sub, 2);
	fx_settle_as(fx, sub, SETTLE_NEVER, 3, 3);
	fx_settle_as(fx, sub, SETTLE_SKIPPED, 1, 4);
	assert_receipts(fx, sub, "1X 2A 3X 4X");
	fx_settle_as(fx, sub, SETTLE_NEVER, 2, 2);
	assert_receipts(fx, sub, "1X 2A 3X 4X");
	fx_settle_as(fx, sub, SETTLE_ACKED, 1, 3); /* for the last of them alone */
	assert_receipts(fx, sub, "1X 2A 3A 4X");
	assert_rows(fx, sub, "5-g1");
	assert_int_equal(fx_claim(fx, sub).expired, 4);
}

static void skipped_leaves_no_receipt(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "a", 5, "world");
	fx_settle_as(fx, sub, SETTLE_SKIPPED, 1, 3);
	fx_settle_as(fx, sub, SETTLE_ACKED, 4, 5);
	assert_rows(fx, sub, "6-g1");
	assert_receipts(fx, sub, "5A");
}

/* the future is not anybody's to settle */
static void positions_not_given_yet_stay_owed(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "a", 2, "world");
	fx_settle_as(fx, sub, SETTLE_SKIPPED, 1, 1000);
	fx_settle_as(fx, sub, SETTLE_ACKED, 3, 3);
	assert_rows(fx, sub, "1-g1");
	assert_receipts(fx, sub, "");
}

static void runs_of_many_in_one_request(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);
	struct settle_run runs[9];
	struct store_settle settle = { .req = { .kind = REQ_SETTLE }, .runs = runs, .n = 9 };
	static const struct {
		unsigned sub;
		uint64_t first, last;
		enum settle_how how;
	} in[9] = {
		{ 1, 4, 5, SETTLE_ACKED },   { 0, 1, 1, SETTLE_ACKED },
		{ 0, 2, 2, SETTLE_NEVER },   { 1, 1, 3, SETTLE_ACKED },
		{ 0, 2, 2, SETTLE_ACKED },   { 0, 8, 8, SETTLE_ACKED },
		{ 1, 6, 9, SETTLE_SKIPPED }, { 0, 5, 6, SETTLE_KILLED },
		{ 0, 3, 4, SETTLE_SKIPPED },
	};

	def.subs[1] = def.subs[0];
	def.subs[1].name = "t";
	def.subs_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "a", 10, "world");
	for (unsigned i = 0; i < 9; i++)
		runs[i] = (struct settle_run){ .subscription = def.subs[in[i].sub].number,
					       .how = in[i].how,
					       .first = in[i].first,
					       .last = in[i].last,
					       .at_ms = START + i };
	assert_int_equal(fx_batch(fx, &settle.req), 0);
	assert_rows(fx, def.subs[0].number, "7-7g1 9-g1");
	assert_receipts(fx, def.subs[0].number, "1A 2N 6K 8A");
	assert_rows(fx, def.subs[1].number, "10-g1");
	assert_receipts(fx, def.subs[1].number, "3A 5A");
}

static void kills_have_rows_of_their_own(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);
	struct settle_run kill = { .subscription = sub,
				   .how = SETTLE_ACKED,
				   .first = 3,
				   .last = 3,
				   .at_ms = START,
				   .kill = true };
	struct store_settle settle = { .req = { .kind = REQ_SETTLE }, .runs = &kill, .n = 1 };

	fx_items(fx, "a", 5, "world");
	for (uint64_t i = 1; i <= 5; i++)
		if (i != 3)
			fx_ack(fx, sub, i);
	assert_int_equal(fx_entries(fx, T_RECEIPTS), 1);
	assert_int_equal(fx_batch(fx, &settle.req), 0);
	assert_int_equal(fx_entries(fx, T_RECEIPTS), 3);
	assert_receipts(fx, sub, "1A 2A 3A! 4A 5A");
}

static size_t longest(struct fx *fx)
{
	size_t most = 0;
	struct cur cur;
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_READ);
	cur_open(&cur, &txn, T_RECEIPTS);
	for (bool more = cur_first(&cur); more; more = cur_next(&cur))
		most = cur.value.n > most ? cur.value.n : most;
	cur_close(&cur);
	txn_abort(&txn);
	return most;
}

/* answers that come in any order, in windows as large as links have them, give the same receipts in
 * few rows */
static void receipts_in_any_order(void **state)
{
	struct fx *fx = *state;
	static uint64_t order[3000];
	struct receipt_entry entry;
	uint64_t seed = 7;
	struct txn txn;
	char *words = malloc(WORDS), *want = malloc(WORDS);
	size_t n = 0;

	for (unsigned i = 0; i < 3000; i++)
		order[i] = i + 1;
	for (unsigned i = 2999; i > 0; i--) {
		uint64_t j, t;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		j = i - (seed >> 33) % (i % 1000 + 1);
		t = order[i];
		order[i] = order[j];
		order[j] = t;
	}
	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	for (unsigned i = 0; i < 3000; i++) {
		entry = (struct receipt_entry){ .position = order[i],
						.at_ms = START + (int64_t)(order[i] * 37 % 1000),
						.how = order[i] % 4,
						.kill = order[i] % 500 == 0 };
		receipts_add(fx->items, &txn, 9, &entry, 1);
	}
	assert_int_equal(txn_end(&txn), 0);
	for (unsigned i = 1; i <= 3000; i++)
		n += (size_t)sprintf(want + n, "%u%c%s ", i, "ANSK"[i % 4],
				     i % 500 == 0 ? "!" : "");
	want[n - 1] = '\0';
	assert_string_equal(fx_receipts(fx, 9, words, WORDS), want);
	assert_in_range(fx_entries(fx, T_RECEIPTS), 8, 120);
	assert_in_range(longest(fx), 100, RECEIPT_ROW_MAX);
	free(words);
	free(want);
}

static void times_come_back(void **state)
{
	static const int64_t times[] = { START, 0, -5, INT64_C(1) << 60, START + 1, START };
	struct receipt_entry entry, got;
	struct fx *fx = *state;
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	for (unsigned i = 0; i < 6; i++) {
		entry = (struct receipt_entry){ .position = (uint64_t)i * 1000000000 + 1,
						.at_ms = times[i] };
		receipts_add(fx->items, &txn, 9, &entry, 1);
		assert_true(receipts_last_acked(&txn, 9, false, &got));
		assert_true(got.at_ms == times[i] && got.position == entry.position);
	}
	txn_abort(&txn);
}

static void later_is_a_row_of_its_own(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "a", 5, "world");
	assert_int_equal(fx_later(fx, sub, 3, fx->wall_ms + 1000), 1);
	assert_rows(fx, sub, "1-2g1 3-3g1a1 4-g1");
	assert_int_equal(fx_later(fx, sub, 3, fx->wall_ms + 2000), 2);
	assert_rows(fx, sub, "1-2g1 3-3g1a2 4-g1");
	fx_settle_as(fx, sub, SETTLE_ACKED, 3, 3);
	assert_int_equal(fx_later(fx, sub, 3, fx->wall_ms + 2000), 0); /* settled meanwhile */
	assert_rows(fx, sub, "1-2g1 4-g1");
	assert_receipts(fx, sub, "3A");
}

static void owed_again_what_was_acked_above(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "a", 8, "world");
	for (uint64_t i = 1; i <= 7; i++)
		fx_settle_as(fx, sub, i == 5 ? SETTLE_NEVER : SETTLE_ACKED, i, i);
	assert_int_equal(fx_claim(fx, sub).acked_last, 7);
	assert_int_equal(fx_owe_again(fx, sub, 2), 4);
	assert_rows(fx, sub, "3-4g1 6-g1");
	assert_receipts(fx, sub, "1A 2A 3R 4R 5N 6R 7R");
	assert_int_equal(fx_claim(fx, sub).acked_last, 2);
	assert_int_equal(fx_owe_again(fx, sub, 2), 0);
	fx_ack(fx, sub, 4);
	assert_receipts(fx, sub, "1A 2A 3R 4A 5N 6R 7R");
	assert_rows(fx, sub, "3-3g1 6-g1");
}

static void possession_is_the_partners(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);
	struct store_part part = { .number = 77, .size = 5, .name = slice_str("p.jpg") };
	struct settle_run run = { .subscription = sub,
				  .how = SETTLE_ACKED,
				  .first = 1,
				  .last = 1,
				  .at_ms = START,
				  .parts_n = 1 };
	struct store_settle settle = { .req = { .kind = REQ_SETTLE }, .runs = &run, .n = 1 };
	struct given given = fx_put(fx, .uri = "urn:p", .parts = &part, .parts_n = 1, .partner = 2);
	struct txn txn;

	assert_int_equal(given.code, 0);
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_false(items_had(&txn, 77, 1));
	txn_abort(&txn);
	run.sequence = given.sequence;
	assert_int_equal(fx_batch(fx, &settle.req), 0);
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_true(items_had(&txn, 77, 1));
	assert_false(items_had(&txn, 77, 3));
	txn_abort(&txn);
}

/* as if so many stood there */
static void rows_are(struct fx *fx, uint32_t sub, uint32_t rows)
{
	struct owed_state counters = { .rows = rows };
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	owed_state_put(&txn, sub, &counters);
	assert_int_equal(txn_end(&txn), 0);
}

/* rows have a ceiling: what was refused later goes, the oldest first */
static void too_many_rows_give_up_the_oldest_retry(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "a", 9, "world");
	rows_are(fx, sub, OWED_ROWS_MAX - 2);
	fx_later(fx, sub, 2, fx->wall_ms + 1000);
	assert_null(fx_told(fx, STORE_EXPIRED));
	fx_later(fx, sub, 6, fx->wall_ms + 1000);
	assert_non_null(fx_told(fx, STORE_EXPIRED));
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->code, NX_EEXPIREDDEBT);
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->items, 1);
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->first, 6);
	assert_rows(fx, sub, "1-1g1 3-5g1 7-g1");
	assert_receipts(fx, sub, "2X 6X");
	assert_int_equal(fx_claim(fx, sub).expired, 2);
}

/* a withdrawal is the last to go, and of two the older one */
static void too_many_rows_give_up_kills_last(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_put(fx, .uri = "urn:k", .status = STATUS_CANCELED);
	fx_put(fx, .uri = "urn:l", .status = STATUS_CANCELED);
	fx_items(fx, "a", 2, "world");
	for (uint64_t position = 1; position <= 3; position++)
		fx_later(fx, sub, position, fx->wall_ms + 1000);
	rows_are(fx, sub, OWED_ROWS_MAX);
	fx_later(fx, sub, 4, fx->wall_ms + 1000);
	assert_receipts(fx, sub, "3X");
	assert_rows(fx, sub, "1-1g1a1 2-2g1a1 4-4g1a1 5-g1");
	fx_ack(fx, sub, 4);
	rows_are(fx, sub, OWED_ROWS_MAX + 1);
	fx_later(fx, sub, 2, fx->wall_ms + 1000);
	assert_receipts(fx, sub, "1X! 3X 4A");
	assert_rows(fx, sub, "2-2g1a2 5-g1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
		T(in_order_the_tail_moves),
		T(out_of_order_splits_and_closes),
		T(second_answer_changes_nothing),
		T(an_ack_after_expiry_is_the_truth),
		T(skipped_leaves_no_receipt),
		T(positions_not_given_yet_stay_owed),
		T(runs_of_many_in_one_request),
		T(kills_have_rows_of_their_own),
		T(receipts_in_any_order),
		T(times_come_back),
		T(later_is_a_row_of_its_own),
		T(owed_again_what_was_acked_above),
		T(possession_is_the_partners),
		T(too_many_rows_give_up_the_oldest_retry),
		T(too_many_rows_give_up_kills_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
