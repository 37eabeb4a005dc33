#include "core/hub.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/admit.h"
#include "core/ask.h"
#include "core/definition.h"
#include "core/delivery.h"
#include "core/outbound.h"
#include "core/peer.h"
#include "core/pull.h"
#include "core/report.h"
#include "core/settle.h"
#include "core/watchdog.h"
#include "net/listen.h"
#include "net/notify.h"
#include "news/story.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum { LAST_REQUESTS_MS = 5000, LAST_WAIT_MS = 50 };
enum {
	TICK_MS = 1000,
	ASK_TICKS = 5,
	WARN_TICKS = 6 * 3600,
	REPORT_TICKS = 60,
	EXPIRY_WARN_DAYS = 60
};
#define DAY_MS (24 * 3600 * 1000LL)

struct hub {
	struct exchange exchange;
	struct conf *conf;
	struct loop *loop;
	struct tls *tls;
	struct listen *listen;
	struct wake *wake;
	struct timer *tick, *last;
	struct watchdog *watchdog;
	struct signal_ *signals[4];
	struct peer **peers, **dead; /* dead: closed in this second, freed at the next tick */
	unsigned peers_n, peers_cap, dead_n, dead_cap;
	unsigned ticks;
	uint64_t reported; /* sum of counters at the last report */
	int status;
	/* a definition on its way to the store: the first, or a reload's */
	struct store_define define;
	struct conf *conf_next;
	struct tls *tls_next;
	bool defining;
	bool asking_again; /* those who are in: their own link does not count against them */
};

/* ---- who may come in */

static int admit(void *arg, const struct tls_peer *peer, void **ret_partner)
{
	struct hub *hub = arg;
	struct partner *partner = NULL;
	int r = admit_partner(&hub->exchange, peer, hub->asking_again, &partner);

	if (r == 0)
		*ret_partner = partner;
	return r;
}

static void warn_expiry(struct peer *peer)
{
	const struct tls_peer *key = conn_peer(peer_link(peer)->conn);
	int64_t left = key->not_after_ms - clock_wall_ms();

	if (left < EXPIRY_WARN_DAYS * DAY_MS)
		log_warn("key.expires", kv_u64("conn", peer_link(peer)->number),
			 kv_str("peer", peer_link(peer)->partner->name),
			 kv_time("expires", key->not_after_ms), kv_str("pin", key->pin_text));
}

/* ---- peers come and go */

static int list_add(struct peer ***list, unsigned *n, unsigned *cap, struct peer *peer)
{
	if (*n == *cap) {
		unsigned more = *cap == 0 ? 64 : *cap * 2;
		struct peer **grown = realloc(*list, more * sizeof(*grown));

		if (grown == NULL)
			return NX_ENOMEM;
		*list = grown;
		*cap = more;
	}
	(*list)[(*n)++] = peer;
	return 0;
}

static void peer_closed(void *arg, struct peer *peer)
{
	struct hub *hub = arg;

	for (unsigned i = 0; i < hub->peers_n; i++) {
		if (hub->peers[i] == peer) {
			hub->peers[i] = hub->peers[--hub->peers_n];
			break;
		}
	}
	/* never fails: room was made when it came in */
	hub->dead[hub->dead_n++] = peer;
	if (hub->exchange.stopping && hub->peers_n == 0)
		timer_set(hub->last, 0);
}

static bool twin(void *arg, struct peer *peer, const struct hello *hello)
{
	struct hub *hub = arg;

	for (unsigned i = 0; i < hub->peers_n; i++) {
		struct link *link = peer_link(hub->peers[i]);
		const struct hello *other;

		if (hub->peers[i] == peer || link->partner != peer_link(peer)->partner)
			continue;
		other = session_peer(link->session);
		if (other != NULL && strcmp(other->boot, hello->boot) != 0)
			return true;
	}
	return false;
}

/* a place among the dead is kept for every peer, so that closing one needs no memory */
static int room_for_peer(struct hub *hub)
{
	unsigned need = hub->peers_n + hub->dead_n + 1;

	if (need > hub->dead_cap) {
		struct peer **grown = realloc(hub->dead, (need + 64) * sizeof(*grown));

		if (grown == NULL)
			return NX_ENOMEM;
		hub->dead = grown;
		hub->dead_cap = need + 64;
	}
	return 0;
}

