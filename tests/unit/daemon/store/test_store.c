/* the door, with threads for real: what is answered is on disk, what is leased stays, what nobody
 * uses goes */
#include "store_fixture.h"

#include "store/items_priv.h"
#include "store/store_priv.h"
#include "tests/faults.h"

#include <errno.h>
#include <sys/file.h>
#include <time.h>

static int setup(void **state)
{
	struct sx *sx = calloc(1, sizeof(*sx));

	sx_init(sx, false);
	*state = sx;
	return sx_open(sx);
}

static int setup_in_line(void **state)
{
	struct sx *sx = calloc(1, sizeof(*sx));

	sx_init(sx, true);
	*state = sx;
	return sx_open(sx);
}

static int teardown(void **state)
{
	struct sx *sx = *state;

	fault_off();
	clock_real();
	sx_end(sx);
	free(sx);
	return 0;
}

static unsigned fetch_all(struct sx *sx, uint64_t *sequences, unsigned most)
{
	struct store_fetch *fetch = calloc(1, sizeof(*fetch));
	unsigned n = 0;

	fetch->from = 1;
	do {
		fetch->req.kind = REQ_FETCH;
		fetch->subscription = sx->sub;
		fetch->items_max = FETCH_MAX;
		fetch->octets_max = 1 << 20;
		fetch->wall_ms = clock_wall_ms();
		assert_int_equal(sx_run(sx, &fetch->req), 0);
		for (unsigned i = 0; i < fetch->n; i++, n++) {
			assert_true(n < most);
			sequences[n] = fetch->items[i].sequence;
		}
		fetch->from = fetch->next;
		store_fetch_done(fetch);
	} while (!fetch->end);
	free(fetch);
	return n;
}

#define MANY 10000
static void ten_thousand_are_all_answered(void **state)
{
	struct sx *sx = *state;
	struct sx_put *puts = calloc(MANY, sizeof(*puts));
	uint64_t *sequences = calloc(MANY, sizeof(*sequences));
	uint8_t *seen = calloc(MANY + 1, 1);
	unsigned done = sx->done;
	struct store_state now;

	for (unsigned i = 0; i < MANY; i++) {
		sx_put_make(&puts[i], i % 3 == 0 ? sx->dpa : sx->afp, i, NULL, 0);
		sx_put_submit(sx, &puts[i]);
	}
	while (sx->done < done + MANY)
		sx_loop(sx, 10000);
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(puts[i].code, 0);
		assert_in_range(puts[i].sequence, 1, MANY);
		assert_int_equal(puts[i].position, puts[i].sequence);
		assert_int_equal(seen[puts[i].sequence]++, 0);
	}
	store_state(sx->store, &now);
	assert_int_equal(now.sequence_last, MANY);
	assert_int_equal(now.queued_items, 0);
	sx_reopen(sx);
	store_state(sx->store, &now);
	assert_int_equal(now.sequence_last, MANY);
	assert_int_equal(fetch_all(sx, sequences, MANY), MANY);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(sequences[i], i + 1);
	free(seen);
	free(sequences);
	free(puts);
}

/* closed in the middle: everything that was answered is there; nothing is there twice */
static void a_close_in_the_middle(void **state)
{
	struct sx *sx = *state;
	struct sx_put *puts = calloc(2000, sizeof(*puts)), *again = calloc(1, sizeof(*again));
	unsigned done = sx->done, answered = 0;

	for (unsigned i = 0; i < 2000; i++) {
		sx_put_make(&puts[i], sx->afp, i, NULL, 0);
		sx_put_submit(sx, &puts[i]);
	}
	while (sx->done == done)
		sx_loop(sx, 10000);
	sx_reopen(sx);
	for (unsigned i = 0; i < 2000; i++) {
		if (puts[i].put.req.arg != NULL)
			continue;
		answered++;
		sx_put_make(again, sx->afp, i, NULL, 0);
		assert_int_equal(sx_put(sx, again), 0);
		assert_int_equal(again->sequence, puts[i].sequence);
	}
	assert_true(answered > 0);
	free(puts);
	free(again);
	store_close(&sx->store);
	assert_int_equal(sx_verify(sx), 0);
}

static void one_daemon_a_directory(void **state)
{
	struct sx *sx = *state;
	struct store *second = NULL;
	struct why why;

	assert_int_equal(store_open(&sx->conf, &second, &why), NX_ELOCKED);
	assert_null(second);
	sx_reopen(sx);
}

