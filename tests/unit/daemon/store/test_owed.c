/* rows of what is owed against a model that keeps one word for each position. A round number
 * replays it */
#include "debts_fixture.h"

#define POSITIONS 1200

struct word {
	bool owed, wanted_a, flash;
	uint32_t generation;
	unsigned attempts;
	int64_t not_before_ms;
	char receipt; /* of fx_receipt()'s letters; 0 = none */
};
struct model {
	struct fx *fx;
	uint32_t sub, generation;
	uint64_t last; /* the last position */
	struct word p[POSITIONS + 1];
	uint64_t seed;
	bool tail_a; /* the newest generation wants channel a, else b */
	bool wants_a[64];
};

static uint64_t below(struct model *m, uint64_t n)
{
	m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
	return (m->seed >> 33) % n;
}

static bool matches(const struct model *m, const struct word *word)
{
	return m->wants_a[word->generation] == word->wanted_a;
}

/* ---- steps */
static void put(struct model *m)
{
	struct word *word = &m->p[m->last + 1];
	bool a = below(m, 3) > 0, flash = below(m, 6) == 0;
	char uri[64];

	if (m->last == POSITIONS)
		return;
	snprintf(uri, sizeof(uri), "urn:%llu", (unsigned long long)m->last);
	assert_int_equal(
		fx_put(m->fx, .uri = uri, .channel = a ? "a" : "b", .urgency = flash ? 2 : 5)
			.position,
		m->last + 1);
	m->last++;
	*word = (struct word){
		.owed = true, .wanted_a = a, .flash = flash, .generation = m->generation
	};
}

static void settle(struct model *m)
{
	static const enum settle_how hows[] = { SETTLE_ACKED, SETTLE_ACKED, SETTLE_ACKED,
						SETTLE_NEVER, SETTLE_SKIPPED };
	struct settle_run runs[8];
	struct store_settle settle = { .req = { .kind = REQ_SETTLE }, .runs = runs };

	if (m->last == 0)
		return;
	settle.n = 1 + (unsigned)below(m, 8);
	for (unsigned i = 0; i < settle.n; i++) {
		uint64_t last = 1 + below(m, m->last), n = below(m, 4);

		runs[i] = (struct settle_run){ .subscription = m->sub,
					       .how = hows[below(m, 5)],
					       .first = n >= last ? 1 : last - n,
					       .last = last,
					       .at_ms = m->fx->wall_ms };
	}
	assert_int_equal(fx_batch(m->fx, &settle.req), 0);
	/* as if one by one, in the order of their last positions */
	for (uint64_t at = 1; at <= m->last; at++) {
		bool was = m->p[at].owed, answered = false;

		for (unsigned i = 0; i < settle.n; i++) {
			if (runs[i].last != at || answered)
				continue;
			answered = true;
			if (was && runs[i].how != SETTLE_SKIPPED)
				m->p[at].receipt = "ANSK-"[runs[i].how];
		}
	}
	for (unsigned i = 0; i < settle.n; i++)
		for (uint64_t at = runs[i].first; at <= runs[i].last; at++)
			m->p[at].owed = false;
}

static void later(struct model *m)
{
	uint64_t at = m->last == 0 ? 0 : 1 + below(m, m->last);
	struct word *word = &m->p[at];
	int64_t until = m->fx->wall_ms + (int64_t)below(m, 5000);
	unsigned attempts;

	if (at == 0)
		return;
	attempts = fx_later(m->fx, m->sub, at, until);
	if (word->owed) {
		word->attempts++;
		word->not_before_ms = until;
	}
	assert_int_equal(attempts, word->owed ? word->attempts : 0);
}

static void owe_again(struct model *m)
{
	uint64_t above = m->last - below(m, m->last < 40 ? m->last + 1 : 40), n = 0, run = 0;

	for (uint64_t at = above + 1; at <= m->last; at++) {
		char receipt = m->p[at].receipt;

		if (receipt != 0 && receipt != 'A' && receipt != 'R')
			run = 0;
		if (receipt != 'A')
			continue;
		for (uint64_t i = run == 0 ? at : run; i <= at; i++) {
			if (m->p[i].owed)
				continue;
			m->p[i].owed = true;
			m->p[i].attempts = 0;
			m->p[i].generation = m->generation;
		}
		run = at;
		m->p[at].receipt = 'R';
		n++;
	}
	assert_int_equal(fx_owe_again(m->fx, m->sub, above), n);
}

static void turn(struct model *m)
{
	struct fx_def def = fx_def_one(m->tail_a ? "b" : "a", true);

	if (m->generation == 63)
		return;
	m->tail_a = !m->tail_a;
	assert_int_equal(fx_define(m->fx, &def), 0);
	m->wants_a[++m->generation] = m->tail_a;
}

/* ---- looks */
static void look_at_rows(struct model *m)
{
	struct owed_row row, before = { 0 };
	struct owed_state state;
	unsigned rows = 0;
	uint64_t at = 1;
	struct cur cur;
	struct txn txn;

	txn_begin(&txn, items_db(m->fx->items), TXN_READ);
	cur_open(&cur, &txn, T_OWED);
	for (bool more = owed_at(&cur, m->sub, 0, &row); more;
	     more = owed_next(&cur, m->sub, &row)) {
		for (; at < row.first; at++)
			assert_false(m->p[at].owed);
		for (; at <= row.last && at <= m->last; at++) {
			assert_true(m->p[at].owed);
			assert_int_equal(row.generation, m->p[at].generation);
			assert_int_equal(row.attempts, m->p[at].attempts);
			assert_true(row.attempts == 0 ||
				    row.not_before_ms == m->p[at].not_before_ms);
			assert_true(row.attempts == 0 || row.first == row.last);
		}
		if (rows++ > 0 && before.last + 1 == row.first)
			assert_true(before.generation != row.generation || before.attempts > 0 ||
				    row.attempts > 0);
		before = row;
	}
	assert_true(before.last == UINT64_MAX);
	owed_state_get(&txn, m->sub, &state);
	assert_int_equal(state.rows, rows);
	cur_close(&cur);
	txn_abort(&txn);
}

