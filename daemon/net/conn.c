/*
 * conn.c - the life of a conn: made, told, finished, closed. Octets move in conn_tls.c.
 *
 * SIGPIPE has to be ignored by the program: OpenSSL writes with write(2).
 */
#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/conn_priv.h"

/* -- what libevent and the end of the turn tell us */

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;
	char thrown[4096];

	(void)what;
	if (conn->state == CONN_LEAVING) {
		ssize_t n = read(fd, thrown, sizeof(thrown));

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			conn_close(&conn);
		return;
	}
	if (conn->state == CONN_SHAKING) {
		conn_shake(conn);
		return;
	}
	conn_read(conn);
	if (conn->write_wants_read)
		conn_write(conn);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd, (void)what;
	if (conn->state == CONN_SHAKING) {
		conn_shake(conn);
		return;
	}
	if (conn->read_wants_write)
		conn_read(conn);
	conn_write(conn);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct conn *conn = arg;

	(void)fd, (void)what;
	if (conn->state == CONN_LEAVING) {
		conn_close(&conn);
	} else if (conn->state == CONN_SAID) {
		conn_end(conn, CONN_EOF); /* all was said; that the peer does not hang up is its own
					     affair */
	} else if (conn->state == CONN_FINISHING) {
		why_set(&conn->why, NX_ESTALL, "the peer did not read the rest in time");
		conn_end(conn, CONN_ERROR);
	}
}

static void read_again(void *arg)
{
	struct conn *conn = arg;

	if (conn->state == CONN_SHAKING)
		conn_shake(conn);
	else
		conn_read(conn);
}

static void write_now(void *arg)
{
	conn_write(arg);
}

/* -- begin */

int conn_begin(struct loop *loop, int fd, struct place **place, struct tls *tls,
	       const char *address, uint64_t number, const struct conn_shake *shake,
	       struct conn **ret)
{
	struct conn *conn = calloc(1, sizeof(*conn));
	struct event_base *base = loop_base(loop);

	if (conn == NULL)
		return NX_ENOMEM;
	conn->ssl = tls_begin(tls, fd, &conn->talk);
	if (conn->ssl == NULL)
		goto fail;
	conn->loop = loop;
	conn->fd = fd;
	conn->shake = *shake;
	conn->write_now = write_now;
	conn->read_again = read_again;
	conn->number = number;
	conn->records_a_key = RECORDS_A_KEY;
	snprintf(conn->address, sizeof(conn->address), "%s", address);
	event_assign(&conn->readable, base, fd, EV_READ | EV_PERSIST, on_readable, conn);
	event_assign(&conn->writable, base, fd, EV_WRITE, on_writable, conn);
	event_assign(&conn->deadline, base, -1, 0, on_deadline, conn);
	if (event_add(&conn->readable, NULL) < 0)
		goto fail;
	conn->tls = tls_ref(tls);
	conn->place = *place;
	*place = NULL;
	rate_open(&conn->rate, fd);
	*ret = conn;
	return 0;
fail:
	SSL_free(conn->ssl);
	free(conn);
	return NX_ENOMEM;
}

void conn_opened(struct conn *conn)
{
	if (conn->state != CONN_OPEN || !conn_tell(conn, CONN_READY))
		return;
	conn_read_again(conn); /* OpenSSL may hold octets that came with the handshake */
}

void conn_handlers(struct conn *conn, conn_fn *fn, conn_produce_fn *produce, void *arg)
{
	conn->fn = fn;
	conn->produce = produce;
	conn->arg = arg;
}

/* -- input */

struct slice conn_peek(const struct conn *conn)
{
	return slice_of(conn->in ? conn->in + conn->in_start : NULL, conn->in_end - conn->in_start);
}

void conn_take(struct conn *conn, size_t n)
{
	bool full = conn->in_end - conn->in_start >= CONN_IN_MAX;

	conn->in_start += n;
	if (!full || conn->state == CONN_DEAD || conn->state == CONN_CLOSED)
		return;
	event_add(&conn->readable, NULL);
	conn_read_again(conn);
}

/* -- output */

