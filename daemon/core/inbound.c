#include "core/inbound.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/pull.h"
#include "news/story.h"
#include "proto/channel.h"
#include "proto/envelope.h"
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MOST = 32, VALUES_MOST = 5000, PARTS_GONE_TIMES = 3, BUSY_AFTER_MS = 2000 };
enum { FULL_AFTER_MS = 30000, LATER_AFTER_MS = 5000 };

enum inbound_state {
	INBOUND_COMING,   /* octets are still on the way */
	INBOUND_DROPPING, /* they are read and thrown away: code says why */
	INBOUND_PARTS,    /* waits for parts */
	INBOUND_STORING,  /* with the writer: the receipt decides */
};

struct inbound {
	struct map_node node; /* link->inbounds */
	struct link *link;    /* NULL: the link is gone, or it is answered */
	struct exchange *exchange;
	struct partner *partner;
	enum inbound_state state;
	int code; /* DROPPING */
	uint64_t id, link_number;
	int64_t begun_ms;
	size_t held;
	struct item_head head;
	uint8_t *octets, *stamped; /* as it came; the envelope as it goes on, with the document */
	size_t stamped_n, document_n;
	struct envelope envelope;
	struct story story;
	struct want **wants;
	struct store_part *parts;
	unsigned missing, parts_gone;
	bool *has_lease;
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
	for (unsigned i = 0; i < in->envelope.parts_n; i++) {
		if (in->wants != NULL)
			pull_unwant(&in->wants[i]);
		if (in->has_lease != NULL && in->has_lease[i])
			store_unlease(in->exchange->store, in->parts[i].number);
		if (in->has_lease != NULL)
			in->has_lease[i] = false;
	}
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
	in->exchange->inbound_held -= in->held;
	free(in->wants);
	free(in->parts);
	free(in->has_lease);
	envelope_done(&in->envelope);
	story_done(&in->story);
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
	const struct facts *facts = &in->story.facts;

	count_refused(in->exchange, code);
	if (item_line(in->exchange))
		log_warn("item.refused", kv_u64("conn", in->link_number),
			 kv_str("peer", in->partner->name), kv_u64("id", in->id),
			 kv_str("reason", nx_word(code)),
			 kv_str("retry", retry == NX_NEVER ? "never" : "later"),
			 kv_slice("uri", facts->uri), kv_slice("version", facts->version),
			 kv_str("words", words));
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
				.exchange = link->exchange,
				.partner = link->partner,
				.id = head->id,
				.head = *head,
				.link_number = link->number,
				.begun_ms = loop_now_ms(link->exchange->loop) };
	map_add(&link->inbounds, &in->node, map_hash_u64(in->id));
	return in;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t document_max(const struct inbound *in)
{
	return least(in->exchange->conf->document_max, in->partner->conf->document_max);
}

/* what the head alone tells */
static int check_head(const struct inbound *in)
{
	const struct conf *conf = in->exchange->conf;

	if (in->partner->conf == NULL || in->partner->conf->publish.n == 0)
		return NX_ENOTALLOWED;
	if (in->head.envelope_len > conf->envelope_max)
		return NX_EBIGENV;
	if (in->head.document_len > document_max(in))
		return NX_EBIGDOC;
	if (in->exchange->stopping)
		return NX_ESHUTDOWN;
	if (in->head.lane == LANE_ROUTINE && in->exchange->inbound_held >= conf->inbound_memory)
		return NX_EBUSY;
	return 0;
}

