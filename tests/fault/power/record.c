/*
 * The calls by which anything gets to a disk, in front of libc's own: they do what was asked and
 * write it down. Calls and their lines are under one lock, so the order of the recording is the
 * order on disk. Nothing is really synced or allocated, recorded or not: the
 * disk is a model.
 */
#undef _FORTIFY_SOURCE
#include "power.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
	pthread_mutex_t lock;
	char folder[PATH_MAX];
	size_t folder_n;
	int log;
} record = { .lock = PTHREAD_MUTEX_INITIALIZER, .log = -1 };

void record_begin(const char *folder, int log)
{
	if (realpath(folder, record.folder) == NULL)
		abort();
	record.folder_n = strlen(record.folder);
	record.log = log;
}

/* ---- one line */

static void out(const void *octets, size_t n)
{
	for (const char *p = octets; n > 0;) {
		long r = syscall(SYS_write, record.log, p, n);

		if (r < 0 && errno != EINTR)
			_exit(99); /* an incomplete recording proves nothing */
		p += r > 0 ? r : 0;
		n -= r > 0 ? (size_t)r : 0;
	}
}

static void line(struct step step, const char *path, const struct iovec *v, int n)
{
	int before = errno;

	step.path_n = (uint16_t)strlen(path);
	for (int i = 0; i < n; i++)
		step.n += (uint32_t)v[i].iov_len;
	out(&step, sizeof(step));
	out(path, step.path_n);
	for (int i = 0; i < n; i++)
		out(v[i].iov_base, v[i].iov_len);
	errno = before;
}

void record_mark(const void *octets, size_t n)
{
	struct iovec v = { .iov_base = (void *)octets, .iov_len = n };

	if (record.log < 0)
		return;
	pthread_mutex_lock(&record.lock);
	line((struct step){ .kind = STEP_MARK }, "", &v, 1);
	pthread_mutex_unlock(&record.lock);
}

/* ---- whose file? A lock file's octets are worth nothing after a cut */

static const char *below(const char *path)
{
	const char *rest;

	if (strncmp(path, record.folder, record.folder_n) != 0)
		return NULL;
	rest = path + record.folder_n;
	if (*rest == '\0')
		return rest;
	if (*rest != '/' || strstr(rest, "lock") != NULL)
		return NULL;
	return rest + 1;
}

static const char *of_path(const char *path)
{
	return record.log < 0 || path == NULL ? NULL : below(path);
}

static const char *of_fd(int fd, char buf[PATH_MAX])
{
	char link[40];
	ssize_t n;

	if (record.log < 0)
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, buf, PATH_MAX - 1);
	if (n <= 0)
		return NULL;
	buf[n] = '\0';
	return below(buf);
}

/* ---- octets */

static ssize_t wrote(int fd, const struct iovec *v, int n, off_t at, bool here)
{
	char buf[PATH_MAX];
	const char *path = of_fd(fd, buf);
	struct iovec cut;
	ssize_t r;

	if (path != NULL)
		pthread_mutex_lock(&record.lock);
	if (path != NULL && here)
		at = lseek(fd, 0, SEEK_CUR);
	r = here ? syscall(SYS_writev, fd, v, n) : syscall(SYS_pwritev, fd, v, n, at, 0);
	if (path == NULL)
		return r;
	for (ssize_t left = r; left > 0; v++, at += (off_t)cut.iov_len) {
		struct step step = { .kind = STEP_WRITE, .offset = (uint64_t)at };

		step.dsync = (fcntl(fd, F_GETFL) & O_DSYNC) != 0;
		cut = *v;
		if ((ssize_t)cut.iov_len > left)
			cut.iov_len = (size_t)left;
		left -= (ssize_t)cut.iov_len;
		line(step, path, &cut, 1);
	}
	pthread_mutex_unlock(&record.lock);
	return r;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct iovec v = { .iov_base = (void *)p, .iov_len = n };

	return wrote(fd, &v, 1, at, false);
}

ssize_t pwritev(int fd, const struct iovec *v, int n, off_t at)
{
	return wrote(fd, v, n, at, false);
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct iovec v = { .iov_base = (void *)p, .iov_len = n };

	return wrote(fd, &v, 1, 0, true);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	return wrote(fd, v, n, 0, true);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at) __attribute__((alias("pwrite")));
ssize_t pwritev64(int fd, const struct iovec *v, int n, off_t at) __attribute__((alias("pwritev")));

/* ---- a call on a file: run, then its line when it went well */

static int on_fd(int fd, struct step step, int (*call)(int, off_t, off_t), off_t a, off_t b)
{
	char buf[PATH_MAX];
	const char *path = of_fd(fd, buf);
	int r;

	if (path == NULL)
		return call(fd, a, b);
	pthread_mutex_lock(&record.lock);
	r = call(fd, a, b);
	if (r == 0)
		line(step, path, NULL, 0);
	pthread_mutex_unlock(&record.lock);
	return r;
}

