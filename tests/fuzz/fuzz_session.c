/* uses: proto */
/*
 * fuzz_session.c - a whole session against any octets, cut anywhere: the input is a row of
 * commands, each an octet that says what to do and how much of what follows is fed. Fresh or
 * greeted first. The same octets fed one by one to a second session must give the same events, and
 * a broken link must stay broken.
 */
#include <stdlib.h>

#include "proto/session.h"

#define KEPT 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct session *session;
	unsigned offered;
	uint64_t open[KEPT], handle;
	unsigned open_n;
	uint64_t print; /* of all events, in order */
	int64_t now_ms;
};
static const char octets[5000];

static bool item(void *arg, enum session_class class, uint64_t id, struct session_out *out)
{
	struct world *world = arg;

	(void)id;
	if (world->offered == 0)
		return false;
	world->offered--;
	out->envelope = slice_str("{}");
	out->document = slice_of(octets, class == CLASS_FLASH ? 10 : sizeof(octets));
	return true;
}

static int part(void *arg, uint64_t handle, uint64_t offset, uint8_t *to, size_t n)
{
	(void)arg;
	if (offset % 7 == 6)
		return handle % 2 ? NX_EPARTSGONE : 0;
	memset(to, 'p', n);
	return (int)n;
}

static void answer(struct world *world, uint64_t id, bool whole)
{
	struct ack ack = { .id = id, .sequence = id };

	if (id % 3 == 0 && world->open_n < KEPT)
		world->open[world->open_n++] = id; /* later, or never */
	else if (!whole || id % 3 == 1)
		(void)session_refuse(world->session, id, NX_EBUSY, NX_LATER, 1, "busy");
	else if (session_ack(world->session, &ack) < 0 || session_ack(world->session, &ack) == 0)
		abort(); /* exactly once */
}

static void claim(struct world *world, const struct session_event *ev)
{
	struct subscribed subscribed = { .number = (uint32_t)(world->print % 100) + 1 };

	(void)strcpy(subscribed.name, ev->subscribe.name);
	if (session_subscribed(world->session, &subscribed) == NX_EARG)
		(void)session_unsubscribed(world->session, subscribed.name, 0, NX_EBUSY, NULL);
}

static void react(struct world *world, struct session_event *ev)
{
	switch (ev->kind) {
	case SESSION_HELLO:
		session_window(world->session, LANE_ROUTINE, 64, 1 << 20);
		(void)session_subscribe(world->session, "claim", false, 0, 0);
		world->handle = session_need(world->session, (const uint8_t *)octets, 0, 1000);
		break;
	case SESSION_ITEM_BEGIN:
		if (ev->item.head.position % 5 == 1)
			session_item_drop(world->session, ev->item.head.id);
		break;
	case SESSION_ITEM:
		for (size_t i = 0;
		     i < (size_t)ev->item.head.envelope_len + ev->item.head.document_len; i++)
			world->print = world->print * 31 + ev->item.octets[i];
		free(ev->item.octets);
		answer(world, ev->item.head.id, true);
		break;
	case SESSION_ITEM_DROPPED:
		answer(world, ev->id, false);
		break;
	case SESSION_WITHDRAW:
		(void)session_refuse(world->session, ev->withdraw.id, NX_EWITHDRAWN, NX_NEVER, 0,
				     NULL);
		break;
	case SESSION_SUBSCRIBE:
		claim(world, ev);
		break;
	case SESSION_UNSUBSCRIBE:
		(void)session_unsubscribed(world->session, "claim", ev->number, NX_ERELEASED, NULL);
		break;
	case SESSION_NEED:
		if (ev->need.handle % 4 == 3)
			session_gone(world->session, ev->need.handle, NX_ENOTOPEN);
		else
			session_need_accept(world->session, ev->need.handle, ev->need.offset % 2);
		break;
	case SESSION_DATA:
		for (size_t i = 0; i < ev->data.octets.n; i++)
			world->print = world->print * 31 + ev->data.octets.p[i];
		if (ev->data.done)
			(void)session_need_more(world->session, ev->data.handle, 500);
		break;
	default:
		break;
	}
	world->print = world->print * 1000003 + (uint64_t)ev->kind;
}

