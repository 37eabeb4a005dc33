/*
 * owed.h - what each subscription is still owed, and what became of the rest: rows of positions,
 * packed receipts.
 *
 * Private to the store room. An owed row is a run of positions with one filter generation; a
 * position that was refused later is a row of its own, with the time of its next try. Matching is
 * lazy: a row says nothing of channels. Receipts of a subscription are rows that never overlap,
 * positions rising, one entry a position; a kill's is a row of its own. Each function works inside
 * the caller's transaction and leaves errors in it.
 */
#pragma once
#include "store/items.h"

#define OWED_ROWS_MAX 10000
/*
 * OWE_AGAIN dirties at most so many leaves of owed: LMDB joins those with less than 21 rows, and
 * where a run puts one between each two, those that had 43 become two
 */
#define AGAIN_PAGES 512
#define AGAIN_ROWS  256 /* of receipts that a request may change; each may stand in its own leaf */
#define RECEIPT_ROW_MAX                                                                            \
	2000 /* octets: stays inside its leaf, so that a settling touches one page and not two */

struct owed_row {
	uint32_t subscription, generation;
	uint64_t first, last;  /* UINT64_MAX: the live tail */
	int64_t not_before_ms; /* wall */
	unsigned attempts;     /* > 0: refused later so many times; a single position */
};
/* false: damaged, or no row of owed */
bool owed_row(struct slice key, struct slice value, struct owed_row *ret);
/* the row that covers the position, or else the first one after it */
bool owed_at(struct cur *cur, uint32_t subscription, uint64_t position, struct owed_row *ret);
bool owed_next(struct cur *cur, uint32_t subscription, struct owed_row *ret);
void owed_put(struct txn *txn, const struct owed_row *row);
void owed_del(struct txn *txn, uint32_t subscription, uint64_t first);

typedef void owed_piece_fn(const struct owed_row *row, uint64_t first, uint64_t last, void *arg);
/* takes first..last out; fn (or NULL) is told each piece that was owed, positions rising, before
 * anything else happens to it */
void owed_cut(struct cur *cur, uint32_t subscription, uint64_t first, uint64_t last,
	      owed_piece_fn *fn, void *arg);
/* owes what of first..last is not owed yet; rows that stand keep their generation and retry state
 */
void owed_add(struct cur *cur, uint32_t subscription, uint64_t first, uint64_t last,
	      uint32_t generation);
void owed_drop(struct txn *txn, uint32_t subscription);

struct owed_state { /* counters of a subscription */
	uint32_t rows;
	uint64_t expired_items, expired_octets;
};
/* false: damaged, and *ret is empty. What cannot be read at an opening is counted anew: mend.c */
bool owed_state_read(struct txn *txn, uint32_t subscription, struct owed_state *ret);
void owed_state_get(struct txn *txn, uint32_t subscription, struct owed_state *ret);
void owed_state_put(struct txn *txn, uint32_t subscription, const struct owed_state *state);
void owed_state_drop(struct txn *txn, uint32_t subscription);

/* sum over rows from the feed's totals: never less than what is owed. At most 64 rows one by one,
 * the rest in one */
struct owed_sum {
	uint64_t items, octets, first; /* first: position, 0 = nothing */
};
void owed_at_most(struct txn *txn, uint32_t subscription, struct owed_sum *ret);

/* -- receipts_rows.c */
enum receipt_how { /* beside enum settle_how, three bits in all */
		   RECEIPT_EXPIRED = 6,
		   RECEIPT_AGAIN = 7, /* was acked, then owed again: its client was restored */
		   /* a row was damaged: what became of everything since the entry before is not
		    * known. Who was skipped has no receipt */
		   RECEIPT_UNKNOWN = SETTLE_SKIPPED,
};
struct receipt_entry {
	uint64_t position;
	int64_t at_ms;
	uint8_t how;
	bool kill;
};
/* those that write mend a damaged row that they meet, and tell; those that read pass it by */
struct items;
bool receipts_row_fits(struct slice key, struct slice value); /* every octet of it */
/* positions rising; one that has an entry gets the new one */
void receipts_add(struct items *items, struct txn *txn, uint32_t subscription,
		  const struct receipt_entry *entries, size_t n);
typedef bool receipts_fn(const struct receipt_entry *entry, void *arg); /* false: enough */
void receipts_each(struct txn *txn, uint32_t subscription, uint64_t from, receipts_fn *fn,
		   void *arg);
/* shows fn each entry from `from` on; those for which it says yes now say RECEIPT_AGAIN. At most
 * AGAIN_ROWS rows are changed */
void receipts_again(struct items *items, struct txn *txn, uint32_t subscription, uint64_t from,
		    receipts_fn *fn, void *arg);
/* maybe: also one of which nobody knows */
bool receipts_last_acked(struct txn *txn, uint32_t subscription, bool maybe,
			 struct receipt_entry *ret);
/* removes rows whose last entry is older; looks at most at `most` rows from *place on, each octet.
 * returns false when it came to the end */
struct receipts_place {
	uint8_t key[12];
	size_t n;
};
bool receipts_forget(struct items *items, struct txn *txn, struct receipts_place *place,
		     int64_t before_ms, unsigned most);

/* -- subs.c */
bool subs_match(const struct subdir *subdir, uint32_t subscription, struct slice channel);
const struct sub *subs_find(const struct subdir *subdir, uint32_t subscription);
/* the patterns of a row's generation, cached for one transaction that does not write meanwhile */
struct filter_cache {
	uint32_t subscription, generation[8];
	struct slice channels[8];
	unsigned n, turn;
};
/* does the channel belong to that generation of the subscription, and may its partner read it now?
 */
bool filter_match(struct txn *txn, struct filter_cache *cache, const struct sub *sub,
		  uint32_t generation, struct slice channel);

/* -- retire.c, expire.c: hints that something changed behind their cursors; nothing is lost when
 * the transaction does not commit */
void items_retire_again(struct items *items, uint64_t first, uint64_t last);
void expire_look_again(struct items *items, uint32_t subscription); /* 0 = all */
/* gives up debts of one subscription by rule (in words, for the log): positions rising. Receipts,
 * counter, event NX_EEXPIREDDEBT */
void expire_positions(struct items *items, struct txn *txn, uint32_t subscription,
		      const uint64_t *positions, size_t n, int64_t wall_ms, const char *rule);

/* octets to and from disk */
static inline uint8_t *pack_u32(uint8_t *p, uint32_t u)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(u >> (8 * i));
	return p + 4;
}
static inline uint8_t *pack_u64(uint8_t *p, uint64_t u)
{
	for (unsigned i = 0; i < 8; i++)
		p[i] = (uint8_t)(u >> (8 * i));
	return p + 8;
}
static inline uint32_t unpack_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t unpack_u64(const uint8_t *p)
{
	return (uint64_t)unpack_u32(p) | (uint64_t)unpack_u32(p + 4) << 32;
}
static inline uint8_t *pack_be32(uint8_t *p, uint32_t u)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(u >> (24 - 8 * i));
	return p + 4;
}
static inline uint8_t *pack_be64(uint8_t *p, uint64_t u)
{
	return pack_be32(pack_be32(p, (uint32_t)(u >> 32)), (uint32_t)u);
}
static inline uint32_t unpack_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint64_t unpack_be64(const uint8_t *p)
{
	return (uint64_t)unpack_be32(p) << 32 | unpack_be32(p + 4);
}