void inbound_begin(struct link *link, const struct item_head *head)
{
	struct inbound *in = inbound_new(link, head);
	int r;

	if (in == NULL) {
		session_item_drop(link->session, head->id);
		return;
	}
	link->in_items++;
	r = check_head(in);
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

/* ---- checks: they may refuse and change nothing of the exchange */

static bool listed(const struct conf_strings *list, const char *name)
{
	for (unsigned i = 0; i < list->n; i++)
		if (strcmp(list->v[i], name) == 0)
			return true;
	return false;
}

static int check_channel(struct inbound *in, struct why *why)
{
	const struct conf_strings *publish = &in->partner->conf->publish;
	char *channel = in->envelope.channel;

	if (channel[0] == '\0') {
		if (publish->n != 1 || strchr(publish->v[0], '*') != NULL)
			return why_set(why, NX_ECHANNEL,
				       "name a channel: you may publish to more than one");
		snprintf(channel, sizeof(in->envelope.channel), "%s", publish->v[0]);
	}
	if (!channel_name_ok(slice_str(channel)))
		return why_set(why, NX_ECHANNEL, "not a channel's name");
	if (!conf_channel_match(publish, slice_str(channel)))
		return why_set(why, NX_ENOTALLOWED, "you may not publish to channel %s", channel);
	return 0;
}

static int check_origin(struct inbound *in, struct why *why)
{
	char *origin = in->envelope.origin;

	if (origin[0] == '\0')
		snprintf(origin, sizeof(in->envelope.origin), "%s", in->partner->name);
	if (strcmp(origin, in->partner->name) == 0 ||
	    listed(&in->partner->conf->speaks_for, origin))
		return 0;
	return why_set(why, NX_ENOTORIGIN, "you do not speak for this origin");
}

static const struct envelope_part *part_named(const struct envelope *envelope, const char *name)
{
	for (unsigned i = 0; i < envelope->parts_n; i++)
		if (strcmp(envelope->parts[i].name, name) == 0)
			return &envelope->parts[i];
	return NULL;
}

static int check_parts(struct inbound *in, struct why *why)
{
	uint64_t most = least(in->exchange->conf->part_max, in->partner->conf->part_max);

	for (unsigned i = 0; i < in->envelope.parts_n; i++)
		if (in->envelope.parts[i].size > most)
			return why_set(why, NX_EBIGPART,
				       "a part has %llu octets, %llu are the most",
				       (unsigned long long)in->envelope.parts[i].size,
				       (unsigned long long)most);
	for (unsigned i = 0; i < in->story.parts_n; i++)
		if (part_named(&in->envelope, in->story.parts[i]) == NULL)
			return why_set(
				why, NX_EPARTMISSING,
				"a rendition of the document names a file that the envelope lacks");
	return 0;
}

/* the minute of this partner; a flash or a kill counts, but is taken */
static int check_rate(struct inbound *in, struct why *why)
{
	uint64_t octets = in->held;

	for (unsigned i = 0; i < in->envelope.parts_n; i++)
		octets += in->envelope.parts[i].size;
	if (partner_rate(in->partner, octets, facts_lane(&in->story.facts) == LANE_FLASH,
			 loop_now_ms(in->exchange->loop)))
		return 0;
	return why_set(why, NX_ERATE, "more in a minute than this exchange takes from you");
}

static int check_item(struct inbound *in, struct why *why)
{
	const struct conf *conf = in->exchange->conf;
	unsigned parts_max = (unsigned)least(conf->parts_max, in->partner->conf->parts_max);
	struct story_limits limits = { .document_max = document_max(in),
				       .depth_max = DEPTH_MOST,
				       .values_max = VALUES_MOST,
				       .parts_max = parts_max };
	struct slice envelope = slice_of(in->octets, in->head.envelope_len);
	struct slice document = slice_of(in->octets + in->head.envelope_len, in->head.document_len);
	int r;

	r = envelope_read(envelope, parts_max, &in->envelope, why);
	if (r == 0)
		r = check_origin(in, why);
	if (r == 0)
		r = check_channel(in, why);
	if (r == 0)
		r = story_read(document, &limits, &in->story, why);
	if (r == 0)
		r = check_parts(in, why);
	if (r == 0)
		r = check_rate(in, why);
	return r;
}

/* ---- on its way to disk */

/* the envelope as it goes on, and the document behind it, in one piece */
static int stamp(struct inbound *in)
{
	struct envelope_stamp stamp = { .origin = in->envelope.origin,
					.sender = in->partner->name,
					.node = in->exchange->conf->node_name,
					.trust_transport = in->partner->conf->node };
	uint8_t *envelope = NULL, *whole;
	size_t n;
	int r;

	clock_rfc3339(clock_wall_ms(), stamp.received);
	r = envelope_write(&in->envelope, &stamp, in->exchange->conf->envelope_max, &envelope, &n);
	if (r < 0)
		return r;
	whole = realloc(envelope, n + in->head.document_len);
	if (whole == NULL) {
		free(envelope);
		return NX_ENOMEM;
	}
	memcpy(whole + n, in->octets + in->head.envelope_len, in->head.document_len);
	free(in->octets);
	in->octets = NULL;
	in->stamped = whole;
	in->stamped_n = n;
	in->document_n = in->head.document_len;
	return 0;
}

static void parts_begin(struct inbound *in);

/* a stored item becomes hot: its octets are what subscribers get */
static void make_hot(struct inbound *in, const struct receipt *receipt)
{
	struct exchange *exchange = in->exchange;
	struct hot *hot = calloc(1, sizeof(*hot));

	if (hot != NULL && in->envelope.parts_n > 0) {
		hot->parts = hot_parts_copy(in->parts, in->envelope.parts_n);
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
	hot->lane = facts_lane(&in->story.facts);
	hot->kill = facts_kill(&in->story.facts);
	hot->verdict =
		receipt_result(receipt) == RESULT_SUPERSEDED ? SETTLE_SUPERSEDED : SETTLE_ACKED;
	hot->stored_ms = receipt_stored_ms(receipt);
	facts_story_key(&in->story.facts, hot->story);
	snprintf(hot->channel, sizeof(hot->channel), "%s", in->envelope.channel);
	hot->octets = in->stamped;
	hot->envelope_n = (uint32_t)in->stamped_n;
	hot->document_n = (uint32_t)in->document_n;
	in->stamped = NULL;
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
	const struct facts *facts = &in->story.facts;

	count_result(in->exchange, receipt_result(receipt));
	if (item_line(in->exchange))
		log_info("item.stored", kv_u64("conn", in->link_number),
			 kv_str("peer", in->partner->name), kv_u64("seq", ack.sequence),
			 kv_str("result", result_word(ack.result)),
			 kv_u64("position", receipt_position(receipt)),
			 kv_str("channel", in->envelope.channel),
			 kv_str("lane", facts_lane(facts) == LANE_FLASH ? "flash" : "routine"),
			 kv_slice("uri", facts->uri), kv_slice("version", facts->version),
			 kv_u64("bytes", in->document_n), kv_u64("parts", in->envelope.parts_n),
			 kv_i64("took_ms", loop_now_ms(in->exchange->loop) - in->begun_ms));
	if (in->link == NULL)
		return;
	session_ack(in->link->session, &ack);
	link_want(in->link);
}

static void stored(struct store_req *req, void *arg)
{
	struct inbound *in = arg;

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
	struct slice envelope = slice_of(in->stamped, in->stamped_n);
	struct slice document = slice_of(in->stamped + in->stamped_n, in->document_n);

	in->state = INBOUND_STORING;
	in->put = (struct store_put){
		.req = { .kind = REQ_PUT,
			 .done = stored,
			 .arg = in,
			 .urgent = facts_lane(&in->story.facts) == LANE_FLASH },
		.partner = in->partner->number,
		.facts = &in->story.facts,
		.envelope = envelope,
		.document = document,
		.parts = in->parts,
		.parts_n = in->envelope.parts_n,
		.kills_per_day = in->partner->conf == NULL ? 0 : in->partner->conf->kills_per_day,
		.received_ms = clock_wall_ms(),
	};
	store_submit(in->exchange->store, &in->put.req);
}

static void got_part(void *arg, unsigned index, int code, enum nx_retry retry, uint64_t number)
{
	struct inbound *in = arg;

	free(in->wants[index]); /* the pull has let go of it */
	in->wants[index] = NULL;
	if (code < 0) {
		inbound_refuse(&in, code, retry, "a part of it could not be had");
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
	bool flash = facts_lane(&in->story.facts) == LANE_FLASH;

	in->state = INBOUND_PARTS;
	in->missing = in->envelope.parts_n;
	for (unsigned i = 0; i < in->envelope.parts_n; i++) {
		const struct envelope_part *part = &in->envelope.parts[i];
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
	unsigned n = in->envelope.parts_n;

	if (n == 0)
		return 0;
	in->wants = calloc(n, sizeof(*in->wants));
	in->parts = calloc(n, sizeof(*in->parts));
	in->has_lease = calloc(n, sizeof(*in->has_lease));
	if (in->wants == NULL || in->parts == NULL || in->has_lease == NULL)
		return NX_ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		const struct envelope_part *part = &in->envelope.parts[i];

		in->parts[i].size = part->size;
		in->parts[i].name = slice_str(part->name);
		memcpy(in->parts[i].sha256, part->sha256, 32);
	}
	return 0;
}

/* a partner that really publishes gets the whole window of credit */
static void link_active(struct link *link)
{
	const struct conf_partner *conf = link->partner->conf;

	if (link->active || conf == NULL)
		return;
	link->active = true;
	session_window(link->session, LANE_ROUTINE, conf->credit_items, conf->credit_octets);
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
	in->held = head->envelope_len + head->document_len;
	in->exchange->inbound_held += in->held;
	if (in->partner->conf == NULL) {
		inbound_refuse(&in, NX_ENOTALLOWED, NX_NEVER, drop_words(NX_ENOTALLOWED));
		return;
	}
	link_active(link);
	r = check_item(in, &why);
	if (r == 0)
		r = story_place(&in->story, slice_str(in->envelope.origin),
				slice_str(in->envelope.channel));
	if (r == 0)
		r = stamp(in);
	if (r == 0)
		r = parts_room(in);
	if (r < 0) {
		inbound_refuse(&in, r, nx_retry(r), why.words);
		return;
	}
	if (in->envelope.parts_n == 0)
		put(in);
	else
		parts_begin(in);
}

void inbound_withdraw(struct link *link, uint64_t id, bool whole)
{
	struct inbound *in = inbound_find(link, id);

	if (in == NULL || in->state == INBOUND_STORING || (in->state == INBOUND_DROPPING && whole))
		return; /* the answer is on its way, and stands */
	inbound_refuse(&in, NX_EWITHDRAWN, NX_NEVER, "taken back by its sender");
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
