/*
 * conn_end.c - beneath the other files of a conn: what it tells its owner, what it puts off to the
 * end of the turn, and how it ends.
 */
#include <event2/event.h>

#include "net/conn_priv.h"

bool conn_tell(struct conn *conn, enum conn_event event)
{
	if (conn->fn != NULL)
		conn->fn(conn, event, conn->arg);
	return conn->state != CONN_CLOSED;
}

void conn_later(struct conn *conn)
{
	later_add(conn->loop, &conn->write_later, conn->write_now, conn);
}

void conn_read_again(struct conn *conn)
{
	later_add(conn->loop, &conn->read_later, conn->read_again, conn);
}

void conn_stop(struct conn *conn)
{
	event_del(&conn->readable);
	event_del(&conn->writable);
	event_del(&conn->deadline);
	later_drop(&conn->read_later);
	later_drop(&conn->write_later);
	conn->waiting = false;
}

void conn_end(struct conn *conn, enum conn_event last)
{
	conn_stop(conn);
	conn->state = CONN_DEAD;
	conn_tell(conn, last);
}

void conn_broke(struct conn *conn, int ssl_error, int sys)
{
	if (conn->state == CONN_SAID) {
		conn_end(conn, CONN_EOF);
		return;
	}
	tls_why(&conn->talk, ssl_error, sys, &conn->why);
	conn_end(conn, CONN_ERROR);
}
