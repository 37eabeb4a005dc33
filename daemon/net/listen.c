/*
 * listen.c - see listen.h. A guest is a connection between accept and the end of its handshake:
 * first a descriptor that is silent, then, with its first octet, a conn.
 */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/conn_priv.h"
#include "net/listen.h"

#define ACCEPTS_A_TURN 64
#define STEPS_A_TURN   4 /* of handshakes; each may cost a millisecond */
#define PAUSE_MS       100

struct guest {
	struct listen *listen;
	struct guest *prev, *next;
	struct guest *next_waiting; /* has spoken, waits for another handshake to end */
	struct conn *conn;          /* NULL while silent */
	struct place *place;
	int fd; /* -1 when it is the conn's */
	bool waiting;
	struct event event; /* the first octet or the deadline; then the deadline alone */
	int64_t until_ms;
	char address[64];
};

struct door {
	struct listen *listen;
	struct event event;
	int fd;
	char address[64];
};

struct listen {
	struct loop *loop;
	struct tls *tls;
	struct gate *gate;
	struct listen_limits limits;
	struct listen_ops ops;
	void *arg;
	struct guest *guests;
	struct guest *first_waiting, *last_waiting;
	unsigned handshakes;
	uint64_t number; /* of the last conn */
	uint64_t turn;
	unsigned steps; /* handshake steps in that turn */
	int spare;      /* a descriptor to give up when there are none: so that we can say no */
	bool open, closing;
	struct event pause;
	unsigned n;
	struct door doors[];
};

static void let_in(struct listen *listen);

/* -- guests */

static void drop_waiting(struct guest *guest)
{
	struct listen *listen = guest->listen;
	struct guest **at = &listen->first_waiting, *before = NULL;

	if (!guest->waiting)
		return;
	for (; *at != guest; at = &(*at)->next_waiting)
		before = *at;
	*at = guest->next_waiting;
	if (listen->last_waiting == guest)
		listen->last_waiting = before;
	guest->waiting = false;
}

/* frees the guest; its conn, if there is one, has gone its own way */
static void guest_free(struct guest *guest)
{
	struct listen *listen = guest->listen;

	event_del(&guest->event);
	drop_waiting(guest);
	if (guest->prev)
		guest->prev->next = guest->next;
	else
		listen->guests = guest->next;
	if (guest->next)
		guest->next->prev = guest->prev;
	if (guest->conn != NULL)
		listen->handshakes--;
	if (guest->fd >= 0)
		close(guest->fd);
	gate_leave(&guest->place);
	free(guest);
}

static void tell_refused(struct listen *listen, const char *address, int code, const char *words,
			 const struct tls_peer *peer)
{
	listen->ops.refused(listen->arg, address, code, words, peer);
}

static void guest_refuse(struct guest *guest, int code, const char *words)
{
	struct listen *listen = guest->listen;
	struct conn *conn = guest->conn;
	bool seen = conn && conn->talk.seen;
	char address[64];

	memcpy(address, guest->address, sizeof(address));
	guest_free(guest);
	if (!listen->closing)
		tell_refused(listen, address, code, words, seen ? &conn->talk.peer : NULL);
	if (conn != NULL && code != NX_EEOF && !listen->closing)
		conn_leave(conn);
	else
		conn_close(&conn);
	let_in(listen);
}

/* struct conn_shake */
static void shake_done(void *arg, struct conn *conn, int code)
{
	struct guest *guest = arg;
	struct listen *listen = guest->listen;

	if (code < 0) {
		guest_refuse(guest, code, conn->why.words);
		return;
	}
	guest_free(guest);
	listen->ops.opened(listen->arg, conn);
	conn_opened(conn);
	let_in(listen);
}

static bool may_step(void *arg)
{
	struct listen *listen = ((struct guest *)arg)->listen;

	if (listen->turn != loop_turn(listen->loop)) {
		listen->turn = loop_turn(listen->loop);
		listen->steps = 0;
	}
	return listen->steps++ < STEPS_A_TURN;
}

static void on_guest(evutil_socket_t fd, short what, void *arg);

