/*
 * hub_priv.h - the whole daemon's state, for hub.c (life, time, signals), guests.c (who comes and
 * goes) and configured.c (the configuration and its reload).
 */
#pragma once
#include "core/exchange.h"
#include "core/hub.h"
#include "core/peer.h"
#include "core/watchdog.h"
#include "net/listen.h"

struct hub {
	struct exchange exchange;
	struct conf *conf;
	struct loop *loop;
	struct tls *tls;
	struct listen *listen;
	uint32_t absent; /* which of its addresses are none of this machine's yet */
	struct wake *wake;
	struct timer *tick, *last;
	struct watchdog *watchdog;
	struct signal_ *signals[4];
	struct peer **peers, **dead; /* dead: closed in this second, freed at the next tick */
	unsigned peers_n, peers_cap, dead_n, dead_cap;
	bool asks_stuck; /* what the operator left cannot be taken, and that was told */
	unsigned ticks;
	uint64_t reported; /* sum of counters at the last report */
	int status;
	/* a definition on its way to the store: the first, or a reload's */
	struct store_define define;
	struct conf *conf_next;
	struct tls *tls_next;
	bool defining, reload_again; /* a reload was asked for meanwhile */
	bool asking_again; /* those who are in: their own link does not count against them */
};

/* ends the run with this exit status */
static inline void hub_fail(struct hub *hub, int status)
{
	hub->status = status;
	loop_stop(hub->loop);
}

/* guests.c */
/* may this machine's clock be believed? before anything that acts upon a certificate's time */
void hub_look_clock(struct hub *hub);
int hub_admit(void *arg, const struct tls_peer *peer, void **ret_partner); /* a tls_admit_fn */
void hub_opened(void *arg, struct conn *conn);                             /* of listen_ops */
void hub_refused(void *arg, const char *address, int code, const char *words,
		 const struct tls_peer *peer);
/* ask the rules in force again for one that is in, or nearly so. returns 0, or why it is not
 * entitled to its partner any more */
int hub_admit_again(struct hub *hub, struct conn *conn);
void hub_bury(struct hub *hub); /* frees the peers that were closed; no caller up the stack may look
				   at one */

/* configured.c */
int hub_define(struct hub *hub,
	       const struct conf *conf); /* to the store; listening or the swap follows */
/* reads the file again, one at a time; a bad one changes nothing. The log says how it went */
void hub_reload(struct hub *hub);
void hub_look_absent(struct hub *hub);                  /* has one of them come? */
void hub_close_ended(struct hub *hub, int64_t wall_ms); /* those whose certificate is over */
void hub_forget(struct hub *hub, const char *name);
