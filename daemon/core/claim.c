#include "core/claim.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/settle.h"
#include <assert.h>
#include <stdlib.h>

enum { LOOK_AT_ONCE = 65536, FETCH_ITEMS = 32, FETCH_OCTETS = 256 * 1024, OWE_AGAIN_MS = 60000 };

static void claim_free(struct claim *claim)
{
	if (claim->link == NULL && claim->requests == 0) {
		for (unsigned lane = 0; lane < LANES; lane++)
			free(claim->cursor[lane].queue);
		free(claim);
	}
}

static void queue_drop(struct claim *claim, struct cursor *cursor)
{
	while (cursor->at < cursor->n) {
		exchange_story_del(claim->exchange, cursor->queue[cursor->at].hot);
		hot_unref(&cursor->queue[cursor->at++].hot);
	}
	free(cursor->queue);
	cursor->queue = NULL;
	cursor->n = cursor->at = 0;
}

static void settle_run_add(struct claim *claim, enum settle_how how, uint64_t first,
			   const struct hot *hot, uint64_t last)
{
	struct settle_run run = { .how = how, .first = first, .last = last };

	run.at_ms = clock_wall_ms();
	if (hot != NULL) {
		run.sequence = hot->sequence;
		run.kill = hot->kill;
		if (feed_busy_add(claim->feed, last) < 0)
			return;
	}
	settle_add(claim->link->exchange->settle, claim->feed, &run);
}

/* what did not match since skip_first is settled without a receipt */
static void skip_flush(struct claim *claim)
{
	uint64_t last = claim->cursor[LANE_ROUTINE].next - 1;

	if (claim->skip_first != 0 && claim->skip_first <= last)
		settle_run_add(claim, SETTLE_SKIPPED, claim->skip_first, NULL, last);
	claim->skip_first = 0;
}

static void claim_ready(struct claim *claim)
{
	if (claim->link == NULL || !claim->open)
		return;
	session_item_ready(claim->link->session, CLASS_FLASH);
	session_item_ready(claim->link->session, CLASS_ROUTINE);
	session_item_ready(claim->link->session, CLASS_BACKLOG);
	link_want(claim->link);
}

static void say_subscribed(struct claim *claim)
{
	struct link *link = claim->link;
	struct subscribed subscribed = {
		.number = claim->number,
		.epoch = link->exchange->state.epoch,
		.position = claim->ask.acked_last,
		.owed = claim->ask.owed_at_most + claim->again.items,
		.expired = claim->ask.expired,
	};

	assert(claim->feed != NULL);
	memcpy(subscribed.name, claim->feed->name, sizeof(subscribed.name));
	claim->open = true;
	if (claim_line(link->exchange))
		log_info("subscription.claim", kv_u64("conn", link->number),
			 kv_str("peer", link->partner->name),
			 kv_str("subscription", claim->feed->name),
			 kv_u64("owed_at_most", subscribed.owed),
			 kv_u64("expired", subscribed.expired),
			 kv_u64("position", subscribed.position));
	session_subscribed(link->session, &subscribed);
	claim_ready(claim);
}

static void rewind_to(struct claim *claim, uint64_t first)
{
	claim->backlog_end = claim->link->exchange->ring.end - 1;
	for (unsigned lane = 0; lane < LANES; lane++) {
		queue_drop(claim, &claim->cursor[lane]);
		claim->cursor[lane].next = first;
	}
	claim->skip_first = 0;
	claim->retry_at_ms = INT64_MAX;
}

static void owed_again(struct store_req *req, void *arg)
{
	struct claim *claim = arg;

	(void)req;
	claim->requests--;
	if (claim->link == NULL) {
		claim_free(claim);
		return;
	}
	log_warn("subscription.restored", kv_str("subscription", claim->feed->name),
		 kv_str("peer", claim->link->partner->name), kv_u64("said", claim->said.position),
		 kv_u64("acked", claim->ask.acked_last), kv_u64("owed_again", claim->again.items));
	rewind_to(claim, 1);
	say_subscribed(claim);
}

