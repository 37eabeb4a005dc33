#include "core/inbound.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/candidate.h"
#include "core/pull.h"
#include <stdio.h>
#include <stdlib.h>

enum { PARTS_GONE_TIMES = 3, BUSY_AFTER_MS = 2000, FULL_AFTER_MS = 30000, LATER_AFTER_MS = 5000 };
/* items that a link may leave unanswered: a sender that keeps to the protocol never has more. And
 * what one costs beside its octets, at most: itself, each part in its lists */
enum { OPEN_MOST = 1024, FLASH_OPEN_MORE = 64, ITEM_COST = 4096, PART_COST = 1024 };

static const char taken_back[] = "taken back by its sender";

enum inbound_state {
	INBOUND_COMING,   /* octets are still on the way */
	INBOUND_DROPPING, /* they are read and thrown away: code says why */
	INBOUND_PARTS,    /* waits for parts */
	INBOUND_STORING,  /* with the writer: the receipt decides */
};

struct inbound {
	struct map_node node; /* link->inbounds */
	struct link *link;    /* NULL: the link is gone, or it is answered */
	enum inbound_state state;
	int code; /* DROPPING */
	uint64_t id, link_number;
	int64_t begun_ms;
	size_t held;
	struct candidate candidate;
	uint8_t *octets, *stamped; /* as it came; the envelope as it goes on */
	size_t stamped_n;
	struct want **wants;
	struct store_part *parts;
	unsigned missing, parts_gone;
	bool *has_lease;
	bool withdrawn; /* while the writer had it */
	struct store_put put;
};

static struct inbound *inbound_find(struct link *link, uint64_t id)
{
	struct map_node *node = map_first(&link->inbounds, map_hash_u64(id));

	for (; node != NULL; node = map_next(node)) {
		struct inbound *in = container_of(node, struct inbound, node);

		if (in->id == id)
			return in;
	}
	return NULL;
}

static void parts_release(struct inbound *in)
{
	for (unsigned i = 0; i < in->candidate.envelope.parts_n; i++) {
		if (in->wants != NULL)
			pull_unwant(&in->wants[i]);
		if (in->has_lease != NULL && in->has_lease[i])
			store_unlease(in->candidate.exchange->store, in->parts[i].number);
		if (in->has_lease != NULL)
			in->has_lease[i] = false;
	}
}

static void hold(struct inbound *in, uint64_t octets)
{
	in->held += octets;
	inbound_hold(in->candidate.exchange, in->candidate.partner, octets);
	if (in->candidate.head.lane == LANE_FLASH)
		in->candidate.partner->flash_held += octets;
}

static void let_go(struct inbound *in)
{
	inbound_drop(in->candidate.exchange, in->candidate.partner, in->held);
	if (in->candidate.head.lane == LANE_FLASH)
		in->candidate.partner->flash_held -= in->held;
	in->held = 0;
}

static void inbound_free(struct inbound **at)
{
	struct inbound *in = *at;

	*at = NULL;
	if (in == NULL)
		return;
	if (in->link != NULL)
		map_del(&in->link->inbounds, &in->node);
	parts_release(in);
	let_go(in);
	free(in->wants);
	free(in->parts);
	free(in->has_lease);
	candidate_done(&in->candidate);
	free(in->octets);
	free(in->stamped);
	free(in);
}

static int64_t after_ms(int code)
{
	if (code == NX_EBUSY)
		return BUSY_AFTER_MS;
	return code == NX_EFULL || code == NX_EHELDFULL || code == NX_EKILLS ? FULL_AFTER_MS
									     : LATER_AFTER_MS;
}

/* the one way out for an item that is not taken: words, log, counter, nothing else */
static void inbound_refuse(struct inbound **at, int code, enum nx_retry retry, const char *words)
{
	struct inbound *in = *at;
	const struct facts *facts = &in->candidate.story.facts;

	count_refused(in->candidate.exchange, code);
	if (item_line(in->candidate.exchange))
		log_warn("item.refused", kv_u64("conn", in->link_number),
			 kv_str("peer", in->candidate.partner->name), kv_u64("id", in->id),
			 kv_str("reason", nx_word(code)),
			 kv_str("retry", retry == NX_NEVER ? "never" : "later"),
			 kv_if_slice("uri", facts->uri), kv_if_slice("version", facts->version),
			 kv_if_str("words", words));
	if (in->link != NULL) {
		session_refuse(in->link->session, in->id, code, retry,
			       retry == NX_NEVER ? 0 : after_ms(code), words);
		link_want(in->link);
	}
	inbound_free(at);
}

