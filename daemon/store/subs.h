/*
 * subs.h - partners and subscriptions on disk: names to numbers for ever, definitions, filters by
 * generation.
 *
 * Private to the store room. In table `subscriptions`: number (be u32) = definition; "s:NAME" =
 * number; "p:NAME" = number and since when it is not in the configuration; "n" = the numbers given
 * so far; "c" + number = counters (owed.h). In table `filters`: subscription + generation,
 * generation 0 = what the partner may read now.
 */
#pragma once
#include "store/owed.h"

struct sub_row {
	struct sub sub;      /* channels and rights malloc'ed */
	int64_t vanished_ms; /* wall, when it was first missed; 0 = in the configuration */
};
/* all that stand, by number, the vanished too; sub_rows_free() */
struct sub_rows {
	struct sub_row *p;
	size_t n;
};
int sub_rows_load(struct txn *txn, struct sub_rows *ret);
/* the row alone, without channels and rights; false: damaged, and what could be read stands in *ret
 */
bool sub_row_head(struct slice key, struct slice value, struct sub_row *ret);
void sub_rows_free(struct sub_rows *rows);
void sub_row_put(struct txn *txn,
		 const struct sub_row *row); /* the definition; writes only what is new */
void sub_row_drop(struct txn *txn,
		  const struct sub_row *row); /* definition, name, filters, counters, rows */
uint32_t sub_named(struct txn *txn, const char *name); /* 0 = none */
void sub_name_put(struct txn *txn, const char *name, uint32_t number);
void sub_name_del(struct txn *txn, const char *name);
uint32_t number_next(struct txn *txn, bool subscription);
struct numbers { /* given so far */
	uint32_t partners, subscriptions;
};
bool numbers_get(struct txn *txn, struct numbers *ret); /* false: not there, or damaged */
void numbers_put(struct txn *txn, const struct numbers *numbers);

#define FILTER_RIGHTS 0
bool filter_get(struct txn *txn, uint32_t subscription, uint32_t generation, struct slice *channels,
		struct slice *filter);
void filter_put(struct txn *txn, uint32_t subscription, uint32_t generation, struct slice channels,
		struct slice filter);
#define FILTER_MAX     4000      /* octets of both */
#define FILTER_DAMAGED "damaged" /* the text of one that mend_subs() wrote */

void filters_sweep(struct txn *txn,
		   uint32_t subscription); /* drops generations that no row names */

struct partner_row {
	uint32_t number;
	int64_t vanished_ms;
};
bool partner_parse(struct slice value, struct partner_row *ret);
bool partner_get(struct txn *txn, const char *name, struct partner_row *ret);
void partner_put(struct txn *txn, const char *name, const struct partner_row *row);
void partner_del(struct txn *txn, const char *name);
typedef void partner_fn(const char *name, const struct partner_row *row, void *arg);
void partners_each(struct txn *txn, partner_fn *fn, void *arg); /* fn writes nothing */

/* -- mend_subs.c: for items_mend(). Leaves every subscription with a definition that can be read
 * (partner 0: not known any more), a name, and filters that lose nothing */
void mend_subs(struct items *items, struct txn *txn);

/* the directory as the transaction sees it; one reference, the caller's */
int subdir_load(struct txn *txn, struct subdir **ret);
struct subdir *subdir_ref(struct subdir *subdir);
/* reads them again and hands the directory to the transaction's end */
void subs_directory_anew(struct items *items, struct txn *txn);
