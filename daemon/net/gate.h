/*
 * gate.h - how many connections stand, in all and from each address.
 *
 * Conns hold a place for as long as their descriptor is open; they may outlive the listener, so the
 * gate is counted by reference. An IPv6 address counts by its first 64 bits, since its holder has
 * all of them; an IPv4 address that came through a socket of both families is one. Thread: loop.
 */
#pragma once
#include <sys/socket.h>

#include "proto/err.h"

struct gate;
struct place;

struct gate *gate_new(void); /* NULL: no memory */
void gate_free(struct gate **gate);
/* returns 0 and a place; NX_ETOOMANY, NX_EADDRESS, NX_ENOMEM */
int gate_enter(struct gate *gate, const struct sockaddr *from, unsigned max,
	       unsigned max_per_address, struct place **ret);
void gate_leave(struct place **place);
/* a handshake of this address begins, unless so many are in flight; and ends */
bool gate_shake(struct place *place, unsigned max_per_address);
void gate_shaken(struct place *place);
unsigned gate_count(const struct gate *gate);
/* "192.0.2.7:50412", "[::1]:50412" */
void gate_address_text(const struct sockaddr *from, char *to, size_t size);
