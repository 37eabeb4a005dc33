/*
 * wire.h - frames made by hand for tests: the other side, which may lie about everything.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/session.h"

#define WIRE_MAX   (1 << 20)
#define EVENTS_MAX 512

struct wire {
	uint8_t *p;
	size_t n;
};

static inline uint8_t *wire_more(struct wire *wire, size_t n)
{
	uint8_t *p;

	if (wire->p == NULL)
		wire->p = malloc(WIRE_MAX);
	assert_non_null(wire->p);
	assert_true(wire->n + n <= WIRE_MAX);
	p = wire->p + wire->n;
	memset(p, 'x', n);
	wire->n += n;
	return p;
}
static inline void wire_done(struct wire *wire)
{
	free(wire->p);
	*wire = (struct wire){ 0 };
}
static inline void w_raw(struct wire *wire, uint8_t type, uint8_t flags, size_t declared,
			 const void *payload, size_t n)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + n);

	frame_header(&at, type, declared);
	at[-3] = flags;
	put_bytes(&at, payload, n);
}
static inline void w_json(struct wire *wire, uint8_t type, const char *text)
{
	w_raw(wire, type, 0, strlen(text), text, strlen(text));
}
static inline void w_hello(struct wire *wire)
{
	w_json(wire, FRAME_HELLO, "{\"node\":\"liar\",\"epoch\":\"a1\"}");
}
static inline void w_credit(struct wire *wire, uint32_t lane, uint64_t items, uint64_t octets)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + 20);

	frame_header(&at, FRAME_CREDIT, 20);
	put_u32(&at, lane);
	put_u64(&at, items);
	put_u64(&at, octets);
}
/* an ITEM that carries n octets of what it declares */
static inline void w_item(struct wire *wire, uint64_t id, uint8_t lane, uint32_t subscription,
			  uint32_t envelope, uint32_t document, size_t n)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + ITEM_HEAD + n);

	frame_header(&at, FRAME_ITEM, ITEM_HEAD + n);
	put_u64(&at, id);
	put_u64(&at, 0);
	put_u64(&at, 0);
	put_u32(&at, subscription);
	put_u32(&at, envelope);
	put_u32(&at, document);
	put_u32(&at, (uint32_t)lane << 24);
}
static inline void w_more(struct wire *wire, uint64_t id, uint32_t offset, size_t n)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + MORE_HEAD + n);

	frame_header(&at, FRAME_MORE, MORE_HEAD + n);
	put_u64(&at, id);
	put_u32(&at, offset);
}
static inline void w_need(struct wire *wire, uint64_t handle, uint64_t offset, uint64_t length)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + 56);

	frame_header(&at, FRAME_NEED, 56);
	put_u64(&at, handle);
	put_u64(&at, offset);
	put_u64(&at, length);
}
static inline void w_data(struct wire *wire, uint64_t handle, uint64_t offset, size_t n)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + DATA_HEAD + n);

	frame_header(&at, FRAME_DATA, DATA_HEAD + n);
	put_u64(&at, handle);
	put_u64(&at, offset);
}
static inline void w_number(struct wire *wire, uint8_t type, uint64_t number)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + 8);

	frame_header(&at, type, 8);
	put_u64(&at, number);
}
static inline void w_coded(struct wire *wire, uint8_t type, uint64_t number, const char *code)
{
	size_t n = strlen(code);
	uint8_t *at = wire_more(wire, FRAME_HEADER + 9 + n);

	frame_header(&at, type, 9 + n);
	put_u64(&at, number);
	put_u8(&at, (uint8_t)n);
	put_bytes(&at, code, n);
}
static inline void w_ack(struct wire *wire, uint64_t id, uint8_t result, uint8_t stage)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + 1 + ACK_ENTRY);

	frame_header(&at, FRAME_ACK, 1 + ACK_ENTRY);
	put_u8(&at, ACK_ENTRY);
	put_u64(&at, id);
	put_u64(&at, 1000 + id);
	put_u64(&at, 5);
	put_u8(&at, result);
	put_u8(&at, stage);
}
static inline void w_ping(struct wire *wire, uint8_t type, uint64_t token, uint64_t wall_ms)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + 16);

	frame_header(&at, type, 16);
	put_u64(&at, token);
	put_u64(&at, wall_ms);
}
static inline void w_unsubscribe(struct wire *wire, uint32_t number)
{
	uint8_t *at = wire_more(wire, FRAME_HEADER + 4);

	frame_header(&at, FRAME_UNSUBSCRIBE, 4);
	put_u32(&at, number);
}

