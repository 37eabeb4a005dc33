/* the rules at the moment of storing: identities, versions, channels, parts, marks, batches */
#include "items_fixture.h"

static void first_item_gets_sequence_and_position(void **state)
{
	struct fx *fx = *state;
	struct given a = fx_put(fx, .uri = "urn:a"), b = fx_put(fx, .uri = "urn:b");
	struct store_state shown = { 0 };

	assert_int_equal(a.code, 0);
	assert_int_equal(a.sequence, 1);
	assert_int_equal(a.position, 1);
	assert_int_equal(a.result, RESULT_STORED);
	assert_true(a.stored_ms == START);
	assert_int_equal(b.sequence, 2);
	assert_int_equal(b.position, 2);
	items_state(fx->items, &shown);
	assert_int_equal(shown.sequence_last, 2);
	assert_int_equal(shown.position_last, 2);
	assert_true(shown.epoch != 0);
	assert_true(shown.items_used > 0 && shown.items_used < shown.items_octets);
}

static void what_was_given_outlives_a_restart(void **state)
{
	struct fx *fx = *state;
	struct store_state before = { 0 }, after = { 0 };
	struct given again;

	fx_put(fx, .uri = "urn:a");
	fx_put(fx, .uri = "urn:b");
	items_state(fx->items, &before);
	fx_reopen(fx);
	items_state(fx->items, &after);
	assert_true(before.epoch == after.epoch);
	assert_int_equal(after.sequence_last, 2);
	again = fx_put(fx, .uri = "urn:c");
	assert_int_equal(again.sequence, 3);
	assert_int_equal(again.position, 3);
}

static void duplicate_gives_the_old_numbers(void **state)
{
	struct fx *fx = *state;
	struct given a = fx_put(fx, .uri = "urn:a"), b;

	fx_advance(fx, 5000);
	b = fx_put(fx, .uri = "urn:a");
	assert_int_equal(b.code, 0);
	assert_int_equal(b.result, RESULT_DUPLICATE);
	assert_int_equal(b.sequence, a.sequence);
	assert_int_equal(b.position, a.position);
	assert_true(b.stored_ms == a.stored_ms);
	assert_int_equal(fx_entries(fx, T_ITEMS), 1);
	assert_int_equal(fx_entries(fx, T_FEED), 1);
}

static void other_content_is_a_conflict(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .document = "one");
	assert_int_equal(fx_put(fx, .uri = "urn:a", .document = "two").code, NX_ECONFLICT);
	assert_int_equal(fx_put(fx, .uri = "urn:a", .document = "one").code, 0);
}

static void a_refusal_says_what_it_met(void **state)
{
	struct fx *fx = *state;
	struct fx_put p;

	fx_put(fx, .uri = "urn:other");
	fx_put(fx, .uri = "urn:a", .document = "one");
	fx_make(&p, &(struct it){ .uri = "urn:a", .document = "two" });
	assert_int_equal(items_batch(fx->items, &p.put.req, fx->boot_ms, fx->wall_ms), 0);
	assert_int_equal(p.put.req.code, NX_ECONFLICT);
	assert_non_null(strstr(p.put.req.why.words, "seq 2 "));
}

static void parts_belong_to_the_content(void **state)
{
	struct fx *fx = *state;
	struct store_part part = { .number = 7, .size = 10, .name = slice_str("p.jpg") };

	fx_put(fx, .uri = "urn:a", .parts = &part, .parts_n = 1);
	assert_int_equal(fx_put(fx, .uri = "urn:a").code, NX_ECONFLICT);
	part.sha256[3] = 1;
	assert_int_equal(fx_put(fx, .uri = "urn:a", .parts = &part, .parts_n = 1).code,
			 NX_ECONFLICT);
	part.sha256[3] = 0;
	part.number = 8; /* stored under another number meanwhile: still the same content */
	assert_int_equal(fx_put(fx, .uri = "urn:a", .parts = &part, .parts_n = 1).result,
			 RESULT_DUPLICATE);
}