static struct inbound *inbound_new(struct link *link, const struct item_head *head)
{
	struct inbound *in = calloc(1, sizeof(*in));

	if (in == NULL)
		return NULL;
	*in = (struct inbound){ .link = link,
				.candidate = { .exchange = link->exchange,
					       .partner = link->partner,
					       .head = *head },
				.id = head->id,
				.link_number = link->number,
				.begun_ms = loop_now_ms(link->exchange->loop) };
	map_add(&link->inbounds, &in->node, map_hash_u64(in->id));
	hold(in, ITEM_COST);
	return in;
}

static bool too_many_open(const struct link *link, enum lane lane)
{
	return link->inbounds.n >= OPEN_MOST + (lane == LANE_FLASH ? FLASH_OPEN_MORE : 0);
}

void inbound_begin(struct link *link, const struct item_head *head)
{
	bool full = too_many_open(link, head->lane);
	struct inbound *in = inbound_new(link, head);
	int r;

	if (in == NULL) {
		session_item_drop(link->session, head->id);
		return;
	}
	link->in_items++;
	r = candidate_check_head(&in->candidate);
	if (r == 0 && full)
		r = NX_EBUSY;
	if (r < 0) {
		in->state = INBOUND_DROPPING;
		in->code = r;
		session_item_drop(link->session, head->id);
	}
}

static const char *drop_words(int code)
{
	switch (code) {
	case NX_ENOTALLOWED:
		return "you may not publish here: ask the operator for publish rights";
	case NX_EBIGENV:
		return "the envelope is larger than this exchange takes";
	case NX_EBIGDOC:
		return "the document is larger than this exchange takes";
	case NX_EBUSY:
		return "too much is on its way in: offer it again in a moment";
	default:
		return "not now: offer it again";
	}
}

void inbound_dropped(struct link *link, uint64_t id, int code)
{
	struct inbound *in = inbound_find(link, id);

	if (in != NULL && in->state == INBOUND_DROPPING)
		code = in->code;
	if (in == NULL) /* no memory even to note it down */
		session_refuse(link->session, id, NX_ENOMEM, NX_LATER, BUSY_AFTER_MS,
			       "out of memory");
	else
		inbound_refuse(&in, code, nx_retry(code), drop_words(code));
	link_want(link);
}

/* ---- on its way to disk */

/* the document as it came, behind the envelope as it came */
static struct slice document_of(const struct inbound *in)
{
	const struct item_head *head = &in->candidate.head;

	return slice_of(in->octets + head->envelope_len, head->document_len);
}

/* the envelope as it goes on */
static int stamp(struct inbound *in)
{
	struct envelope_stamp stamp = { .origin = in->candidate.envelope.origin,
					.sender = in->candidate.partner->name,
					.node = in->candidate.exchange->conf->node_name,
					.trust_transport = in->candidate.partner->conf->node };

	clock_rfc3339(clock_wall_ms(), stamp.received);
	return envelope_write(&in->candidate.envelope, &stamp,
			      in->candidate.exchange->conf->envelope_max, &in->stamped,
			      &in->stamped_n);
}

static void parts_begin(struct inbound *in);

/* a stored item becomes hot: its octets are what subscribers get */
static void make_hot(struct inbound *in, const struct receipt *receipt)
{
	struct exchange *exchange = in->candidate.exchange;
	struct hot *hot = calloc(1, sizeof(*hot));

	if (hot != NULL && in->candidate.envelope.parts_n > 0) {
		hot->parts = hot_parts_copy(in->parts, in->candidate.envelope.parts_n);
		if (hot->parts == NULL) {
			free(hot);
			hot = NULL;
		}
	}
	if (hot == NULL) { /* then it is fetched from the store */
		exchange_released_unseen(exchange, receipt_position(receipt));
		return;
	}
	hot->refs = 1;
	hot->sequence = receipt_sequence(receipt);
	hot->position = receipt_position(receipt);
	hot->lane = facts_lane(&in->candidate.story.facts);
	hot->kill = facts_kill(&in->candidate.story.facts);
	hot->follows = receipt_follows(receipt);
	hot->verdict =
		receipt_result(receipt) == RESULT_SUPERSEDED ? SETTLE_SUPERSEDED : SETTLE_ACKED;
	hot->stored_ms = receipt_stored_ms(receipt);
	facts_story_key(&in->candidate.story.facts, hot->story);
	snprintf(hot->channel, sizeof(hot->channel), "%s", in->candidate.envelope.channel);
	hot->envelope = slice_of(in->stamped, in->stamped_n);
	hot->document = document_of(in);
	hot->octets_n = (size_t)in->candidate.head.envelope_len + hot->document.n;
	hot->octets = in->octets;
	hot->stamped = in->stamped;
	in->octets = in->stamped = NULL;
	exchange_released(exchange, hot);
	hot_unref(&hot);
}

