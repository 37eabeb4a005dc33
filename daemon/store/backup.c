#include "store/backup.h"

#include "base/fault.h"
#include "store/copies.h"
#include "store/lock.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_WAIT_MS 30000

struct backup {
	const struct backup_conf *conf;
	char to[COPY_PATH], fresh[COPY_PATH]; /* the name, and that of what is not yet whole */
	int hold;                             /* on fresh */
	struct copy_facts facts;
};

static int name_folders(struct backup *backup, struct why *why)
{
	size_t n = strlen(backup->conf->to);
	struct stat st;
	int r;

	while (n > 1 && backup->conf->to[n - 1] == '/')
		n--;
	if (n == 0 || n >= COPY_PATH)
		return why_set(why, NX_EARG, "where to? the folder's name is empty or too long");
	snprintf(backup->to, sizeof(backup->to), "%.*s", (int)n, backup->conf->to);
	r = path_join(backup->fresh, backup->to, ".new", "", why);
	if (r == 0 && lstat(backup->to, &st) == 0)
		r = why_set(why, NX_EEXIST, "%s is there already: give the copy a new name",
			    backup->to);
	return r;
}

/* returns 0, without a lock on it too where there can be none (NFS); NX_ELOCKED */
static int hold(const char *folder, int *ret_fd, struct why *why)
{
	*ret_fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd < 0 || flock(*ret_fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return 0;
	lock_drop(ret_fd);
	return why_set(why, NX_ELOCKED, "%s: another backup to that name runs", folder);
}

/* an empty folder that is ours: what an interrupted one left goes, what is being written stays */
static int begin(struct backup *backup, struct why *why)
{
	struct stat st;
	int left = -1, r;

	/* what lies there must be our own: of a link, or a stranger's folder, we would remove what
	 * it leads to */
	if (lstat(backup->fresh, &st) == 0 && (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()))
		return why_set(why, NX_EEXIST,
			       "%s is there, and no backup of this user left it: remove it",
			       backup->fresh);
	r = hold(backup->fresh, &left, why);
	if (r == 0)
		r = folder_remove(backup->fresh, why);
	if (r == 0)
		r = folder_make(backup->fresh, why);
	if (r == 0)
		r = hold(backup->fresh, &backup->hold, why);
	lock_drop(&left);
	return r;
}

/* the two environments, while no part is being deleted */
static int copy(struct backup *backup, struct why *why)
{
	int lock = -1;
	int r = lock_backup(backup->conf->directory, LOCK_WAIT_MS, &lock, why);

	if (r == 0)
		r = copies_take(backup->conf->directory, backup->fresh, backup->conf->rate,
				&backup->facts, why);
	lock_drop(&lock);
	return r;
}

/* what it says of itself is what was copied, not what the daemon says by now */
static int describe(struct backup *backup, struct why *why)
{
	struct copy_facts copied = backup->facts;
	int r = copies_look(backup->fresh, true, &backup->facts, why);

	if (r < 0)
		return r;
	backup->facts.taken_ms = backup->conf->wall_ms;
	memcpy(backup->facts.octets, copied.octets, sizeof(copied.octets));
	memcpy(backup->facts.sha256, copied.sha256, sizeof(copied.sha256));
	r = store_verify(backup->fresh, backup->conf->fault, backup->conf->arg, why);
	locks_remove(backup->fresh);
	if (r < 0)
		return r;
	backup->facts.faults = r;
	return note_write(backup->fresh, &backup->facts, why);
}

static int show(const struct backup *backup, struct why *why)
{
	int r = folder_sync(backup->fresh, why);

	(void)FAULT("backup.rename");
	if (r == 0 &&
	    renameat2(AT_FDCWD, backup->fresh, AT_FDCWD, backup->to, RENAME_NOREPLACE) < 0) {
		/* a file system without it: nobody else makes copies under that name */
		if (errno != EINVAL || rename(backup->fresh, backup->to) < 0)
			r = copies_failed(why, "naming the copy", backup->to);
	}
	return r < 0 ? r : parent_sync(backup->to, why);
}

int store_backup(const struct backup_conf *conf, struct copy_facts *ret, struct why *why)
{
	struct backup backup = { .conf = conf, .hold = -1 };
	struct copy_facts now;
	int r = name_folders(&backup, why);

	if (r == 0)
		r = copies_look(conf->directory, true, &now, why);
	if (r == 0)
		r = begin(&backup, why);
	if (r < 0)
		return r;
	r = copy(&backup, why);
	if (r == 0)
		r = describe(&backup, why);
	if (r == 0)
		r = show(&backup, why);
	if (r < 0)
		folder_remove(backup.fresh, NULL);
	else
		*ret = backup.facts;
	lock_drop(&backup.hold);
	return r;
}
