/*
 * meta.h - rows of a table `meta`: a checksum behind what they say, and all of them as they stand.
 *
 * What an older newsxd reads of a row comes first, and it may write the row without a checksum.
 * Private to the store room. Thread: the transaction's.
 */
#pragma once
#include "store/db.h"

#define META_COPY                                                                                  \
	"copy" /* the row with what others say: of items, items_meta.h; of photos, photos_meta.c   \
		*/
#define META_SUM     4   /* octets: CRC32C over the name and what is before it */
#define META_ROW_MAX 160 /* of those with a checksum, it included */

void meta_put(struct txn *txn, unsigned table, const char *name, const uint8_t *octets, size_t n);

/* META_ODD: what it says is right, but its length is none that we write: it was damaged, or a later
 * newsxd appended something. LMDB must not write over such a row, meta_rewrite() may */
enum meta_state { META_NONE, META_WELL, META_ODD, META_BAD };
enum meta_state meta_state(struct slice name, struct slice value, size_t n);
/* n octets that can be trusted, good as txn_get()'s */
enum meta_state meta_get(struct txn *txn, unsigned table, const char *name, size_t n,
			 const uint8_t **ret);

/* ---- all rows, as they stand in the page: read one by one, for a damaged name leads a search
 * astray */
#define META_NAME_MAX 64
struct meta_row {
	char name[META_NAME_MAX + 1];
	size_t name_n;
	uint8_t *octets; /* malloc'ed; NULL: none that could be read */
	size_t n;
	bool gone; /* not written again */
};
struct meta_rows {
	struct meta_row *p;
	size_t n;
	bool disorder; /* names that do not rise, or cannot be names */
};
int meta_rows_read(struct txn *txn, unsigned table, struct meta_rows *ret); /* 0, NX_E... */
void meta_rows_free(struct meta_rows *rows);
struct meta_row *meta_rows_find(struct meta_rows *rows, const char *name); /* not what is gone */
struct slice meta_row_value(const struct meta_row *row);                   /* NULL: nothing */
/* of a row that is none of ours: one bit of its name away from this one? kind: a name that begins
 * so and ends with a number */
bool meta_row_near(const struct meta_row *row, const char *name);
bool meta_row_near_kind(const struct meta_row *row, const char *kind);
bool meta_row_is_kind(const struct meta_row *row, const char *kind);
/* empties the table, whatever its pages say, and writes what is not gone */
void meta_rewrite(struct txn *txn, unsigned table, const struct meta_rows *rows);

/* the highest key of a table whose keys are integers; 0: it is empty */
uint64_t table_last(struct txn *txn, unsigned table);
