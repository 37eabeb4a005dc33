/*
 * peer.h - one connection's life: octets between conn and session, and each event of the session to
 * its room.
 *
 *   greeting --HELLO--> open --BYE of either side--> draining --answers flown, or 5 s--> closed
 */
#pragma once
#include "core/link.h"

struct peer;
typedef void peer_closed_fn(void *arg, struct peer *peer);

/* for listen_ops.opened: takes the conn. closed() is called once; peer_free() is then due, but not
 * before this turn of the loop is over, for callers up the stack still look at it. returns 0 or
 * NX_ENOMEM (the conn is closed then) */
int peer_new(struct exchange *exchange, struct conn *conn, peer_closed_fn *closed, void *arg,
	     struct peer **ret);
void peer_free(struct peer **peer);
struct link *peer_link(struct peer *peer);
/* each second; may close it */
void peer_tick(struct peer *peer, int64_t now_ms, int64_t wall_ms);
/* BYE, answers flow for bye_ms, then it is closed */
void peer_bye(struct peer *peer, int code, const char *words);
/* at once; the BYE goes out if the line takes it within two seconds, and only then closed() is
 * called */
void peer_close(struct peer *peer, int code, const char *words);
void peer_abandon(struct peer *peer); /* the daemon ends: no last words */
/* another live link of the same partner with another boot id? for node = yes */
typedef bool peer_twin_fn(void *arg, struct peer *peer, const struct hello *hello);
void peer_on_twin(struct peer *peer, peer_twin_fn *twin);
