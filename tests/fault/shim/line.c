/*
 * line.c - preloaded: calls on sockets that fail now and then, or take less than they were given.
 *
 * LINE names a file that holds "CALL FIRST EACH HOW": of the calls of this kind (r read, w write,
 * a accept4, e epoll_ctl) the FIRST-th after the file was written fails, and then every EACH-th
 * one (0: no more). HOW is an errno, or 0: a read or write moves one octet only. The file is read
 * when a signal SIGUSR2 comes, and emptied when the first call failed.
 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long left, each;
static atomic_int call, how;

static void arm(int signal)
{
	const char *path = getenv("LINE");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC), before = errno, error = 0;
	char words[80] = "", kind = 0;
	long first = 0, again = 0;

	(void)signal;
	if (fd >= 0 && syscall(SYS_read, fd, words, sizeof(words) - 1) > 0 &&
	    sscanf(words, "%c %ld %ld %d", &kind, &first, &again, &error) == 4) {
		atomic_store(&left, 0);
		atomic_store(&call, kind);
		atomic_store(&how, error);
		atomic_store(&each, again);
		atomic_store(&left, first);
	}
	if (fd >= 0)
		close(fd);
	errno = before;
}

__attribute__((constructor)) static void begin(void)
{
	struct sigaction action = { .sa_handler = arm, .sa_flags = SA_RESTART };

	if (getenv("LINE") != NULL)
		sigaction(SIGUSR2, &action, NULL);
}

static int is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int fails(int kind, int fd)
{
	int before = errno;

	if (atomic_load(&left) <= 0 || atomic_load(&call) != kind || !is_socket(fd))
		return 0;
	errno = before;
	if (atomic_fetch_sub(&left, 1) != 1)
		return 0;
	atomic_store(&left, atomic_load(&each));
	if (truncate(getenv("LINE"), 0) < 0)
		abort();
	errno = before;
	return 1;
}

ssize_t read(int fd, void *p, size_t n)
{
	if (!fails('r', fd))
		return syscall(SYS_read, fd, p, n);
	errno = atomic_load(&how);
	return errno != 0 ? -1 : syscall(SYS_read, fd, p, n > 0);
}

ssize_t write(int fd, const void *p, size_t n)
{
	if (!fails('w', fd))
		return syscall(SYS_write, fd, p, n);
	errno = atomic_load(&how);
	return errno != 0 ? -1 : syscall(SYS_write, fd, p, n > 0);
}

int accept4(int fd, struct sockaddr *address, socklen_t *n, int flags)
{
	if (!fails('a', fd))
		return (int)syscall(SYS_accept4, fd, address, n, flags);
	errno = atomic_load(&how);
	return -1;
}

int epoll_ctl(int at, int op, int fd, struct epoll_event *event)
{
	if (!fails('e', fd))
		return (int)syscall(SYS_epoll_ctl, at, op, fd, event);
	errno = atomic_load(&how);
	return -1;
}
