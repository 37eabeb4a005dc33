/*
 * PUT: the news rules at the moment of storing; everything that may refuse an item, before the
 * first row of it is written.
 *
 * A tombstone is final, as canceled is in NewsML-G2: after it no version of that story is stored
 * any more, whatever its number; a story that is to come back needs a new uri. Later kills of the
 * story are stored, so that each reaches every receiver.
 */
#include "store/put.h"

#include "base/hash.h"

#include <stdio.h>

#define DAY_MS (INT64_C(24) * 3600 * 1000)

static int content_hash(const struct store_put *put, uint8_t ret[32])
{
	struct sha256 *sha;
	uint8_t n[2];

	if (put->parts_n == 0) {
		sha256_of(put->document.p, put->document.n, ret);
		return 0;
	}
	sha = sha256_new();
	if (sha == NULL)
		return NX_ENOMEM;
	sha256_add(sha, put->document.p, put->document.n);
	for (unsigned i = 0; i < put->parts_n; i++) {
		const struct store_part *part = &put->parts[i];

		n[0] = (uint8_t)(part->name.n >> 8); /* as on the wire: network order */
		n[1] = (uint8_t)part->name.n;
		sha256_add(sha, n, 2);
		sha256_add(sha, part->name.p, part->name.n);
		sha256_add(sha, part->sha256, 32);
	}
	sha256_end(sha, ret);
	sha256_free(&sha);
	return 0;
}

static uint64_t octets_of(const struct store_put *put)
{
	uint64_t sum = put->envelope.n + put->document.n;

	for (unsigned i = 0; i < put->parts_n; i++)
		sum += put->parts[i].size;
	return sum;
}

/*
 * The key of an identity: the first half of its story's, then half of its own hash. So it stands
 * beside the story's row, and a put touches one leaf of that table, not two. Within one story 128
 * bits tell versions apart.
 */
static void identity_key(const struct facts *facts, const uint8_t story[32], uint8_t ret[32])
{
	uint8_t own[32];

	facts_identity_key(facts, own);
	memcpy(ret, story, 16);
	memcpy(ret + 16, own, 16);
}

int put_begin(struct putting *p)
{
	const struct store_put *put = p->put;
	uint8_t *facts;
	size_t facts_n;
	int r;

	p->record = (struct record){
		.state = ITEM_RELEASED,
		.lane = facts_lane(put->facts),
		.kill = facts_kill(put->facts),
		.partner = put->req.partner,
		.stored_ms = p->items->wall_ms,
		.received_ms = put->received_ms,
		.envelope_n = (uint32_t)put->envelope.n,
		.document_n = (uint32_t)put->document.n,
		.octets = octets_of(put),
		.parts_n = put->parts_n,
		.parts = (struct store_part *)put->parts,
		.facts = *put->facts,
	};
	facts_story_key(put->facts, p->record.story);
	identity_key(put->facts, p->record.story, p->record.identity);
	p->guess = fresh_guess(p->items, p->record.story);
	r = content_hash(put, p->record.content);
	if (r == 0)
		r = facts_write(put->facts, &facts, &facts_n);
	if (r == 0)
		p->record.facts_packed = slice_of(facts, facts_n);
	return r;
}

/* a further kill under the same version: its identity is told apart by its content */
static void identity_of_further_kill(struct record *record)
{
	uint8_t both[64], own[32];

	memcpy(both, record->identity, 32);
	memcpy(both + 32, record->content, 32);
	sha256_of(both, sizeof(both), own);
	memcpy(record->identity + 16, own, 16);
}

static int check_channel(const struct putting *p, const char *channel)
{
	return slice_is(p->put->facts->channel, channel) ? 0 : NX_EOTHERCHAN;
}

/* returns 1: it is a duplicate of p->seen; 0: it is new; or why it is refused */
static int check_identity(struct putting *p)
{
	struct record *record = &p->record;
	int r = identity_find(p->txn, record->identity, p->guess, &p->seen);

	if (r > 0 && check_channel(p, p->seen.channel) < 0)
		return NX_EOTHERCHAN;
	if (r > 0 && record->kill && memcmp(p->seen.content, record->content, 32) != 0) {
		identity_of_further_kill(record);
		r = identity_find(p->txn, record->identity, p->guess, &p->seen);
	}
	if (r > 0 && memcmp(p->seen.content, record->content, 32) != 0)
		r = NX_ECONFLICT;
	return r;
}

