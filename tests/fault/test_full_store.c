/* uses: daemon/store */
/* A store filled to the brim: it refuses, it settles all the same, it retires, and takes stories
 * again; round after round. */
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "store/items_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY    (INT64_C(24) * 3600 * 1000)
#define SUBS   2
#define SETTLE 64
#define BATCH  64

struct scene {
	char dir[256], items_dir[300], data[320];
	struct store_conf store;
	struct items *items;
	int64_t boot_ms, wall_ms;
	uint32_t subs[SUBS];
	uint64_t names, position_last, first; /* first: of this round */
	unsigned retired;
	char *document;
};

static void on_event(void *arg, const struct store_event *event)
{
	struct scene *scene = arg;

	if (event->kind == STORE_RETIRED)
		scene->retired += (unsigned)event->items;
	assert_int_not_equal(event->kind, STORE_FATAL);
	assert_int_not_equal(event->kind, STORE_CORRUPT);
}

static void on_unused(void *arg, uint64_t part)
{
	(void)arg;
	(void)part;
}

static void scene_open(struct scene *scene)
{
	struct items_conf conf = { .dir = scene->items_dir,
				   .size = UINT64_C(16) << 20,
				   .store = &scene->store,
				   .event = on_event,
				   .unused = on_unused,
				   .arg = scene };
	struct why why = { 0 };

	if (items_open(&conf, &scene->items, &why) < 0)
		fail_msg("items_open: %s", why.words);
}

static void batch(struct scene *scene, struct store_req *list)
{
	assert_int_equal(items_batch(scene->items, list, scene->boot_ms, scene->wall_ms), 0);
}

static void define(struct scene *scene)
{
	struct store_partner_def partner = { .name = "vna" };
	struct store_sub_def subs[SUBS];
	struct store_define define = { .req = { .kind = REQ_DEFINE },
				       .partners = &partner,
				       .partners_n = 1,
				       .subscriptions = subs,
				       .subscriptions_n = SUBS };
	static const char *const names[SUBS] = { "s1", "s2" };

	for (unsigned i = 0; i < SUBS; i++)
		subs[i] = (struct store_sub_def){ .name = names[i],
						  .partner = "vna",
						  .channels = "*",
						  .filter = "",
						  .rights = "*",
						  .start_all = true,
						  .backlog_age_ms = 30 * DAY,
						  .backlog_size = UINT64_C(1) << 40 };
	batch(scene, &define.req);
	assert_int_equal(define.req.code, 0);
	for (unsigned i = 0; i < SUBS; i++)
		scene->subs[i] = subs[i].number;
}

static int setup(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	const char *tmp = getenv("TMPDIR");

	snprintf(scene->dir, sizeof(scene->dir), "%s/newsxd-full-XXXXXX",
		 tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(scene->dir) == NULL)
		return -1;
	snprintf(scene->items_dir, sizeof(scene->items_dir), "%s/items", scene->dir);
	snprintf(scene->data, sizeof(scene->data), "%s/data.mdb", scene->items_dir);
	scene->boot_ms = 1000000;
	scene->wall_ms = INT64_C(1800000000000);
	scene->document = calloc(1, 3001);
	memset(scene->document, 'x', 3000);
	scene->store = (struct store_conf){ .directory = scene->dir,
					    .node = "test",
					    .times.keep_ms = 7 * DAY,
					    .times.orphan_keep_ms = 7 * DAY,
					    .times.history_keep_ms = 400 * DAY,
					    .times.embargo_ahead_ms = 400 * DAY,
					    .times.clock_jump_ms = 60000,
					    .times.held_size = 1 << 20 };
	*state = scene;
	scene_open(scene);
	define(scene);
	return 0;
}

static int teardown(void **state)
{
	struct scene *scene = *state;
	char path[400];

	items_close(&scene->items);
	unlink(scene->data);
	snprintf(path, sizeof(path), "%s/lock.mdb", scene->items_dir);
	unlink(path);
	rmdir(scene->items_dir);
	snprintf(path, sizeof(path), "%s/items.new", scene->dir);
	rmdir(path);
	rmdir(scene->dir);
	free(scene->document);
	free(scene);
	return 0;
}

struct one {
	struct facts facts;
	struct store_put put;
	char uri[40];
};

/* returns how many of the batch were stored */
static unsigned put_batch(struct scene *scene, unsigned n, size_t document_n)
{
	static struct one ones[BATCH];
	unsigned stored = 0;

	for (unsigned i = 0; i < n; i++) {
		struct one *one = &ones[i];

		memset(one, 0, sizeof(*one));
		snprintf(one->uri, sizeof(one->uri), "urn:%llu",
			 (unsigned long long)++scene->names);
		one->facts = (struct facts){ .origin = slice_str("kpl"),
					     .uri = slice_str(one->uri),
					     .version = slice_str("1"),
					     .channel = slice_str("world"),
					     .version_created_ms = TIME_NONE,
					     .embargo_ms = TIME_NONE };
		one->put = (struct store_put){ .req = { .kind = REQ_PUT, .partner = 1 },
					       .facts = &one->facts,
					       .envelope = slice_str("{}"),
					       .document = slice_of(scene->document, document_n),
					       .kills_per_day = 1000,
					       .received_ms = scene->wall_ms };
		if (i > 0)
			ones[i - 1].put.req.next = &one->put.req;
	}
	batch(scene, &ones[0].put.req);
	for (unsigned i = 0; i < n; i++) {
		if (ones[i].put.req.code == 0) {
			scene->position_last = receipt_position(ones[i].put.receipt);
			stored++;
		} else {
			assert_int_equal(ones[i].put.req.code, NX_EFULL);
		}
		items_receipt_free(&ones[i].put);
	}
	return stored;
}

