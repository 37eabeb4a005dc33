/* retirement and expiry: what goes, when, and what never does */
#include "debts_fixture.h"

static uint64_t unused[16];
static unsigned unused_n;

static void on_unused(void *arg, uint64_t part)
{
	(void)arg;
	if (unused_n < 16)
		unused[unused_n++] = part;
}

static unsigned told_n(const struct fx *fx, enum store_event_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fx->events_n; i++)
		n += fx->events[i].kind == kind;
	return n;
}

static void goes_after_keep_when_nobody_is_owed(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "a", true);

	fx_items(fx, "x", 3, "a");
	fx_items(fx, "y", 2, "b"); /* nobody wants them */
	fx_ack(fx, sub, 1);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 5);
	fx_advance(fx, 7 * DAY + 1);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 2);
	assert_int_equal(fx_entries(fx, T_FEED), 2);
	assert_int_equal(fx_told(fx, STORE_RETIRED)->items, 3);
	assert_fetch(fx, sub, LANE_ROUTINE, "2 3 skip4-5");
	fx_ack(fx, sub, 2);
	fx_ack(fx, sub, 3);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 0);
	assert_int_equal(fx_entries(fx, T_BODIES), 0);
	assert_receipts(fx, sub, "1A 2A 3A");
	/* the identity is still known, positions go on */
	assert_int_equal(fx_put(fx, .uri = "urn:x1", .channel = "a").result, RESULT_DUPLICATE);
	assert_int_equal(fx_put(fx, .uri = "urn:n", .channel = "a").position, 6);
}

/* settled young, behind the pass that went by: it must come by again when keep is over, well before
 * the daily whole pass */
static void settled_behind_the_pass_goes_in_its_time(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "a", true);

	fx->store.times.keep_ms = 3600000;
	items_reload(fx->items, &fx->store);
	fx_items(fx, "x", 2, "a");
	fx_advance(fx, 2 * 3600000);
	fx_items(fx, "y", 2, "a");
	fx_maintain(fx); /* passes the first two: owed */
	items_usage_fake(fx->items, 85);
	fx_maintain(fx); /* no keep now: passes all four */
	items_usage_fake(fx->items, 0);
	fx_ack(fx, sub, 3);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 4);
	fx_ack(fx, sub, 1);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 3);
	fx_advance(fx, 2 * 3600000);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 2);
	assert_fetch(fx, sub, LANE_ROUTINE, "2 4");
}

static void keep_is_shortened_when_nearly_full(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "a", true);

	fx_items(fx, "x", 2, "a");
	fx_items(fx, "y", 2, "b");
	fx_ack(fx, sub, 1);
	items_usage_fake(fx->items, 79);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 4);
	items_usage_fake(fx->items, 80);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 1);
	items_usage_fake(fx->items, 0);
	fx_items(fx, "z", 1, "b");
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 2);
	items_photos_percent(fx->items, 80); /* the other environment counts as well */
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 1);
}

static void rights_and_generations_decide(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);

	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "x", 1, "a");
	fx_items(fx, "y", 1, "b");
	def.subs[0].channels = "b"; /* 1 is owed by the old generation */
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "z", 1, "b");
	fx_items(fx, "w", 1, "a");
	fx_advance(fx, 8 * DAY);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 2);
	assert_fetch(fx, def.subs[0].number, LANE_ROUTINE, "1 (2-)3 skip4-4");
	def.subs[0].rights = "b";
	assert_int_equal(fx_define(fx, &def), 0);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 1);
}

static void frozen_still_counts(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true), none = { .partners_n = 0 };

	fx->store.times.orphan_keep_ms = 20 * DAY;
	items_reload(fx->items, &fx->store);
	def.subs[0].backlog_age_ms = 5 * DAY;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "x", 2, "a");
	assert_int_equal(fx_define(fx, &none), 0);
	fx_advance(fx, 15 * DAY);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 2); /* neither expired nor retired */
	fx_advance(fx, 6 * DAY);
	fx_maintain(fx);
	assert_non_null(fx_told(fx, STORE_FORGOTTEN));
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 0);
}

