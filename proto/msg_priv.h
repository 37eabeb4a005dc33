/*
 * msg_priv.h - private to proto: the JSON messages, read and written in msgjson.c for msg.c.
 */
#pragma once
#include "proto/msg.h"

#define JSON_PAYLOAD_MAX 16384

static inline bool frame_is_json(uint8_t type)
{
	return type == FRAME_HELLO || type == FRAME_SUBSCRIBE || type == FRAME_SUBSCRIBED ||
	       type == FRAME_UNSUBSCRIBED || type == FRAME_REFUSE || type == FRAME_BYE;
}
/* the next entry of an ACK; false at the end */
bool ack_next(struct slice *entries, uint8_t entry_len, struct ack *ret_ack);
/* as msg_read(), for a JSON type */
int msg_json_read(const struct frame *frame, struct msg *ret_msg, struct why *why);
/* octets of the payload made at to; NX_EFULL */
int msg_json_write(const struct msg *msg, uint8_t *to, size_t room);
