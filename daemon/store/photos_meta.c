#include "store/photos_meta.h"

#include "store/format.h"
#include "store/items.h"
#include "store/owed.h"

#include <stdio.h>

#define COPY_VERSION 1
#define COPY_LEN     13
#define NEXT_MAX     (UINT64_C(1) << 40) /* far from where chunk_key() ends */

void photos_next_put(struct txn *txn, uint64_t next)
{
	uint8_t octets[COPY_LEN] = { COPY_VERSION };

	pack_u64(pack_u32(octets + 1, PHOTOS_FORMAT), next);
	txn_put(txn, P_META, slice_str("next"), key_u64(&next));
	meta_put(txn, P_META, META_COPY, octets, sizeof(octets));
}

void photos_meta_put(struct txn *txn, uint64_t next)
{
	uint32_t format = PHOTOS_FORMAT;

	txn_put(txn, P_META, slice_str("format"), slice_of(&format, sizeof(format)));
	photos_next_put(txn, next);
}

/* ---- what they say */

struct copy {
	bool there, well;
	uint32_t format;
	uint64_t next;
};

static struct copy copy_read(struct meta_rows *rows)
{
	struct meta_row *row = meta_rows_find(rows, META_COPY);
	struct slice value = meta_row_value(row);
	struct copy copy = { .there = row != NULL };

	copy.well = value.n == COPY_LEN + META_SUM && value.p[0] == COPY_VERSION &&
		    meta_state(slice_str(META_COPY), value, COPY_LEN) == META_WELL;
	if (copy.well) {
		copy.format = unpack_u32(value.p + 1);
		copy.next = unpack_u64(value.p + 5);
	}
	return copy;
}

static void fault(struct photos_look *look, const char *key, const char *words)
{
	look->faults[look->faults_n].key = key;
	look->faults[look->faults_n++].words = words;
	look->anew = true;
}

static int look_format(struct photos_look *look, const struct copy *copy, const char *what,
		       struct why *why)
{
	struct slice value = meta_row_value(meta_rows_find(&look->rows, "format"));
	uint32_t format = 0;

	if (value.n == sizeof(format))
		memcpy(&format, value.p, sizeof(format));
	if (format == PHOTOS_FORMAT)
		return 0;
	if (!copy->well || copy->format != PHOTOS_FORMAT)
		return format_check(what, format, PHOTOS_FORMAT, false, why);
	fault(look, "format",
	      "the number of the photos' format was damaged: it is as its copy says");
	return 0;
}

static uint64_t higher(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* no part, and nothing that names one, has this number or a higher one */
static uint64_t next_least(struct txn *txn, struct txn *items)
{
	uint64_t last = higher(table_last(txn, P_PARTS), table_last(txn, P_GONE));

	last = higher(last, table_last(txn, P_CHUNKS) >> CHUNK_SHIFT);
	if (items != NULL)
		last = higher(last, items_part_last(items));
	return last + 1;
}

static void look_next(struct photos_look *look, const struct copy *copy, uint64_t least)
{
	struct slice value = meta_row_value(meta_rows_find(&look->rows, "next"));
	uint64_t next = u64_of(value);
	bool well = next >= least && next < NEXT_MAX;

	/* an older newsxd makes no copy, but parts: the last of them has the number before */
	if (well && (!copy->well || next == copy->next || (next > copy->next && next == least))) {
		look->anew = look->anew || next != copy->next;
		look->next = next;
		return;
	}
	look->next = higher(least, copy->well ? copy->next : 0);
	fault(look, "next", "the number of the next photo was damaged: it is above all that stand");
}

int photos_look(struct txn *txn, struct txn *items, const char *what, struct photos_look *ret,
		struct why *why)
{
	struct copy copy;
	bool stray = false;
	int r;

	*ret = (struct photos_look){ 0 };
	r = meta_rows_read(txn, P_META, &ret->rows);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ret->rows.n; i++) {
		struct meta_row *row = &ret->rows.p[i];

		row->gone = meta_row_near(row, "format") || meta_row_near(row, "next") ||
			    meta_row_near(row, META_COPY);
		stray = stray || row->gone;
	}
	copy = copy_read(&ret->rows);
	ret->anew = !copy.well || ret->rows.disorder || stray;
	r = look_format(ret, &copy, what, why);
	if (r < 0)
		return r;
	look_next(ret, &copy, next_least(txn, items));
	if ((copy.there && !copy.well) || (ret->anew && copy.well && ret->faults_n == 0) ||
	    (stray && !copy.there))
		fault(ret, META_COPY, "the copy of the photos' other rows was damaged: made again");
	return txn->r < 0 || items == NULL ? txn->r : items->r;
}

void photos_look_done(struct photos_look *look)
{
	meta_rows_free(&look->rows);
}

/* ---- what is done about it */

static void mend(struct txn *txn, struct photos_look *look)
{
	static const char *const ours[] = { "format", "next", META_COPY };

	for (unsigned i = 0; i < 3; i++) {
		struct meta_row *row = meta_rows_find(&look->rows, ours[i]);

		if (row != NULL)
			row->gone = true;
	}
	meta_rewrite(txn, P_META, &look->rows);
	photos_meta_put(txn, look->next);
}

static void tell(struct photos *photos, const struct photos_look *look)
{
	for (unsigned i = 0; i < look->faults_n; i++) {
		struct store_event event = { .kind = STORE_CORRUPT,
					     .code = NX_ECORRUPT,
					     .table = "meta" };

		snprintf(event.key, sizeof(event.key), "photos/%s", look->faults[i].key);
		why_set(&event.why, NX_ECORRUPT, "%s", look->faults[i].words);
		photos->conf.event(photos->conf.arg, &event);
	}
}

static int look_at(struct photos *photos, struct photos_look *look, struct why *why)
{
	struct txn txn, items = { 0 };
	bool ask = photos->conf.items != NULL;
	char what[4096];
	int r;

	snprintf(what, sizeof(what), "%.4000s/photos", photos->conf.parent);
	if (ask)
		txn_begin(&items, photos->conf.items, TXN_READ);
	txn_begin(&txn, photos->db, TXN_READ);
	r = txn.r < 0 ? txn.r : items.r;
	*look = (struct photos_look){ 0 };
	if (r == 0)
		r = photos_look(&txn, ask ? &items : NULL, what, look, why);
	txn_abort(&txn);
	if (ask)
		txn_abort(&items);
	return r;
}

int photos_meta_open(struct photos *photos, struct why *why)
{
	struct photos_look look;
	struct why said = { 0 };
	struct txn txn;
	int r = look_at(photos, &look, &said);

	if (r == 0 && look.anew) {
		txn_begin(&txn, photos->db, TXN_WRITE);
		mend(&txn, &look);
		r = txn_end(&txn);
	}
	if (r == 0) {
		photos->next = look.next;
		tell(photos, &look);
	} else if (said.words[0] != '\0') {
		why_set(why, r, "%s", said.words);
	} else {
		why_set(why, r, "%s/photos: cannot be read", photos->conf.parent);
	}
	photos_look_done(&look);
	return r;
}
