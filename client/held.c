#include "client/held.h"
#include "base/clock.h"
#include "base/hash.h"
#include "client/report.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

/* 16 hex, blank, 20 digits, blank: always as long, so that a line stays where it is */
#define HEAD_LEN   38
#define FILE_MOST  65536
#define SERVER_MAX 300
#define SAVE_MS    200

struct line {
	off_t at; /* -1: there is none */
	uint64_t epoch, sequence;
};

static bool parse_head(const char *text, struct line *ret)
{
	uint8_t epoch[8];

	if (text[16] != ' ' || text[37] != ' ' || !hex_to(slice_of(text, 16), epoch, 8))
		return false;
	ret->epoch = ret->sequence = 0;
	for (int i = 0; i < 8; i++)
		ret->epoch = ret->epoch << 8 | epoch[i];
	for (int i = 17; i < 37; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		ret->sequence = ret->sequence * 10 + (uint64_t)(text[i] - '0');
	}
	return ret->sequence < (1ull << 53);
}

/* the line of this server; ret_end: where a new one goes */
static struct line find(const struct held *held, off_t *ret_end)
{
	static const struct line none = { .at = -1 };
	char text[FILE_MOST + 1];
	ssize_t n = pread(held->fd, text, FILE_MOST, 0);
	size_t len = strlen(held->server);
	struct line line = none;

	*ret_end = n < 0 ? 0 : n;
	text[n < 0 ? 0 : n] = '\0';
	for (char *at = text, *end; (end = strchr(at, '\n')) != NULL; at = end + 1)
		if ((size_t)(end - at) == HEAD_LEN + len && parse_head(at, &line) &&
		    memcmp(at + HEAD_LEN, held->server, len) == 0) {
			line.at = at - text;
			return line;
		}
	return none;
}

int held_open(struct held *held, const char *file, const char *identity, const char *server,
	      struct why *why)
{
	char path[PATH_MAX];
	struct line line;
	off_t end;

	*held = (struct held){ .fd = -1, .server = server };
	if (file == NULL)
		snprintf(path, sizeof(path), "%s.held", identity);
	else
		snprintf(path, sizeof(path), "%s", file);
	if (strlen(server) > SERVER_MAX)
		return 0;
	held->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (held->fd < 0)
		return file == NULL ? 0 : why_set(why, NX_EIO, "%s: %s", path, strerror(errno));
	held->kept = true;
	line = find(held, &end);
	held->known = line.at >= 0;
	held->epoch = line.epoch;
	held->sequence = line.sequence;
	return 0;
}

void held_say(const struct held *held, struct hello *mine)
{
	mine->has_held = held->known;
	mine->held_epoch = held->epoch;
	mine->held_sequence = held->sequence;
}

#define AGAIN "publish again what was answered with a seq above %" PRIu64 "; a copy is recognised"

/* under the same epoch: somebody put old files in place of the store */
static void check_last(struct held *held, const struct hello *theirs)
{
	if (!theirs->has_last || theirs->last >= held->sequence)
		return;
	held->anew = true;
	report_words("the exchange has lost what it acknowledged last, at most %" PRIu64
		     " items of all its partners: " AGAIN,
		     held->sequence - theirs->last, theirs->last);
}

static void check_restored(struct held *held, const struct hello *theirs)
{
	bool all_there = theirs->has_restored && theirs->restored_epoch == held->epoch &&
			 held->sequence <= theirs->restored_sequence;

	held->anew = true;
	if (!theirs->has_restored || theirs->restored_epoch != held->epoch)
		report_words("the exchange has another store than it had: it was made anew, or "
			     "restored more than once; publish again what must be there, what is "
			     "there is a duplicate");
	else if (all_there)
		report_words("the exchange was restored from a copy; all that it acknowledged to "
			     "you is in it");
	else
		report_words("the exchange was restored from a copy and has lost what it "
			     "acknowledged last, at most %" PRIu64
			     " items of all its partners: " AGAIN,
			     held->sequence - theirs->restored_sequence, theirs->restored_sequence);
	if (all_there) { /* the same numbers under the new epoch: said once is enough */
		held->epoch = theirs->epoch;
		held->dirty = true;
	}
}

void held_check(struct held *held, const struct hello *theirs)
{
	if (!held->known)
		return;
	if (theirs->epoch == held->epoch)
		check_last(held, theirs);
	else
		check_restored(held, theirs);
	held->known = !held->anew; /* the next acknowledgement counts, however low */
}

/* others may publish with this key at the same time: the highest stays */
static void save(struct held *held)
{
	char text[HEAD_LEN + SERVER_MAX + 2];
	struct line line;
	off_t end;
	int n;

	held->dirty = false;
	held->saved_ms = clock_boot_ms();
	if (!held->kept || flock(held->fd, LOCK_EX) < 0)
		return;
	line = find(held, &end);
	n = snprintf(text, sizeof(text), "%016" PRIx64 " %020" PRIu64 " %s\n", held->epoch,
		     held->sequence, held->server);
	if (line.at < 0 && end + n > FILE_MOST)
		n = 0;
	if (line.at < 0 || held->anew || line.epoch != held->epoch ||
	    line.sequence < held->sequence)
		held->kept = pwrite(held->fd, text, (size_t)n, line.at < 0 ? end : line.at) == n;
	held->anew = false;
	flock(held->fd, LOCK_UN);
}

void held_note(struct held *held, uint64_t epoch, uint64_t sequence)
{
	if (held->known && held->epoch == epoch && held->sequence >= sequence)
		return;
	held->known = held->dirty = true;
	held->epoch = epoch;
	held->sequence = sequence;
	if (clock_boot_ms() - held->saved_ms >= SAVE_MS)
		save(held);
}

void held_close(struct held *held)
{
	if (held->server == NULL) /* never opened */
		return;
	if (held->dirty)
		save(held);
	if (held->fd >= 0)
		close(held->fd);
	held->fd = -1;
	held->kept = false;
}
