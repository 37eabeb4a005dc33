#include "store/pump.h"

#include "base/clock.h"
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PIECE  ((size_t)256 << 10)
#define SYNCED ((uint64_t)4 << 20) /* so much is dirty at most */

static int failed(struct why *why, const char *path)
{
	int e = errno;
	int r = e == ENOSPC || e == EDQUOT ? NX_EFULL : NX_EIO;

	return why_set(why, r, "%s: %s", path, strerror(e));
}

static bool write_all(int fd, const uint8_t *p, size_t n)
{
	while (n > 0) {
		ssize_t done;

		if (FAULT("pump.write")) {
			errno = ENOSPC;
			return false;
		}
		done = write(fd, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* not sync_file_range(): blocks must be given, and a full disk said, here and not at the end */
static bool sync_piece(int fd, uint64_t upto)
{
	if (fdatasync(fd) < 0)
		return false;
	posix_fadvise(fd, 0, (off_t)upto, POSIX_FADV_DONTNEED);
	return true;
}

static void keep_pace(const struct pump *pump, int64_t begun_ms)
{
	int64_t due_ms, ahead_ms;

	if (pump->rate == 0)
		return;
	due_ms = (int64_t)(pump->octets * 1000 / pump->rate);
	ahead_ms = begun_ms + due_ms - clock_boot_ms();
	if (ahead_ms > 0)
		nanosleep(&(struct timespec){ .tv_sec = ahead_ms / 1000,
					      .tv_nsec = ahead_ms % 1000 * 1000000 },
			  NULL);
}

static int move(struct pump *pump, int out, uint8_t *piece, struct sha256 *sha, struct why *why)
{
	int64_t begun_ms = clock_boot_ms();
	uint64_t synced = 0;
	ssize_t n;

	while ((n = read(pump->in, piece, PIECE)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(why, "reading");
		sha256_add(sha, piece, (size_t)n);
		if (!write_all(out, piece, (size_t)n))
			return failed(why, pump->path);
		pump->octets += (uint64_t)n;
		if (pump->octets - synced >= SYNCED) {
			if (!sync_piece(out, pump->octets))
				return failed(why, pump->path);
			synced = pump->octets;
		}
		keep_pace(pump, begun_ms);
	}
	if (fsync(out) < 0)
		return failed(why, pump->path);
	return 0;
}

int pump_run(struct pump *pump, struct why *why)
{
	uint8_t *piece = malloc(PIECE);
	struct sha256 *sha = sha256_new();
	int out = -1, r;

	pump->octets = 0;
	if (piece == NULL || sha == NULL) {
		r = why_set(why, NX_ENOMEM, "out of memory");
		goto out;
	}
	out = open(pump->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	r = out < 0 ? failed(why, pump->path) : move(pump, out, piece, sha, why);
	if (r == 0)
		sha256_end(sha, pump->sha256);
	if (out >= 0 && close(out) < 0 && r == 0)
		r = failed(why, pump->path);
out:
	sha256_free(&sha);
	free(piece);
	return r;
}
