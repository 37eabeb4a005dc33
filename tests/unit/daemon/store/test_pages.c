/* how many pages a request really dirties at its worst, against what is set aside for it */
#include "debts_fixture.h"
#include "store/subs.h"

/*
 * While a reader stands at a moment nothing that is freed after it is used again: every page that
 * is written comes from behind the end of the file, and can be counted. What was free when it came
 * is counted as if it had been used.
 */
struct counted {
	struct fx *fx;
	struct txn reader;
	uint64_t free; /* when it came */
};

static uint64_t end_of(struct fx *fx)
{
	struct db_usage usage;

	assert_int_equal(db_usage(items_db(fx->items), &usage), 0);
	return usage.pages_end;
}

static void count_from(struct counted *counted, struct fx *fx)
{
	struct db_usage usage;

	counted->fx = fx;
	assert_int_equal(db_usage(items_db(fx->items), &usage), 0);
	counted->free = usage.pages_free;
	txn_begin(&counted->reader, items_db(fx->items), TXN_READ);
}

/* least: else this is no worst case */
static void assert_covered(struct counted *counted, struct store_req *req, uint64_t least)
{
	uint64_t before = end_of(counted->fx), dirty, worst = items_worst_pages(req) + BATCH_PAGES;

	assert_int_equal(fx_batch(counted->fx, req), 0);
	txn_end(&counted->reader);
	dirty = end_of(counted->fx) - before;
	print_message("%llu pages, %llu are set aside\n", (unsigned long long)dirty,
		      (unsigned long long)worst);
	assert_true(dirty >= least);
	assert_true(dirty + counted->free <= worst);
}

/* positions 1 to n, of items that need not be there */
static void feed(struct fx *fx, unsigned n)
{
	struct txn txn;

	items_begin(fx->items, &txn);
	for (unsigned i = 1; i <= n; i++)
		feed_append(fx->items, &txn,
			    &(struct record){ .sequence = i, .lane = LANE_ROUTINE, .octets = 1 });
	assert_int_equal(items_end(fx->items, &txn), 0);
}

/*
 * n rows refused later, from position 2 on, each `step` from the one before, and the tail. thin: so
 * that their leaves hold as few as LMDB lets them
 */
static void rows(struct fx *fx, uint32_t sub, unsigned n, unsigned step, bool thin)
{
	struct owed_row row = { .subscription = sub, .generation = 1, .attempts = 1 };
	struct owed_state state = { .rows = n + 1 };
	struct txn txn;

	items_begin(fx->items, &txn);
	owed_del(&txn, sub, 1);
	for (unsigned i = 0; i < n; i++) {
		for (unsigned more = 0; more < (thin ? 3 : 1); more++) {
			row.first = row.last = 2 + (uint64_t)i * step + more;
			owed_put(&txn, &row);
		}
	}
	for (unsigned i = 0; thin && i < n; i++) {
		owed_del(&txn, sub, 2 + (uint64_t)i * step + 1);
		owed_del(&txn, sub, 2 + (uint64_t)i * step + 2);
	}
	row = (struct owed_row){
		.subscription = sub,
		.generation = 1,
		.first = fx->items->count.position_last + 1,
		.last = UINT64_MAX,
	};
	owed_put(&txn, &row);
	owed_state_put(&txn, sub, &state);
	assert_int_equal(items_end(fx->items, &txn), 0);
}

/* n from `first` on, each `step` from the one before; each `acked`th of them, the others never */
static void receipts(struct fx *fx, uint32_t sub, unsigned n, uint64_t first, unsigned step,
		     unsigned acked, bool kill)
{
	struct txn txn;

	items_begin(fx->items, &txn);
	for (unsigned i = 0; i < n; i++) {
		struct receipt_entry entry = {
			.position = first + (uint64_t)i * step,
			.at_ms = START,
			.how = i % acked == 0 ? SETTLE_ACKED : SETTLE_NEVER,
			.kill = kill,
		};

		receipts_add(fx->items, &txn, sub, &entry, 1);
	}
	assert_int_equal(items_end(fx->items, &txn), 0);
}

/* one subscription, and four items for each row that it may have; counted from here */
static uint32_t long_feed(struct fx *fx, struct counted *counted)
{
	uint32_t sub = fx_sub(fx, "world", true);

	count_from(counted, fx);
	feed(fx, 4 * OWED_ROWS_MAX);
	return sub;
}

static struct store_owe_again again(uint32_t sub)
{
	return (struct store_owe_again){ .req = { .kind = REQ_OWE_AGAIN }, .subscription = sub };
}

/* a run that is acked between each two of nearly as many rows as there may be */
static void owed_again_between_rows(void **state)
{
	struct fx *fx = *state;
	struct counted counted;
	uint32_t sub = long_feed(fx, &counted);
	struct store_owe_again owe = again(sub);

	rows(fx, sub, OWED_ROWS_MAX - 2, 4, true);
	receipts(fx, sub, OWED_ROWS_MAX - 2, 3, 4, 1, false);
	assert_covered(&counted, &owe.req, 300);
	assert_int_equal(owe.items, OWED_ROWS_MAX - 2);
	assert_int_equal(fx_batch(fx, &owe.req), 0); /* it has more rows than it may */
	assert_int_equal(owe.items, 0);
}

