/* One item and all that hangs on it; what has no position, what was withheld, old identities and
 * old receipts. */
#include "store/removal.h"

#define ROUND_MS    INT64_C(3600000) /* between two rounds of the walks */
#define PRESSED_MS  1000             /* while the stories fill the store */
#define WALK_LOOK   300
#define WALK_REMOVE 32
#define HISTORY_LEAST_MS                                                                           \
	INT64_C(3600000) /* who sends again within it is still known; then debts go */

uint64_t removal_pages(const struct record *record)
{
	return ((uint64_t)record->envelope_n + record->document_n) / 4076 + 2;
}

static void use_remove(struct removal *removal, uint64_t part, uint64_t sequence)
{
	struct txn *txn = removal->txn;
	uint8_t key[16];
	struct cur cur;
	bool used;

	pack_be64(pack_be64(key, part), sequence);
	if (!txn_del(txn, T_USES, slice_of(key, sizeof(key))))
		return;
	removal->pages++;
	cur_open(&cur, txn, T_USES);
	used = cur_seek(&cur, slice_of(key, 8)) && cur.key.n == 16 &&
	       memcmp(cur.key.p, key, 8) == 0;
	cur_close(&cur);
	if (!used && txn->r == 0)
		items_note_unused(removal->items, txn, part);
}

/* the uses of a damaged record are not known: they stay, as the parts do, until --verify-store
 * names them */
void removal_item(struct removal *removal, uint64_t sequence, uint64_t position)
{
	struct txn *txn = removal->txn;
	struct record record;
	int r = record_read(txn, sequence, &record, NULL);

	if (r == 0) {
		for (unsigned i = 0; i < record.parts_n; i++)
			use_remove(removal, record.parts[i].number, sequence);
		removal->octets += record.octets;
		record_done(&record);
	} else if (r != NX_ECORRUPT && r != NX_ENOENT) {
		txn->r = txn->r < 0 ? txn->r : r;
		return;
	}
	removal->pages += record_remove(txn, sequence);
	removal->items_n++;
	if (position == 0)
		return;
	txn_del(txn, T_FEED, key_u64(&position));
	txn_del(txn, T_FLASH, key_u64(&position));
	removal->first = removal->first == 0 ? position : removal->first;
	removal->last = position;
}

void removal_tell(const struct removal *removal)
{
	struct store_event event = {
		.kind = STORE_RETIRED,
		.items = removal->items_n,
		.octets = removal->octets,
		.first = removal->first,
		.last = removal->last,
	};

	if (removal->items_n > 0)
		items_note(removal->items, removal->txn, &event);
}

/* ---- the slow walks */
static void walk_items(struct tend *tend, struct removal *removal, int64_t before_ms)
{
	uint64_t found[WALK_REMOVE], from = tend->sequence;
	struct record record;
	unsigned n = 0, looked = 0;
	uint64_t pages = 0;
	struct cur cur;
	bool more;

	cur_open(&cur, removal->txn, T_ITEMS);
	for (more = cur_seek(&cur, key_u64(&from)); more; more = cur_next(&cur)) {
		if (looked++ >= WALK_LOOK || n == WALK_REMOVE || pages > REMOVAL_PAGES / 2)
			break;
		from = u64_of(cur.key) + 1;
		if (record_head(removal->txn, u64_of(cur.key), &record) < 0)
			continue;
		if ((record.state != ITEM_SUPERSEDED && record.state != ITEM_KILLED) ||
		    record.position != 0 || record.stored_ms >= before_ms)
			continue;
		pages += removal_pages(&record);
		found[n++] = u64_of(cur.key);
	}
	cur_close(&cur);
	for (unsigned i = 0; i < n; i++)
		removal_item(removal, found[i], 0);
	tend->sequence = from;
	if (!more)
		tend->walk = WALK_HELD;
}

static void withheld_remove(struct removal *removal, const struct record *record)
{
	struct txn *txn = removal->txn;
	struct story_row story;

	held_remove(removal->items, txn, record);
	if (story_get(txn, record->story, record->sequence, &story) &&
	    story.held == record->sequence) {
		story.held = 0;
		story_put(txn, record->story, &story);
	}
	removal_item(removal, record->sequence, 0);
}

/* withheld without a time: by key the last ones of T_HELD, the oldest first */
static void walk_held(struct tend *tend, struct removal *removal, int64_t before_ms)
{
	uint64_t found[WALK_REMOVE];
	struct record record;
	uint8_t key[16];
	unsigned n = 0;
	struct cur cur;

	pack_be64(pack_be64(key, UINT64_MAX), 0);
	cur_open(&cur, removal->txn, T_HELD);
	for (bool more = cur_seek(&cur, slice_of(key, sizeof(key))); more && n < WALK_REMOVE;
	     more = cur_next(&cur)) {
		uint64_t sequence = cur.key.n == 16 ? unpack_be64(cur.key.p + 8) : 0;

		if (record_head(removal->txn, sequence, &record) == 0 &&
		    record.stored_ms >= before_ms)
			break;
		found[n++] = sequence;
	}
	cur_close(&cur);
	for (unsigned i = 0; i < n && removal->pages < REMOVAL_PAGES / 2; i++) {
		if (record_head(removal->txn, found[i], &record) == 0) {
			withheld_remove(removal, &record);
			continue;
		}
		pack_be64(pack_be64(key, UINT64_MAX), found[i]); /* a row without an item */
		txn_del(removal->txn, T_HELD, slice_of(key, sizeof(key)));
	}
	if (n < WALK_REMOVE)
		tend->walk = WALK_STORIES;
}

