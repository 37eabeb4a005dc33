#include "base/buf.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LEAST 256
#define KEEP  (64 << 10)

void buf_init(struct buf *buf, size_t ceiling)
{
	*buf = (struct buf){ .ceiling = ceiling };
}

void buf_done(struct buf *buf)
{
	free(buf->p);
	*buf = (struct buf){ .ceiling = buf->ceiling };
}

static int fail(struct buf *buf, int r)
{
	buf->r = r;
	return r;
}

static void to_front(struct buf *buf)
{
	if (buf->start == 0 || buf->p == NULL)
		return;
	memmove(buf->p, buf->p + buf->start, buf_len(buf));
	buf->end -= buf->start;
	buf->start = 0;
}

static int grow(struct buf *buf, size_t least)
{
	size_t cap = buf->cap < LEAST ? LEAST : buf->cap;
	uint8_t *p;

	while (cap < least)
		cap = cap > SIZE_MAX / 2 ? least : cap * 2;
	if (cap > buf->ceiling)
		cap = buf->ceiling;
	p = realloc(buf->p, cap);
	if (p == NULL)
		return fail(buf, NX_ENOMEM);
	buf->p = p;
	buf->cap = cap;
	return 0;
}

uint8_t *buf_room(struct buf *buf, size_t n)
{
	size_t len = buf_len(buf);

	if (buf->r < 0)
		return NULL;
	if (n > buf->ceiling || len > buf->ceiling - n) {
		fail(buf, NX_EFULL);
		return NULL;
	}
	if (buf->p == NULL || n > buf->cap - buf->end) {
		/* moving what is left costs no more than what was taken before */
		if (buf->start >= len)
			to_front(buf);
		if (buf->p == NULL || n > buf->cap - buf->end) {
			to_front(buf);
			if ((buf->p == NULL || n > buf->cap - buf->end) && grow(buf, len + n) < 0)
				return NULL;
		}
	}
	return buf->p + buf->end;
}

void buf_commit(struct buf *buf, size_t n)
{
	assert(n <= buf->cap - buf->end);
	buf->end += n;
}

int buf_add(struct buf *buf, const void *p, size_t n)
{
	uint8_t *to;

	if (n == 0)
		return buf->r;
	to = buf_room(buf, n);
	if (to == NULL)
		return buf->r;
	memcpy(to, p, n);
	buf->end += n;
	return 0;
}

int buf_addf(struct buf *buf, const char *format, ...)
{
	va_list list, again;
	uint8_t *to;
	int n;

	va_start(list, format);
	va_copy(again, list);
	n = vsnprintf(NULL, 0, format, list);
	/* one more octet for vsnprintf's NUL, which is then not committed */
	to = n < 0 ? NULL : buf_room(buf, (size_t)n + 1);
	if (to != NULL) {
		vsnprintf((char *)to, (size_t)n + 1, format, again);
		buf->end += (size_t)n;
	}
	va_end(again);
	va_end(list);
	return n < 0 ? fail(buf, NX_EARG) : buf->r;
}

void buf_take(struct buf *buf, size_t n)
{
	assert(n <= buf_len(buf));
	buf->start += n;
	if (buf->start == buf->end)
		buf->start = buf->end = 0;
}

void buf_clear(struct buf *buf)
{
	if (buf->cap > KEEP)
		buf_done(buf);
	buf->start = buf->end = 0;
	buf->r = 0;
}

size_t buf_steal(struct buf *buf, uint8_t **ret)
{
	size_t n = buf_len(buf);

	to_front(buf);
	*ret = buf->p;
	buf_init(buf, buf->ceiling);
	return n;
}
