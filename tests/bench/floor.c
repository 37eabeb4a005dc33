/*
 * floor.c - the least that can do the job, so that newsxd is compared with this machine and not
 * with another day's figures.
 *
 *   floor serve   --identity K --file F           a TLS server that appends frames to F, flushes
 *                                                 in groups, answers, and hands each frame on to
 *                                                 those who subscribed; prints its port
 *   floor publish|subscribe|idle --identity K --port P ...   its client (floor_load.c)
 *   floor lmdb    --dir D --batch N --seconds S   LMDB's commits alone: N values of 4 KB each
 */
#include "tests/bench/floor.h"
#include "store/db.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct frame_in { /* a frame on its way to the disk and back */
	struct frame_in *next;
	struct guest *from;
	struct floor_head head; /* and its octets behind it */
	uint8_t octets[];
};
struct guest {
	struct wire wire;
	struct floor_head head;
	size_t got; /* of head, then of frame */
	struct frame_in *frame;
	uint8_t *out; /* what waits, beyond the wire's own buffer */
	size_t out_n, out_room;
	bool subscribed, touched, dead;
	struct guest *next_touched;
};
static struct {
	SSL_CTX *ctx;
	int epoll, listener, file, wake;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct frame_in *to_disk, **to_disk_end, *flushed, **flushed_end;
	struct guest *subscribers[1024], *touched;
	unsigned subscribers_n;
} floor_;

/* ---- the disk */

static void append(struct frame_in *list)
{
	struct iovec parts[512];
	unsigned n = 0;

	for (struct frame_in *frame = list; frame != NULL; frame = frame->next) {
		size_t whole = sizeof(frame->head) + frame->head.length;

		parts[n++] = (struct iovec){ &frame->head, whole };
		if (n < 512 && frame->next != NULL)
			continue;
		if (writev(floor_.file, parts, (int)n) < 0)
			perror("writev");
		n = 0;
	}
	if (fdatasync(floor_.file) < 0)
		perror("fdatasync");
}

static void *disk(void *arg)
{
	uint64_t one = 1;

	(void)arg;
	for (;;) {
		struct frame_in *list, **end;

		pthread_mutex_lock(&floor_.lock);
		while (floor_.to_disk == NULL)
			pthread_cond_wait(&floor_.more, &floor_.lock);
		list = floor_.to_disk;
		end = floor_.to_disk_end;
		floor_.to_disk = NULL;
		floor_.to_disk_end = &floor_.to_disk;
		pthread_mutex_unlock(&floor_.lock);
		append(list);
		pthread_mutex_lock(&floor_.lock);
		*floor_.flushed_end = list;
		floor_.flushed_end = end;
		pthread_mutex_unlock(&floor_.lock);
		if (write(floor_.wake, &one, sizeof(one)) < 0)
			perror("eventfd");
	}
	return NULL;
}

/* ---- links */

static void watch(struct guest *guest, int how)
{
	struct epoll_event event = { .events = EPOLLIN | (guest->wire.blocked ? EPOLLOUT : 0u),
				     .data.ptr = guest };

	epoll_ctl(floor_.epoll, how, guest->wire.fd, &event);
}

static void say(struct guest *guest, const void *octets, size_t n)
{
	if (guest->out_n + n > guest->out_room) {
		size_t room = (guest->out_n + n) * 2;
		uint8_t *out = realloc(guest->out, room);

		if (out == NULL)
			exit(1);
		guest->out = out;
		guest->out_room = room;
	}
	memcpy(guest->out + guest->out_n, octets, n);
	guest->out_n += n;
	if (!guest->touched) {
		guest->touched = true;
		guest->next_touched = floor_.touched;
		floor_.touched = guest;
	}
}

static void flush(struct guest *guest)
{
	bool was = guest->wire.blocked;
	size_t at = 0;
	int r = 0;

	while (r == 0 && !guest->dead) {
		size_t room = wire_room(&guest->wire), n = guest->out_n - at;

		n = n < room ? n : room;
		if (n == 0 && guest->wire.out_end == 0)
			break;
		memcpy(guest->wire.out + guest->wire.out_end, guest->out + at, n);
		guest->wire.out_end += n;
		at += n;
		r = wire_flush(&guest->wire);
		if (guest->wire.blocked)
			break;
	}
	guest->out_n -= at;
	memmove(guest->out, guest->out + at, guest->out_n);
	if (was != guest->wire.blocked && !guest->dead)
		watch(guest, EPOLL_CTL_MOD);
}

