/*
 * kept.h - listening sockets that systemd keeps for us, so that over a kill or a restart nobody who
 * connects is refused.
 *
 * What we were started with (LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES: our own of the life before, or
 * those of a socket unit) is known by its bound address. A new one is handed to systemd's file
 * descriptor store as listener-N. Knows nothing of TLS. Thread: loop.
 */
#pragma once
#include <sys/socket.h>

#include "proto/err.h"

struct kept;

/* what this process was started with; nothing is well too. returns 0, NX_ENOMEM */
int kept_take(struct kept **ret);
/* the listening socket bound to that address, the caller's now; port 0: any port. -1: none */
int kept_find(struct kept *kept, const struct sockaddr *wanted);
/* that address is in use. returns 1: by one of our own that nobody has asked for (all addresses
 * where it is now one of them, or the other way round), which no longer listens; NX_ECONF: by one
 * of a socket unit, which why names; 0: by neither */
int kept_make_way(struct kept *kept, const struct sockaddr *wanted, struct why *why);
/* a socket that is new: into the store, under a name that nothing has */
void kept_add(struct kept *kept, int fd);
/* those that nobody asked for are closed, and leave the store; one of a socket unit cannot, so that
 * who connects to it would hang: NX_ECONF, and why names its address */
int kept_drop_rest(struct kept *kept, struct why *why);
void kept_free(struct kept **kept);
