/* folders that come and go whole, for backup, restore and convert */
#include "store/copies.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int copies_failed(struct why *why, const char *what, const char *path)
{
	int e = errno;
	int r = e == ENOSPC || e == EDQUOT ? NX_EFULL
		: e == ENOENT              ? NX_ENOENT
		: e == EEXIST              ? NX_EEXIST
		: e == ENOMEM              ? NX_ENOMEM
					   : NX_EIO;

	return why_set(why, r, "%s: %s: %s", path, what, strerror(e));
}

int path_join(char to[COPY_PATH], const char *a, const char *b, const char *c, struct why *why)
{
	int n = snprintf(to, COPY_PATH, "%s%s%s", a, b, c);

	return n < 0 || n >= COPY_PATH ? why_set(why, NX_EARG, "%.100s...: too long a path", a) : 0;
}

int folder_make(const char *path, struct why *why)
{
	if (mkdir(path, 0700) == 0)
		return 0;
	if (errno == ENOENT)
		return why_set(why, NX_ENOENT,
			       "%s: the folder that it is to be in does not exist; make it first",
			       path);
	return copies_failed(why, "cannot be made", path);
}

int folder_sync(const char *path, struct why *why)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd < 0 || fsync(fd) < 0 ? copies_failed(why, "fsync", path) : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

int parent_sync(const char *path, struct why *why)
{
	const char *slash = strrchr(path, '/');
	char parent[COPY_PATH];

	if (slash == NULL)
		return folder_sync(".", why);
	snprintf(parent, sizeof(parent), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	return folder_sync(parent, why);
}

// clang-format off
static const struct {
	const char *name;
	bool folder;
} ours[] = { /* insides first */
	{ "items/data.mdb",  false }, { "items/lock.mdb",  false }, { "items",  true },
	{ "photos/data.mdb", false }, { "photos/lock.mdb", false }, { "photos", true },
	{ "backup.txt",      false }, { "restoring",       false }, { "newsxd.lock", false },
	{ "backup.lock",     false },
};
// clang-format on
#define OURS (sizeof(ours) / sizeof(ours[0]))

int folder_remove(const char *path, struct why *why)
{
	char file[COPY_PATH];

	for (size_t i = 0; i < OURS; i++) {
		int r = path_join(file, path, "/", ours[i].name, why);

		if (r < 0)
			return r;
		r = ours[i].folder ? rmdir(file) : unlink(file);
		if (r < 0 && errno != ENOENT)
			return copies_failed(why, "removing", file);
	}
	if (rmdir(path) < 0 && errno != ENOENT)
		return copies_failed(why, "removing", path);
	return 0;
}

void locks_remove(const char *path)
{
	char file[COPY_PATH];

	if (path_join(file, path, "/", "items/lock.mdb", NULL) == 0)
		unlink(file);
	if (path_join(file, path, "/", "photos/lock.mdb", NULL) == 0)
		unlink(file);
}

int folder_own(const char *path, const char *like, struct why *why)
{
	char file[COPY_PATH];
	struct stat st;

	if (stat(like, &st) < 0)
		return copies_failed(why, "stat", like);
	if (chmod(path, st.st_mode & 0777) < 0)
		return copies_failed(why, "chmod", path);
	if (geteuid() != 0)
		return 0;
	for (size_t i = 0; i < OURS; i++) {
		int r = path_join(file, path, "/", ours[i].name, why);

		if (r < 0)
			return r;
		if (lchown(file, st.st_uid, st.st_gid) < 0 && errno != ENOENT)
			return copies_failed(why, "chown", file);
	}
	if (lchown(path, st.st_uid, st.st_gid) < 0)
		return copies_failed(why, "chown", path);
	return 0;
}