static void another_channel_is_refused(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .channel = "world");
	assert_int_equal(fx_put(fx, .uri = "urn:a", .channel = "sport").code, NX_EOTHERCHAN);
	assert_int_equal(
		fx_put(fx, .uri = "urn:a", .channel = "sport", .status = STATUS_CANCELED).code,
		NX_EOTHERCHAN);
}

static void a_story_lives_on_one_channel(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .version = "1", .channel = "world");
	assert_int_equal(fx_put(fx, .uri = "urn:a", .version = "2", .channel = "sport").code,
			 NX_EOTHERCHAN);
	assert_int_equal(fx_put(fx, .uri = "urn:a", .version = "2", .channel = "sport",
				.status = STATUS_CANCELED)
				 .code,
			 NX_EOTHERCHAN);
	/* no tombstone was set by what was refused */
	assert_int_equal(fx_put(fx, .uri = "urn:a", .version = "2", .channel = "world").code, 0);
}

static void versions_that_nobody_can_order_are_refused(void **state)
{
	struct fx *fx = *state;

	fx_put(fx, .uri = "urn:a", .version = "alpha");
	assert_int_equal(fx_put(fx, .uri = "urn:a", .version = "beta").code, NX_EORDER);
	fx_put(fx, .uri = "urn:b", .version = "alpha", .created_ms = 1000);
	assert_int_equal(fx_put(fx, .uri = "urn:b", .version = "beta", .created_ms = 2000).code, 0);
	assert_int_equal(fx_put(fx, .uri = "urn:b", .version = "gamma", .created_ms = 1500).result,
			 RESULT_SUPERSEDED);
	fx_put(fx, .uri = "urn:c", .version = "1");
	assert_int_equal(fx_put(fx, .uri = "urn:c", .version = "01").code, NX_EORDER);
}

static void an_older_version_is_superseded(void **state)
{
	struct fx *fx = *state;
	struct given three = fx_put(fx, .version = "3"), two = fx_put(fx, .version = "2");

	assert_int_equal(two.code, 0);
	assert_int_equal(two.result, RESULT_SUPERSEDED);
	assert_int_equal(two.position, 2);
	assert_int_equal(fx_head(fx, two.sequence).state, ITEM_SUPERSEDED);
	assert_int_equal(fx_verdict(fx, two.sequence, false), SETTLE_SUPERSEDED);
	assert_int_equal(fx_verdict(fx, two.sequence, true), SETTLE_ACKED);
	assert_int_equal(fx_verdict(fx, three.sequence, false), SETTLE_ACKED);
	assert_int_equal(fx_story(fx, "urn:1").newest, three.sequence);
	assert_int_equal(fx_story(fx, "urn:1").newest_released, three.sequence);
}

static void a_newer_version_replaces(void **state)
{
	struct fx *fx = *state;
	struct given one = fx_put(fx, .version = "9"), two = fx_put(fx, .version = "10");

	assert_int_equal(two.result, RESULT_STORED);
	assert_int_equal(fx_verdict(fx, one.sequence, false), SETTLE_SUPERSEDED);
	assert_int_equal(fx_verdict(fx, two.sequence, false), SETTLE_ACKED);
	assert_string_equal(fx_story(fx, "urn:1").version, "10");
}

static void a_kill_ends_the_story(void **state)
{
	struct fx *fx = *state;
	struct given one = fx_put(fx, .version = "1"), two, kill;

	two = fx_put(fx, .version = "2");
	kill = fx_put(fx, .version = "2", .status = STATUS_CANCELED, .document = "kill");
	assert_int_equal(kill.code, 0);
	assert_int_equal(kill.result, RESULT_STORED);
	assert_int_equal(kill.position, 3);
	assert_int_equal(fx_verdict(fx, one.sequence, true), SETTLE_KILLED);
	assert_int_equal(fx_verdict(fx, two.sequence, false), SETTLE_KILLED);
	assert_int_equal(fx_verdict(fx, kill.sequence, false), SETTLE_ACKED);
	assert_int_equal(fx_put(fx, .version = "3").code, NX_EKILLED);
	assert_int_equal(fx_put(fx, .version = "2").result, RESULT_DUPLICATE);
	assert_int_equal(fx_entries(fx, T_FLASH), 1);
}

