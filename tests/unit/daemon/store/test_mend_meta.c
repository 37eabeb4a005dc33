/* rows of meta that were damaged: whatever bit it is, the store opens and is what it was */
#include "debts_fixture.h"
#include "flip_fixture.h"
#include "store/items_meta.h"
#include "store/put.h"
#include "store/subs.h"

#define HOUR      (INT64_C(3600) * 1000)
#define ROUTINE   "2!killed 4 6 9 10 11"
#define PUBLISHER 1
#define HOLDER    2

/* ---- a store with every kind of row */

struct was {
	struct meta_facts facts;
	uint64_t held;
	uint32_t sub;
};

static void merge_whole(struct fx *fx)
{
	fx->items->fresh.asked = true;
	while (items_merge(fx->items) > 0)
		;
}

/* as if it had been restored once */
static void restored(struct fx *fx)
{
	uint8_t octets[16];
	struct txn txn;

	pack_u64(pack_u64(octets, 77), 5);
	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	txn_put(&txn, T_META, slice_str("restored"), slice_of(octets, 16));
	txn_del(&txn, T_META, slice_str(META_COPY));
	assert_int_equal(txn_end(&txn), 0);
	fx_reopen(fx);
}

static uint64_t held_now(struct fx *fx)
{
	uint64_t octets;
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_READ);
	octets = held_octets(&txn, HOLDER);
	assert_int_equal(txn_end(&txn), 0);
	return octets;
}

static struct was build(struct fx *fx)
{
	struct was was = { .sub = fx_sub(fx, "world", true) };

	fx_items(fx, "a", 6, "world");
	assert_int_equal(fx_put(fx, .uri = "urn:a2", .status = STATUS_CANCELED).position, 7);
	assert_int_equal(
		fx_put(fx, .uri = "urn:h", .embargo_ms = START + 9 * HOUR, .partner = HOLDER).code,
		0);
	fx_ack(fx, was.sub, 1);
	fx_ack(fx, was.sub, 3);
	fx_ack(fx, was.sub, 5);
	fx_put(fx, .uri = "urn:flash", .urgency = 1);
	merge_whole(fx);
	fx_items(fx, "b", 3, "world");
	restored(fx);
	fx_maintain(fx); /* the time of the clock */
	was.facts = items_meta_facts(fx->items);
	was.held = held_now(fx);
	assert_true(was.held > 0 && was.facts.wall_ms != TIME_NONE);
	assert_true(was.facts.restored_epoch == 77 && was.facts.epoch != 77);
	return was;
}

static unsigned told(const struct fx *fx)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fx->events_n; i++)
		n += fx->events[i].kind == STORE_CORRUPT;
	return n;
}

static void assert_told(const struct fx *fx, unsigned n, const char *key, const char *words)
{
	const struct store_event *event = fx_told(fx, STORE_CORRUPT);

	assert_int_equal(told(fx), n);
	assert_string_equal(event->table, "meta");
	assert_string_equal(event->key, key);
	if (strstr(event->why.words, words) == NULL)
		fail_msg("said: %s", event->why.words);
}

/* what was acknowledged is there, owed and known; what comes now is new */
static void assert_works(struct fx *fx, const struct was *was)
{
	struct fx_def def = fx_def_one("world", true);
	const struct items_count *count = &was->facts.count;
	struct given given;

	assert_int_equal(fx_define(fx, &def), 0);
	assert_int_equal(def.subs[0].number, was->sub);
	assert_fetch(fx, was->sub, LANE_ROUTINE, ROUTINE);
	assert_fetch(fx, was->sub, LANE_FLASH, "7 8");
	assert_true(fx->items->count.held == 1 && held_now(fx) == was->held);
	assert_int_equal(fx_put(fx, .uri = "urn:a1").result, RESULT_DUPLICATE);
	assert_int_equal(fx_put(fx, .uri = "urn:b3").result, RESULT_DUPLICATE);
	assert_int_equal(fx_put(fx, .uri = "urn:a2", .version = "2").code, NX_EKILLED);
	given = fx_put(fx, .uri = "urn:new");
	assert_int_equal(given.code, 0);
	assert_true(given.sequence > count->sequence_last);
	assert_int_equal(given.position, count->position_last + 1);
	assert_fetch(fx, was->sub, LANE_ROUTINE, ROUTINE " 12");
	fx_reopen(fx);
}

/* ---- each bit, in the file */

