/*
 * claim.h - one subscription claimed on one link: what goes out next? (private to outbound.c and
 * claim.c)
 */
#pragma once
#include "core/link.h"

struct ready {               /* an item that may be sent now */
	struct hot *hot;     /* a reference of the taker's own */
	uint64_t skip_first; /* positions skip_first..position-1 did not match; = position when none
			      */
	unsigned attempts;
};
struct cursor {
	uint64_t next;       /* the position to look at next */
	struct ready *queue; /* fetched from the store, to be sent in order */
	unsigned n, at;
	struct store_fetch *fetching;
	bool stale; /* the cursor went back since: what that brings is not looked at */
	int failed; /* why the last one brought nothing: said once; 0 */
};
struct claim {
	struct claim *next; /* on the link */
	struct link *link;  /* NULL: over; lives on while requests are out */
	struct exchange *exchange;
	struct feed *feed;
	uint32_t number;      /* on the link */
	bool open;            /* SUBSCRIBED is said */
	uint64_t backlog_end; /* what stands at or below was there before the claim: only the store
				 knows it */
	struct cursor cursor[LANES];
	uint64_t skip_first; /* of the routine cursor: since here nothing matched; 0 = none */
	int64_t retry_at_ms; /* wall: something refused later may go again; INT64_MAX */
	unsigned requests;   /* out at the store */
	struct store_claim ask;
	struct store_owe_again again;
	int64_t asked_ms;
	struct subscribe said;
};

/* begin: the store is asked, then SUBSCRIBED is said. returns 0, NX_ENOMEM */
int claim_new(struct link *link, struct feed *feed, uint32_t number, const struct subscribe *said,
	      struct claim **ret);
/* off the link; freed when the store's answers are in */
void claim_end(struct claim **claim);
/* the next item of this class, or false (perhaps a fetch is under way: session_item_ready() will be
 * called) */
bool claim_next(struct claim *claim, enum session_class class, struct ready *ret);
void claim_tick(struct claim *claim, int64_t wall_ms);
/* look at the feed anew: rows may have come back, or gone */
void claim_rewind(struct claim *claim);
