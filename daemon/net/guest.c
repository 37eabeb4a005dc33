/*
 * guest.c - a guest is a connection between accept and the end of its handshake: first a descriptor
 * that is silent, then, with its first octet, a conn.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/listen_priv.h"

#define PATIENCE_MS  1000 /* of a handshake that holds up others */
#define LOOK_MAX     256
#define STEPS_A_TURN 1 /* of handshakes; each may cost a millisecond that the others wait */

static void stop_waiting(struct guest *guest)
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
	guest->next_waiting = NULL;
}

/* frees the guest; its conn, if there is one, has gone its own way */
static void guest_free(struct guest *guest)
{
	struct listen *listen = guest->listen;

	event_del(&guest->event);
	stop_waiting(guest);
	if (guest->prev)
		guest->prev->next = guest->next;
	else
		listen->guests = guest->next;
	if (guest->next)
		guest->next->prev = guest->prev;
	else
		listen->oldest = guest->prev;
	if (guest->conn != NULL) {
		listen->handshakes--;
		gate_shaken(guest->conn->place);
	}
	if (guest->fd >= 0)
		close(guest->fd);
	gate_leave(&guest->place);
	free(guest);
}

void guest_refuse(struct guest *guest, int code, const char *words)
{
	struct listen *listen = guest->listen;
	struct conn *conn = guest->conn;
	bool seen = conn && conn->talk.seen;
	char address[64];

	memcpy(address, guest->address, sizeof(address));
	guest_free(guest);
	if (!listen->closing)
		listen->ops.refused(listen->arg, address, code, words,
				    seen ? &conn->talk.peer : NULL);
	if (conn != NULL && code != NX_EEOF && !listen->closing)
		conn_leave(conn);
	else
		conn_close(&conn);
	listen->let_in(listen);
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
	listen->let_in(listen);
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
	int64_t at_ms = guest->until_ms, ms;

	if (guest->conn != NULL && guest->begun_ms + PATIENCE_MS < at_ms)
		at_ms = guest->begun_ms + PATIENCE_MS;
	ms = at_ms - loop_now_ms(guest->listen->loop);
	if (ms < 0)
		ms = 0;
	event_del(&guest->event);
	event_assign(&guest->event, loop_base(guest->listen->loop), what ? guest->fd : -1, what,
		     on_guest, guest);
	event_add(&guest->event, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

/* whoever begins many handshakes and ends none leaves room for those of other addresses */
static unsigned shakes_per_address(const struct listen *listen)
{
	unsigned most = listen->limits.handshakes_max / 4;

	return most > 0 ? most : 1;
}

bool guest_shake(struct guest *guest)
{
	struct listen *listen = guest->listen;
	struct place *place = guest->place;
	struct conn_shake shake = { .done = shake_done, .may_step = may_step, .arg = guest };
	int r;

	if (listen->handshakes >= listen->limits.handshakes_max ||
	    !gate_shake(place, shakes_per_address(listen)))
		return false;
	stop_waiting(guest);
	r = conn_begin(listen->loop, guest->fd, &guest->place, listen->tls, guest->address,
		       ++listen->number, &shake, &guest->conn);
	if (r < 0) {
		gate_shaken(place);
		guest_refuse(guest, r, "out of memory");
		return true;
	}
	guest->fd = -1;
	guest->begun_ms = loop_now_ms(listen->loop);
	listen->handshakes++;
	guest_wait(guest, 0);
	conn_read_again(guest->conn); /* its first octets are there */
	return true;
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
	} else if (!guest_shake(guest)) {
		guest->waiting = true;
		guest->next_waiting = NULL;
		*(listen->last_waiting ? &listen->last_waiting->next_waiting
				       : &listen->first_waiting) = guest;
		listen->last_waiting = guest;
		guest_wait(guest, 0);
	}
}

/* it has its time, but only while there is room for others */
static bool may_go_on(struct guest *guest)
{
	struct listen *listen = guest->listen;
	int64_t now_ms = loop_now_ms(listen->loop);

	if (guest->conn == NULL || now_ms >= guest->until_ms ||
	    listen->handshakes >= listen->limits.handshakes_max)
		return false;
	guest->begun_ms = now_ms;
	return true;
}

static void on_guest(evutil_socket_t fd, short what, void *arg)
{
	struct guest *guest = arg;

	(void)fd;
	if (what & EV_READ)
		guest_spoke(guest);
	else if (may_go_on(guest))
		guest_wait(guest, 0);
	else if (guest->conn != NULL || guest->waiting)
		guest_refuse(guest, NX_ESLOW, "the handshake took too long");
	else
		guest_refuse(guest, NX_ESLOW, "silent since it connected");
}

/* all places are taken: the one that is silent for longest gives up its own */
static bool make_room(struct listen *listen)
{
	struct guest *guest = listen->oldest;

	for (unsigned look = 0; guest != NULL && look < LOOK_MAX; look++, guest = guest->prev) {
		if (guest->conn != NULL || guest->waiting)
			continue;
		guest_refuse(guest, NX_ESLOW,
			     "silent since it connected, and others want its place");
		return true;
	}
	return false;
}

static int enter(struct guest *guest, struct listen *listen, const struct sockaddr *from)
{
	const struct listen_limits *limits = &listen->limits;
	int r = gate_enter(listen->gate, from, limits->connections_max,
			   limits->connections_per_address, &guest->place);

	if (r == NX_ETOOMANY && make_room(listen))
		r = gate_enter(listen->gate, from, limits->connections_max,
			       limits->connections_per_address, &guest->place);
	return r;
}

void guest_new(struct listen *listen, int fd, const struct sockaddr *from)
{
	struct guest *guest = calloc(1, sizeof(*guest));
	char address[64];
	int r = NX_ENOMEM;

	gate_address_text(from, address, sizeof(address));
	if (guest != NULL)
		r = enter(guest, listen, from);
	if (r < 0) {
		close(fd);
		free(guest);
		listen->ops.refused(listen->arg, address, r,
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
	else
		listen->oldest = guest;
	listen->guests = guest;
	guest->until_ms = loop_now_ms(listen->loop) + listen->limits.handshake_ms;
	memcpy(guest->address, address, sizeof(address));
	event_assign(&guest->event, loop_base(listen->loop), -1, 0, on_guest, guest);
	guest_wait(guest, EV_READ);
}
