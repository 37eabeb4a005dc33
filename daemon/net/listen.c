/*
 * listen.c - see listen.h: the doors, and when they are open. Who has come in but is not proven yet
 * is in guest.c.
 */
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/kept.h"
#include "net/listen_priv.h"

#define ACCEPTS_A_TURN 64
#define PAUSE_MS       100

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
	for (struct guest *guest = listen->first_waiting, *next; guest != NULL; guest = next) {
		if (listen->handshakes >= listen->limits.handshakes_max)
			break;
		next = guest->next_waiting;
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
	listen->ops.refused(listen->arg, address, NX_ETOOMANY, words, NULL);
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
			guest_new(listen, guest, (struct sockaddr *)&from);
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

/* returns 0; -1: errno says why, or words do when there are some */
static int door_bind(struct kept *kept, int fd, const struct addrinfo *info, struct why *why)
{
	if (bind(fd, info->ai_addr, info->ai_addrlen) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -1;
	if (kept_make_way(kept, info->ai_addr, why) == 1)
		return bind(fd, info->ai_addr, info->ai_addrlen);
	errno = EADDRINUSE;
	return -1;
}

/* a listening socket of that address: kept over our last end, or a new one. -1: as door_bind() */
static int door_socket(struct kept *kept, const struct addrinfo *info, bool *ret_fresh,
		       struct why *why)
{
	int fd = kept_find(kept, info->ai_addr);
	bool fresh = fd < 0;

	*ret_fresh = fresh;
	if (fresh)
		fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (fresh)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (fresh && info->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int));
	/* an address that is not there yet will do */
	if (fresh && info->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &(int){ 1 }, sizeof(int));
	else if (fresh)
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &(int){ 1 }, sizeof(int));
	if ((fresh && door_bind(kept, fd, info, why) < 0) || take_guests(fd) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* what the operator can do about it */
static const char *remedy(int error)
{
	switch (error) {
	case EADDRNOTAVAIL:
		return "; it is no address that can be listened on";
	case EADDRINUSE:
		return "; another program listens there: ss -ltnp says which";
	case EACCES:
		return "; a port below 1024 needs CAP_NET_BIND_SERVICE";
	default:
		return "";
	}
}

static int door_open(struct listen *listen, struct kept *kept, struct door *door,
		     const char *address, struct why *why)
{
	struct sockaddr_storage bound = { 0 };
	socklen_t n = sizeof(bound);
	struct addrinfo *info = NULL;
	struct why strange = { 0 };
	bool fresh;
	int r = resolve(address, &info, why), fd;

	if (r < 0)
		return r;
	assert(info != NULL);
	fd = door_socket(kept, info, &fresh, &strange);
	if (strange.code < 0) {
		*why = strange;
		r = strange.code;
		goto out;
	}
	if (fd < 0 || getsockname(fd, (struct sockaddr *)&bound, &n) < 0) {
		r = why_set(why, NX_ESYS, "cannot listen on %s: %s%s", address, strerror(errno),
			    remedy(errno));
		if (fd >= 0)
			close(fd);
		goto out;
	}
	*door = (struct door){ .listen = listen, .fd = fd, .fresh = fresh };
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
	struct kept *kept = NULL;
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
	listen->let_in = let_in;
	event_assign(&listen->pause, loop_base(loop), -1, 0, on_pause_over, listen);
	if (listen->gate == NULL || kept_take(&kept) < 0)
		r = why_set(why, NX_ENOMEM, "out of memory");
	for (; r == 0 && listen->n < n; listen->n += r == 0)
		r = door_open(listen, kept, &listen->doors[listen->n], addresses[listen->n], why);
	if (r == 0)
		r = kept_drop_rest(kept, why);
	/* after them: systemd has room for so many (FileDescriptorStoreMax) */
	for (unsigned i = 0; r == 0 && i < listen->n; i++)
		if (listen->doors[i].fresh)
			kept_add(kept, listen->doors[i].fd);
	kept_free(&kept);
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

bool listen_absent(const struct listen *listen, unsigned i)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} at = { 0 };
	socklen_t n = sizeof(at);
	bool absent;
	int fd;

	if (i >= listen->n || getsockname(listen->doors[i].fd, &at.any, &n) < 0)
		return false;
	if (at.any.sa_family == AF_INET6)
		at.v6.sin6_port = 0; /* any: that of the door may be taken */
	else
		at.v4.sin_port = 0;
	fd = socket(at.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	absent = fd >= 0 && bind(fd, &at.any, n) < 0 && errno == EADDRNOTAVAIL;
	if (fd >= 0)
		close(fd);
	return absent;
}

unsigned listen_connections(const struct listen *listen)
{
	return gate_count(listen->gate);
}
