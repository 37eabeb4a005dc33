/*
 * subscriber.h - one run of newsxctl subscribe: what subscribe.c (the talk) and settle.c (items at
 * rest) share.
 */
#pragma once
#include "client/arrival.h"
#include "client/position.h"
#include "client/subscribe.h"

#define PUT_OFF_MAX 1024

struct subscriber {
	const struct subscribe_options *options;
	struct link *link;
	struct session *session;
	struct inbox inbox;
	struct fetches *fetches;
	struct position position;
	struct arrival *first; /* in the order in which they came */
	unsigned held;
	size_t held_octets;
	struct exec exec;
	struct arrival *running; /* whose command it is */
	int64_t exec_ms;         /* what a command takes, roughly */
	uint64_t settled;        /* acknowledged items */
	/* refused later and not acknowledged since, by their numbers at the exchange; those that
	 * have none, and those beyond the list, are only counted */
	uint64_t put_off[PUT_OFF_MAX];
	unsigned put_off_n, put_off_more;
	int64_t moved_ms, flushed_ms;
	bool claimed, ending; /* ending: take no more, answer what is here */
	bool over, hurried;
	int status;
};

/* the run is over with this exit status, unless it was over before */
void subscriber_end(struct subscriber *s, int status);

/* ---- settle.c */
/* a whole item; it is answered when its parts are here */
void settle_add(struct subscriber *s, struct arrival *arrival);
void settle_forget(struct subscriber *s, struct arrival *arrival);
/* REFUSE later, and the line; arrival may be NULL */
void settle_refuse(struct subscriber *s, struct arrival *arrival, uint64_t id, int code,
		   const char *words);
/* let folders appear, run commands, answer, ask for parts, give credit: all that can be done now */
void settle_work(struct subscriber *s);
/* the link is gone: the command that runs still has its time, so that it need not be run again */
void settle_await_command(struct subscriber *s);
