#include "proto/frame.h"

#include <endian.h>

#define TYPE_SKIPPABLE 128
#define FLAGS_CRITICAL 0x0f

static const char *const names[] = {
	[FRAME_HELLO] = "HELLO",
	[FRAME_CREDIT] = "CREDIT",
	[FRAME_SUBSCRIBE] = "SUBSCRIBE",
	[FRAME_SUBSCRIBED] = "SUBSCRIBED",
	[FRAME_UNSUBSCRIBE] = "UNSUBSCRIBE",
	[FRAME_UNSUBSCRIBED] = "UNSUBSCRIBED",
	[FRAME_ITEM] = "ITEM",
	[FRAME_MORE] = "MORE",
	[FRAME_NEED] = "NEED",
	[FRAME_DATA] = "DATA",
	[FRAME_STOP] = "STOP",
	[FRAME_GONE] = "GONE",
	[FRAME_WITHDRAW] = "WITHDRAW",
	[FRAME_ACK] = "ACK",
	[FRAME_REFUSE] = "REFUSE",
	[FRAME_PING] = "PING",
	[FRAME_PONG] = "PONG",
	[FRAME_BYE] = "BYE",
};

const char *frame_name(uint8_t type)
{
	if (type >= sizeof(names) / sizeof(names[0]) || names[type] == NULL)
		return "?";
	return names[type];
}

int frame_next(struct slice wire, size_t payload_max, struct frame *ret_frame)
{
	bool bad = false;
	uint32_t n;

	if (wire.n < FRAME_HEADER)
		return 0;
	n = get_u32(&wire, &bad);
	ret_frame->type = get_u8(&wire, &bad);
	ret_frame->flags = get_u8(&wire, &bad);
	(void)get_u16(&wire, &bad);
	if (ret_frame->type < TYPE_SKIPPABLE && *frame_name(ret_frame->type) == '?')
		return NX_EUNKNOWN;
	if (ret_frame->flags & FLAGS_CRITICAL)
		return NX_EFLAG;
	if (n > payload_max || n > INT32_MAX - FRAME_HEADER)
		return NX_EBIGFRAME;
	if (wire.n < n)
		return 0;
	ret_frame->payload = slice_of(wire.p, n);
	return (int)n + FRAME_HEADER;
}

void put_u8(uint8_t **to, uint8_t v)
{
	*(*to)++ = v;
}

void put_u16(uint8_t **to, uint16_t v)
{
	put_u8(to, (uint8_t)(v >> 8));
	put_u8(to, (uint8_t)v);
}

void put_u32(uint8_t **to, uint32_t v)
{
	v = htobe32(v);
	memcpy(*to, &v, sizeof(v));
	*to += sizeof(v);
}

void put_u64(uint8_t **to, uint64_t v)
{
	put_u32(to, (uint32_t)(v >> 32));
	put_u32(to, (uint32_t)v);
}

void put_bytes(uint8_t **to, const void *p, size_t n)
{
	if (n > 0)
		memcpy(*to, p, n);
	*to += n;
}

/* n octets as one big-endian number */
static uint64_t get_number(struct slice *from, size_t n, bool *bad)
{
	struct slice octets = get_bytes(from, n, bad);
	uint64_t v = 0;

	for (size_t i = 0; i < octets.n; i++)
		v = v << 8 | octets.p[i];
	return v;
}

uint8_t get_u8(struct slice *from, bool *bad)
{
	return (uint8_t)get_number(from, 1, bad);
}

uint16_t get_u16(struct slice *from, bool *bad)
{
	return (uint16_t)get_number(from, 2, bad);
}

uint32_t get_u32(struct slice *from, bool *bad)
{
	return (uint32_t)get_number(from, 4, bad);
}

uint64_t get_u64(struct slice *from, bool *bad)
{
	return get_number(from, 8, bad);
}

struct slice get_bytes(struct slice *from, size_t n, bool *bad)
{
	struct slice taken;

	if (*bad || from->n < n) {
		*bad = true;
		return slice_of(NULL, 0);
	}
	taken = slice_of(from->p, n);
	from->p += n;
	from->n -= n;
	return taken;
}

void frame_header(uint8_t **to, uint8_t type, size_t n)
{
	put_u32(to, (uint32_t)n);
	put_u8(to, type);
	put_u8(to, 0);
	put_u16(to, 0);
}
