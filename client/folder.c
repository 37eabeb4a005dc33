#include "client/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEEPEST   4
#define COPY_SIZE (64 << 10)

int folder_open(int dir, const char *name)
{
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int folder_make(int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -1;
	return folder_open(dir, name);
}

static int file_new(int dir, const char *name)
{
	return openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
}

static bool write_all(int fd, struct slice octets)
{
	while (octets.n > 0) {
		ssize_t n = write(fd, octets.p, octets.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		octets.p += n;
		octets.n -= (size_t)n;
	}
	return true;
}

/* close, and let errno stand */
static bool close_after(int fd, bool ok)
{
	int saved = errno;

	ok = close(fd) == 0 && ok;
	if (!ok && saved != 0)
		errno = saved;
	return ok;
}

bool folder_write(int dir, const char *name, struct slice octets, bool flush)
{
	int fd = file_new(dir, name);

	if (fd < 0)
		return false;
	return close_after(fd, write_all(fd, octets) && (!flush || fsync(fd) == 0));
}

static bool copy_all(int from, int to)
{
	uint8_t block[COPY_SIZE];
	ssize_t n;

	while ((n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0)) > 0)
		;
	if (n == 0)
		return true;
	/* not between these two: by hand, from where it stopped */
	while ((n = read(from, block, sizeof(block))) > 0)
		if (!write_all(to, slice_of(block, (size_t)n)))
			return false;
	return n == 0;
}

bool folder_take(int dir, const char *name, int from_dir, const char *from, bool share, bool flush)
{
	int in, out = -1;
	bool ok;

	in = openat(from_dir, from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return false;
	if (share && linkat(from_dir, from, dir, name, 0) == 0)
		return close_after(in, !flush || fsync(in) == 0);
	out = file_new(dir, name);
	ok = out >= 0 && copy_all(in, out) && (!flush || fsync(out) == 0);
	if (out >= 0)
		ok = close_after(out, ok);
	return close_after(in, ok);
}

/* fd: a folder, -1: none; it is this function's now */
static void each_in(int fd, void (*fn)(int dir, const char *name, void *arg), void *arg)
{
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (list == NULL) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(list)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			fn(dirfd(list), entry->d_name, arg);
	closedir(list);
}

void folder_each(int dir, void (*fn)(int dir, const char *name, void *arg), void *arg)
{
	each_in(openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fn, arg);
}

/* arg: how many levels may be beneath it */
static void remove_deep(int dir, const char *name, void *arg)
{
	int deep = *(int *)arg;

	if (unlinkat(dir, name, 0) == 0 || (errno != EISDIR && errno != EPERM) || deep == 0)
		return;
	deep--;
	each_in(folder_open(dir, name), remove_deep, &deep);
	unlinkat(dir, name, AT_REMOVEDIR);
}

void folder_remove(int dir, const char *name)
{
	int deep = DEEPEST;

	remove_deep(dir, name, &deep);
}
