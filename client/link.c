#include "client/link.h"
#include "base/clock.h"
#include "base/hash.h"
#include "client/dial.h"
#include "client/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS    10000
#define HANDSHAKE_MS  10000
#define STALL_MS      60000
#define IN_SIZE       (256 << 10)
#define OUT_SIZE      (FRAME_SMALL + FRAME_HEADER + FRAME_FLOOR)
#define WRITES_A_TURN 16
#define FRAME_TIME_MS 30 /* a frame of items or parts holds the line for about this long */
#define RATE_EVERY_MS 100

struct link {
	int fd;
	SSL *ssl; /* NULL: a test's plain socket */
	struct trust *trust;
	struct session *session;
	struct dial_to to;
	struct found *found, own_found;
	uint8_t in[IN_SIZE], out[OUT_SIZE];
	struct slice unread; /* of in */
	size_t out_start, out_end;
	bool greeted;          /* the other side's HELLO was read */
	bool write_wants_read; /* SSL_write() waits for octets from the other side */
	bool said_shutdown;
	int64_t moved_ms; /* the last time our output moved, or there was none */
	size_t small_max;
	int64_t rate_ms; /* when small_max was last reckoned */
};

void link_session_conf(struct session_conf *ret, const char *identity)
{
	const char *base = strrchr(identity, '/');
	uint8_t boot[16];

	memset(ret, 0, sizeof(*ret));
	snprintf(ret->hello.node, sizeof(ret->hello.node), "%.*s", NAME_MAX_,
		 base == NULL ? identity : base + 1);
	if (ret->hello.node[0] == '\0')
		snprintf(ret->hello.node, sizeof(ret->hello.node), "newsxctl");
	snprintf(ret->hello.agent, sizeof(ret->hello.agent), "newsxctl %s", NEWSXD_VERSION);
	random_octets(boot, sizeof(boot));
	hex_of(boot, sizeof(boot), ret->hello.boot);
	ret->hello.max = limits_floor;
	ret->ahead_items = 1024;
	ret->ahead_octets = 16 << 20;
	ret->hello_ms = 10000;
	ret->ping_ms = 30000;
	ret->idle_ms = 90000;
	ret->bye_ms = 5000;
}

/* ---- opening */

static int handshake(struct link *link, struct why *why)
{
	int64_t end_ms = clock_boot_ms() + HANDSHAKE_MS;

	for (;;) {
		struct pollfd ready = { .fd = link->fd };
		int64_t left = end_ms - clock_boot_ms();
		int r, error;

		ERR_clear_error();
		errno = 0;
		r = SSL_do_handshake(link->ssl);
		if (r == 1)
			break;
		error = SSL_get_error(link->ssl, r);
		if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
			return trust_explain(link->trust, link->to.text, error, link->found, why);
		if (left <= 0)
			return step_fail(
				link->found, STEP_TLS,
				why_set(why, NX_ESLOW,
					"%s does not finish the handshake: is it an exchange, is "
					"the line overloaded?",
					link->to.text));
		ready.events = error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT;
		poll(&ready, 1, (int)left);
	}
	if (!trust_alpn_ok(link->ssl))
		return trust_explain_alpn(link->to.text, link->found, why);
	snprintf(link->found->cipher, sizeof(link->found->cipher), "%s",
		 SSL_get_cipher_name(link->ssl));
	memcpy(link->found->server, trust_seen(link->trust)->text, sizeof(link->found->server));
	memcpy(link->found->self, trust_self(link->trust)->text, sizeof(link->found->self));
	return 0;
}