static void guest_wait(struct guest *guest, short what)
{
	int64_t ms = guest->until_ms - loop_now_ms(guest->listen->loop);

	if (ms < 0)
		ms = 0;
	event_del(&guest->event);
	event_assign(&guest->event, loop_base(guest->listen->loop), what ? guest->fd : -1, what,
		     on_guest, guest);
	event_add(&guest->event, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

static void guest_shake(struct guest *guest)
{
	struct listen *listen = guest->listen;
	struct conn_shake shake = { .done = shake_done, .may_step = may_step, .arg = guest };
	int r = conn_begin(listen->loop, guest->fd, &guest->place, listen->tls, guest->address,
			   ++listen->number, &shake, &guest->conn);

	if (r < 0) {
		guest_refuse(guest, r, "out of memory");
		return;
	}
	guest->fd = -1;
	listen->handshakes++;
	guest_wait(guest, 0);
	conn_read_again(guest->conn); /* its first octets are there */
}

static void guest_spoke(struct guest *guest)
{
	struct listen *listen = guest->listen;
	char octet;
	ssize_t n = recv(guest->fd, &octet, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		guest_wait(guest, EV_READ);
	} else if (n <= 0) {
		guest_refuse(guest, NX_EEOF, n < 0 ? strerror(errno) : "closed without a word");
	} else if (listen->handshakes < listen->limits.handshakes_max) {
		guest_shake(guest);
	} else {
		guest->waiting = true;
		guest->next_waiting = NULL;
		*(listen->last_waiting ? &listen->last_waiting->next_waiting
				       : &listen->first_waiting) = guest;
		listen->last_waiting = guest;
		guest_wait(guest, 0);
	}
}

static void on_guest(evutil_socket_t fd, short what, void *arg)
{
	struct guest *guest = arg;

	(void)fd;
	if (what & EV_READ)
		guest_spoke(guest);
	else if (guest->conn != NULL || guest->waiting)
		guest_refuse(guest, NX_ESLOW, "the handshake took too long");
	else
		guest_refuse(guest, NX_ESLOW, "silent since it connected");
}

/* -- doors */

static void doors_open(struct listen *listen, bool open)
{
	if (open == listen->open)
		return;
	listen->open = open;
	for (unsigned i = 0; i < listen->n; i++) {
		if (open)
			event_add(&listen->doors[i].event, NULL);
		else
			event_del(&listen->doors[i].event);
	}
}

/* a handshake ended: the next one, and open the doors again */
static void let_in(struct listen *listen)
{
	if (listen->closing)
		return;
	while (listen->first_waiting && listen->handshakes < listen->limits.handshakes_max) {
		struct guest *guest = listen->first_waiting;

		drop_waiting(guest);
		guest_shake(guest);
	}
	if (listen->handshakes < listen->limits.handshakes_max &&
	    !event_pending(&listen->pause, EV_TIMEOUT, NULL))
		doors_open(listen, true);
}

static void on_pause_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd, (void)what;
	let_in(arg);
}

static int spare_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* no descriptor left: take one from the backlog and close it, so that it is not left hanging; then
 * rest */
static void out_of_descriptors(struct listen *listen, int fd, const char *words)
{
	struct sockaddr_storage from = { 0 };
	socklen_t n = sizeof(from);
	char address[64];
	int guest;

	doors_open(listen, false);
	event_add(&listen->pause, &(struct timeval){ 0, PAUSE_MS * 1000 });
	if (listen->spare < 0)
		return;
	close(listen->spare);
	guest = accept4(fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (guest >= 0)
		close(guest);
	listen->spare = spare_open();
	if (guest < 0)
		return;
	gate_address_text((struct sockaddr *)&from, address, sizeof(address));
	tell_refused(listen, address, NX_ETOOMANY, words, NULL);
}

static void welcome(struct listen *listen, int fd, const struct sockaddr *from)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	char address[64];
	int r = NX_ENOMEM;

	gate_address_text(from, address, sizeof(address));
	if (guest != NULL)
		r = gate_enter(listen->gate, from, listen->limits.connections_max,
			       listen->limits.connections_per_address, &guest->place);
	if (r < 0) {
		close(fd);
		free(guest);
		tell_refused(listen, address, r,
			     r == NX_EADDRESS   ? "too many connections from this address"
			     : r == NX_ETOOMANY ? "too many connections"
						: "out of memory",
			     NULL);
		return;
	}
	guest->listen = listen;
	guest->fd = fd;
	guest->next = listen->guests;
	if (guest->next)
		guest->next->prev = guest;
	listen->guests = guest;
	guest->until_ms = loop_now_ms(listen->loop) + listen->limits.handshake_ms;
	memcpy(guest->address, address, sizeof(address));
	event_assign(&guest->event, loop_base(listen->loop), -1, 0, on_guest, guest);
	guest_wait(guest, EV_READ);
}

static void on_door(evutil_socket_t fd, short what, void *arg)
{
	struct listen *listen = ((struct door *)arg)->listen;

	(void)what;
	for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
		struct sockaddr_storage from = { 0 };
		socklen_t n = sizeof(from);
		int guest;

		if (listen->handshakes >= listen->limits.handshakes_max) {
			doors_open(listen, false);
			return;
		}
		guest = accept4(fd, (struct sockaddr *)&from, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (guest >= 0) {
			welcome(listen, guest, (struct sockaddr *)&from);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			out_of_descriptors(listen, fd, strerror(errno));
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

/* -- open and close */

/* "HOST:PORT" or "[HOST]:PORT", numbers only */
static int resolve(const char *address, struct addrinfo **ret, struct why *why)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
					.ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(address, ':');
	size_t n = colon ? (size_t)(colon - address) : 0;
	char host[64];
	int r;

	if (n > 1 && address[0] == '[' && address[n - 1] == ']') {
		address++;
		n -= 2;
	} else if (n > 0 && memchr(address, ':', n) != NULL) {
		n = 0; /* an IPv6 address without brackets */
	}
	if (n == 0 || n >= sizeof(host))
		return why_set(why, NX_ECONF,
			       "'%s' is no address: write 192.0.2.1:7417 or [2001:db8::1]:7417",
			       address);
	memcpy(host, address, n);
	host[n] = '\0';
	r = getaddrinfo(host, colon + 1, &hints, ret);
	if (r != 0)
		return why_set(why, NX_ECONF, "'%s' port '%s': %s", host, colon + 1,
			       gai_strerror(r));
	return 0;
}

/* the name of the call is also that of our struct */
static int take_guests(int fd)
{
	return listen(fd, SOMAXCONN);
}

static int door_open(struct listen *listen, struct door *door, const char *address, struct why *why)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t n = sizeof(bound);
	struct addrinfo *info;
	int r = resolve(address, &info, why), fd;

	if (r < 0)
		return r;
	fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
		if (info->ai_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int));
	}
	if (fd < 0 || bind(fd, info->ai_addr, info->ai_addrlen) < 0 || take_guests(fd) < 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &n) < 0) {
		r = why_set(why, NX_ESYS, "cannot listen on %s: %s", address, strerror(errno));
		if (fd >= 0)
			close(fd);
		goto out;
	}
	*door = (struct door){ .listen = listen, .fd = fd };
	gate_address_text((struct sockaddr *)&bound, door->address, sizeof(door->address));
	event_assign(&door->event, loop_base(listen->loop), fd, EV_READ | EV_PERSIST, on_door,
		     door);
