/* uses: daemon/store */
/*
 * A script of batches, cut off at every place where it can be: by a death, then by an error. What
 * was acknowledged must be there whole, nothing may be there by half, and the script run again must
 * end where it ends when nothing fails.
 */
#include "../unit/daemon/store/items_fixture.h"
#include "base/fault.h"
#include "tests/faults.h"

#include <errno.h>
#include <sys/wait.h>

#define DOCUMENT 9000
#define NAMES_N  32 /* documents of the script */

/* ---- the script */

enum kind { END, PUTS, RELEASE, DEFINE, SETTLE, MERGE };
struct step {
	enum kind kind;
	int64_t advance_ms;
	struct it its[6];
	uint64_t position; /* SETTLE: up to it */
};

static const struct store_part photo = { .number = 5,
					 .size = 1000,
					 .name = { (uint8_t *)"a.jpg", 5 } };

#define SOON (START + 5000)
// clang-format off
static const struct step script[] = {
	{ .kind = DEFINE },
	{ .kind = PUTS, .its = { { .uri = "a" }, { .uri = "b", .parts = &photo, .parts_n = 1 }, { .uri = "a" } } },
	{ .kind = PUTS, .its = { { .uri = "c", .embargo_ms = SOON }, { .uri = "d", .embargo_ms = SOON },
				 { .uri = "e", .embargo_ms = SOON }, { .uri = "w", .status = STATUS_WITHHELD } } },
	{ .kind = SETTLE, .advance_ms = 10, .position = 1 },
	{ .kind = MERGE }, /* half of what is in `fresh`; what follows changes both halves */
	{ .kind = PUTS, .advance_ms = 10,
	  .its = { { .uri = "a", .version = "2" }, { .uri = "d", .version = "2" },
		   { .uri = "e", .status = STATUS_CANCELED }, { .uri = "f", .version = "3" } } },
	{ .kind = PUTS, .advance_ms = 70000,
	  .its = { { .uri = "f", .version = "1" }, { .uri = "b", .status = STATUS_CANCELED } } },
	{ .kind = RELEASE },
	{ .kind = SETTLE, .advance_ms = 10, .position = 4 },
	{ .kind = MERGE }, /* to its end */
	{ .kind = MERGE }, /* what was merged goes */
	{ .kind = PUTS, .its = { { .uri = "c", .version = "2" }, { .uri = "g", .urgency = 1 } } },
	{ .kind = END },
};
// clang-format on
#define ITEMS_N 14 /* that it stores: the second "a" is a duplicate */

/* what was acknowledged, as it comes through the pipe */
struct acked {
	bool settled; /* else a put */
	uint64_t sequence, position;
	enum result result;
	char document[DOCUMENT];
};

struct player {
	struct fx *fx;
	void (*acked)(struct player *player, const struct acked *acked);
	int fd;
	struct acked *list;
	unsigned n;
	uint32_t subscription;
	bool refused; /* something was, and the script went on */
};

/* a document tells which item it is, and fills some rows */
static void document_of(const struct it *it, char to[DOCUMENT])
{
	int n = snprintf(to, 64, "%s/%s/%d/", it->uri, it->version == NULL ? "1" : it->version,
			 (int)it->status);

	for (int i = n; i < DOCUMENT - 1; i++)
		to[i] = (char)('a' + (i * 7 + to[0]) % 26);
	to[DOCUMENT - 1] = '\0';
}

static int run_req(struct player *player, struct store_req *req)
{
	return items_batch(player->fx->items, req, player->fx->boot_ms, player->fx->wall_ms);
}

