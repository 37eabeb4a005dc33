/*
 * items_meta.h - what the rows of `meta` in `items` say together, and their copy. Private to the
 * store room.
 */
#pragma once
#include "store/items_priv.h"
#include "store/meta.h"

struct meta_facts {
	uint32_t format;
	uint64_t epoch, restored_epoch, restored_sequence; /* restored_epoch 0: never */
	struct items_count count;
	int64_t wall_ms; /* TIME_NONE: none */
	char node[NAME_MAX_ + 1];
};
struct meta_facts items_meta_facts(const struct items *items);
enum meta_state count_parse(struct slice value, struct items_count *ret);
void meta_copy_put(struct txn *txn, const struct meta_facts *facts);
/* META_BAD: not there, or damaged */
enum meta_state meta_copy_parse(struct slice value, struct meta_facts *ret);
bool meta_copy_is(const struct meta_facts *copy, const struct meta_facts *facts);
void meta_facts_put(struct txn *txn, const struct meta_facts *facts); /* each row, and the copy */

/* -- mend_meta.c: what they said when all was well, and what is wrong with them */
#define META_FAULTS 16
struct meta_look {
	struct meta_rows rows;
	struct meta_facts facts;
	struct fresh_marks fresh;
	bool anew; /* the table must be written anew: damaged, or of an older newsxd */
	bool held; /* the sums of `held` must be counted anew */
	struct {
		char key[META_NAME_MAX + 1], words[200];
	} faults[META_FAULTS];
	unsigned faults_n;
};
/*
 * now: what a running daemon knows; NULL: the start does not know anything. node: for a store that
 * cannot tell its own. meta_look_done() in any case.
 * returns 0; NX_EFORMAT, NX_ECORRUPT (nothing says which format it has) and words; NX_ENOMEM; ...
 */
int meta_look(struct txn *txn, const struct meta_facts *now, const char *node,
	      struct meta_look *ret, struct why *why);
void meta_look_done(struct meta_look *look);
