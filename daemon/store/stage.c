#include "store/stage.h"

#include "base/fault.h"
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MARK "restoring"

static bool there(const char *folder, const char *name)
{
	char path[COPY_PATH];

	return path_join(path, folder, "/", name, NULL) == 0 && access(path, F_OK) == 0;
}

static int mark(const char *folder, struct why *why)
{
	char path[COPY_PATH];
	int r = path_join(path, folder, "/", MARK, why), fd;

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return copies_failed(why, "creating", path);
	close(fd);
	return folder_sync(folder, why);
}

static int unmark(const char *folder, struct why *why)
{
	char path[COPY_PATH];
	int r = path_join(path, folder, "/", MARK, why);

	if (r == 0 && unlink(path) < 0 && errno != ENOENT)
		r = copies_failed(why, "removing", path);
	return r < 0 ? r : folder_sync(folder, why);
}

/* DIRECTORY.before-20261122T101500Z; another -2 when that is taken. ret: where it lies, also when
 * it could not be */
static int set_aside(const struct stage *stage, int64_t wall_ms, char ret[COPY_PATH],
		     struct why *why)
{
	time_t at = (time_t)(wall_ms / 1000);
	char stamp[40], to[COPY_PATH];
	struct tm tm;

	gmtime_r(&at, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	path_join(ret, stage->fresh, "", "", NULL);
	for (unsigned n = 1; n < 1000; n++) {
		char name[64];
		int r;

		if (n == 1)
			snprintf(name, sizeof(name), "%s", stamp);
		else
			snprintf(name, sizeof(name), "%s-%u", stamp, n);
		r = path_join(to, stage->directory, ".before-", name, why);
		if (r < 0)
			return r;
		if (renameat2(AT_FDCWD, stage->fresh, AT_FDCWD, to, RENAME_NOREPLACE) == 0) {
			path_join(ret, to, "", "", NULL);
			return parent_sync(to, why);
		}
		if (errno != EEXIST)
			return copies_failed(why, "setting the old store aside", to);
	}
	return why_set(why, NX_EEXIST, "%s: too many old stores beside it", stage->directory);
}

/* of an earlier one that was interrupted */
static int clear_leftover(const struct stage *stage, char ret_before[COPY_PATH], struct why *why)
{
	ret_before[0] = '\0';
	if (access(stage->fresh, F_OK) < 0)
		return 0;
	if (!there(stage->fresh, MARK) &&
	    (there(stage->fresh, "items") || there(stage->fresh, "photos")))
		return set_aside(stage, (int64_t)time(NULL) * 1000, ret_before, why);
	return folder_remove(stage->fresh, why);
}

static int find_directory(struct stage *stage, const char *directory, struct why *why)
{
	char real[PATH_MAX];

	if (realpath(directory, real) == NULL)
		return copies_failed(why, "where is it", directory);
	if (path_join(stage->directory, real, "", "", why) < 0)
		return NX_EARG;
	return path_join(stage->fresh, real, ".", MARK, why);
}

/* a backup that went on after the exchange would have stories of one store, photos of the other */
static int lock_out_backups(struct stage *stage, struct why *why)
{
	int r;

	if (!there(stage->directory, "items") && !there(stage->directory, "photos"))
		return 0; /* nothing to be copied */
	r = lock_backup(stage->directory, 0, &stage->backup_lock, why);
	return r == NX_ELOCKED ? why_set(why, r, "%s: a backup of it runs: wait for its end",
					 stage->directory)
			       : r;
}

/* the locks, and nothing of an earlier one in the way */
static int lock_and_clear(struct stage *stage, const char *directory, char ret_before[COPY_PATH],
			  struct why *why)
{
	int r;

	*stage = (struct stage){ .lock = -1, .backup_lock = -1 };
	r = lock_take(directory, &stage->lock, why);
	if (r == NX_ELOCKED)
		return why_set(why, r, "%s: a newsxd runs on this store: stop it first", directory);
	if (r == 0)
		r = find_directory(stage, directory, why);
	if (r == 0)
		r = lock_out_backups(stage, why);
	return r < 0 ? r : clear_leftover(stage, ret_before, why);
}

int stage_begin(struct stage *stage, const char *directory, struct why *why)
{
	char before[COPY_PATH];
	int r = lock_and_clear(stage, directory, before, why);

	if (r == 0)
		r = folder_make(stage->fresh, why);
	if (r == 0)
		r = mark(stage->fresh, why);
	if (r < 0)
		stage_end(stage);
	return r;
}

int stage_clear(const char *directory, char ret_before[COPY_PATH], struct why *why)
{
	struct stage stage = { .lock = -1, .backup_lock = -1 };
	int r = find_directory(&stage, directory, why);

	ret_before[0] = '\0';
	if (r < 0 || access(stage.fresh, F_OK) < 0)
		return r; /* who only looks is in nobody's way */
	r = lock_and_clear(&stage, directory, ret_before, why);
	lock_drop(&stage.backup_lock);
	lock_drop(&stage.lock);
	return r;
}

static int exchange(const struct stage *stage, struct why *why)
{
	if (renameat2(AT_FDCWD, stage->fresh, AT_FDCWD, stage->directory, RENAME_EXCHANGE) == 0)
		return 0;
	if (errno == EBUSY)
		return why_set(why, NX_EIO,
			       "%s is a mount point and cannot change places: put the store into a "
			       "folder below it ([store] directory)",
			       stage->directory);
	return copies_failed(why, "changing places", stage->directory);
}

/* fresh is the store by now, and stays it. An exchange that may not be on disk is no ground to
 * build on: the old store then waits for clear_leftover(), as after a crash */
static int tidy(struct stage *stage, bool old, int64_t wall_ms, char ret_before[COPY_PATH],
		struct why *why)
{
	int r = parent_sync(stage->directory, why);

	(void)FAULT("stage.swapped");
	path_join(ret_before, old ? stage->fresh : "", "", "", NULL);
	if (r == 0)
		r = old ? set_aside(stage, wall_ms, ret_before, why)
			: folder_remove(stage->fresh, why);
	stage->fresh[0] = '\0';
	return r < 0 ? r : unmark(stage->directory, why);
}

int stage_swap(struct stage *stage, int64_t wall_ms, char ret_before[COPY_PATH], struct why *why)
{
	bool old = there(stage->directory, "items") || there(stage->directory, "photos");
	int r = folder_own(stage->fresh, stage->directory, why);

	if (r == 0)
		r = folder_sync(stage->fresh, why);
	if (r == 0)
		r = unmark(stage->directory, why); /* the old one is nobody's half */
	(void)FAULT("stage.swap");
	if (r == 0)
		r = exchange(stage, why);
	if (r < 0)
		return r;
	return tidy(stage, old, wall_ms, ret_before, why) < 0 ? STAGE_UNTIDY : 0;
}

void stage_end(struct stage *stage)
{
	if (stage->fresh[0] != '\0' && there(stage->fresh, MARK))
		folder_remove(stage->fresh, NULL);
	lock_drop(&stage->backup_lock);
	lock_drop(&stage->lock);
}
