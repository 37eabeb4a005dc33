/*
 * buf.h - a byte buffer with a ceiling. Grows by doubling, keeps its first error.
 *
 * Life: buf_init() on zeroed memory or the caller's stack, buf_done(). Octets taken from the front
 * are gone; buf_slice() is good until the next call that changes the buffer.
 */
#pragma once
#include "proto/err.h"

struct buf {
	uint8_t *p;
	size_t start, end, cap, ceiling;
	int r; /* 0, NX_EFULL above the ceiling, NX_ENOMEM; later appends do nothing */
};
void buf_init(struct buf *buf, size_t ceiling);
void buf_done(struct buf *buf);
int buf_add(struct buf *buf, const void *p, size_t n);
int buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* room for n octets at the end, or NULL; buf_commit() says how many were used */
uint8_t *buf_room(struct buf *buf, size_t n);
void buf_commit(struct buf *buf, size_t n);
void buf_take(struct buf *buf, size_t n); /* n octets off the front */
void buf_clear(struct buf *buf);          /* empties, forgets the error, keeps at most 64 KiB */
/* hand the memory over: *ret is malloc'ed and the caller's; the buffer is empty after */
size_t buf_steal(struct buf *buf, uint8_t **ret);
static inline struct slice buf_slice(const struct buf *buf)
{
	return (struct slice){ .p = buf->p + buf->start, .n = buf->end - buf->start };
}
static inline size_t buf_len(const struct buf *buf)
{
	return buf->end - buf->start;
}
