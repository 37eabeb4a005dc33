/*
 * conn_priv.h - the inside of a conn, for conn.c (its life), conn_tls.c (octets in and out) and
 * listen.c (which makes it).
 */
#pragma once
#include <event2/event_struct.h>

#include "net/conn.h"
#include "net/gate.h"
#include "net/loop_priv.h"
#include "net/rate.h"
#include "net/tls_priv.h"

enum conn_state {
	CONN_SHAKING,   /* handshake */
	CONN_OPEN,      /* both directions live */
	CONN_FINISHING, /* conn_finish(): output is being said to its end */
	CONN_SAID,      /* all is said and shut down; the peer's end is awaited */
	CONN_LEAVING,   /* refused: its alert is on the way, nobody owns it; frees itself */
	CONN_DEAD,      /* the last event is told; waits for conn_close() */
	CONN_CLOSED,    /* memory goes at the end of the turn */
};

/* listen.c's part while the conn is in its handshake. done: code 0, or why it was refused
 * (conn->why) */
struct conn_shake {
	void (*done)(void *arg, struct conn *conn, int code);
	bool (*may_step)(void *arg); /* false: too many steps in this turn */
	void *arg;
};

struct conn {
	struct loop *loop;
	enum conn_state state;
	int fd;
	SSL *ssl;
	struct tls *tls;
	struct tls_talk talk;
	struct conn_shake shake;
	struct place *place;
	struct event readable, writable, deadline;
	struct later read_later, write_later, free_later;
	loop_fn *read_again, *write_now; /* what conn_read_again() and conn_later() put off */
	conn_fn *fn;
	conn_produce_fn *produce;
	void *arg;

	uint8_t *in; /* the loop's room while CONN_DATA is told, else our own or NULL */
	size_t in_start, in_end, in_cap; /* in_cap 0: not our own */
	uint8_t *out;                    /* what OpenSSL did not take yet, or NULL */
	size_t out_start, out_end;
	size_t again; /* octets that SSL_write() must be given again, the same and at least as many
		       */
	bool want;    /* produce() may have something */
	bool read_wants_write, write_wants_read;
	bool told_eof; /* the peer has said its end */
	bool rest;     /* conn_rest() */
	enum {
		IN_GOES_ON = 0,
		IN_EOF,
		IN_BROKE
	} in_over; /* found behind a rest, and told after it */

	/* what this turn of the loop has moved already, however often we were called in it. In: as
	 * they came on the line (talk), and where these stood when the turn began: a record may be
	 * all filling, and cost as much as any */
	uint64_t turn, turn_octets, turn_records;
	size_t turn_out;

	struct rate rate;
	bool waiting; /* output waits for the line, without progress since waiting_ms */
	int64_t waiting_ms;
	uint64_t waiting_acked;
	uint32_t records_a_key;
	uint64_t number, octets_in, octets_out;
	struct why why;
	char address[64];
};

#define CONN_TURN_OCTETS  (256u << 10)
#define CONN_TURN_RECORDS 16
#define CONN_IN_MAX       (256u << 10) /* kept for one who does not take; then we do not read */
#define CONN_RECORD       16384u
#define CONN_FRAME        (8u + 65536u) /* the largest frame that produce() may have to make */
#define CONN_LEAVE_MS     1000

/* takes fd and place over when it returns 0 (NX_ENOMEM otherwise); begins the handshake in this
 * turn */
int conn_begin(struct loop *loop, int fd, struct place **place, struct tls *tls,
	       const char *address, uint64_t number, const struct conn_shake *shake,
	       struct conn **ret);
/* listen said opened(): tell CONN_READY and read on */
void conn_opened(struct conn *conn);
/* listen said refused(): let the alert arrive, then go */
void conn_leave(struct conn *conn);

/* -- conn_tls.c and conn_out.c. Each may end in a callback that closes the conn */
void conn_shake(struct conn *conn);
void conn_read(struct conn *conn);
void conn_write(struct conn *conn);
void conn_say_end(struct conn *conn); /* CONN_FINISHING with nothing left: close_notify */
/* -- conn_end.c */
bool conn_tell(struct conn *conn, enum conn_event event); /* false: it was closed in there */
void conn_broke(struct conn *conn, int ssl_error, int sys);
void conn_end(struct conn *conn, enum conn_event last); /* no more events after this one */
void conn_stop(struct conn *conn);                      /* nothing wakes it any more */
void conn_later(struct conn *conn);                     /* conn_write() at the end of the turn */
void conn_read_again(struct conn *conn);                /* conn_read() too */
/* -- conn_tls.c */
void conn_before(struct conn *conn);     /* each call into OpenSSL */
void conn_count_turn(struct conn *conn); /* is it a new turn? then its counts begin at 0 */
