/*
 * log.h - one key=value line per event, for the person on call.
 *
 * Values are typed, so quoting happens here and a partner's octets can never forge a line: a string
 * is written bare only if all its octets are of A-Z a-z 0-9 . _ - : / @ + and it is not empty, else
 * in double quotes with \" \\ \n \xHH for control octets, bad UTF-8, U+0080-009F, U+200E/F,
 * U+202A-202E and U+2066-2069; strings over 512 octets are cut with "...".
 * Never blocks: lines go to a ring (256 KiB, of which 64 KiB is kept for warn and err) and from
 * there to the descriptor, as far as it takes them at once; what does not fit is counted and told
 * in event=log.dropped n=. The descriptor itself is left as it is: others may share it. Knows
 * nothing of who logs. Thread: any (one mutex); log_open(), log_flush() and log_close() the loop's.
 * A line that grows beyond 16 KiB leaves out the values that do not fit and ends with cut=yes.
 * SIGPIPE is the caller's to ignore. With systemd (JOURNAL_STREAM set) lines start with <N> and
 * carry no time; else with an RFC 3339 time in UTC: 2026-11-22T10:00:00.123Z level=info
 * event=conn.open conn=17 peer=afp addr=192.0.2.7
 */
#pragma once
#include "proto/err.h"

enum log_level { LOG_ERR_ = 3, LOG_WARN_ = 4, LOG_INFO_ = 6, LOG_DEBUG_ = 7 };

struct kv {
	const char *key; /* NULL ends a list */
	enum { KV_STR, KV_SLICE, KV_U64, KV_I64, KV_HEX, KV_TIME, KV_IF } kind;
	const void *p;
	size_t n;
	int64_t i;
};
static inline struct kv kv_str(const char *key, const char *s)
{
	return (struct kv){ .key = key, .kind = KV_STR, .p = s, .n = s ? strlen(s) : 0 };
}
/* left out of the line when s is NULL or empty */
static inline struct kv kv_if_str(const char *key, const char *s)
{
	return (struct kv){ .key = key, .kind = KV_IF, .p = s, .n = s ? strlen(s) : 0 };
}
static inline struct kv kv_slice(const char *key, struct slice s)
{
	return (struct kv){ .key = key, .kind = KV_SLICE, .p = s.p, .n = s.n };
}
/* left out of the line when s is empty */
static inline struct kv kv_if_slice(const char *key, struct slice s)
{
	return (struct kv){ .key = key, .kind = KV_IF, .p = s.p, .n = s.n };
}
static inline struct kv kv_u64(const char *key, uint64_t u)
{
	return (struct kv){ .key = key, .kind = KV_U64, .i = (int64_t)u };
}
static inline struct kv kv_i64(const char *key, int64_t i)
{
	return (struct kv){ .key = key, .kind = KV_I64, .i = i };
}
/* octets as hex, e.g. the first 8 of a hash */
static inline struct kv kv_hex(const char *key, const void *p, size_t n)
{
	return (struct kv){ .key = key, .kind = KV_HEX, .p = p, .n = n };
}
/* a wall-clock time in ms since 1970 as RFC 3339 in UTC */
static inline struct kv kv_time(const char *key, int64_t wall_ms)
{
	return (struct kv){ .key = key, .kind = KV_TIME, .i = wall_ms };
}

/* opened once, before threads; a line before that goes straight to descriptor 2 */
void log_open(int fd, enum log_level most);
void log_level(enum log_level most);
void log_close(void); /* writes what is in the ring, waiting at most 200 ms */
/* write what fits; returns true while something is left (poll the descriptor for writing) */
bool log_flush(void);
int log_fd(void); /* where lines go: the descriptor given, or the same thing opened anew */
/* a whole line, beside the ring, by a process that ends now; may be called in a signal's handler */
void log_last_words(const char *line);
uint64_t log_dropped(void);
/* a test's ear: every finished line (without newline) goes to fn instead of the descriptor; fn must
 * not log */
void log_tap(void (*fn)(const char *line, void *arg), void *arg);

/* log_line - event is noun.verb, a literal; list ends with a kv whose key is NULL */
void log_line(enum log_level level, const char *event, const struct kv *list);
// clang-format off
#define log_at(level, event, ...) \
	log_line((level), (event), (const struct kv[]){ __VA_ARGS__ __VA_OPT__(,) { .key = NULL } })
#define log_err(event, ...)   log_at(LOG_ERR_, event __VA_OPT__(,) __VA_ARGS__)
#define log_warn(event, ...)  log_at(LOG_WARN_, event __VA_OPT__(,) __VA_ARGS__)
#define log_info(event, ...)  log_at(LOG_INFO_, event __VA_OPT__(,) __VA_ARGS__)
#define log_debug(event, ...) log_at(LOG_DEBUG_, event __VA_OPT__(,) __VA_ARGS__)
// clang-format on

/* the same quoting for other users (newsxctl's terminal): writes at most size-1 octets and a NUL */
size_t log_quote(char *to, size_t size, struct slice s);
