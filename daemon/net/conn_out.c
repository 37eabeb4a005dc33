/*
 * conn_out.c - octets out through OpenSSL, asked for just in time.
 *
 * What is being said stands in the loop's room; what the line does not take goes to conn->out.
 */
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "net/conn_priv.h"

struct saying {
	uint8_t *p;
	size_t start, end;
};

/* ask for what is next, behind what is not said yet. false: closed in there */
static bool gather(struct conn *conn, struct saying *say)
{
	int64_t now_ms = loop_now_ms(conn->loop);
	size_t small_max = rate_small_max(&conn->rate, now_ms);
	size_t batch = rate_batch(&conn->rate, now_ms);
	uint8_t *room = loop_out_room(conn->loop);

	memmove(room, say->p + say->start, say->end - say->start);
	say->end -= say->start;
	say->start = 0;
	say->p = room;
	if (conn->out != NULL) {
		free(conn->out);
		conn->out = NULL;
	}
	while (say->end < batch && conn->want) {
		/* room for the largest frame always, for a second one only while the batch is not
		 * full */
		size_t n = conn->produce
				   ? conn->produce(conn->arg, room + say->end,
						   CONN_FRAME - 1 + batch - say->end, small_max)
				   : 0;

		if (conn->state == CONN_CLOSED || conn->state == CONN_DEAD)
			return false;
		conn->want = n > 0;
		say->end += n;
	}
	return true;
}

static void wait_for_line(struct conn *conn)
{
	event_add(&conn->writable, NULL);
	if (!conn->waiting)
		conn->waiting_ms = loop_now_ms(conn->loop);
	conn->waiting = true;
}

/* one SSL_write(). returns octets; 0 the line is full; -1 broken, and told */
static int write_record(struct conn *conn, const struct saying *say)
{
	int n, error, sys;

	conn_before(conn);
	if (conn->talk.records_out >= conn->records_a_key && conn->again == 0) {
		SSL_key_update(conn->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		conn->talk.records_out = 0;
	}
	n = SSL_write(conn->ssl, say->p + say->start, (int)(say->end - say->start));
	sys = errno;
	if (n > 0) {
		conn->again = 0;
		conn->octets_out += (uint64_t)n;
		conn->waiting_ms = conn->talk.now_ms;
		return n;
	}
	error = SSL_get_error(conn->ssl, n);
	if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) {
		conn->again = say->end - say->start;
		conn->write_wants_read = error == SSL_ERROR_WANT_READ;
		if (!conn->write_wants_read)
			wait_for_line(conn);
		return 0;
	}
	conn_broke(conn, error, sys);
	return -1;
}

/* what is left waits in memory of the conn's own, exactly as large as it is */
static void keep(struct conn *conn, const struct saying *say)
{
	size_t left = say->end - say->start;

	if (say->p == conn->out && conn->out != NULL) {
		conn->out_start = say->start;
		return;
	}
	if (left == 0)
		return;
	conn->out = malloc(left);
	if (conn->out == NULL) {
		why_set(&conn->why, NX_ENOMEM, "out of memory");
		conn_end(conn, CONN_ERROR);
		return;
	}
	assert(say->p != NULL);
	memcpy(conn->out, say->p + say->start, left);
	conn->out_start = 0;
	conn->out_end = left;
}

static void run_dry(struct conn *conn)
{
	free(conn->out);
	conn->out = NULL;
	conn->waiting = false;
	rate_dry(&conn->rate);
	if (conn->state == CONN_FINISHING)
		conn_say_end(conn);
}

/* say until the line is full, the turn is over, or nothing is left (returns true) */
static bool say_on(struct conn *conn, struct saying *say, bool slow)
{
	for (;;) {
		size_t left = say->end - say->start;
		int n;

		/* fill up to whole records; on a slow line only when all before it is gone */
		if (conn->want && left < (slow ? 1 : CONN_RECORD) && !gather(conn, say))
			return false;
		if (say->end == say->start)
			return true;
		n = write_record(conn, say);
		if (n <= 0)
			return false;
		say->start += (size_t)n;
		conn->turn_out += (size_t)n;
		if (slow && say->start == say->end && conn->want) {
			wait_for_line(conn); /* the kernel asks when its queue is short again */
			return false;
		}
		if (conn->turn_out >= CONN_TURN_OCTETS) {
			conn_later(conn);
			return false;
		}
	}
}

void conn_write(struct conn *conn)
{
	struct saying say = { .p = conn->out, .start = conn->out_start, .end = conn->out_end };
	int64_t now_ms = loop_now_ms(conn->loop);

	if (conn->state != CONN_OPEN && conn->state != CONN_FINISHING)
		return;
	conn_count_turn(conn);
	if (conn->turn_out >= CONN_TURN_OCTETS) {
		conn_later(conn); /* others first */
		return;
	}
	if (conn->out == NULL)
		say = (struct saying){ .p = loop_out_room(conn->loop) };
	event_del(&conn->writable);
	conn->waiting = false;
	conn->write_wants_read = false;
	if (conn->read_wants_write)
		event_add(&conn->writable, NULL);
	if (say_on(conn, &say, rate_slow(&conn->rate, now_ms))) {
		run_dry(conn);
		return;
	}
	if (conn->state == CONN_OPEN || conn->state == CONN_FINISHING) {
		keep(conn, &say);
		rate_busy(&conn->rate, conn->fd, now_ms);
	}
}

void conn_say_end(struct conn *conn)
{
	int r, error;

	conn_before(conn);
	r = SSL_shutdown(conn->ssl);
	error = r < 0 ? SSL_get_error(conn->ssl, r) : 0;
	ERR_clear_error();
	if (error == SSL_ERROR_WANT_WRITE) {
		wait_for_line(conn); /* conn_write() finds nothing to say and comes back here */
		return;
	}
	shutdown(conn->fd, SHUT_WR);
	conn->state = CONN_SAID;
	if (conn->told_eof || error != 0)
		conn_end(conn, CONN_EOF);
	else
		conn_read_again(conn);
}
