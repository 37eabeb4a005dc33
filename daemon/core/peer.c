#include "core/peer.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/delivery.h"
#include "core/inbound.h"
#include "core/outbound.h"
#include "core/pull.h"
#include "core/serve.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { LAST_WORDS_MS = 2000, CRIES_A_MINUTE = 10 };

enum peer_state { PEER_GREETING, PEER_OPEN, PEER_DRAINING, PEER_CLOSED };

/* S: bit of a state: where may it go from here? */
#define S(state) (1u << (PEER_##state))
static const struct {
	const char *name;
	unsigned next;
} rows[] = {
	[PEER_GREETING] = { "greeting", S(OPEN) | S(DRAINING) | S(CLOSED) },
	[PEER_OPEN] = { "open", S(DRAINING) | S(CLOSED) },
	[PEER_DRAINING] = { "draining", S(CLOSED) },
	[PEER_CLOSED] = { "closed", 0 },
};

struct peer {
	struct link link;
	enum peer_state state;
	peer_closed_fn *closed;
	peer_twin_fn *twin;
	void *arg;
	int64_t opened_ms;
};

static void peer_enter(struct peer *peer, enum peer_state next)
{
	assert(rows[peer->state].next & (1u << next));
	log_debug("peer.state", kv_u64("conn", peer->link.number), kv_str("to", rows[next].name));
	peer->state = next;
}

struct link *peer_link(struct peer *peer)
{
	return &peer->link;
}

void peer_on_twin(struct peer *peer, peer_twin_fn *twin)
{
	peer->twin = twin;
}

/* everything that hangs on the link comes off; the session keeps its last words until the line has
 * taken them */
static void peer_over(struct peer *peer, int code, const char *words)
{
	struct link *link = &peer->link;
	struct conn *conn = link->conn;

	peer_enter(peer, PEER_CLOSED);
	link->over = true;
	pull_link_over(link);
	inbound_link_over(link);
	outbound_link_over(link);
	serve_link_over(link);
	log_info("conn.close", kv_u64("conn", link->number), kv_str("peer", link->partner->name),
		 kv_str("reason", nx_word(code)), kv_str("words", words),
		 kv_u64("in_items", link->in_items), kv_u64("out_items", link->out_items),
		 kv_u64("in_bytes", conn_octets_in(conn)),
		 kv_u64("out_bytes", conn_octets_out(conn)),
		 kv_i64("lasted_ms", loop_now_ms(link->exchange->loop) - peer->opened_ms));
	count_closed(link->exchange, code);
	link->partner->links--;
}

/* the line has taken the last words, or is gone */
static void peer_gone(struct peer *peer)
{
	conn_close(&peer->link.conn);
	session_free(&peer->link.session);
	peer->closed(peer->arg, peer);
}

void peer_free(struct peer **peer)
{
	if (*peer != NULL) {
		assert((*peer)->state == PEER_CLOSED);
		link_done(&(*peer)->link);
		free(*peer);
	}
	*peer = NULL;
}

void peer_close(struct peer *peer, int code, const char *words)
{
	struct conn *conn = peer->link.conn;

	if (peer->state == PEER_CLOSED)
		return;
	peer->link.over =
		true; /* no more items; the session gives what it must say, the BYE last */
	session_bye(peer->link.session, code, words);
	conn_finish(conn, LAST_WORDS_MS);
	peer_over(peer, code, words);
}

void peer_abandon(struct peer *peer)
{
	if (peer->state != PEER_CLOSED)
		peer_over(peer, NX_ESHUTDOWN, "");
	peer_gone(peer);
}

void peer_bye(struct peer *peer, int code, const char *words)
{
	if (peer->state == PEER_CLOSED)
		return;
	session_bye(peer->link.session, code, words);
	if (peer->state != PEER_DRAINING)
		peer_enter(peer, PEER_DRAINING);
	link_want(&peer->link);
}

/* ---- events of the session */

/* a publisher holds acknowledgements that this store does not know: it is a copy of an older one.
 * At most so many are lost; of an epoch that nobody noted nobody knows how many */