static void look_at_receipts(struct model *m)
{
	static char got[POSITIONS * 8], want[POSITIONS * 8];
	size_t n = 0;

	want[0] = '\0';
	for (uint64_t at = 1; at <= m->last; at++)
		if (m->p[at].receipt != 0)
			n += (size_t)sprintf(want + n, "%llu%c ", (unsigned long long)at,
					     m->p[at].receipt);
	if (n > 0)
		want[n - 1] = '\0';
	assert_string_equal(fx_receipts(m->fx, m->sub, got, sizeof(got)), want);
}

/* what is skipped must not be wanted; gives how many positions were */
static void look_at_skip(struct model *m, uint64_t first, uint64_t end)
{
	assert_true(first >= 1 && end - 1 <= m->last);
	for (uint64_t at = first; at < end; at++)
		assert_false(m->p[at].owed && matches(m, &m->p[at]));
}

static void look_at_fetch(struct model *m, enum lane lane, bool settle_skips)
{
	uint64_t from = 0, want = 1, skips[512][2];
	unsigned rounds = 0, n = 0;
	bool end = false;

	while (!end) {
		struct store_fetch fetch = { .subscription = m->sub,
					     .lane = lane,
					     .from = from,
					     .items_max = 1 + (unsigned)below(m, FETCH_MAX) };

		fx_fetch_into(m->fx, &fetch);
		for (unsigned i = 0; i < fetch.n; i++, want++) {
			while (want < fetch.items[i].position) {
				const struct word *word = &m->p[want++];

				assert_false(word->owed && matches(m, word) &&
					     word->flash == (lane == LANE_FLASH) &&
					     (word->attempts == 0 ||
					      word->not_before_ms <= m->fx->wall_ms));
			}
			assert_true(m->p[want].owed && matches(m, &m->p[want]));
			assert_int_equal(m->p[want].flash, lane == LANE_FLASH);
			assert_int_equal(fetch.items[i].attempts, m->p[want].attempts);
			look_at_skip(m, fetch.items[i].skip_first, fetch.items[i].position);
			if (n < 512 && fetch.items[i].skip_first < fetch.items[i].position) {
				skips[n][0] = fetch.items[i].skip_first;
				skips[n++][1] = fetch.items[i].position - 1;
			}
		}
		if (fetch.skip_first != 0) {
			look_at_skip(m, fetch.skip_first, fetch.next);
			if (n < 512) {
				skips[n][0] = fetch.skip_first;
				skips[n++][1] = fetch.next - 1;
			}
		}
		end = fetch.end;
		from = fetch.next;
		store_fetch_done(&fetch);
		assert_true(++rounds < 10000);
	}
	for (; want <= m->last; want++)
		assert_false(
			m->p[want].owed && matches(m, &m->p[want]) &&
			m->p[want].flash == (lane == LANE_FLASH) &&
			(m->p[want].attempts == 0 || m->p[want].not_before_ms <= m->fx->wall_ms));
	for (unsigned i = 0; settle_skips && i < n; i++) {
		fx_settle_as(m->fx, m->sub, SETTLE_SKIPPED, skips[i][0], skips[i][1]);
		for (uint64_t at = skips[i][0]; at <= skips[i][1]; at++)
			m->p[at].owed = false;
	}
}

static uint64_t owed_in_model(const struct model *m)
{
	uint64_t n = 0;

	for (uint64_t at = 1; at <= m->last; at++)
		n += m->p[at].owed;
	return n;
}

static void play(struct fx *fx, uint64_t seed, unsigned steps)
{
	struct model *m = calloc(1, sizeof(*m));

	m->fx = fx;
	m->seed = seed;
	m->generation = 1;
	m->tail_a = m->wants_a[1] = true;
	m->sub = fx_sub(fx, "a", true);
	for (unsigned i = 0; i < steps; i++) {
		uint64_t step = below(m, 100);

		if (step < 40)
			put(m);
		else if (step < 70)
			settle(m);
		else if (step < 85)
			later(m);
		else if (step < 88)
			owe_again(m);
		else if (step < 89)
			turn(m);
		else if (step < 95)
			look_at_fetch(m, LANE_ROUTINE, step < 90);
		else
			look_at_fetch(m, LANE_FLASH, false);
		fx_advance(fx, (int64_t)below(m, 200));
		look_at_rows(m);
		if (i % 50 == 0 || i + 1 == steps) {
			look_at_receipts(m);
			assert_in_range(fx_claim(fx, m->sub).owed_at_most, owed_in_model(m),
					m->last);
		}
	}
	free(m);
}

static void a_model_agrees(void **state)
{
	const char *round = getenv("ROUND");
	uint64_t first = round == NULL ? 1 : strtoull(round, NULL, 10), n = round == NULL ? 3 : 1;

	for (uint64_t seed = first; seed < first + n; seed++) {
		print_message("round %llu\n", (unsigned long long)seed);
		fx_setup(state);
		play(*state, seed, 1500);
		fx_teardown(state);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_model_agrees) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
