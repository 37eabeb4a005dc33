/*
 * claim_priv.h - what claim.c (a claim's life) and claim_feed.c (what goes out next) share.
 */
#pragma once
#include "core/claim.h"

/* claim.c */
void claim_free(struct claim *claim);  /* when it is over and no request is out */
void claim_ready(struct claim *claim); /* the session asks again, in each class */
void claim_queue_drop(struct claim *claim, struct cursor *cursor);
/* by rule, without an answer: hot NULL for positions that did not match */
void claim_settle(struct claim *claim, enum settle_how how, uint64_t first, const struct hot *hot,
		  uint64_t last);
/* what did not match since skip_first is settled without a receipt */
void claim_skip_flush(struct claim *claim);
