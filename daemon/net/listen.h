/*
 * listen.h - accept, limits before and during the handshake, and a word for every connection
 * refused.
 *
 * The SSL object is made when the first octet is there, so that a silent socket costs a descriptor
 * and a few hundred octets; when all places are taken the one that is silent for longest gives up
 * its own. One address has a quarter of the handshakes; while all are taken, one that takes longer
 * than a second ends. An IPv6 address counts by its first 64 bits. A refused peer gets its
 * alert, and up to a second to read it; it counts as a connection until then. Neither callback may
 * call listen_close(). Thread: loop.
 */
#pragma once
#include "net/conn.h"

struct listen_limits {
	unsigned connections_max;         /* in all, handshakes included */
	unsigned connections_per_address; /* handshakes included */
	unsigned handshakes_max;          /* SSL objects in a handshake; more wait in the backlog */
	int64_t handshake_ms;             /* from accept to CONN_READY */
};
struct listen_ops {
	/* a proven partner: set conn_handlers(); CONN_READY follows */
	void (*opened)(void *arg, struct conn *conn);
	/* one that was not let in: code NX_ENOCERT, NX_EUNKNOWNKEY, NX_EALPN, NX_EEXPIRED,
	 * NX_ESLOW, NX_ETOOMANY, NX_EADDRESS, NX_EOLDTLS, NX_EHANDSHAKE, NX_EEOF; peer is NULL when
	 * no certificate was seen */
	void (*refused)(void *arg, const char *address, int code, const char *words,
			const struct tls_peer *peer);
};
struct listen;
/*
 * addresses "127.0.0.1:7417", "[::1]:0" ...; what systemd keeps or hands over is used where its
 * address fits, and systemd is asked to keep the others (kept.h). One that is no address of this
 * machine yet (at boot, one that moves between machines) is bound all the same: the kernel lets
 * guests in from the moment that it is one. Once in a process.
 * returns 0, NX_ECONF, NX_ESYS (why names the address)
 */
int listen_open(struct loop *loop, const char *const *addresses, unsigned n, struct tls *tls,
		const struct listen_limits *limits, const struct listen_ops *ops, void *arg,
		struct listen **ret, struct why *why);
void listen_close(struct listen **listen); /* handshakes in flight end too; live conns stay */
/* new handshakes use this tls (takes a reference of its own) and these limits */
void listen_reload(struct listen *listen, struct tls *tls, const struct listen_limits *limits);
/* the bound address of the i-th listener with its real port; NULL past the end */
const char *listen_address(const struct listen *listen, unsigned i);
/* looks again: is that address none of this machine's now? */
bool listen_absent(const struct listen *listen, unsigned i);
/* connections that stand: guests in their handshake, live conns, refused ones on their way out */
unsigned listen_connections(const struct listen *listen);
