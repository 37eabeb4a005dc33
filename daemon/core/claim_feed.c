/* what goes out next: from the ring, or fetched from the store; and who must wait for whom */
#include "base/clock.h"
#include "base/log.h"
#include "core/claim_priv.h"
#include "core/settle.h"

#include <stdlib.h>

enum { LOOK_AT_ONCE = 65536, FETCH_ITEMS = 32, FETCH_OCTETS = 256 * 1024 };

static bool versions_all(const struct claim *claim)
{
	return claim->feed->conf != NULL && claim->feed->conf->versions == VERSIONS_ALL;
}

static bool not_sent(const struct claim *claim, enum settle_how verdict)
{
	return verdict == SETTLE_KILLED || (verdict == SETTLE_SUPERSEDED && !versions_all(claim));
}

/* the reader's snapshot may be older than what the loop has heard since: a kill, a newer version */
static enum settle_how verdict_now(const struct claim *claim, const struct fetched *f)
{
	struct map_node *node = map_first(&claim->exchange->stories, map_hash_key(f->story));

	for (; f->verdict == SETTLE_ACKED && !f->kill && node != NULL; node = map_next(node)) {
		const struct hot *hot = container_of(node, struct hot, by_story);

		if (memcmp(hot->story, f->story, 32) != 0 || hot->position <= f->position)
			continue;
		if (hot->kill)
			return SETTLE_KILLED;
		if (hot->verdict == SETTLE_ACKED && !versions_all(claim))
			return SETTLE_SUPERSEDED;
	}
	return f->verdict;
}

static struct hot *hot_fetched(struct fetched *f)
{
	struct hot *hot = calloc(1, sizeof(*hot));

	if (hot == NULL)
		return NULL;
	*hot = (struct hot){ .refs = 1,
			     .sequence = f->sequence,
			     .position = f->position,
			     .lane = f->lane,
			     .kill = f->kill,
			     .follows = f->follows,
			     .verdict = SETTLE_ACKED,
			     .octets = f->octets,
			     .octets_n = (size_t)f->envelope_n + f->document_n,
			     .envelope = slice_of(f->octets, f->envelope_n),
			     .document = slice_of(f->octets + f->envelope_n, f->document_n) };
	f->octets = NULL;
	memcpy(hot->story, f->story, sizeof(hot->story));
	hot->parts = hot_parts_copy(f->parts, f->parts_n);
	if (f->parts_n > 0 && hot->parts == NULL)
		hot_unref(&hot);
	return hot;
}

/* one fetched item: settled at once, passed by because it is open, or made ready to send */
static void take_fetched(struct claim *claim, struct cursor *cursor, struct fetched *f)
{
	struct exchange *exchange = claim->exchange;
	struct hot seen = { .sequence = f->sequence, .kill = f->kill };
	uint64_t first = f->skip_first == 0 ? f->position : f->skip_first;
	enum settle_how verdict = verdict_now(claim, f);
	struct hot *hot;

	if (feed_busy(claim->feed, f->position))
		return;
	if (verdict != SETTLE_ACKED) {
		claim_settle(claim, verdict, first, &seen, f->position);
		return;
	}
	hot = hot_fetched(f);
	if (hot == NULL) { /* looked for again at the next tick */
		claim->retry_at_ms = 0;
		return;
	}
	/* released by time, it is not in the ring: what is older must not follow it */
	if (f->kill || !versions_all(claim))
		exchange->newer(exchange->arg, f->story, f->position, f->kill);
	exchange_story_add(exchange, hot);
	cursor->queue[cursor->n++] =
		(struct ready){ .hot = hot, .skip_first = first, .attempts = f->attempts };
}

static void fetch_free(struct store_fetch **fetch)
{
	store_fetch_done(*fetch);
	free(*fetch);
	*fetch = NULL;
}

/* its items, ready to send; the cursor goes on behind them */
static void take_all(struct claim *claim, struct cursor *cursor, struct store_fetch *fetch)
{
	claim->feed->kills_only = fetch->kills_only;
	cursor->queue = calloc(fetch->n == 0 ? 1 : fetch->n, sizeof(*cursor->queue));
	if (cursor->queue == NULL)
		return;
	for (unsigned i = 0; i < fetch->n; i++)
		take_fetched(claim, cursor, &fetch->items[i]);
	if (cursor->n == 0)
		claim_queue_drop(claim, cursor);
	if (fetch->skip_first != 0 && fetch->next > fetch->skip_first)
		claim_settle(claim, SETTLE_SKIPPED, fetch->skip_first, NULL, fetch->next - 1);
	cursor->next = fetch->end && fetch->upto != 0 ? fetch->upto + 1 : fetch->next;
	if (fetch->end && cursor->next <= claim->backlog_end)
		cursor->next = claim->backlog_end + 1;
	if (fetch->retry_at_ms < claim->retry_at_ms)
		claim->retry_at_ms = fetch->retry_at_ms;
}

