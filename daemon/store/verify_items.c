#include "store/verify.h"

#include "base/hash.h"
#include "store/items_priv.h"

#include <inttypes.h>
#include <stdlib.h>

#define BODY_SHIFT 10 /* of a body key, as in records.c */

static bool has_use(struct verify *verify, uint64_t part, uint64_t sequence)
{
	uint8_t key[16];
	struct slice value;

	pack_be64(pack_be64(key, part), sequence);
	return txn_get(&verify->items, T_USES, slice_of(key, sizeof(key)), &value);
}

static void suspect(struct verify *verify, uint64_t part, uint64_t sequence)
{
	if (verify->suspects_n == VERIFY_SLICE)
		return; /* those that are told are enough to act upon */
	verify->suspects[verify->suspects_n].part = part;
	verify->suspects[verify->suspects_n++].sequence = sequence;
}

/* an item's use of a part: is the part there, whole? */
void verify_part_of_item(struct verify *verify, uint64_t part, uint64_t sequence, bool last_word)
{
	struct part_row row;
	int r;

	if (!has_use(verify, part, sequence))
		return; /* the item was retired meanwhile */
	r = part_get(&verify->photos, part, &row);
	if (r == 0 && row.state == PART_COMPLETE)
		return;
	if (!last_word)
		suspect(verify, part, sequence);
	else if (r == 0 && row.state == PART_QUARANTINED)
		verify_fault(verify, "item %" PRIu64 ": part %" PRIu64 " is quarantined", sequence,
			     part);
	else
		verify_fault(verify, "item %" PRIu64 ": part %" PRIu64 " is not there", sequence,
			     part);
}

static void item_feed(struct verify *verify, const struct record *record)
{
	struct feed_row feed;

	if (record->position == 0)
		return;
	if (record->position > verify->position_last)
		return; /* stored after we began */
	if (!feed_get(&verify->items, record->position, &feed))
		verify_fault(verify,
			     "item %" PRIu64 ": its position %" PRIu64 " is not in the feed",
			     record->sequence, record->position);
	else if (feed.sequence != record->sequence)
		verify_fault(verify,
			     "item %" PRIu64 ": its position %" PRIu64 " belongs to item %" PRIu64,
			     record->sequence, record->position, feed.sequence);
}

static void item_story(struct verify *verify, const struct record *record)
{
	struct story_row story;
	uint8_t key[32];

	facts_story_key(&record->facts, key);
	if (memcmp(key, record->story, sizeof(key)) != 0)
		verify_fault(verify, "item %" PRIu64 ": its facts are of another story",
			     record->sequence);
	if (!story_get(&verify->items, record->story, record->sequence, &story))
		verify_fault(verify, "item %" PRIu64 ": its story has no row", record->sequence);
}

/* content hash: the document, then of each part u16 length of the name, name, hash */
static void item_content(struct verify *verify, const struct record *record, const uint8_t *octets)
{
	struct sha256 *sha = sha256_new();
	uint8_t digest[SHA256_LEN];

	if (sha == NULL) {
		verify->r = NX_ENOMEM;
		return;
	}
	sha256_add(sha, octets + record->envelope_n, record->document_n);
	for (unsigned i = 0; i < record->parts_n; i++) {
		const struct store_part *part = &record->parts[i];
		const uint8_t n[2] = { (uint8_t)(part->name.n >> 8), (uint8_t)part->name.n };

		sha256_add(sha, n, sizeof(n));
		sha256_add(sha, part->name.p, part->name.n);
		sha256_add(sha, part->sha256, sizeof(part->sha256));
	}
	sha256_end(sha, digest);
	sha256_free(&sha);
	if (memcmp(digest, record->content, sizeof(digest)) != 0)
		verify_fault(verify, "item %" PRIu64 ": its content has another hash",
			     record->sequence);
}

/* the CRC of a body row covers its key, as records.c writes it; 0 = none is broken */
static uint64_t broken_chunk(struct verify *verify, uint64_t sequence)
{
	uint64_t from = sequence << BODY_SHIFT, found = 0;
	struct cur cur;
	bool more;

	cur_open(&cur, &verify->items, T_BODIES);
	more = cur_seek(&cur, key_u64(&from));
	for (; more && found == 0 && u64_of(cur.key) >> BODY_SHIFT == sequence;
	     more = cur_next(&cur)) {
		struct slice row = cur.value;
		uint8_t key[8];

		pack_u64(key, u64_of(cur.key));
		if (row.n < 4 || unpack_u32(row.p + row.n - 4) !=
					 crc32c(crc32c(0, key, sizeof(key)), row.p, row.n - 4))
			found = u64_of(cur.key) & ((1u << BODY_SHIFT) - 1);
	}
	cur_close(&cur);
	return found;
}

static void item_damaged(struct verify *verify, uint64_t sequence, int r)
{
	struct record record;
	uint64_t chunk = 0;

	if (r == NX_ECORRUPT && record_head(&verify->items, sequence, &record) == 0) {
		chunk = broken_chunk(verify, sequence);
		if (chunk > 0)
			verify_fault(verify, "item %" PRIu64 ": body chunk %" PRIu64 ": checksum",
				     sequence, chunk);
		else
			verify_fault(verify, "item %" PRIu64 ": its octets do not fit together",
				     sequence);
	} else {
		verify_fault(verify, "item %" PRIu64 ": head: %s", sequence,
			     r == NX_ECORRUPT ? "checksum" : nx_word(r));
	}
}

