/* one octet string cut into rows and joined again, and what happens to it when a bit flips */
#include "items_fixture.h"

struct whole { /* a record with everything in it */
	struct record record;
	uint8_t *envelope, *document;
	struct store_part parts[3];
};

static void fill(uint8_t *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(seed = seed * 1103515245u + 12345u, seed >> 16);
}

static void whole_make(struct whole *w, uint64_t sequence, size_t envelope_n, size_t document_n)
{
	memset(w, 0, sizeof(*w));
	w->envelope = malloc(envelope_n + 1);
	w->document = malloc(document_n + 1);
	assert_non_null(w->envelope);
	assert_non_null(w->document);
	fill(w->envelope, envelope_n, (unsigned)sequence);
	fill(w->document, document_n, (unsigned)sequence + 7);
	for (unsigned i = 0; i < 3; i++) {
		w->parts[i] = (struct store_part){ .number = 100 + i, .size = UINT64_C(1) << 33 };
		fill(w->parts[i].sha256, 32, i);
	}
	w->parts[0].name = slice_str("photo.jpg");
	w->parts[1].name = slice_str("");
	w->parts[2].name = slice_str("ພາບ.jpg");
	w->record = (struct record){
		.state = ITEM_HELD,
		.lane = LANE_FLASH,
		.partner = 4000000000u,
		.sequence = sequence,
		.position = 12,
		.stored_ms = START,
		.received_ms = START - 5,
		.released_ms = -3,
		.held_until_ms = INT64_MAX,
		.octets = UINT64_C(1) << 40,
		.kill = true,
		.envelope_n = (uint32_t)envelope_n,
		.document_n = (uint32_t)document_n,
		.parts_n = 3,
		.parts = w->parts,
		.facts = { .origin = slice_str("kpl"),
			   .uri = slice_str("urn:1"),
			   .version = slice_str("1"),
			   .channel = slice_str("world"),
			   .headline = slice_str("ຂ່າວ"),
			   .urgency = 3,
			   .version_created_ms = 77,
			   .embargo_ms = TIME_NONE },
	};
	fill(w->record.content, 32, 1);
	fill(w->record.story, 32, 2);
	fill(w->record.identity, 32, 3);
}

static void whole_done(struct whole *w)
{
	free(w->envelope);
	free(w->document);
}

static void write_it(struct fx *fx, const struct whole *w)
{
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	record_write(&txn, &w->record, slice_of(w->envelope, w->record.envelope_n),
		     slice_of(w->document, w->record.document_n));
	assert_int_equal(txn_end(&txn), 0);
}

static void assert_same(const struct record *a, const struct whole *w, const uint8_t *octets)
{
	const struct record *b = &w->record;

	assert_true(a->sequence == b->sequence && a->position == b->position);
	assert_true(a->state == b->state && a->lane == b->lane && a->partner == b->partner);
	assert_true(a->stored_ms == b->stored_ms && a->received_ms == b->received_ms);
	assert_true(a->released_ms == b->released_ms && a->held_until_ms == b->held_until_ms);
	assert_true(a->octets == b->octets && a->kill == b->kill);
	assert_memory_equal(a->content, b->content, 32);
	assert_memory_equal(a->story, b->story, 32);
	assert_memory_equal(a->identity, b->identity, 32);
	assert_true(slice_is(a->facts.headline, "ຂ່າວ"));
	assert_true(a->facts.urgency == 3 && a->facts.version_created_ms == 77);
	assert_int_equal(a->parts_n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(a->parts[i].number == 100 + i);
		assert_true(a->parts[i].size == UINT64_C(1) << 33);
		assert_memory_equal(a->parts[i].sha256, b->parts[i].sha256, 32);
		assert_true(slice_eq(a->parts[i].name, b->parts[i].name));
	}
	if (octets == NULL)
		return;
	assert_memory_equal(octets, w->envelope, b->envelope_n);
	assert_memory_equal(octets + b->envelope_n, w->document, b->document_n);
}

/* around each edge of a row, and the largest that may come */
static void every_length_comes_back(void **state)
{
	static const size_t sizes[] = { 0,    1,    3000, 3500, 3550,       3600,
					3650, 3700, 3750, 4076, 2 * 4076,   7700,
					7800, 7851, 7852, 7853, 1000 * 1024 };
	struct fx *fx = *state;

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *octets = NULL;
		struct record back;
		struct whole w;
		struct txn txn;

		whole_make(&w, i + 1, 100, sizes[i]);
		write_it(fx, &w);
		txn_begin(&txn, items_db(fx->items), TXN_READ);
		assert_int_equal(record_read(&txn, i + 1, &back, &octets), 0);
		assert_same(&back, &w, octets);
		record_done(&back);
		free(octets);
		assert_int_equal(record_read(&txn, i + 1, &back, NULL), 0);
		assert_same(&back, &w, NULL);
		record_done(&back);
		assert_int_equal(record_read(&txn, i + 1000, &back, &octets), NX_ENOENT);
		txn_end(&txn);
		whole_done(&w);
	}
}