static void refused(void *arg, const char *address, int code, const char *words,
		    const struct tls_peer *peer)
{
	struct hub *hub = arg;

	count_refused(&hub->exchange, code);
	if (peer == NULL)
		log_warn("conn.refuse", kv_str("reason", nx_word(code)), kv_str("addr", address),
			 kv_str("words", words));
	else
		log_warn("conn.refuse", kv_str("reason", nx_word(code)), kv_str("addr", address),
			 kv_str("name", peer->name), kv_str("pin", peer->pin_text),
			 kv_str("spoken", peer->spoken), kv_time("expires", peer->not_after_ms),
			 kv_str("words", words));
}

static void opened(void *arg, struct conn *conn)
{
	struct hub *hub = arg;
	struct peer *peer = NULL;

	const struct partner *partner = conn_partner(conn);

	/* asked again: others of the same partner may have come in during this handshake */
	if (partner->conf == NULL || partner->links >= partner->conf->connections_max) {
		refused(hub, conn_address(conn), NX_ETOOMANY, "this partner has its connections",
			conn_peer(conn));
		conn_close(&conn);
		return;
	}
	if (hub->exchange.stopping || room_for_peer(hub) < 0) {
		conn_close(&conn);
		return;
	}
	if (peer_new(&hub->exchange, conn, peer_closed, hub, &peer) < 0)
		return;
	peer_on_twin(peer, twin);
	if (list_add(&hub->peers, &hub->peers_n, &hub->peers_cap, peer) < 0) {
		peer_close(peer, NX_ENOMEM, "out of memory");
		return;
	}
	warn_expiry(peer);
}

/* ---- what the store tells */

static void fail(struct hub *hub, int status)
{
	hub->status = status;
	loop_stop(hub->loop);
}

static void store_event(const struct store_event *event, void *arg)
{
	struct hub *hub = arg;

	report_event(&hub->exchange, event);
	if (event->kind == STORE_CLOCK)
		hub->exchange.clock_suspect = event->code < 0;
	if (event->kind == STORE_RELEASED)
		exchange_released_unseen(&hub->exchange, event->last);
	else if (event->kind == STORE_FATAL)
		fail(hub, EX_IOERR);
}

static void store_wake(void *arg)
{
	struct hub *hub = arg;

	wake_up(hub->wake);
}

static void collect(void *arg)
{
	struct hub *hub = arg;

	store_collect(hub->exchange.store);
	store_state(hub->exchange.store, &hub->exchange.state);
}

static void newer(void *arg, const uint8_t story[32], uint64_t sequence, bool kill)
{
	struct hub *hub = arg;

	delivery_newer(&hub->exchange, story, sequence, kill);
}

static void wake_feeds(void *arg, enum lane lane)
{
	struct hub *hub = arg;

	outbound_wake(&hub->exchange, lane);
}

/* ---- time */

static void hub_forget(struct hub *hub, const char *name);
static void close_ended(struct hub *hub, int64_t wall_ms);

static void asked(void *arg, const char *verb, const char *name)
{
	struct hub *hub = arg;

	if (strcmp(verb, "clock-ok") == 0) {
		log_info("ask.taken", kv_str("ask", verb));
		store_clock_ok(hub->exchange.store);
	} else if (strcmp(verb, "forget") == 0) {
		log_info("ask.taken", kv_str("ask", verb), kv_str("subscription", name));
		hub_forget(hub, name);
	} else {
		log_warn("ask.refused", kv_str("ask", verb), kv_str("reason", nx_word(NX_EARG)));
	}
}

static void bury(struct hub *hub)
{
	while (hub->dead_n > 0)
		peer_free(&hub->dead[--hub->dead_n]);
}

static uint64_t activity(const struct exchange *exchange)
{
	const struct counters *c = &exchange->count;
	uint64_t sum = c->stored + c->duplicate + c->held + c->superseded + c->delivered;

	for (unsigned i = 0; i < 128; i++)
		sum += c->refused[i] + c->closed[i];
	return sum;
}

static void sum_up_items(struct exchange *exchange)
{
	if (exchange->item_lines_left_out > 0)
		log_info("item.summary", kv_u64("lines_left_out", exchange->item_lines_left_out),
			 kv_u64("stored", exchange->count.stored),
			 kv_u64("duplicates", exchange->count.duplicate),
			 kv_u64("held", exchange->count.held),
			 kv_u64("delivered", exchange->count.delivered));
	exchange->item_lines = exchange->item_lines_left_out = 0;
}

