/*
 * receipt.h - the making of receipts: for items.c (after a commit) and the door (to free them)
 * alone.
 */
#pragma once
#include "store/store.h"

struct receipt {
	uint64_t sequence, position;
	int64_t stored_ms;
	enum result result;
	bool follows;
	/* until the commit it is a draft, known to items.c and put.c only */
	struct store_put *put;
	struct receipt *next;
};