static void last_use_tells_the_part(void **state)
{
	struct fx *fx = *state;
	struct store_part parts[2] = { { .number = 7, .size = 1, .name = slice_str("a") },
				       { .number = 8, .size = 1, .name = slice_str("b") } };
	uint32_t sub;

	items_close(&fx->items);
	fx->conf.unused = on_unused;
	unused_n = 0;
	assert_int_equal(fx_open(fx), 0);
	sub = fx_sub(fx, "*", true);
	fx_put(fx, .uri = "urn:1", .parts = parts, .parts_n = 2);
	fx_put(fx, .uri = "urn:2", .parts = parts, .parts_n = 1);
	fx_ack(fx, sub, 1);
	fx_advance(fx, 8 * DAY);
	fx_maintain(fx);
	assert_int_equal(unused_n, 1);
	assert_int_equal(unused[0], 8);
	fx_ack(fx, sub, 2);
	fx_maintain(fx);
	assert_int_equal(unused_n, 2);
	assert_int_equal(unused[1], 7);
	assert_int_equal(fx_entries(fx, T_USES), 0);
}

static void held_never_withheld_with_keep(void **state)
{
	struct fx *fx = *state;

	fx_sub(fx, "*", true);
	fx_put(fx, .uri = "urn:e", .embargo_ms = fx->wall_ms + 100 * DAY);
	fx_put(fx, .uri = "urn:w", .status = STATUS_WITHHELD);
	fx_advance(fx, 6 * DAY);
	items_usage_fake(fx->items, 85);
	for (unsigned i = 0; i < 8; i++)
		fx_maintain(fx);
	items_usage_fake(fx->items, 0);
	assert_int_equal(fx_entries(fx, T_HELD), 2);
	fx_advance(fx, 2 * DAY);
	for (unsigned i = 0; i < 8; i++)
		fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_HELD), 1);
	assert_int_equal(fx_entries(fx, T_ITEMS), 1);
	fx_advance(fx, 93 * DAY);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_HELD), 0);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
}

static void held_ones_that_were_killed_go(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:e", .embargo_ms = fx->wall_ms + 100 * DAY);
	fx_put(fx, .uri = "urn:e", .version = "2", .status = STATUS_CANCELED);
	assert_int_equal(fx_entries(fx, T_ITEMS), 2);
	fx_advance(fx, 8 * DAY);
	for (unsigned i = 0; i < 8; i++)
		fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 0);
	/* the tombstone stands for ever */
	fx_advance(fx, 500 * DAY);
	for (unsigned i = 0; i < 16; i++)
		fx_maintain(fx);
	assert_int_equal(fx_put(fx, .uri = "urn:e", .version = "1").code, NX_EKILLED);
}

static void history_ends(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);

	fx_items(fx, "x", 40, "a");
	for (uint64_t i = 1; i <= 40; i++)
		fx_ack(fx, sub, i);
	fx_advance(fx, 8 * DAY);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 0);
	assert_int_equal(fx_entries(fx, T_STORIES) + 2 * fx_entries(fx, T_FRESH), 80);
	for (unsigned i = 0; i < 10; i++)
		fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_STORIES), 80);
	assert_int_equal(fx_entries(fx, T_FRESH), 0);
	fx_advance(fx, 400 * DAY);
	for (unsigned i = 0; i < 20; i++)
		fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_STORIES), 0);
	assert_int_equal(fx_entries(fx, T_RECEIPTS), 0);
}