/* cut anywhere, closed anywhere: it goes on at the committed octet */
static void a_part_goes_on_after_a_restart(void **state)
{
	struct sx *sx = *state;
	uint8_t *p = sx_octets(1, 300000);
	struct store_part_append append[2];
	struct store_part_begin begin;
	struct store_part_find find;
	struct store_part part;
	uint64_t number;

	assert_int_equal(sx_begin(sx, sx->afp, p, 300000, &begin), 0);
	number = begin.number;
	sx_append_make(&append[0], number, 0, p, 100001);
	assert_int_equal(sx_run(sx, &append[0].req), 0);
	sx_append_make(&append[1], number, 100001, p, 7);
	sx_submit(sx, &append[1].req); /* nobody waits for this one */
	sx_reopen(sx);
	assert_int_equal(sx_find(sx, sx->afp, p, 300000, &find), 0);
	assert_int_equal(find.number, number);
	assert_int_equal(find.offset, 100008);
	assert_false(find.complete);
	assert_int_equal(sx_find(sx, sx->dpa, p, 300000, &find), 0); /* another's */
	assert_int_equal(find.number, 0);
	assert_int_equal(sx_upload(sx, sx->afp, p, 300000, 70000, &part), 0);
	assert_int_equal(part.number, number);
	sx_assert_part(sx, number, p, 300000);
	free(p);
}

static void a_photo_is_stored_once_and_sent_twice(void **state)
{
	struct sx *sx = *state;
	uint8_t *p = sx_octets(2, 200000);
	struct store_part_find find, unknown;
	struct store_part first, second;
	struct sx_put put;

	assert_int_equal(sx_upload(sx, sx->afp, p, 200000, 65536, &first), 0);
	sx_put_make(&put, sx->afp, 1, &first, 1);
	assert_int_equal(sx_put(sx, &put), 0);
	store_unlease(sx->store, first.number);
	assert_int_equal(sx_find(sx, sx->dpa, p, 200000, &find), 0);
	p[0]++;
	assert_int_equal(sx_find(sx, sx->dpa, p, 200000, &unknown), 0);
	p[0]--;
	assert_int_equal(find.complete, unknown.complete);
	assert_int_equal(find.number, unknown.number);
	assert_int_equal(find.offset, unknown.offset);
	assert_int_equal(find.req.code, unknown.req.code);
	assert_int_equal(sx_upload(sx, sx->dpa, p, 200000, 100000, &second), 0);
	assert_int_equal(second.number, first.number);
	sx_put_make(&put, sx->dpa, 2, &second, 1);
	assert_int_equal(sx_put(sx, &put), 0);
	store_unlease(sx->store, second.number);
	assert_int_equal(sx_find(sx, sx->dpa, p, 200000, &find), 0); /* now it had it */
	assert_true(find.complete);
	store_unlease(sx->store, find.number);
	store_close(&sx->store);
	assert_int_equal(sx_verify(sx), 0);
	free(p);
}

/* a second goes by */
/* who asks and takes it back, over and over, makes no row of work */
static void nobody_waits_for_it_any_more(void **state)
{
	struct sx *sx = *state;
	uint8_t *p = sx_octets(5, 200000);
	struct store_part part;
	struct store_part_find find = {
		.req = { .kind = REQ_PART_FIND, .partner = sx->afp, .unwanted = true },
		.size = 200000
	};
	struct store_read_part read = { .req = { .kind = REQ_READ_PART, .unwanted = true },
					.n = 65536 };

	assert_int_equal(sx_upload(sx, sx->afp, p, 200000, 65536, &part), 0);
	read.number = part.number;
	memcpy(find.sha256, part.sha256, sizeof(find.sha256));
	assert_int_equal(sx_run(sx, &read.req), NX_ENOTOPEN);
	assert_null(read.octets);
	assert_int_equal(sx_run(sx, &find.req), NX_ENOTOPEN);
	assert_false(find.complete);
	sx_assert_part(sx, part.number, p, 200000);
	free(p);
}

static void tick(struct sx *sx)
{
	clock_advance(1001);
	store_tick(sx->store, clock_boot_ms(), clock_wall_ms(), true);
	sx_loop(sx, 20);
}