static void an_old_kill_kills_the_new(void **state)
{
	struct fx *fx = *state;
	struct given five = fx_put(fx, .version = "5");
	struct given kill = fx_put(fx, .version = "1", .status = STATUS_CANCELED);

	assert_int_equal(kill.result, RESULT_STORED);
	assert_int_equal(fx_verdict(fx, five.sequence, false), SETTLE_KILLED);
}

static void a_kill_of_what_never_came_stands(void **state)
{
	struct fx *fx = *state;

	assert_int_equal(fx_put(fx, .version = "1", .status = STATUS_CANCELED).position, 1);
	assert_int_equal(fx_put(fx, .version = "1").code, NX_EKILLED);
}

static void further_kills_are_stored_once_each(void **state)
{
	struct fx *fx = *state;
	struct given a, b, c;

	fx_put(fx, .version = "1");
	a = fx_put(fx, .status = STATUS_CANCELED, .document = "k1");
	b = fx_put(fx, .status = STATUS_CANCELED, .document = "k2");
	c = fx_put(fx, .status = STATUS_CANCELED, .version = "2", .document = "k3");
	assert_int_equal(a.position, 2);
	assert_int_equal(b.position, 3);
	assert_int_equal(c.position, 4);
	assert_int_equal(fx_put(fx, .status = STATUS_CANCELED, .document = "k1").sequence,
			 a.sequence);
	assert_int_equal(fx_put(fx, .status = STATUS_CANCELED, .document = "k2").sequence,
			 b.sequence);
	assert_int_equal(fx_entries(fx, T_FEED), 4);
}

static void kills_of_a_day_are_counted(void **state)
{
	struct fx *fx = *state;
	const struct it kill = { .status = STATUS_CANCELED, .kills_per_day = 2 };
	struct it it = kill;

	it.uri = "urn:a";
	assert_int_equal(fx_it(fx, &it).code, 0);
	it.uri = "urn:b";
	assert_int_equal(fx_it(fx, &it).code, 0);
	assert_int_equal(fx_it(fx, &it).result, RESULT_DUPLICATE); /* not counted */
	it.uri = "urn:c";
	assert_int_equal(fx_it(fx, &it).code, NX_EKILLS);
	it.partner = 2;
	assert_int_equal(fx_it(fx, &it).code, 0);
	it.uri = "urn:d";
	it.partner = 1;
	fx_reopen(fx);
	assert_int_equal(fx_it(fx, &it).code, NX_EKILLS);
	fx_advance(fx, DAY);
	assert_int_equal(fx_it(fx, &it).code, 0);
}

static void parts_are_used_and_had(void **state)
{
	struct fx *fx = *state;
	struct store_part parts[] = { { .number = 7, .size = 10, .name = slice_str("a") },
				      { .number = 9, .size = 20, .name = slice_str("b") } };
	struct txn txn;

	fx_put(fx, .parts = parts, .parts_n = 2, .partner = 3);
	assert_int_equal(fx_entries(fx, T_USES), 2);
	assert_int_equal(fx_head(fx, 1).octets, 30 + 2 + strlen("{\"uri\":\"urn:1\"}"));
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_true(items_had(&txn, 9, 3));
	assert_false(items_had(&txn, 9, 1));
	assert_false(items_had(&txn, 8, 3));
	txn_end(&txn);
}

static int doom(struct fx *fx, uint64_t part, bool how)
{
	struct items_part_req req = { .req = { .kind = REQ_INTERNAL }, .part = part, .doom = how };

	assert_int_equal(items_batch(fx->items, &req.req, fx->boot_ms, fx->wall_ms), 0);
	return req.req.code;
}

static void a_doomed_part_is_gone(void **state)
{
	struct fx *fx = *state;
	struct store_part part = { .number = 7, .size = 10, .name = slice_str("a") };
	uint64_t *list;
	struct txn txn;
	size_t n;

	assert_int_equal(doom(fx, 7, true), 0);
	assert_int_equal(fx_put(fx, .parts = &part, .parts_n = 1).code, NX_EPARTSGONE);
	fx_reopen(fx);
	assert_int_equal(items_doomed(fx->items, &list, &n), 0);
	assert_int_equal(n, 1);
	assert_true(list[0] == 7);
	free(list);
	assert_int_equal(doom(fx, 7, false), 0);
	assert_int_equal(fx_put(fx, .parts = &part, .parts_n = 1).code, 0);
	assert_int_equal(doom(fx, 7, true), NX_EEXIST);
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_false(items_is_doomed(&txn, 7));
	txn_end(&txn);
}