/* ---- expiry */
static void old_debts_expire_kills_last(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);
	uint32_t sub;

	def.subs[0].backlog_age_ms = 10 * DAY;
	assert_int_equal(fx_define(fx, &def), 0);
	sub = def.subs[0].number;
	fx_put(fx, .uri = "urn:k", .status = STATUS_CANCELED);
	fx_items(fx, "x", 2, "a");
	fx_advance(fx, 6 * DAY);
	fx_items(fx, "y", 1, "a");
	fx_maintain(fx);
	assert_int_equal(fx_told(fx, STORE_NEAR_DEBT)->percent, 50);
	fx_maintain(fx);
	assert_int_equal(told_n(fx, STORE_NEAR_DEBT), 1);
	assert_int_equal(fx_claim(fx, sub).expired, 0);
	fx_advance(fx, 4 * DAY + 1000);
	fx_maintain(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 3);
	assert_receipts(fx, sub, "1X! 2X 3X");
	assert_rows(fx, sub, "4-g1");
	/* the kill in a later event than the others */
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->first, 1);
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->items, 1);
	assert_string_equal(fx_told(fx, STORE_EXPIRED)->why.words, "backlog-age");
	assert_int_equal(told_n(fx, STORE_EXPIRED), 2);
	fx_reopen(fx);
	fx_maintain(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 3);
	fx_advance(fx, 5 * DAY); /* 9 days: the fourth is near */
	fx_maintain(fx);
	assert_int_equal(fx_told(fx, STORE_NEAR_DEBT)->percent, 80);
}

/* the tick's time is a moment old: what was released since has no age yet, not an endless one */
static void what_came_after_the_tick_is_not_old(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);

	def.subs[0].backlog_age_ms = 10 * DAY;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "x", 1, "a");
	fx_advance(fx, -5005);
	fx_maintain(fx); /* after 5 s */
	assert_null(fx_told(fx, STORE_NEAR_DEBT));
}

/* who stands about a level is told of once, not at each item that comes and goes */
static void a_level_is_told_once(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	uint32_t sub;

	def.subs[0].backlog_size = 17 * 100; /* a hundred items */
	assert_int_equal(fx_define(fx, &def), 0);
	sub = def.subs[0].number;
	fx_items(fx, "x", 54, "a");
	for (uint64_t i = 0; i < 5; i++) {
		fx_advance(fx, 20000);
		fx_maintain(fx);
		for (uint64_t k = 1; k <= 6; k++)
			fx_ack(fx, sub, 6 * i + k);
		fx_advance(fx, 20000);
		fx_maintain(fx);
		fx_items(fx, (const char *[]){ "b", "c", "d", "e", "f" }[i], 6, "a");
	}
	assert_int_equal(told_n(fx, STORE_NEAR_DEBT), 1);
}

/* between two debts lies what is retired: it counts for nobody */
static void owed_at_most_leaves_out_what_is_gone(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);

	def.subs[1] = def.subs[0];
	def.subs[1].name = "other";
	def.subs[1].channels = "o";
	def.subs_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "o", 1, "o");
	fx_items(fx, "x", 1, "a");
	fx_items(fx, "n", 30, "b");
	for (uint64_t i = 1; i <= 32; i++)
		fx_ack(fx, def.subs[0].number, i); /* its row begins behind them */
	fx_advance(fx, 8 * DAY);
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_ITEMS), 1);
	fx_items(fx, "y", 1, "a");
	assert_rows(fx, def.subs[0].number, "33-g1");
	assert_int_equal(fx_claim(fx, def.subs[0].number).owed_at_most, 1);
}

static void a_clock_that_jumps_expires_nothing(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("*", true);

	def.subs[0].backlog_age_ms = 10 * DAY;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "x", 2, "a");
	fx_maintain(fx);
	fx->wall_ms += 100 * DAY;
	fx->boot_ms += 1000;
	fx_maintain(fx);
	assert_null(fx_told(fx, STORE_EXPIRED));
	assert_int_equal(fx_entries(fx, T_ITEMS), 2);
}

