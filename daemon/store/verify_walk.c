/* how --verify-store walks: in slices, and with a second look at what does not fit */
#include "store/verify.h"

#include <stdarg.h>
#include <stdio.h>

#define KEY_MAX 511 /* of LMDB */

struct place {
	uint8_t key[KEY_MAX];
	size_t n;
	bool begun, end;
};

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
	verify->owed_subscription = 0; /* a row of another moment is no neighbour */
}

void verify_end(struct verify *verify)
{
	int items = txn_end(&verify->items), photos = txn_end(&verify->photos);

	if (verify->r == 0)
		verify->r = items < 0 ? items : photos;
}

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
		verify->again(verify, verify->suspects[i].part, verify->suspects[i].sequence, true);
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
