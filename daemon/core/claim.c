#include "base/clock.h"
#include "base/log.h"
#include "core/claim_priv.h"
#include "core/settle.h"
#include <assert.h>
#include <stdlib.h>

enum { OWE_AGAIN_MS = 60000 };

void claim_free(struct claim *claim)
{
	if (claim->link == NULL && claim->requests == 0) {
		for (unsigned lane = 0; lane < LANES; lane++)
			free(claim->cursor[lane].queue);
		free(claim);
	}
}

void claim_queue_drop(struct claim *claim, struct cursor *cursor)
{
	while (cursor->at < cursor->n) {
		exchange_story_del(claim->exchange, cursor->queue[cursor->at].hot);
		hot_unref(&cursor->queue[cursor->at++].hot);
	}
	free(cursor->queue);
	cursor->queue = NULL;
	cursor->n = cursor->at = 0;
}

void claim_settle(struct claim *claim, enum settle_how how, uint64_t first, const struct hot *hot,
		  uint64_t last)
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
void claim_skip_flush(struct claim *claim)
{
	uint64_t last = claim->cursor[LANE_ROUTINE].next - 1;

	if (claim->skip_first != 0 && claim->skip_first <= last)
		claim_settle(claim, SETTLE_SKIPPED, claim->skip_first, NULL, last);
	claim->skip_first = 0;
}

void claim_ready(struct claim *claim)
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
		claim_queue_drop(claim, &claim->cursor[lane]);
		claim->cursor[lane].next = first;
		claim->cursor[lane].stale = true;
	}
	claim->skip_first = 0;
	claim->retry_at_ms = INT64_MAX;
}

/* the store could not: the client comes again, and hears no half of the truth */
static void claim_failed(struct claim *claim, const struct store_req *req)
{
	log_err("subscription.claim", kv_str("subscription", claim->feed->name),
		kv_str("reason", nx_word(req->code)), kv_str("words", req->why.words));
	session_bye(claim->link->session, req->code, req->why.words);
	link_want(claim->link);
}

/* false: the link is over, or the store could not */
static bool claim_goes_on(struct claim *claim, const struct store_req *req)
{
	claim->requests--;
	if (claim->link == NULL)
		claim_free(claim);
	else if (req->code < 0)
		claim_failed(claim, req);
	else
		return true;
	return false;
}

static void owed_again(struct store_req *req, void *arg)
{
	struct claim *claim = arg;

	if (req->code < 0)
		claim->feed->owed_again_ms = INT64_MIN; /* it was not done in this minute */
	if (!claim_goes_on(claim, req))
		return;
	log_warn("subscription.restored", kv_str("subscription", claim->feed->name),
		 kv_str("peer", claim->link->partner->name), kv_u64("said", claim->said.position),
		 kv_u64("acked", claim->ask.acked_last), kv_u64("owed_again", claim->again.items));
	feed_busy_forget(claim->feed); /* owed again: a fetch must not pass them by */
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

	if (!claim_goes_on(claim, req))
		return;
	claim->feed->kills_only = claim->ask.kills_only;
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
		.req = { .kind = REQ_CLAIM,
			 .done = claim_asked,
			 .arg = claim,
			 .partner = link->partner->number },
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
		claim_skip_flush(claim);
	for (unsigned lane = 0; lane < LANES; lane++) {
		claim_queue_drop(claim, &claim->cursor[lane]);
		if (claim->cursor[lane].fetching != NULL) /* what it brings is not looked at */
			feed_fetch_end(claim->feed, lane);
	}
	if (claim->feed->claim == claim)
		claim->feed->claim = NULL;
	claim->link = NULL;
	claim_free(claim);
}

void claim_rewind(struct claim *claim)
{
	if (!claim->open)
		return;
	claim_skip_flush(claim);
	rewind_to(claim, 1);
	claim_ready(claim);
}

void claim_tick(struct claim *claim, int64_t wall_ms)
{
	if (!claim->open)
		return;
	if (claim->cursor[LANE_ROUTINE].at == claim->cursor[LANE_ROUTINE].n)
		claim_skip_flush(claim);
	if (claim->retry_at_ms <= wall_ms ||
	    (claim->retry_at_ms != INT64_MAX && claim->retry_at_ms - wall_ms > LATER_CEILING_MS))
		claim_rewind(claim);
	else
		claim_ready(claim);
}