static void too_large_a_backlog_expires_oldest_first(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	uint32_t sub;

	def.subs[0].backlog_size = 17 * 10; /* ten items */
	assert_int_equal(fx_define(fx, &def), 0);
	sub = def.subs[0].number;
	fx_items(fx, "n", 30, "b"); /* no matter: not its own */
	fx_items(fx, "x", 6, "a");
	fx_maintain(fx);
	assert_int_equal(fx_told(fx, STORE_NEAR_DEBT)->percent, 50);
	fx_put(fx, .uri = "urn:k", .channel = "a", .status = STATUS_CANCELED); /* 37 */
	fx_items(fx, "y", 5, "a");
	fx_advance(fx, 20000);
	fx_maintain(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 2);
	assert_receipts(fx, sub, "31X 32X");
	assert_fetch(fx, sub, LANE_FLASH, "37");
	def.subs[0].backlog_size = 17;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_advance(fx, 20000);
	fx_maintain(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 11); /* all but the kill */
	assert_fetch(fx, sub, LANE_FLASH, "37");
}

/* all that goes before debts is gone */
static void come_to_the_mark(struct fx *fx)
{
	fx_maintain(fx);
	items_usage_fake(fx->items, 85); /* no history to shorten */
	for (unsigned s = 0; s < 3; s++)
		fx_maintain(fx);
	items_usage_fake(fx->items, 90);
	fx_maintain(fx);
}

static void expire_all(struct fx *fx)
{
	int r;

	while ((r = items_expire(fx->items, fx->wall_ms)) == 1)
		;
	assert_int_equal(r, 0);
}

/* one who reads nothing may be owed all of the store: what little another one has waited for longer
 * stays */
static void at_the_mark_the_oldest_of_the_heaviest_goes(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	uint64_t before = 0, now;

	def.subs[1] = def.subs[0];
	def.subs[1].name = "t";
	def.subs[1].channels = "b";
	def.subs_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "x", 5, "a");
	fx_items(fx, "y", 1000, "b");
	come_to_the_mark(fx);
	assert_int_equal(fx_claim(fx, def.subs[1].number).expired, 0); /* it only came there */
	fx_advance(fx, 5000);
	expire_all(fx);
	now = fx_claim(fx, def.subs[1].number).expired;
	assert_in_range(now, 50, 300);
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->first, 6);
	assert_string_equal(fx_told(fx, STORE_EXPIRED)->name, "t");
	assert_string_equal(fx_told(fx, STORE_EXPIRED)->why.words, "store-full");
	/* no more before retirement had its turn */
	expire_all(fx);
	assert_int_equal(fx_claim(fx, def.subs[1].number).expired, now);
	while (now < 900) {
		assert_int_equal(fx_claim(fx, def.subs[0].number).expired, 0);
		assert_true(now > before);
		before = now;
		assert_int_equal(items_retire(fx->items, fx->wall_ms), 1);
		while (items_retire(fx->items, fx->wall_ms) == 1)
			;
		expire_all(fx);
		now = fx_claim(fx, def.subs[1].number).expired;
	}
	items_usage_fake(fx->items, 0);
	fx_maintain(fx);
	assert_fetch(fx, def.subs[0].number, LANE_ROUTINE, "1 2 3 4 5 skip6-1005");
}

/* what a light one is owed too would free nothing; where all that goes is of that kind, it goes all
 * the same, the oldest first, and kills last */
static void at_the_mark_what_frees_nothing_stays(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);

	def.subs[1] = def.subs[0];
	def.subs[1].name = "t";
	def.subs[1].channels = "*";
	def.subs_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_put(fx, .uri = "urn:k", .channel = "a", .status = STATUS_CANCELED); /* 1 */
	fx_items(fx, "x", 9, "a");
	fx_items(fx, "y", 300, "b");
	come_to_the_mark(fx);
	fx_advance(fx, 5000);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, def.subs[0].number).expired, 0);
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->subscription, def.subs[1].number);
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->first, 11);
	/* the figure does not fall, so in the end all goes */
	for (unsigned i = 0; i < 40; i++) {
		assert_true(fx_claim(fx, def.subs[0].number).expired == 0 ||
			    fx_claim(fx, def.subs[1].number).expired >= 300);
		fx_advance(fx, 5000);
		while (items_retire(fx->items, fx->wall_ms) == 1)
			;
		expire_all(fx);
	}
	assert_int_equal(fx_claim(fx, def.subs[0].number).expired, 10);
	assert_int_equal(fx_claim(fx, def.subs[1].number).expired, 310);
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->first, 1); /* the kill, last */
	assert_int_equal(fx_told(fx, STORE_EXPIRED)->items, 1);
	items_usage_fake(fx->items, 0);
	fx_maintain(fx);
}

