#include "base/log.h"
#include "base/clock.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_OCTETS   (256u << 10)
#define RING_ANYONE   (192u << 10) /* what is above is kept for warn and err */
#define LINE_MAX_     16384
#define VALUE_MAX     2064 /* 512 octets, each as \xHH, quotes, the three dots, a NUL */
#define HEX_MAX       64
#define NOTICE_MAX    320
#define CLOSE_MS      200
#define CLOSE_STEP_MS 10

/* One lock for all but level: writers append under it; only log_flush() moves `from`. */
static struct {
	pthread_mutex_t lock;
	atomic_int level;
	bool open, journal, socket;
	int fd;    /* where lines go */
	int given; /* what log_open() was given: fd is that, or the same thing opened anew */
	int flags; /* of given, to be put back at the end; -1: we left them alone */
	uint64_t dropped, told;
	void (*tap)(const char *line, void *arg);
	void *tap_arg;
	size_t from, len;
	uint8_t ring[RING_OCTETS];
} the = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_INFO_, .fd = 2, .given = 2, .flags = -1 };

/* ---- one line */

struct line {
	char text[LINE_MAX_];
	size_t len;
	bool cut;
};

static const char *level_word(enum log_level level)
{
	switch (level) {
	case LOG_ERR_:
		return "err";
	case LOG_WARN_:
		return "warn";
	case LOG_INFO_:
		return "info";
	case LOG_DEBUG_:
		break;
	}
	return "debug";
}

static void line_begin(struct line *line, enum log_level level, const char *event)
{
	char when[32];
	int n;

	line->cut = false;
	if (the.journal) {
		n = snprintf(line->text, 256, "<%d>level=%s event=%s", (int)level,
			     level_word(level), event);
	} else {
		clock_rfc3339(clock_wall_ms(), when);
		n = snprintf(line->text, 256, "%s level=%s event=%s", when, level_word(level),
			     event);
	}
	line->len = n < 0 ? 0 : n > 255 ? 255 : (size_t)n;
}

static size_t value_of(const struct kv *kv, char *to)
{
	size_t n = kv->n < HEX_MAX ? kv->n : HEX_MAX;

	switch (kv->kind) {
	case KV_U64:
		return (size_t)snprintf(to, VALUE_MAX, "%" PRIu64, (uint64_t)kv->i);
	case KV_I64:
		return (size_t)snprintf(to, VALUE_MAX, "%" PRId64, kv->i);
	case KV_HEX:
		if (n == 0)
			break;
		hex_of(kv->p, n, to);
		return 2 * n;
	case KV_TIME:
		clock_rfc3339(kv->i, to);
		return strlen(to);
	case KV_STR:
	case KV_SLICE:
	case KV_IF:
		break;
	}
	return log_quote(to, VALUE_MAX, slice_of(kv->p, kv->p == NULL ? 0 : kv->n));
}

static void line_add(struct line *line, const struct kv *kv)
{
	char value[VALUE_MAX];
	size_t key_len = strlen(kv->key), len;

	if (kv->kind == KV_IF && (kv->p == NULL || kv->n == 0))
		return;
	len = value_of(kv, value);
	/* a value goes in whole or not at all, so that the line stays one that can be read */
	if (line->cut || key_len + len + 2 > LINE_MAX_ - 16 - line->len) {
		line->cut = true;
		return;
	}
	line->text[line->len++] = ' ';
	memcpy(line->text + line->len, kv->key, key_len);
	line->len += key_len;
	line->text[line->len++] = '=';
	memcpy(line->text + line->len, value, len);
	line->len += len;
}

static void line_end(struct line *line)
{
	if (line->cut) {
		memcpy(line->text + line->len, " cut=yes", 8);
		line->len += 8;
	}
	line->text[line->len++] = '\n';
	line->text[line->len] = '\0';
}

/* ---- the ring */

static bool ring_fits(size_t n, bool important)
{
	size_t most = important ? RING_OCTETS : RING_ANYONE;

	return the.len <= most && n <= most - the.len;
}

static void ring_add(const char *p, size_t n)
{
	size_t at = (the.from + the.len) % RING_OCTETS, first = RING_OCTETS - at;

	if (first > n)
		first = n;
	memcpy(the.ring + at, p, first);
	memcpy(the.ring, p + first, n - first);
	the.len += n;
}

/* says how many were dropped, once there is room for all again */
static void tell_dropped(void)
{
	const struct kv kv = kv_u64("n", the.dropped - the.told);
	struct line line;

	if (the.told == the.dropped || !ring_fits(NOTICE_MAX, false))
		return;
	line_begin(&line, LOG_WARN_, "log.dropped");
	line_add(&line, &kv);
	line_end(&line);
	ring_add(line.text, line.len);
	the.told = the.dropped;
}

/* so many lines were dropped by what this one says; 0: it is none of ours */
static uint64_t told_by(const char *at, size_t n)
{
	static const char what[] = "level=warn event=log.dropped n=";
	size_t before = the.journal ? strlen("<4>") : strlen("0000-00-00T00:00:00.000Z ");
	uint64_t sum = 0;

	if (n <= before + strlen(what) || memcmp(at + before, what, strlen(what)) != 0)
		return 0;
	for (size_t i = before + strlen(what); i < n && at[i] >= '0' && at[i] <= '9'; i++)
		sum = sum * 10 + (uint64_t)(at[i] - '0');
	return sum <= the.told ? sum : 0;
}

/* these are lost: they count, but for our own word of those that were lost before, which is to be
 * said again */
