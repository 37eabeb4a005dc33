/*
 * Rows of `fresh`, little-endian. A story: u8 version, u8 kind 1, key of the story[32], of the
 * identity[32], u16 length of the identity's row, that row, the story's row. A later item of such a
 * story: u8 version, u8 kind 2, u64 sequence of the story's row.
 */
#include "store/fresh.h"
#include "store/meta.h"
#include "store/owed.h"

#define MARKS_LEN   16
#define ROW_VERSION 1
#define STORY_FIXED 68
#define POINT_LEN   10
#define ROW_MAX     (STORY_FIXED + 2 * FRESH_ROW_MAX)

enum { KIND_STORY = 1, KIND_POINT = 2 };

enum meta_state fresh_marks_parse(struct slice value, struct fresh_marks *ret)
{
	enum meta_state state = meta_state(slice_str("fresh"), value, MARKS_LEN);

	*ret = (struct fresh_marks){ 0 };
	if (state != META_BAD)
		*ret = (struct fresh_marks){ .first = unpack_u64(value.p),
					     .split = unpack_u64(value.p + 8) };
	return state;
}

struct fresh_marks fresh_marks_get(struct txn *txn)
{
	struct fresh_marks marks = { 0 };
	struct slice value;

	/* to guess would be to forget stories, kills too */
	if (txn_get(txn, T_META, slice_str("fresh"), &value) &&
	    fresh_marks_parse(value, &marks) == META_BAD)
		txn->r = NX_ECORRUPT;
	return marks;
}

void fresh_marks_put(struct txn *txn, const struct fresh_marks *marks)
{
	uint8_t octets[MARKS_LEN];

	pack_u64(pack_u64(octets, marks->first), marks->split);
	meta_put(txn, T_META, "fresh", octets, sizeof(octets));
}

/*
 * What was merged has both its rows in `stories`, and is the lowest; of what is being merged some
 * has both, which say the same, and some has its story there alone, because that changed.
 */
struct fresh_marks fresh_marks_find(struct txn *txn)
{
	struct fresh_marks marks = { 0 };
	struct fresh_row row;
	struct slice value;
	struct cur cur;
	uint64_t points;

	cur_open(&cur, txn, T_FRESH);
	for (bool more = cur_first(&cur); more; more = cur_next(&cur)) {
		if (fresh_parse(cur.value, &row, &points) != 1)
			continue;
		if (!txn_get(txn, T_STORIES, slice_of(row.story, 32), &value) ||
		    !txn_get(txn, T_STORIES, slice_of(row.identity, 32), &value))
			break;
		marks.first = u64_of(cur.key) + 1;
	}
	cur_close(&cur);
	return marks;
}

int fresh_parse(struct slice value, struct fresh_row *ret, uint64_t *ret_points)
{
	const uint8_t *p = value.p;
	size_t n;

	if (value.n < 2 || p[0] != ROW_VERSION)
		return NX_ECORRUPT;
	if (p[1] == KIND_POINT && value.n >= POINT_LEN) {
		*ret_points = unpack_u64(p + 2);
		return 0;
	}
	if (p[1] != KIND_STORY || value.n < STORY_FIXED)
		return NX_ECORRUPT;
	memcpy(ret->story, p + 2, 32);
	memcpy(ret->identity, p + 34, 32);
	n = p[66] | (size_t)p[67] << 8;
	if (n > FRESH_ROW_MAX || value.n > STORY_FIXED + n + FRESH_ROW_MAX ||
	    value.n < STORY_FIXED + n)
		return NX_ECORRUPT;
	ret->identity_row = slice_of(p + STORY_FIXED, n);
	ret->story_row = slice_of(p + STORY_FIXED + n, value.n - STORY_FIXED - n);
	return 1;
}

int fresh_get(struct txn *txn, uint64_t sequence, struct fresh_row *ret)
{
	struct fresh_marks marks;
	struct slice value;
	int r = 0;

	if (sequence == 0)
		return 0;
	marks = fresh_marks_get(txn);
	r = txn->r;
	for (unsigned hops = 0; r == 0 && hops < 2; hops++) {
		ret->at = sequence;
		if (sequence < marks.first || !txn_get(txn, T_FRESH, key_u64(&ret->at), &value))
			return txn->r < 0 ? txn->r : 0;
		ret->merging = sequence < marks.split;
		r = fresh_parse(value, ret, &sequence);
	}
	return r == 0 ? NX_ECORRUPT : r; /* a pointer to a pointer is none of ours */
}

void fresh_put(struct txn *txn, const struct fresh_row *row)
{
	uint8_t value[ROW_MAX], *p = value;

	*p++ = ROW_VERSION;
	*p++ = KIND_STORY;
	p = memcpy(p, row->story, 32);
	p = memcpy(p + 32, row->identity, 32);
	p += 32;
	*p++ = (uint8_t)row->identity_row.n;
	*p++ = (uint8_t)(row->identity_row.n >> 8);
	p = memcpy(p, row->identity_row.p, row->identity_row.n);
	p += row->identity_row.n;
	p = memcpy(p, row->story_row.p, row->story_row.n);
	txn_put(txn, T_FRESH, key_u64(&row->at),
		slice_of(value, (size_t)(p - value) + row->story_row.n));
}

void fresh_point(struct txn *txn, uint64_t sequence, uint64_t at)
{
	uint8_t value[POINT_LEN] = { ROW_VERSION, KIND_POINT };

	pack_u64(value + 2, at);
	txn_append(txn, T_FRESH, key_u64(&sequence), slice_of(value, sizeof(value)));
}