/* whoever is down to half of the heaviest is light, until they are as heavy again */
static void at_the_mark_the_heavier_one_comes_down_to_the_next(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	uint64_t heavier = 0, next = 0;

	def.subs[1] = def.subs[0];
	def.subs[1].name = "t";
	def.subs[1].channels = "b";
	def.subs_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "x", 450, "a");
	fx_items(fx, "y", 1000, "b");
	come_to_the_mark(fx);
	fx_advance(fx, 5000);
	while (next == 0) {
		expire_all(fx);
		while (items_retire(fx->items, fx->wall_ms) == 1)
			;
		heavier = fx_claim(fx, def.subs[1].number).expired;
		next = fx_claim(fx, def.subs[0].number).expired;
	}
	assert_in_range(heavier, 450, 650);
	items_usage_fake(fx->items, 0);
	fx_maintain(fx);
}

/* subscriptions "s", "t", "u" of vna, and "v" of kpl */
static struct fx_def two_partners(const char *s, const char *t, const char *u, const char *v)
{
	struct fx_def def = fx_def_one(s, true);

	def.partners[1].name = "kpl";
	def.partners_n = 2;
	def.subs[3] = def.subs[2] = def.subs[1] = def.subs[0];
	def.subs[1].name = "t";
	def.subs[1].channels = t;
	def.subs[2].name = "u";
	def.subs[2].channels = u;
	def.subs[3].name = "v";
	def.subs[3].channels = v;
	def.subs[3].partner = "kpl";
	def.subs_n = 4;
	return def;
}

/* who is owed much by many subscriptions is as heavy as by one */
static void at_the_mark_a_partner_is_weighed_as_one(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = two_partners("a", "b", "c", "d");

	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "x", 250, "d");
	fx_items(fx, "a", 200, "a");
	fx_items(fx, "b", 200, "b");
	fx_items(fx, "c", 200, "c");
	come_to_the_mark(fx);
	fx_advance(fx, 5000);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, def.subs[3].number).expired, 0);
	assert_in_range(fx_claim(fx, def.subs[0].number).expired, 50, 200);
	items_usage_fake(fx->items, 0);
	fx_maintain(fx);
}

/* what several of its subscriptions are owed fills the store once */
static void at_the_mark_what_is_owed_twice_weighs_once(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = two_partners("a", "a", "a", "d");

	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "a", 240, "a");
	fx_items(fx, "x", 500, "d");
	come_to_the_mark(fx);
	fx_advance(fx, 5000);
	expire_all(fx);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fx_claim(fx, def.subs[i].number).expired, 0);
	assert_in_range(fx_claim(fx, def.subs[3].number).expired, 50, 300);
	items_usage_fake(fx->items, 0);
	fx_maintain(fx);
}

/* in several spans, and several steps for each; who came and read is light again */
static void at_the_mark_all_of_a_long_feed_is_weighed(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = two_partners("a", "b", "a", "d");

	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "x", 900, "d");
	fx_items(fx, "a", 700, "a");
	fx_items(fx, "b", 700, "b");
	fx_items(fx, "y", 500, "d");
	come_to_the_mark(fx);
	fx_advance(fx, 5000);
	expire_all(fx); /* 1400 each: both are heavy */
	assert_in_range(fx_claim(fx, def.subs[3].number).expired, 50, 300);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fx_claim(fx, def.subs[i].number).expired, 0);
	fx_settle_as(fx, def.subs[3].number, SETTLE_ACKED, 1, 2000);
	while (items_retire(fx->items, fx->wall_ms) == 1)
		;
	fx_advance(fx, 5000);
	expire_all(fx);
	assert_in_range(fx_claim(fx, def.subs[3].number).expired, 50, 300);
	assert_in_range(fx_claim(fx, def.subs[0].number).expired, 50, 300);
	assert_int_equal(fx_claim(fx, def.subs[0].number).expired,
			 fx_claim(fx, def.subs[2].number).expired);
	items_usage_fake(fx->items, 0);
	fx_maintain(fx);
}