static void tune(int fd)
{
	int on = 1, unsent = FRAME_SMALL;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	/* what waits in the kernel cannot be overtaken by a flash */
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static struct link *link_new(const struct session_conf *conf)
{
	struct link *link = calloc(1, sizeof(*link));

	if (link == NULL)
		return NULL;
	link->fd = -1;
	link->found = &link->own_found;
	link->small_max = FRAME_SMALL;
	link->moved_ms = clock_boot_ms();
	link->session = session_new(conf, link->moved_ms);
	if (link->session == NULL)
		link_close(&link);
	return link;
}

int link_open(const struct link_conf *conf, const struct session_conf *session, struct link **ret,
	      struct why *why)
{
	struct trust *trust = NULL;
	struct link *link = NULL;
	struct found own, *found = conf->found == NULL ? &own : conf->found;
	struct dial_to to;
	int fd = -1, r;

	*found = (struct found){ .failed = STEP_NONE };
	r = dial_parse(conf->server, &to, why);
	if (r == 0)
		r = trust_new(conf->identity, conf->pins, conf->pins_n, &trust, why);
	if (r == 0)
		r = dial_connect(&to, CONNECT_MS, &fd, found, why);
	if (r < 0)
		goto out;
	r = why_set(why, NX_ENOMEM, "out of memory");
	link = link_new(session);
	if (link == NULL)
		goto out;
	link->fd = fd;
	link->to = to;
	if (conf->found != NULL)
		link->found = found;
	link->trust = trust;
	fd = -1;
	trust = NULL;
	tune(link->fd);
	link->ssl = trust_begin(link->trust, link->fd);
	if (link->ssl != NULL)
		r = handshake(link, why);
	if (r < 0)
		goto out;
	*ret = link;
	link = NULL;
out:
	if (fd >= 0)
		close(fd);
	trust_free(&trust);
	link_close(&link);
	return r;
}

int link_open_plain(int fd, const struct session_conf *session, struct link **ret)
{
	*ret = link_new(session);
	if (*ret == NULL)
		return NX_ENOMEM;
	(*ret)->fd = fd;
	snprintf((*ret)->to.text, sizeof((*ret)->to.text), "the test");
	return 0;
}

void link_close(struct link **link)
{
	if (*link == NULL)
		return;
	session_free(&(*link)->session);
	SSL_free((*link)->ssl);
	trust_free(&(*link)->trust);
	if ((*link)->fd >= 0)
		close((*link)->fd);
	free(*link);
	*link = NULL;
}

struct session *link_session(struct link *link)
{
	return link->session;
}

/* ---- reading and writing; 0 = would wait, negative = lost */

static int lost(struct link *link, int error, struct why *why)
{
	int saved = errno;

	if (!link->greeted && link->trust != NULL && error != SSL_ERROR_ZERO_RETURN)
		return trust_explain(link->trust, link->to.text, error, link->found, why);
	ERR_clear_error();
	if (!link->greeted)
		return step_fail(link->found, STEP_HELLO,
				 why_set(why, NX_EEOF,
					 "%s closed before it said HELLO: its log says why",
					 link->to.text));
	if (error == SSL_ERROR_SYSCALL && saved != 0)
		return why_set(why, NX_EEOF, "the link to %s broke: %s", link->to.text,
			       strerror(saved));
	return why_set(why, NX_EEOF, "the link to %s was closed by the other side", link->to.text);
}

static int plain_error(ssize_t n)
{
	if (n == 0)
		return SSL_ERROR_ZERO_RETURN;
	return errno == EAGAIN || errno == EINTR ? SSL_ERROR_WANT_READ : SSL_ERROR_SYSCALL;
}

/* returns octets, or 0 and the error */
static int read_once(struct link *link, uint8_t *to, size_t room, int *ret_error)
{
	int n;

	errno = 0;
	if (link->ssl == NULL) {
		n = (int)recv(link->fd, to, room, MSG_DONTWAIT);
		*ret_error = n > 0 ? 0 : plain_error(n);
	} else {
		ERR_clear_error();
		n = SSL_read(link->ssl, to, (int)room);
		*ret_error = n > 0 ? 0 : SSL_get_error(link->ssl, n);
	}
	return n > 0 ? n : 0;
}

/* as much as is there and fits: what comes together can be settled together */
static int read_some(struct link *link, struct why *why)
{
	size_t n = 0;
	int error = 0;

	while (n < IN_SIZE && error == 0)
		n += (size_t)read_once(link, link->in + n, IN_SIZE - n, &error);
	link->unread = slice_of(link->in, n);
	if (n > 0 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return (int)n;
	return lost(link, error, why);
}

static int write_some(struct link *link, struct why *why)
{
	size_t len = link->out_end - link->out_start;
	int n, error;

	errno = 0;
	if (link->ssl == NULL) {
		n = (int)send(link->fd, link->out + link->out_start, len,
			      MSG_DONTWAIT | MSG_NOSIGNAL);
		error = n > 0 ? 0 : plain_error(n);
	} else {
		ERR_clear_error();
		n = SSL_write(link->ssl, link->out + link->out_start, (int)len);
		error = n > 0 ? 0 : SSL_get_error(link->ssl, n);
	}
	link->write_wants_read = link->ssl != NULL && error == SSL_ERROR_WANT_READ;
	if (n > 0) {
		link->out_start += (size_t)n;
		return n;
	}
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return 0;
	return lost(link, error, why);
}

/* on a slow line frames get shorter, so that none holds it for long */
static void reckon_rate(struct link *link, int64_t now_ms)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);
	uint64_t most;

	if (now_ms - link->rate_ms < RATE_EVERY_MS)
		return;
	link->rate_ms = now_ms;
	memset(&info, 0, sizeof(info));
	if (getsockopt(link->fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 ||
	    info.tcpi_delivery_rate == 0 || info.tcpi_delivery_rate_app_limited)
		return;
	most = info.tcpi_delivery_rate * FRAME_TIME_MS / 1000;
	link->small_max = most < 1024 ? 1024 : most > FRAME_SMALL ? FRAME_SMALL : (size_t)most;
}

static bool fill_out(struct link *link, int64_t now_ms)
{
	if (link->out_start == link->out_end)
		link->out_start = link->out_end = 0;
	while (link->out_end < link->small_max) {
		size_t n = session_frame(link->session, link->out + link->out_end,
					 OUT_SIZE - link->out_end, link->small_max, now_ms,
					 clock_wall_ms());

		if (n == 0)
			break;
		link->out_end += n;
	}
	return link->out_end > link->out_start;
}

static bool takes_more(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };

	return poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0;
}

