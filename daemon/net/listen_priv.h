/*
 * listen_priv.h - the inside of a listener, for listen.c (its doors) and guest.c (who has come in
 * but is not proven).
 */
#pragma once
#include <event2/event_struct.h>

#include "net/conn_priv.h"
#include "net/listen.h"

struct guest {
	struct listen *listen;
	struct guest *prev, *next;
	struct guest *next_waiting; /* has spoken, waits for another handshake to end */
	struct conn *conn;          /* NULL while silent */
	struct place *place;
	int fd; /* -1 when it is the conn's */
	bool waiting;
	struct event event;         /* the first octet or the deadline; then the deadline alone */
	int64_t until_ms, begun_ms; /* of all; of its handshake */
	char address[64];
};

struct door {
	struct listen *listen;
	struct event event;
	int fd;
	bool fresh; /* no socket that was kept */
	char address[64];
};

struct listen {
	struct loop *loop;
	struct tls *tls;
	struct gate *gate;
	struct listen_limits limits;
	struct listen_ops ops;
	void *arg;
	struct guest *guests, *oldest; /* the newest first */
	struct guest *first_waiting, *last_waiting;
	unsigned handshakes;
	void (*let_in)(
		struct listen *listen); /* a handshake ended: the next one, and open the doors */
	uint64_t number;                /* of the last conn */
	uint64_t turn;
	unsigned steps; /* handshake steps in that turn */
	int spare;      /* a descriptor to give up when there are none: so that we can say no */
	bool open, closing;
	struct event pause;
	unsigned n;
	struct door doors[];
};

/* -- guest.c */
void guest_new(struct listen *listen, int fd, const struct sockaddr *from); /* takes fd */
void guest_refuse(struct guest *guest, int code, const char *words);
/* begin its handshake, unless those in flight or those of its address are as many as may be */
bool guest_shake(struct guest *guest);