static unsigned fill(struct scene *scene, size_t document_n)
{
	unsigned all = 0, n;

	scene->first = scene->position_last + 1;
	while ((n = put_batch(scene, BATCH, document_n)) > 0)
		all += n;
	while (put_batch(scene, 1, document_n) > 0) /* to the last one that fits */
		all++;
	while (put_batch(scene, 1, 10) > 0)
		all++;
	return all;
}

/* every debt, in runs of one subscription */
static void settle_all(struct scene *scene, uint32_t sub)
{
	struct settle_run runs[SETTLE];

	for (uint64_t at = scene->first; at <= scene->position_last;) {
		struct store_settle settle = { .req = { .kind = REQ_SETTLE }, .runs = runs };

		for (; settle.n < SETTLE && at <= scene->position_last; at++)
			runs[settle.n++] = (struct settle_run){ .subscription = sub,
								.how = SETTLE_ACKED,
								.first = at,
								.last = at,
								.sequence = at,
								.at_ms = scene->wall_ms };
		batch(scene, &settle.req);
		assert_int_equal(settle.req.code, 0);
	}
}

static uint64_t entries(struct scene *scene, enum items_table table)
{
	struct txn txn;
	uint64_t n;

	txn_begin(&txn, items_db(scene->items), TXN_READ);
	n = txn_entries(&txn, table);
	txn_abort(&txn);
	return n;
}

static void maintain(struct scene *scene)
{
	int r;

	for (unsigned i = 0; i < 10000; i++) {
		r = items_maintain(scene->items, scene->boot_ms, scene->wall_ms, false);
		assert_true(r >= 0);
		if (r == 0)
			return;
	}
	fail_msg("maintenance does not come to an end");
}

static uint64_t file_size(const struct scene *scene)
{
	struct stat st;

	assert_int_equal(stat(scene->data, &st), 0);
	return (uint64_t)st.st_size;
}

static void full_settled_retired_and_again(void **state)
{
	struct scene *scene = *state;
	unsigned least = UINT32_MAX;
	uint64_t size = file_size(scene);

	for (unsigned round = 0; round < 4; round++) {
		unsigned n = fill(scene, round % 2 == 0 ? 300 : 3000);
		struct store_state shown = { 0 };

		items_state(scene->items, &shown);
		print_message("round %u: %u items, %u %% of size\n", round, n, shown.items_percent);
		assert_in_range(shown.items_percent, 85, 100);
		assert_int_equal(put_batch(scene, 1, 10), 0);
		for (unsigned i = 0; i < SUBS; i++)
			settle_all(scene, scene->subs[i]);
		if (round == 1) { /* and over a restart in between */
			items_close(&scene->items);
			scene_open(scene);
		}
		scene->retired = 0;
		maintain(scene);
		assert_int_equal(scene->retired + entries(scene, T_ITEMS), n);
		scene->boot_ms += DAY * 8;
		scene->wall_ms += DAY * 8;
		if (round == 1)
			items_clock_ok(scene->items, scene->boot_ms,
				       scene->wall_ms); /* a week after a start is suspect */
		maintain(scene);
		assert_int_equal(scene->retired, n);
		assert_int_equal(entries(scene, T_ITEMS), 0);
		assert_int_equal(entries(scene, T_BODIES), 0);
		assert_int_equal(entries(scene, T_FEED), 0);
		assert_int_equal(entries(scene, T_OWED), SUBS);
		if (round == 0)
			assert_in_range(n, 5000, 100000);
		least = n < least ? n : least;
		assert_true(file_size(scene) == size);
	}
	assert_true(least > 500);
}

/* nobody settles: at the mark the oldest debts go, by rule, and there is room again */
static void nobody_answers(void **state)
{
	struct scene *scene = *state;
	struct store_claim claim = { .subscription = 0 };
	unsigned filled = fill(scene, 3000), n = filled, again = 0, more;
	struct txn txn;

	maintain(scene);
	while ((more = put_batch(scene, BATCH, 3000)) > 0) /* what a merge gave back */
		n += more;
	assert_in_range(n - filled, 0, filled / 20); /* no debt goes: somebody may answer yet */
	for (unsigned i = 0; i < 20; i++) {
		scene->boot_ms += 3000;
		scene->wall_ms += 3000;
		maintain(scene);
		again += put_batch(scene, BATCH, 3000);
	}
	assert_true(again > 100);
	claim.subscription = scene->subs[0];
	txn_begin(&txn, items_db(scene->items), TXN_READ);
	assert_int_equal(items_claim(scene->items, &txn, &claim), 0);
	txn_abort(&txn);
	assert_in_range(claim.expired, 100, n / 2);
	assert_int_equal(claim.owed_at_most + claim.expired, n + again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(full_settled_retired_and_again, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_answers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
