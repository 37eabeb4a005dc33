/*
 * pull.h - parts on their way in: one pull for a (partner, sha256) in the whole exchange, however
 * many items wait.
 *
 * A part counts as had only if this partner itself once sent it whole or we delivered it whole to
 * that partner (the store knows); else it is NEEDed whole, from a committed offset on, verified by
 * the store, and only then shares the stored copy. If the link that serves it dies, says that it
 * cannot or says nothing, another link of the partner that offered it continues; the partial stays
 * in any case.
 */
#pragma once
#include "core/link.h"

struct want; /* one item's wish for one part */
/* code 0: number is complete and leased to the taker; else why not, in words of the protocol */
typedef void pull_done_fn(void *arg, unsigned index, int code, enum nx_retry retry,
			  uint64_t number);

/* returns 0 (done() may be called only later) or NX_ENOMEM */
int pull_want(struct link *link, const uint8_t sha256[32], uint64_t size, bool flash,
	      unsigned index, pull_done_fn *done, void *arg, struct want **ret);
void pull_unwant(struct want **want); /* the item is over; done() is not called any more */

void pull_data(struct link *link, uint64_t handle, struct slice octets, bool done);
void pull_gone(struct link *link, uint64_t handle, const char *code);
/* each second: no octet for part-wait */
void pull_tick(struct exchange *exchange, int64_t now_ms);
void pull_link_over(struct link *link);