/* the item is settled and its keep is over: until it is retired */
static void retire(struct sx *sx)
{
	clock_fake(clock_boot_ms(), clock_wall_ms());
	clock_advance(8 * SX_DAY);
	store_clock_ok(sx->store);
	for (time_t end = time(NULL) + 30; sx->events[STORE_RETIRED] == 0; tick(sx))
		assert_true(time(NULL) < end);
}

static bool stands(struct sx *sx, uint64_t part)
{
	struct store_read_part read;
	int r = sx_read(sx, part, 0, 10, &read);

	assert_true(r == 0 || r == NX_ENOENT);
	free(read.octets);
	return r == 0;
}

static void until_gone(struct sx *sx, uint64_t part)
{
	for (time_t end = time(NULL) + 30; stands(sx, part); tick(sx))
		assert_true(time(NULL) < end);
}

static void stays(struct sx *sx, uint64_t part)
{
	for (unsigned i = 0; i < 10; i++) {
		tick(sx);
		assert_true(stands(sx, part));
	}
}

static void an_unused_part_goes_and_a_leased_one_stays(void **state)
{
	struct sx *sx = *state;
	uint8_t *p = sx_octets(3, 3000000);
	struct store_part_find find;
	struct store_part part;
	struct sx_put put;

	assert_int_equal(sx_upload(sx, sx->afp, p, 3000000, 1 << 20, &part), 0);
	sx_put_make(&put, sx->afp, 1, &part, 1);
	assert_int_equal(sx_put(sx, &put), 0);
	assert_int_equal(sx_settle(sx, put.position, put.position, put.sequence), 0);
	retire(sx); /* the item goes, the part is still leased */
	stays(sx, part.number);
	assert_int_equal(sx_find(sx, sx->afp, p, 3000000, &find), 0);
	assert_true(find.complete);
	store_unlease(sx->store, find.number);
	stays(sx, part.number);
	/* the last one: now it goes, and counts as gone at once */
	store_unlease(sx->store, part.number);
	assert_int_equal(sx_find(sx, sx->afp, p, 3000000, &find), 0);
	assert_false(find.complete);
	assert_int_equal(find.number, 0);
	until_gone(sx, part.number);
	sx_put_make(&put, sx->afp, 2, NULL, 0);
	assert_int_equal(sx_put(sx, &put), 0);
	store_close(&sx->store);
	assert_int_equal(sx_verify(sx), 0);
	free(p);
}

/* the photos writer does it, and the loop does not look yet */
static void photos_turn(struct sx *sx, struct store_req *req)
{
	sx_submit(sx, req);
	assert_true(worker_turn(sx->store->digest_worker));
	assert_true(worker_turn(sx->store->photos_worker));
}

/* the writer finds the photo here and keeps no second one, while the loop has begun to delete it */
static void a_photo_that_is_going_is_sent_again(void **state)
{
	struct sx *sx = *state;
	uint8_t *p = sx_octets(6, 50000);
	struct store_part_append append;
	struct store_part_begin begin;
	struct store_part part, again;
	struct sx_put put;

	assert_int_equal(sx_upload(sx, sx->afp, p, 50000, 1 << 20, &part), 0);
	sx_put_make(&put, sx->afp, 1, &part, 1);
	assert_int_equal(sx_put(sx, &put), 0);
	assert_int_equal(sx_settle(sx, put.position, put.position, put.sequence), 0);
	store_unlease(sx->store, part.number);
	retire(sx); /* step (1) is on its way */
	begin = (struct store_part_begin){ .req = { .kind = REQ_PART_BEGIN, .partner = sx->dpa },
					   .size = 50000,
					   .partials_max = 100,
					   .partials_octets_max = 1 << 30 };
	memcpy(begin.sha256, part.sha256, sizeof(begin.sha256));
	photos_turn(sx, &begin.req);
	sx_append_make(&append, begin.number, 0, p, 50000);
	photos_turn(sx, &append.req);
	assert_int_equal(append.number, part.number);
	assert_int_equal(sx_await(sx, &append.req), NX_EPARTSGONE);
	assert_false(append.complete);
	until_gone(sx, part.number);
	assert_int_equal(sx_upload(sx, sx->dpa, p, 50000, 1 << 20, &again), 0);
	assert_true(again.number > part.number);
	sx_put_make(&put, sx->dpa, 2, &again, 1);
	assert_int_equal(sx_put(sx, &put), 0);
	store_unlease(sx->store, again.number);
	sx_assert_part(sx, again.number, p, 50000);
	store_close(&sx->store);
	assert_int_equal(sx_verify(sx), 0);
	free(p);
}

