#include "store/create.h"

#include "base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PATH_LEN 4096

static int failed(struct why *why, const char *what, const char *path)
{
	int e = errno;
	int r = e == ENOSPC || e == EDQUOT ? NX_EFULL : e == ENOMEM ? NX_ENOMEM : NX_EIO;

	return why_set(why, r, "%s: %s: %s", path, what, strerror(e));
}

/* ---- which file system is this? statfs tells a number */
// clang-format off
static const struct {
	uint32_t magic;
	const char *name;
	bool good;
} filesystems[] = {
	{ 0xEF53,     "ext4",      true },  { 0x58465342, "xfs",     true },
	{ 0x9123683E, "btrfs",     true },  { 0x01021994, "tmpfs",   true },
	{ 0x6969,     "NFS",       false }, { 0x517B,     "SMB",     false },
	{ 0xFF534D42, "CIFS",      false }, { 0xFE534D42, "SMB2",    false },
	{ 0x794C7630, "overlayfs", false }, { 0x65735546, "FUSE",    false },
	{ 0x01021997, "9P",        false }, { 0x00C36400, "Ceph",    false },
	{ 0x5346414F, "AFS",       false }, { 0x7461636F, "OCFS2",   false },
	{ 0x01161970, "GFS2",      false }, { 0x0BD00BD0, "Lustre",  false },
	{ 0x6B414653, "AFS",       false }, { 0x73757245, "Coda",    false },
	{ 0x47504653, "GPFS",      false }, { 0x19830326, "BeeGFS",  false },
	{ 0x786F4256, "vboxsf",    false }, { 0xBACBACBC, "vmhgfs",  false },
};
// clang-format on

int env_filesystem_of(uint32_t type, const char *dir, struct why *why)
{
	for (size_t i = 0; i < sizeof(filesystems) / sizeof(filesystems[0]); i++) {
		if (type != filesystems[i].magic)
			continue;
		if (filesystems[i].good)
			return 0;
		return why_set(
			why, NX_EFORMAT,
			"%s is on %s: the store needs a local file system (ext4, xfs, btrfs)", dir,
			filesystems[i].name);
	}
	why_set(why, 0,
		"%s is on a file system (type %lx) that was never tried: ext4, xfs and btrfs were",
		dir, (unsigned long)type);
	return 1;
}

int env_filesystem(const char *dir, struct why *why)
{
	struct statfs st;

	if (statfs(dir, &st) < 0)
		return failed(why, "statfs", dir);
	if (FAULT("create.network"))
		st.f_type = 0x6969;
	return env_filesystem_of((uint32_t)st.f_type, dir, why);
}

/* ---- the steps of creation */

static int sync_dir(const char *path, struct why *why)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd < 0 || fsync(fd) < 0)
		r = failed(why, "fsync", path);
	if (fd >= 0)
		close(fd);
	return r;
}

static int remove_leftover(const char *path, struct why *why)
{
	static const char *const files[] = { "data.mdb", "lock.mdb" };
	char file[PATH_LEN + 16];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(file, sizeof(file), "%s/%s", path, files[i]);
		if (unlink(file) < 0 && errno != ENOENT)
			return failed(why, "unlink", file);
	}
	if (rmdir(path) < 0 && errno != ENOENT)
		return failed(why, "rmdir", path);
	return 0;
}

static int no_room(int error, uint64_t octets, const char *path, struct why *why)
{
	char what[80];

	snprintf(what, sizeof(what), "cannot take its %llu MiB from the disk",
		 (unsigned long long)(octets >> 20));
	errno = error;
	return failed(why, what, path);
}

/* blocks of the file in PARENT/NAME+end, and the device where it lies; 0: it is not there */
static uint64_t blocks_of(const char *parent, const char *name, const char *end, dev_t *device)
{
	char file[PATH_LEN];
	struct stat st;

	if (snprintf(file, sizeof(file), "%s/%s%s/data.mdb", parent, name, end) >= PATH_LEN ||
	    stat(file, &st) < 0)
		return 0;
	*device = st.st_dev;
	return (uint64_t)st.st_blocks * 512;
}