/* every second one was refused for ever: a row for each */
static void owed_again_one_by_one(void **state)
{
	struct fx *fx = *state;
	struct counted counted;
	uint32_t sub = long_feed(fx, &counted);
	struct store_owe_again owe = again(sub);

	rows(fx, sub, 0, 1, false);
	receipts(fx, sub, 4 * OWED_ROWS_MAX, 1, 1, 2, false);
	assert_covered(&counted, &owe.req, 200);
	assert_int_equal(owe.items, OWED_ROWS_MAX - 1);
	assert_true(fx_claim(fx, sub).kills_only);
}

/* each acked kill has a row of receipts in a leaf of its own, and its debt among other rows */
static void owed_again_kills(void **state)
{
	struct fx *fx = *state;
	struct counted counted;
	uint32_t sub = long_feed(fx, &counted);
	struct store_owe_again owe = again(sub);

	rows(fx, sub, OWED_ROWS_MAX - 1000, 4, true);
	receipts(fx, sub, 2 * OWED_ROWS_MAX, 1, 2, 60, true);
	assert_covered(&counted, &owe.req, 400);
	assert_int_equal(owe.items, AGAIN_ROWS);
	assert_int_equal(fx_batch(fx, &owe.req), 0); /* the client claims again: the rest */
	assert_int_equal(owe.items, 2 * OWED_ROWS_MAX / 60 + 1 - AGAIN_ROWS);
}

/* so many have got the part that its rows fill leaves of their own */
static void had_rows(struct fx *fx, uint64_t part)
{
	struct txn txn;

	items_begin(fx->items, &txn);
	for (unsigned i = 0; i < 320; i++) {
		uint8_t key[16];

		pack_be64(pack_be64(key, part), 500 + i);
		txn_put(&txn, T_HAD, slice_of(key, sizeof(key)), (struct slice){ 0 });
	}
	assert_int_equal(items_end(fx->items, &txn), 0);
}

enum { PHOTO_ITEMS = 8, PHOTOS = 64 };

/* each photo was had by many before, and has its row in a leaf of its own */
static void settled_with_photos(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "world", true);
	struct store_part parts[PHOTOS];
	struct settle_run runs[PHOTO_ITEMS];
	struct store_settle settle = { .req = { .kind = REQ_SETTLE },
				       .runs = runs,
				       .n = PHOTO_ITEMS };
	struct counted counted;
	struct txn txn;
	char uri[16];

	count_from(&counted, fx);
	for (unsigned i = 0; i < PHOTO_ITEMS; i++) {
		for (unsigned p = 0; p < PHOTOS; p++) {
			parts[p] = (struct store_part){ .number = 1 + i * PHOTOS + p,
							.size = 5,
							.name = slice_str("p.jpg") };
			had_rows(fx, parts[p].number);
		}
		snprintf(uri, sizeof(uri), "urn:%u", i);
		runs[i] = (struct settle_run){ .subscription = sub,
					       .how = SETTLE_ACKED,
					       .first = i + 1,
					       .last = i + 1,
					       .at_ms = START,
					       .parts_n = PHOTOS };
		runs[i].sequence =
			fx_put(fx, .uri = uri, .parts = parts, .parts_n = PHOTOS, .partner = 2000)
				.sequence;
	}
	assert_covered(&counted, &settle.req, PHOTO_ITEMS * PHOTOS);
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_true(items_had(&txn, 1, 1));
	assert_true(items_had(&txn, PHOTO_ITEMS * PHOTOS, 1));
	txn_abort(&txn);
}

static void forgotten(void **state)
{
	struct fx *fx = *state;
	struct counted counted;
	uint32_t sub = long_feed(fx, &counted);
	struct fx_def none = { .partners = { { .name = "vna" } }, .partners_n = 1 };
	struct store_forget forget = { .req = { .kind = REQ_FORGET }, .name = "s" };
	char channels[3000];
	struct txn txn;

	memset(channels, 'c', sizeof(channels));
	rows(fx, sub, OWED_ROWS_MAX, 4, true);
	items_begin(fx->items, &txn);
	for (uint32_t i = 2; i < 300; i++)
		filter_put(&txn, sub, i, slice_of(channels, i * 10), slice_str(""));
	assert_int_equal(items_end(fx->items, &txn), 0);
	assert_int_equal(fx_define(fx, &none), 0);
	assert_covered(&counted, &forget.req, 0);
	assert_rows(fx, sub, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(owed_again_between_rows, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(owed_again_one_by_one, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(owed_again_kills, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(settled_with_photos, fx_setup, fx_teardown),
		cmocka_unit_test_setup_teardown(forgotten, fx_setup, fx_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
