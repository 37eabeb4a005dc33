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
 * of that, so that both stand on one leaf (rules.c makes it). Still a random leaf for each new
 * story: so both rows stand in `fresh` first, together (fresh.h), and are looked for there before.
 */
#include "store/fresh.h"
#include "store/items_priv.h"

#define ROW_VERSION    1
#define VERSIONS_LOOK  200
#define IDENTITY_FIXED 58
#define STORY_FIXED    58
#define ROW_MAX        (STORY_FIXED + 3 * (1 + 64))

_Static_assert(ROW_MAX <= FRESH_ROW_MAX, "a row of stories, in fresh");
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

int identity_find(struct txn *txn, const uint8_t identity[32], uint64_t sequence,
		  struct identity_row *ret)
{
	struct fresh_row fresh;
	struct slice value;
	int r = fresh_get(txn, sequence, &fresh);

	*ret = (struct identity_row){ 0 };
	if (r < 0)
		return r;
	if (r > 0 && memcmp(fresh.identity, identity, 32) == 0)
		return identity_parse(fresh.identity_row, ret) ? 1 : NX_ECORRUPT;
	if (!txn_get(txn, T_STORIES, slice_of(identity, 32), &value))
		return 0;
	return identity_parse(value, ret) ? 1 : NX_ECORRUPT;
}

static struct slice identity_pack(uint8_t value[ROW_MAX], const struct identity_row *row)
{
	uint8_t *p = value;

	*p++ = ROW_VERSION;
	*p++ = STORY_IDENTITY;
	p = pack_u64(p, row->sequence);
	p = pack_u64(p, row->position);
	p = pack_u64(p, (uint64_t)row->stored_ms);
	p = memcpy(p, row->content, 32);
	p = pack_text(p + 32, row->channel);
	return slice_of(value, (size_t)(p - value));
}

void identity_put(struct txn *txn, const uint8_t identity[32], const struct identity_row *row)
{
	uint8_t value[ROW_MAX];

	txn_put(txn, T_STORIES, slice_of(identity, 32), identity_pack(value, row));
}

int story_find(struct txn *txn, const uint8_t story[32], uint64_t sequence, struct story_row *ret)
{
	struct fresh_row fresh;
	struct slice value;
	int r = fresh_get(txn, sequence, &fresh);

	*ret = (struct story_row){ .created_ms = TIME_NONE, .released_created_ms = TIME_NONE };
	if (r < 0)
		return r;
	if (r > 0 && memcmp(fresh.story, story, 32) == 0) {
		ret->fresh = fresh.at;
		return story_parse(fresh.story_row, ret) ? 1 : NX_ECORRUPT;
	}
	if (!txn_get(txn, T_STORIES, slice_of(story, 32), &value))
		return 0;
	return story_parse(value, ret) ? 1 : NX_ECORRUPT;
}

bool story_get(struct txn *txn, const uint8_t story[32], uint64_t sequence, struct story_row *ret)
{
	return story_find(txn, story, sequence, ret) == 1;
}

static struct slice story_pack(uint8_t value[ROW_MAX], const struct story_row *row)
{
	uint8_t *p = value;

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
	return slice_of(value, (size_t)(p - value));
}

/* in its place in `fresh`; and in its copy, which may have been made already */
static void put_in_fresh(struct txn *txn, const struct story_row *row, struct slice value)
{
	uint8_t identity[FRESH_ROW_MAX];
	struct fresh_row fresh;

	if (fresh_get(txn, row->fresh, &fresh) != 1)
		return; /* as it could be read a moment ago, the transaction has failed */
	/* what LMDB shows is good until the next put */
	memcpy(identity, fresh.identity_row.p, fresh.identity_row.n);
	fresh.identity_row.p = identity;
	fresh.story_row = value;
	fresh_put(txn, &fresh);
	if (fresh.merging)
		txn_put(txn, T_STORIES, slice_of(fresh.story, 32), value);
}

void story_put(struct txn *txn, const uint8_t story[32], const struct story_row *row)
{
	uint8_t value[ROW_MAX];

	if (row->fresh != 0)
		put_in_fresh(txn, row, story_pack(value, row));
	else
		txn_put(txn, T_STORIES, slice_of(story, 32), story_pack(value, row));
}

void story_put_new(struct txn *txn, const struct record *record,
		   const struct identity_row *identity, const struct story_row *story)
{
	uint8_t one[ROW_MAX], other[ROW_MAX];
	struct fresh_row fresh = { .at = record->sequence,
				   .identity_row = identity_pack(one, identity),
				   .story_row = story_pack(other, story) };

	memcpy(fresh.story, record->story, 32);
	memcpy(fresh.identity, record->identity, 32);
	fresh_put(txn, &fresh);
}

static bool is_before(struct txn *txn, uint64_t sequence, const struct record *record,
		      version_fn *fn, void *arg)
{
	struct record other;

	return sequence != record->sequence && record_head(txn, sequence, &other) == 0 &&
	       other.position != 0 && other.position < record->position && !other.kill &&
	       memcmp(other.story, record->story, 32) == 0 && (fn == NULL || fn(&other, arg));
}

/* the first version may stand in `fresh`; the others stand side by side, behind half of the key */
bool versions_before(struct txn *txn, const struct record *record, version_fn *fn, void *arg)
{
	struct identity_row row;
	struct fresh_row fresh;
	unsigned looked = 0;
	bool found = false;
	struct cur cur;

	if (fresh_get(txn, record->sequence, &fresh) == 1 &&
	    is_before(txn, fresh.at, record, fn, arg))
		return true;
	cur_open(&cur, txn, T_STORIES);
	for (bool more = cur_seek(&cur, slice_of(record->story, 16));
	     more && !found && cur.key.n == 32 && memcmp(cur.key.p, record->story, 16) == 0;
	     more = cur_next(&cur))
		found = ++looked > VERSIONS_LOOK || (identity_parse(cur.value, &row) &&
						     is_before(txn, row.sequence, record, fn, arg));
	cur_close(&cur);
	return found;
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
	r = story_find(txn, record->story, record->sequence, &row);
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