/* the position that a client says it holds is advice: DESIGN, restored stores */
static bool must_owe_again(struct claim *claim)
{
	const struct subscribe *said = &claim->said;
	struct exchange *exchange = claim->link->exchange;
	int64_t now = loop_now_ms(exchange->loop);

	if (!said->has_position)
		return false;
	if (said->epoch != exchange->state.epoch || said->position >= exchange->ring.end) {
		if (claim_line(exchange))
			log_warn("subscription.position", kv_str("subscription", claim->feed->name),
				 kv_str("peer", claim->link->partner->name),
				 kv_u64("said", said->position),
				 kv_str("reason", said->epoch != exchange->state.epoch
							  ? "other-epoch"
							  : "beyond-last"));
		return false;
	}
	if (said->position >= claim->ask.acked_last)
		return false;
	if (claim->feed->owed_again_ms != INT64_MIN &&
	    now - claim->feed->owed_again_ms < OWE_AGAIN_MS)
		return false;
	claim->feed->owed_again_ms = now;
	return true;
}

static void claim_asked(struct store_req *req, void *arg)
{
	struct claim *claim = arg;

	claim->requests--;
	if (claim->link == NULL) {
		claim_free(claim);
		return;
	}
	if (req->code < 0) {
		log_err("subscription.claim", kv_str("subscription", claim->feed->name),
			kv_str("reason", nx_word(req->code)), kv_str("words", req->why.words));
		session_bye(claim->link->session, req->code, req->why.words);
		link_want(claim->link);
		return;
	}
	rewind_to(claim, claim->ask.first_owed == 0 ? 1 : claim->ask.first_owed);
	if (must_owe_again(claim)) {
		claim->again = (struct store_owe_again){
			.req = { .kind = REQ_OWE_AGAIN, .done = owed_again, .arg = claim },
			.subscription = claim->feed->number,
			.position = claim->said.position,
		};
		claim->requests++;
		store_submit(claim->link->exchange->store, &claim->again.req);
		return;
	}
	say_subscribed(claim);
}

int claim_new(struct link *link, struct feed *feed, uint32_t number, const struct subscribe *said,
	      struct claim **ret)
{
	struct claim *claim = calloc(1, sizeof(*claim));

	if (claim == NULL)
		return NX_ENOMEM;
	claim->link = link;
	claim->exchange = link->exchange;
	claim->feed = feed;
	claim->number = number;
	claim->said = *said;
	claim->retry_at_ms = INT64_MAX;
	claim->ask = (struct store_claim){
		.req = { .kind = REQ_CLAIM, .done = claim_asked, .arg = claim },
		.subscription = feed->number,
	};
	claim->requests = 1;
	store_submit(link->exchange->store, &claim->ask.req);
	*ret = claim;
	return 0;
}

void claim_end(struct claim **at)
{
	struct claim *claim = *at;

	if (claim == NULL)
		return;
	*at = NULL;
	if (claim->open)
		skip_flush(claim);
	for (unsigned lane = 0; lane < LANES; lane++)
		queue_drop(claim, &claim->cursor[lane]);
	if (claim->feed->claim == claim)
		claim->feed->claim = NULL;
	claim->link = NULL;
	claim_free(claim);
}

void claim_rewind(struct claim *claim)
{
	if (!claim->open)
		return;
	skip_flush(claim);
	rewind_to(claim, 1);
	claim_ready(claim);
}

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
		settle_run_add(claim, verdict, first, &seen, f->position);
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