/* what a session said in answer, in order; octets of items are freed at once, their sum kept */
struct heard {
	struct session_event ev[EVENTS_MAX];
	unsigned n;
	uint64_t octets; /* of items and DATA */
	uint64_t sum;
	int r;
	struct why why;
};
static inline void hear_octets(struct heard *heard, const uint8_t *p, size_t n)
{
	heard->octets += n;
	for (size_t i = 0; i < n; i++)
		heard->sum = heard->sum * 31 + p[i];
}
static inline void heard_add(struct heard *heard, struct session_event *ev)
{
	assert_true(heard->n < EVENTS_MAX);
	if (ev->kind == SESSION_ITEM) {
		hear_octets(heard, ev->item.octets,
			    (size_t)ev->item.head.envelope_len + ev->item.head.document_len);
		free(ev->item.octets);
		ev->item.octets = NULL;
	}
	if (ev->kind == SESSION_DATA)
		hear_octets(heard, ev->data.octets.p, ev->data.octets.n);
	heard->ev[heard->n++] = *ev;
}
/* feed all of it, cut into pieces of at most `cut` octets; stops when the link is broken */
static inline int feed(struct session *session, struct slice octets, size_t cut,
		       struct heard *heard)
{
	do {
		struct slice piece = slice_of(octets.p, octets.n < cut ? octets.n : cut);
		struct session_event ev;

		octets = slice_of(octets.p + piece.n, octets.n - piece.n);
		while ((heard->r = session_feed(session, &piece, 0, 0, &ev, &heard->why)) > 0)
			heard_add(heard, &ev);
	} while (heard->r == 0 && octets.n > 0);
	return heard->r;
}
static inline int feed_wire(struct session *session, struct wire *wire, struct heard *heard)
{
	int r = feed(session, slice_of(wire->p, wire->n), SIZE_MAX, heard);

	wire->n = 0;
	return r;
}
static inline const struct session_event *heard_last(const struct heard *heard,
						     enum session_kind kind)
{
	for (unsigned i = heard->n; i-- > 0;)
		if (heard->ev[i].kind == kind)
			return &heard->ev[i];
	return NULL;
}
static inline unsigned heard_count(const struct heard *heard, enum session_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < heard->n; i++)
		n += heard->ev[i].kind == kind;
	return n;
}

/* the frames that a session makes now, until it has nothing to say or limit is reached */
#define SAID_MAX 512
struct said {
	uint8_t type[SAID_MAX];
	struct msg msg[SAID_MAX]; /* slices point nowhere: do not look at them */
	unsigned n;
};
static inline unsigned listen_to(struct session *session, struct said *said, unsigned limit)
{
	static uint8_t room[FRAME_HEADER + FRAME_FLOOR];
	size_t n;

	said->n = 0;
	while (said->n < limit &&
	       (n = session_frame(session, room, sizeof(room), FRAME_SMALL, 0, 0)) > 0) {
		struct frame frame;

		assert_true(said->n < SAID_MAX);
		assert_int_equal(frame_next(slice_of(room, n), FRAME_FLOOR, &frame), n);
		assert_int_equal(msg_read(&frame, &said->msg[said->n], NULL), 0);
		said->type[said->n++] = frame.type;
	}
	return said->n;
}
static inline const struct msg *said_last(const struct said *said, uint8_t type)
{
	for (unsigned i = said->n; i-- > 0;)
		if (said->type[i] == type)
			return &said->msg[i];
	return NULL;
}
static inline unsigned said_count(const struct said *said, uint8_t type)
{
	unsigned n = 0;

	for (unsigned i = 0; i < said->n; i++)
		n += said->type[i] == type;
	return n;
}

/* a session that has read HELLO and said what it says then (CREDIT of the flash lane) */
static inline struct session *greeted(const struct session_conf *conf)
{
	static struct said said;
	static struct heard heard;
	struct session *session = session_new(conf, 0);
	struct wire wire = { 0 };

	assert_non_null(session);
	w_hello(&wire);
	heard.n = 0;
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	assert_int_equal(heard.ev[0].kind, SESSION_HELLO);
	wire_done(&wire);
	(void)listen_to(session, &said, SAID_MAX);
	assert_int_equal(said.type[0], FRAME_HELLO);
	return session;
}
static const struct session_conf plain __attribute__((unused)) = {
	.hello = { .node = "exchange", .agent = "test", .boot = "0a", .epoch = 0x1122334455667788 },
};
