/* CLAIM and FETCH, in the reader's thread and transaction. */
#include "store/items_priv.h"
#include <stdlib.h>

#define LOOK_MAX                                                                                   \
	500 /* positions and rows a call: then the caller asks again, others had their turn */

/* the writer mends at its next tick */
static int met(struct items *items, int r)
{
	if (r == NX_ECORRUPT)
		atomic_store(&items->damaged, true);
	return r;
}

/* without it there would be nothing more to fetch */
static void read_count(struct txn *txn, struct items_count *ret)
{
	if (!count_get(txn, ret) && txn->r == 0)
		txn->r = NX_ECORRUPT;
}

int items_claim(struct items *items, struct txn *txn, struct store_claim *claim)
{
	struct items_count count = { 0 };
	struct receipt_entry acked;
	struct owed_state state;
	struct owed_sum sum;

	read_count(txn, &count);
	owed_at_most(txn, claim->subscription, &sum);
	owed_state_get(txn, claim->subscription, &state);
	claim->acked_last = 0;
	if (receipts_last_acked(txn, claim->subscription, true, &acked))
		claim->acked_last = acked.position;
	claim->owed_at_most = sum.items;
	claim->first_owed = sum.first;
	claim->expired = state.expired_items;
	claim->kills_only = state.rows >= OWED_ROWS_MAX;
	claim->position_last = count.position_last;
	return met(items, txn->r);
}

/* ---- FETCH */
struct fetching {
	struct items *items;
	struct txn *txn;
	struct store_fetch *fetch;
	const struct sub *sub;
	struct filter_cache filters;
	struct cur rows, feed;
	uint64_t upto; /* never beyond the last position given */
	uint64_t at;   /* not looked at yet */
	uint64_t skip; /* skip..at-1 did not match; == at: none */
	size_t octets;
	unsigned looked;
	bool full; /* enough for this call */
	int r;
};

static bool enough(struct fetching *f)
{
	return f->full || f->r < 0 || f->txn->r < 0 || f->fetch->n >= f->fetch->items_max ||
	       f->fetch->n >= FETCH_MAX || f->octets >= f->fetch->octets_max ||
	       f->looked >= LOOK_MAX;
}

/*
 * what stands at f->at must stay owed. If positions before it wait to be skipped this call ends
 * here and tells them, else `next` goes on behind it
 */
static bool pass_by(struct fetching *f, uint64_t next)
{
	if (f->skip < f->at) {
		f->full = true;
		return false;
	}
	f->at = f->skip = next;
	return true;
}

static void corrupt(struct fetching *f, uint64_t sequence, uint64_t position)
{
	struct store_event event = { .kind = STORE_CORRUPT,
				     .sequence = sequence,
				     .subscription = f->sub->number,
				     .first = position,
				     .last = position,
				     .code = NX_ECORRUPT };

	why_set(&event.why, NX_ECORRUPT, "item %llu at position %llu is damaged: it is left out",
		(unsigned long long)sequence, (unsigned long long)position);
	if (f->items->event != NULL)
		f->items->event(f->items->arg, &event);
}

enum look { LOOK_MATCH, LOOK_OTHER, LOOK_CORRUPT, LOOK_FAILED };

/* is the item there, and does it belong to the row? LOOK_MATCH: *ret is the caller's */
static enum look look(struct fetching *f, const struct owed_row *row, uint64_t sequence,
		      struct record *ret)
{
	int r = sequence == 0 ? NX_ECORRUPT : record_read(f->txn, sequence, ret, NULL);

	if (r == NX_ENOENT)
		return LOOK_OTHER;
	if (r == NX_ECORRUPT)
		return LOOK_CORRUPT;
	if (r < 0) {
		f->r = r;
		return LOOK_FAILED;
	}
	if (filter_match(f->txn, &f->filters, f->sub, row->generation, ret->facts.channel))
		return LOOK_MATCH;
	record_done(ret);
	return LOOK_OTHER;
}

static void take(struct fetching *f, const struct owed_row *row, const struct feed_row *feed,
		 struct record *record, uint8_t *octets)
{
	struct fetched *item = &f->fetch->items[f->fetch->n++];

	item->position = feed->position;
	item->sequence = feed->sequence;
	item->skip_first = f->fetch->lane == LANE_ROUTINE ? f->skip : feed->position;
	item->lane = feed->lane;
	item->kill = feed->kill;
	item->has_parts = record->parts_n > 0;
	item->attempts = row->attempts;
	item->follows = f->sub->versions_all && versions_before(f->txn, record, NULL, NULL);
	memcpy(item->story, record->story, sizeof(item->story));
	if (octets == NULL)
		return;
	item->octets = octets;
	item->envelope_n = record->envelope_n;
	item->document_n = record->document_n;
	item->parts = record->parts;
	item->parts_n = record->parts_n;
	record->parts = NULL; /* the item's now */
	f->octets += (size_t)record->envelope_n + record->document_n;
}

