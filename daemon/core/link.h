/*
 * link.h - one connection as the rest of core sees it: a conn, its session, its partner, and what
 * hangs on it.
 *
 * peer.c owns it; inbound, pull, outbound and serve hang their things on it and take them off again
 * in their own ..._link_over().
 */
#pragma once
#include "core/exchange.h"
#include "proto/session.h"

struct inbound;
struct delivery;

struct link {
	struct exchange *exchange;
	struct conn *conn;
	struct session *session;
	struct partner *partner;
	uint64_t number; /* for the log */
	bool over;       /* nothing is sent any more */
	/* inbound */
	struct map inbounds; /* by transmit id */
	bool active;         /* has handed over an item: credit is raised */
	/* pull */
	struct map handles;      /* our NEEDs, by handle */
	struct pull *needs_wait; /* pulls that wait for one of 16 */
	int64_t data_in_ms;      /* when DATA last moved, boot; towards us */
	/* outbound */
	struct claim *claims;
	unsigned claims_n;
	uint32_t claim_number;            /* the last given */
	unsigned turn;                    /* whose turn among claims */
	struct map deliveries;            /* by transmit id */
	struct delivery *oldest, *newest; /* in the order sent */
	struct map given;                 /* parts of open deliveries, by hash */
	int64_t data_out_ms;
	/* serve */
	struct map serves; /* the peer's NEEDs, by handle */
	uint64_t in_items, out_items;
	int64_t round_trip_ms, clock_diff_ms;
};

void link_init(struct link *link);
void link_done(struct link *link);
/* something can be said: ask for output at the end of this turn */
void link_want(struct link *link);
/* routine credit as the rules in force and the store allow it: a first one for who may publish;
 * more once the link is active, but not while the writer is behind or the store nearly full */
void link_credit(struct link *link);