static int do_truncate(int fd, off_t n, off_t none)
{
	(void)none;
	return (int)syscall(SYS_ftruncate, fd, n);
}

static int do_allocate(int fd, off_t at, off_t n)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	return at + n <= st.st_size ? 0 : (int)syscall(SYS_ftruncate, fd, at + n);
}

static int do_nothing(int fd, off_t a, off_t b)
{
	(void)a;
	(void)b;
	return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

static struct step sync_of(int fd)
{
	struct stat st;
	bool dir = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);

	return (struct step){ .kind = dir ? STEP_SYNC_DIR : STEP_SYNC };
}

int ftruncate(int fd, off_t n)
{
	return on_fd(fd, (struct step){ .kind = STEP_SIZE, .offset = (uint64_t)n }, do_truncate, n,
		     0);
}

int fallocate(int fd, int mode, off_t at, off_t n)
{
	struct step step = { .kind = mode == 0 ? STEP_ALLOC : STEP_STRANGE };

	step.offset = (uint64_t)(at + n);
	return on_fd(fd, step, do_allocate, at, n);
}

int posix_fallocate(int fd, off_t at, off_t n)
{
	return fallocate(fd, 0, at, n) == 0 ? 0 : errno;
}

int fdatasync(int fd)
{
	return on_fd(fd, sync_of(fd), do_nothing, 0, 0);
}

int fsync(int fd)
{
	return on_fd(fd, sync_of(fd), do_nothing, 0, 0);
}

int msync(void *p, size_t n, int flags)
{
	pthread_mutex_lock(&record.lock);
	if (record.log >= 0)
		line((struct step){ .kind = STEP_STRANGE }, "", NULL, 0);
	pthread_mutex_unlock(&record.lock);
	return (int)syscall(SYS_msync, p, n, flags);
}

int ftruncate64(int fd, off_t n) __attribute__((alias("ftruncate")));
int fallocate64(int fd, int mode, off_t at, off_t n) __attribute__((alias("fallocate")));
int posix_fallocate64(int fd, off_t at, off_t n) __attribute__((alias("posix_fallocate")));

/* ---- names */

static int open_at(int at, const char *name, int flags, mode_t mode)
{
	const char *path = of_path(name);
	struct stat st;
	bool fresh;
	int fd;

	if (path == NULL)
		return (int)syscall(SYS_openat, at, name, flags & ~O_DSYNC, mode);
	pthread_mutex_lock(&record.lock);
	fresh = (flags & O_CREAT) != 0 && lstat(name, &st) < 0;
	fd = (int)syscall(SYS_openat, at, name, flags, mode);
	if (fd >= 0 && fresh)
		line((struct step){ .kind = STEP_CREATE }, path, NULL, 0);
	else if (fd >= 0 && (flags & O_TRUNC) != 0)
		line((struct step){ .kind = STEP_SIZE }, path, NULL, 0);
	pthread_mutex_unlock(&record.lock);
	return fd;
}

static mode_t mode_of(int flags, va_list ap)
{
	return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(ap, mode_t) : 0;
}

int open(const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_at(AT_FDCWD, name, flags, mode);
}

int openat(int at, const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = mode_of(flags, ap);
	va_end(ap);
	return open_at(at, name, flags, mode);
}

int open64(const char *name, int flags, ...) __attribute__((alias("open")));
int openat64(int at, const char *name, int flags, ...) __attribute__((alias("openat")));

static int named(enum step_kind kind, const char *name, long r)
{
	const char *path = of_path(name);

	if (r == 0 && path != NULL)
		line((struct step){ .kind = (uint8_t)kind }, path, NULL, 0);
	return (int)r;
}

int mkdir(const char *name, mode_t mode)
{
	int r;

	pthread_mutex_lock(&record.lock);
	r = named(STEP_MKDIR, name, syscall(SYS_mkdir, name, mode));
	pthread_mutex_unlock(&record.lock);
	return r;
}

int unlink(const char *name)
{
	int r;

	pthread_mutex_lock(&record.lock);
	r = named(STEP_REMOVE, name, syscall(SYS_unlink, name));
	pthread_mutex_unlock(&record.lock);
	return r;
}

int rmdir(const char *name)
{
	int r;

	pthread_mutex_lock(&record.lock);
	r = named(STEP_REMOVE, name, syscall(SYS_rmdir, name));
	pthread_mutex_unlock(&record.lock);
	return r;
}

int rename(const char *from, const char *to)
{
	const char *path = of_path(from), *other = of_path(to);
	struct iovec v;
	int r;

	pthread_mutex_lock(&record.lock);
	r = (int)syscall(SYS_rename, from, to);
	if (r == 0 && path != NULL && other != NULL) {
		v = (struct iovec){ .iov_base = (void *)other, .iov_len = strlen(other) };
		line((struct step){ .kind = STEP_RENAME }, path, &v, 1);
	}
	pthread_mutex_unlock(&record.lock);
	return r;
}
