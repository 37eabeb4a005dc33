/* new stories that stand in `fresh`, before, while and after they are merged: nobody can tell */
#include "items_fixture.h"

#define FEW 64 /* merged from 32 on, in steps of 8 */

static void open_with(struct fx *fx, unsigned most)
{
	items_close(&fx->items);
	fx->conf.fresh_most = most;
	assert_int_equal(fx_open(fx), 0);
}

static void merge_whole(struct fx *fx)
{
	int r;

	fx->items->fresh.asked = true;
	while ((r = items_merge(fx->items)) > 0)
		;
	assert_int_equal(r, 0);
}

static const char *name_of(char to[32], unsigned n)
{
	snprintf(to, 32, "urn:%u", n);
	return to;
}

static void put_many(struct fx *fx, unsigned first, unsigned n)
{
	char uri[32];

	for (unsigned i = first; i < first + n; i++)
		assert_int_equal(fx_put(fx, .uri = name_of(uri, i)).code, 0);
}

static void new_stories_are_appended_and_merged(void **state)
{
	struct fx *fx = *state;

	open_with(fx, FEW);
	put_many(fx, 0, 31);
	assert_int_equal(fx_entries(fx, T_STORIES), 0);
	assert_int_equal(fx_entries(fx, T_FRESH), 31);
	assert_int_equal(items_merge(fx->items), 0); /* they are few */
	put_many(fx, 31, 1);
	assert_int_equal(items_merge(fx->items), 1); /* the mark */
	put_many(fx, 32, 3);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(fx_entries(fx, T_STORIES), 16 * i);
		assert_int_equal(items_merge(fx->items), 1);
	}
	assert_int_equal(fx_entries(fx, T_STORIES), 64);
	assert_int_equal(items_merge(fx->items), 1); /* the old rows go */
	assert_int_equal(fx_entries(fx, T_FRESH), 3);
	assert_int_equal(items_merge(fx->items), 0);
	for (unsigned turn = 0; turn < 2; turn++) {
		for (unsigned i = 0; i < 35; i++) {
			char uri[32];

			assert_int_equal(fx_put(fx, .uri = name_of(uri, i)).result,
					 RESULT_DUPLICATE);
			assert_int_equal(
				fx_put(fx, .uri = name_of(uri, i), .document = "other").code,
				NX_ECONFLICT);
		}
		fx_reopen(fx);
	}
}

static void a_quiet_time_is_a_good_time(void **state)
{
	struct fx *fx = *state;

	put_many(fx, 0, 5);
	fx_advance(fx, 60000);
	assert_int_equal(items_maintain(fx->items, fx->boot_ms, fx->wall_ms, false), 0);
	assert_int_equal(fx_entries(fx, T_FRESH), 5); /* a few are not worth a commit */
	merge_whole(fx);
	assert_int_equal(fx_entries(fx, T_FRESH), 0);
	assert_int_equal(fx_entries(fx, T_STORIES), 10);
}

/* what a merge needs is set aside when the story comes: it takes no room from others later */
static void a_merge_takes_no_room(void **state)
{
	struct fx *fx = *state;
	struct store_state before, now;
	int r;

	put_many(fx, 0, 2000);
	items_state(fx->items, &before);
	fx->items->fresh.asked = true;
	while ((r = items_merge(fx->items)) > 0) {
		items_state(fx->items, &now);
		assert_in_range(now.items_used, 0, before.items_used);
	}
	assert_int_equal(r, 0);
	assert_int_equal(fx_entries(fx, T_STORIES), 4000);
	assert_in_range(now.items_used, 0, before.items_used / 10 * 9);
}

static void a_small_store_merges_few(void **state)
{
	struct fx *fx = *state;

	assert_in_range(fx->items->fresh.most, 1000, 4096);
}