static void no_deletion_during_a_backup(void **state)
{
	struct sx *sx = *state;
	uint8_t *p = sx_octets(4, 10000);
	struct store_part part;
	struct sx_put put;
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/backup.lock", sx->dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(sx_upload(sx, sx->afp, p, 10000, 1 << 20, &part), 0);
	sx_put_make(&put, sx->afp, 1, &part, 1);
	assert_int_equal(sx_put(sx, &put), 0);
	assert_int_equal(sx_settle(sx, put.position, put.position, put.sequence), 0);
	store_unlease(sx->store, part.number);
	retire(sx);
	stays(sx, part.number);
	assert_true(atomic_load(&sx->store->items->photos_held_up)); /* no debt goes for it */
	close(fd);
	until_gone(sx, part.number);
	tick(sx);
	assert_false(atomic_load(&sx->store->items->photos_held_up));
	free(p);
}

/* a photo that completed twice at once is one, whoever was first; and nothing of the other is left
 */
static void two_at_once(void **state)
{
	struct sx *sx = *state;
	uint8_t *p = sx_octets(5, 50000);
	struct store_part_begin begin[2];
	struct store_part_append append[2];

	assert_int_equal(sx_begin(sx, sx->afp, p, 50000, &begin[0]), 0);
	assert_int_equal(sx_begin(sx, sx->dpa, p, 50000, &begin[1]), 0);
	assert_true(begin[0].number != begin[1].number);
	for (unsigned i = 0; i < 2; i++) {
		sx_append_make(&append[i], begin[i].number, 0, p, 50000);
		sx_submit(sx, &append[i].req);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(sx_await(sx, &append[i].req), 0);
	assert_int_equal(append[0].number, append[1].number);
	clock_fake(clock_boot_ms(), clock_wall_ms());
	stays(sx, append[0].number);
	sx_assert_part(sx, append[0].number, p, 50000);
	store_close(&sx->store);
	assert_int_equal(sx_verify(sx), 0);
	free(p);
}

static void after_an_unsure_commit_nobody_is_told(void **state)
{
	struct sx *sx = *state;
	struct sx_put put;
	unsigned done = sx->done;

	need_faults();
	fault_arm("db.commit", 1, false);
	sx_put_make(&put, sx->afp, 1, NULL, 0);
	assert_int_equal(sx_put(sx, &put), NX_ECLOSED);
	assert_int_equal(sx->done, done);
	assert_int_equal(sx->events[STORE_FATAL], 1);
	assert_int_equal(sx->last[STORE_FATAL].code, NX_EUNSURE);
	sx_loop(sx, 0);
	assert_int_equal(sx->events[STORE_FATAL], 1); /* once */
}

static void in_line_needs_a_step(void **state)
{
	struct sx *sx = *state;
	struct sx_put put;
	unsigned done = sx->done;

	while (store_step(sx->store))
		;
	store_collect(sx->store);
	assert_false(store_step(sx->store));
	sx_put_make(&put, sx->afp, 1, NULL, 0);
	sx_put_submit(sx, &put);
	store_collect(sx->store);
	assert_int_equal(sx->done, done);
	assert_true(store_step(sx->store));
	assert_int_equal(sx->done, done);
	store_collect(sx->store);
	assert_int_equal(sx->done, done + 1);
	assert_int_equal(put.sequence, 1);
	assert_false(store_step(sx->store));
	assert_true(store_match(sx->store, sx->sub, slice_str("world")));
	assert_false(store_match(sx->store, sx->sub + 1, slice_str("world")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ten_thousand_are_all_answered),
		TEST(a_close_in_the_middle),
		TEST(one_daemon_a_directory),
		TEST(a_part_goes_on_after_a_restart),
		TEST(a_photo_is_stored_once_and_sent_twice),
		TEST(nobody_waits_for_it_any_more),
		TEST(an_unused_part_goes_and_a_leased_one_stays),
		TEST(no_deletion_during_a_backup),
		TEST(two_at_once),
		TEST(after_an_unsure_commit_nobody_is_told),
		cmocka_unit_test_setup_teardown(in_line_needs_a_step, setup_in_line, teardown),
		cmocka_unit_test_setup_teardown(a_photo_that_is_going_is_sent_again, setup_in_line,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