static int play_puts(struct player *player, const struct it *its)
{
	static char documents[6][DOCUMENT];
	static struct fx_put puts[6];
	unsigned n = 0;
	int r;

	for (; n < 6 && its[n].uri != NULL; n++) {
		struct it it = its[n];

		document_of(&it, documents[n]);
		it.document = documents[n];
		fx_make(&puts[n], &it);
		if (n > 0)
			puts[n - 1].put.req.next = &puts[n].put.req;
	}
	r = run_req(player, &puts[0].put.req);
	for (unsigned i = 0; i < n; i++) {
		/* without a durable commit there is nothing to answer with */
		assert_true(puts[i].put.receipt == NULL || (r == 0 && puts[i].put.req.code == 0));
		struct given given = fx_given(&puts[i].put);
		struct acked acked = { .sequence = given.sequence,
				       .position = given.position,
				       .result = given.result };

		player->refused = player->refused || (r >= 0 && given.code < 0);
		/* fatal: done() is called for none of them */
		if (r < 0 || given.code < 0)
			continue;
		memcpy(acked.document, documents[i], DOCUMENT);
		player->acked(player, &acked);
	}
	return r;
}

static int play_define(struct player *player)
{
	struct store_partner_def partners[] = { { .name = "kpl" }, { .name = "ttx" } };
	struct store_sub_def subs[] = { { .name = "all",
					  .partner = "ttx",
					  .channels = "*",
					  .filter = "",
					  .rights = "*",
					  .start_all = true,
					  .backlog_age_ms = 30 * DAY,
					  .backlog_size = 1 << 30 } };
	struct store_define define = { .req = { .kind = REQ_DEFINE },
				       .partners = partners,
				       .partners_n = 2,
				       .subscriptions = subs,
				       .subscriptions_n = 1 };
	int r = run_req(player, &define.req);

	player->subscription = subs[0].number;
	return r;
}

static int play_settle(struct player *player, uint64_t upto)
{
	struct settle_run runs[8];
	struct store_settle settle = { .req = { .kind = REQ_SETTLE }, .runs = runs };
	struct acked acked = { .settled = true, .position = upto };
	int r;

	if (player->subscription == 0)
		return 0; /* it could not be defined */
	for (uint64_t i = 1; i <= upto; i++)
		runs[settle.n++] = (struct settle_run){ .subscription = player->subscription,
							.how = SETTLE_ACKED,
							.first = i,
							.last = i,
							.sequence = i,
							.at_ms = player->fx->wall_ms };
	r = run_req(player, &settle.req);
	if (r == 0 && settle.req.code == 0)
		player->acked(player, &acked);
	return r;
}

/* four transactions of it */
static int play_merge(struct player *player)
{
	int r = 1;

	for (unsigned i = 0; r > 0 && i < 4; i++)
		r = items_merge(player->fx->items);
	return r;
}

static int play_step(struct player *player, const struct step *step)
{
	fx_advance(player->fx, step->advance_ms);
	switch (step->kind) {
	case PUTS:
		return play_puts(player, step->its);
	case RELEASE:
		return fx_release(player->fx);
	case DEFINE:
		return play_define(player);
	case SETTLE:
		return play_settle(player, step->position);
	case MERGE:
		return play_merge(player);
	default:
		return 0;
	}
}

/* errors that a daemon survives: later */
static bool goes_on(int r)
{
	return r >= 0 || r == NX_EFULL || r == NX_ENOMEM;
}

static int play(struct player *player)
{
	struct fx *fx = player->fx;
	struct why why;
	int r = items_open(&fx->conf, &fx->items, &why);

	for (const struct step *step = script; goes_on(r) && fx->items != NULL && step->kind != END;
	     step++)
		r = play_step(player, step);
	items_close(&fx->items);
	return r;
}

/* ---- is it all true? */