static void check_held(const struct partner *partner, const struct hello *hello,
		       const struct store_state *state)
{
	bool same = hello->held_epoch == state->epoch;
	bool known =
		same || (state->restored_epoch != 0 && hello->held_epoch == state->restored_epoch);
	uint64_t last = same ? state->sequence_last : state->restored_sequence;
	uint64_t lost = hello->held_sequence > last ? hello->held_sequence - last : 0;

	if (!known)
		log_err("store.rewound", kv_str("told-by", partner->name),
			kv_str("reason", "other-epoch"), kv_u64("lost", 0));
	else if (lost > 0)
		log_err("store.rewound", kv_str("told-by", partner->name), kv_str("reason", "lost"),
			kv_u64("lost", lost));
	else if (!same)
		log_info("store.rewound", kv_str("told-by", partner->name),
			 kv_str("reason", "restored"), kv_u64("lost", 0));
}

/* its word alone wakes somebody up: a few times a minute */
static bool may_cry(struct partner *partner, int64_t now_ms)
{
	if (now_ms - partner->rewound.since_ms >= 60000) {
		partner->rewound.since_ms = now_ms;
		partner->rewound.n = 0;
	}
	return partner->rewound.n++ < CRIES_A_MINUTE;
}

static void on_hello(struct peer *peer, const struct hello *hello)
{
	struct link *link = &peer->link;
	const struct exchange *exchange = link->exchange;

	log_info("peer.hello", kv_u64("conn", link->number), kv_str("peer", link->partner->name),
		 kv_str("node", hello->node), kv_str("agent", hello->agent),
		 kv_str("boot", hello->boot));
	if (link->partner->conf != NULL && link->partner->conf->node && peer->twin != NULL &&
	    peer->twin(peer->arg, peer, hello)) {
		peer_close(peer, NX_ETWIN, "another node with this key is connected");
		return;
	}
	if (hello->has_held && may_cry(link->partner, loop_now_ms(exchange->loop)))
		check_held(link->partner, hello, &exchange->state);
	peer_enter(peer, PEER_OPEN);
}

static void on_need(struct link *link, const struct need *need)
{
	uint64_t id;
	bool flash;
	const struct store_part *part = delivery_part(link, need, &id, &flash);

	if (part == NULL || serve_open(link, need, part, id, flash) < 0) {
		count_refused(link->exchange, NX_ENOTOPEN);
		session_gone(link->session, need->handle, NX_ENOTOPEN);
		serve_stop(link, need->handle); /* what it asked for before is gone with it */
	}
	link_want(link);
}

static void on_bye(struct peer *peer, const struct bye *bye)
{
	log_info("peer.bye", kv_u64("conn", peer->link.number),
		 kv_str("peer", peer->link.partner->name), kv_str("code", bye->code),
		 kv_str("words", bye->words));
	if (peer->state == PEER_OPEN)
		peer_enter(peer, PEER_DRAINING);
}

/* one event to its room; may close the peer */
static void peer_event(struct peer *peer, struct session_event *event)
{
	struct link *link = &peer->link;

	switch (event->kind) {
	case SESSION_HELLO:
		on_hello(peer, &event->hello);
		break;
	case SESSION_CREDIT:
		link_want(link);
		break;
	case SESSION_SUBSCRIBE:
		outbound_subscribe(link, &event->subscribe);
		break;
	case SESSION_UNSUBSCRIBE:
		outbound_unsubscribe(link, event->number);
		break;
	case SESSION_ITEM_BEGIN:
		inbound_begin(link, &event->item.head);
		break;
	case SESSION_ITEM:
		inbound_item(link, &event->item.head, event->item.octets);
		break;
	case SESSION_ITEM_DROPPED:
		inbound_dropped(link, event->id, event->code);
		break;
	case SESSION_WITHDRAW:
		inbound_withdraw(link, event->withdraw.id, event->withdraw.whole);
		break;
	case SESSION_NEED:
		on_need(link, &event->need);
		break;
	case SESSION_STOP:
		serve_stop(link, event->handle);
		break;
	case SESSION_DATA:
		pull_data(link, event->data.handle, event->data.octets, event->data.done);
		break;
	case SESSION_GONE:
		pull_gone(link, event->gone.handle, event->gone.code);
		break;
	case SESSION_ANSWER:
		outbound_answer(link, &event->ack);
		break;
	case SESSION_REFUSED:
		outbound_refused(link, &event->refuse);
		break;
	case SESSION_PONG:
		link->round_trip_ms = event->pong.round_trip_ms;
		link->clock_diff_ms = event->pong.clock_diff_ms;
		break;
	case SESSION_BYE:
		on_bye(peer, &event->bye);
		break;
	case SESSION_SUBSCRIBED: /* this daemon subscribes nowhere yet */
	case SESSION_UNSUBSCRIBED:
		break;
	}
}