static int write_all(struct link *link, int64_t now_ms, struct why *why)
{
	reckon_rate(link, now_ms);
	for (int i = 0; i < WRITES_A_TURN && takes_more(link->fd); i++) {
		int n;

		if (!fill_out(link, now_ms)) {
			link->moved_ms = now_ms;
			return 0;
		}
		n = write_some(link, why);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		link->moved_ms = now_ms;
	}
	if (now_ms - link->moved_ms > STALL_MS)
		return why_set(why, NX_ESTALL, "the exchange at %s has not read anything for %d s",
			       link->to.text, STALL_MS / 1000);
	return 0;
}

/* ---- turns */

int link_event(struct link *link, struct session_event *ret, struct why *why)
{
	int r = session_feed(link->session, &link->unread, clock_boot_ms(), clock_wall_ms(), ret,
			     why);

	if (r > 0 && ret->kind == SESSION_HELLO)
		link->greeted = true;
	return r;
}

static int tick(struct link *link, int64_t now_ms, int64_t *ret_next_ms, struct why *why)
{
	int r = session_tick(link->session, now_ms, ret_next_ms);

	if (r == NX_ENOHELLO)
		return step_fail(
			link->found, STEP_HELLO,
			why_set(why, r, "what answers at %s does not say HELLO: is it an exchange?",
				link->to.text));
	if (r == NX_EIDLE)
		return why_set(why, r,
			       "nothing was heard from %s for a long time: the line is down",
			       link->to.text);
	if (r < 0)
		why_set(why, r, "the link to %s ends: %s", link->to.text, nx_word(r));
	return r;
}

static int timeout_of(const struct link *link, int64_t now_ms, int64_t next_ms, int64_t until_ms)
{
	int64_t end_ms = next_ms < until_ms ? next_ms : until_ms;

	if (link->unread.n > 0 || (link->ssl != NULL && SSL_pending(link->ssl) > 0) ||
	    end_ms <= now_ms)
		return 0;
	return end_ms - now_ms > 60000 ? 60000 : (int)(end_ms - now_ms);
}

static bool has_words(const struct link *link)
{
	return link->out_end > link->out_start || session_wants(link->session);
}

int link_turn(struct link *link, struct pollfd *also, nfds_t also_n, int64_t until_ms,
	      struct why *why)
{
	struct pollfd fds[8];
	int64_t now_ms = clock_boot_ms(), next_ms = INT64_MAX;
	int r = tick(link, now_ms, &next_ms, why);

	if (r < 0)
		return r;
	r = write_all(link, now_ms, why);
	if (r < 0)
		return r;
	if (also_n > 7)
		also_n = 7;
	fds[0] = (struct pollfd){ .fd = link->fd, .events = POLLIN };
	if (has_words(link) && !link->write_wants_read)
		fds[0].events |= POLLOUT;
	for (nfds_t i = 0; i < also_n; i++)
		fds[i + 1] = also[i];
	if (poll(fds, also_n + 1, timeout_of(link, now_ms, next_ms, until_ms)) < 0 &&
	    errno != EINTR)
		return why_set(why, NX_ESYS, "poll: %s", strerror(errno));
	for (nfds_t i = 0; i < also_n; i++)
		also[i].revents = fds[i + 1].revents;
	if (link->unread.n > 0)
		return 0;
	r = read_some(link, why);
	return r < 0 ? r : 0;
}

static void throw_away(struct link *link)
{
	struct session_event event;

	while (link_event(link, &event, NULL) > 0)
		if (event.kind == SESSION_ITEM)
			free(event.item.octets);
	link->unread.n = 0;
}

void link_finish(struct link *link, int code, const char *words, int64_t most_ms)
{
	int64_t end_ms = clock_boot_ms() + most_ms;
	int r = 0;

	if (!session_said_bye(link->session))
		session_bye(link->session, code, words);
	for (;;) {
		struct pollfd ready = { .fd = link->fd, .events = POLLIN | POLLOUT };

		throw_away(link);
		r = link_turn(link, NULL, 0, 0, NULL);
		if (r < 0 || !has_words(link) || clock_boot_ms() >= end_ms)
			break;
		poll(&ready, 1, (int)(end_ms - clock_boot_ms()));
	}
	if (r == 0 && link->ssl != NULL)
		SSL_shutdown(link->ssl);
	shutdown(link->fd, SHUT_WR);
	/* closing with octets unread would make the kernel tear up what we said last */
	while (r == 0 && clock_boot_ms() < end_ms) {
		struct pollfd ready = { .fd = link->fd, .events = POLLIN };

		poll(&ready, 1, (int)(end_ms - clock_boot_ms()));
		r = read_some(link, NULL);
	}
}
