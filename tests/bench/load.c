/*
 * load.c - a load generator for newsxd/1: many links in one thread, proto/session under each.
 *
 *   load publish   --identity K --port P --channel C [--links N] [--window N] [--size N] [--rate N]
 *                  [--seconds S | --count N] [--flashes N --flash-gap MS [--flash-alone]]
 *   load photos    the same; --size is the photo's
 *   load subscribe --identity K --port P --subscription PREFIX --links N --count N [--flashes N]
 *   load idle      --identity K --port P --links N --pid DAEMON
 * Prints {"ready":N} when all links are up, one line of JSON at the end. It stores nothing.
 */
#include "tests/bench/load.h"

#include "base/clock.h"
#include "base/hash.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SHAKING_MOST 24
#define LAST_S       20 /* time for the last answers */

static struct session *new_session(struct member *member)
{
	struct session_conf conf;
	uint8_t boot[16];

	memset(&conf, 0, sizeof(conf));
	snprintf(conf.hello.node, sizeof(conf.hello.node), "bench");
	snprintf(conf.hello.agent, sizeof(conf.hello.agent), "load %s", NEWSXD_VERSION);
	random_octets(boot, sizeof(boot));
	hex_of(boot, sizeof(boot), conf.hello.boot);
	conf.hello.max = limits_floor;
	conf.source = give_source;
	conf.arg = member;
	return session_new(&conf, clock_boot_ms());
}

static void watch(struct member *member, bool add)
{
	struct epoll_event event = { .events = EPOLLIN | (member->wire.blocked ? EPOLLOUT : 0u),
				     .data.ptr = member };

	epoll_ctl(member->load->epoll, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, member->wire.fd,
		  &event);
}

static void lose(struct member *member, const char *why)
{
	struct load *load = member->load;

	if (member->dead)
		return;
	member->dead = true;
	load->lost++;
	if (load->why[0] == '\0')
		snprintf(load->why, sizeof(load->why), "%s", why);
	epoll_ctl(load->epoll, EPOLL_CTL_DEL, member->wire.fd, NULL);
}

static int join(struct load *load, unsigned i)
{
	struct member *member = calloc(1, sizeof(*member));

	if (member == NULL)
		return -1;
	load->members[i] = member;
	member->load = load;
	member->index = i;
	member->session = new_session(member);
	if (member->session == NULL || wire_dial(&member->wire, load->ctx, load->options.port) < 0)
		return -1;
	member->wire.blocked = true; /* the handshake begins when it may write */
	watch(member, true);
	load->shaking++;
	return 0;
}

/* fill the output and write it, as long as there is something and it goes */
static void push(struct member *member)
{
	struct wire *wire = &member->wire;
	bool was = wire->blocked;

	wire_pace(wire, now_ns());
	for (int turn = 0; turn < 16; turn++) {
		size_t most = wire->small_max < FRAME_SMALL ? 1 : WIRE_OUT / 2;

		if (wire->out_end - wire->out_start < most && wire_room(wire) > FRAME_FLOOR + 64) {
			size_t n;

			do {
				n = session_frame(member->session, wire->out + wire->out_end,
						  WIRE_OUT - wire->out_end, wire->small_max,
						  clock_boot_ms(), clock_wall_ms());
				wire->out_end += n;
			} while (n > 0 && wire->out_end < most &&
				 WIRE_OUT - wire->out_end > FRAME_FLOOR + 64);
		}
		if (wire->out_start == wire->out_end)
			break;
		if (wire_flush(wire) < 0) {
			lose(member, "lost while writing");
			return;
		}
		if (wire->blocked)
			break;
	}
	if (was != wire->blocked)
		watch(member, false);
}

static void greeted(struct member *member)
{
	struct load *load = member->load;

	member->greeted = true;
	load->shaking--;
	if (load->options.role == ROLE_SUBSCRIBE) {
		take_ready(member);
		return;
	}
	member->ready = true;
	load->ready++;
}

static void feed(struct member *member, struct slice in)
{
	struct session_event event;
	struct why why = { 0 };
	int r;

	for (;;) {
		r = session_feed(member->session, &in, clock_boot_ms(), clock_wall_ms(), &event,
				 &why);
		if (r <= 0)
			break;
		if (event.kind == SESSION_HELLO)
			greeted(member);
		else if (event.kind == SESSION_BYE)
			snprintf(member->load->why, sizeof(member->load->why), "%s",
				 event.bye.code);
		else if (member->load->options.role == ROLE_SUBSCRIBE)
			take_event(member, &event);
		else
			give_event(member, &event);
	}
	if (r < 0)
		lose(member, nx_word(r));
}