static bool drained(const struct peer *peer)
{
	return peer->state == PEER_DRAINING && session_open_in(peer->link.session) == 0 &&
	       session_open_out(peer->link.session) == 0;
}

static void peer_data(struct peer *peer)
{
	struct link *link = &peer->link;
	struct conn *conn = link->conn;
	struct slice all = conn_peek(conn), in = all;
	struct why why = { 0 };
	struct session_event event;
	struct share *share = &link->partner->share;
	int r;

	if (link->over) { /* it was told so; what it still says is not listened to */
		conn_take(conn, all.n);
		return;
	}
	share_begin(link->exchange->loop, share);
	do {
		r = session_feed(link->session, &in, loop_now_ms(link->exchange->loop),
				 clock_wall_ms(), &event, &why);
		if (r > 0)
			peer_event(peer, &event);
	} while (r > 0 && !link->over && share_left(share));
	share_end(share);
	if (link->over) /* the event closed it */
		return;
	conn_take(conn, all.n - in.n);
	if (r > 0)
		conn_rest(conn);
	if (r < 0)
		peer_close(peer, r, why.words);
	else if (drained(peer))
		peer_close(peer, NX_EBYE, nx_word(NX_EBYE));
	else
		link_want(link);
}

static void on_conn(struct conn *conn, enum conn_event event, void *arg)
{
	struct peer *peer = arg;

	switch (event) {
	case CONN_READY:
		conn_want(conn);
		break;
	case CONN_DATA:
		peer_data(peer);
		break;
	case CONN_EOF:
	case CONN_ERROR:
		if (peer->state != PEER_CLOSED) {
			const struct why *why = conn_reason(conn);
			bool done = peer->state == PEER_DRAINING;

			peer_over(peer,
				  done            ? NX_EBYE
				  : why->code < 0 ? why->code
						  : NX_EEOF,
				  why->words);
		}
		peer_gone(peer);
		break;
	}
}

static size_t peer_produce(void *arg, uint8_t *to, size_t room, size_t small_max)
{
	struct peer *peer = arg;
	struct link *link = &peer->link;
	size_t made = 0, least = FRAME_HEADER + FRAME_FLOOR;

	while (room - made >= least) {
		size_t n = session_frame(link->session, to + made, room - made, small_max,
					 loop_now_ms(link->exchange->loop), clock_wall_ms());

		if (n == 0)
			break;
		made += n;
	}
	link->exchange->count.out_octets += made;
	return made;
}

/* ---- the session's source */

static bool source_item(void *arg, enum session_class class, uint64_t id, struct session_out *out)
{
	struct peer *peer = arg;

	return !peer->link.over && outbound_item(&peer->link, class, id, out);
}

static void source_sent(void *arg, uint64_t id)
{
	struct peer *peer = arg;

	outbound_sent(&peer->link, id);
}

static int source_part(void *arg, uint64_t handle, uint64_t offset, uint8_t *to, size_t n)
{
	struct peer *peer = arg;

	return peer->link.over ? NX_ENOTOPEN : serve_part(&peer->link, handle, offset, to, n);
}

/* what this partner may do here, for its own eyes: a later reload does not change what was said */
static void say_rights(const struct conf *conf, const struct conf_partner *partner,
		       struct hello *hello)
{
	bool more = true;

	hello->has_rights = true;
	for (unsigned i = 0; i < partner->publish.n && more; i++)
		more = rights_add(hello->publish, slice_str(partner->publish.v[i]));
	more = true;
	for (unsigned i = 0; i < conf->subscriptions_n && more; i++)
		if (strcmp(conf->subscriptions[i].partner, partner->name) == 0)
			more = rights_add(hello->subscriptions,
					  slice_str(conf->subscriptions[i].name));
}