static void ring_lose(const uint8_t *p, size_t n)
{
	const char *at = (const char *)p, *end = at + n, *next;

	for (; (next = memchr(at, '\n', (size_t)(end - at))) != NULL; at = next + 1) {
		uint64_t told = told_by(at, (size_t)(next - at));

		the.told -= told;
		the.dropped += told == 0;
	}
}

static void write_now(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return;
		p += done;
		n -= (size_t)done;
	}
}

static void give(struct line *line, bool important)
{
	if (the.tap != NULL) {
		line->text[line->len - 1] = '\0';
		the.tap(line->text, the.tap_arg);
	} else if (!the.open) {
		write_now(2, line->text, line->len);
	} else {
		tell_dropped();
		if (ring_fits(line->len, important))
			ring_add(line->text, line->len);
		else
			the.dropped++;
	}
}

void log_line(enum log_level level, const char *event, const struct kv *list)
{
	struct line line;
	int saved = errno;

	if ((int)level > the.level)
		return;
	line_begin(&line, level, event);
	for (; list->key != NULL; list++)
		line_add(&line, list);
	line_end(&line);
	pthread_mutex_lock(&the.lock);
	give(&line, level <= LOG_WARN_);
	pthread_mutex_unlock(&the.lock);
	errno = saved;
}

/* ---- the descriptor */

/* the next run of octets to write; appending never touches it, so it is written without the lock */
static size_t ring_front(const uint8_t **ret)
{
	size_t n;

	pthread_mutex_lock(&the.lock);
	tell_dropped();
	n = RING_OCTETS - the.from < the.len ? RING_OCTETS - the.from : the.len;
	*ret = the.ring + the.from;
	pthread_mutex_unlock(&the.lock);
	return n;
}

static void ring_take(const uint8_t *p, size_t n, bool lost)
{
	pthread_mutex_lock(&the.lock);
	if (lost)
		ring_lose(p, n);
	the.from = (the.from + n) % RING_OCTETS;
	the.len -= n;
	pthread_mutex_unlock(&the.lock);
}

/* never waits */
static ssize_t put(const void *p, size_t n)
{
	return the.socket ? send(the.fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(the.fd, p, n);
}

void log_last_words(const char *line)
{
	ssize_t done = put(line, strlen(line));

	(void)done;
}

bool log_flush(void)
{
	int saved = errno;
	bool left = false;
	const uint8_t *p;
	size_t n;

	while (the.open && !left && (n = ring_front(&p)) > 0) {
		ssize_t done = put(p, n);

		if (done > 0) {
			ring_take(p, (size_t)done, false);
		} else if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			left = true;
		} else if (done == 0 || errno != EINTR) {
			/* nobody will ever read these (EPIPE) or they cannot be kept (ENOSPC) */
			ring_take(p, n, true);
			break;
		}
	}
	errno = saved;
	return left;
}

/*
 * Whoever started us may share the descriptor: made non-blocking, it would be so for the shell and
 * the program at the other end of its pipe too, after a kill for ever. A socket is told at each
 * call, a file never waits, and anything else is opened anew. What may not be (a pipe of another
 * user's) is made non-blocking until the end all the same: the log waits for nobody.
 */
static void reach(int fd)
{
	struct stat st = { .st_mode = 0 };
	char path[40];
	int own;

	the.fd = the.given = fd;
	the.flags = -1;
	the.socket = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
	if (the.socket || S_ISREG(st.st_mode) || st.st_mode == 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own >= 0) {
		the.fd = own;
		return;
	}
	the.flags = fcntl(fd, F_GETFL);
	if (the.flags >= 0)
		fcntl(fd, F_SETFL, the.flags | O_NONBLOCK);
}

static void leave(void)
{
	if (the.fd != the.given)
		close(the.fd);
	else if (the.flags >= 0)
		fcntl(the.given, F_SETFL, the.flags);
	the.fd = the.given = 2;
	the.flags = -1;
	the.socket = false;
}

void log_open(int fd, enum log_level most)
{
	pthread_mutex_lock(&the.lock);
	reach(fd);
	the.journal = getenv("JOURNAL_STREAM") != NULL;
	the.from = the.len = 0;
	the.dropped = the.told = 0;
	the.open = true;
	pthread_mutex_unlock(&the.lock);
	the.level = (int)most;
}

void log_level(enum log_level most)
{
	the.level = (int)most;
}

void log_close(void)
{
	struct pollfd pfd = { .fd = the.fd, .events = POLLOUT };
	int ms = CLOSE_MS;

	/* in steps, not by the clock: a test's clock may stand still */
	while (ms > 0 && log_flush()) {
		if (poll(&pfd, 1, CLOSE_STEP_MS) <= 0 || (pfd.revents & POLLOUT) == 0)
			ms -= CLOSE_STEP_MS;
		else
			ms -= 1;
	}
	pthread_mutex_lock(&the.lock);
	if (the.open)
		leave();
	the.open = false;
	pthread_mutex_unlock(&the.lock);
}

int log_fd(void)
{
	return the.fd;
}

uint64_t log_dropped(void)
{
	uint64_t n;

	pthread_mutex_lock(&the.lock);
	n = the.dropped;
	pthread_mutex_unlock(&the.lock);
	return n;
}

void log_tap(void (*fn)(const char *line, void *arg), void *arg)
{
	pthread_mutex_lock(&the.lock);
	the.tap = fn;
	the.tap_arg = arg;
	pthread_mutex_unlock(&the.lock);
}