static void wake(struct member *member, int64_t now)
{
	const struct options *o = &member->load->options;

	if (!member->ready || o->role > ROLE_PHOTOS)
		return;
	if (o->flashes > 0)
		session_item_ready(member->session, CLASS_FLASH);
	if (member->open < o->window && give_may(member->load, now))
		session_item_ready(member->session, CLASS_ROUTINE);
}

static void turn(struct member *member)
{
	static uint8_t in[64 << 10];
	int n = 0;

	if (member->dead)
		return;
	if (!member->wire.shaken) {
		n = wire_shake(&member->wire);
		if (n < 0)
			lose(member, "no handshake");
		if (n == 0)
			watch(member, false);
		if (n <= 0)
			return;
		member->wire.blocked = true;
	}
	for (int i = 0; i < 32; i++) {
		n = wire_read(&member->wire, in, sizeof(in));
		if (n <= 0)
			break;
		feed(member, slice_of(in, (size_t)n));
	}
	if (n < 0)
		lose(member, "closed by the other side");
	if (member->dead)
		return;
	wake(member, now_ns());
	push(member);
}

/* ---- the course of a run */

static int wait_ms(const struct load *load, int64_t now)
{
	int64_t next = now + 100000000;

	if (load->begin_ns != 0 && load->options.rate > 0 && !load->over && load->due_ns < next)
		next = load->due_ns;
	if (load->flashes_begun < load->options.flashes && load->flash_due_ns < next)
		next = load->flash_due_ns;
	return next <= now ? 0 : (int)((next - now + 999999) / 1000000);
}

static bool finished(struct load *load, int64_t now)
{
	const struct options *o = &load->options;

	if (load->lost > 0 || o->role == ROLE_IDLE)
		return load->lost > 0 || load->ready == o->links;
	if (load->begin_ns == 0)
		return false;
	if (now > load->begin_ns + (int64_t)((o->seconds + LAST_S) * 1e9))
		return true;
	if (o->role == ROLE_SUBSCRIBE)
		return load->done >= o->count && load->flashes_done >= o->flashes;
	if (o->flashes > 0)
		return load->flashes_done >= o->flashes;
	if (o->count == 0 && now < load->begin_ns + (int64_t)(o->seconds * 1e9))
		return false;
	return load->done + load->refused >= (o->count > 0 ? o->count : load->begun);
}

static void begin(struct load *load, int64_t now)
{
	printf("{\"ready\":%u}\n", load->ready);
	fflush(stdout);
	load->begin_ns = load->due_ns = load->flash_due_ns = now;
	if (!load->options.quiet_flash && load->options.flashes > 0)
		load->flash_due_ns += 1000000000; /* the photos first */
	for (unsigned i = 0; i < load->options.links; i++)
		turn(load->members[i]);
}

/* links that are owed a deadline or a paced item, whoever's turn it is */
static void tick(struct load *load, int64_t now)
{
	const struct options *o = &load->options;
	bool paced = o->rate > 0 && now >= load->due_ns;

	if (load->begin_ns == 0)
		return;
	for (unsigned i = 0; i < o->links && (paced || o->flashes > 0); i++)
		if (!load->members[i]->dead && o->role <= ROLE_PHOTOS) {
			wake(load->members[i], now);
			push(load->members[i]);
		}
}

static int run(struct load *load)
{
	struct epoll_event events[256];
	unsigned joined = 0;

	for (;;) {
		int64_t now = now_ns();
		int n;

		while (joined < load->options.links && load->shaking < SHAKING_MOST)
			if (join(load, joined++) < 0)
				return -1;
		if (load->begin_ns == 0 && load->ready == load->options.links)
			begin(load, now);
		tick(load, now);
		if (finished(load, now))
			return 0;
		n = epoll_wait(load->epoll, events, 256, wait_ms(load, now));
		for (int i = 0; i < n; i++)
			turn(events[i].data.ptr);
	}
}

static long rss_kib(int pid)
{
	char path[64], line[256];
	long kib = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return kib;
}

