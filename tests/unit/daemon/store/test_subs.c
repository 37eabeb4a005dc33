/* partners and subscriptions: numbers for ever, generations, what vanishes */
#include "debts_fixture.h"

#include <sys/stat.h>

static void numbers_stay(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("kpl.*", true);
	uint32_t number, partner;

	def.partners[1].name = "kpl";
	def.partners_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	number = def.subs[0].number;
	partner = def.partners[0].number;
	assert_true(number > 0 && partner > 0 && def.partners[1].number > 0);
	assert_int_not_equal(partner, def.partners[1].number);
	fx_reopen(fx);
	def.subs[0].number = def.partners[0].number = 0;
	assert_int_equal(fx_define(fx, &def), 0);
	assert_int_equal(def.subs[0].number, number);
	assert_int_equal(def.partners[0].number, partner);
}

static uint64_t last_txn(struct fx *fx)
{
	struct stat st;
	char path[400];

	snprintf(path, sizeof(path), "%s/data.mdb", fx->items_dir);
	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_mtim.tv_sec * 1000000000 + (uint64_t)st.st_mtim.tv_nsec;
}

static void same_again_writes_nothing(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("kpl.*", true);
	uint64_t before;

	assert_int_equal(fx_define(fx, &def), 0);
	before = last_txn(fx);
	assert_int_equal(fx_define(fx, &def), 0);
	assert_true(last_txn(fx) == before);
	def.subs[0].rights = "kpl.a";
	assert_int_equal(fx_define(fx, &def), 0);
	assert_true(last_txn(fx) != before);
}

static void start_now_and_all(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);

	fx_items(fx, "a", 3, "world");
	def.subs[1] = def.subs[0];
	def.subs[1].name = "now";
	def.subs[1].start_all = false;
	def.subs_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	assert_rows(fx, def.subs[0].number, "1-g1");
	assert_rows(fx, def.subs[1].number, "4-g1");
	assert_int_equal(fx_claim(fx, def.subs[0].number).owed_at_most, 3);
	assert_int_equal(fx_claim(fx, def.subs[0].number).first_owed, 1);
	assert_int_equal(fx_claim(fx, def.subs[1].number).owed_at_most, 0);
}

static void new_filter_closes_the_tail(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	uint32_t sub;

	assert_int_equal(fx_define(fx, &def), 0);
	sub = def.subs[0].number;
	fx_items(fx, "x", 2, "a");
	fx_items(fx, "y", 1, "b");
	def.subs[0].channels = "b";
	assert_int_equal(fx_define(fx, &def), 0);
	assert_int_equal(def.subs[0].number, sub);
	assert_rows(fx, sub, "1-3g1 4-g2");
	fx_items(fx, "z", 1, "a");
	fx_items(fx, "w", 1, "b");
	assert_fetch(fx, sub, LANE_ROUTINE, "1 2 (3-)5");
	def.subs[0].channels = "a\nb";
	assert_int_equal(fx_define(fx, &def), 0);
	assert_int_equal(fx_define(fx, &def), 0);
	assert_rows(fx, sub, "1-3g1 4-5g2 6-g3");
}

static void filters_of_no_row_go(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);

	assert_int_equal(fx_define(fx, &def), 0);
	for (unsigned i = 0; i < 20; i++) {
		fx_items(fx, i % 2 == 0 ? "x" : "y", 1, i % 2 == 0 ? "a" : "b");
		def.subs[0].channels = i % 2 == 0 ? "b" : "a";
		assert_int_equal(fx_define(fx, &def), 0);
		fx_settle_as(fx, def.subs[0].number, SETTLE_SKIPPED, 1, i + 1);
	}
	assert_in_range(fx_entries(fx, T_FILTERS), 2, 3); /* rights, this one, perhaps the last */
}

/* nothing new came between two changes: the tail turns, no row is left behind */
static void empty_tail_turns_whole(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", false);

	assert_int_equal(fx_define(fx, &def), 0);
	def.subs[0].channels = "b";
	assert_int_equal(fx_define(fx, &def), 0);
	assert_rows(fx, def.subs[0].number, "1-g2");
}

