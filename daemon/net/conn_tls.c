/*
 * conn_tls.c - the handshake, and octets in through OpenSSL, on plain sockets and events. Out:
 * conn_out.c.
 *
 * The rules that OpenSSL makes: its error queue is emptied before each call; reading may have to
 * wait for writing and the other way round; a write that it could not finish is repeated with the
 * same octets, at least as many; with read-ahead it may hold records while the descriptor is quiet,
 * so we read until it truly lacks octets.
 */
#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "net/conn_priv.h"

void conn_before(struct conn *conn)
{
	ERR_clear_error();
	conn->talk.now_ms = loop_now_ms(conn->loop);
	errno = 0;
}

void conn_count_turn(struct conn *conn)
{
	if (conn->turn == loop_turn(conn->loop))
		return;
	conn->turn = loop_turn(conn->loop);
	conn->turn_out = 0;
	conn->turn_octets = conn->talk.octets_in;
	conn->turn_records = conn->talk.records_in;
}

static bool turn_over(const struct conn *conn)
{
	return conn->talk.octets_in - conn->turn_octets >= CONN_TURN_OCTETS ||
	       conn->talk.records_in - conn->turn_records >= CONN_TURN_RECORDS;
}

/* -- handshake */

static void shaken(struct conn *conn, int code)
{
	if (code == NX_ETLS)
		code = conn->why.code = NX_EHANDSHAKE;
	conn->shake.done(conn->shake.arg, conn, code);
}

void conn_shake(struct conn *conn)
{
	int r, error, sys;

	if (conn->state != CONN_SHAKING)
		return;
	if (!conn->shake.may_step(conn->shake.arg)) {
		conn_read_again(conn);
		return;
	}
	conn_before(conn);
	r = SSL_do_handshake(conn->ssl);
	sys = errno;
	error = SSL_get_error(conn->ssl, r);
	if (error == SSL_ERROR_WANT_WRITE)
		event_add(&conn->writable, NULL);
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return;
	if (r != 1 || conn->talk.refused < 0) {
		shaken(conn, tls_why(&conn->talk, error, sys, &conn->why));
		return;
	}
	conn->state = CONN_OPEN;
	conn->talk.empty = 0;
	shaken(conn, 0);
}

/* -- input */

/* one record's octets to `to`. returns octets; 0 nothing now; -1 the conn came to an end (*ret_eof:
 * a proper one) */
static int read_record(struct conn *conn, uint8_t *to, size_t room, bool *ret_eof)
{
	for (;;) {
		uint64_t records = conn->talk.records_in;
		int n, error, sys;

		conn_before(conn);
		n = SSL_read(conn->ssl, to, (int)room);
		sys = errno;
		if (n > 0 && !conn->talk.flood) {
			conn->talk.empty = 0;
			return n;
		}
		error = n > 0 ? SSL_ERROR_NONE : SSL_get_error(conn->ssl, n);
		if (error == SSL_ERROR_WANT_WRITE && !conn->talk.flood) {
			conn->read_wants_write = true;
			event_add(&conn->writable, NULL);
			return 0;
		}
		if (error == SSL_ERROR_WANT_READ && !conn->talk.flood) {
			/* a record was there but had no octets for us: there may be more behind it
			 */
			if (conn->talk.records_in != records)
				continue;
			return 0;
		}
		if (error == SSL_ERROR_ZERO_RETURN && !conn->talk.flood)
			*ret_eof = true;
		else
			tls_why(&conn->talk, error, sys, &conn->why);
		return -1;
	}
}