void conn_want(struct conn *conn)
{
	conn->want = true;
	if (conn->state != CONN_OPEN && conn->state != CONN_FINISHING)
		return;
	/* if the line is full, it is asked when it has room */
	if (!conn->waiting && !conn->write_wants_read)
		conn_later(conn);
}

int64_t conn_stalled_ms(const struct conn *conn)
{
	struct conn *own = (struct conn *)conn; /* only remembers what it saw */
	int64_t now_ms = loop_now_ms(own->loop);
	struct rate_line line;

	if (!conn->waiting || conn->state > CONN_FINISHING)
		return 0;
	if (rate_ask(conn->fd, &line) && line.acked != conn->waiting_acked) {
		own->waiting_acked = line.acked;
		own->waiting_ms = now_ms;
	}
	return now_ms - conn->waiting_ms;
}

/* -- the end */

static void close_unowned(void *arg)
{
	struct conn *conn = arg;

	conn_close(&conn);
}

static void wait_ms(struct event *event, int64_t ms)
{
	event_add(event, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

void conn_finish(struct conn *conn, int64_t within_ms)
{
	if (conn->state != CONN_OPEN)
		return;
	conn->state = CONN_FINISHING;
	wait_ms(&conn->deadline, within_ms < 0 ? 0 : within_ms);
	conn_want(conn);
}

void conn_leave(struct conn *conn)
{
	conn_stop(conn);
	conn->state = CONN_LEAVING;
	SSL_free(conn->ssl);
	conn->ssl = NULL;
	/* closing with octets unread would send a reset, which overtakes the alert that says why */
	shutdown(conn->fd, SHUT_WR);
	event_add(&conn->readable, NULL);
	wait_ms(&conn->deadline, CONN_LEAVE_MS);
	later_at_free(conn->loop, &conn->free_later, close_unowned, conn);
}

static void conn_free(void *arg)
{
	struct conn *conn = arg;

	SSL_free(conn->ssl);
	tls_free(&conn->tls);
	if (conn->in_cap > 0)
		free(conn->in);
	free(conn->out);
	rate_dry(&conn->rate);
	free(conn);
}

void conn_close(struct conn **ret_conn)
{
	struct conn *conn = *ret_conn;

	*ret_conn = NULL;
	if (conn == NULL || conn->state == CONN_CLOSED)
		return;
	conn_stop(conn);
	/* a proper end if it can be had at once: not in the middle of a record */
	if (conn->state == CONN_OPEN && conn->again == 0 && !conn->talk.flood) {
		ERR_clear_error();
		SSL_shutdown(conn->ssl);
		ERR_clear_error();
	}
	conn->state = CONN_CLOSED;
	close(conn->fd);
	gate_leave(&conn->place);
	later_drop(&conn->free_later);
	later_add(conn->loop, &conn->free_later, conn_free, conn);
}

/* -- who is it */

void *conn_partner(const struct conn *conn)
{
	return conn->talk.partner;
}

const struct tls_peer *conn_peer(const struct conn *conn)
{
	return &conn->talk.peer;
}

const char *conn_address(const struct conn *conn)
{
	return conn->address;
}

uint64_t conn_number(const struct conn *conn)
{
	return conn->number;
}

const struct why *conn_reason(const struct conn *conn)
{
	return &conn->why;
}

uint64_t conn_rate(const struct conn *conn)
{
	return conn->rate.rate;
}

uint64_t conn_octets_in(const struct conn *conn)
{
	return conn->octets_in;
}

uint64_t conn_octets_out(const struct conn *conn)
{
	return conn->octets_out;
}

bool conn_admitted_by(const struct conn *conn, const struct tls *tls)
{
	return conn->tls == tls;
}

int conn_admit_again(struct conn *conn, struct tls *tls)
{
	struct tls *old = conn->tls;
	int r;

	/* the session keeps what the peer showed */
	r = tls_ask(tls, SSL_get0_peer_certificate(conn->ssl), SSL_get_peer_cert_chain(conn->ssl),
		    &conn->talk);
	conn->tls = tls_ref(tls);
	tls_free(&old);
	if (r < 0)
		why_set(&conn->why, r, "%s",
			r == conn->talk.judged.code ? conn->talk.judged.words : "");
	return r;
}
