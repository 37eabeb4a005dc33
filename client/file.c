#include "client/file.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BLOCK (256 << 10)

/* O_NONBLOCK: a FIFO with nobody behind it must not hold us */
#define OPEN_AS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int open_beyond(const char *path, size_t given)
{
	struct open_how how = { .flags = OPEN_AS, .resolve = RESOLVE_NO_SYMLINKS };
	char *folder = strndup(path, given);
	int dir = AT_FDCWD, fd = -1, saved;

	if (folder != NULL && given > 0)
		dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder != NULL && (given == 0 || dir >= 0))
		fd = (int)syscall(SYS_openat2, dir, path + given, &how, sizeof(how));
	saved = errno;
	if (dir >= 0)
		close(dir);
	free(folder);
	errno = saved;
	return fd;
}

int file_open(const char *path, size_t given, struct stat *ret, struct why *why)
{
	bool all = given >= strlen(path);
	int fd = all ? open(path, OPEN_AS) : open_beyond(path, given);

	if (fd >= 0 && fstat(fd, ret) == 0 && S_ISREG(ret->st_mode))
		return fd;
	why_set(why, NX_ENOENT, "cannot read %s: %s", path,
		fd >= 0                  ? "it is not a regular file"
		: errno == ELOOP && !all ? "a symbolic link leads there, and none is followed"
					 : strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

int file_all(const char *path, size_t given, size_t most, uint8_t **ret, size_t *ret_n,
	     struct why *why)
{
	struct stat st;
	int fd = file_open(path, given, &st, why), r = 0;
	ssize_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	if (fd < 0)
		return NX_ENOENT;
	if ((uint64_t)st.st_size > most)
		r = why_set(why, NX_EBIGDOC, "%s has %lld octets, at most %zu are sent", path,
			    (long long)st.st_size, most);
	else if ((*ret = malloc((size_t)st.st_size + 1)) == NULL)
		r = why_set(why, NX_ENOMEM, "out of memory");
	else if ((n = pread(fd, *ret, (size_t)st.st_size, 0)) != st.st_size)
		r = why_set(why, NX_ENOENT, "cannot read %s: %s", path,
			    n < 0 ? strerror(errno) : "it changed while it was read");
	close(fd);
	if (r < 0) {
		free(*ret);
		*ret = NULL;
		return r;
	}
	*ret_n = (size_t)n;
	return 0;
}

static bool is_same(const struct file *file, const struct stat *st)
{
	return file->size == (uint64_t)st->st_size && file->changed_s == st->st_mtim.tv_sec &&
	       file->changed_ns == st->st_mtim.tv_nsec && file->device == st->st_dev &&
	       file->inode == st->st_ino;
}

static int hash_all(int fd, struct file *file, uint8_t head[FILE_HEAD], size_t *ret_head_n)
{
	struct sha256 *sha = sha256_new();
	uint8_t *block = malloc(BLOCK);
	uint64_t at = 0;
	ssize_t n = -1;

	while (sha != NULL && block != NULL && (n = pread(fd, block, BLOCK, (off_t)at)) > 0) {
		if (at == 0) {
			*ret_head_n = n < FILE_HEAD ? (size_t)n : FILE_HEAD;
			memcpy(head, block, *ret_head_n);
		}
		sha256_add(sha, block, (size_t)n);
		at += (uint64_t)n;
	}
	if (sha != NULL)
		sha256_end(sha, file->sha256);
	sha256_free(&sha);
	free(block);
	return n == 0 && at == file->size ? 0 : NX_EIO;
}

int file_look(struct file *file, char *path, size_t given, uint8_t head[FILE_HEAD],
	      size_t *ret_head_n, struct why *why)
{
	struct stat st = { 0 };
	int fd = file_open(path, given, &st, why), r;

	file->fd = -1;
	file->path = path;
	if (fd < 0)
		return NX_ENOENT;
	file->size = (uint64_t)st.st_size;
	file->changed_s = st.st_mtim.tv_sec;
	file->changed_ns = st.st_mtim.tv_nsec;
	file->device = st.st_dev;
	file->inode = st.st_ino;
	r = file->size == 0 ? NX_EIO : hash_all(fd, file, head, ret_head_n);
	close(fd);
	if (r < 0)
		return why_set(why, NX_ENOENT, "cannot read %s: %s", path,
			       file->size == 0 ? "it is empty" : "it changed while it was read");
	return 0;
}

int file_read(struct file *file, uint64_t offset, uint8_t *to, size_t n)
{
	struct stat st;
	ssize_t got = -1;

	if (file->fd < 0)
		file->fd = file_open(file->path, FILE_GIVEN, &st, NULL); /* is_same() says */
	if (file->fd >= 0 && fstat(file->fd, &st) == 0 && is_same(file, &st))
		got = pread(file->fd, to, n, (off_t)offset);
	/* served to its end, or not at all: let the descriptor go */
	if (file->fd >= 0 && (got <= 0 || offset + (uint64_t)got >= file->size)) {
		close(file->fd);
		file->fd = -1;
	}
	return got > 0 ? (int)got : NX_EPARTSGONE;
}

void file_done(struct file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	free(file->path);
	file->fd = -1;
	file->path = NULL;
}
