/*
 * serve.h - the peer's NEEDs: octets of parts of items that are open on its link, read ahead from
 * the store.
 *
 * Two blocks of 64 KiB a handle at most; read only when the line has asked for the octets before.
 */
#pragma once
#include "core/link.h"

/* the right has been checked: part is one of a delivery (id) that is open on this link. A known
 * handle asks for more of the same. returns 0 or NX_ENOMEM */
int serve_open(struct link *link, const struct need *need, const struct store_part *part,
	       uint64_t id, bool flash);
/* session's source: as session_source.part */
int serve_part(struct link *link, uint64_t handle, uint64_t offset, uint8_t *to, size_t n);
void serve_stop(struct link *link, uint64_t handle);
/* its item is answered: what is still asked goes on for another item that is open here and has the
 * same part (heir() tells its id, 0 = there is none), else GONE */
typedef uint64_t serve_heir_fn(struct link *link, const uint8_t sha256[32]);
void serve_delivery_over(struct link *link, uint64_t id, serve_heir_fn *heir);
void serve_link_over(struct link *link);
