#include "client/inbox.h"
#include "base/clock.h"
#include "base/hash.h"
#include "client/folder.h"
#include "client/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define INCOMING ".incoming-"

/* ---- opening */

static bool is_locked(int fd)
{
	return flock(fd, LOCK_EX | LOCK_NB) < 0;
}

/* left behind by one that was killed; another that is alive holds its lock */
static void sweep_incoming(int dir, const char *name, void *arg)
{
	int fd;

	(void)arg;
	if (strncmp(name, INCOMING, strlen(INCOMING)) != 0)
		return;
	fd = folder_open(dir, name);
	if (fd >= 0 && !is_locked(fd))
		folder_remove(dir, name);
	if (fd >= 0)
		close(fd);
}

static void sweep_partial(int dir, const char *name, void *arg)
{
	const int64_t *oldest_s = arg;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_sec < *oldest_s)
		folder_remove(dir, name);
}

/* OUT's own name: without it nothing beneath is there after a power cut. Made just now, or by one
 * that was killed just then */
static int flush_name(int dir)
{
	int parent = openat(dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (parent < 0) /* ours to write, not to read */
		return syncfs(dir);
	r = fsync(parent);
	close(parent);
	return r;
}

static int partial_failed(const char *out, struct why *why)
{
	return why_set(why, NX_ESYS, "cannot use %s/.partial: %s", out,
		       errno == ELOOP || errno == ENOTDIR ? "it is not a folder" : strerror(errno));
}

int inbox_open(const char *out, struct inbox *ret, struct why *why)
{
	int64_t oldest_s = clock_wall_ms() / 1000 - INBOX_PARTIAL_DAYS * 86400L;

	ret->dir = ret->partial = -1;
	if (mkdir(out, 0755) < 0 && errno != EEXIST)
		return why_set(why, NX_ESYS, "cannot make the folder %s: %s", out, strerror(errno));
	ret->dir = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ret->dir < 0)
		return why_set(why, NX_ESYS, "cannot open the folder %s: %s", out, strerror(errno));
	if (flush_name(ret->dir) < 0) {
		why_set(why, NX_ESYS, "cannot flush the folder above %s: %s", out, strerror(errno));
		inbox_close(ret);
		return NX_ESYS;
	}
	ret->partial = folder_make(ret->dir, ".partial");
	if (ret->partial < 0) {
		partial_failed(out, why);
		inbox_close(ret);
		return NX_ESYS;
	}
	folder_each(ret->dir, sweep_incoming, NULL);
	folder_each(ret->partial, sweep_partial, &oldest_s);
	return 0;
}

/* the folder above: out without its last name */
static char *above(const char *out)
{
	size_t n = strlen(out);

	while (n > 0 && out[n - 1] == '/')
		n--;
	while (n > 0 && out[n - 1] != '/')
		n--;
	return n == 0 ? strdup(".") : strndup(out, n);
}

static int try_there(const char *out, struct why *why)
{
	struct inbox inbox = { .dir = open(out, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
			       .partial = -1 };
	int r = 0;

	if (inbox.dir < 0)
		return why_set(why, NX_ESYS, "cannot open the folder %s: %s", out, strerror(errno));
	inbox.partial = folder_open(inbox.dir, ".partial");
	if (inbox.partial < 0 && errno != ENOENT)
		r = partial_failed(out, why);
	else if (faccessat(inbox.dir, ".", W_OK | X_OK, AT_EACCESS) < 0)
		r = why_set(why, NX_ESYS, "cannot write in the folder %s: %s", out,
			    strerror(errno));
	inbox_close(&inbox);
	return r;
}

int inbox_try(const char *out, struct why *why)
{
	struct stat st;
	char *parent;
	int r;

	if (lstat(out, &st) == 0 || errno != ENOENT)
		return try_there(out, why);
	parent = above(out);
	if (parent == NULL)
		return why_set(why, NX_ESYS, "out of memory");
	r = faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS);
	if (r < 0)
		r = why_set(why, NX_ESYS, "cannot make the folder %s: %s", out, strerror(errno));
	free(parent);
	return r;
}

void inbox_close(struct inbox *inbox)
{
	if (inbox->partial >= 0)
		close(inbox->partial);
	if (inbox->dir >= 0)
		close(inbox->dir);
	inbox->dir = inbox->partial = -1;
}

/* ---- names */

int inbox_content(struct slice document, const struct envelope *envelope, uint8_t content[32])
{
	struct sha256 *sha = sha256_new();

	if (sha == NULL)
		return NX_ENOMEM;
	sha256_add(sha, document.p, document.n);
	for (unsigned i = 0; i < envelope->parts_n; i++) {
		const struct envelope_part *part = &envelope->parts[i];
		size_t n = strlen(part->name);
		uint8_t length[2] = { (uint8_t)(n >> 8), (uint8_t)n };

		sha256_add(sha, length, 2);
		sha256_add(sha, part->name, n);
		sha256_add(sha, part->sha256, 32);
	}
	sha256_end(sha, content);
	sha256_free(&sha);
	return 0;
}

