/*
 * photos_meta.h - the rows of `meta` in `photos`: which format it has, and the next part's number.
 * Both stand in "copy" too, under a checksum: u8 version, u32 format, u64 next. Private to the
 * store room.
 */
#pragma once
#include "store/meta.h"
#include "store/photos.h"

struct photos_look {
	struct meta_rows rows;
	uint64_t next;
	bool anew; /* the table must be written anew: damaged, or of an older newsxd */
	struct {
		const char *key, *words;
	} faults[3];
	unsigned faults_n;
};
/*
 * items: which parts they know; NULL: nobody asks. photos_look_done() in any case.
 * returns 0; NX_EFORMAT, NX_ECORRUPT and words; NX_ENOMEM; the transaction's error
 */
int photos_look(struct txn *txn, struct txn *items, const char *what, struct photos_look *ret,
		struct why *why);
void photos_look_done(struct photos_look *look);
/* at open: what is damaged is mended, and told; photos->next is set */
int photos_meta_open(struct photos *photos, struct why *why);
void photos_meta_put(struct txn *txn, uint64_t next); /* all of them */
void photos_next_put(struct txn *txn, uint64_t next);