out:
	freeaddrinfo(info);
	return r;
}

int listen_open(struct loop *loop, const char *const *addresses, unsigned n, struct tls *tls,
		const struct listen_limits *limits, const struct listen_ops *ops, void *arg,
		struct listen **ret, struct why *why)
{
	struct listen *listen = calloc(1, sizeof(*listen) + n * sizeof(listen->doors[0]));
	int r = 0;

	if (listen == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	listen->loop = loop;
	listen->limits = *limits;
	listen->ops = *ops;
	listen->arg = arg;
	listen->tls = tls_ref(tls);
	listen->gate = gate_new();
	listen->spare = spare_open();
	event_assign(&listen->pause, loop_base(loop), -1, 0, on_pause_over, listen);
	if (listen->gate == NULL)
		r = why_set(why, NX_ENOMEM, "out of memory");
	for (; r == 0 && listen->n < n; listen->n += r == 0)
		r = door_open(listen, &listen->doors[listen->n], addresses[listen->n], why);
	if (r == 0) {
		doors_open(listen, true);
		*ret = listen;
		listen = NULL;
	}
	listen_close(&listen);
	return r;
}

void listen_close(struct listen **ret_listen)
{
	struct listen *listen = *ret_listen;

	*ret_listen = NULL;
	if (listen == NULL)
		return;
	listen->closing = true;
	doors_open(listen, false);
	for (unsigned i = 0; i < listen->n; i++)
		close(listen->doors[i].fd);
	while (listen->guests != NULL)
		guest_refuse(listen->guests, NX_ESHUTDOWN, "");
	event_del(&listen->pause);
	if (listen->spare >= 0)
		close(listen->spare);
	gate_free(&listen->gate);
	tls_free(&listen->tls);
	free(listen);
}

void listen_reload(struct listen *listen, struct tls *tls, const struct listen_limits *limits)
{
	struct tls *old = listen->tls;

	listen->tls = tls_ref(tls);
	tls_free(&old);
	listen->limits = *limits;
	let_in(listen);
}

const char *listen_address(const struct listen *listen, unsigned i)
{
	return i < listen->n ? listen->doors[i].address : NULL;
}

unsigned listen_connections(const struct listen *listen)
{
	return gate_count(listen->gate);
}