static void fetched(struct store_req *req, void *arg)
{
	struct claim *claim = arg;
	struct store_fetch *fetch = (struct store_fetch *)req;
	struct cursor *cursor = &claim->cursor[fetch->lane];
	bool ours = cursor->fetching == fetch;
	int code = req->code;

	claim->requests--;
	if (ours)
		cursor->fetching = NULL;
	if (claim->link != NULL && code < 0)
		log_err("subscription.fetch", kv_str("subscription", claim->feed->name),
			kv_str("reason", nx_word(code)), kv_str("words", req->why.words));
	if (claim->link == NULL || !ours || code < 0 || fetch->from != cursor->next) {
		fetch_free(&fetch);
		if (claim->link == NULL)
			claim_free(claim);
		else if (code == 0)
			claim_ready(claim);
		return;
	}
	cursor->queue = calloc(fetch->n == 0 ? 1 : fetch->n, sizeof(*cursor->queue));
	if (cursor->queue != NULL) {
		for (unsigned i = 0; i < fetch->n; i++)
			take_fetched(claim, cursor, &fetch->items[i]);
		if (cursor->n == 0)
			queue_drop(claim, cursor);
		if (fetch->skip_first != 0 && fetch->next > fetch->skip_first)
			settle_run_add(claim, SETTLE_SKIPPED, fetch->skip_first, NULL,
				       fetch->next - 1);
		cursor->next = fetch->end && fetch->upto != 0 ? fetch->upto + 1 : fetch->next;
		if (fetch->end && cursor->next <= claim->backlog_end)
			cursor->next = claim->backlog_end + 1;
		if (fetch->retry_at_ms < claim->retry_at_ms)
			claim->retry_at_ms = fetch->retry_at_ms;
	}
	fetch_free(&fetch);
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
	fetch->req = (struct store_req){ .kind = REQ_FETCH, .done = fetched, .arg = claim };
	fetch->subscription = claim->feed->number;
	fetch->lane = lane;
	fetch->from = cursor->next;
	fetch->upto = upto;
	fetch->items_max = FETCH_ITEMS;
	fetch->octets_max = FETCH_OCTETS;
	fetch->wall_ms = clock_wall_ms();
	fetch->req.urgent = lane == LANE_FLASH;
	cursor->fetching = fetch;
	claim->requests++;
	store_submit(claim->link->exchange->store, &fetch->req);
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
	struct exchange *exchange = claim->link->exchange;
	uint64_t p = hot->position;
	bool match = store_match(exchange->store, claim->feed->number, slice_str(hot->channel));

	if (match &&
	    hot->lane != lane) { /* the other cursor's: it breaks the run of what did not match */
		if (lane == LANE_ROUTINE)
			skip_flush(claim);
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
		settle_run_add(claim, hot->verdict, ret->skip_first, hot, p);
		return false;
	}
	if (feed_busy(claim->feed, p))
		return false;
	ret->hot = hot_ref(hot);
	ret->attempts = 0;
	return true;
}

static bool next_in_ring(struct claim *claim, enum lane lane, struct ready *ret)
{
	struct ring *ring = &claim->link->exchange->ring;
	struct cursor *cursor = &claim->cursor[lane];
	unsigned looked = 0;

	while (cursor->next < ring->end) {
		struct hot *hot = ring_at(ring, cursor->next);

		if (hot == NULL) {
			if (lane == LANE_ROUTINE)
				skip_flush(claim);
			fetch_from(claim, lane, gap_end(ring, cursor->next));
			return false;
		}
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
		*ret = *front;
		exchange_story_del(claim->exchange, ret->hot);
		if (++cursor->at == cursor->n) {
			queue_drop(claim, cursor);
			claim_ready(claim); /* the class that comes after it may go on */
		}
		if (!not_sent(claim, ret->hot->verdict))
			return true;
		settle_run_add(claim, ret->hot->verdict, ret->skip_first, ret->hot,
			       ret->hot->position);
		hot_unref(&ret->hot);
	}
	return false;
}

bool claim_next(struct claim *claim, enum session_class class, struct ready *ret)
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

void claim_tick(struct claim *claim, int64_t wall_ms)
{
	if (!claim->open)
		return;
	if (claim->cursor[LANE_ROUTINE].at == claim->cursor[LANE_ROUTINE].n)
		skip_flush(claim);
	if (claim->retry_at_ms <= wall_ms ||
	    (claim->retry_at_ms != INT64_MAX && claim->retry_at_ms - wall_ms > LATER_CEILING_MS))
		claim_rewind(claim);
	else
		claim_ready(claim);
}