/* a flood that nobody reads pushes nobody out, however long it lasts */
static void at_the_mark_a_flood_pushes_nobody_out(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	char prefix[8];

	def.subs[1] = def.subs[0];
	def.subs[1].name = "t";
	def.subs[1].channels = "b";
	def.subs_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "x", 20, "a");
	fx_items(fx, "y", 200, "b");
	come_to_the_mark(fx);
	for (unsigned i = 0; i < 30; i++) {
		fx_advance(fx, 5000);
		while (items_retire(fx->items, fx->wall_ms) == 1)
			;
		expire_all(fx);
		snprintf(prefix, sizeof(prefix), "f%u-", i);
		items_usage_fake(fx->items, 0); /* it takes turns with what makes room */
		fx_items(fx, prefix, 100, "b");
		items_usage_fake(fx->items, 90);
	}
	assert_int_equal(fx_claim(fx, def.subs[0].number).expired, 0);
	assert_in_range(fx_claim(fx, def.subs[1].number).expired, 2000, 3200);
	items_usage_fake(fx->items, 0);
	fx_maintain(fx);
}

/* when it is the photos that are full, who is owed those is heavy, and many stories weigh nothing
 */
static void at_the_mark_of_photos_photos_weigh(void **state)
{
	struct fx *fx = *state;
	struct store_part part = { .number = 7, .size = 1 << 20, .name = slice_str("a") };
	struct fx_def def = fx_def_one("a", true);

	def.subs[1] = def.subs[0];
	def.subs[1].name = "t";
	def.subs[1].channels = "b";
	def.subs_n = 2;
	assert_int_equal(fx_define(fx, &def), 0);
	fx_items(fx, "y", 300, "b");
	fx_put(fx, .uri = "urn:p", .channel = "a", .parts = &part, .parts_n = 1);
	fx_maintain(fx);
	items_photos_percent(fx->items, 85);
	for (unsigned s = 0; s < 3; s++)
		fx_maintain(fx);
	items_photos_percent(fx->items, 90);
	fx_maintain(fx);
	fx_advance(fx, 5000);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, def.subs[0].number).expired, 1);
	assert_int_equal(fx_claim(fx, def.subs[1].number).expired, 0);
	items_photos_percent(fx->items, 0);
	fx_maintain(fx);
}

/* what nobody is owed goes first, however long the store has stood at the mark */
static void at_the_mark_debts_wait_for_what_nobody_is_owed(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "a", true);

	fx_items(fx, "x", 100, "a");
	come_to_the_mark(fx);
	fx_items(fx, "n", 300, "nobody");
	fx_advance(fx, 5000);
	assert_int_equal(items_retire(fx->items, fx->wall_ms), 1);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 0);
	while (items_retire(fx->items, fx->wall_ms) == 1) {
		expire_all(fx);
		assert_true(fx_entries(fx, T_ITEMS) == 100 || fx_claim(fx, sub).expired == 0);
	}
	expire_all(fx);
	assert_true(fx_claim(fx, sub).expired > 0);
	items_usage_fake(fx->items, 0);
	fx_maintain(fx);
}

