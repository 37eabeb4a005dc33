#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* clang-format off */
static const struct {
	const char *in, *out;
} quoting[] = {
	{ "plain", "plain" },
	{ "AZaz09._-:/@+", "AZaz09._-:/@+" },
	{ "", "\"\"" },
	{ "two words", "\"two words\"" },
	{ "a=b", "\"a=b\"" },
	{ "say \"hi\"", "\"say \\\"hi\\\"\"" },
	{ "back\\slash", "\"back\\\\slash\"" },
	{ "x\nlevel=err event=forged", "\"x\\nlevel=err event=forged\"" },
	{ "\r\t\x1b[2J\x7f", "\"\\x0d\\x09\\x1b[2J\\x7f\"" },
	{ "ສະບາຍດີ", "\"ສະບາຍດີ\"" },
	{ "Việt Nam", "\"Việt Nam\"" },
	{ "\xc2\x80\xc2\x85\xc2\x9f", "\"\\xc2\\x80\\xc2\\x85\\xc2\\x9f\"" },
	{ "\xc2\xa0", "\"\xc2\xa0\"" },
	{ "\xe2\x80\x8d\xe2\x80\x8e\xe2\x80\x8f\xe2\x80\x90", "\"\xe2\x80\x8d\\xe2\\x80\\x8e\\xe2\\x80\\x8f\xe2\x80\x90\"" },
	{ "\xe2\x80\xa9\xe2\x80\xaa\xe2\x80\xae\xe2\x80\xaf", "\"\xe2\x80\xa9\\xe2\\x80\\xaa\\xe2\\x80\\xae\xe2\x80\xaf\"" },
	{ "\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa", "\"\xe2\x81\xa5\\xe2\\x81\\xa6\\xe2\\x81\\xa9\xe2\x81\xaa\"" },
	{ "\xff", "\"\\xff\"" },
	{ "\xc0\xaf", "\"\\xc0\\xaf\"" },              /* overlong */
	{ "\xe0\x80\xaf", "\"\\xe0\\x80\\xaf\"" },
	{ "\xed\xa0\x80", "\"\\xed\\xa0\\x80\"" },     /* a surrogate */
	{ "\xf4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"" },
	{ "\xe0\xba", "\"\\xe0\\xba\"" },              /* a letter cut in two */
	{ "\xe0\xba\"", "\"\\xe0\\xba\\\"\"" },
	{ "\xf0\x9f\x93\xb0", "\"\xf0\x9f\x93\xb0\"" },
};
/* clang-format on */

static void every_rule_of_quoting(void **state)
{
	char to[2200];

	(void)state;
	for (size_t i = 0; i < sizeof(quoting) / sizeof(quoting[0]); i++) {
		size_t n = log_quote(to, sizeof(to), slice_str(quoting[i].in));

		assert_string_equal(to, quoting[i].out);
		assert_int_equal(n, strlen(to));
	}
	log_quote(to, sizeof(to), slice_of("a\0b", 3));
	assert_string_equal(to, "\"a\\x00b\"");
}

static void long_strings_are_cut_at_a_letter(void **state)
{
	char in[600], to[2200];

	(void)state;
	memset(in, 'a', sizeof(in));
	assert_int_equal(log_quote(to, sizeof(to), slice_of(in, 512)), 512);
	assert_int_equal(log_quote(to, sizeof(to), slice_of(in, 513)), 515);
	assert_string_equal(to + 512, "...");
	memcpy(in + 510, "\xe0\xba\xaa", 3); /* a Lao letter over the edge */
	assert_int_equal(log_quote(to, sizeof(to), slice_of(in, 600)), 513);
	assert_string_equal(to + 509, "a...");
	memset(in, 1, sizeof(in));
	assert_int_equal(log_quote(to, sizeof(to), slice_of(in, 600)), 512 * 4 + 5);
}

/* whatever the room, what is written ends and is never half an escape */
static void small_room(void **state)
{
	(void)state;
	for (size_t size = 0; size < 64; size++) {
		char to[65];
		size_t n;

		memset(to, '#', sizeof(to));
		n = log_quote(to, size, slice_str("ab\n\"ສ\xff zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"));
		assert_true(n < size || size == 0);
		assert_int_equal(to[size], '#');
		if (n == 0)
			continue;
		assert_int_equal(to[n], '\0');
		assert_int_equal(to[0], '"');
		assert_int_equal(to[n - 1], '"');
		assert_int_not_equal(to[n - 2], '\\');
	}
}

static void keep(const char *line, void *arg)
{
	snprintf(arg, 32768, "%s", line);
}

static void a_line_is_one_line(void **state)
{
	char line[32768];
	static const uint8_t hash[8] = { 0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3 };

	(void)state;
	unsetenv("JOURNAL_STREAM");
	clock_fake(0, 1795341600123);
	log_tap(keep, line);
	log_info("conn.open", kv_u64("conn", 17), kv_str("peer", "afp"), kv_i64("lag_ms", -3),
		 kv_hex("hash", hash, 8), kv_time("at", 1795341600123), kv_u64("most", UINT64_MAX),
		 kv_str("none", NULL), kv_slice("uri", slice_str("x\nlevel=err event=forged")));
	log_tap(NULL, NULL);
	clock_real();
	assert_string_equal(line,
			    "2026-11-22T10:00:00.123Z level=info event=conn.open conn=17 peer=afp "
			    "lag_ms=-3 hash=deadbeef00010203 at=2026-11-22T10:00:00.123Z "
			    "most=18446744073709551615 none=\"\" "
			    "uri=\"x\\nlevel=err event=forged\"");
}

static void levels_and_optional_values(void **state)
{
	char line[32768] = "";

	(void)state;
	log_tap(keep, line);
	log_debug("not.seen");
	assert_string_equal(line, "");
	log_level(LOG_DEBUG_);
	log_debug("is.seen");
	assert_non_null(strstr(line, "level=debug event=is.seen"));
	log_err("some.event", kv_if_str("empty", NULL), kv_if_str("empty", ""),
		kv_if_slice("empty", slice_str("")), kv_if_str("given", "x"),
		kv_if_slice("too", slice_str("y z")));
	assert_non_null(strstr(line, " level=err event=some.event given=x too=\"y z\""));
	assert_null(strstr(line, "empty"));
	log_level(LOG_INFO_);
	log_tap(NULL, NULL);
}

static void a_line_that_is_too_long_says_so(void **state)
{
	static char line[32768];
	struct kv list[20];
	uint8_t bad[512];

	(void)state;
	memset(bad, 0xff, sizeof(bad));
	for (size_t i = 0; i < 19; i++)
		list[i] = kv_slice("key", slice_of(bad, sizeof(bad)));
	list[19] = (struct kv){ .key = NULL };
	log_tap(keep, line);
	log_line(LOG_WARN_, "too.long", list);
	log_tap(NULL, NULL);
	assert_true(strlen(line) < 16384);
	assert_string_equal(line + strlen(line) - 9, "\" cut=yes");
}

/* ---- the ring: nobody reads the pipe */

static int ends[2];

static int open_pipe(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	if (pipe(ends) < 0)
		return -1;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	return 0;
}

static int close_pipe(void **state)
{
	(void)state;
	log_close();
	close(ends[0]);
	close(ends[1]);
	return 0;
}

/* all that is in the pipe and the ring, as one string */
static char *drain(void)
{
	static char text[1 << 20];
	size_t n = 0;
	bool left = true;

	while (left || n == 0) {
		ssize_t got;

		left = log_flush();
		while ((got = read(ends[0], text + n, sizeof(text) - 1 - n)) > 0)
			n += (size_t)got;
		if (!left && got <= 0)
			break;
	}
	text[n] = '\0';
	return text;
}

static unsigned count(const char *text, const char *what)
{
	unsigned n = 0;

	while ((text = strstr(text, what)) != NULL) {
		n++;
		text++;
	}
	return n;
}

static bool is_same(int a, int b)
{
	struct stat first, second;

	return fstat(a, &first) == 0 && fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

static void lines_reach_the_descriptor_in_order(void **state)
{
	char *text;

	(void)state;
	log_open(ends[1], LOG_INFO_);
	assert_true(is_same(log_fd(), ends[1]));
	for (unsigned i = 0; i < 10; i++)
		log_info("a.line", kv_u64("i", i));
	text = drain();
	assert_int_equal(count(text, "\n"), 10);
	for (unsigned i = 0; i < 10; i++) {
		char want[64];

		snprintf(want, sizeof(want), "level=info event=a.line i=%u\n", i);
		text = strstr(text, want);
		assert_non_null(text);
	}
}

static void a_full_pipe_never_blocks(void **state)
{
	const unsigned lines = 20000;
	uint64_t dropped, most;
	char *text, want[64];

	(void)state;
	log_open(ends[1], LOG_INFO_);
	for (unsigned i = 0; i < lines; i++) {
		log_info("a.line", kv_u64("i", i));
		(void)log_flush();
	}
	dropped = log_dropped();
	assert_true(dropped > 0);
	assert_true(log_flush());
	/* there is room left for what matters */
	for (unsigned i = 0; i < 100; i++)
		log_warn("a.warning", kv_u64("i", i));
	assert_int_equal(log_dropped(), dropped);
	text = drain();
	assert_int_equal(count(text, "event=a.warning"), 100);
	assert_int_equal(count(text, "event=a.line"), lines - dropped);
	snprintf(want, sizeof(want), "level=warn event=log.dropped n=%lu\n",
		 (unsigned long)dropped);
	assert_int_equal(count(text, want), 1);
	/* and even that has an end */
	for (unsigned i = 0; i < lines; i++)
		log_err("a.fault", kv_u64("i", i));
	most = log_dropped();
	assert_true(most > dropped);
	text = drain();
	assert_int_equal(count(text, "event=a.fault"), lines - (most - dropped));
	assert_int_equal(count(text, "event=log.dropped"), 1);
	/* told once */
	log_info("a.line");
	text = drain();
	assert_int_equal(count(text, "event=log.dropped"), 0);
	assert_int_equal(count(text, "\n"), 1);
}

static void closing_waits_for_nobody_for_long(void **state)
{
	int64_t start, took;

	(void)state;
	log_open(ends[1], LOG_INFO_);
	for (unsigned i = 0; i < 20000; i++)
		log_info("a.line", kv_u64("i", i));
	start = clock_boot_ms();
	log_close();
	took = clock_boot_ms() - start;
	assert_true(took < 5000); /* 200 ms, and a machine that is busy */
	assert_int_equal(log_fd(), 2);
	assert_int_equal(fcntl(ends[1], F_GETFL) & O_NONBLOCK, 0);
}

/* whoever shares it, and outlives us, finds it as it was: nothing is put back after a kill */
static void assert_left_alone(int fd)
{
	log_open(fd, LOG_INFO_);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	for (unsigned i = 0; i < 20000; i++) {
		log_info("a.line", kv_u64("i", i));
		(void)log_flush(); /* nobody reads: it would hang here */
	}
	assert_true(log_flush());
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	log_last_words("the end\n");
	log_close();
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

static void what_is_shared_is_left_alone(void **state)
{
	int terminal, pair[2];

	(void)state;
	assert_left_alone(ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_left_alone(pair[1]);
	close(pair[0]);
	close(pair[1]);
	terminal = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
	pair[1] = open(ptsname(terminal), O_RDWR | O_NOCTTY);
	assert_true(pair[1] >= 0);
	assert_left_alone(pair[1]);
	close(pair[1]);
	close(terminal);
}

/* a named pipe without a reader cannot be opened anew. It is made not to wait, and put back */
static void what_cannot_be_opened_anew(void **state)
{
	char path[] = "/tmp/newsxd-log.XXXXXX", fifo[64];
	int reader, writer;

	(void)state;
	assert_non_null(mkdtemp(path));
	snprintf(fifo, sizeof(fifo), "%s/fifo", path);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	reader = open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	writer = open(fifo, O_WRONLY | O_CLOEXEC);
	assert_true(reader >= 0 && writer >= 0);
	unlink(fifo);
	rmdir(path);
	close(reader);
	log_open(writer, LOG_INFO_);
	assert_int_equal(log_fd(), writer);
	assert_int_equal(fcntl(writer, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	log_close();
	assert_int_equal(fcntl(writer, F_GETFL) & O_NONBLOCK, 0);
	close(writer);
}

/* ours and those of others take turns, also where the shell did not say >> */
static void a_file_goes_on_where_it_is(void **state)
{
	char path[] = "/tmp/newsxd-log.XXXXXX", text[256] = "";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	unlink(path);
	setenv("JOURNAL_STREAM", "8:1", 1);
	assert_int_equal(write(fd, "before\n", 7), 7);
	log_open(fd, LOG_INFO_);
	log_info("a.line");
	assert_false(log_flush());
	assert_int_equal(write(fd, "between\n", 8), 8);
	log_info("a.line");
	log_close();
	unsetenv("JOURNAL_STREAM");
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "before\n<6>level=info event=a.line\nbetween\n"
				  "<6>level=info event=a.line\n");
	close(fd);
}

static void a_reader_who_left_costs_nothing(void **state)
{
	(void)state;
	log_open(ends[1], LOG_INFO_);
	log_info("a.line");
	log_info("a.line");
	close(ends[0]);
	assert_false(log_flush());
	assert_int_equal(log_dropped(), 2);
	ends[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* a disk that was full, a reader of a named pipe: the line that says how many were lost may be lost
 * itself, over and over, and then the next one says it */
static void a_reader_who_comes_back_learns_all_that_it_missed(void **state)
{
	char folder[] = "/tmp/newsxd-test.XXXXXX", path[64];
	int reader, writer;
	char *text;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/pipe", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	writer = open(path, O_WRONLY | O_CLOEXEC);
	log_open(writer, LOG_INFO_);
	close(reader);
	for (unsigned i = 0; i < 5; i++) {
		log_info("a.line", kv_str("said", "\nlevel=warn event=log.dropped n=7\n"));
		assert_false(log_flush());
		assert_false(log_flush());
	}
	assert_int_equal(log_dropped(), 5);
	close(ends[0]);
	ends[0] = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	log_info("a.line");
	text = drain();
	assert_int_equal(count(text, "level=warn event=log.dropped n=5\n"), 1);
	assert_int_equal(count(text, "\n"), 2);
	log_close();
	close(writer);
	unlink(path);
	rmdir(folder);
}

static void under_systemd_there_is_no_time(void **state)
{
	(void)state;
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_open(ends[1], LOG_INFO_);
	unsetenv("JOURNAL_STREAM");
	log_warn("a.warning", kv_str("x", "y"));
	log_err("a.fault");
	assert_string_equal(drain(),
			    "<4>level=warn event=a.warning x=y\n<3>level=err event=a.fault\n");
}

/* before log_open() and after log_close() a line goes straight to descriptor 2 */
static void unopened_it_writes_to_2(void **state)
{
	int keep_2 = dup(2);
	char text[256] = "";
	ssize_t n;

	(void)state;
	dup2(ends[1], 2);
	log_info("a.line", kv_str("x", "y"));
	dup2(keep_2, 2);
	close(keep_2);
	n = read(ends[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	assert_non_null(strstr(text, " level=info event=a.line x=y\n"));
}

/* ---- threads */

#define THREADS 4
#define LINES   3000

static void *talk(void *arg)
{
	for (unsigned i = 0; i < LINES; i++)
		log_info("a.line", kv_u64("who", *(unsigned *)arg), kv_u64("i", i));
	return NULL;
}

/* each line is whole, each thread's lines are in order, and what is missing was counted */
static void threads_do_not_cut_each_other(void **state)
{
	unsigned who[THREADS], next[THREADS] = { 0 }, seen = 0;
	static char text[4 << 20];
	pthread_t threads[THREADS];
	char *rest = text, *line;
	size_t n = 0;

	(void)state;
	log_open(ends[1], LOG_INFO_);
	for (unsigned i = 0; i < THREADS; i++) {
		who[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, talk, &who[i]), 0);
	}
	for (unsigned i = 0; i < 100; i++) {
		char *some;

		log_warn("a.tick");
		some = drain();
		memcpy(text + n, some, strlen(some));
		n += strlen(some);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	log_warn("a.tick");
	snprintf(text + n, sizeof(text) - n, "%s", drain());
	while ((line = strsep(&rest, "\n")) != NULL) {
		char *event = strstr(line, " level=info event=a.line who=");
		unsigned from, i;

		if (event == NULL)
			continue;
		assert_int_equal(sscanf(event, " level=info event=a.line who=%u i=%u", &from, &i),
				 2);
		assert_true(from < THREADS && i >= next[from]);
		assert_int_equal(line[24], ' ');
		next[from] = i + 1;
		seen++;
	}
	assert_int_equal(seen + log_dropped(), THREADS * LINES);
}

int main(void)
{
#define WITH_PIPE(test) cmocka_unit_test_setup_teardown(test, open_pipe, close_pipe)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_rule_of_quoting),
		cmocka_unit_test(long_strings_are_cut_at_a_letter),
		cmocka_unit_test(small_room),
		cmocka_unit_test(a_line_is_one_line),
		cmocka_unit_test(levels_and_optional_values),
		cmocka_unit_test(a_line_that_is_too_long_says_so),
		WITH_PIPE(unopened_it_writes_to_2),
		WITH_PIPE(lines_reach_the_descriptor_in_order),
		WITH_PIPE(a_full_pipe_never_blocks),
		WITH_PIPE(closing_waits_for_nobody_for_long),
		WITH_PIPE(what_is_shared_is_left_alone),
		cmocka_unit_test(what_cannot_be_opened_anew),
		cmocka_unit_test(a_file_goes_on_where_it_is),
		WITH_PIPE(a_reader_who_left_costs_nothing),
		WITH_PIPE(a_reader_who_comes_back_learns_all_that_it_missed),
		WITH_PIPE(under_systemd_there_is_no_time),
		WITH_PIPE(threads_do_not_cut_each_other),
	};
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