static int check_version(struct putting *p)
{
	const struct facts *facts = p->put->facts;
	struct slice newest = slice_str(p->story.version);
	int way, r;

	if (p->record.kill || p->story.newest == 0)
		return 0;
	r = version_compare(facts->version, facts->version_created_ms, newest, p->story.created_ms,
			    &way);
	if (r < 0 || way == 0) /* "1" and "01": two identities, and neither is newer */
		return NX_EORDER;
	p->older = way < 0;
	p->older_released = p->older && p->story.newest_released == p->story.newest;
	if (!p->older || p->story.newest_released == 0 ||
	    p->story.newest_released == p->story.newest)
		return 0;
	/* the newest is still held: how does this one stand to the newest that is out? */
	r = version_compare(facts->version, facts->version_created_ms,
			    slice_str(p->story.released_version), p->story.released_created_ms,
			    &way);
	if (r < 0 || way == 0)
		return NX_EORDER;
	p->older_released = way < 0;
	return 0;
}

const char *kills_key(char key[32], uint32_t partner)
{
	snprintf(key, 32, KILLS_KIND "%u", partner);
	return key;
}

enum meta_state kills_state(struct slice key, struct slice value)
{
	enum meta_state state = meta_state(key, value, KILLS_LEN);

	return state != META_BAD && value.p[0] == KILLS_VERSION ? state : META_BAD;
}

uint32_t utc_day(int64_t wall_ms)
{
	return (uint32_t)(wall_ms / DAY_MS);
}

static int check_kills(struct putting *p)
{
	struct slice value;
	char key[32];

	if (!p->record.kill)
		return 0;
	p->kills = 1;
	kills_key(key, p->put->req.partner);
	if (txn_get(p->txn, T_META, slice_str(key), &value) &&
	    kills_state(slice_str(key), value) != META_BAD && /* a kill is never late for that */
	    unpack_u32(value.p + 1) == utc_day(p->items->wall_ms))
		p->kills = unpack_u32(value.p + 5) + 1;
	return p->kills > p->put->kills_per_day ? NX_EKILLS : 0;
}

int put_check_parts(const struct putting *p)
{
	for (unsigned i = 0; i < p->put->parts_n; i++)
		if (items_is_doomed(p->txn, p->put->parts[i].number))
			return NX_EPARTSGONE;
	return 0;
}

static bool embargoed(const struct putting *p)
{
	return p->put->facts->embargo_ms != TIME_NONE &&
	       p->put->facts->embargo_ms > clockrule_now(&p->items->clock, p->items->wall_ms);
}

/* sets state and held_until_ms */
static int check_held(struct putting *p)
{
	struct record *record = &p->record;
	bool withheld = p->put->facts->status == STATUS_WITHHELD;

	if (record->kill && (p->story.newest_released != 0 || !embargoed(p)))
		return 0; /* a kill does not wait when anything is out */
	if (!withheld && !embargoed(p)) {
		if (p->older_released)
			record->state = ITEM_SUPERSEDED;
		return 0;
	}
	if (p->older) {
		record->state = ITEM_SUPERSEDED;
		record->held_until_ms = INT64_MAX; /* never */
		return 0;
	}
	record->state = ITEM_HELD;
	record->held_until_ms = withheld ? INT64_MAX : p->put->facts->embargo_ms;
	if (record->kill)
		return 0; /* bounded by kills-per-day, and never turned away for room */
	return held_octets(p->txn, record->partner) + record->octets > p->items->times.held_size
		       ? NX_EHELDFULL
		       : 0;
}

int put_check(struct putting *p)
{
	int r = check_identity(p);

	if (r != 0)
		return r;
	r = story_find(p->txn, p->record.story, p->guess, &p->story);
	p->story_known = r > 0;
	/* a kill or a correction must reach those who have what it kills or corrects */
	if (r > 0)
		r = check_channel(p, p->story.channel);
	if (r < 0)
		return r;
	if (p->story.kill != 0 && !p->record.kill)
		return NX_EKILLED;
	r = check_version(p);
	if (r == 0)
		r = check_kills(p);
	if (r == 0)
		r = put_check_parts(p);
	if (r == 0)
		r = check_held(p);
	return r;
}