/* n items on channel a, each with a photo of 1 MiB */
static void photos(struct fx *fx, const char *prefix, unsigned n)
{
	struct store_part part = { .number = 7, .size = 1 << 20, .name = slice_str("a") };
	char uri[32];

	for (unsigned i = 0; i < n; i++) {
		snprintf(uri, sizeof(uri), "urn:%s%u", prefix, i);
		fx_put(fx, .uri = uri, .channel = "a", .parts = &part, .parts_n = 1);
	}
}

static void retire_all(struct fx *fx)
{
	int r;

	while ((r = items_retire(fx->items, fx->wall_ms)) == 1)
		;
	assert_int_equal(r, 0);
}

/* the store has stood at the mark of photos for a while when the backlog passes its size */
static uint32_t too_large_at_the_mark(struct fx *fx, struct fx_def *def)
{
	uint32_t sub;

	def->subs[0].backlog_size = 7 << 20;
	assert_int_equal(fx_define(fx, def), 0);
	sub = def->subs[0].number;
	photos(fx, "x", 2);
	fx_maintain(fx);
	items_photos_percent(fx->items, 90);
	fx_maintain(fx);
	photos(fx, "y", 15);
	fx_advance(fx, 10000);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 11);
	assert_string_equal(fx_told(fx, STORE_EXPIRED)->why.words, "backlog-size");
	return sub;
}

/* what went by a ceiling makes room too, in a moment: debts that need not go do not */
static void at_the_mark_what_a_ceiling_took_is_waited_for(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	uint32_t sub = too_large_at_the_mark(fx, &def);

	retire_all(fx);
	fx_advance(fx, 4900);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 11);
	items_photos_percent(fx->items, 35);
	fx_advance(fx, 10000);
	fx_maintain(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 11);
	items_photos_percent(fx->items, 0);
}

/* thousands take long to retire, and only then are the last one's photos deleted */
static void at_the_mark_the_last_that_went_is_waited_for(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	uint32_t sub = too_large_at_the_mark(fx, &def);

	fx_advance(fx, 4000);
	retire_all(fx);
	fx_advance(fx, 4900);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 11);
	fx_advance(fx, 100);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 17);
	items_photos_percent(fx->items, 0);
	fx_maintain(fx);
}

/* ... where it made none, the mark goes on */
static void at_the_mark_a_ceiling_is_not_waited_for_long(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	uint32_t sub = too_large_at_the_mark(fx, &def);

	retire_all(fx);
	fx_advance(fx, 5000);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, sub).expired, 17);
	assert_string_equal(fx_told(fx, STORE_EXPIRED)->why.words, "store-full");
	items_photos_percent(fx->items, 0);
	fx_maintain(fx);
}

/* something grows too old each second: the mark does not wait for each of them */
static void at_the_mark_steady_expiry_holds_nothing_up(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);
	bool full = false;

	def.subs[0].backlog_age_ms = 100000;
	assert_int_equal(fx_define(fx, &def), 0);
	for (unsigned i = 0; i < 300; i++) {
		char prefix[8];

		snprintf(prefix, sizeof(prefix), "p%u-", i);
		photos(fx, prefix, 1);
		if (i == 200)
			items_photos_percent(fx->items, 90);
		fx_advance(fx, 1000);
		expire_all(fx);
		retire_all(fx);
		if (i > 101 && i < 200)
			assert_string_equal(fx_told(fx, STORE_EXPIRED)->why.words, "backlog-age");
		if (i >= 200)
			full = full ||
			       strcmp(fx_told(fx, STORE_EXPIRED)->why.words, "store-full") == 0;
		assert_int_equal(full, i >= 205);
	}
	items_photos_percent(fx->items, 0);
	fx_maintain(fx);
}

