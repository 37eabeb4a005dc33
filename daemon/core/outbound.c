#include "core/outbound.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/delivery.h"
#include "core/settle.h"
#include <stdlib.h>

enum {
	CLAIMS_A_LINK = 64,
	TAKEOVER_MS = 60000,
	LATER_LEAST_MS = 1000,
	LATER_MOST_MS = 15 * 60 * 1000,
	LATER_FAILED_MS = 60 * 1000,
	NO_ANSWER_TIMES = 3,
};

/* ---- claims */

static struct claim *claim_by_number(struct link *link, uint32_t number)
{
	struct claim *claim = link->claims;

	while (claim != NULL && claim->number != number)
		claim = claim->next;
	return claim;
}

/* off its link: open deliveries count for nothing from now on, their positions are owed */
static void claim_off(struct claim *claim, int code, const char *words)
{
	struct link *link = claim->link;
	struct claim **at = &link->claims;

	for (struct delivery *d = link->oldest; d != NULL; d = d->after) {
		if (d->claim != claim)
			continue;
		delivery_let_go(d);
		feed_busy_del(claim->feed, d->position);
		session_withdraw(link->session, d->id, code);
	}
	while (*at != claim)
		at = &(*at)->next;
	*at = claim->next;
	link->claims_n--;
	if (claim_line(link->exchange))
		log_info("subscription.release", kv_u64("conn", link->number),
			 kv_str("peer", link->partner->name),
			 kv_str("subscription", claim->feed->name),
			 kv_str("reason", nx_word(code)));
	session_unsubscribed(link->session, claim->feed->name, claim->open ? claim->number : 0,
			     code, words);
	claim_end(&claim);
	link_want(link);
}

static bool too_many_takeovers(struct feed *feed, int64_t now_ms)
{
	int64_t *slot = &feed->takeovers[feed->takeover_next];

	if (*slot != INT64_MIN && now_ms - *slot < TAKEOVER_MS)
		return true;
	*slot = now_ms;
	feed->takeover_next = (feed->takeover_next + 1) % TAKEOVERS;
	return false;
}

static void claim_refuse(struct link *link, const char *name, int code, const char *words)
{
	if (claim_line(link->exchange))
		log_warn("subscription.refuse", kv_u64("conn", link->number),
			 kv_str("peer", link->partner->name), kv_str("subscription", name),
			 kv_str("reason", nx_word(code)));
	count_refused(link->exchange, code);
	session_unsubscribed(link->session, name, 0, code, words);
	link_want(link);
}

void outbound_subscribe(struct link *link, const struct subscribe *said)
{
	struct feed *feed = exchange_feed(link->exchange, said->name);
	struct claim *claim;

	if (feed == NULL || feed->conf == NULL ||
	    strcmp(feed->conf->partner, link->partner->name) != 0) {
		claim_refuse(link, said->name, NX_ENOSUB, "no subscription of yours has this name");
		return;
	}
	if (link->claims_n >= CLAIMS_A_LINK) {
		claim_refuse(link, said->name, NX_EBUSY, "64 claims a link are the most");
		return;
	}
	if (feed->claim != NULL) {
		if (too_many_takeovers(feed, loop_now_ms(link->exchange->loop))) {
			claim_refuse(link, said->name, NX_EBUSY,
				     "claimed too often: wait a minute");
			return;
		}
		claim_off(feed->claim, NX_ETAKENOVER, "another link of yours claimed it");
	}
	if (claim_new(link, feed, ++link->claim_number, said, &claim) < 0) {
		claim_refuse(link, said->name, NX_ENOMEM, "out of memory");
		return;
	}
	feed->claim = claim;
	claim->next = link->claims;
	link->claims = claim;
	link->claims_n++;
}

void outbound_unsubscribe(struct link *link, uint32_t number)
{
	struct claim *claim = claim_by_number(link, number);

	if (claim != NULL)
		claim_off(claim, NX_ERELEASED, "given up as you asked");
}

/* ---- items */

static struct claim *claim_in_turn(struct link *link, unsigned turn)
{
	struct claim *claim = link->claims;

	for (turn %= link->claims_n; turn > 0; turn--)
		claim = claim->next;
	return claim;
}

