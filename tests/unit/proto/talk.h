/*
 * talk.h - two sessions that speak through two pipes of octets, and what each has to send and to
 * say.
 */
#pragma once
#include "wire.h"

#define QUEUE_MAX 4096
#define ROOM      (FRAME_HEADER + FRAME_FLOOR)

struct parcel { /* an item waiting in a source */
	uint8_t *octets;
	uint32_t envelope, document, subscription;
};
struct side {
	struct session *session;
	struct side *peer;
	uint8_t *pipe; /* octets on their way to the peer */
	size_t pipe_n, pipe_cap, cut, small_max;
	bool stopped; /* makes no frames: its output is not read */

	struct parcel queue[CLASSES][QUEUE_MAX];
	unsigned first[CLASSES], last[CLASSES];
	struct parcel sent[QUEUE_MAX]; /* by id */
	bool released[QUEUE_MAX];      /* sent() was called */
	unsigned answered[QUEUE_MAX];  /* answers that came, by id */
	uint64_t part_ready;           /* octets of every part that are at hand */

	struct heard heard; /* the last EVENTS_MAX events; octets of items are given to on_event */
	void (*on_event)(struct side *side, struct session_event *ev);
	uint8_t types[1 << 16]; /* of frames made, in order */
	enum lane lanes[1 << 16];
	unsigned frames;
	int64_t now_ms;
};

static inline uint8_t part_octet(uint64_t offset)
{
	return (uint8_t)(offset * 31 + (offset >> 8));
}
static inline bool side_item(void *arg, enum session_class class, uint64_t id,
			     struct session_out *out)
{
	struct side *side = arg;
	struct parcel *parcel;