static void tick(void *arg)
{
	struct hub *hub = arg;
	int64_t now = loop_now_ms(hub->loop), wall = clock_wall_ms();

	timer_set(hub->tick, TICK_MS);
	bury(hub);
	sum_up_items(&hub->exchange);
	store_tick(hub->exchange.store, clock_boot_ms(), wall, clock_synchronised());
	store_state(hub->exchange.store, &hub->exchange.state);
	pull_tick(&hub->exchange, now);
	for (unsigned i = hub->peers_n; i > 0;
	     i--) /* backwards: a tick may take the peer out of the list */
		if (i <= hub->peers_n)
			peer_tick(hub->peers[i - 1], now, wall);
	close_ended(hub, wall);
	if (hub->ticks % WARN_TICKS == 0 && hub->listen != NULL)
		admit_warn(hub->tls, hub->conf, wall);
	hub->ticks++;
	if (hub->ticks % ASK_TICKS == 0)
		ask_take(hub->conf->store_directory, asked, hub);
	if (hub->ticks % REPORT_TICKS == 0 && activity(&hub->exchange) != hub->reported) {
		hub->reported = activity(&hub->exchange);
		report_state(&hub->exchange, false);
	}
}

/* ---- configuration */

static void limits_of(const struct conf *conf, struct listen_limits *ret)
{
	*ret = (struct listen_limits){ .connections_max = conf->connections_max,
				       .connections_per_address = conf->connections_per_address,
				       .handshakes_max = conf->handshakes_max,
				       .handshake_ms = conf->handshake_ms };
}

static void key_serving(const struct tls *tls)
{
	const struct tls_peer *self = tls_self(tls);

	log_info("key.serving", kv_str("pin", self->pin_text), kv_str("spoken", self->spoken),
		 kv_time("expires", self->not_after_ms));
}

static void listening(struct hub *hub)
{
	struct listen_limits limits;
	struct listen_ops ops = { .opened = opened, .refused = refused };
	struct why why = { 0 };
	int r;

	limits_of(hub->conf, &limits);
	r = listen_open(hub->loop, (const char *const *)hub->conf->listen_address.v,
			hub->conf->listen_address.n, hub->tls, &limits, &ops, hub, &hub->listen,
			&why);
	if (r < 0) {
		log_err("listen.fail", kv_str("reason", nx_word(r)), kv_str("words", why.words));
		fail(hub, EX_UNAVAILABLE);
		return;
	}
	for (unsigned i = 0; listen_address(hub->listen, i) != NULL; i++)
		log_info("listen.open", kv_str("addr", listen_address(hub->listen, i)));
	key_serving(hub->tls);
	notify_ready("serving");
}

/* those who are in are asked again under the new rules */
static void admit_all_again(struct hub *hub)
{
	hub->asking_again = true;
	for (unsigned i = hub->peers_n; i > 0; i--) {
		struct peer *peer = hub->peers[i - 1];
		struct conn *conn = peer_link(peer)->conn;
		int r = conn_admit_again(conn, hub->tls);

		if (r == 0 && conn_partner(conn) != peer_link(peer)->partner)
			r = NX_ENOTENTITLED;
		if (r < 0)
			peer_close(peer, r == NX_EUNKNOWNKEY ? NX_ENOTENTITLED : r,
				   "the configuration no longer admits this key");
	}
	hub->asking_again = false;
}

/* a certificate, a CA or a revocation list that ends takes its links along */
static void close_ended(struct hub *hub, int64_t wall_ms)
{
	for (unsigned i = hub->peers_n; i > 0; i--) {
		struct link *link = peer_link(hub->peers[i - 1]);
		int r = admit_over(&hub->exchange, link->partner, conn_peer(link->conn), wall_ms);

		if (r < 0)
			peer_close(hub->peers[i - 1], r,
				   r == NX_ECRLEXPIRED
					   ? "the revocation list is out of its time"
					   : "the certificate or its CA is out of its time");
	}
}

static void swap_conf(struct hub *hub)
{
	struct store_conf store;
	struct listen_limits limits;
	struct conf *old = hub->conf;
	struct why why = { 0 };

	if (conf_needs_restart(old, hub->conf_next, &why))
		log_warn("conf.restart", kv_str("words", why.words));
	hub->conf = hub->conf_next;
	hub->conf_next = NULL;
	tls_free(&hub->tls);
	hub->tls = hub->tls_next;
	hub->tls_next = NULL;
	definition_store_conf(hub->conf, &store);
	store_reload(hub->exchange.store, &store);
	hub->exchange.ring.octets_max = hub->conf->hot_memory;
	limits_of(hub->conf, &limits);
	listen_reload(hub->listen, hub->tls, &limits);
	log_level((enum log_level)hub->conf->log_level);
	admit_all_again(hub);
	outbound_reload(&hub->exchange);
	conf_free(&old);
	log_info("conf.reload", kv_str("file", hub->conf->file),
		 kv_u64("partners", hub->conf->partners_n),
		 kv_u64("subscriptions", hub->conf->subscriptions_n));
	key_serving(hub->tls);
	admit_warn(hub->tls, hub->conf, clock_wall_ms());
	notify_ready("serving");
}