static void count_result(struct exchange *exchange, enum result result)
{
	struct counters *count = &exchange->count;
	uint64_t *slots[] = { [RESULT_STORED] = &count->stored,
			      [RESULT_DUPLICATE] = &count->duplicate,
			      [RESULT_HELD] = &count->held,
			      [RESULT_SUPERSEDED] = &count->superseded };

	++*slots[result];
}

static void answer(struct inbound *in, const struct receipt *receipt)
{
	struct ack ack = { .id = in->id,
			   .sequence = receipt_sequence(receipt),
			   .stored_at_ms = (uint64_t)receipt_stored_ms(receipt),
			   .result = (uint8_t)receipt_result(receipt),
			   .stage = STAGE_COMPLETE };
	const struct facts *facts = &in->candidate.story.facts;

	count_result(in->candidate.exchange, receipt_result(receipt));
	if (item_line(in->candidate.exchange))
		log_info("item.stored", kv_u64("conn", in->link_number),
			 kv_str("peer", in->candidate.partner->name), kv_u64("seq", ack.sequence),
			 kv_str("result", result_word(ack.result)),
			 kv_u64("position", receipt_position(receipt)),
			 kv_str("channel", in->candidate.envelope.channel),
			 kv_str("lane", facts_kill(facts)                 ? "kill"
					: facts_lane(facts) == LANE_FLASH ? "flash"
									  : "routine"),
			 kv_slice("uri", facts->uri), kv_slice("version", facts->version),
			 kv_u64("bytes", in->candidate.head.document_len),
			 kv_u64("parts", in->candidate.envelope.parts_n),
			 kv_i64("took_ms",
				loop_now_ms(in->candidate.exchange->loop) - in->begun_ms));
	if (in->link == NULL)
		return;
	session_ack(in->link->session, &ack);
	link_want(in->link);
}

static void stored(struct store_req *req, void *arg)
{
	struct inbound *in = arg;

	if (req->code < 0 && in->withdrawn) {
		inbound_refuse(&in, NX_EWITHDRAWN, NX_NEVER, taken_back);
		return;
	}
	if (req->code == NX_EPARTSGONE && in->link != NULL && ++in->parts_gone < PARTS_GONE_TIMES) {
		parts_release(in);
		parts_begin(in);
		return;
	}
	if (req->code < 0) {
		inbound_refuse(&in, req->code, nx_retry(req->code), req->why.words);
		return;
	}
	answer(in, in->put.receipt);
	if (receipt_position(in->put.receipt) != 0 &&
	    receipt_result(in->put.receipt) != RESULT_DUPLICATE)
		make_hot(in, in->put.receipt);
	inbound_free(&in);
}

static void put(struct inbound *in)
{
	in->state = INBOUND_STORING;
	in->put = (struct store_put){
		.req = { .kind = REQ_PUT,
			 .done = stored,
			 .arg = in,
			 .urgent = facts_lane(&in->candidate.story.facts) == LANE_FLASH,
			 .partner = in->candidate.partner->number },
		.facts = &in->candidate.story.facts,
		.envelope = slice_of(in->stamped, in->stamped_n),
		.document = document_of(in),
		.parts = in->parts,
		.parts_n = in->candidate.envelope.parts_n,
		.kills_per_day = in->candidate.partner->conf == NULL
					 ? 0
					 : in->candidate.partner->conf->kills_per_day,
		.received_ms = clock_wall_ms(),
	};
	store_submit(in->candidate.exchange->store, &in->put.req);
}