/* a transaction sees both tables as they were when it began */
static void a_reader_sees_what_it_saw(void **state)
{
	struct fx *fx = *state;
	struct given one, two;
	struct record record;
	struct txn before;

	one = fx_put(fx, .version = "1");
	two = fx_put(fx, .version = "2");
	assert_int_equal(fx_verdict(fx, one.sequence, false), SETTLE_SUPERSEDED);
	assert_int_equal(fx_verdict(fx, two.sequence, false), SETTLE_ACKED);
	txn_begin(&before, items_db(fx->items), TXN_READ);
	assert_int_equal(record_head(&before, two.sequence, &record), 0);
	merge_whole(fx);
	fx_put(fx, .version = "3");
	fx_put(fx, .status = STATUS_CANCELED);
	assert_int_equal(fx_verdict(fx, two.sequence, true), SETTLE_KILLED);
	assert_int_equal(story_verdict(&before, &record, false), SETTLE_ACKED);
	assert_int_equal(record_head(&before, one.sequence, &record), 0);
	assert_int_equal(story_verdict(&before, &record, false), SETTLE_SUPERSEDED);
	txn_abort(&before);
}

static void a_damaged_row_costs_one_story(void **state)
{
	struct fx *fx = *state;
	struct given a = fx_put(fx, .uri = "urn:a"), b = fx_put(fx, .uri = "urn:b");
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_WRITE);
	txn_put(&txn, T_FRESH, key_u64(&a.sequence), slice_str("?"));
	assert_int_equal(txn_end(&txn), 0);
	assert_int_equal(fx_put(fx, .uri = "urn:a", .version = "2").code, NX_ECORRUPT);
	assert_int_equal(fx_verdict(fx, a.sequence, false), SETTLE_GIVEN_UP);
	assert_int_equal(fx_put(fx, .uri = "urn:b").result, RESULT_DUPLICATE);
	merge_whole(fx);
	assert_non_null(fx_told(fx, STORE_CORRUPT));
	assert_true(fx_told(fx, STORE_CORRUPT)->sequence == a.sequence);
	assert_int_equal(fx_verdict(fx, b.sequence, false), SETTLE_ACKED);
}

/* the transaction failed: its stories are not known, and are put again */
static void what_did_not_commit_is_not_known(void **state)
{
	struct fx *fx = *state;
	struct it it = { .uri = "urn:a" };
	struct given given;
	struct fx_put p;
	struct txn txn;

	fx_make(&p, &it);
	items_begin(fx->items, &txn);
	items_put(fx->items, &txn, &p.put, fx->wall_ms);
	assert_int_equal(p.put.req.code, 0);
	txn.r = NX_EFULL;
	assert_int_equal(items_end(fx->items, &txn), NX_EFULL);
	given = fx_put(fx, .uri = "urn:b"); /* has its sequence */
	assert_int_equal(given.sequence, 1);
	given = fx_put(fx, .uri = "urn:a");
	assert_int_equal(given.result, RESULT_STORED);
	assert_int_equal(given.sequence, 2);
	merge_whole(fx);
	assert_int_equal(fx_put(fx, .uri = "urn:a").result, RESULT_DUPLICATE);
	assert_int_equal(fx_put(fx, .uri = "urn:b").result, RESULT_DUPLICATE);
	assert_int_equal(fx_entries(fx, T_STORIES), 4);
}

/* ---- the same life twice: with `fresh` and without it */

struct random {
	uint64_t x;
};

static unsigned below(struct random *random, unsigned n)
{
	random->x ^= random->x << 13;
	random->x ^= random->x >> 7;
	random->x ^= random->x << 17;
	return (unsigned)(random->x >> 33) % n;
}

static void same_put(struct fx *with, struct fx *without, struct random *random)
{
	static const char *const documents[] = { "one", "another" };
	char uri[32], version[16];
	struct it it = { .uri = name_of(uri, below(random, 120)),
			 .version = version,
			 .channel = below(random, 20) == 0 ? "sport" : "world",
			 .document = documents[below(random, 8) == 0] };
	unsigned kind = below(random, 40);
	struct given a, b;

	snprintf(version, sizeof(version), "%u", 1 + below(random, 4));
	if (kind == 0)
		it.status = STATUS_CANCELED;
	else if (kind < 4)
		it.embargo_ms = with->wall_ms + below(random, 5000);
	else if (kind == 4)
		it.status = STATUS_WITHHELD;
	a = fx_it(with, &it);
	b = fx_it(without, &it);
	assert_int_equal(a.code, b.code);
	assert_int_equal(a.result, b.result);
	assert_true(a.sequence == b.sequence && a.position == b.position);
}

