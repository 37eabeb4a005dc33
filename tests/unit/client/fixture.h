/*
 * fixture.h - what the client's tests share: a folder of their own, files in it, a fake exchange
 * over a socketpair.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/hash.h"
#include "client/folder.h"
#include "client/link.h"
#include "client/publish.h"
#include "client/subscribe.h"
#include "news/story.h"
#include "proto/envelope.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNUSED __attribute__((unused))

static char folder[256]; /* of this test, and the current one */

static int make_folder(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof(folder), "%s/newsxctl-XXXXXX", tmp == NULL ? "/tmp" : tmp);
	return mkdtemp(folder) == NULL || chdir(folder) < 0 ? -1 : 0;
}

static int drop_folder(void **state)
{
	(void)state;
	if (chdir("/") < 0)
		return -1;
	folder_remove(AT_FDCWD, folder);
	return 0;
}

static UNUSED void write_file(const char *name, const void *p, size_t n)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

static UNUSED void write_text(const char *name, const char *text)
{
	write_file(name, text, strlen(text));
}

/* malloc'ed, with a NUL behind it */
static UNUSED char *read_file(const char *name, size_t *ret_n)
{
	int fd = open(name, O_RDONLY);
	struct stat st;
	char *p;

	if (fd < 0 || fstat(fd, &st) < 0)
		fail_msg("cannot read %s", name);
	p = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(p);
	assert_int_equal(read(fd, p, (size_t)st.st_size), st.st_size);
	close(fd);
	if (ret_n != NULL)
		*ret_n = (size_t)st.st_size;
	return p;
}

static UNUSED void assert_file(const char *name, const void *p, size_t n)
{
	size_t got_n;
	char *got = read_file(name, &got_n);

	assert_int_equal(got_n, n);
	assert_memory_equal(got, p, n);
	free(got);
}

static UNUSED bool is_there(const char *name)
{
	struct stat st;

	return lstat(name, &st) == 0;
}

/* octets that are the same every time and compress badly */
static UNUSED void fill(uint8_t *to, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		to[i] = (uint8_t)(seed >> 24);
	}
}

/* ---- a program under test on one end of a socketpair, the test on the other */

struct talk {
	pid_t pid;
	struct link *link; /* of the test's end */
	bool lost;
};

/* run is called in a child; its standard output goes to the file out, standard error to err */
static UNUSED void talk_begin(struct talk *talk, int (*run)(int fd, void *arg), void *arg,
			      const struct session_conf *conf)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	fflush(NULL);
	talk->lost = false;
	talk->pid = fork();
	assert_true(talk->pid >= 0);
	if (talk->pid == 0) {
		int status;

		close(fds[0]);
		alarm(60);
		if (freopen("out", "w", stdout) == NULL || freopen("err", "w", stderr) == NULL)
			_exit(99);
		setvbuf(stderr, NULL, _IONBF, 0); /* as it is outside of a test */
		status = run(fds[1], arg);
		exit(status); /* not _exit(): what leaks here is found too */
	}
	close(fds[1]);
	assert_int_equal(link_open_plain(fds[0], conf, &talk->link), 0);
}

/* the next event, waited for; false when the other side has closed */
static UNUSED bool talk_event(struct talk *talk, struct session_event *event)
{
	struct why why = { 0 };
	int r;

	for (;;) {
		r = link_event(talk->link, event, &why);
		if (r < 0)
			fail_msg("the program broke a rule: %s", why.words);
		if (r > 0)
			return true;
		if (link_turn(talk->link, NULL, 0, INT64_MAX, &why) < 0) {
			talk->lost = true;
			return false;
		}
	}
}

/* close, and the exit status of the program */
static UNUSED int talk_end(struct talk *talk)
{
	int status;

	link_close(&talk->link);
	assert_int_equal(waitpid(talk->pid, &status, 0), talk->pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}
