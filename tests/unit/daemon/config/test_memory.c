/*
 * test_memory.c - a configuration that is read while memory runs out: it is taken or refused, and
 * the daemon lives.
 */
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/settings.h"

enum { PARTNERS = 120, SUBSCRIPTIONS = 200, STEP = 16384, STEPS = 200 };

static void some_partners(FILE *out)
{
	for (int i = 0; i < PARTNERS; i++)
		fprintf(out,
			"partner a-partner-whose-name-is-as-long-as-it-may-be-and-that-is-%03d {\n"
			"\tca = \"keys/a-file-whose-name-is-long-%d.pem\" san = { "
			"\"kpl-%d.example\" }\n"
			"\tpublish = { \"kpl.%d.*\", \"x\", \"y\" } read = { \"z\" }\n}\n",
			i, i, i, i);
}

static void some_subscriptions(FILE *out)
{
	fprintf(out, "partner p { ca = a san = b read = \"*\" }\n");
	for (int i = 0; i < SUBSCRIPTIONS; i++)
		fprintf(out, "subscription s%d{partner=p}", i);
}

static void many_values(FILE *out)
{
	fprintf(out, "partner p { ca = a san = b read = {\n");
	for (int i = 0; i < 64; i++)
		fprintf(out, "c%d,", i);
	fprintf(out, "} }\n");
}

static char *text_of(void (*write)(FILE *out))
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	write(out);
	fclose(out);
	return text;
}

static rlim_t now(void)
{
	unsigned long pages = 0;
	FILE *in = fopen("/proc/self/statm", "r");

	if (in == NULL || fscanf(in, "%lu", &pages) != 1)
		abort();
	fclose(in);
	return (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE);
}

/* with so many octets more than it has. returns the wait status of a process that tried */
static int with(rlim_t more, const char *text)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct conf *conf = NULL;
		struct why why = { 0 };
		struct rlimit limit = { now() + more, now() + more };
		int r;

		for (int i = 1; i < 32; i++)
			signal(i, SIG_DFL); /* cmocka would take them for its own */
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(98);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		setrlimit(RLIMIT_AS, &limit);
		r = conf_read_octets("/etc/newsxd/newsxd.conf", slice_str(text), &conf, &why);
		conf_free(&conf);
		_exit(r == 0 ? 0 : r == NX_ENOMEM ? 1 : 99);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	return status;
}

static void it_runs_out_in(void (*write)(FILE *out))
{
	char *text = text_of(write);
	unsigned taken = 0, refused = 0;

	/* as the daemon has it, but for the head start that M_TOP_PAD gives */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TOP_PAD, 0);
	for (unsigned i = 0; i < STEPS; i++) {
		int status = with((rlim_t)i * STEP, text);

		if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
			fail_msg("with %u KiB more it ended with %s %d", i * STEP / 1024,
				 WIFEXITED(status) ? "status" : "signal",
				 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		taken += WEXITSTATUS(status) == 0;
		refused += WEXITSTATUS(status) == 1;
	}
	assert_true(taken > 0 && refused > 0);
	free(text);
}

static void it_runs_out_anywhere(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* their own memory knows no such limit */
#endif
	it_runs_out_in(some_partners);
	it_runs_out_in(some_subscriptions);
	it_runs_out_in(many_values);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_runs_out_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
