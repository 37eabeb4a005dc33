#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "core/admit.h"
#include "core/ask.h"
#include "core/definition.h"
#include "core/delivery.h"
#include "core/hub_priv.h"
#include "core/outbound.h"
#include "core/pull.h"
#include "core/report.h"
#include "core/settle.h"
#include "net/notify.h"
#include "news/story.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

enum {
	TICK_MS = 1000,
	ASK_TICKS = 5,
	WARN_TICKS = 6 * 3600,
	REPORT_TICKS = 60,
	LAST_REQUESTS_MS = 5000,
	LAST_WAIT_MS = 50,
	TAKING_MS = 600000,
};

/* ---- what the store tells */

static void store_event(const struct store_event *event, void *arg)
{
	struct hub *hub = arg;

	report_event(&hub->exchange, event);
	if (event->kind == STORE_RELEASED)
		exchange_released_unseen(&hub->exchange, event->last);
	else if (event->kind == STORE_EXPIRED)
		outbound_expired(&hub->exchange, event->subscription);
	else if (event->kind == STORE_FATAL)
		hub_fail(hub, EX_IOERR);
}

/* a piece of a GiB; a disk that does not manage the next one in this time stands still */
static void store_taking(void *arg)
{
	(void)arg;
	notify_more_time(TAKING_MS);
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
	hub_look_clock(hub);
}

static void newer(void *arg, const uint8_t story[32], uint64_t position, bool kill)
{
	struct hub *hub = arg;

	delivery_newer(&hub->exchange, story, position, kill);
}

static void wake_feeds(void *arg, enum lane lane)
{
	struct hub *hub = arg;

	outbound_wake(&hub->exchange, lane);
}

/* ---- time */

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

/* one that cannot be taken is told once, not every five seconds */
static void take_asks(struct hub *hub)
{
	struct why why = { 0 };
	int r = ask_take(hub->conf->store_directory, asked, hub, &why);

	if (r < 0 && !hub->asks_stuck)
		log_warn("ask.refused", kv_str("reason", nx_word(r)), kv_str("words", why.words));
	hub->asks_stuck = r < 0;
}

static uint64_t activity(const struct exchange *exchange)
{
	const struct counters *c = &exchange->count;
	uint64_t sum = c->stored + c->duplicate + c->held + c->superseded + c->delivered;

	for (unsigned i = 0; i < 128; i++)
		sum += c->refused[i] + c->closed[i];
	return sum;
}

static void tick(void *arg)
{
	struct hub *hub = arg;
	int64_t now = loop_now_ms(hub->loop), wall = clock_wall_ms();

	timer_set(hub->tick, TICK_MS);
	hub_bury(hub);
	report_sums(&hub->exchange);
	store_tick(hub->exchange.store, clock_boot_ms(), wall, clock_synchronised());
	store_state(hub->exchange.store, &hub->exchange.state);
	hub_look_clock(hub);
	pull_tick(&hub->exchange, now);
	for (unsigned i = hub->peers_n; i > 0;
	     i--) /* backwards: a tick may take the peer out of the list */
		if (i <= hub->peers_n)
			peer_tick(hub->peers[i - 1], now, wall);
	hub_close_ended(hub, wall);
	hub->ticks++;
	if (hub->ticks % WARN_TICKS == 0)
		admit_warn(hub->tls, hub->conf, wall);
	if (hub->absent != 0 && hub->listen != NULL)
		hub_look_absent(hub);
	if (hub->ticks % ASK_TICKS == 0)
		take_asks(hub);
	if (hub->ticks % REPORT_TICKS == 0 && activity(&hub->exchange) != hub->reported) {
		hub->reported = activity(&hub->exchange);
		report_state(&hub->exchange, false);
	}
}

/* ---- signals */

static void on_term(void *arg)
{
	hub_stop(arg);
}

static void on_hup(void *arg)
{
	struct hub *hub = arg;

	if (hub->exchange.stopping)
		return;
	notify_reloading();
	hub_reload(hub);
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
	report_sums(&hub->exchange);
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
	uint64_t secret;
	int r;

	exchange->conf = hub->conf;
	exchange->loop = hub->loop;
	exchange->wake = wake_feeds;
	exchange->newer = newer;
	exchange->arg = hub;
	random_octets(boot, sizeof(boot));
	hex_of(boot, sizeof(boot), exchange->boot);
	random_octets(&secret, sizeof(secret));
	map_init_secret(&exchange->stories, secret);
	map_init_secret(&exchange->kills_only, secret);
	map_init(&exchange->pulls);
	definition_store_conf(hub->conf, &sc);
	sc.in_line = in_line;
	sc.event = store_event;
	sc.wake = store_wake;
	sc.taking = store_taking;
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
		r = admit_tls(&hub->exchange, hub->conf, hub_admit, hub, &hub->tls, why);
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
		r = hub_define(hub, hub->conf);
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
	int r = conf_check_files(*conf, why);

	return r < 0 ? r : open_as(conf, false, ret, why);
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
	hub_bury(hub);
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
