/*
 * flushes.h - fsync() of this program: what was flushed, by the name that it had then; and one that
 * fails.
 */
#pragma once
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	char names[32][PATH_MAX];
	unsigned n, fails_at; /* counted from 1; 0: none */
} flushed;

int fsync(int fd)
{
	char link[40];
	ssize_t n;

	if (flushed.n == sizeof(flushed.names) / sizeof(flushed.names[0]))
		return (int)syscall(SYS_fsync, fd);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, flushed.names[flushed.n], PATH_MAX - 1);
	assert_true(n > 0);
	flushed.names[flushed.n++][n] = '\0';
	if (flushed.n != flushed.fails_at)
		return (int)syscall(SYS_fsync, fd);
	errno = EIO;
	return -1;
}

/* these, below the root, in this order; others may stand between them */
static inline void assert_flushed(const char *root, const char *const *names)
{
	char *real = realpath(root, NULL);
	unsigned i = 0;

	assert_non_null(real);
	for (; *names != NULL; names++) {
		char path[PATH_MAX + 40];

		snprintf(path, sizeof(path), "%s%s", real, *names);
		while (i < flushed.n && strcmp(flushed.names[i], path) != 0)
			i++;
		if (i++ == flushed.n)
			fail_msg("not flushed in its turn: %s", path);
	}
	free(real);
	flushed.n = 0;
}
