#include "proto/json.h"
#include "proto/msg_priv.h"

const char *result_word(enum result result)
{
	switch (result) {
	case RESULT_DUPLICATE:
		return "duplicate";
	case RESULT_HELD:
		return "held";
	case RESULT_SUPERSEDED:
		return "superseded";
	default:
		return "stored";
	}
}

static void read_item(struct slice *from, struct msg *msg, bool *bad)
{
	struct item_head *head = &msg->item.head;

	head->id = get_u64(from, bad);
	head->position = get_u64(from, bad);
	head->sequence = get_u64(from, bad);
	head->subscription = get_u32(from, bad);
	head->envelope_len = get_u32(from, bad);
	head->document_len = get_u32(from, bad);
	head->lane = get_u8(from, bad);
	(void)get_bytes(from, 3, bad);
	msg->item.octets = *from;
}

static void read_need(struct slice *from, struct need *need, bool *bad)
{
	struct slice sha256;

	need->handle = get_u64(from, bad);
	need->offset = get_u64(from, bad);
	need->length = get_u64(from, bad);
	sha256 = get_bytes(from, sizeof(need->sha256), bad);
	if (!*bad)
		memcpy(need->sha256, sha256.p, sha256.n);
}

/* u64, then u8 n and n octets of code */
static uint64_t read_coded(struct slice *from, char code[33], bool *bad)
{
	uint64_t number = get_u64(from, bad);
	struct slice text = get_bytes(from, get_u8(from, bad), bad);

	if (*bad || !code_ok(text)) {
		*bad = true;
		return 0;
	}
	memcpy(code, text.p, text.n);
	code[text.n] = '\0';
	return number;
}

static void read_binary(struct slice from, struct msg *msg, bool *bad)
{
	switch ((int)msg->type) {
	case FRAME_CREDIT:
		msg->credit.lane = get_u32(&from, bad);
		msg->credit.items = get_u64(&from, bad);
		msg->credit.octets = get_u64(&from, bad);
		break;
	case FRAME_UNSUBSCRIBE:
		msg->unsubscribe = get_u32(&from, bad);
		break;
	case FRAME_ITEM:
		read_item(&from, msg, bad);
		break;
	case FRAME_MORE:
		msg->more.id = get_u64(&from, bad);
		msg->more.offset = get_u32(&from, bad);
		msg->more.octets = from;
		break;
	case FRAME_NEED:
		read_need(&from, &msg->need, bad);
		break;
	case FRAME_DATA:
		msg->data.handle = get_u64(&from, bad);
		msg->data.offset = get_u64(&from, bad);
		msg->data.octets = from;
		break;
	case FRAME_STOP:
		msg->stop = get_u64(&from, bad);
		break;
	case FRAME_GONE:
		msg->gone.handle = read_coded(&from, msg->gone.code, bad);
		break;
	case FRAME_WITHDRAW:
		msg->withdraw.id = read_coded(&from, msg->withdraw.code, bad);
		break;
	case FRAME_ACK:
		msg->ack.entry_len = get_u8(&from, bad);
		msg->ack.entries = from;
		*bad |= msg->ack.entry_len < ACK_ENTRY;
		break;
	case FRAME_PING:
	case FRAME_PONG:
		msg->ping.token = get_u64(&from, bad);
		msg->ping.wall_ms = get_u64(&from, bad);
		break;
	default:
		*bad = true;
		break;
	}
}

int msg_read(const struct frame *frame, struct msg *ret_msg, struct why *why)
{
	bool bad = false;

	if (frame_is_json(frame->type)) {
		memset(ret_msg, 0, sizeof(*ret_msg));
		ret_msg->type = frame->type;
		return msg_json_read(frame, ret_msg, why);
	}
	ret_msg->type = frame->type;
	read_binary(frame->payload, ret_msg, &bad);
	if (bad)
		return why_set(why, NX_EFRAME, "%s of %zu octets", frame_name(frame->type),
			       frame->payload.n);
	return 0;
}

bool ack_next(struct slice *entries, uint8_t entry_len, struct ack *ret_ack)
{
	struct slice entry;
	bool bad = false;

	entry = get_bytes(entries, entry_len, &bad);
	ret_ack->id = get_u64(&entry, &bad);
	ret_ack->sequence = get_u64(&entry, &bad);
	ret_ack->stored_at_ms = get_u64(&entry, &bad);
	ret_ack->result = get_u8(&entry, &bad);
	ret_ack->stage = get_u8(&entry, &bad);
	return !bad;
}

bool msg_ack_next(struct msg *msg, struct ack *ret_ack)
{
	return ack_next(&msg->ack.entries, msg->ack.entry_len, ret_ack);
}

static void put_coded(uint8_t **to, uint64_t number, const char *code)
{
	size_t n = strnlen(code, 32);

	put_u64(to, number);
	put_u8(to, (uint8_t)n);
	put_bytes(to, code, n);
}

/* at most 56 octets of payload */
static void put_binary(uint8_t **to, const struct msg *msg)
{
	switch ((int)msg->type) {
	case FRAME_CREDIT:
		put_u32(to, msg->credit.lane);
		put_u64(to, msg->credit.items);
		put_u64(to, msg->credit.octets);
		break;
	case FRAME_UNSUBSCRIBE:
		put_u32(to, msg->unsubscribe);
		break;
	case FRAME_NEED:
		put_u64(to, msg->need.handle);
		put_u64(to, msg->need.offset);
		put_u64(to, msg->need.length);
		put_bytes(to, msg->need.sha256, sizeof(msg->need.sha256));
		break;
	case FRAME_STOP:
		put_u64(to, msg->stop);
		break;
	case FRAME_GONE:
		put_coded(to, msg->gone.handle, msg->gone.code);
		break;
	case FRAME_WITHDRAW:
		put_coded(to, msg->withdraw.id, msg->withdraw.code);
		break;
	case FRAME_PING:
	case FRAME_PONG:
		put_u64(to, msg->ping.token);
		put_u64(to, msg->ping.wall_ms);
		break;
	default:
		break;
	}
}

int msg_write(const struct msg *msg, uint8_t *to, size_t room)
{
	uint8_t *at = to + FRAME_HEADER, *header = to;
	int r;

	if (room < FRAME_HEADER + 64)
		return NX_EFULL;
	if (frame_is_json((uint8_t)msg->type)) {
		r = msg_json_write(msg, at, room - FRAME_HEADER);
		if (r < 0)
			return r;
		at += r;
	} else {
		put_binary(&at, msg);
	}
	frame_header(&header, (uint8_t)msg->type, (size_t)(at - to) - FRAME_HEADER);
	return (int)(at - to);
}
