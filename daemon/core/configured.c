#include "base/clock.h"
#include "base/log.h"
#include "core/admit.h"
#include "core/definition.h"
#include "core/hub_priv.h"
#include "core/outbound.h"
#include "net/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

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

void hub_look_absent(struct hub *hub)
{
	const char *addr;

	for (unsigned i = 0; hub->absent != 0 && (addr = listen_address(hub->listen, i)); i++) {
		uint32_t bit = 1u << i;

		if ((hub->absent & bit) == 0 || listen_absent(hub->listen, i))
			continue;
		hub->absent &= ~bit;
		log_info("listen.open", kv_str("addr", addr));
	}
}

/* each address: it is served, or will be from the moment that it is this machine's */
static void tell_doors(struct hub *hub)
{
	const char *addr;

	for (unsigned i = 0; (addr = listen_address(hub->listen, i)) != NULL; i++) {
		if (listen_absent(hub->listen, i)) {
			hub->absent |= 1u << i;
			log_warn("listen.absent", kv_str("addr", addr),
				 kv_str("words", "it is no address of this machine yet"));
		} else {
			log_info("listen.open", kv_str("addr", addr));
		}
	}
}

static void listening(struct hub *hub)
{
	struct listen_limits limits;
	struct listen_ops ops = { .opened = hub_opened, .refused = hub_refused };
	struct why why = { 0 };
	int r;

	limits_of(hub->conf, &limits);
	r = listen_open(hub->loop, (const char *const *)hub->conf->listen_address.v,
			hub->conf->listen_address.n, hub->tls, &limits, &ops, hub, &hub->listen,
			&why);
	if (r < 0) {
		log_err("listen.fail", kv_str("reason", nx_word(r)), kv_str("words", why.words));
		hub_fail(hub, EX_UNAVAILABLE);
		return;
	}
	tell_doors(hub);
	key_serving(hub->tls);
	admit_warn(hub->tls, hub->conf, clock_wall_ms());
	notify_ready("serving");
}

/* those who are in are asked again under the new rules */
static void admit_all_again(struct hub *hub)
{
	for (unsigned i = hub->peers_n; i > 0; i--) {
		struct peer *peer = hub->peers[i - 1];
		int r = hub_admit_again(hub, peer_link(peer)->conn);

		if (r < 0)
			peer_close(peer, r == NX_EUNKNOWNKEY ? NX_ENOTENTITLED : r,
				   "the configuration no longer admits this key");
	}
}

/* a certificate, a CA or a revocation list that ends takes its links along */
void hub_close_ended(struct hub *hub, int64_t wall_ms)
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

static void refused(struct hub *hub, int r, const struct why *why)
{
	log_err("conf.refused", kv_str("reason", nx_word(r)), kv_str("words", why->words));
	conf_free(&hub->conf_next);
	tls_free(&hub->tls_next);
	notify_ready("serving the former configuration");
}

static void defined(struct store_req *req, void *arg)
{
	struct hub *hub = arg;
	bool first = hub->conf_next == NULL;
	int r = req->code;

	hub->defining = false;
	if (hub->exchange.stopping) { /* the doors are closed, and stay so */
		definition_done(&hub->define);
		return;
	}
	if (r == 0)
		exchange_adopt(&hub->exchange, first ? hub->conf : hub->conf_next, &hub->define);
	definition_done(&hub->define);
	if (r < 0 && first) {
		log_err("conf.fail", kv_str("reason", nx_word(r)), kv_str("words", req->why.words));
		hub_fail(hub, EX_UNAVAILABLE);
	} else if (r < 0) {
		refused(hub, r, &req->why);
	} else if (first) {
		listening(hub);
	} else {
		swap_conf(hub);
	}
	if (hub->reload_again && hub->listen != NULL)
		hub_reload(hub);
}

int hub_define(struct hub *hub, const struct conf *conf)
{
	int r = definition_make(conf, &hub->define);

	if (r == 0)
		r = exchange_reserve(&hub->exchange, conf->partners_n, conf->subscriptions_n);
	if (r < 0) {
		definition_done(&hub->define);
		return r;
	}
	hub->define.req.done = defined;
	hub->define.req.arg = hub;
	hub->defining = true;
	store_submit(hub->exchange.store, &hub->define.req);
	return 0;
}

void hub_reload(struct hub *hub)
{
	struct why why = { 0 };
	int r;

	hub->reload_again = hub->defining || hub->listen == NULL;
	if (hub->reload_again)
		return; /* the file may have changed since it was read */
	r = conf_read(hub->conf->file, &hub->conf_next, &why);
	if (r == 0)
		r = conf_check_files(hub->conf_next, &why);
	if (r == 0)
		r = admit_tls(&hub->exchange, hub->conf_next, hub_admit, hub, &hub->tls_next, &why);
	if (r == 0)
		r = hub_define(hub, hub->conf_next);
	if (r < 0)
		refused(hub, r, &why);
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

void hub_forget(struct hub *hub, const char *name)
{
	struct forget *forget = calloc(1, sizeof(*forget));

	if (forget == NULL) {
		log_warn("ask.refused", kv_str("ask", "forget"), kv_str("subscription", name),
			 kv_str("reason", nx_word(NX_ENOMEM)));
		return;
	}
	snprintf(forget->name, sizeof(forget->name), "%s", name);
	forget->req = (struct store_forget){
		.req = { .kind = REQ_FORGET, .done = forgotten, .arg = forget },
		.name = forget->name
	};
	store_submit(hub->exchange.store, &forget->req.req);
}