static void got_part(void *arg, unsigned index, int code, enum nx_retry retry, uint64_t number)
{
	struct inbound *in = arg;

	free(in->wants[index]); /* the pull has let go of it */
	in->wants[index] = NULL;
	if (code < 0) {
		inbound_refuse(&in, code, retry,
			       code == NX_EFULL ? "the store has no room for its photos just now"
						: "a part of it could not be had");
		return;
	}
	in->parts[index].number = number;
	in->has_lease[index] = true;
	if (--in->missing == 0)
		put(in);
}

/* fetch what the exchange may not count as had; done() never comes before this returns */
static void parts_begin(struct inbound *in)
{
	bool flash = facts_lane(&in->candidate.story.facts) == LANE_FLASH;

	in->state = INBOUND_PARTS;
	in->missing = in->candidate.envelope.parts_n;
	for (unsigned i = 0; i < in->candidate.envelope.parts_n; i++) {
		const struct envelope_part *part = &in->candidate.envelope.parts[i];
		int r = pull_want(in->link, part->sha256, part->size, flash, i, got_part, in,
				  &in->wants[i]);

		if (r < 0) {
			inbound_refuse(&in, r, nx_retry(r), "a part of it could not be asked for");
			return;
		}
	}
}

static int parts_room(struct inbound *in)
{
	unsigned n = in->candidate.envelope.parts_n;

	if (n == 0)
		return 0;
	in->wants = calloc(n, sizeof(*in->wants));
	in->parts = calloc(n, sizeof(*in->parts));
	in->has_lease = calloc(n, sizeof(*in->has_lease));
	if (in->wants == NULL || in->parts == NULL || in->has_lease == NULL)
		return NX_ENOMEM;
	hold(in, (uint64_t)n * PART_COST);
	for (unsigned i = 0; i < n; i++) {
		const struct envelope_part *part = &in->candidate.envelope.parts[i];

		in->parts[i].size = part->size;
		in->parts[i].name = slice_str(part->name);
		memcpy(in->parts[i].sha256, part->sha256, 32);
	}
	return 0;
}

void inbound_item(struct link *link, const struct item_head *head, uint8_t *octets)
{
	struct inbound *in = inbound_find(link, head->id);
	struct why why = { 0 };
	int r;

	if (in == NULL) {
		free(octets);
		session_refuse(link->session, head->id, NX_ENOMEM, NX_LATER, BUSY_AFTER_MS,
			       "out of memory");
		return;
	}
	in->octets = octets;
	hold(in, (uint64_t)head->envelope_len + head->document_len);
	if (in->candidate.partner->conf == NULL) {
		inbound_refuse(&in, NX_ENOTALLOWED, NX_NEVER, drop_words(NX_ENOTALLOWED));
		return;
	}
	link->active = true; /* a partner that really publishes gets the whole window of credit */
	link_credit(link);
	in->candidate.octets = octets;
	r = candidate_check(&in->candidate, &why);
	in->candidate.octets = NULL;
	if (r == 0)
		r = story_place(&in->candidate.story, slice_str(in->candidate.envelope.origin),
				slice_str(in->candidate.envelope.channel));
	if (r == 0)
		r = stamp(in);
	if (r == 0)
		r = parts_room(in);
	if (r < 0) {
		inbound_refuse(&in, r, nx_retry(r), why.words);
		return;
	}
	if (in->candidate.envelope.parts_n == 0)
		put(in);
	else
		parts_begin(in);
}

void inbound_withdraw(struct link *link, uint64_t id, bool whole)
{
	struct inbound *in = inbound_find(link, id);

	if (in == NULL) /* no memory even to note it down */
		session_refuse(link->session, id, NX_EWITHDRAWN, NX_NEVER, 0, taken_back);
	else if (in->state == INBOUND_STORING)
		in->withdrawn = true; /* if it is stored first, that stands */
	else if (in->state != INBOUND_DROPPING || !whole)
		inbound_refuse(&in, NX_EWITHDRAWN, NX_NEVER, taken_back);
	link_want(link);
}

void inbound_link_over(struct link *link)
{
	struct map_node *node;

	while ((node = map_any(&link->inbounds)) != NULL) {
		struct inbound *in = container_of(node, struct inbound, node);

		map_del(&link->inbounds, node);
		in->link = NULL;
		if (in->state != INBOUND_STORING)
			inbound_free(&in);
	}
}