static int feed(struct world *world, struct slice in)
{
	struct session_event ev;
	struct why why;
	int r;

	while ((r = session_feed(world->session, &in, world->now_ms, 0, &ev, &why)) > 0)
		react(world, &ev);
	if (r == 0 && in.n > 0)
		abort();
	if (r < 0 && session_feed(world->session, &in, world->now_ms, 0, &ev, &why) != r)
		abort();
	return r;
}

static void speak(struct world *world, unsigned limit)
{
	static uint8_t room[FRAME_HEADER + FRAME_FLOOR];
	struct frame frame;
	struct msg msg;
	size_t n;

	while (limit-- > 0 &&
	       (n = session_frame(world->session, room, sizeof(room), 2000, world->now_ms, 0)) > 0)
		if (frame_next(slice_of(room, n), FRAME_FLOOR, &frame) != (int)n ||
		    msg_read(&frame, &msg, NULL) < 0)
			abort(); /* what we say is always well formed */
}

static void act(struct world *world, uint8_t command)
{
	int64_t next_ms;

	switch (command & 7) {
	case 0:
	case 1:
		speak(world, command >> 3);
		break;
	case 2:
		world->offered += 2;
		session_item_ready(world->session, (enum session_class)(command >> 3) % CLASSES);
		break;
	case 3:
		while (world->open_n > 0)
			(void)session_refuse(world->session, world->open[--world->open_n], NX_EBUSY,
					     NX_LATER, 0, NULL);
		break;
	case 4:
		session_withdraw(world->session, command >> 3, NX_EKILLED);
		break;
	case 5:
		session_stop(world->session, world->handle);
		session_need_ready(world->session, command >> 3);
		break;
	case 6:
		world->now_ms += 1000 * (command >> 3);
		(void)session_tick(world->session, world->now_ms, &next_ms);
		break;
	default:
		if (command >> 3 == 31)
			session_bye(world->session, NX_EBYE, "enough");
		session_window(world->session, LANE_ROUTINE, command >> 5, 1000);
		break;
	}
}

static void begin(struct world *world, bool greeted)
{
	static const char hello[] = "\0\0\0\x1b\x01\0\0\0{\"node\":\"n\",\"epoch\":\"a1\"}  ";
	const struct session_conf conf = {
		.hello = { .node = "fuzz", .epoch = 7 },
		.source = { .item = item, .part = part },
		.arg = world,
	};

	world->session = session_new(&conf, 0);
	if (world->session == NULL)
		abort();
	if (greeted && feed(world, slice_of(hello, sizeof(hello) - 1)) < 0)
		abort();
	if (greeted && session_peer(world->session) == NULL)
		abort();
	if (greeted)
		speak(world, 100);
}

/* command, length, octets; command, length, octets ... */
static uint64_t play(const uint8_t *data, size_t size, bool greeted, bool one_by_one)
{
	struct world world = { 0 };
	int r = 0;

	begin(&world, greeted);
	while (size >= 2 && r == 0) {
		uint8_t command = data[0];
		size_t n = data[1] < size - 2 ? data[1] : size - 2;

		data += 2;
		size -= 2;
		for (size_t i = 0; one_by_one && i < n && r == 0; i++)
			r = feed(&world, slice_of(data + i, 1));
		if (!one_by_one)
			r = feed(&world, slice_of(data, n));
		act(&world, command);
		data += n;
		size -= n;
	}
	speak(&world, 100);
	session_free(&world.session);
	return world.print * 31 + (uint64_t)r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool greeted = size > 0 && data[0] & 1;

	if (size > 0 &&
	    play(data + 1, size - 1, greeted, false) != play(data + 1, size - 1, greeted, true))
		abort();
	return 0;
}