/* the room on one device, which folder is on, for those that lie there or will be made there */
static int room_on(dev_t device, const char *folder, const char *parent, dev_t parent_device,
		   const struct env_want *wants, size_t n, struct why *why)
{
	uint64_t need = 0, all = 0, ours = 0, room;
	struct statvfs fs;

	/* a tmpfs without a limit says 0 of everything; whoever cannot be asked is tried */
	if (statvfs(folder, &fs) < 0 || fs.f_blocks == 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		dev_t on = parent_device, left_on = parent_device;
		uint64_t has = blocks_of(parent, wants[i].name, "", &on);
		uint64_t left = blocks_of(parent, wants[i].name, ".new", &left_on);

		if (left_on == device)
			ours += left; /* of an interrupted creation: it goes first */
		if (on != device)
			continue;
		all += wants[i].octets;
		need += wants[i].octets > has ? wants[i].octets - has : 0;
	}
	/* what is reserved for root, root gets */
	room = (uint64_t)(geteuid() == 0 ? fs.f_bfree : fs.f_bavail) * fs.f_frsize + ours;
	return need <= room ? 0 : no_room(ENOSPC, all, folder, why);
}

int env_room(const char *parent, const struct env_want *wants, size_t n, struct why *why)
{
	struct stat st;
	int r;

	if (stat(parent, &st) < 0)
		return 0;
	r = room_on(st.st_dev, parent, parent, st.st_dev, wants, n, why);
	for (size_t i = 0; r == 0 && i < n; i++) {
		char folder[PATH_LEN];
		dev_t on = st.st_dev;

		/* somebody moved it to a disk of its own */
		blocks_of(parent, wants[i].name, "", &on);
		if (on != st.st_dev &&
		    snprintf(folder, sizeof(folder), "%s/%s", parent, wants[i].name) < PATH_LEN)
			r = room_on(on, folder, parent, st.st_dev, wants, n, why);
	}
	return r;
}

/* in pieces: a file system that cannot give them has to write them, which may take hours */
static int take(const struct create *create, int fd)
{
	uint64_t octets = create->db.map_size, at = 0;
	int error = 0;

	while (error == 0 && at < octets) {
		uint64_t n = octets - at < CREATE_PIECE ? octets - at : CREATE_PIECE;

		error = FAULT("create.allocate") ? ENOSPC
						 : posix_fallocate(fd, (off_t)at, (off_t)n);
		if (error == 0 && fsync(fd) < 0)
			error = errno;
		at += n;
		if (error == 0 && create->taking != NULL)
			create->taking(create->taking_arg);
	}
	return error;
}

static int preallocate(const struct create *create, struct db *db, const char *path,
		       struct why *why)
{
	uint64_t octets = create->db.map_size;
	int fd = db_fd(db), error;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failed(why, "fstat", path);
	/* blocks, not only the length: a sparse file of the right length came from a copy */
	if ((uint64_t)st.st_size >= octets && (uint64_t)st.st_blocks * 512 >= octets)
		return 0;
	error = take(create, fd);
	if (error == 0)
		return 0;
	/* what it got goes back, or the next start would take the file to be that large */
	if ((uint64_t)st.st_size < octets && ftruncate(fd, st.st_size) < 0)
		return failed(why, "ftruncate", path);
	return no_room(error, octets, path, why);
}

static int fill(const struct create *create, const char *path, struct why *why)
{
	struct db *db = NULL;
	struct txn txn;
	int r = db_open(path, &create->db, &db, why);

	if (r < 0)
		return r;
	txn_begin(&txn, db, TXN_WRITE);
	if (txn.r == 0)
		create->first(&txn, create->arg);
	r = txn_end(&txn);
	if (r < 0)
		why_set(why, r, "%s: the first rows: %s", path, nx_word(r));
	if (r == 0)
		r = preallocate(create, db, path, why);
	db_close(&db);
	return r;
}

