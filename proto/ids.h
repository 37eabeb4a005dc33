/*
 * ids.h - private to proto: the transmit ids that wait for an answer, in a small hash table.
 *
 * Grows with what is open, not with how far the oldest lies behind. A slot is good until the next
 * add or remove.
 */
#pragma once
#include "proto/err.h"

#define ID_HALF      1 /* not all its octets are through */
#define ID_WITHDRAWN 2
#define ID_CUT       4 /* withdrawn while half-sent: never whole */

struct id_slot {
	uint64_t id; /* from 1; 0 = empty */
	uint32_t octets;
	uint8_t lane, flags;
};
struct ids {
	struct id_slot *slots;
	size_t cap, n; /* cap is a power of two, at most half full */
};
int ids_reserve(struct ids *ids); /* room for one more: 0 or NX_ENOMEM */
struct id_slot *ids_add(struct ids *ids,
			uint64_t id); /* after ids_reserve(); an id that is not there */
struct id_slot *ids_find(const struct ids *ids, uint64_t id);
void ids_remove(struct ids *ids, struct id_slot *slot);
void ids_trim(struct ids *ids); /* give memory back when nothing is open */