static bool item_there(struct txn *txn, uint64_t sequence)
{
	struct slice value;

	return sequence != 0 && txn_get(txn, T_ITEMS, key_u64(&sequence), &value);
}

/* a row that is there for history's sake alone; when it was stored */
static bool story_may_go(struct txn *txn, struct slice value, int64_t before_ms, int64_t *ret_ms)
{
	struct identity_row identity;
	struct story_row story;

	switch (stories_kind(value)) {
	case STORY_IDENTITY:
		if (!identity_parse(value, &identity) || identity.stored_ms >= before_ms)
			return false;
		*ret_ms = identity.stored_ms;
		return !item_there(txn, identity.sequence);
	case STORY_STORY:
		if (!story_parse(value, &story) || story.kill != 0 || story.held != 0 ||
		    story.stored_ms >= before_ms)
			return false;
		*ret_ms = story.stored_ms;
		return !item_there(txn, story.newest) && !item_there(txn, story.newest_released);
	default:
		return false;
	}
}

/* true: it is too old. Of those that stay the oldest is remembered */
static bool story_old(struct tend *tend, struct txn *txn, struct slice value, int64_t before_ms)
{
	int64_t most_ms = tend->oldest_ms > before_ms ? tend->oldest_ms : before_ms, stored_ms;

	if (!story_may_go(txn, value, most_ms, &stored_ms))
		return false;
	if (stored_ms >= before_ms)
		tend->oldest_ms = stored_ms;
	return stored_ms < before_ms;
}

/* what is merged meanwhile is not looked at, and what is still in `fresh` is in the next round */
static void walk_stories(struct tend *tend, struct removal *removal, int64_t before_ms)
{
	struct txn *txn = removal->txn;
	uint8_t found[WALK_REMOVE][32];
	unsigned n = 0, looked = 0;
	struct cur cur;
	bool more;

	if (!tend->story_more)
		removal->items->fresh.asked = true;
	if (removal->items->fresh.old.n > 0) {
		tend->walk = WALK_RECEIPTS;
		return;
	}
	cur_open(&cur, txn, T_STORIES);
	more = tend->story_more ? cur_seek(&cur, slice_of(tend->story, 32)) : cur_first(&cur);
	for (; more && looked < WALK_LOOK && n < WALK_REMOVE; more = cur_next(&cur), looked++) {
		if (cur.key.n == 32 && story_old(tend, txn, cur.value, before_ms))
			memcpy(found[n++], cur.key.p, 32);
	}
	tend->story_more = more && cur.key.n == 32;
	if (tend->story_more)
		memcpy(tend->story, cur.key.p, 32);
	cur_close(&cur);
	for (unsigned i = 0; i < n; i++)
		txn_del(txn, T_STORIES, slice_of(found[i], 32));
	if (!tend->story_more) {
		tend->walk = WALK_RECEIPTS;
		tend->looked = true;
	}
}

/* ---- pressure: a history that fills the store is shortened, by a quarter of what it goes back */
static bool pressed(const struct items *items)
{
	return tend_items_percent(items) >= PRESSURE_PERCENT;
}

bool walk_presses(const struct items *items, const struct tend *tend)
{
	return pressed(items) && tend->walk != WALK_REST;
}

static void shorten(struct removal *removal, struct tend *tend, int64_t now_ms)
{
	int64_t keep_ms = removal->items->times.history_keep_ms;
	int64_t least_ms = keep_ms < HISTORY_LEAST_MS ? keep_ms : HISTORY_LEAST_MS;
	int64_t age_ms = tend->oldest_ms == INT64_MAX ? 0 : now_ms - tend->oldest_ms;
	struct store_event event = { .kind = STORE_HISTORY };

	if (!tend->looked)
		return;
	tend->bare = age_ms <= least_ms;
	if (tend->bare)
		return;
	tend->history_ms = age_ms / 4 * 3 > least_ms ? age_ms / 4 * 3 : least_ms;
	event.ms = tend->history_ms;
	items_note(removal->items, removal->txn, &event);
}

static bool round_is_due(const struct items *items, struct tend *tend, int64_t now_ms)
{
	int64_t rest_ms = tend->walked_ms == 0 ? INT64_MAX : now_ms - tend->walked_ms;

	if (!pressed(items)) {
		tend->bare = false;
		tend->history_ms = 0;
	}
	return rest_ms < 0 || rest_ms >= ROUND_MS ||
	       (pressed(items) && !tend->bare && rest_ms >= PRESSED_MS);
}

void walk_step(struct removal *removal, struct tend *tend, int64_t now_ms, int64_t keep_ms)
{
	struct items *items = removal->items;
	int64_t history_ms =
		now_ms - (tend->history_ms != 0 ? tend->history_ms : items->times.history_keep_ms);

	switch (tend->walk) {
	case WALK_REST:
		if (round_is_due(items, tend, now_ms))
			tend->walk = WALK_ITEMS;
		tend->sequence = 0;
		tend->oldest_ms = INT64_MAX;
		tend->looked = false;
		break;
	case WALK_ITEMS:
		walk_items(tend, removal, keep_ms);
		break;
	case WALK_HELD: /* withheld: its own whole keep, whatever stands in the store */
		walk_held(tend, removal, now_ms - items->times.keep_ms);
		break;
	case WALK_STORIES:
		walk_stories(tend, removal, history_ms);
		break;
	case WALK_RECEIPTS:
		if (!receipts_forget(removal->items, removal->txn, &tend->receipts, history_ms,
				     WALK_LOOK)) {
			tend->walk = WALK_REST;
			tend->walked_ms = now_ms;
			if (pressed(items))
				shorten(removal, tend, now_ms);
		}
		break;
	}
}