static void renamed_keeps_number_and_debts(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);
	uint32_t sub, partner;

	assert_int_equal(fx_define(fx, &def), 0);
	sub = def.subs[0].number;
	partner = def.partners[0].number;
	fx_items(fx, "a", 2, "world");
	fx_ack(fx, sub, 1);
	def.partners[0] = (struct store_partner_def){ .name = "ttxvn", .renamed_from = "vna" };
	def.subs[0].name = "s2";
	def.subs[0].renamed_from = "s";
	def.subs[0].partner = "ttxvn";
	assert_int_equal(fx_define(fx, &def), 0);
	assert_int_equal(def.subs[0].number, sub);
	assert_int_equal(def.partners[0].number, partner);
	assert_rows(fx, sub, "2-g1");
	assert_null(fx_told(fx, STORE_EXPIRED));
	fx_maintain(fx);
	assert_null(fx_told(fx, STORE_VANISHED));
}

/* another partner's debts are never handed over */
static void moved_drops_the_debts(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", false);
	uint32_t old;

	assert_int_equal(fx_define(fx, &def), 0);
	old = def.subs[0].number;
	fx_items(fx, "a", 3, "world");
	fx_ack(fx, old, 1);
	def.partners[1].name = "kpl";
	def.partners_n = 2;
	def.subs[0].partner = "kpl";
	assert_int_equal(fx_define(fx, &def), 0);
	assert_rows(fx, old, "");
	assert_rows(fx, def.subs[0].number, "4-g1");
	assert_int_equal(fx_claim(fx, def.subs[0].number).acked_last, 0);
	assert_non_null(fx_told(fx, STORE_EXPIRED));
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->items, 2);
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->code, NX_EEXPIREDDEBT);
	assert_receipts(fx, old, "1A"); /* the evidence stays */
}

static unsigned told_n(const struct fx *fx, enum store_event_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fx->events_n; i++)
		n += fx->events[i].kind == kind;
	return n;
}

static void vanished_is_frozen_told_and_forgotten(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true), none = { .partners_n = 0 };
	uint32_t sub;

	assert_int_equal(fx_define(fx, &def), 0);
	sub = def.subs[0].number;
	fx_items(fx, "a", 2, "world");
	assert_int_equal(fx_define(fx, &none), 0);
	assert_rows(fx, sub, "1-g1");
	fx_maintain(fx);
	assert_int_equal(told_n(fx, STORE_VANISHED), 2); /* it and its partner */
	fx_maintain(fx);
	assert_int_equal(told_n(fx, STORE_VANISHED), 2);
	fx_advance(fx, DAY + 1);
	fx_maintain(fx);
	assert_int_equal(told_n(fx, STORE_VANISHED), 4);
	assert_null(fx_told(fx, STORE_FORGOTTEN));
	fx_advance(fx, 6 * DAY);
	fx_maintain(fx);
	assert_int_equal(told_n(fx, STORE_FORGOTTEN), 2);
	assert_rows(fx, sub, "");
	assert_int_equal(fx_entries(fx, T_FILTERS), 0);
	assert_int_equal(fx_define(fx, &def), 0);
	assert_true(def.subs[0].number > sub); /* numbers are never given twice */
}

/* "s", "t" and "u", defined */
static struct fx_def three(struct fx *fx)
{
	struct fx_def def = fx_def_one("*", true);

	def.subs[1] = def.subs[2] = def.subs[0];
	def.subs[1].name = "t";
	def.subs[2].name = "u";
	def.subs_n = 3;
	assert_int_equal(fx_define(fx, &def), 0);
	return def;
}

/* while what is older is forgotten, one a step, each of the rest is told of once */
static void what_goes_makes_no_second_announcement(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = three(fx);

	def.subs[0] = def.subs[1]; /* "s" and "u" go first ... */
	def.subs_n = 1;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_maintain(fx);
	assert_int_equal(told_n(fx, STORE_VANISHED), 2);
	fx_advance(fx, 4 * DAY);
	def.subs_n = 0; /* ... and then "t" */
	assert_int_equal(fx_define(fx, &def), 0);
	fx_maintain(fx);
	assert_int_equal(told_n(fx, STORE_VANISHED), 5);
	fx_advance(fx, 3 * DAY);
	fx_maintain(fx);
	assert_int_equal(told_n(fx, STORE_FORGOTTEN), 2);
	assert_int_equal(told_n(fx, STORE_VANISHED), 6);
}