static void items_of_one_batch_see_each_other(void **state)
{
	struct fx *fx = *state;
	struct it its[] = { { .version = "1" },
			    { .version = "1" },
			    { .version = "2" },
			    { .version = "1", .document = "other" },
			    { .status = STATUS_CANCELED },
			    { .version = "3" } };
	struct fx_put p[6];
	struct given given[6];

	for (int i = 5; i >= 0; i--) {
		fx_make(&p[i], &its[i]);
		p[i].put.req.next = i < 5 ? &p[i + 1].put.req : NULL;
	}
	assert_int_equal(items_batch(fx->items, &p[0].put.req, fx->boot_ms, fx->wall_ms), 0);
	for (int i = 0; i < 6; i++)
		given[i] = fx_given(&p[i].put);
	assert_int_equal(given[0].result, RESULT_STORED);
	assert_int_equal(given[1].result, RESULT_DUPLICATE);
	assert_int_equal(given[1].sequence, given[0].sequence);
	assert_int_equal(given[2].result, RESULT_STORED);
	assert_int_equal(given[3].code, NX_ECONFLICT);
	assert_int_equal(given[4].code, 0);
	assert_int_equal(given[5].code, NX_EKILLED);
}

/* ---- a store that fills up */

static void big_document(char *document, size_t n)
{
	memset(document, 'x', n - 1);
	document[n - 1] = '\0';
}

static void marks_leave_room_for_flash(void **state)
{
	struct fx *fx = *state;
	static char document[60000];
	struct store_state shown = { 0 };
	struct given given;
	char uri[32];
	unsigned n = 0, flash = 0, percent;

	big_document(document, sizeof(document));
	do {
		snprintf(uri, sizeof(uri), "urn:%u", n++);
		given = fx_put(fx, .uri = uri, .document = document);
	} while (given.code == 0 && n < 1000);
	assert_int_equal(given.code, NX_EFULL);
	items_state(fx->items, &shown);
	assert_in_range(shown.items_percent, 90, 95);
	percent = shown.items_percent;
	do {
		snprintf(uri, sizeof(uri), "urn:flash:%u", flash++);
		given = fx_put(fx, .uri = uri, .document = document, .urgency = 1);
	} while (given.code == 0 && flash < 1000);
	assert_int_equal(given.code, NX_EFULL);
	assert_true(flash > 1);
	items_state(fx->items, &shown);
	assert_in_range(shown.items_percent, percent + 2, 99); /* its share of four per cent */
}

static void a_faked_figure_counts(void **state)
{
	struct fx *fx = *state;

	items_usage_fake(fx->items, 96);
	assert_int_equal(fx_put(fx, .uri = "urn:a").code, NX_EFULL);
	assert_int_equal(fx_put(fx, .uri = "urn:b", .urgency = 1).code, 0);
	items_usage_fake(fx->items, 0);
	assert_int_equal(fx_put(fx, .uri = "urn:a").code, 0);
}

static struct store_req *chain(struct fx_put *p, unsigned n, const uint32_t *partners,
			       const char *document)
{
	for (unsigned i = n; i-- > 0;) {
		struct it it = { .partner = partners[i % 2], .document = document };

		fx_make(&p[i], &it);
		p[i].put.req.next = i + 1 < n ? &p[i + 1].put.req : NULL;
	}
	return &p[0].put.req;
}

static void a_batch_has_its_bounds(void **state)
{
	struct fx *fx = *state;
	struct fx_put *p = calloc(300, sizeof(*p));
	const uint32_t alone[] = { 1, 1 }, two[] = { 1, 2 };
	static char document[100000];

	assert_non_null(p);
	assert_int_equal(items_batch_size(fx->items, chain(p, 300, alone, "x")), 256);
	assert_int_equal(items_batch_size(fx->items, chain(p, 300, two, "x")), 64);
	assert_int_equal(items_batch_size(fx->items, chain(p, 5, two, "x")), 5);
	big_document(document, sizeof(document));
	assert_in_range(items_batch_size(fx->items, chain(p, 300, alone, document)), 30, 40);
	free(p);
}