static void flush_touched(void)
{
	while (floor_.touched != NULL) {
		struct guest *guest = floor_.touched;

		floor_.touched = guest->next_touched;
		guest->touched = false;
		flush(guest);
	}
}

static void answer(void)
{
	struct frame_in *list, *next;
	uint64_t count;

	if (read(floor_.wake, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&floor_.lock);
	list = floor_.flushed;
	floor_.flushed = NULL;
	floor_.flushed_end = &floor_.flushed;
	pthread_mutex_unlock(&floor_.lock);
	for (; list != NULL; list = next) {
		next = list->next;
		if (!list->from->dead)
			say(list->from, &list->head.made_ns, sizeof(list->head.made_ns));
		for (unsigned i = 0; i < floor_.subscribers_n; i++)
			if (!floor_.subscribers[i]->dead)
				say(floor_.subscribers[i], &list->head,
				    sizeof(list->head) + list->head.length);
		free(list);
	}
	flush_touched();
}

static void frame_done(struct guest *guest, struct frame_in ***end)
{
	guest->got = 0;
	if (guest->head.kind == FLOOR_SUBSCRIBE) {
		floor_.subscribers[floor_.subscribers_n++] = guest;
		free(guest->frame);
	} else {
		guest->frame->next = NULL;
		**end = guest->frame;
		*end = &guest->frame->next;
	}
	guest->frame = NULL;
}

/* read what is there, straight to its place */
static void listen_to(struct guest *guest, struct frame_in ***end)
{
	for (int i = 0; i < 256; i++) {
		int n;

		if (guest->frame == NULL) {
			n = wire_read(&guest->wire, (uint8_t *)&guest->head + guest->got,
				      sizeof(guest->head) - guest->got);
		} else {
			n = wire_read(&guest->wire, guest->frame->octets + guest->got,
				      guest->head.length - guest->got);
		}
		if (n <= 0) {
			guest->dead = n < 0;
			return;
		}
		guest->got += (size_t)n;
		if (guest->frame == NULL && guest->got == sizeof(guest->head)) {
			guest->frame = malloc(sizeof(*guest->frame) + guest->head.length);
			if (guest->frame == NULL || floor_.subscribers_n == 1024)
				exit(1);
			guest->frame->head = guest->head;
			guest->frame->from = guest;
			guest->got = 0;
		}
		if (guest->frame != NULL && guest->got == guest->head.length)
			frame_done(guest, end);
	}
}

static void turn(struct guest *guest, uint32_t events, struct frame_in ***end)
{
	if (guest->dead)
		return;
	if (!guest->wire.shaken) {
		int r = wire_shake(&guest->wire);

		guest->dead = r < 0;
		if (r <= 0)
			return;
	}
	if ((events & EPOLLOUT) != 0)
		flush(guest);
	if ((events & EPOLLIN) != 0)
		listen_to(guest, end);
	if (guest->dead)
		epoll_ctl(floor_.epoll, EPOLL_CTL_DEL, guest->wire.fd, NULL);
}

static void take_guests(void)
{
	int fd;

	while ((fd = accept4(floor_.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct guest *guest = calloc(1, sizeof(*guest));

		if (guest == NULL || wire_take(&guest->wire, floor_.ctx, fd) < 0)
			exit(1);
		watch(guest, EPOLL_CTL_ADD);
	}
}

static void loop(void)
{
	struct epoll_event events[256];

	for (;;) {
		struct frame_in *list = NULL, **end = &list;
		int n = epoll_wait(floor_.epoll, events, 256, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == &floor_.listener)
				take_guests();
			else if (events[i].data.ptr == &floor_.wake)
				answer();
			else
				turn(events[i].data.ptr, events[i].events, &end);
		}
		if (list == NULL)
			continue;
		pthread_mutex_lock(&floor_.lock);
		*floor_.to_disk_end = list;
		floor_.to_disk_end = end;
		pthread_cond_signal(&floor_.more);
		pthread_mutex_unlock(&floor_.lock);
	}
}

static int serve(const char *identity, const char *file)
{
	struct epoll_event event = { .events = EPOLLIN };
	pthread_t thread;
	int port;

	floor_.ctx = wire_context(identity, true);
	floor_.epoll = epoll_create1(EPOLL_CLOEXEC);
	floor_.listener = wire_listen(&port);
	floor_.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	floor_.file = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	floor_.to_disk_end = &floor_.to_disk;
	floor_.flushed_end = &floor_.flushed;
	pthread_mutex_init(&floor_.lock, NULL);
	pthread_cond_init(&floor_.more, NULL);
	if (floor_.ctx == NULL || floor_.epoll < 0 || floor_.listener < 0 || floor_.file < 0 ||
	    posix_fallocate(floor_.file, 0, (off_t)2 << 30) != 0 ||
	    pthread_create(&thread, NULL, disk, NULL) != 0)
		return 1;
	event.data.ptr = &floor_.listener;
	epoll_ctl(floor_.epoll, EPOLL_CTL_ADD, floor_.listener, &event);
	event.data.ptr = &floor_.wake;
	epoll_ctl(floor_.epoll, EPOLL_CTL_ADD, floor_.wake, &event);
	printf("{\"port\":%d}\n", port);
	fflush(stdout);
	loop();
	return 0;
}

/* ---- LMDB alone */

static int lmdb(const char *dir, unsigned batch, double seconds)
{
	static const struct db_table tables[] = { { "values", true } };
	const struct db_conf conf = { .tables = tables, .tables_n = 1, .map_size = 1 << 30 };
	static uint8_t value[DB_VALUE_MAX];
	struct why why = { 0 };
	struct tally tally = { 0 };
	struct db *db = NULL;
	int64_t begin, now;
	uint64_t key = 0;

	if (db_open(dir, &conf, &db, &why) < 0 ||
	    posix_fallocate(db_fd(db), 0, (off_t)conf.map_size) != 0)
		return 1;
	memset(value, 'n', sizeof(value));
	begin = now = now_ns();
	while (now < begin + (int64_t)(seconds * 1e9) && key < 180000) {
		int64_t from = now;
		struct txn txn;

		txn_begin(&txn, db, TXN_WRITE);
		for (unsigned i = 0; i < batch; i++) {
			key++;
			txn_append(&txn, 0, key_u64(&key), slice_of(value, sizeof(value)));
		}
		if (txn_end(&txn) < 0)
			return 1;
		now = now_ns();
		tally_add(&tally, now - from);
	}
	printf("{\"done\":%llu,\"per_s\":%.1f,", (unsigned long long)key,
	       (double)key * 1e9 / (double)(now - begin));
	tally_print(&tally, "");
	printf("}\n");
	db_close(&db);
	return 0;
}

static const char *value_of(int argc, char **argv, const char *name, const char *fallback)
{
	for (int i = 2; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	return fallback;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct floor_load load = {
		.identity = value_of(argc, argv, "--identity", ""),
		.port = atoi(value_of(argc, argv, "--port", "0")),
		.links = (unsigned)atoi(value_of(argc, argv, "--links", "1")),
		.window = (unsigned)atoi(value_of(argc, argv, "--window", "1")),
		.count = strtoull(value_of(argc, argv, "--count", "0"), NULL, 10),
		.seconds = atof(value_of(argc, argv, "--seconds", "2")),
		.rate = atof(value_of(argc, argv, "--rate", "0")),
		.size = (size_t)atol(value_of(argc, argv, "--size", "4096")),
		.subscribe = strcmp(verb, "subscribe") == 0,
		.idle = strcmp(verb, "idle") == 0,
	};

	signal(SIGPIPE, SIG_IGN);
	many_files();
	if (strcmp(verb, "serve") == 0)
		return serve(load.identity, value_of(argc, argv, "--file", "floor.data"));
	if (strcmp(verb, "lmdb") == 0)
		return lmdb(value_of(argc, argv, "--dir", "."),
			    (unsigned)atoi(value_of(argc, argv, "--batch", "1")), load.seconds);
	if (load.subscribe || load.idle || strcmp(verb, "publish") == 0)
		return floor_load(&load);
	fprintf(stderr, "usage: floor serve|publish|subscribe|idle|lmdb ... (see floor.c)\n");
	return 2;
}