static void check_item(struct txn *txn, uint64_t sequence, const char *document)
{
	struct identity_row identity;
	struct story_row story;
	struct feed_row feed;
	struct record record;
	struct slice value;
	uint8_t *octets, key[16];
	int r = record_read(txn, sequence, &record, &octets);

	assert_int_equal(r, 0);
	assert_int_equal(record.document_n, DOCUMENT - 1);
	if (document != NULL)
		assert_memory_equal(octets + record.envelope_n, document, DOCUMENT - 1);
	assert_int_equal(identity_find(txn, record.identity, record.sequence, &identity), 1);
	assert_true(identity.sequence == sequence);
	assert_memory_equal(identity.content, record.content, 32);
	assert_int_equal(story_find(txn, record.story, record.sequence, &story), 1);
	assert_true(story.newest >= sequence || record.kill || story.newest != 0);
	assert_true((story.kill == sequence) == record.kill);
	if (record.position != 0) {
		assert_true(feed_get(txn, record.position, &feed));
		assert_true(feed.sequence == sequence);
		assert_true(record.state == ITEM_RELEASED || record.state == ITEM_SUPERSEDED);
	}
	if (record.state == ITEM_HELD) {
		assert_true(story.held == sequence && story.kill == 0);
		assert_true(record.position == 0);
	} else {
		assert_true(story.held != sequence);
	}
	if (story.kill != 0 && !record.kill)
		assert_int_equal(story_verdict(txn, &record, true), SETTLE_KILLED);
	for (unsigned i = 0; i < record.parts_n; i++) {
		pack_be64(pack_be64(key, record.parts[i].number), sequence);
		assert_true(txn_get(txn, T_USES, slice_of(key, 16), &value));
		assert_true(items_had(txn, record.parts[i].number, record.partner));
	}
	free(octets);
	record_done(&record);
}

/* every table agrees with the others */
static void check_tables(struct txn *txn)
{
	uint64_t n = txn_entries(txn, T_ITEMS), held = 0, positions = 0, last = 0;
	struct items_count count;
	struct record record;
	struct feed_row feed;
	struct cur cur;

	assert_true(count_get(txn, &count));
	assert_true(count.sequence_last == n); /* nothing was retired: no gaps */
	cur_open(&cur, txn, T_ITEMS);
	for (bool ok = cur_first(&cur); ok; ok = cur_next(&cur)) {
		assert_int_equal(record_head(txn, u64_of(cur.key), &record), 0);
		held += record.state == ITEM_HELD;
		positions += record.position != 0;
		check_item(txn, record.sequence, NULL);
	}
	cur_close(&cur);
	assert_true(txn_entries(txn, T_HELD) == held && count.held == held);
	assert_true(txn_entries(txn, T_FEED) == positions && count.position_last == positions);
	assert_true(txn_entries(txn, T_BODIES) == 2 * n);
	cur_open(&cur, txn, T_FEED);
	for (bool ok = cur_first(&cur); ok; ok = cur_next(&cur)) {
		assert_true(feed_parse(cur.key, cur.value, &feed));
		assert_true(feed.position == ++last && feed.total_items == last);
	}
	cur_close(&cur);
	assert_int_equal(txn->r, 0);
}

static void check_acked(struct fx *fx, struct txn *txn, const struct acked *acked)
{
	struct record record;

	if (acked->settled) {
		struct store_claim claim = { .req = { .kind = REQ_CLAIM }, .subscription = 1 };

		items_claim(fx->items, txn, &claim);
		assert_int_equal(claim.req.code, 0);
		assert_true(claim.acked_last >= acked->position);
		return;
	}
	check_item(txn, acked->sequence, acked->document);
	if (acked->position == 0)
		return;
	assert_int_equal(record_head(txn, acked->sequence, &record), 0);
	assert_true(record.position == acked->position);
}

static void check_store(struct fx *fx, const struct acked *acked, unsigned n)
{
	struct txn txn;

	assert_int_equal(fx_open(fx), 0);
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	for (unsigned i = 0; i < n; i++)
		check_acked(fx, &txn, &acked[i]);
	check_tables(&txn);
	assert_int_equal(txn_end(&txn), 0);
	items_close(&fx->items);
}

/* ---- the loops */

static void keep(struct player *player, const struct acked *acked)
{
	assert_true(player->n < NAMES_N);
	player->list[player->n++] = *acked;
}

static void tell(struct player *player, const struct acked *acked)
{
	const char *p = (const char *)acked;

	for (size_t n = sizeof(*acked); n > 0;) {
		ssize_t r = write(player->fd, p, n);

		if (r < 0 && errno != EINTR)
			_exit(1);
		p += r > 0 ? r : 0;
		n -= r > 0 ? (size_t)r : 0;
	}
}