/* room behind what is kept, or the loop's when nothing is */
static uint8_t *in_room(struct conn *conn, size_t *ret_room)
{
	size_t kept = conn->in_end - conn->in_start;
	size_t cap = conn->in_cap ? conn->in_cap : 1;
	uint8_t *grown;

	if (conn->in == NULL) {
		conn->in_start = conn->in_end = 0;
		*ret_room = LOOP_IN_ROOM;
		return loop_in_room(conn->loop);
	}
	if (conn->in_cap - conn->in_end < CONN_RECORD && conn->in_start > 0) {
		memmove(conn->in, conn->in + conn->in_start, kept);
		conn->in_start = 0;
		conn->in_end = kept;
	}
	if (conn->in_cap - conn->in_end < CONN_RECORD) {
		while (cap < kept + CONN_RECORD)
			cap *= 2;
		grown = realloc(conn->in, cap);
		if (grown == NULL)
			return NULL;
		conn->in = grown;
		conn->in_cap = cap;
	}
	*ret_room = conn->in_cap - conn->in_end;
	return conn->in + conn->in_end;
}

/* tell CONN_DATA; what is not taken is kept in memory of the conn's own. false: closed or broken */
static bool tell_data(struct conn *conn)
{
	uint8_t *own;
	size_t kept;

	conn->rest = false;
	if (!conn_tell(conn, CONN_DATA)) {
		if (conn->in_cap == 0)
			conn->in = NULL;
		return false;
	}
	kept = conn->in_end - conn->in_start;
	if (kept > 0 && conn->in_cap > 0)
		return true;
	own = NULL;
	if (kept > 0) {
		own = malloc(kept);
		if (own == NULL) {
			conn->in = NULL;
			conn->in_start = conn->in_end = 0;
			why_set(&conn->why, NX_ENOMEM, "out of memory");
			conn_end(conn, CONN_ERROR);
			return false;
		}
		memcpy(own, conn->in + conn->in_start, kept);
	} else if (conn->in_cap > 0) {
		free(conn->in);
	}
	conn->in = own;
	conn->in_start = 0;
	conn->in_end = conn->in_cap = kept;
	return true;
}

static bool got_octets(struct conn *conn, uint8_t *at, size_t n)
{
	if (conn->in == NULL)
		conn->in = at;
	conn->in_end += n;
	conn->octets_in += n;
	return tell_data(conn);
}

void conn_rest(struct conn *conn)
{
	conn->rest = true;
}

static void input_ended(struct conn *conn, bool eof)
{
	if (conn->state == CONN_SAID || !eof) {
		/* a broken end is no matter when all was said */
		conn_end(conn, conn->state == CONN_SAID ? CONN_EOF : CONN_ERROR);
		return;
	}
	conn->told_eof = true;
	event_del(&conn->readable);
	if (conn->state == CONN_FINISHING)
		return; /* its own end is told when all is said */
	why_set(&conn->why, NX_EEOF, "the peer closed");
	conn_tell(conn, CONN_EOF);
}

void conn_read(struct conn *conn)
{
	size_t room, got;
	bool eof = false;
	int n = 1;

	conn_count_turn(conn);
	conn->read_wants_write = false;
	if (conn->rest && !tell_data(conn))
		return;
	if (conn->in_over != IN_GOES_ON)
		n = -1;
	while (n > 0 && !conn->rest) {
		uint8_t *at;

		if (conn->state < CONN_OPEN || conn->state > CONN_SAID || conn->told_eof)
			return;
		if (conn->in_end - conn->in_start >= CONN_IN_MAX) {
			event_del(&conn->readable);
			return;
		}
		if (turn_over(conn)) {
			conn_read_again(conn);
			return;
		}
		at = in_room(conn, &room);
		if (at == NULL) {
			why_set(&conn->why, NX_ENOMEM, "out of memory");
			conn_end(conn, CONN_ERROR);
			return;
		}
		for (got = 0; room - got >= CONN_RECORD && !turn_over(conn); got += (size_t)n) {
			n = read_record(conn, at + got, room - got, &eof);
			if (n <= 0)
				break;
		}
		if (got > 0 && !got_octets(conn, at, got))
			return;
	}
	if (n < 0 && conn->in_over == IN_GOES_ON)
		conn->in_over = eof ? IN_EOF : IN_BROKE;
	if (conn->rest)
		conn_read_again(conn);
	else if (n < 0 && conn->state >= CONN_OPEN && conn->state <= CONN_SAID)
		input_ended(conn, conn->in_over == IN_EOF);
}