bool outbound_item(struct link *link, enum session_class class, uint64_t id,
		   struct session_out *out)
{
	for (unsigned i = 0; i < link->claims_n; i++) {
		struct claim *claim = claim_in_turn(link, link->turn + i);
		struct ready ready;
		struct delivery *delivery;

		if (!claim_next(claim, class, &ready))
			continue;
		delivery = delivery_new(link, claim, id, &ready);
		if (delivery ==
		    NULL) { /* out of memory: the claim looks at the feed anew at the next tick */
			hot_unref(&ready.hot);
			claim->retry_at_ms = 0;
			return false;
		}
		link->turn += i + 1;
		link->out_items++;
		*out = (struct session_out){
			.subscription = claim->number,
			.position = delivery->position,
			.sequence = delivery->sequence,
			.lane = delivery->lane,
			.envelope = ready.hot->envelope,
			.document = ready.hot->document,
		};
		return true;
	}
	return false;
}

void outbound_sent(struct link *link, uint64_t id)
{
	struct delivery *delivery = delivery_find(link, id);

	if (delivery == NULL)
		return;
	hot_unref(&delivery->hot);
	delivery->whole_ms = loop_now_ms(link->exchange->loop);
}

void outbound_answer(struct link *link, const struct ack *ack)
{
	struct delivery *delivery = delivery_find(link, ack->id);
	struct feed *feed;

	if (delivery == NULL)
		return;
	if (delivery->claim != NULL) {
		feed = delivery->claim->feed;
		feed->delivered++;
		link->exchange->count.delivered++;
		if (item_line(link->exchange))
			log_info("item.delivered", kv_u64("conn", link->number),
				 kv_str("peer", link->partner->name),
				 kv_str("subscription", feed->name),
				 kv_u64("seq", delivery->sequence),
				 kv_u64("position", delivery->position),
				 kv_str("result", result_word(ack->result)),
				 kv_i64("took_ms",
					loop_now_ms(link->exchange->loop) - delivery->sent_ms));
		delivery_settle(delivery, SETTLE_ACKED);
	}
	delivery_free(&delivery);
}

struct later {
	struct store_later req;
	struct exchange *exchange;
	struct feed *feed;
};

static void later_done(struct store_req *req, void *arg)
{
	struct later *later = arg;

	feed_busy_del(later->feed,
		      later->req.position); /* it is owed: too early is better than never */
	if (req->code == 0 && later->req.attempts > 0)
		later->feed->kills_only = later->req.kills_only;
	if (req->code < 0)
		log_err("feed.later", kv_str("subscription", later->feed->name),
			kv_str("reason", nx_word(req->code)), kv_str("words", req->why.words));
	if (later->feed->claim != NULL &&
	    later->req.not_before_ms < later->feed->claim->retry_at_ms)
		later->feed->claim->retry_at_ms = later->req.not_before_ms;
	free(later);
}

static int64_t back_off(unsigned attempts, int64_t asked_ms)
{
	int64_t ms = LATER_LEAST_MS << (attempts > 10 ? 10 : attempts);

	if (asked_ms > LATER_MOST_MS * 4)
		asked_ms = LATER_MOST_MS * 4;
	if (ms > LATER_MOST_MS)
		ms = LATER_MOST_MS;
	return ms > asked_ms ? ms : asked_ms;
}

/* still owed, but not before a while; the positions that did not match before it are settled now */
static void owe_later(struct exchange *exchange, struct feed *feed, uint64_t position,
		      int64_t again_ms)
{
	struct later *later = calloc(1, sizeof(*later));

	if (later == NULL) {
		feed_busy_del(feed, position); /* owed as before; sent again with the next claim */
		return;
	}
	later->exchange = exchange;
	later->feed = feed;
	later->req = (struct store_later){
		.req = { .kind = REQ_LATER, .done = later_done, .arg = later },
		.subscription = feed->number,
		.position = position,
		.not_before_ms = clock_wall_ms() + again_ms,
	};
	store_submit(exchange->store, &later->req.req);
}