/* a matching item: LOOK_MATCH when it was taken */
static enum look deliver(struct fetching *f, const struct owed_row *row,
			 const struct feed_row *feed, struct record *record)
{
	enum settle_how verdict = story_verdict(f->txn, record, f->sub->versions_all);
	uint8_t *octets = NULL;
	int r = 0;

	if (verdict == SETTLE_ACKED) {
		record_done(record);
		r = record_read(f->txn, feed->sequence, record, &octets);
	}
	if (r == NX_ECORRUPT || r == NX_ENOENT)
		return LOOK_CORRUPT;
	if (r < 0) {
		f->r = r;
		return LOOK_FAILED;
	}
	f->fetch->items[f->fetch->n].verdict = verdict;
	take(f, row, feed, record, octets);
	record_done(record);
	return LOOK_MATCH;
}

static enum look look_and_take(struct fetching *f, const struct owed_row *row,
			       const struct feed_row *feed)
{
	struct record record = { 0 };
	enum look saw = look(f, row, feed->sequence, &record);

	f->looked++;
	if (saw == LOOK_MATCH)
		saw = deliver(f, row, feed, &record);
	if (saw == LOOK_CORRUPT)
		corrupt(f, feed->sequence, feed->position);
	return saw;
}

/* does this flash go out in its turn, by the routine lane? What flash_waits() leaves comes here */
static bool in_turn(const struct fetching *f, const struct feed_row *feed,
		    const struct record *record)
{
	if (feed->kill)
		return false;
	return f->fetch->kills_only ||
	       (f->sub->versions_all && versions_before(f->txn, record, NULL, NULL));
}

static bool routine_take(struct fetching *f, const struct owed_row *row,
			 const struct feed_row *feed);

/* a position of the other lane breaks the run of what may be skipped, if it matches */
static bool other_lane(struct fetching *f, const struct owed_row *row, const struct feed_row *feed)
{
	struct record record = { 0 };
	enum look saw = look(f, row, feed->sequence, &record);

	f->looked++;
	if (saw == LOOK_MATCH) {
		bool ours = in_turn(f, feed, &record);

		record_done(&record);
		if (ours)
			return routine_take(f, row, feed);
	}
	if (saw == LOOK_FAILED)
		return false;
	if (saw == LOOK_OTHER) {
		f->at = feed->position + 1;
		return true;
	}
	f->at = feed->position;
	return pass_by(f, feed->position + 1);
}

static bool routine_take(struct fetching *f, const struct owed_row *row,
			 const struct feed_row *feed)
{
	f->at = feed->position;
	switch (look_and_take(f, row, feed)) {
	case LOOK_MATCH:
		f->at = f->skip = feed->position + 1;
		return true;
	case LOOK_OTHER:
		f->at = feed->position + 1;
		return true;
	case LOOK_CORRUPT:
		return pass_by(f, feed->position + 1);
	default:
		return false;
	}
}

static bool routine_one(struct fetching *f, const struct owed_row *row, const struct feed_row *feed)
{
	return feed->lane == LANE_ROUTINE ? routine_take(f, row, feed) : other_lane(f, row, feed);
}

/* true: wait before it is tried again */
static bool too_early(struct fetching *f, const struct owed_row *row)
{
	if (row->attempts == 0 || row->not_before_ms <= f->fetch->wall_ms ||
	    row->not_before_ms - f->fetch->wall_ms > LATER_CEILING_MS)
		return false;
	if (row->not_before_ms < f->fetch->retry_at_ms)
		f->fetch->retry_at_ms = row->not_before_ms;
	return true;
}

/* the positions of one row, from f->at on; leaves f->at behind the row, or where it stopped */
static bool routine_row(struct fetching *f, const struct owed_row *row)
{
	uint64_t last = row->last < f->upto ? row->last : f->upto;
	struct feed_row feed;
	bool more;

	for (more = cur_seek(&f->feed, key_u64(&f->at)); more; more = cur_next(&f->feed)) {
		if (!feed_read(&f->feed, &feed) || feed.position > last)
			break;
		if (enough(f) || !routine_one(f, row, &feed))
			return false;
	}
	f->at = last + 1;
	return !enough(f);
}

static bool retry_row(struct fetching *f, const struct owed_row *row)
{
	struct feed_row feed;

	f->looked++;
	if (feed_get(f->txn, row->first, &feed) && feed.lane != LANE_ROUTINE &&
	    (feed.kill || !(f->fetch->kills_only || f->sub->versions_all)))
		return pass_by(f, row->last + 1); /* the flash lane's own */
	if (too_early(f, row))
		return pass_by(f, row->last + 1);
	return routine_row(f, row);
}

