#include "store/verify.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_MAX 511 /* of LMDB */

void verify_fault(struct verify *verify, const char *format, ...)
{
	char words[300];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	verify->faults++;
	verify->fn(words, verify->arg);
}

void verify_begin(struct verify *verify)
{
	txn_begin(&verify->items, verify->items_db, TXN_READ);
	txn_begin(&verify->photos, verify->photos_db, TXN_READ);
}

void verify_end(struct verify *verify)
{
	int items = txn_end(&verify->items), photos = txn_end(&verify->photos);

	if (verify->r == 0)
		verify->r = items < 0 ? items : photos;
}

/* ---- walks */

struct place {
	uint8_t key[KEY_MAX];
	size_t n;
	bool begun, end;
};

static bool go_on(struct cur *cur, const struct place *place)
{
	if (!place->begun)
		return cur_first(cur);
	if (!cur_seek(cur, slice_of(place->key, place->n)))
		return false;
	return slice_eq(cur->key, slice_of(place->key, place->n)) ? cur_next(cur) : true;
}

static void slice(struct verify *verify, struct txn *txn, unsigned table, verify_row_fn *fn,
		  struct place *place)
{
	struct cur cur;
	bool more;

	cur_open(&cur, txn, table);
	more = go_on(&cur, place);
	for (unsigned n = 0; more && n < VERIFY_SLICE; n++) {
		place->begun = true;
		place->n = cur.key.n < KEY_MAX ? cur.key.n : KEY_MAX;
		memcpy(place->key, cur.key.p, place->n);
		fn(verify, cur.key, cur.value);
		more = cur_next(&cur);
	}
	place->end = !more;
	cur_close(&cur);
}

/* once more, in new transactions: it may have been deleted between the two */
static void second_look(struct verify *verify)
{
	verify_begin(verify);
	for (unsigned i = 0; i < verify->suspects_n; i++)
		verify_part_of_item(verify, verify->suspects[i].part, verify->suspects[i].sequence,
				    true);
	verify_end(verify);
	verify->suspects_n = 0;
}

static void walk(struct verify *verify, struct txn *txn, unsigned table, verify_row_fn *fn)
{
	struct place place = { 0 };

	while (!place.end && verify->r == 0) {
		verify_begin(verify);
		slice(verify, txn, table, fn, &place);
		verify_end(verify);
		if (verify->suspects_n > 0 && verify->r == 0)
			second_look(verify);
	}
}

void verify_items(struct verify *verify, unsigned table, verify_row_fn *fn)
{
	walk(verify, &verify->items, table, fn);
}

void verify_photos(struct verify *verify, unsigned table, verify_row_fn *fn)
{
	walk(verify, &verify->photos, table, fn);
}

static int open_one(const char *directory, const char *name, const struct db_table *tables,
		    unsigned n, struct db **ret, struct why *why)
{
	struct db_conf conf = { .tables = tables, .tables_n = n, .read_only = true };
	char dir[PATH_MAX];
	int len = snprintf(dir, sizeof(dir), "%s/%s", directory, name);

	if (len < 0 || (size_t)len >= sizeof(dir))
		return why_set(why, NX_EARG, "the directory's name is too long");
	return db_open(dir, &conf, ret, why);
}

int store_verify(const char *directory, void (*fn)(const char *words, void *), void *arg,
		 struct why *why)
{
	struct verify *verify = calloc(1, sizeof(*verify));
	int r;

	if (verify == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	verify->fn = fn;
	verify->arg = arg;
	r = open_one(directory, "items", items_tables, ITEMS_TABLES, &verify->items_db, why);
	if (r == 0)
		r = open_one(directory, "photos", photos_tables, PHOTOS_TABLES, &verify->photos_db,
			     why);
	if (r == 0) {
		verify_all_items(verify);
		verify_all_photos(verify);
		if (verify->r < 0)
			why_set(why, verify->r, "%s: cannot be read to its end: %s", directory,
				nx_word(verify->r));
		r = verify->r < 0 ? verify->r : verify->faults;
	}
	db_close(&verify->items_db);
	db_close(&verify->photos_db);
	free(verify);
	return r;
}