static int make(const struct create *create, const char *path, struct why *why)
{
	char fresh[PATH_LEN];
	struct why ignored;
	int r;

	snprintf(fresh, sizeof(fresh), "%s/%s.new", create->parent, create->name);
	if (FAULT("create.mkdir") || mkdir(fresh, 0700) < 0)
		return failed(why, "mkdir", fresh);
	r = fill(create, fresh, why);
	if (r == 0)
		r = sync_dir(fresh, why);
	if (r == 0 && (FAULT("create.rename") || rename(fresh, path) < 0))
		r = failed(why, "rename", fresh); /* path: not there, or an empty folder */
	if (r == 0 && FAULT("create.renamed"))
		r = failed(why, "rename", fresh);
	if (r == 0)
		r = sync_dir(create->parent, why);
	if (r < 0)
		remove_leftover(fresh, &ignored); /* a disk that is too small gets its room back */
	return r;
}

void env_undo(const char *parent, const char *name)
{
	char path[PATH_LEN], fresh[PATH_LEN];
	struct why ignored;

	/* under the name that the next start looks for: a crash in between leaves no half of it */
	if (snprintf(fresh, sizeof(fresh), "%s/%s.new", parent, name) < PATH_LEN &&
	    snprintf(path, sizeof(path), "%s/%s", parent, name) < PATH_LEN &&
	    rename(path, fresh) == 0)
		remove_leftover(fresh, &ignored);
}

static int make_if_missing(const struct create *create, const char *path, struct why *why)
{
	char file[PATH_LEN + 16], fresh[PATH_LEN];
	struct stat st;
	int r;

	snprintf(file, sizeof(file), "%s/data.mdb", path);
	snprintf(fresh, sizeof(fresh), "%s/%s.new", create->parent, create->name);
	r = remove_leftover(fresh, why);
	if (r < 0)
		return r;
	if (stat(file, &st) == 0)
		return 0;
	if (errno != ENOENT)
		return failed(why, "stat", file);
	return make(create, path, why);
}

uint64_t env_octets(const char *dir)
{
	char file[PATH_LEN + 16];
	struct stat st;

	if (snprintf(file, sizeof(file), "%s/data.mdb", dir) >= (int)sizeof(file) ||
	    stat(file, &st) < 0)
		return 0;
	return (uint64_t)st.st_size;
}

void env_kept(const char *what, uint64_t asked, uint64_t stands, struct why *why)
{
	why_set(why, 0,
		"size and items-share give %s %llu MiB, but they have %llu MiB of the disk: that "
		"stays, a store never shrinks",
		what, (unsigned long long)((asked + (1 << 19)) >> 20),
		(unsigned long long)((stands + (1 << 19)) >> 20));
}

int env_open(const struct create *create, struct db **ret, struct why *why)
{
	const struct env_want want = { create->name, create->db.map_size };
	struct why untried = { 0 };
	struct db *db = NULL;
	char path[PATH_LEN];
	int r;

	if (snprintf(path, sizeof(path), "%s/%s.new", create->parent, create->name) >= PATH_LEN)
		return why_set(why, NX_EARG, "%s: too long a path", create->parent);
	snprintf(path, sizeof(path), "%s/%s", create->parent, create->name);
	r = env_filesystem(create->parent, &untried);
	if (r < 0)
		return why_set(why, r, "%s", untried.words);
	r = env_room(create->parent, &want, 1, why);
	if (r == 0)
		r = make_if_missing(create, path, why);
	if (r == 0)
		r = db_open(path, &create->db, &db, why);
	if (r == 0)
		r = preallocate(create, db, path, why);
	if (r == 0)
		r = db_readers_clear(db);
	if (r == 0) {
		*ret = db;
		db = NULL; /* the caller's now */
		if (untried.words[0] != '\0' && create->untried != NULL)
			create->untried(&untried, create->arg);
	}
	db_close(&db);
	return r;
}