static void fetch_routine(struct fetching *f)
{
	struct owed_row row;

	while (f->at <= f->upto && !enough(f)) {
		if (!owed_at(&f->rows, f->sub->number, f->at, &row) || row.first > f->upto) {
			f->at = f->upto + 1; /* nothing of the rest is owed */
			break;
		}
		f->looked++;
		if (f->at < row.first) { /* what lies between is not owed: may be skipped too */
			f->skip = f->skip == f->at ? row.first : f->skip;
			f->at = row.first;
		}
		if (!(row.attempts > 0 ? retry_row(f, &row) : routine_row(f, &row)))
			break;
	}
	f->fetch->next = f->at;
	f->fetch->skip_first = f->skip < f->at ? f->skip : 0;
	f->fetch->end = f->at > f->upto;
}

/* an older version that is owed, and was not put off by the subscriber itself: that blocks nothing
 */
static bool is_ahead(const struct record *older, void *arg)
{
	struct fetching *f = arg;
	struct owed_row row;

	return older->lane == LANE_ROUTINE &&
	       owed_at(&f->rows, f->sub->number, older->position, &row) &&
	       row.first <= older->position && row.attempts == 0;
}

/* with versions = all it must not pass an older version that goes out by the routine lane */
static bool flash_waits(struct fetching *f, uint64_t sequence)
{
	struct record record;

	return f->sub->versions_all && record_head(f->txn, sequence, &record) == 0 &&
	       !record.kill && versions_before(f->txn, &record, is_ahead, f);
}

/* flash and kills, by their own table; what does not match is left for the routine lane to skip */
static void flash_one(struct fetching *f, uint64_t position)
{
	struct feed_row feed;
	struct owed_row row;

	f->looked++;
	if (!owed_at(&f->rows, f->sub->number, position, &row)) {
		f->at = f->upto + 1;
		return;
	}
	f->at = row.first > position ? row.first : position + 1;
	if (row.first > position || !feed_get(f->txn, position, &feed))
		return;
	if ((f->fetch->kills_only && !feed.kill) || too_early(f, &row) ||
	    flash_waits(f, feed.sequence))
		return;
	if (look_and_take(f, &row, &feed) == LOOK_FAILED)
		f->at = position;
}

static void fetch_flash(struct fetching *f)
{
	struct cur flash;

	cur_open(&flash, f->txn, T_FLASH);
	while (f->at <= f->upto && !enough(f)) {
		if (!cur_seek(&flash, key_u64(&f->at)) || u64_of(flash.key) > f->upto) {
			f->at = f->upto + 1;
			break;
		}
		flash_one(f, u64_of(flash.key));
	}
	cur_close(&flash);
	f->fetch->next = f->at;
	f->fetch->end = f->at > f->upto;
}

static void fetch_begin(struct fetching *f)
{
	struct items_count count = { 0 };
	struct store_fetch *fetch = f->fetch;
	struct owed_state state;

	fetch->n = 0;
	fetch->skip_first = 0;
	fetch->end = false;
	fetch->retry_at_ms = INT64_MAX;
	memset(fetch->items, 0, sizeof(fetch->items));
	read_count(f->txn, &count);
	f->upto = fetch->upto > 0 && fetch->upto < count.position_last ? fetch->upto
								       : count.position_last;
	f->at = f->skip = fetch->from > 0 ? fetch->from : 1;
	owed_state_get(f->txn, fetch->subscription, &state);
	f->fetch->kills_only = state.rows >= OWED_ROWS_MAX;
}

int items_fetch(struct items *items, struct txn *txn, struct store_fetch *fetch)
{
	struct subdir *subdir = items_subs(items);
	struct fetching f = { .items = items, .txn = txn, .fetch = fetch };
	int r = NX_ENOSUB;

	f.sub = subs_find(subdir, fetch->subscription);
	fetch_begin(&f);
	if (f.sub == NULL)
		goto out;
	if (f.at > f.upto) {
		fetch->next = f.at;
		fetch->end = true;
		r = txn->r;
		goto out;
	}
	cur_open(&f.rows, txn, T_OWED);
	cur_open(&f.feed, txn, T_FEED);
	if (fetch->lane == LANE_FLASH)
		fetch_flash(&f);
	else
		fetch_routine(&f);
	cur_close(&f.feed);
	cur_close(&f.rows);
	r = f.r < 0 ? f.r : txn->r;
	if (r < 0)
		store_fetch_done(fetch);
out:
	subdir_free(&subdir);
	return met(items, r);
}

void store_fetch_done(struct store_fetch *fetch)
{
	for (unsigned i = 0; i < fetch->n; i++) {
		free(fetch->items[i].octets);
		free(fetch->items[i].parts);
		fetch->items[i].octets = NULL;
		fetch->items[i].parts = NULL;
	}
	fetch->n = 0;
}