static void defined(struct store_req *req, void *arg)
{
	struct hub *hub = arg;
	bool first = hub->conf_next == NULL;
	int r = req->code;

	hub->defining = false;
	if (r == 0)
		r = exchange_adopt(&hub->exchange, first ? hub->conf : hub->conf_next,
				   &hub->define);
	definition_done(&hub->define);
	if (r < 0) {
		log_err(first ? "conf.fail" : "conf.refused", kv_str("reason", nx_word(r)),
			kv_str("words", req->why.words));
		conf_free(&hub->conf_next);
		tls_free(&hub->tls_next);
		notify_ready("serving the former configuration");
		if (first)
			fail(hub, EX_UNAVAILABLE);
	} else if (first) {
		listening(hub);
	} else {
		swap_conf(hub);
	}
}

static int define(struct hub *hub, const struct conf *conf)
{
	int r = definition_make(conf, &hub->define);

	if (r < 0)
		return r;
	hub->define.req.done = defined;
	hub->define.req.arg = hub;
	hub->defining = true;
	store_submit(hub->exchange.store, &hub->define.req);
	return 0;
}

int hub_reload(struct hub *hub, struct why *why)
{
	int r;

	if (hub->defining || hub->listen == NULL)
		return why_set(why, NX_EBUSY, "a reload is under way");
	r = conf_read(hub->conf->file, &hub->conf_next, why);
	if (r == 0)
		r = admit_tls(&hub->exchange, hub->conf_next, admit, hub, &hub->tls_next, why);
	if (r == 0)
		r = define(hub, hub->conf_next);
	if (r < 0) {
		conf_free(&hub->conf_next);
		tls_free(&hub->tls_next);
	}
	return r;
}

struct forget {
	struct store_forget req;
	char name[NAME_MAX_ + 1];
};

static void forgotten(struct store_req *req, void *arg)
{
	struct forget *forget = arg;

	if (req->code < 0)
		log_warn("ask.refused", kv_str("ask", "forget"),
			 kv_str("subscription", forget->name), kv_str("reason", nx_word(req->code)),
			 kv_str("words", req->why.words));
	free(forget);
}

static void hub_forget(struct hub *hub, const char *name)
{
	struct forget *forget = calloc(1, sizeof(*forget));

	if (forget == NULL)
		return;
	snprintf(forget->name, sizeof(forget->name), "%s", name);
	forget->req = (struct store_forget){
		.req = { .kind = REQ_FORGET, .done = forgotten, .arg = forget },
		.name = forget->name
	};
	store_submit(hub->exchange.store, &forget->req.req);
}

/* ---- signals */

static void on_term(void *arg)
{
	hub_stop(arg);
}

static void on_hup(void *arg)
{
	struct hub *hub = arg;
	struct why why = { 0 };
	int r;

	notify_reloading();
	r = hub_reload(hub, &why);
	if (r < 0) {
		log_err("conf.refused", kv_str("reason", nx_word(r)), kv_str("words", why.words));
		notify_ready("serving the former configuration");
	}
}

static void on_usr1(void *arg)
{
	struct hub *hub = arg;

	report_state(&hub->exchange, true);
}

static void last(void *arg)
{
	struct hub *hub = arg;

	while (hub->peers_n > 0)
		peer_abandon(hub->peers[hub->peers_n - 1]); /* BYE was said when the stop began */
	loop_stop(hub->loop);
}

void hub_stop(struct hub *hub)
{
	if (hub->exchange.stopping)
		return;
	hub->exchange.stopping = true;
	notify_stopping();
	log_info("daemon.stop", kv_u64("links", hub->peers_n));
	listen_close(&hub->listen);
	for (unsigned i = hub->peers_n; i > 0; i--)
		peer_bye(hub->peers[i - 1], NX_ESHUTDOWN, "the exchange is going down: come again");
	timer_set(hub->last, hub->peers_n == 0 ? 0 : hub->conf->bye_ms);
}

/* ---- open and close */

static int signals_open(struct hub *hub)
{
	static const struct {
		int number;
		loop_fn *fn;
	} rows[] = {
		{ SIGTERM, on_term }, { SIGINT, on_term }, { SIGHUP, on_hup }, { SIGUSR1, on_usr1 }
	};
	int r = 0;

	for (unsigned i = 0; r == 0 && i < sizeof(rows) / sizeof(*rows); i++)
		r = signal_new(hub->loop, rows[i].number, rows[i].fn, hub, &hub->signals[i]);
	return r;
}

