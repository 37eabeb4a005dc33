/* floor_load.c - the other end of the floor: publishes frames, or takes them */
#include "tests/bench/floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct talk {
	struct wire wire;
	unsigned open;
	uint8_t in[16]; /* head or answer, so far */
	size_t in_n;
	size_t rest;      /* of a frame that comes */
	uint64_t made_ns; /* its time */
	size_t to_send;   /* of the frame that is half in the buffer */
};
static struct {
	const struct floor_load *load;
	int epoll;
	struct talk *talks;
	struct tally tally;
	uint8_t *octets;
	uint64_t begun, done, bytes;
	int64_t begin_ns, first_ns, last_ns, due_ns;
	bool lost;
} at;

static void watch(struct talk *talk, int how)
{
	struct epoll_event event = { .events = EPOLLIN | (talk->wire.blocked ? EPOLLOUT : 0u),
				     .data.ptr = talk };

	epoll_ctl(at.epoll, how, talk->wire.fd, &event);
}

static bool may(const struct talk *talk, int64_t now)
{
	return !at.load->subscribe && !at.load->idle && talk->open < at.load->window &&
	       (at.load->count > 0 ? at.begun < at.load->count
				   : now < at.begin_ns + (int64_t)(at.load->seconds * 1e9)) &&
	       (at.load->rate == 0 || now >= at.due_ns);
}

static void one_more(struct talk *talk, int64_t now)
{
	struct floor_head head = { (uint32_t)at.load->size, FLOOR_ITEM, (uint64_t)now };

	memcpy(talk->wire.out + talk->wire.out_end, &head, sizeof(head));
	talk->wire.out_end += sizeof(head);
	talk->to_send = at.load->size;
	talk->open++;
	at.begun++;
	if (at.load->rate > 0)
		at.due_ns += (int64_t)(1e9 / at.load->rate);
}

static void push(struct talk *talk)
{
	bool was = talk->wire.blocked;

	for (int turn = 0; turn < 64; turn++) {
		while (wire_room(&talk->wire) > 64 && (talk->to_send > 0 || may(talk, now_ns()))) {
			size_t n;

			if (talk->to_send == 0)
				one_more(talk, now_ns());
			n = wire_room(&talk->wire);
			n = n < talk->to_send ? n : talk->to_send;
			memcpy(talk->wire.out + talk->wire.out_end, at.octets, n);
			talk->wire.out_end += n;
			talk->to_send -= n;
			if (talk->wire.out_end > WIRE_OUT / 2)
				break;
		}
		if (talk->wire.out_end == 0)
			break;
		at.lost |= wire_flush(&talk->wire) < 0;
		if (talk->wire.blocked || at.lost)
			break;
	}
	if (was != talk->wire.blocked)
		watch(talk, EPOLL_CTL_MOD);
}

static void took(uint64_t made_ns)
{
	at.last_ns = now_ns();
	if (at.first_ns == 0)
		at.first_ns = (int64_t)made_ns;
	at.done++;
	at.bytes += at.load->size;
	tally_add(&at.tally, at.last_ns - (int64_t)made_ns);
}

static void take_octets(struct talk *talk, const uint8_t *p, size_t n)
{
	size_t want = at.load->subscribe ? sizeof(struct floor_head) : 8;

	while (n > 0) {
		size_t k = talk->rest < n ? talk->rest : n;

		if (talk->rest > 0) {
			talk->rest -= k;
			p += k;
			n -= k;
			if (talk->rest == 0)
				took(talk->made_ns);
			continue;
		}
		k = want - talk->in_n < n ? want - talk->in_n : n;
		memcpy(talk->in + talk->in_n, p, k);
		talk->in_n += k;
		p += k;
		n -= k;
		if (talk->in_n < want)
			return;
		talk->in_n = 0;
		memcpy(&talk->made_ns, talk->in + want - 8, 8);
		if (at.load->subscribe) {
			uint32_t length;

			memcpy(&length, talk->in, 4);
			talk->rest = length;
		} else {
			talk->open--;
			took(talk->made_ns);
		}
	}
}

