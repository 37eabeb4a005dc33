/*
 * put.h - one PUT in hand: what the rules found out (rules.c), for those who store it (put.c).
 */
#pragma once
#include "store/items_priv.h"
#include "store/meta.h"

#define KILLS_KIND    "kills:"
#define KILLS_VERSION 1
#define KILLS_LEN     9

struct putting {
	struct items *items;
	struct txn *txn;
	struct store_put *put;
	struct receipt *draft;
	struct record record;
	struct identity_row seen;
	struct story_row story;
	bool story_known;
	uint64_t guess;      /* where in `fresh` the story may stand; 0 = nowhere */
	bool older;          /* than the newest version known */
	bool older_released; /* than the newest released one */
	uint32_t kills;      /* of this partner today, this one included */
};

/* fills record as far as the put tells; facts_packed is malloc'ed and the caller's */
int put_begin(struct putting *p);
/* 1: it is the duplicate of p->seen; 0: store it, record.state and held_until_ms are set; negative:
 * why it is refused. Changes nothing in the store */
int put_check(struct putting *p);
/* refused.c: words for a person beside the code of put_check(). returns the code */
int put_refused(const struct putting *p, int code, struct why *why);
int put_check_parts(const struct putting *p);
/* the row of meta: u8 version, u32 day, u32 kills of that day, checksum (meta.h) */
const char *kills_key(char key[32], uint32_t partner);
enum meta_state kills_state(struct slice key, struct slice value);
uint32_t utc_day(int64_t wall_ms);
