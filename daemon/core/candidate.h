/*
 * candidate.h - may this item be taken? Rights, ceilings, envelope, document: refuses, and changes
 * nothing of the exchange (but the partner's minute, when all else is well).
 */
#pragma once
#include "core/exchange.h"
#include "news/story.h"
#include "proto/envelope.h"

struct candidate {
	struct exchange *exchange;
	struct partner *partner;
	struct item_head head;
	const uint8_t *octets;    /* envelope, then document; only for candidate_check() */
	struct envelope envelope; /* filled by candidate_check(): origin and channel stand in it
				     whatever came */
	struct story story;
};

/* what the head alone tells: 0, NX_ENOTALLOWED, NX_EBIGENV, NX_EBIGDOC, NX_EBUSY, NX_ESHUTDOWN */
int candidate_check_head(const struct candidate *candidate);
/* the whole item; partner->conf is there. returns 0 or what envelope_read() and story_read()
 * return, NX_ENOTORIGIN, NX_ECHANNEL, NX_ENOTALLOWED, NX_EBIGPART, NX_EPARTMISSING, NX_ERATE */
int candidate_check(struct candidate *candidate, struct why *why);
void candidate_done(struct candidate *candidate);