static void item_row(struct verify *verify, struct slice key, struct slice value)
{
	struct record record;
	uint8_t *octets = NULL;
	uint64_t sequence = u64_of(key);
	int r = record_read(&verify->items, sequence, &record, &octets);

	(void)value;
	if (r < 0) {
		item_damaged(verify, sequence, r);
		return;
	}
	if (record.state == ITEM_QUARANTINED)
		verify_fault(verify, "item %" PRIu64 ": quarantined", sequence);
	item_feed(verify, &record);
	item_story(verify, &record);
	item_content(verify, &record, octets);
	for (unsigned i = 0; i < record.parts_n; i++) {
		if (!has_use(verify, record.parts[i].number, sequence))
			verify_fault(verify,
				     "item %" PRIu64 ": its use of part %" PRIu64 " is not noted",
				     sequence, record.parts[i].number);
		else
			verify_part_of_item(verify, record.parts[i].number, sequence, false);
	}
	record_done(&record);
	free(octets);
}

static bool item_there(struct verify *verify, uint64_t sequence)
{
	struct slice value;

	return txn_get(&verify->items, T_ITEMS, key_u64(&sequence), &value);
}

static void body_row(struct verify *verify, struct slice key, struct slice value)
{
	(void)value;
	if (!item_there(verify, u64_of(key) >> BODY_SHIFT))
		verify_fault(verify, "a body chunk of item %" PRIu64 ", which is not there",
			     u64_of(key) >> BODY_SHIFT);
}

static void feed_line(struct verify *verify, struct slice key, struct slice value)
{
	struct feed_row feed;

	if (!feed_parse(key, value, &feed))
		verify_fault(verify, "feed row %" PRIu64 ": cannot be read", u64_of(key));
	else if (!item_there(verify, feed.sequence))
		verify_fault(verify, "feed row %" PRIu64 ": item %" PRIu64 " is not there",
			     feed.position, feed.sequence);
}

static void use_row(struct verify *verify, struct slice key, struct slice value)
{
	uint64_t part, sequence;
	struct slice doomed;

	(void)value;
	if (key.n != 16) {
		verify_fault(verify, "a row of uses cannot be read");
		return;
	}
	part = unpack_be64(key.p);
	sequence = unpack_be64(key.p + 8);
	if (!item_there(verify, sequence))
		verify_fault(verify,
			     "part %" PRIu64 ": used by item %" PRIu64 ", which is not there", part,
			     sequence);
	else
		verify_part_of_item(verify, part, sequence, false);
	if (txn_get(&verify->items, T_DOOMED, key_u64(&part), &doomed))
		verify_fault(verify, "part %" PRIu64 ": doomed, but item %" PRIu64 " uses it", part,
			     sequence);
}

/* was it given, as this slice sees the store? Beside a daemon there are more each moment */
static bool given(struct verify *verify, uint64_t sequence)
{
	struct items_count count;

	if (sequence > verify->sequence_last && count_get(&verify->items, &count))
		verify->sequence_last = count.sequence_last;
	return sequence <= verify->sequence_last;
}

/* an item that was retired is history; one that was never there is a fault */
static void story_line(struct verify *verify, struct slice key, struct slice value)
{
	struct identity_row identity;
	struct story_row story;
	char hex[17];

	hex_of(key.p, key.n < 8 ? key.n : 8, hex);
	switch (stories_kind(value)) {
	case STORY_IDENTITY:
		if (!identity_parse(value, &identity))
			verify_fault(verify, "identity %s: cannot be read", hex);
		else if (identity.sequence == 0 || !given(verify, identity.sequence))
			verify_fault(verify, "identity %s: item %" PRIu64 " was never given", hex,
				     identity.sequence);
		break;
	case STORY_STORY:
		if (!story_parse(value, &story))
			verify_fault(verify, "story %s: cannot be read", hex);
		else if (!given(verify, story.newest) || !given(verify, story.newest_released) ||
			 !given(verify, story.kill))
			verify_fault(verify,
				     "story %s: its newest, item %" PRIu64 ", was never given", hex,
				     story.newest);
		break;
	default:
		verify_fault(verify, "story %s: cannot be read", hex);
	}
}

static void fresh_line(struct verify *verify, struct slice key, struct slice value)
{
	struct fresh_row row;
	uint64_t points = 0;
	int r = fresh_parse(value, &row, &points);

	if (r < 0 || (r == 0 && points >= u64_of(key))) {
		verify_fault(verify, "fresh row %" PRIu64 ": cannot be read", u64_of(key));
	} else if (r == 1) {
		story_line(verify, slice_of(row.identity, 32), row.identity_row);
		story_line(verify, slice_of(row.story, 32), row.story_row);
	}
}

/* what is stored from now on is the next run's */
static void read_counters(struct verify *verify)
{
	struct items_count count;

	verify_begin(verify);
	count_get(&verify->items, &count); /* verify_meta.c tells */
	verify->sequence_last = count.sequence_last;
	verify->position_last = count.position_last;
	verify_end(verify);
}

void verify_all_items(struct verify *verify)
{
	read_counters(verify);
	verify_items(verify, T_ITEMS, item_row);
	verify_items(verify, T_BODIES, body_row);
	verify_items(verify, T_FEED, feed_line);
	verify_items(verify, T_USES, use_row);
	verify_items(verify, T_STORIES, story_line);
	verify_items(verify, T_FRESH, fresh_line);
}