static int exchange_open(struct hub *hub, bool in_line, struct why *why)
{
	struct exchange *exchange = &hub->exchange;
	struct store_conf sc;
	uint8_t boot[16];
	int r;

	exchange->conf = hub->conf;
	exchange->loop = hub->loop;
	exchange->wake = wake_feeds;
	exchange->newer = newer;
	exchange->arg = hub;
	random_octets(boot, sizeof(boot));
	hex_of(boot, sizeof(boot), exchange->boot);
	if (map_init(&exchange->stories) < 0 || map_init(&exchange->pulls) < 0)
		return why_set(why, NX_ENOMEM, "out of memory");
	definition_store_conf(hub->conf, &sc);
	sc.in_line = in_line;
	sc.event = store_event;
	sc.wake = store_wake;
	sc.arg = hub;
	r = store_open(&sc, &exchange->store, why);
	if (r < 0)
		return r;
	store_state(exchange->store, &exchange->state);
	r = settle_new(exchange, &exchange->settle);
	if (r == 0)
		r = ring_init(&exchange->ring, hub->conf->hot_memory,
			      exchange->state.position_last);
	return r;
}

static int open_as(struct conf **conf, bool in_line, struct hub **ret, struct why *why)
{
	struct hub *hub = calloc(1, sizeof(*hub));
	int r = NX_ENOMEM;

	if (hub == NULL)
		goto out;
	hub->conf = *conf;
	*conf = NULL;
	story_init();
	r = loop_new(&hub->loop);
	if (r == 0)
		r = admit_tls(&hub->exchange, hub->conf, admit, hub, &hub->tls, why);
	if (r == 0)
		r = wake_new(hub->loop, collect, hub, &hub->wake);
	if (r == 0)
		r = timer_new(hub->loop, tick, hub, &hub->tick);
	if (r == 0)
		r = timer_new(hub->loop, last, hub, &hub->last);
	if (r == 0)
		r = signals_open(hub);
	if (r == 0)
		r = exchange_open(hub, in_line, why);
	if (r == 0)
		r = watchdog_new(&hub->exchange, &hub->watchdog);
	if (r == 0)
		r = define(hub, hub->conf);
	if (r == 0) {
		timer_set(hub->tick, TICK_MS);
		log_info("daemon.start", kv_str("node", hub->conf->node_name),
			 kv_str("version", NEWSXD_VERSION),
			 kv_u64("sequence", hub->exchange.state.sequence_last),
			 kv_u64("position", hub->exchange.state.position_last));
		*ret = hub;
		hub = NULL;
	}
out:
	hub_close(&hub);
	return r;
}

int hub_open(struct conf **conf, struct hub **ret, struct why *why)
{
	return open_as(conf, false, ret, why);
}

int hub_open_in_line(struct conf **conf, struct hub **ret, struct why *why)
{
	return open_as(conf, true, ret, why);
}

struct exchange *hub_exchange(struct hub *hub)
{
	return &hub->exchange;
}

int hub_run(struct hub *hub)
{
	int r = loop_run(hub->loop);

	return hub->status != 0 ? hub->status : r < 0 ? EX_OSERR : 0;
}

/* answers that came in are settled, and requests come home to be freed; a disk that hangs is not
 * waited for */
static void finish_requests(struct hub *hub)
{
	int64_t end = clock_boot_ms() + LAST_REQUESTS_MS;

	while (store_wait(hub->exchange.store, LAST_WAIT_MS) && clock_boot_ms() < end)
		;
}

void hub_close(struct hub **at)
{
	struct hub *hub = *at;

	*at = NULL;
	if (hub == NULL)
		return;
	while (hub->peers_n > 0)
		peer_abandon(hub->peers[hub->peers_n - 1]);
	bury(hub);
	listen_close(&hub->listen);
	if (hub->exchange.settle != NULL) {
		settle_flush(hub->exchange.settle);
		finish_requests(hub);
	}
	store_close(&hub->exchange.store);
	settle_free(&hub->exchange.settle);
	exchange_done(&hub->exchange);
	definition_done(&hub->define);
	for (unsigned i = 0; i < sizeof(hub->signals) / sizeof(*hub->signals); i++)
		signal_free(&hub->signals[i]);
	watchdog_free(&hub->watchdog);
	timer_free(&hub->tick);
	timer_free(&hub->last);
	wake_free(&hub->wake);
	tls_free(&hub->tls_next);
	tls_free(&hub->tls);
	loop_free(&hub->loop);
	conf_free(&hub->conf_next);
	conf_free(&hub->conf);
	free(hub->peers);
	free(hub->dead);
	free(hub);
}