static void who_goes_is_told_at_once_and_alone(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = three(fx);

	fx_maintain(fx);
	for (unsigned gone = 1; gone <= 2; gone++) {
		def.subs_n--;
		fx_advance(fx, 3600000);
		assert_int_equal(fx_define(fx, &def), 0);
		fx_maintain(fx);
		assert_int_equal(told_n(fx, STORE_VANISHED), gone);
	}
	fx_advance(fx, DAY);
	fx_maintain(fx);
	assert_int_equal(told_n(fx, STORE_VANISHED), 4);
}

static void back_in_time_is_as_if_never_gone(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true), none = { .partners_n = 0 };
	uint32_t sub;

	assert_int_equal(fx_define(fx, &def), 0);
	sub = def.subs[0].number;
	assert_int_equal(fx_define(fx, &none), 0);
	fx_advance(fx, 6 * DAY);
	fx_maintain(fx);
	assert_int_equal(fx_define(fx, &def), 0);
	assert_int_equal(def.subs[0].number, sub);
	fx_advance(fx, 6 * DAY);
	fx_maintain(fx);
	assert_null(fx_told(fx, STORE_FORGOTTEN));
}

static void forget_by_command(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true), none = { .partners_n = 0 };
	struct store_forget forget = { .req = { .kind = REQ_FORGET }, .name = "s" };

	assert_int_equal(fx_batch(fx, &forget.req), NX_ENOSUB);
	assert_int_equal(fx_define(fx, &def), 0);
	assert_int_equal(fx_batch(fx, &forget.req), NX_EEXIST);
	assert_rows(fx, def.subs[0].number, "1-g1");
	assert_int_equal(fx_define(fx, &none), 0);
	assert_int_equal(fx_batch(fx, &forget.req), 0);
	assert_rows(fx, def.subs[0].number, "");
	assert_non_null(fx_told(fx, STORE_FORGOTTEN));
}

static void unknown_partner_is_refused_whole(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);

	def.subs[0].partner = "nobody";
	assert_int_equal(fx_define(fx, &def), NX_ECONF);
	assert_int_equal(fx_entries(fx, T_SUBSCRIPTIONS), 0);
}

static void matching_now(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("kpl.*\nworld", true);
	struct subdir *subs;
	uint32_t sub;

	def.subs[0].rights = "kpl.en\nkpl.la*";
	assert_int_equal(fx_define(fx, &def), 0);
	sub = def.subs[0].number;
	subs = items_subs(fx->items);
	assert_true(subs_match(subs, sub, slice_str("kpl.en")));
	assert_true(subs_match(subs, sub, slice_str("kpl.lao")));
	assert_false(subs_match(subs, sub, slice_str("kpl.fr")));
	assert_false(subs_match(subs, sub, slice_str("world"))); /* asked for, not allowed */
	assert_false(subs_match(subs, sub + 1, slice_str("kpl.en")));
	def.subs[0].rights = "*";
	assert_int_equal(fx_define(fx, &def), 0);
	assert_false(subs_match(subs, sub, slice_str("world"))); /* the one held does not change */
	subdir_free(&subs);
	subs = items_subs(fx->items);
	assert_true(subs_match(subs, sub, slice_str("world")));
	subdir_free(&subs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
		T(numbers_stay),
		T(same_again_writes_nothing),
		T(start_now_and_all),
		T(new_filter_closes_the_tail),
		T(filters_of_no_row_go),
		T(empty_tail_turns_whole),
		T(renamed_keeps_number_and_debts),
		T(moved_drops_the_debts),
		T(vanished_is_frozen_told_and_forgotten),
		T(what_goes_makes_no_second_announcement),
		T(who_goes_is_told_at_once_and_alone),
		T(back_in_time_is_as_if_never_gone),
		T(forget_by_command),
		T(unknown_partner_is_refused_whole),
		T(matching_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