static struct session *session_for(struct peer *peer)
{
	const struct exchange *exchange = peer->link.exchange;
	const struct conf *conf = exchange->conf;
	struct session_conf sc = {
		.ahead_items = conf->send_ahead_items,
		.ahead_octets = conf->send_ahead_octets,
		.hello_ms = conf->hello_ms,
		.ping_ms = conf->ping_ms,
		.idle_ms = conf->idle_ms,
		.bye_ms = conf->bye_ms,
		.source = { .item = source_item, .sent = source_sent, .part = source_part },
		.arg = peer,
	};
	struct hello *hello = &sc.hello;

	snprintf(hello->node, sizeof(hello->node), "%s", conf->node_name);
	snprintf(hello->agent, sizeof(hello->agent), "newsxd/%s", NEWSXD_VERSION);
	memcpy(hello->boot, exchange->boot, sizeof(hello->boot));
	hello->epoch = exchange->state.epoch;
	hello->has_last = true;
	hello->last = exchange->state.sequence_last;
	hello->has_restored = exchange->state.restored_epoch != 0;
	hello->restored_epoch = exchange->state.restored_epoch;
	hello->restored_sequence = exchange->state.restored_sequence;
	hello->max = (struct limits){ .frame = FRAME_FLOOR,
				      .document = (uint32_t)conf->document_max,
				      .envelope = (uint32_t)conf->envelope_max,
				      .parts = conf->parts_max,
				      .part = conf->part_max };
	say_rights(conf, peer->link.partner->conf, hello);
	return session_new(&sc, loop_now_ms(exchange->loop));
}

int peer_new(struct exchange *exchange, struct conn *conn, peer_closed_fn *closed, void *arg,
	     struct peer **ret)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	struct partner *partner = conn_partner(conn);

	if (peer == NULL)
		goto fail;
	peer->link = (struct link){
		.exchange = exchange, .conn = conn, .partner = partner, .number = conn_number(conn)
	};
	peer->closed = closed;
	peer->arg = arg;
	peer->opened_ms = loop_now_ms(exchange->loop);
	link_init(&peer->link);
	peer->link.session = session_for(peer);
	if (peer->link.session == NULL)
		goto fail;
	link_credit(&peer->link);
	partner->links++;
	log_info("conn.open", kv_u64("conn", peer->link.number), kv_str("peer", partner->name),
		 kv_str("addr", conn_address(conn)), kv_str("tls", "TLSv1.3"));
	conn_handlers(conn, on_conn, peer_produce, peer);
	*ret = peer;
	return 0;
fail:
	if (peer != NULL)
		link_done(&peer->link);
	free(peer);
	conn_close(&conn);
	return NX_ENOMEM;
}

/* half an item came, and no more of it: it blocks its lane. While a part comes it may wait */
static bool no_more(const struct link *link, int64_t now_ms)
{
	int64_t since_ms = session_half_since_ms(link->session);

	if (since_ms < link->data_in_ms)
		since_ms = link->data_in_ms;
	return now_ms - since_ms > link->exchange->conf->ack_wait_ms;
}

void peer_tick(struct peer *peer, int64_t now_ms, int64_t wall_ms)
{
	int64_t next;
	int r;

	if (peer->state == PEER_CLOSED)
		return;
	r = session_tick(peer->link.session, now_ms, &next);
	if (r == 0 && conn_stalled_ms(peer->link.conn) > peer->link.exchange->conf->stall_ms)
		r = NX_ESTALL;
	if (r == 0 && no_more(&peer->link, now_ms))
		r = NX_ENOMORE;
	if (r == 0)
		r = outbound_tick(&peer->link, now_ms, wall_ms);
	if (r == 0 && drained(peer))
		r = NX_EBYE;
	if (r < 0) {
		peer_close(peer, r, nx_word(r));
		return;
	}
	link_credit(&peer->link);
	if (session_wants(peer->link.session))
		link_want(&peer->link);
}