/* what --verify-store says */
static unsigned faults_of(const struct fx *fx)
{
	struct db *db = open_alone(fx->dir, "items", items_tables, ITEMS_TABLES);
	struct meta_look look;
	unsigned n;
	struct txn txn;

	txn_begin(&txn, db, TXN_READ);
	assert_int_equal(meta_look(&txn, NULL, "", &look, NULL), 0);
	n = look.faults_n;
	meta_look_done(&look);
	txn_abort(&txn);
	db_close(&db);
	return n;
}

static void one_bit(struct fx *fx, const struct was *was, const struct row_place *row, size_t at)
{
	struct meta_facts now;

	if (faults_of(fx) == 0)
		fail_msg("%s, octet %zu: not found", row->name, at);
	fx->events_n = 0;
	if (fx_open(fx) < 0)
		fail_msg("%s, octet %zu: does not open", row->name, at);
	if (told(fx) != 1)
		fail_msg("%s, octet %zu: told %u times", row->name, at, told(fx));
	now = items_meta_facts(fx->items);
	if (!meta_copy_is(&now, &was->facts))
		fail_msg("%s, octet %zu: another store", row->name, at);
	fx->events_n = 0;
	assert_works(fx, was);
	assert_int_equal(told(fx), 0);
	items_close(&fx->items);
}

static void each_bit_of_each_row(void **state)
{
	struct fx *fx = *state;
	struct was was = build(fx);
	struct image image;
	struct row_place rows[16];
	struct db *db;
	unsigned n;

	items_close(&fx->items);
	db = open_alone(fx->dir, "items", items_tables, ITEMS_TABLES);
	n = row_places(db, T_META, rows, 16);
	db_close(&db);
	assert_int_equal(n, 10); /* held:2 and kills:1 too */
	assert_int_equal(faults_of(fx), 0);
	image_take(&image, fx->dir, "items");
	for (unsigned i = 0; i < n; i++) {
		for (size_t at = 0; at < rows[i].n; at++)
			for (unsigned bit = 0; bit < 8; bit++) {
				image_flip(&image, rows[i].at + (off_t)at, bit);
				one_bit(fx, &was, &rows[i], at);
				image_back(&image);
			}
		/* its length: u16 in the head of its node */
		for (unsigned bit = 0; bit < 16; bit++) {
			image_flip(&image, rows[i].at - 8 + bit / 8, bit % 8);
			fx->events_n = 0;
			assert_int_equal(fx_open(fx), 0);
			assert_works(fx, &was);
			items_close(&fx->items);
			image_back(&image);
		}
	}
	image_done(&image);
	assert_int_equal(fx_open(fx), 0);
}

/* ---- two at once, and what older ones left */

static void put_row(struct fx *fx, const char *name, const void *octets, size_t n)
{
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	if (octets == NULL)
		txn_del(&txn, T_META, slice_str(name));
	else
		txn_put(&txn, T_META, slice_str(name), slice_of(octets, n));
	assert_int_equal(txn_end(&txn), 0);
}

static void reopen(struct fx *fx)
{
	fx->events_n = 0;
	fx_reopen(fx);
}

static void counters_without_a_copy(void **state)
{
	struct fx *fx = *state;
	struct was was = build(fx);

	put_row(fx, META_COPY, NULL, 0);
	put_row(fx, "counters", "?", 1);
	reopen(fx);
	assert_told(fx, 1, "counters", "have no copy");
	assert_true(fx->items->epoch != was.facts.epoch);
	assert_true(fx->items->restored_epoch == was.facts.epoch);
	assert_true(fx->items->restored_sequence == was.facts.count.sequence_last);
	assert_true(fx->items->count.sequence_last > was.facts.count.sequence_last + 1000000);
	assert_int_equal(fx->items->count.total_items, was.facts.count.total_items);
	assert_int_equal(fx->items->count.total_octets, was.facts.count.total_octets);
	assert_works(fx, &was);
}

/* nothing but receipts and what is known tells how far it went */
static void counters_of_an_empty_store(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "world", true);
	struct given given;

	fx_items(fx, "a", 6, "world");
	merge_whole(fx);
	fx_settle_as(fx, sub, SETTLE_ACKED, 1, 6);
	fx_advance(fx, 8 * DAY);
	items_clock_ok(fx->items, fx->boot_ms, fx->wall_ms);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 0);
	put_row(fx, META_COPY, NULL, 0);
	put_row(fx, "counters", NULL, 0);
	reopen(fx);
	assert_told(fx, 1, "counters", "positions from 6");
	given = fx_put(fx, .uri = "urn:new");
	assert_true(given.sequence > 6 && given.position == 7);
	assert_fetch(fx, sub, LANE_ROUTINE, "7");
}