static void same_verdicts(struct fx *with, struct fx *without)
{
	struct items_count count = with->items->count;

	assert_memory_equal(&count, &without->items->count, sizeof(count));
	for (uint64_t i = 1; i <= count.sequence_last; i++) {
		assert_int_equal(fx_head(with, i).state, fx_head(without, i).state);
		assert_int_equal(fx_verdict(with, i, false), fx_verdict(without, i, false));
		assert_int_equal(fx_verdict(with, i, true), fx_verdict(without, i, true));
	}
}

static void same_stories(struct fx *with, struct fx *without)
{
	struct slice a, b;
	struct txn one, other;
	struct cur cur;

	merge_whole(with);
	assert_true(with->items->fresh.young.n == 0 && with->items->fresh.old.n == 0);
	assert_true(fx_entries(with, T_STORIES) == fx_entries(without, T_STORIES));
	txn_begin(&one, items_db(with->items), TXN_READ);
	txn_begin(&other, items_db(without->items), TXN_READ);
	cur_open(&cur, &one, T_STORIES);
	for (bool more = cur_first(&cur); more; more = cur_next(&cur)) {
		a = cur.value;
		assert_true(txn_get(&other, T_STORIES, cur.key, &b));
		assert_int_equal(a.n, b.n);
		assert_memory_equal(a.p, b.p, a.n);
	}
	cur_close(&cur);
	txn_abort(&one);
	txn_abort(&other);
}

static void nobody_can_tell(void **state)
{
	struct fx *with = *state, *without = calloc(1, sizeof(*without));
	const char *asked = getenv("SEED");
	unsigned seed = asked == NULL ? 1 : (unsigned)atoi(asked);
	struct random random = { .x = seed * UINT64_C(2654435761) + 1 };

	print_message("SEED=%u\n", seed);
	assert_non_null(without);
	fx_folder(without);
	fx_conf(without);
	without->conf.fresh_most = FRESH_NONE;
	assert_int_equal(fx_open(without), 0);
	open_with(with, FEW);
	for (unsigned i = 0; i < 1500; i++) {
		unsigned what = below(&random, 100);

		if (what < 10) {
			assert_true(items_merge(with->items) >= 0);
		} else if (what == 10) {
			fx_reopen(with);
		} else if (what < 16) {
			fx_advance(with, 1000);
			fx_advance(without, 1000);
			assert_int_equal(fx_release(with), fx_release(without));
		} else if (what == 16) {
			with->items->fresh.asked = true;
		} else {
			same_put(with, without, &random);
		}
		if (i % 150 == 149)
			same_verdicts(with, without);
	}
	same_stories(with, without);
	same_verdicts(with, without);
	fx_teardown((void **)&without);
}

/* at the mark, what nobody is owed goes while a merge is under way, not after it; below, the merge
 * comes first */
static void room_is_made_during_a_merge(void **state)
{
	struct fx *fx = *state;

	open_with(fx, FEW);
	put_many(fx, 0, 34);
	fx_advance(fx, 1000);
	items_usage_fake(fx->items, 85);
	assert_int_equal(items_maintain(fx->items, fx->boot_ms, fx->wall_ms, false), 1);
	assert_int_equal(fx_entries(fx, T_ITEMS), 34);
	items_usage_fake(fx->items, 92);
	assert_int_equal(items_maintain(fx->items, fx->boot_ms, fx->wall_ms, false), 1);
	assert_true(fx->items->fresh.order_at < fx->items->fresh.order_n); /* not merged yet */
	assert_int_equal(fx_entries(fx, T_ITEMS), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
	const struct CMUnitTest tests[] = {
		T(new_stories_are_appended_and_merged),
		T(a_quiet_time_is_a_good_time),
		T(a_reader_sees_what_it_saw),
		T(a_damaged_row_costs_one_story),
		T(what_did_not_commit_is_not_known),
		T(nobody_can_tell),
		T(room_is_made_during_a_merge),
		T(a_merge_takes_no_room),
		T(a_small_store_merges_few),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