static void fetched(struct store_req *req, void *arg)
{
	struct claim *claim = arg;
	struct store_fetch *fetch = (struct store_fetch *)req;
	struct cursor *cursor = &claim->cursor[fetch->lane];
	int code = req->code;

	claim->requests--;
	cursor->fetching = NULL;
	if (claim->link == NULL) {
		fetch_free(&fetch);
		claim_free(claim);
		return;
	}
	if (code < 0 && code != cursor->failed) /* at each tick again, until it goes */
		log_err("subscription.fetch", kv_str("subscription", claim->feed->name),
			kv_str("reason", nx_word(code)), kv_str("words", req->why.words));
	cursor->failed = code;
	if (code == 0 && fetch->from == cursor->next && !cursor->stale)
		take_all(claim, cursor, fetch);
	feed_fetch_end(claim->feed, fetch->lane);
	fetch_free(&fetch);
	if (code == 0)
		claim_ready(claim);
}

static void fetch_from(struct claim *claim, enum lane lane, uint64_t upto)
{
	struct cursor *cursor = &claim->cursor[lane];
	struct store_fetch *fetch;

	if (cursor->fetching != NULL)
		return;
	fetch = calloc(1, sizeof(*fetch));
	if (fetch == NULL)
		return; /* asked again at the next tick */
	fetch->req = (struct store_req){ .kind = REQ_FETCH,
					 .done = fetched,
					 .arg = claim,
					 .urgent = lane == LANE_FLASH,
					 .partner = claim->link->partner->number };
	fetch->subscription = claim->feed->number;
	fetch->lane = lane;
	fetch->from = cursor->next;
	fetch->upto = upto;
	fetch->items_max = FETCH_ITEMS;
	fetch->octets_max = FETCH_OCTETS;
	fetch->wall_ms = clock_wall_ms();
	cursor->fetching = fetch;
	cursor->stale = false;
	feed_fetch_begin(claim->feed, lane);
	claim->requests++;
	store_submit(claim->link->exchange->store, &fetch->req);
}

static bool may_match(const struct claim *claim, const struct hot *hot)
{
	return store_match(claim->exchange->store, claim->feed->number, slice_str(hot->channel));
}

/* is there a flash before this position that the flash cursor has not handed out? It is moved on
 * over what is not its business: nobody wakes it for that */
static bool flash_before(struct claim *claim, uint64_t position)
{
	const struct ring *ring = &claim->exchange->ring;
	struct cursor *flash = &claim->cursor[LANE_FLASH];

	if (flash->at < flash->n)
		return flash->queue[flash->at].hot->position < position;
	if (flash->fetching != NULL || flash->next <= claim->backlog_end)
		return flash->next < position;
	for (; flash->next < position; flash->next++) {
		const struct hot *hot = ring_at(ring, flash->next);

		if (hot == NULL || (hot->lane == LANE_FLASH && may_match(claim, hot) &&
				    !feed_busy(claim->feed, hot->position)))
			return true;
	}
	return false;
}

/* with versions = all a routine item does not pass an older flash of its story, which may wait for
 * credit */
static bool behind_flash(struct claim *claim, enum lane lane, const struct hot *hot)
{
	return lane == LANE_ROUTINE && hot->follows && versions_all(claim) &&
	       flash_before(claim, hot->position);
}

/* the last position of the gap in the ring that begins here */
static uint64_t gap_end(const struct ring *ring, uint64_t position)
{
	if (position < ring->first)
		return ring->first - 1;
	while (position + 1 < ring->end && ring_at(ring, position + 1) == NULL)
		position++;
	return position;
}

/* what the ring holds is looked at here: the verdict is the same as the store's */
static bool look_at(struct claim *claim, struct hot *hot, enum lane lane, struct ready *ret)
{
	uint64_t p = hot->position;
	bool match = may_match(claim, hot);

	if (match &&
	    hot->lane != lane) { /* the other cursor's: it breaks the run of what did not match */
		if (lane == LANE_ROUTINE)
			claim_skip_flush(claim);
		return false;
	}
	if (!match) {
		if (lane == LANE_ROUTINE && claim->skip_first == 0)
			claim->skip_first = p;
		return false;
	}
	ret->skip_first = lane == LANE_ROUTINE && claim->skip_first != 0 ? claim->skip_first : p;
	if (lane == LANE_ROUTINE)
		claim->skip_first = 0;
	if (not_sent(claim, hot->verdict)) {
		claim_settle(claim, hot->verdict, ret->skip_first, hot, p);
		return false;
	}
	if (feed_busy(claim->feed, p))
		return false;
	ret->hot = hot_ref(hot);
	ret->attempts = 0;
	return true;
}

