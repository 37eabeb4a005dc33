/*
 * conn.h - one TLS stream to one proven partner.
 *
 * Hides sockets, libevent and OpenSSL. Knows nothing of frames or stories.
 *
 * Output is pulled just in time: when the line has room, produce() is asked for the next octets;
 * nothing but what OpenSSL has in hand and at most one batch waits here, so that a flash never
 * stands behind a queue of our own. TCP_NOTSENT_LOWAT keeps the kernel's queue short; the line's
 * rate is measured (TCP_INFO) and says how large a frame may be (about 30 ms of the line).
 *
 * Life: struct conn comes ready from listen.h (CONN_READY is its first event); who has it calls
 * conn_close() in the end, always, also after CONN_EOF and CONN_ERROR. No event comes after
 * conn_close(); the memory goes at the end of that turn of the loop, so a callback may close the
 * very conn it was given.
 *
 * The program has to ignore SIGPIPE: OpenSSL writes with write(2). Thread: loop.
 */
#pragma once
#include "net/loop.h"
#include "net/tls.h"

struct conn;
enum conn_event {
	CONN_READY, /* handshake done; conn_partner() is proven */
	CONN_DATA,  /* octets: conn_peek(); take them with conn_take(). At most 256 KiB a turn, then
		       others */
	CONN_EOF, /* the peer closed: a proper TLS end (code NX_EEOF). What we say still reaches it:
		     conn_finish() for that, else conn_close() */
	CONN_ERROR, /* it broke: conn_reason() has code and words (NX_EEOF gone without a proper
		       end, NX_ETLS, NX_EKEYUPDATE, NX_ESTALL from conn_finish(), NX_ENOMEM) */
};
typedef void conn_fn(struct conn *conn, enum conn_event event, void *arg);
/* make the next octets at `to`: whole frames, none larger than small_max where that can be chosen;
 * 0 = nothing now (conn_want() will be called when there is). room is always enough for a frame of
 * 8 + 65,536 octets, and says how much is wanted: make frames for as long as the largest one would
 * still fit. On a slow line that is one frame a call. It may conn_close() the conn. */
typedef size_t conn_produce_fn(void *arg, uint8_t *to, size_t room, size_t small_max);

void conn_handlers(struct conn *conn, conn_fn *fn, conn_produce_fn *produce, void *arg);
struct slice conn_peek(const struct conn *conn);
/* what is not taken is kept, up to 256 KiB; then nothing is read until some of it is taken */
void conn_take(struct conn *conn, size_t n);
/* what is not taken now is told again in the next turn; nothing is read before it is taken */
void conn_rest(struct conn *conn);
/* there is something to say: produce() will be asked in this or the next turn */
void conn_want(struct conn *conn);
/* the peer has not read for this long while output waits; 0 when none waits. For the stall rule */
int64_t conn_stalled_ms(const struct conn *conn);
/* say all that is pending (produce() is asked until it gives 0), shut down, wait for the peer's
 * end; bounded by within_ms. CONN_DATA still comes. Then exactly one more of CONN_EOF (all was
 * said) or CONN_ERROR (NX_ESTALL: not all was) comes, and conn_close() is to be called. */
void conn_finish(struct conn *conn, int64_t within_ms);
void conn_close(struct conn **conn);

void *conn_partner(const struct conn *conn); /* what admit() gave */
const struct tls_peer *conn_peer(const struct conn *conn);
const char *conn_address(const struct conn *conn); /* "192.0.2.7:50412", "[::1]:50412" */
uint64_t conn_number(const struct conn *conn);     /* rising, from 1, for the log */
const struct why *conn_reason(const struct conn *conn);
/* measured output, octets a second; 0 = not known yet */
uint64_t conn_rate(const struct conn *conn);
uint64_t conn_octets_in(const struct conn *conn);
uint64_t conn_octets_out(const struct conn *conn);
/* ask the new tls again for the certificate and chain this peer showed. returns 0 and the new
 * partner, or NX_E... (conn_reason() may have words) */
int conn_admit_again(struct conn *conn, struct tls *tls);
/* is it this tls whose rules let it in? */
bool conn_admitted_by(const struct conn *conn, const struct tls *tls);