static void an_epoch_without_a_copy(void **state)
{
	struct fx *fx = *state;
	struct was was = build(fx);

	put_row(fx, META_COPY, "?", 1);
	put_row(fx, "epoch", "?", 1);
	reopen(fx);
	assert_int_equal(told(fx), 2);
	assert_told(fx, 2, "epoch", "a new one, as after a restore");
	assert_true(fx->items->epoch != 0 && fx->items->epoch != was.facts.epoch);
	assert_true(fx->items->restored_epoch == 0);
	assert_true(fx->items->count.sequence_last == was.facts.count.sequence_last);
	assert_works(fx, &was);
}

static void a_format_that_nobody_tells(void **state)
{
	struct fx *fx = *state;
	struct why why = { 0 };

	put_row(fx, META_COPY, NULL, 0);
	put_row(fx, "format", "?", 1);
	items_close(&fx->items);
	assert_int_equal(items_open(&fx->conf, &fx->items, &why), NX_ECORRUPT);
	assert_non_null(strstr(why.words, "no format row"));
}

/* a clock that is earlier is suspect all the same */
static void a_time_without_a_copy(void **state)
{
	struct fx *fx = *state;

	build(fx);
	put_row(fx, META_COPY, NULL, 0);
	put_row(fx, "wall", "?", 1);
	reopen(fx);
	assert_told(fx, 1, "wall", "the last item's");
	assert_true(fx->items->wall_stored_ms == START);
	fx->wall_ms -= HOUR;
	fx_maintain(fx);
	assert_int_equal(fx_told(fx, STORE_CLOCK)->code, NX_ECLOCK);
}

/* rows as they were written before there were checksums and a copy */
static void make_old(struct fx *fx)
{
	static const struct {
		const char *name;
		size_t n;
	} rows[] = { { "counters", 41 }, { "fresh", 16 }, { "held:2", 17 }, { "kills:1", 9 } };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice value;
		uint8_t octets[64];
		struct txn txn;

		txn_begin(&txn, items_db(fx->items), TXN_READ);
		assert_true(txn_get(&txn, T_META, slice_str(rows[i].name), &value));
		assert_int_equal(value.n, rows[i].n + META_SUM);
		memcpy(octets, value.p, value.n);
		txn_abort(&txn);
		put_row(fx, rows[i].name, octets, rows[i].n);
	}
	put_row(fx, META_COPY, NULL, 0);
}

static void an_old_store_gets_a_copy_in_silence(void **state)
{
	struct fx *fx = *state;
	struct was was = build(fx);
	uint8_t damaged[41] = { 1, 3 };

	make_old(fx);
	reopen(fx);
	assert_int_equal(told(fx), 0);
	assert_works(fx, &was);
	put_row(fx, META_COPY, NULL, 0);
	put_row(fx, "counters", damaged, sizeof(damaged)); /* less than stands there */
	reopen(fx);
	assert_told(fx, 1, "counters", "under a new epoch");
	assert_int_equal(fx_put(fx, .uri = "urn:new").result, RESULT_DUPLICATE);
}

/* it went on with a store of ours: the copy is not of the last moment */
static void an_older_newsxd_was_here(void **state)
{
	struct fx *fx = *state;
	struct was was = build(fx);
	struct items_count count = was.facts.count;
	uint8_t octets[41] = { 1 }, *p = octets + 1;

	p = pack_u64(p, count.sequence_last + 3);
	p = pack_u64(p, count.position_last);
	p = pack_u64(p, count.total_items);
	p = pack_u64(p, count.total_octets);
	pack_u64(p, count.held);
	put_row(fx, "counters", octets, sizeof(octets));
	pack_u64(octets, (uint64_t)was.facts.wall_ms + 3);
	put_row(fx, "wall", octets, 8);
	reopen(fx);
	assert_int_equal(told(fx), 0);
	assert_true(fx->items->wall_stored_ms == was.facts.wall_ms + 3);
	assert_int_equal(fx_put(fx, .uri = "urn:new").sequence, count.sequence_last + 4);
}