/* keep the links open until the daemon's memory stands still, and read nothing that it says */
static void print_idle(struct load *load, long before)
{
	struct epoll_event events[256];
	int64_t end = now_ns() + (int64_t)(load->options.seconds * 1e9);
	long peak = rss_kib(load->options.pid), after;

	while (now_ns() < end) {
		int n = epoll_wait(load->epoll, events, 256, 100);

		for (int i = 0; i < n; i++)
			turn(events[i].data.ptr);
	}
	after = rss_kib(load->options.pid);
	printf("{\"role\":\"idle\",\"links\":%u,\"lost\":%u,\"before_kib\":%ld,\"up_kib\":%ld,"
	       "\"after_kib\":%ld,\"kib_per_link\":%.2f,\"why\":\"%s\"}\n",
	       load->ready, load->lost, before, peak, after,
	       (double)(after - before) / (load->ready > 0 ? load->ready : 1), load->why);
}

static void print(struct load *load)
{
	int64_t from = load->first_ns != 0 ? load->first_ns : load->begin_ns;
	double seconds = (double)(load->last_ns - from) / 1e9;

	if (seconds <= 0)
		seconds = 1e-9;
	printf("{\"done\":%llu,\"refused\":%llu,\"lost\":%u,\"seconds\":%.3f,\"per_s\":%.1f,"
	       "\"mb_s\":%.1f,",
	       (unsigned long long)load->done, (unsigned long long)load->refused, load->lost,
	       seconds, (double)load->done / seconds, (double)load->octets / 1e6 / seconds);
	tally_print(&load->tally, "");
	printf(",\"flashes\":%llu,", (unsigned long long)load->flashes_done);
	tally_print(&load->flash, "flash_");
	printf(",\"why\":\"%s\"}\n", load->why);
}

/* ---- options */

static const char *value_of(int argc, char **argv, const char *name, const char *fallback)
{
	for (int i = 2; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	return fallback;
}

static bool read_options(int argc, char **argv, struct options *o)
{
	static const char *const roles[] = { "publish", "photos", "subscribe", "idle" };
	unsigned role = 0;

	while (argc > 1 && role < 4 && strcmp(argv[1], roles[role]) != 0)
		role++;
	if (argc < 2 || role == 4)
		return false;
	o->role = (enum role)role;
	o->identity = value_of(argc, argv, "--identity", "");
	o->channel = value_of(argc, argv, "--channel", "bench.lo");
	o->subscription = value_of(argc, argv, "--subscription", "fan");
	o->port = atoi(value_of(argc, argv, "--port", "7417"));
	o->pid = atoi(value_of(argc, argv, "--pid", "0"));
	o->links = (unsigned)atoi(value_of(argc, argv, "--links", "1"));
	o->window = (unsigned)atoi(value_of(argc, argv, "--window", "1"));
	o->count = strtoull(value_of(argc, argv, "--count", "0"), NULL, 10);
	o->seconds = atof(value_of(argc, argv, "--seconds", "2"));
	o->rate = atof(value_of(argc, argv, "--rate", "0"));
	o->size = (size_t)atol(value_of(argc, argv, "--size", "4096"));
	o->flashes = (unsigned)atoi(value_of(argc, argv, "--flashes", "0"));
	o->flash_gap_ms = (unsigned)atoi(value_of(argc, argv, "--flash-gap", "250"));
	o->quiet_flash = atoi(value_of(argc, argv, "--flash-alone", "0")) != 0;
	return o->links > 0 && o->window > 0 && o->window < SLOTS && o->size >= 1024;
}

int main(int argc, char **argv)
{
	struct load load = { 0 };
	long before;

	if (!read_options(argc, argv, &load.options)) {
		fprintf(stderr,
			"usage: load publish|photos|subscribe|idle --identity K --port P ..."
			" (see the top of load.c)\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	many_files();
	load.ctx = wire_context(load.options.identity, false);
	load.epoll = epoll_create1(EPOLL_CLOEXEC);
	load.members = calloc(load.options.links, sizeof(struct member *));
	before = load.options.pid > 0 ? rss_kib(load.options.pid) : 0;
	if (load.ctx == NULL || load.epoll < 0 || load.members == NULL || give_start(&load) < 0)
		return 2;
	if (run(&load) < 0) {
		fprintf(stderr, "load: %s\n", strerror(errno));
		return 1;
	}
	if (load.options.role == ROLE_IDLE)
		print_idle(&load, before);
	else
		print(&load);
	return load.lost > 0;
}