int inbox_name(struct slice origin, struct slice uri, struct slice version,
	       const uint8_t content[32], char to[INBOX_NAME])
{
	char story_hex[17], content_hex[17], clean[40];
	struct sha256 *sha = sha256_new();
	uint8_t story[32];

	if (sha == NULL)
		return NX_ENOMEM;
	sha256_add(sha, origin.p, origin.n);
	sha256_add(sha, "", 1);
	sha256_add(sha, uri.p, uri.n);
	sha256_end(sha, story);
	sha256_free(&sha);
	hex_of(story, 8, story_hex);
	hex_of(content, 8, content_hex);
	text_clean(clean, sizeof(clean), version);
	snprintf(to, INBOX_NAME, "%s-%s-%s", story_hex, clean, content_hex);
	return 0;
}

void inbox_part_name(unsigned number, const char *name, char to[INBOX_NAME])
{
	const char *slash = strrchr(name, '/');
	char clean[FILE_NAME_MAX_];

	text_clean(clean, sizeof(clean), slice_str(slash == NULL ? name : slash + 1));
	snprintf(to, INBOX_NAME, "%02u-%s", number, clean);
}

/* ---- finding and putting */

int inbox_find(const struct inbox *inbox, const char *name, struct why *why)
{
	struct stat st;
	int fd;

	if (fstatat(inbox->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : why_set(why, NX_EIO, "%s: %s", name, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return why_set(why, NX_EIO, "%s is in the way and is not a folder of ours", name);
	fd = folder_open(inbox->dir, name);
	if (fd < 0 || fstatat(fd, "document.json", &st, AT_SYMLINK_NOFOLLOW) < 0) {
		int saved = errno;

		if (fd >= 0)
			close(fd);
		return why_set(why, NX_EIO, "%s is in the way and holds no item: %s", name,
			       strerror(saved));
	}
	close(fd);
	return 1;
}

static bool put_parts(const struct inbox *inbox, const struct inbox_item *item, bool flush)
{
	int dir = folder_make(item->folder, "parts");
	bool ok = dir >= 0;

	for (unsigned i = 0; i < item->parts_n && ok; i++) {
		char name[INBOX_NAME];

		inbox_part_name(i + 1, item->parts[i].name, name);
		ok = folder_take(dir, name, inbox->partial, item->parts[i].file,
				 item->parts[i].share, flush);
	}
	ok = ok && (!flush || fsync(dir) == 0);
	if (dir >= 0) {
		int saved = errno;

		close(dir);
		errno = saved;
	}
	return ok;
}

static int incoming_new(const struct inbox *inbox, char name[40])
{
	uint8_t octets[8];
	int fd;

	random_octets(octets, sizeof(octets));
	memcpy(name, INCOMING, strlen(INCOMING));
	hex_of(octets, sizeof(octets), name + strlen(INCOMING));
	if (mkdirat(inbox->dir, name, 0755) < 0)
		return -1;
	fd = folder_open(inbox->dir, name);
	if (fd >= 0)
		flock(fd, LOCK_EX | LOCK_NB);
	return fd;
}

int inbox_fill(const struct inbox *inbox, struct inbox_item *item, bool flush, struct why *why)
{
	item->folder = incoming_new(inbox, item->incoming);
	if (item->folder >= 0 &&
	    folder_write(item->folder, "document.json", item->document, flush) &&
	    folder_write(item->folder, "envelope.json", item->envelope, flush) &&
	    (item->parts_n == 0 || put_parts(inbox, item, flush)) &&
	    (!flush || fsync(item->folder) == 0))
		return 0;
	why_set(why, NX_EIO, "cannot write the folder %s: %s", item->name, strerror(errno));
	inbox_drop(inbox, item);
	return NX_EIO;
}

int inbox_sync(const struct inbox *inbox, struct why *why)
{
	if (syncfs(inbox->dir) == 0)
		return 0;
	return why_set(why, NX_EIO, "cannot flush the files: %s", strerror(errno));
}

int inbox_appear(const struct inbox *inbox, struct inbox_item *item, struct why *why)
{
	int r = 0;

	if (renameat2(inbox->dir, item->incoming, inbox->dir, item->name, RENAME_NOREPLACE) < 0) {
		r = why_set(why, NX_EIO, "cannot write the folder %s: %s", item->name,
			    strerror(errno));
		/* another of us was faster: what is there has the same content */
		if (errno == EEXIST && inbox_find(inbox, item->name, why) == 1)
			r = NX_EEXIST;
		inbox_drop(inbox, item);
		return r;
	}
	close(item->folder);
	item->folder = -1;
	return 0;
}

int inbox_seal(const struct inbox *inbox, struct why *why)
{
	if (fsync(inbox->dir) == 0)
		return 0;
	return why_set(why, NX_EIO, "cannot flush the folder: %s", strerror(errno));
}

void inbox_drop(const struct inbox *inbox, struct inbox_item *item)
{
	if (item->folder < 0)
		return;
	folder_remove(inbox->dir, item->incoming);
	close(item->folder);
	item->folder = -1;
}

/* ---- done */

bool inbox_is_done(int folder)
{
	struct stat st;

	return fstatat(folder, ".done", &st, AT_SYMLINK_NOFOLLOW) == 0;
}

int inbox_set_done(int folder, struct why *why)
{
	if (folder_write(folder, ".done", slice_str(""), true) || errno == EEXIST) {
		if (fsync(folder) == 0)
			return 0;
	} else if (errno == ENOENT) {
		return 0; /* the command has taken the folder away */
	}
	return why_set(why, NX_EIO, "the command succeeded, but .done cannot be written: %s",
		       strerror(errno));
}