void outbound_refused(struct link *link, const struct refuse *refuse)
{
	struct delivery *delivery = delivery_find(link, refuse->id);
	struct feed *feed;

	if (delivery == NULL)
		return;
	feed = delivery->claim == NULL ? NULL : delivery->claim->feed;
	if (feed != NULL && delivery->withdrawn != SETTLE_ACKED) {
		delivery_settle(delivery, delivery->withdrawn);
	} else if (feed != NULL) {
		bool never = refuse->retry == NX_NEVER;
		int64_t again_ms = never ? 0 : back_off(delivery->attempts, refuse->after_ms);

		log_at(never ? LOG_WARN_ : LOG_INFO_, "item.refused_by",
		       kv_u64("conn", link->number), kv_str("peer", link->partner->name),
		       kv_str("subscription", feed->name), kv_u64("seq", delivery->sequence),
		       kv_u64("position", delivery->position), kv_str("reason", refuse->code),
		       kv_str("retry", never ? "never" : "later"), kv_i64("again_ms", again_ms),
		       kv_str("words", refuse->words));
		if (never) {
			feed->refused_never++;
			delivery_settle(delivery, SETTLE_NEVER);
		} else {
			feed->refused_later++;
			delivery_settle_skipped(delivery);
			owe_later(link->exchange, feed, delivery->position, again_ms);
		}
	}
	delivery_free(&delivery);
}

void outbound_wake(struct exchange *exchange, enum lane lane)
{
	for (unsigned i = 0; i < exchange->feeds_n; i++) {
		struct claim *claim = exchange->feeds[i]->claim;

		if (claim == NULL || !claim->open)
			continue;
		session_item_ready(claim->link->session,
				   lane == LANE_FLASH ? CLASS_FLASH : CLASS_ROUTINE);
		link_want(claim->link);
	}
}

/* ---- time */

/* an item that a reading subscriber does not answer: after three times it waits like one refused
 * later */
static void note_no_answer(struct delivery *delivery)
{
	struct feed *feed = delivery->claim->feed;
	unsigned slot = feed->no_answer_next;

	for (unsigned i = 0; i < NO_ANSWERS; i++)
		if (feed->no_answer[i].position == delivery->position)
			slot = i;
	if (feed->no_answer[slot].position != delivery->position) {
		feed->no_answer_next = (slot + 1) % NO_ANSWERS;
		feed->no_answer[slot].position = delivery->position;
		feed->no_answer[slot].times = 0;
	}
	if (++feed->no_answer[slot].times < NO_ANSWER_TIMES)
		return;
	feed->no_answer[slot].position = 0;
	owe_later(delivery->link->exchange, feed, delivery->position,
		  back_off(delivery->attempts, LATER_MOST_MS));
}

int outbound_tick(struct link *link, int64_t now_ms, int64_t wall_ms)
{
	struct delivery *first = link->oldest;
	int64_t since;

	for (struct claim *claim = link->claims; claim != NULL; claim = claim->next)
		claim_tick(claim, wall_ms);
	while (first != NULL && (first->claim == NULL || first->hot != NULL)) /* half-sent */
		first = first->after;
	if (first == NULL)
		return 0;
	since = first->whole_ms > link->data_out_ms ? first->whole_ms : link->data_out_ms;
	if (now_ms - since <= link->exchange->conf->ack_wait_ms)
		return 0;
	note_no_answer(first);
	return NX_ENOANSWER;
}

void outbound_reload(struct exchange *exchange)
{
	for (unsigned i = 0; i < exchange->feeds_n; i++) {
		struct feed *feed = exchange->feeds[i];

		if (feed->claim == NULL)
			continue;
		if (feed->conf == NULL ||
		    strcmp(feed->conf->partner, feed->claim->link->partner->name) != 0)
			claim_off(feed->claim, NX_ENOSUB, "the configuration no longer has it");
		else
			claim_rewind(feed->claim);
	}
}

void outbound_expired(struct exchange *exchange, uint32_t subscription)
{
	struct feed *feed = exchange_feed_by_number(exchange, subscription);

	if (feed != NULL && feed->claim != NULL)
		claim_rewind(feed->claim);
}

void outbound_link_over(struct link *link)
{
	while (link->oldest != NULL) {
		struct delivery *delivery = link->oldest;

		if (delivery->claim != NULL)
			feed_busy_del(delivery->claim->feed, delivery->position);
		delivery_free(&delivery);
	}
	while (link->claims != NULL) {
		struct claim *claim = link->claims;

		link->claims = claim->next;
		link->claims_n--;
		claim_end(&claim);
	}
}