/* a flash that may have to wait for its turn: what of its story is still owed? */
static bool only_store_knows(const struct claim *claim, const struct hot *hot)
{
	return hot->lane == LANE_FLASH && !hot->kill && !feed_busy(claim->feed, hot->position) &&
	       (claim->feed->kills_only || (versions_all(claim) && hot->follows)) &&
	       may_match(claim, hot);
}

static bool next_in_ring(struct claim *claim, enum lane lane, struct ready *ret)
{
	struct ring *ring = &claim->link->exchange->ring;
	struct cursor *cursor = &claim->cursor[lane];
	unsigned looked = 0;

	while (cursor->next < ring->end) {
		struct hot *hot = ring_at(ring, cursor->next);

		if (hot == NULL || only_store_knows(claim, hot)) {
			if (lane == LANE_ROUTINE)
				claim_skip_flush(claim);
			fetch_from(claim, lane,
				   hot == NULL ? gap_end(ring, cursor->next) : cursor->next);
			return false;
		}
		if (behind_flash(claim, lane, hot))
			return false;
		if (++looked > LOOK_AT_ONCE) { /* others have their turn first */
			claim_ready(claim);
			return false;
		}
		if (look_at(claim, hot, lane, ret)) {
			cursor->next++;
			return true;
		}
		cursor->next++;
	}
	return false;
}

static bool next_queued(struct claim *claim, enum session_class class, struct cursor *cursor,
			struct ready *ret)
{
	while (cursor->at < cursor->n) {
		struct ready *front = &cursor->queue[cursor->at];
		bool old = front->hot->position <= claim->backlog_end;

		if (class != CLASS_FLASH && old != (class == CLASS_BACKLOG))
			return false;
		if (behind_flash(claim, class == CLASS_FLASH ? LANE_FLASH : LANE_ROUTINE,
				 front->hot))
			return false;
		*ret = *front;
		exchange_story_del(claim->exchange, ret->hot);
		if (++cursor->at == cursor->n) {
			claim_queue_drop(claim, cursor);
			claim_ready(claim); /* the class that comes after it may go on */
		}
		if (feed_busy(claim->feed, ret->hot->position)) { /* both cursors had fetched it */
			hot_unref(&ret->hot);
			continue;
		}
		if (!not_sent(claim, ret->hot->verdict))
			return true;
		claim_settle(claim, ret->hot->verdict, ret->skip_first, ret->hot,
			     ret->hot->position);
		hot_unref(&ret->hot);
	}
	return false;
}

static bool next_of_class(struct claim *claim, enum session_class class, struct ready *ret)
{
	enum lane lane = class == CLASS_FLASH ? LANE_FLASH : LANE_ROUTINE;
	struct cursor *cursor = &claim->cursor[lane];

	if (!claim->open || claim->feed->conf == NULL)
		return false;
	if (cursor->at < cursor->n && next_queued(claim, class, cursor, ret))
		return true;
	if (cursor->at < cursor->n)
		return false;
	if (cursor->next <= claim->backlog_end) {
		if (class != CLASS_ROUTINE)
			fetch_from(claim, lane, claim->backlog_end);
		return false;
	}
	if (class == CLASS_BACKLOG)
		return false;
	return next_in_ring(claim, lane, ret);
}

/* a flash that both cursors have fetched: the other one's copy goes, before it is settled and no
 * longer busy */
static void forget_copy(struct claim *claim, struct cursor *other, uint64_t position)
{
	for (unsigned i = other->at; i < other->n; i++) {
		struct hot *hot = other->queue[i].hot;

		if (hot->position != position)
			continue;
		exchange_story_del(claim->exchange, hot);
		hot_unref(&hot);
		memmove(&other->queue[i], &other->queue[i + 1],
			(other->n - i - 1) * sizeof(*other->queue));
		other->n--;
		break;
	}
	if (other->queue != NULL && other->at == other->n)
		claim_queue_drop(claim, other);
}

bool claim_next(struct claim *claim, enum session_class class, struct ready *ret)
{
	bool flash = class == CLASS_FLASH;

	if (!next_of_class(claim, class, ret))
		return false;
	if (ret->hot->lane == LANE_FLASH && !ret->hot->kill &&
	    (versions_all(claim) || claim->feed->kills_only))
		forget_copy(claim, &claim->cursor[flash ? LANE_ROUTINE : LANE_FLASH],
			    ret->hot->position);
	if (flash && versions_all(claim))
		claim_ready(claim); /* what had to wait for it may go on */
	return true;
}