/* photos that are to be deleted and cannot be yet: to give up more would make no room */
static void at_the_mark_deletions_that_are_held_up_are_waited_for(void **state)
{
	struct fx *fx = *state;
	struct fx_def def = fx_def_one("a", true);

	assert_int_equal(fx_define(fx, &def), 0);
	photos(fx, "x", 10);
	fx_maintain(fx);
	items_photos_percent(fx->items, 90);
	items_photos_held_up(fx->items, true);
	for (unsigned i = 0; i < 12; i++)
		fx_maintain(fx);
	items_photos_held_up(fx->items, false);
	fx_advance(fx, 4900);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, def.subs[0].number).expired, 0);
	fx_advance(fx, 100);
	expire_all(fx);
	assert_int_equal(fx_claim(fx, def.subs[0].number).expired, 10);
	items_photos_percent(fx->items, 0);
	fx_maintain(fx);
}

/* known stories fill the store: the history goes down to an hour, and no debt is touched before */
static void history_goes_before_debts(void **state)
{
	struct fx *fx = *state;
	uint32_t sub = fx_sub(fx, "*", true);
	uint64_t all;

	fx_items(fx, "x", 60, "a");
	for (uint64_t i = 1; i <= 60; i++)
		fx_ack(fx, sub, i);
	fx_advance(fx, 30 * DAY);
	fx_items(fx, "y", 60, "a");
	for (uint64_t i = 61; i <= 120; i++)
		fx_ack(fx, sub, i);
	fx_advance(fx, 10 * DAY);
	fx_items(fx, "z", 5, "a"); /* owed */
	for (unsigned i = 0; i < 10; i++)
		fx_maintain(fx);
	all = fx_entries(fx, T_STORIES) + 2 * fx_entries(fx, T_FRESH);
	assert_int_equal(all, 250);
	items_usage_fake(fx->items, 85);
	for (unsigned i = 0; i < 3 && fx_told(fx, STORE_HISTORY) == NULL; i++)
		fx_maintain(fx);
	assert_int_equal(fx_told(fx, STORE_HISTORY)->ms / DAY, 30); /* of 40 days three quarters */
	fx_maintain(fx);
	assert_int_equal(fx_entries(fx, T_STORIES), 130);
	for (unsigned i = 0; i < 60; i++) {
		fx_advance(fx, 1000);
		fx_maintain(fx);
	}
	assert_in_range(fx_entries(fx, T_STORIES) + 2 * fx_entries(fx, T_FRESH), 10, 15);
	assert_int_equal(fx_claim(fx, sub).expired, 0);
	items_usage_fake(fx->items, 0);
	fx_maintain(fx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, fx_setup, fx_teardown)
		T(goes_after_keep_when_nobody_is_owed),
		T(settled_behind_the_pass_goes_in_its_time),
		T(keep_is_shortened_when_nearly_full),
		T(rights_and_generations_decide),
		T(frozen_still_counts),
		T(last_use_tells_the_part),
		T(held_never_withheld_with_keep),
		T(held_ones_that_were_killed_go),
		T(history_ends),
		T(history_goes_before_debts),
		T(old_debts_expire_kills_last),
		T(what_came_after_the_tick_is_not_old),
		T(a_level_is_told_once),
		T(owed_at_most_leaves_out_what_is_gone),
		T(a_clock_that_jumps_expires_nothing),
		T(too_large_a_backlog_expires_oldest_first),
		T(at_the_mark_the_oldest_of_the_heaviest_goes),
		T(at_the_mark_what_frees_nothing_stays),
		T(at_the_mark_the_heavier_one_comes_down_to_the_next),
		T(at_the_mark_a_partner_is_weighed_as_one),
		T(at_the_mark_what_is_owed_twice_weighs_once),
		T(at_the_mark_all_of_a_long_feed_is_weighed),
		T(at_the_mark_a_flood_pushes_nobody_out),
		T(at_the_mark_debts_wait_for_what_nobody_is_owed),
		T(at_the_mark_of_photos_photos_weigh),
		T(at_the_mark_what_a_ceiling_took_is_waited_for),
		T(at_the_mark_the_last_that_went_is_waited_for),
		T(at_the_mark_a_ceiling_is_not_waited_for_long),
		T(at_the_mark_steady_expiry_holds_nothing_up),
		T(at_the_mark_deletions_that_are_held_up_are_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
