/* uses: daemon/store */
/*
 * The power goes at every place of a photo's life and of its deletion, one after the other, until
 * none is left: a child runs the story and dies there; what it said was done must stand, and the
 * store must be well again by itself.
 */
#include "tests/faults.h"
#include "tests/unit/daemon/store/store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#define PHOTO 2500000 /* more than one step of deletion */

/* what the child tells of its progress: only after the store answered */
enum progress { NOTHING, UPLOADED, STORED, UNUSED, ENDED };

static void tell(int fd, enum progress progress)
{
	uint8_t octet = (uint8_t)progress;

	if (write(fd, &octet, 1) != 1)
		_exit(3);
}

static void tick(struct sx *sx)
{
	clock_advance(1001);
	store_tick(sx->store, clock_boot_ms(), clock_wall_ms(), true);
	for (unsigned i = 0; i < 200 && store_step(sx->store); i++)
		store_collect(sx->store);
	store_collect(sx->store);
}

static bool stands(struct sx *sx, uint64_t part)
{
	struct store_read_part read;
	int r = sx_read(sx, part, 0, 10, &read);

	free(read.octets);
	return r == 0;
}

static void until_gone(struct sx *sx, uint64_t part)
{
	for (unsigned i = 0; i < 100 && stands(sx, part); i++)
		tick(sx);
}

/* a life: uploaded, stored, settled, retired, deleted */
static int live(struct sx *sx, const uint8_t *photo, int fd)
{
	struct store_part part;
	struct sx_put put;
	int r = sx_open(sx);

	if (r == 0)
		r = sx_upload(sx, sx->afp, photo, PHOTO, 1 << 20, &part);
	if (r < 0)
		return r;
	tell(fd, UPLOADED);
	sx_put_make(&put, sx->afp, 1, &part, 1);
	r = sx_put(sx, &put);
	if (r < 0)
		return r;
	tell(fd, STORED);
	store_unlease(sx->store, part.number);
	r = sx_settle(sx, put.position, put.position, put.sequence);
	if (r < 0)
		return r;
	clock_advance(8 * SX_DAY);
	store_clock_ok(sx->store);
	tell(fd, UNUSED);
	until_gone(sx, part.number);
	for (unsigned i = 0; i < 20; i++)
		tick(sx);
	if (stands(sx, part.number))
		return NX_EEXIST;
	tell(fd, ENDED);
	return 0;
}

static enum progress child(struct sx *sx, const uint8_t *photo, const char *place, unsigned n,
			   int *ret_status)
{
	enum progress progress = NOTHING;
	uint8_t octet;
	int fds[2];
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		signal(SIGSEGV, SIG_DFL); /* cmocka would go on with the next test in here */
		signal(SIGABRT, SIG_DFL);
		fault_arm(place, n, true);
		_exit(live(sx, photo, fds[1]) == 0 ? 0 : 2);
	}
	close(fds[1]);
	while (read(fds[0], &octet, 1) == 1)
		progress = octet;
	close(fds[0]);
	assert_int_equal(waitpid(pid, ret_status, 0), pid);
	return progress;
}

/* after the crash: verify is silent, the store opens, and the rest happens by itself */
static void recover(struct sx *sx, const uint8_t *photo, enum progress progress)
{
	struct store_part_find find;
	struct store_part part;
	struct sx_put put;
	char path[300];

	snprintf(path, sizeof(path), "%s/photos", sx->dir);
	if (access(path, F_OK) == 0)
		assert_int_equal(sx_verify(sx), 0);
	assert_int_equal(sx_open(sx), 0);
	assert_int_equal(sx_find(sx, sx->afp, photo, PHOTO, &find), 0);
	if (progress == STORED) /* an answer was given for it */
		assert_true(find.complete);
	if (progress == ENDED)
		assert_false(find.complete);
	if (find.complete) {
		sx_assert_part(sx, find.number, photo, PHOTO);
		store_unlease(sx->store, find.number);
	}
	/* it is offered again: it arrives whole, and the item with it */
	assert_int_equal(sx_upload(sx, sx->afp, photo, PHOTO, 1 << 20, &part), 0);
	sx_put_make(&put, sx->afp, 2, &part, 1);
	if (sx_put(sx, &put) == NX_EPARTSGONE) { /* it was being deleted: once more */
		for (unsigned i = 0; i < 10; i++)
			tick(sx);
		store_unlease(sx->store, part.number);
		assert_int_equal(sx_upload(sx, sx->afp, photo, PHOTO, 1 << 20, &part), 0);
		sx_put_make(&put, sx->afp, 2, &part, 1);
		assert_int_equal(sx_put(sx, &put), 0);
	}
	assert_int_equal(put.code, 0);
	store_unlease(sx->store, part.number);
	for (unsigned i = 0; i < 10; i++)
		tick(sx);
	sx_assert_part(sx, part.number, photo, PHOTO);
	store_close(&sx->store);
	if (sx_verify(sx) != 0)
		print_message("verify: %s\n", sx->words[0]);
	assert_int_equal(sx->words_n, 0);
}

/* dies at the n-th pass through the place; was there one? */
static bool round_of(const char *place, unsigned n)
{
	uint8_t *photo = sx_octets(1, PHOTO);
	enum progress progress;
	int64_t wall = clock_wall_ms();
	struct sx sx;
	int status;

	sx_init(&sx, true);
	sx.conf.size = 32 << 20; /* allocated anew in each round */
	clock_fake(clock_boot_ms(), wall);
	progress = child(&sx, photo, place, n, &status);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 137 || WEXITSTATUS(status) == 0);
	clock_advance(9 * SX_DAY);
	recover(&sx, photo, progress);
	clock_real();
	sx_end(&sx);
	free(photo);
	if (WEXITSTATUS(status) == 0)
		assert_int_equal(progress, ENDED);
	return WEXITSTATUS(status) == 137;
}

static void nothing_fails(void **state)
{
	(void)state;
	assert_false(round_of("no-such-place", 1));
}

static void between_the_steps_of_a_deletion(void **state)
{
	static const char *const places[] = { "photos.doom", "photos.chunks", "photos.undoom" };
	unsigned deaths = 0;

	(void)state;
	need_faults();
	for (unsigned i = 0; i < 3; i++)
		for (unsigned n = 1; round_of(places[i], n); n++)
			deaths++;
	assert_true(deaths >= 4); /* the chunks go in two steps */
}

static void at_every_commit(void **state)
{
	unsigned before = 1, after = 1;

	(void)state;
	need_faults();
	while (round_of("db.commit", before))
		before++;
	while (round_of("db.committed", after))
		after++;
	assert_true(before > 8 && after > 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_fails),
		cmocka_unit_test(between_the_steps_of_a_deletion),
		cmocka_unit_test(at_every_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
