#include "core/report.h"
#include "base/log.h"
#include <stdlib.h>

/* ---- how things stand */

struct asking {
	struct store_claim claim;
	struct feed *feed;
};

static void asked(struct store_req *req, void *arg)
{
	struct asking *asking = arg;
	const struct store_claim *claim = &asking->claim;

	if (req->code == 0)
		log_info("subscription.state", kv_str("subscription", asking->feed->name),
			 kv_str("claimed", asking->feed->claim != NULL ? "yes" : "no"),
			 kv_u64("owed_at_most", claim->owed_at_most),
			 kv_u64("expired", claim->expired), kv_u64("acked_last", claim->acked_last),
			 kv_u64("position_last", claim->position_last),
			 kv_u64("delivered", asking->feed->delivered),
			 kv_u64("refused_later", asking->feed->refused_later),
			 kv_u64("refused_never", asking->feed->refused_never));
	free(asking);
}

static void report_feed(struct exchange *exchange, struct feed *feed)
{
	struct asking *asking = calloc(1, sizeof(*asking));

	if (asking == NULL)
		return;
	feed->changed = false;
	asking->feed = feed;
	asking->claim = (struct store_claim){
		.req = { .kind = REQ_CLAIM, .done = asked, .arg = asking },
		.subscription = feed->number,
	};
	store_submit(exchange->store, &asking->claim.req);
}

/* one line with a figure for each word that has one */
static void report_words(const char *event, const uint64_t by_code[128])
{
	struct kv list[130];
	unsigned n = 0;

	for (int code = 1; code < 128; code++)
		if (by_code[code] > 0)
			list[n++] = kv_u64(nx_word(-code), by_code[code]);
	list[n] = (struct kv){ 0 };
	if (n > 0)
		log_line(LOG_INFO_, event, list);
}

void report_state(struct exchange *exchange, bool all)
{
	const struct store_state *state = &exchange->state;
	const struct counters *count = &exchange->count;

	log_info("store.state", kv_u64("sequence", state->sequence_last),
		 kv_u64("position", state->position_last),
		 kv_u64("items_percent", state->items_percent),
		 kv_u64("photos_percent", state->photos_percent),
		 kv_u64("items_bytes", state->items_used),
		 kv_u64("photos_bytes", state->photos_used), kv_u64("held", state->held),
		 kv_u64("stored", count->stored), kv_u64("duplicates", count->duplicate),
		 kv_u64("superseded", count->superseded), kv_u64("overtaken", count->overtaken),
		 kv_u64("delivered", count->delivered), kv_u64("corrupt", count->corrupt),
		 kv_u64("inbound_bytes", exchange->inbound_held),
		 kv_u64("hot_bytes", exchange->ring.octets), kv_u64("log_dropped", log_dropped()));
	for (unsigned i = 0; i < exchange->feeds_n; i++)
		if (all || exchange->feeds[i]->changed)
			report_feed(exchange, exchange->feeds[i]);
	report_words("refusals.state", count->refused);
	report_words("closes.state", count->closed);
}

void report_sums(struct exchange *exchange)
{
	if (exchange->item_lines.left_out > 0)
		log_info("item.summary", kv_u64("lines_left_out", exchange->item_lines.left_out),
			 kv_u64("stored", exchange->count.stored),
			 kv_u64("duplicates", exchange->count.duplicate),
			 kv_u64("held", exchange->count.held),
			 kv_u64("delivered", exchange->count.delivered));
	if (exchange->claim_lines.left_out > 0)
		log_warn("subscription.summary",
			 kv_u64("lines_left_out", exchange->claim_lines.left_out));
	if (exchange->door_lines.left_out > 0)
		log_warn("conn.summary", kv_u64("lines_left_out", exchange->door_lines.left_out));
	if (exchange->retired.items > 0)
		log_info("store.retired", kv_u64("items", exchange->retired.items),
			 kv_u64("bytes", exchange->retired.octets));
	exchange->retired = (struct retired){ 0 };
	exchange->item_lines = exchange->claim_lines = exchange->door_lines = (struct lines){ 0 };
}

/* ---- what the store tells */

static const char *feed_name(const struct exchange *exchange, uint32_t number)
{
	const struct feed *feed = exchange_feed_by_number(exchange, number);

	return feed == NULL ? "" : feed->name;
}

void report_event(struct exchange *exchange, const struct store_event *e)
{
	const char *feed = feed_name(exchange, e->subscription);

	switch (e->kind) {
	case STORE_RELEASED:
		log_info("item.released", kv_u64("first", e->first), kv_u64("last", e->last));
		break;
	case STORE_EXPIRED:
		log_warn("subscription.expired", kv_str("subscription", e->name),
			 kv_u64("items", e->items), kv_u64("bytes", e->octets),
			 kv_u64("first", e->first), kv_u64("last", e->last),
			 kv_str("reason", nx_word(e->code)), kv_str("rule", e->why.words));
		break;
	case STORE_RETIRED:
		exchange->retired.items += e->items; /* told by report_sums() */
		exchange->retired.octets += e->octets;
		break;
	case STORE_CORRUPT:
		exchange->count.corrupt++;
		if (e->table != NULL)
			log_err("store.corrupt", kv_str("table", e->table), kv_str("key", e->key),
				kv_str("words", e->why.words));
		else
			log_err("store.corrupt", kv_u64("seq", e->sequence),
				kv_u64("part", e->part), kv_str("words", e->why.words));
		break;
	case STORE_STALLED:
		log_at(e->code < 0 ? LOG_ERR_ : LOG_WARN_, "store.stalled", kv_i64("ms", e->ms),
		       kv_str("over", e->code < 0 ? "no" : "yes"));
		break;
	case STORE_CLOCK:
		if (e->code < 0)
			log_err("clock.suspect", kv_str("reason", nx_word(e->code)),
				kv_str("words", e->why.words));
		else
			log_info("clock.trusted", kv_str("words", e->why.words));
		break;
	case STORE_NEAR_DEBT:
		log_warn("subscription.near_debt", kv_str("subscription", feed),
			 kv_u64("percent", e->percent), kv_str("rule", e->why.words));
		break;
	case STORE_VANISHED:
		log_warn("store.vanished", kv_str("words", e->why.words),
			 kv_u64("owed_at_most", e->items), kv_u64("bytes", e->octets),
			 kv_i64("keeps_s", e->ms / 1000));
		break;
	case STORE_FORGOTTEN:
		log_warn("store.forgotten", kv_str("words", e->why.words));
		break;
	case STORE_SIZE:
		log_warn("store.size", kv_u64("bytes", e->octets), kv_str("words", e->why.words));
		break;
	case STORE_FILESYSTEM:
		log_warn("store.filesystem", kv_str("words", e->why.words));
		break;
	case STORE_HISTORY:
		log_warn("store.history", kv_i64("keeps_s", e->ms / 1000));
		break;
	case STORE_OVERTAKEN:
		exchange->count.overtaken++;
		log_info("item.overtaken", kv_u64("seq", e->sequence), kv_u64("by_seq", e->first),
			 kv_str("reason", nx_word(e->code)));
		break;
	case STORE_HELD_FAR:
		log_warn("item.held_far", kv_u64("seq", e->sequence),
			 kv_str("words", e->why.words));
		break;
	case STORE_FATAL:
		log_err("store.fatal", kv_str("reason", nx_word(e->code)),
			kv_str("words", e->why.words));
		break;
	}
}