static unsigned hear(int fd, struct acked *list)
{
	size_t got = 0;
	ssize_t r;

	while ((r = read(fd, (char *)list + got, NAMES_N * sizeof(*list) - got)) != 0) {
		if (r < 0 && errno != EINTR)
			break;
		got += r > 0 ? (size_t)r : 0;
	}
	assert_true(got % sizeof(*list) == 0);
	return (unsigned)(got / sizeof(*list));
}

/* nothing fails this time: everything that the script stores is there at the end */
static void play_to_the_end(struct fx *fx)
{
	struct player player = { .fx = fx, .acked = keep };
	struct txn txn;

	player.list = calloc(NAMES_N, sizeof(*player.list));
	assert_non_null(player.list);
	fx->boot_ms = 1000000; /* the day begins anew */
	fx->wall_ms = START;
	items_close(&fx->items);
	assert_true(play(&player) >= 0);
	assert_int_equal(player.n, ITEMS_N + 1 + 2);
	check_store(fx, player.list, player.n);
	assert_int_equal(fx_open(fx), 0);
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_int_equal(txn_entries(&txn, T_ITEMS), ITEMS_N);
	assert_int_equal(txn_entries(&txn, T_HELD), 1);
	txn_end(&txn);
	free(player.list);
}

static void nothing_fails(void **state)
{
	play_to_the_end(*state);
}

static void fx_small(struct fx *fx)
{
	fx_folder(fx);
	fx_conf(fx);
	fx->conf.size = 8 << 20;
	fx->conf.fresh_most = 8; /* merged from four on */
}

/* returns false when the script ran to its end without meeting the n-th place */
static bool one_death(unsigned n)
{
	struct fx *fx = calloc(1, sizeof(*fx));
	struct acked *list = calloc(NAMES_N, sizeof(*list));
	int fds[2], status;
	unsigned got;
	pid_t child;

	assert_non_null(fx);
	assert_non_null(list);
	fx_small(fx);
	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct player player = { .fx = fx, .acked = tell, .fd = fds[1] };

		close(fds[0]);
		fault_arm(NULL, n, true);
		play(&player);
		_exit(0);
	}
	close(fds[1]);
	got = hear(fds[0], list);
	close(fds[0]);
	assert_true(waitpid(child, &status, 0) == child);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 137 || WEXITSTATUS(status) == 0);
	check_store(fx, list, got);
	play_to_the_end(fx);
	fx_teardown((void **)&fx);
	free(list);
	return WEXITSTATUS(status) == 137;
}

static void dying_at_each_place(void **state)
{
	unsigned n = 1;

	(void)state;
	need_faults();
	while (n < 5000 && one_death(n))
		n++;
	print_message("died at %u places\n", n - 1);
	assert_in_range(n, 100, 4999);
}

static unsigned played; /* how often the script came to its end after an error */

static bool one_error(const char *place, unsigned n)
{
	struct fx *fx = calloc(1, sizeof(*fx));
	struct player player = { .fx = fx, .acked = keep };
	bool fired;

	assert_non_null(fx);
	player.list = calloc(NAMES_N, sizeof(*player.list));
	assert_non_null(player.list);
	fx_small(fx);
	fault_arm(place, n, false);
	play(&player);
	fired = fault_fired();
	fault_off();
	check_store(fx, player.list, player.n);
	if (n % 4 == 0 && !player.refused) { /* what was refused may meet its kill */
		play_to_the_end(fx);
		played++;
	}
	fx_teardown((void **)&fx);
	free(player.list);
	return fired;
}

static void an_error_at_each_place(void **state)
{
	unsigned n = 1;

	(void)state;
	need_faults();
	while (n < 5000 && one_error(NULL, n))
		n++;
	print_message("failed at %u places, %u played to the end\n", n - 1, played);
	assert_in_range(n, 100, 4999);
	assert_in_range(played, 20, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_fails, fx_setup, fx_teardown),
		cmocka_unit_test(dying_at_each_place),
		cmocka_unit_test(an_error_at_each_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