static void turn(struct talk *talk)
{
	static uint8_t in[64 << 10];
	int n;

	for (int i = 0; i < 64; i++) {
		n = wire_read(&talk->wire, in, sizeof(in));
		at.lost |= n < 0;
		if (n <= 0)
			break;
		take_octets(talk, in, (size_t)n);
	}
	push(talk);
}

static bool join(struct talk *talk, SSL_CTX *ctx)
{
	struct floor_head head = { 0, FLOOR_SUBSCRIBE, 0 };
	struct epoll_event event;
	int r, waiter = epoll_create1(EPOLL_CLOEXEC);

	if (wire_dial(&talk->wire, ctx, at.load->port) < 0)
		return false;
	event = (struct epoll_event){ .events = EPOLLIN };
	epoll_ctl(waiter, EPOLL_CTL_ADD, talk->wire.fd, &event);
	while ((r = wire_shake(&talk->wire)) == 0)
		epoll_wait(waiter, &event, 1, 1000);
	close(waiter);
	if (r < 0)
		return false;
	if (at.load->subscribe && SSL_write(talk->wire.ssl, &head, sizeof(head)) <= 0)
		return false;
	watch(talk, EPOLL_CTL_ADD);
	return true;
}

static bool finished(int64_t now)
{
	const struct floor_load *load = at.load;

	if (at.lost || now > at.begin_ns + (int64_t)((load->seconds + 20) * 1e9))
		return true;
	if (load->idle)
		return now > at.begin_ns + (int64_t)(load->seconds * 1e9);
	if (load->subscribe || load->count > 0)
		return at.done >= load->count;
	return now > at.begin_ns + (int64_t)(load->seconds * 1e9) && at.done >= at.begun;
}

static int wait_ms(int64_t now)
{
	if (at.load->rate == 0 || at.load->subscribe)
		return 50;
	return at.due_ns <= now ? 0 : (int)((at.due_ns - now + 999999) / 1000000);
}

static void run(void)
{
	struct epoll_event events[256];

	for (unsigned i = 0; i < at.load->links; i++)
		push(&at.talks[i]);
	while (!finished(now_ns())) {
		int n = epoll_wait(at.epoll, events, 256, wait_ms(now_ns()));

		for (int i = 0; i < n; i++)
			turn(events[i].data.ptr);
		if (at.load->rate > 0 && !at.load->subscribe)
			push(&at.talks[0]);
	}
}

int floor_load(const struct floor_load *load)
{
	SSL_CTX *ctx = wire_context(load->identity, false);
	double seconds;

	at.load = load;
	at.epoll = epoll_create1(EPOLL_CLOEXEC);
	at.talks = calloc(load->links, sizeof(*at.talks));
	at.octets = malloc(load->size > WIRE_OUT ? load->size : WIRE_OUT);
	if (ctx == NULL || at.talks == NULL || at.octets == NULL)
		return 2;
	memset(at.octets, 'n', WIRE_OUT);
	for (unsigned i = 0; i < load->links; i++)
		if (!join(&at.talks[i], ctx)) {
			fprintf(stderr, "floor: cannot connect\n");
			return 1;
		}
	printf("{\"ready\":%u}\n", load->links);
	fflush(stdout);
	at.begin_ns = at.due_ns = now_ns();
	run();
	seconds = (double)(at.last_ns - (load->subscribe ? at.first_ns : at.begin_ns)) / 1e9;
	if (seconds <= 0)
		seconds = 1e-9;
	printf("{\"done\":%llu,\"lost\":%d,\"seconds\":%.3f,\"per_s\":%.1f,\"mb_s\":%.1f,",
	       (unsigned long long)at.done, at.lost, seconds, (double)at.done / seconds,
	       (double)at.bytes / 1e6 / seconds);
	tally_print(&at.tally, "");
	printf("}\n");
	return at.lost;
}
