/* octets in: frames are cut out of the stream, judged by their headers, and handed to who knows
 * them */
#include <assert.h>
#include <stdlib.h>

#include "proto/session_priv.h"

#define TYPE_SKIPPABLE 128

/* frame_next(), and the limits of types of frames, as soon as the header is there */
static int next_frame(const struct session *session, struct slice wire, struct frame *frame)
{
	struct slice header = wire;
	bool bad = false;
	uint32_t n;
	int r;

	if (wire.n < FRAME_HEADER)
		return 0;
	if (!session->greeted && wire.p[4] != FRAME_HELLO)
		return NX_EHELLO;
	r = frame_next(wire, session->max.frame, frame);
	if (r < 0)
		return r;
	n = get_u32(&header, &bad);
	if (frame_is_json(frame->type) && n > JSON_PAYLOAD_MAX)
		return NX_EJSON;
	if ((frame->type == FRAME_ITEM || frame->type == FRAME_MORE || frame->type == FRAME_DATA) &&
	    n > FRAME_SMALL)
		return NX_EBIGFRAME;
	return r;
}

/* move octets from in until the kept frame has n of them */
static int gather(struct session *session, struct slice *in, size_t n)
{
	size_t missing = n - session->wire_n, taken = in->n < missing ? in->n : missing;
	int r = wire_keep(session, in->p, taken);

	in->p += taken;
	in->n -= taken;
	return r;
}

/* the rest of a frame whose beginning is kept. returns as take_frame() */
static int take_kept(struct session *session, struct slice *in, struct frame *frame)
{
	struct slice header;
	bool bad = false;
	int r;

	if (session->wire_n < FRAME_HEADER) {
		r = gather(session, in, FRAME_HEADER);
		if (r < 0 || session->wire_n < FRAME_HEADER)
			return r;
	}
	header = slice_of(session->wire, session->wire_n);
	r = next_frame(session, header, frame);
	if (r == 0) {
		r = gather(session, in, FRAME_HEADER + get_u32(&header, &bad));
		if (r == 0)
			r = next_frame(session, slice_of(session->wire, session->wire_n), frame);
	}
	session->wire_spent = r > 0;
	return r;
}

/* 1 and the next whole frame; 0 when in is used up; negative */
static int take_frame(struct session *session, struct slice *in, struct frame *frame)
{
	int r;

	if (session->wire_spent) {
		session->wire_n = 0;
		session->wire_spent = false;
	}
	if (session->wire_n > 0)
		return take_kept(session, in, frame);
	r = next_frame(session, *in, frame);
	if (r == 0)
		return gather(session, in, in->n);
	if (r > 0) {
		in->p += r;
		in->n -= (size_t)r;
	}
	return r;
}

static int on_hello(struct session *session, const struct msg *msg, struct session_event *ev)
{
	/* the lists stand last: who has none is kept without their room */
	size_t n = msg->hello.has_rights ? sizeof(msg->hello) : offsetof(struct hello, publish);

	if (session->greeted)
		return broken(session, NX_ESTATE, "a second HELLO");
	session->peer = malloc(n);
	if (session->peer == NULL)
		return broken(session, NX_ENOMEM, "no room for a HELLO");
	memcpy(session->peer, &msg->hello, n);
	ev->hello = msg->hello;
	session->greeted = true;
	ev->kind = SESSION_HELLO;
	return 1;
}

static int on_ping(struct session *session, const struct msg *msg, struct session_event *ev)
{
	(void)ev;
	session->pong_due = true;
	session->pong_token = msg->ping.token;
	return 0;
}

static int on_pong(struct session *session, const struct msg *msg, struct session_event *ev)
{
	int64_t round_trip_ms = session->now_ms - session->pinged_ms;

	if (!session->ping_open || msg->ping.token != session->ping_token)
		return 0;
	session->ping_open = false;
	ev->kind = SESSION_PONG;
	ev->pong.last = session->pings_due == 0;
	ev->pong.round_trip_ms = round_trip_ms;
	ev->pong.clock_diff_ms =
		(int64_t)(msg->ping.wall_ms - (uint64_t)(session->wall_ms - round_trip_ms / 2));
	return 1;
}

static int on_bye(struct session *session, const struct msg *msg, struct session_event *ev)
{
	if (session->heard_bye)
		return 0;
	if (!session->said_bye)
		session->bye_ms = session->now_ms;
	session->heard_bye = true;
	ev->kind = SESSION_BYE;
	ev->bye = msg->bye;
	return 1;
}

typedef int on_fn(struct session *session, const struct msg *msg, struct session_event *ev);

static on_fn *const hears[] = {
	[FRAME_HELLO] = on_hello,
	[FRAME_CREDIT] = on_credit,
	[FRAME_SUBSCRIBE] = on_subscribe,
	[FRAME_SUBSCRIBED] = on_subscribed,
	[FRAME_UNSUBSCRIBE] = on_unsubscribe,
	[FRAME_UNSUBSCRIBED] = on_unsubscribed,
	[FRAME_ITEM] = on_item,
	[FRAME_MORE] = on_more,
	[FRAME_NEED] = on_need,
	[FRAME_DATA] = on_data,
	[FRAME_STOP] = on_stop,
	[FRAME_GONE] = on_gone,
	[FRAME_WITHDRAW] = on_withdraw,
	[FRAME_ACK] = on_ack,
	[FRAME_REFUSE] = on_refuse,
	[FRAME_PING] = on_ping,
	[FRAME_PONG] = on_pong,
	[FRAME_BYE] = on_bye,
};

static int hear(struct session *session, const struct frame *frame, struct session_event *ev)
{
	struct why why;
	struct msg msg;
	int r;

	if (frame->type >= TYPE_SKIPPABLE)
		return 0;
	r = msg_read(frame, &msg, &why);
	if (r < 0)
		return broken(session, r, "%s", why.words);
	assert(hears[frame->type] != NULL); /* msg_read() knows no other type */
	return hears[frame->type](session, &msg, ev);
}

/* what the last frame still has to tell */
static int tell_rest(struct session *session, struct session_event *ev)
{
	if (session->due != NULL)
		return item_due(session, ev);
	return session->acks.n > 0 ? next_ack(session, ev) : 0;
}

int session_feed(struct session *session, struct slice *in, int64_t now_ms, int64_t wall_ms,
		 struct session_event *ret_event, struct why *why)
{
	struct frame frame = { 0 };
	int r = 0;

	session->now_ms = now_ms;
	session->wall_ms = wall_ms;
	if (in->n > 0)
		session->heard_ms = now_ms;
	if (session->failed == 0)
		r = tell_rest(session, ret_event);
	while (r == 0 && session->failed == 0) {
		r = take_frame(session, in, &frame);
		if (r == 0)
			return 0;
		if (r < 0)
			r = broken(session, r, "%s of type %u", nx_word(r), frame.type);
		else
			r = hear(session, &frame, ret_event);
	}
	if (session->failed != 0 && r <= 0)
		return why_set(why, session->failed, "%s", session->bye.words);
	return r;
}
