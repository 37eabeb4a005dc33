/*
 * frame.h - octets to frames and back: an 8-octet header (u32 payload length, u8 type, u8 flags,
 * u16 sent as zero and not looked at), network order. Knows lengths and limits, not what a
 * payload says. Types 0-127 are critical: an unknown one closes the link (NX_EUNKNOWN); 128-255
 * are skipped. Flags: a set bit among the low four that we do not know is NX_EFLAG; the high four
 * are not looked at.
 */
#pragma once
#include "proto/err.h"

#define FRAME_HEADER 8
#define FRAME_SMALL  16384 /* the largest payload of ITEM, MORE and DATA that we make */
#define FRAME_FLOOR  65536 /* every peer takes at least this payload */

enum frame_type {
	FRAME_HELLO = 1,
	FRAME_CREDIT = 2,
	FRAME_SUBSCRIBE = 3,
	FRAME_SUBSCRIBED = 4,
	FRAME_UNSUBSCRIBE = 5,
	FRAME_UNSUBSCRIBED = 6,
	FRAME_ITEM = 7,
	FRAME_MORE = 8,
	FRAME_NEED = 9,
	FRAME_DATA = 10,
	FRAME_STOP = 11,
	FRAME_GONE = 12,
	FRAME_WITHDRAW = 13,
	FRAME_ACK = 14,
	FRAME_REFUSE = 15,
	FRAME_PING = 16,
	FRAME_PONG = 17,
	FRAME_BYE = 18,
};
/* "HELLO"; "?" for a type that is not ours */
const char *frame_name(uint8_t type);

struct frame {
	uint8_t type, flags;
	struct slice payload;
};

/*
 * frame_next - take the frame at the front of wire.
 * returns  octets of the whole frame; 0 when it is not complete yet;
 *          NX_EBIGFRAME  as soon as the header says more than payload_max
 *          NX_EUNKNOWN, NX_EFLAG   from the header alone
 * Frames of types 128-255 are returned as well; the caller skips them.
 */
int frame_next(struct slice wire, size_t payload_max, struct frame *ret_frame);

void put_u8(uint8_t **to, uint8_t v);
void put_u16(uint8_t **to, uint16_t v);
void put_u32(uint8_t **to, uint32_t v);
void put_u64(uint8_t **to, uint64_t v);
void put_bytes(uint8_t **to, const void *p, size_t n);
/* sticky readers: past the end they set *bad and give 0 / an empty slice */
uint8_t get_u8(struct slice *from, bool *bad);
uint16_t get_u16(struct slice *from, bool *bad);
uint32_t get_u32(struct slice *from, bool *bad);
uint64_t get_u64(struct slice *from, bool *bad);
struct slice get_bytes(struct slice *from, size_t n, bool *bad);
/* write the header of a frame with n octets of payload in front of which `to` stands */
void frame_header(uint8_t **to, uint8_t type, size_t n);