static void the_state_changes_and_nothing_else(void **state)
{
	struct fx *fx = *state;
	uint8_t *octets = NULL;
	struct record back;
	struct whole w;
	struct txn txn;

	whole_make(&w, 1, 10, 9000);
	write_it(fx, &w);
	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	record_state(&txn, 1, ITEM_RELEASED, 99, START + 5);
	record_state(&txn, 2, ITEM_RELEASED, 99, START + 5); /* is not there */
	assert_int_equal(txn_end(&txn), 0);
	w.record.state = ITEM_RELEASED;
	w.record.position = 99;
	w.record.released_ms = START + 5;
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_int_equal(record_read(&txn, 1, &back, &octets), 0);
	assert_same(&back, &w, octets);
	txn_end(&txn);
	record_done(&back);
	free(octets);
	whole_done(&w);
}

static void removing_takes_its_rows_alone(void **state)
{
	struct fx *fx = *state;
	struct record back;
	struct txn txn;

	for (uint64_t i = 1; i <= 3; i++) {
		struct whole w;

		whole_make(&w, i, 10, 9000);
		write_it(fx, &w);
		whole_done(&w);
	}
	assert_int_equal(fx_entries(fx, T_BODIES), 6);
	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	assert_int_equal(record_remove(&txn, 2), 3);
	assert_int_equal(record_remove(&txn, 2), 0);
	assert_int_equal(txn_end(&txn), 0);
	assert_int_equal(fx_entries(fx, T_BODIES), 4);
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_int_equal(record_read(&txn, 2, &back, NULL), NX_ENOENT);
	for (uint64_t i = 1; i <= 3; i += 2) {
		uint8_t *octets;

		assert_int_equal(record_read(&txn, i, &back, &octets), 0);
		record_done(&back);
		free(octets);
	}
	txn_end(&txn);
}

static void replace(struct fx *fx, enum items_table table, uint64_t key, size_t at, uint8_t mask)
{
	uint8_t copy[DB_VALUE_MAX];
	struct slice value;
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	assert_true(txn_get(&txn, table, key_u64(&key), &value));
	memcpy(copy, value.p, value.n);
	copy[at < value.n ? at : value.n - 1] ^= mask;
	txn_put(&txn, table, key_u64(&key), slice_of(copy, value.n));
	assert_int_equal(txn_end(&txn), 0);
}

static int read_code(struct fx *fx, uint64_t sequence)
{
	uint8_t *octets = NULL;
	struct record back;
	struct txn txn;
	int r;

	txn_begin(&txn, items_db(fx->items), TXN_READ);
	r = record_read(&txn, sequence, &back, &octets);
	txn_end(&txn);
	if (r == 0)
		record_done(&back);
	free(octets);
	return r;
}

static void a_flipped_bit_is_found(void **state)
{
	static const size_t places[] = { 0, 1, 8, 56, 171, 172, 600, 4075, 4076, 4079 };
	struct fx *fx = *state;
	uint64_t chunk = (UINT64_C(1) << 10) + 2;
	struct whole w;

	whole_make(&w, 1, 10, 9000);
	write_it(fx, &w);
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		replace(fx, T_ITEMS, 1, places[i], 1);
		assert_int_equal(read_code(fx, 1), NX_ECORRUPT);
		replace(fx, T_ITEMS, 1, places[i], 1);
		replace(fx, T_BODIES, chunk, places[i], 128);
		assert_int_equal(read_code(fx, 1), NX_ECORRUPT);
		replace(fx, T_BODIES, chunk, places[i], 128);
		assert_int_equal(read_code(fx, 1), 0);
	}
	whole_done(&w);
}

static void a_row_at_the_wrong_place_or_gone_is_found(void **state)
{
	struct fx *fx = *state;
	uint64_t a = (UINT64_C(1) << 10) + 1, b = a + 1;
	uint8_t copy[DB_VALUE_MAX];
	struct slice value;
	struct txn txn;
	struct whole w;
	size_t n;

	whole_make(&w, 1, 10, 12500);
	write_it(fx, &w);
	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	assert_true(txn_get(&txn, T_BODIES, key_u64(&a), &value));
	n = value.n;
	memcpy(copy, value.p, n);
	txn_put(&txn, T_BODIES, key_u64(&b), slice_of(copy, n));
	assert_int_equal(txn_end(&txn), 0);
	assert_int_equal(read_code(fx, 1), NX_ECORRUPT);
	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	txn_del(&txn, T_BODIES, key_u64(&b));
	assert_int_equal(txn_end(&txn), 0);
	assert_int_equal(read_code(fx, 1), NX_ECORRUPT);
	whole_done(&w);
}

/* the estimate for the marks is never below what a put takes */
static void the_worst_case_is_worse(void **state)
{
	struct fx *fx = *state;

	for (size_t n = 0; n < 100000; n = n * 3 + 500) {
		struct db_usage before, after;
		struct whole w;

		whole_make(&w, n + 1, 100, n);
		assert_int_equal(db_usage(items_db(fx->items), &before), 0);
		write_it(fx, &w);
		assert_int_equal(db_usage(items_db(fx->items), &after), 0);
		assert_true(after.pages_end - after.pages_free <=
			    before.pages_end - before.pages_free + record_pages(500, 100, n));
		whole_done(&w);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
	const struct CMUnitTest tests[] = {
		T(every_length_comes_back),
		T(the_state_changes_and_nothing_else),
		T(removing_takes_its_rows_alone),
		T(a_flipped_bit_is_found),
		T(a_row_at_the_wrong_place_or_gone_is_found),
		T(the_worst_case_is_worse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
