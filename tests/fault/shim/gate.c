/*
 * gate.c - preloaded: a disk that does not come back while somebody holds a lock.
 *
 * GATE names a file; whoever holds it with flock(LOCK_EX) stops every sync of a data.mdb, or, with
 * GATE_AT=meta, every write to one that is durable when it returns (LMDB's last step).
 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>

static void wait_for(const char *at)
{
	const char *path = getenv("GATE"), *where = getenv("GATE_AT");
	int fd;

	if (path == NULL || strcmp(where == NULL ? "sync" : where, at) != 0)
		return;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	while (flock(fd, LOCK_SH) < 0)
		;
	close(fd);
}

static int is_data(int fd)
{
	char link[40], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return 0;
	path[n] = '\0';
	return strstr(path, "/data.mdb") != NULL;
}

int fdatasync(int fd)
{
	if (is_data(fd))
		wait_for("sync");
	return (int)syscall(SYS_fdatasync, fd);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	if ((fcntl(fd, F_GETFL) & O_DSYNC) != 0 && is_data(fd))
		wait_for("meta");
	return syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) __attribute__((alias("pwrite")));