	if (side->first[class] == side->last[class])
		return false;
	parcel = &side->queue[class][side->first[class]++ % QUEUE_MAX];
	assert_true(id < QUEUE_MAX);
	side->sent[id] = *parcel;
	out->subscription = parcel->subscription;
	out->position = id + 100;
	out->sequence = id + 200;
	out->envelope = slice_of(parcel->octets, parcel->envelope);
	out->document = slice_of(parcel->octets + parcel->envelope, parcel->document);
	return true;
}
static inline void side_sent(void *arg, uint64_t id)
{
	struct side *side = arg;

	assert_false(side->released[id]); /* once */
	side->released[id] = true;
}
static inline int side_part(void *arg, uint64_t handle, uint64_t offset, uint8_t *to, size_t n)
{
	struct side *side = arg;

	(void)handle;
	if (offset >= side->part_ready)
		return 0;
	n = side->part_ready - offset < n ? (size_t)(side->part_ready - offset) : n;
	for (size_t i = 0; i < n; i++)
		to[i] = part_octet(offset + i);
	return (int)n;
}
/* item number n of this size: octets that nobody else has */
static inline void side_offer(struct side *side, enum session_class class, uint32_t envelope,
			      uint32_t document)
{
	struct parcel parcel = { .envelope = envelope, .document = document };
	size_t n = (size_t)envelope + document;

	parcel.octets = malloc(n + 1);
	assert_non_null(parcel.octets);
	for (size_t i = 0; i < n; i++)
		parcel.octets[i] = (uint8_t)(i * 7 + side->last[class] * 13 + n);
	assert_true(side->last[class] - side->first[class] < QUEUE_MAX);
	side->queue[class][side->last[class]++ % QUEUE_MAX] = parcel;
	session_item_ready(side->session, class);
}
static inline void side_init(struct side *side, struct side *peer, const struct session_conf *conf)
{
	struct session_conf mine = conf == NULL ? plain : *conf;

	mine.source = (struct session_source){ side_item, side_sent, side_part };
	mine.arg = side;
	memset(side, 0, sizeof(*side));
	side->peer = peer;
	side->cut = SIZE_MAX;
	side->small_max = FRAME_SMALL;
	side->part_ready = UINT64_MAX;
	side->session = session_new(&mine, 0);
	assert_non_null(side->session);
}
static inline void side_done(struct side *side)
{
	session_free(&side->session);
	for (int class = 0; class < CLASSES; class ++)
		for (; side->first[class] != side->last[class]; side->first[class]++)
			free(side->queue[class][side->first[class] % QUEUE_MAX].octets);
	for (unsigned id = 0; id < QUEUE_MAX; id++) {
		assert_int_equal(side->released[id], side->sent[id].octets != NULL);
		free(side->sent[id].octets);
	}
	free(side->pipe);
}
static inline void side_note(struct side *side, const uint8_t *frame)
{
	uint8_t type = frame[4];
	enum lane lane = LANE_ROUTINE;

	if (type == FRAME_ITEM)
		lane = frame[FRAME_HEADER + 36];
	side->types[side->frames % (1 << 16)] = type;
	side->lanes[side->frames++ % (1 << 16)] = lane;
}
/* one frame into the pipe; false when there is nothing to say */
static inline bool side_speak(struct side *side)
{
	size_t n;

	if (side->stopped)
		return false;
	if (side->pipe_cap - side->pipe_n < ROOM) {
		side->pipe_cap = 2 * side->pipe_cap + ROOM;
		side->pipe = realloc(side->pipe, side->pipe_cap);
		assert_non_null(side->pipe);
	}
	n = session_frame(side->session, side->pipe + side->pipe_n, ROOM, side->small_max,
			  side->now_ms, side->now_ms + 1000000);
	if (n > 0)
		side_note(side, side->pipe + side->pipe_n);
	side->pipe_n += n;
	return n > 0;
}
static inline void side_event(struct side *side, struct session_event *ev)
{
	if (ev->kind == SESSION_ANSWER)
		side->answered[ev->ack.id]++;
	if (ev->kind == SESSION_REFUSED)
		side->answered[ev->refuse.id]++;
	if (side->on_event != NULL)
		side->on_event(side, ev);
	side->heard.n %= EVENTS_MAX;
	heard_add(&side->heard, ev);
}
/* n octets out of the peer's pipe; returns 0 or the rule that was broken */
static inline int side_listen(struct side *side, size_t n)
{
	struct side *peer = side->peer;
	struct slice all, piece;
	struct session_event ev;
	int r = 0;

	n = n < peer->pipe_n ? n : peer->pipe_n;
	all = slice_of(peer->pipe, n);
	while (r == 0 && all.n > 0) {
		piece = slice_of(all.p, all.n < side->cut ? all.n : side->cut);
		all = slice_of(all.p + piece.n, all.n - piece.n);
		while ((r = session_feed(side->session, &piece, side->now_ms,
					 side->now_ms + 1000000, &ev, &side->heard.why)) > 0)
			side_event(side, &ev);
		assert_true(r < 0 || piece.n == 0);
	}
	peer->pipe_n -= n;
	if (peer->pipe_n > 0)
		memmove(peer->pipe, peer->pipe + n, peer->pipe_n);
	return side->heard.r = r;
}
/* until both have nothing to say */
static inline void talk(struct side *a, struct side *b)
{
	bool more = true;

	while (more) {
		more = side_speak(a) || a->pipe_n > 0;
		assert_int_equal(side_listen(b, SIZE_MAX), 0);
		more |= side_speak(b) || b->pipe_n > 0;
		assert_int_equal(side_listen(a, SIZE_MAX), 0);
	}
}
static inline void ack_id(struct side *side, uint64_t id)
{
	struct ack ack = { .id = id, .sequence = id + 1000, .stored_at_ms = 77 };

	assert_int_equal(session_ack(side->session, &ack), 0);
}
static inline void ack_all(struct side *side, struct session_event *ev)
{
	if (ev->kind == SESSION_ITEM)
		ack_id(side, ev->item.head.id);
	if (ev->kind == SESSION_ITEM_DROPPED || ev->kind == SESSION_WITHDRAW)
		assert_int_equal(
			session_refuse(side->session,
				       ev->kind == SESSION_WITHDRAW ? ev->withdraw.id : ev->id,
				       NX_EBUSY, NX_LATER, 5, "later"),
			0);
}

/* the two sides of a test: TALK(name) makes them before it and takes them away after */
static struct side *a, *b;

static inline int talk_setup(void **state)
{
	(void)state;
	a = malloc(sizeof(*a));
	b = malloc(sizeof(*b));
	assert_non_null(a);
	assert_non_null(b);
	side_init(a, b, NULL);
	side_init(b, a, NULL);
	return 0;
}

static inline int talk_teardown(void **state)
{
	(void)state;
	side_done(a);
	side_done(b);
	free(a);
	free(b);
	return 0;
}
static inline void open_windows(void)
{
	session_window(a->session, LANE_ROUTINE, 64, 4 << 20);
	session_window(b->session, LANE_ROUTINE, 64, 4 << 20);
	talk(a, b);
}
#define TALK(name) cmocka_unit_test_setup_teardown(name, talk_setup, talk_teardown)