/* the copy in it is of the store that the backup was made of */
static void an_older_newsxd_restored_it(void **state)
{
	struct fx *fx = *state;
	struct was was = build(fx);
	uint8_t octets[16];

	pack_u64(octets, was.facts.epoch ^ 0x55555);
	put_row(fx, "epoch", octets, 8);
	pack_u64(pack_u64(octets, was.facts.epoch), was.facts.count.sequence_last);
	put_row(fx, "restored", octets, 16);
	reopen(fx);
	assert_int_equal(told(fx), 0);
	assert_true(fx->items->epoch == (was.facts.epoch ^ 0x55555));
	assert_true(fx->items->restored_epoch == was.facts.epoch);
	assert_works(fx, &was);
}

static void rows_that_are_not_ours_stay(void **state)
{
	struct fx *fx = *state;
	struct slice value;
	struct txn txn;

	put_row(fx, "of-a-later-one", "x", 1);
	put_row(fx, "epoch", "?", 1);
	reopen(fx);
	assert_told(fx, 1, "epoch", "as its copy says");
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_true(txn_get(&txn, T_META, slice_str("of-a-later-one"), &value));
	txn_abort(&txn);
}

/* ---- stories that came lately: at each step of a merge */

static void a_merge_whose_marks_are_damaged(void **state)
{
	for (unsigned steps = 0; steps < 12; steps++) {
		struct fx *fx;
		int r = 1;

		assert_int_equal(fx_setup(state), 0);
		fx = *state;
		items_close(&fx->items);
		fx->conf.fresh_most = 32;
		assert_int_equal(fx_open(fx), 0);
		fx_items(fx, "a", 16, "world");
		for (unsigned i = 0; i < steps && r > 0; i++)
			r = items_merge(fx->items);
		fx_items(fx, "b", 2, "world");
		/* what came of them since is in one table or the other, or both */
		assert_int_equal(fx_put(fx, .uri = "urn:a1", .version = "2").code, 0);
		assert_int_equal(fx_put(fx, .uri = "urn:a9", .status = STATUS_CANCELED).code, 0);
		put_row(fx, "fresh", "?", 1);
		reopen(fx);
		assert_told(fx, 1, "fresh", "found again");
		for (unsigned turn = 0; turn < 2; turn++) {
			assert_int_equal(fx_put(fx, .uri = "urn:a1", .version = "1").result,
					 RESULT_DUPLICATE);
			assert_string_equal(fx_story(fx, "urn:a1").version, "2");
			assert_int_equal(fx_put(fx, .uri = "urn:a9", .version = "2").code,
					 NX_EKILLED);
			assert_int_equal(fx_put(fx, .uri = "urn:a16").result, RESULT_DUPLICATE);
			assert_int_equal(fx_put(fx, .uri = "urn:b2").result, RESULT_DUPLICATE);
			merge_whole(fx);
			assert_int_equal(fx_entries(fx, T_FRESH), 0);
		}
		fx_teardown(state);
	}
}

/* ---- while it runs */

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

static void counters_that_a_reader_meets(void **state)
{
	struct fx *fx = *state;
	struct was was = build(fx);

	put_row(fx, "counters", "?", 1);
	assert_int_equal(fetch_code(fx, was.sub), NX_ECORRUPT); /* and not: nothing more */
	fx->events_n = 0;
	fx_maintain(fx);
	assert_told(fx, 1, "counters", "as before");
	assert_works(fx, &was);
}

static void a_sum_that_the_writer_meets(void **state)
{
	struct fx *fx = *state;
	struct was was = build(fx);

	put_row(fx, "held:2", "?", 1);
	fx->events_n = 0;
	assert_int_equal(
		fx_put(fx, .uri = "urn:h2", .embargo_ms = START + 9 * HOUR, .partner = HOLDER).code,
		0);
	assert_told(fx, 1, "held:2", "counted anew");
	assert_true(held_now(fx) > was.held);
	assert_int_equal(fx->items->count.held, 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
	const struct CMUnitTest tests[] = {
		T(each_bit_of_each_row),
		T(counters_without_a_copy),
		T(counters_of_an_empty_store),
		T(an_epoch_without_a_copy),
		T(a_format_that_nobody_tells),
		T(a_time_without_a_copy),
		T(an_old_store_gets_a_copy_in_silence),
		T(an_older_newsxd_was_here),
		T(an_older_newsxd_restored_it),
		T(rows_that_are_not_ours_stay),
		cmocka_unit_test(a_merge_whose_marks_are_damaged),
		T(counters_that_a_reader_meets),
		T(a_sum_that_the_writer_meets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
