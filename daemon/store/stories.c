/*
 * What is known of each story, in rows by hash: which item an identity is, and which version of a
 * story is the newest.
 *
 * Identity row: u8 version, u8 kind 1, u64 sequence, u64 position, i64 stored, content[32], text
 * channel. Story row:    u8 version, u8 kind 2, u64 newest, u64 newest released, u64 kill, u64
 * held, i64 created, i64 stored, i64 created of the newest released, texts version, channel,
 * version of the newest released. A text is u8 length and its octets. Numbers are little-endian.
 *
 * A story's row has the hash of the story as its key. An identity's key begins with the first half
 * of that, so that both stand on one leaf (put.c makes it). Still a random leaf for each new item;
 * a table of fresh identities, by sequence and mirrored in memory, would spare it at a million
 * rows: story_seen() and identity_find() are the place where it would be looked into first.
 */
#include "store/items_priv.h"

#define ROW_VERSION    1
#define IDENTITY_FIXED 58
#define STORY_FIXED    58
#define ROW_MAX        (STORY_FIXED + 3 * (1 + 64))

_Static_assert(VERSION_MAX == 64 && NAME_MAX_ == 64, "texts of a row");

static uint8_t *pack_text(uint8_t *p, const char *text)
{
	size_t n = strlen(text);

	*p++ = (uint8_t)n;
	memcpy(p, text, n);
	return p + n;
}

static bool unpack_text(struct slice *from, char to[65])
{
	size_t n;

	if (from->n < 1 || from->p[0] > 64 || from->p[0] >= from->n)
		return false;
	n = from->p[0];
	memcpy(to, from->p + 1, n);
	to[n] = '\0';
	*from = slice_of(from->p + 1 + n, from->n - 1 - n);
	return true;
}

enum story_kind stories_kind(struct slice value)
{
	if (value.n < IDENTITY_FIXED || value.p[0] != ROW_VERSION)
		return STORY_BAD;
	return value.p[1] == STORY_IDENTITY || value.p[1] == STORY_STORY
		       ? (enum story_kind)value.p[1]
		       : STORY_BAD;
}

bool identity_parse(struct slice value, struct identity_row *ret)
{
	const uint8_t *p = value.p;

	if (stories_kind(value) != STORY_IDENTITY)
		return false;
	ret->sequence = unpack_u64(p + 2);
	ret->position = unpack_u64(p + 10);
	ret->stored_ms = (int64_t)unpack_u64(p + 18);
	memcpy(ret->content, p + 26, 32);
	value = slice_of(p + IDENTITY_FIXED, value.n - IDENTITY_FIXED);
	return unpack_text(&value, ret->channel);
}

bool story_parse(struct slice value, struct story_row *ret)
{
	const uint8_t *p = value.p;

	if (stories_kind(value) != STORY_STORY)
		return false;
	ret->newest = unpack_u64(p + 2);
	ret->newest_released = unpack_u64(p + 10);
	ret->kill = unpack_u64(p + 18);
	ret->held = unpack_u64(p + 26);
	ret->created_ms = (int64_t)unpack_u64(p + 34);
	ret->stored_ms = (int64_t)unpack_u64(p + 42);
	ret->released_created_ms = (int64_t)unpack_u64(p + 50);
	value = slice_of(p + STORY_FIXED, value.n - STORY_FIXED);
	return unpack_text(&value, ret->version) && unpack_text(&value, ret->channel) &&
	       unpack_text(&value, ret->released_version);
}

int identity_find(struct txn *txn, const uint8_t identity[32], struct identity_row *ret)
{
	struct slice value;

	*ret = (struct identity_row){ 0 };
	if (!txn_get(txn, T_STORIES, slice_of(identity, 32), &value))
		return 0;
	return identity_parse(value, ret) ? 1 : NX_ECORRUPT;
}

void identity_put(struct txn *txn, const uint8_t identity[32], const struct identity_row *row)
{
	uint8_t value[ROW_MAX], *p = value;

	*p++ = ROW_VERSION;
	*p++ = STORY_IDENTITY;
	p = pack_u64(p, row->sequence);
	p = pack_u64(p, row->position);
	p = pack_u64(p, (uint64_t)row->stored_ms);
	p = memcpy(p, row->content, 32);
	p = pack_text(p + 32, row->channel);
	txn_put(txn, T_STORIES, slice_of(identity, 32), slice_of(value, (size_t)(p - value)));
}

int story_find(struct txn *txn, const uint8_t story[32], struct story_row *ret)
{
	struct slice value;

	*ret = (struct story_row){ .created_ms = TIME_NONE, .released_created_ms = TIME_NONE };
	if (!txn_get(txn, T_STORIES, slice_of(story, 32), &value))
		return 0;
	return story_parse(value, ret) ? 1 : NX_ECORRUPT;
}

bool story_get(struct txn *txn, const uint8_t story[32], struct story_row *ret)
{
	return story_find(txn, story, ret) == 1;
}

void story_put(struct txn *txn, const uint8_t story[32], const struct story_row *row)
{
	uint8_t value[ROW_MAX], *p = value;

	*p++ = ROW_VERSION;
	*p++ = STORY_STORY;
	p = pack_u64(p, row->newest);
	p = pack_u64(p, row->newest_released);
	p = pack_u64(p, row->kill);
	p = pack_u64(p, row->held);
	p = pack_u64(p, (uint64_t)row->created_ms);
	p = pack_u64(p, (uint64_t)row->stored_ms);
	p = pack_u64(p, (uint64_t)row->released_created_ms);
	p = pack_text(p, row->version);
	p = pack_text(p, row->channel);
	p = pack_text(p, row->released_version);
	txn_put(txn, T_STORIES, slice_of(story, 32), slice_of(value, (size_t)(p - value)));
}

bool story_seen(struct txn *txn, const uint8_t identity[32], uint64_t *ret_sequence,
		uint8_t ret_content[32])
{
	struct identity_row row;
	bool seen = identity_find(txn, identity, &row) == 1;

	*ret_sequence = row.sequence;
	memcpy(ret_content, row.content, 32);
	return seen;
}

enum settle_how story_verdict(struct txn *txn, const struct record *record, bool versions_all)
{
	struct story_row row;

	int r;

	if (record->state == ITEM_QUARANTINED)
		return SETTLE_GIVEN_UP;
	if (record->kill)
		return SETTLE_ACKED;
	if (record->state == ITEM_KILLED)
		return SETTLE_KILLED;
	r = story_find(txn, record->story, &row);
	if (r < 0)
		return SETTLE_GIVEN_UP; /* perhaps it was killed: it stays here */
	if (row.kill != 0)
		return SETTLE_KILLED;
	if (versions_all)
		return SETTLE_ACKED;
	/* the newest of the released ones is another: so it is newer than this one */
	if (row.newest_released != 0 && row.newest_released != record->sequence)
		return SETTLE_SUPERSEDED;
	return SETTLE_ACKED;
}