/* the worst case of a batch is far more than what it takes: a store that has room must not refuse
 * for it */
static void a_batch_is_cut_before_it_refuses(void **state)
{
	struct fx *fx = *state;
	struct fx_put p[200];
	const uint32_t alone[] = { 1, 1 };
	unsigned n;

	items_usage_fake(fx->items, 93);
	n = items_batch_size(fx->items, chain(p, 200, alone, "x"));
	assert_in_range(n, 1, 199);
	p[n - 1].put.req.next = NULL;
	assert_int_equal(items_batch(fx->items, &p[0].put.req, fx->boot_ms, fx->wall_ms), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(fx_given(&p[i].put).code, 0);
	items_usage_fake(fx->items, 96); /* now it is full: all are told at once */
	assert_int_equal(items_batch_size(fx->items, chain(p, 200, alone, "x")), 200);
	assert_int_equal(items_batch(fx->items, &p[0].put.req, fx->boot_ms, fx->wall_ms), 0);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(p[i].put.req.code, NX_EFULL);
}

/* the map ends before the marks do: nobody but who is alone in its transaction is refused for it */
static void who_finds_the_map_full_is_refused_alone(void **state)
{
	struct fx *fx = *state;
	struct it it = { .uri = "urn:a" };
	struct fx_put a, large, b;
	struct given c;
	char *big = malloc((1 << 20) + 1);
	char uri[32];

	memset(big, 'x', 1 << 20);
	big[1 << 20] = '\0';
	fx->items->marks.size = fx->items->marks.settle = 1 << 20; /* pages */
	for (unsigned i = 0; i < 100; i++) {
		snprintf(uri, sizeof(uri), "urn:%u", i);
		if (fx_put(fx, .uri = uri, .document = big).code < 0)
			break;
	}
	fx_make(&a, &it);
	fx_make(&large, &(struct it){ .uri = "urn:large", .document = big });
	fx_make(&b, &(struct it){ .uri = "urn:b" });
	a.put.req.next = &large.put.req;
	large.put.req.next = &b.put.req;
	assert_int_equal(items_batch(fx->items, &a.put.req, fx->boot_ms, fx->wall_ms), 0);
	assert_int_equal(large.put.req.code, NX_EFULL);
	assert_null(large.put.receipt);
	assert_true(large.put.req.why.words[0] != '\0');
	assert_int_equal(fx_given(&a.put).result, RESULT_STORED);
	assert_int_equal(fx_given(&b.put).result, RESULT_STORED);
	c = fx_put(fx, .uri = "urn:c");
	assert_int_equal(fx_entries(fx, T_ITEMS), c.sequence); /* no number is lost */
	free(big);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fx_setup, fx_teardown)
	const struct CMUnitTest tests[] = {
		T(first_item_gets_sequence_and_position),
		T(what_was_given_outlives_a_restart),
		T(duplicate_gives_the_old_numbers),
		T(other_content_is_a_conflict),
		T(a_refusal_says_what_it_met),
		T(parts_belong_to_the_content),
		T(another_channel_is_refused),
		T(a_story_lives_on_one_channel),
		T(versions_that_nobody_can_order_are_refused),
		T(an_older_version_is_superseded),
		T(a_newer_version_replaces),
		T(a_kill_ends_the_story),
		T(an_old_kill_kills_the_new),
		T(a_kill_of_what_never_came_stands),
		T(further_kills_are_stored_once_each),
		T(kills_of_a_day_are_counted),
		T(parts_are_used_and_had),
		T(a_doomed_part_is_gone),
		T(items_of_one_batch_see_each_other),
		T(marks_leave_room_for_flash),
		T(a_faked_figure_counts),
		T(a_batch_has_its_bounds),
		T(a_batch_is_cut_before_it_refuses),
		T(who_finds_the_map_full_is_refused_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
