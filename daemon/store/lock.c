#include "store/lock.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static bool path_in(const char *directory, const char *name, char path[PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", directory, name);

	if (n >= 0 && n < PATH_MAX)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

static int open_in(const char *directory, const char *name)
{
	char path[PATH_MAX];

	return path_in(directory, name, path)
		       ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640)
		       : -1;
}

/* --restore and --convert put another folder in place of this one, and may have done so between our
 * open() and our lock: that is then a lock of what was set aside */
static bool is_in(const char *directory, const char *name, int fd)
{
	char path[PATH_MAX];
	struct stat named, ours;

	return path_in(directory, name, path) && lstat(path, &named) == 0 &&
	       fstat(fd, &ours) == 0 && named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
}

/* made by root, for a daemon of another user, who must be able to open it too. It is a help, no
 * more: the daemon says by itself what it cannot open */
static void give_to_owner_of(const char *path, int fd)
{
	struct stat st;

	if (geteuid() == 0 && stat(path, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) < 0)
		return;
}

static int make_directory(const char *directory, struct why *why)
{
	char parent[PATH_MAX];
	int fd;

	if (mkdir(directory, 0750) < 0)
		return errno == EEXIST
			       ? 0
			       : why_set(why, NX_EIO, "the store %s cannot be made: %s%s",
					 directory, strerror(errno),
					 errno == ENOENT ? "; make the folder that it is to be in"
							 : "");
	snprintf(parent, sizeof(parent), "%.4000s/..", directory);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0) {
		give_to_owner_of(parent, fd);
		close(fd);
	}
	return 0;
}

int lock_take(const char *directory, int *ret_fd, struct why *why)
{
	int r = make_directory(directory, why), fd;

	if (r < 0)
		return r;
	fd = open_in(directory, "newsxd.lock");
	if (fd < 0)
		return why_set(why, NX_EIO, "%s/newsxd.lock: %s", directory, strerror(errno));
	give_to_owner_of(directory, fd);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? NX_ELOCKED : NX_EIO;
		why_set(why, r, "%s/newsxd.lock: %s", directory,
			r == NX_ELOCKED ? "another newsxd has this directory" : strerror(errno));
		close(fd);
		return r;
	}
	if (!is_in(directory, "newsxd.lock", fd)) {
		close(fd);
		return why_set(why, NX_ELOCKED, "%s: another store was just put there", directory);
	}
	*ret_fd = fd;
	return 0;
}

void lock_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int lock_deletions(const char *directory, int *ret_fd)
{
	int fd = open_in(directory, "backup.lock");

	if (fd < 0)
		return NX_EIO;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? NX_ELOCKED : NX_EIO;

		close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int lock_backup(const char *directory, int64_t wait_ms, int *ret_fd, struct why *why)
{
	static const struct timespec rest = { .tv_nsec = 20 * 1000 * 1000 };
	int64_t end_ms = clock_boot_ms() + wait_ms;

	for (;;) {
		int fd = open_in(directory, "backup.lock"), e;

		if (fd < 0)
			return why_set(why, NX_EIO, "%s/backup.lock: %s", directory,
				       strerror(errno));
		give_to_owner_of(directory, fd);
		e = flock(fd, LOCK_EX | LOCK_NB) < 0 ? errno : 0;
		if (e == 0 && is_in(directory, "backup.lock", fd)) {
			*ret_fd = fd;
			return 0;
		}
		close(fd);
		if (e != 0 && e != EWOULDBLOCK && e != EINTR)
			return why_set(why, NX_EIO, "%s/backup.lock: %s", directory, strerror(e));
		if (clock_boot_ms() >= end_ms)
			return why_set(why, NX_ELOCKED, "%s: another backup of it runs", directory);
		nanosleep(&rest, NULL);
	}
}
