/* uses: daemon/store */
/*
 * The power goes: what a busy store wrote is recorded, and then played on to disks that stop in the
 * middle of any step and have only some of the octets that nobody had waited for. STATES of them
 * (make power), by a seed that is printed; SEED=... plays them again.
 */
#include "power/power.h"
#include "tests/unit/daemon/store/store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#define ROUNDS     26
#define EARLY_MAX  600
#define STUCK_S    20 /* a walk in circles is bad, too */
#define SHOWN      5
#define WHOLE_EACH 25 /* one in so many is opened for writing, too */

struct recording {
	char folder[300];
	uint8_t *octets;
	size_t n;
	uint64_t seed;
	unsigned states;
};

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s == NULL || *s == '\0' ? otherwise : strtoull(s, NULL, 0);
}

static void slurp(struct recording *it, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t r;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	it->octets = malloc((size_t)st.st_size);
	while (it->n < (size_t)st.st_size) {
		r = read(fd, it->octets + it->n, (size_t)st.st_size - it->n);
		assert_true(r > 0);
		it->n += (size_t)r;
	}
	close(fd);
	unlink(path);
}

/* in a child: it has threads, and everything that it does to its folder goes into the recording */
static int setup(void **state)
{
	struct recording *it = calloc(1, sizeof(*it));
	const char *tmp = getenv("TMPDIR");
	char path[320];
	int log, status;
	pid_t child;

	it->seed = number("SEED", 0);
	if (it->seed == 0)
		random_octets(&it->seed, 4);
	it->states = (unsigned)number("STATES", 400);
	snprintf(it->folder, sizeof(it->folder), "%s/newsxd-power-XXXXXX",
		 tmp == NULL ? "/tmp" : tmp);
	assert_non_null(mkdtemp(it->folder));
	setenv("TMPDIR", it->folder, 1); /* what a child leaves behind lies in it too */
	snprintf(path, sizeof(path), "%s/recording", it->folder);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(log >= 0);
	fflush(NULL);
	child = fork();
	if (child == 0)
		_exit(load_run(log, ROUNDS, it->seed) == 0 ? 0 : 1);
	close(log);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	slurp(it, path);
	clock_fake(1000000, INT64_C(1800000000000));
	*state = it;
	return 0;
}

static int teardown(void **state)
{
	struct recording *it = *state;

	clock_real();
	nftw(it->folder, sx_remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(it->octets);
	free(it);
	return 0;
}

/* steps up to the word that the store stands: an eighth of the states lie there, or EARLY_MAX */
static size_t creation(struct disk *disk, const struct recording *it)
{
	struct step head;
	size_t steps = 0;

	for (const uint8_t *p = it->octets; steps < disk_steps(disk); steps++) {
		memcpy(&head, p, sizeof(head));
		if (head.kind == STEP_MARK)
			break;
		p += sizeof(head) + head.path_n + head.n;
	}
	return steps;
}

static size_t place_of(unsigned state, unsigned states, size_t made, size_t steps)
{
	unsigned early = states / 8 < EARLY_MAX ? states / 8 : EARLY_MAX;

	if (state < early)
		return (size_t)((uint64_t)state * made / early);
	return made + (size_t)((uint64_t)(state - early) * (steps - made) / (states - early));
}

/* in a child: octets that fit nowhere may well kill LMDB. returns 0, or not */
static int check(const char *folder, const struct disk *disk, bool whole, const char *say)
{
	char words[400];
	size_t n;
	const struct promise *marks = disk_marks(disk, &n);
	int status = -1;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0) {
		/* cmocka would go on with the next test in here */
		for (int i = 0; i < 5; i++)
			signal((int[]){ SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT }[i], SIG_DFL);
		alarm(STUCK_S);
		if (say == NULL && freopen("/dev/null", "w", stderr) == NULL)
			_exit(2);
		if (check_state(folder, marks, n, whole, words) == 0)
			_exit(0);
		if (say != NULL)
			fprintf(stderr, "%s: %s\n", say, words);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status != 0 && say != NULL && !WIFEXITED(status))
		print_message("%s: died of signal %d\n", say, WTERMSIG(status));
	return status;
}

static unsigned play(const struct recording *it, unsigned states, bool deaf)
{
	struct disk *disk = disk_new(it->folder, it->octets, it->n, deaf);
	size_t steps = disk_steps(disk), made = creation(disk, it);
	unsigned bad = 0;
	char folder[400], say[200];

	snprintf(folder, sizeof(folder), "%s/state", it->folder);
	for (unsigned i = 0; i < states; i++) {
		size_t at = place_of(i, states, made, steps);
		uint64_t seed = it->seed * 1000003 + i;
		const char *strange = disk_go(disk, at);

		if (strange != NULL)
			fail_msg("step %zu: %s", at, strange);
		snprintf(say, sizeof(say), "state %u of SEED=%llu, in step %zu of %zu", i,
			 (unsigned long long)it->seed, at, steps);
		disk_cut(disk, &seed);
		bad += check(folder, disk, i % WHOLE_EACH == 0,
			     deaf || bad >= SHOWN ? NULL : say) != 0;
		disk_mend(disk);
	}
	disk_free(&disk);
	return bad;
}

static void nothing_promised_is_lost(void **state)
{
	struct recording *it = *state;
	unsigned bad = play(it, it->states, false);

	print_message("SEED=%llu: %u states of a power cut, %u bad\n", (unsigned long long)it->seed,
		      it->states, bad);
	assert_int_equal(bad, 0);
}

/* would we see it? */
static void a_disk_that_lies_is_noticed(void **state)
{
	struct recording *it = *state;
	unsigned bad = play(it, 60, true);

	print_message("a disk that forgets its syncs: %u of 60 states bad\n", bad);
	assert_true(bad > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_promised_is_lost),
		cmocka_unit_test(a_disk_that_lies_is_noticed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
