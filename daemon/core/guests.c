#include "base/clock.h"
#include "base/log.h"
#include "core/admit.h"
#include "core/hub_priv.h"

#include <stdlib.h>

enum { EXPIRY_WARN_DAYS = 60 };
#define DAY_MS (24 * 3600 * 1000LL)

/* the store judges it, but some time after it jumped */
void hub_look_clock(struct hub *hub)
{
	int64_t trusted_ms = hub->exchange.state.clock_off_ms, most_ms = hub->conf->clock_jump_ms;
	int64_t off_ms = clock_wall_ms() - clock_boot_ms();

	hub->exchange.clock_suspect = trusted_ms == CLOCK_SUSPECT ||
				      off_ms > trusted_ms + most_ms ||
				      off_ms < trusted_ms - most_ms;
}

int hub_admit(void *arg, const struct tls_peer *peer, void **ret_partner)
{
	struct hub *hub = arg;
	struct partner *partner = NULL;
	int r;

	hub_look_clock(hub);
	r = admit_partner(&hub->exchange, peer, hub->asking_again, &partner);
	if (r == 0)
		*ret_partner = partner;
	return r;
}

int hub_admit_again(struct hub *hub, struct conn *conn)
{
	void *before = conn_partner(conn);
	int r;

	hub->asking_again = true;
	r = conn_admit_again(conn, hub->tls);
	hub->asking_again = false;
	return r == 0 && conn_partner(conn) != before ? NX_ENOTENTITLED : r;
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

		if (hub->peers[i] == peer || link->partner != peer_link(peer)->partner ||
		    link->over) /* it only says its last words */
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

void hub_refused(void *arg, const char *address, int code, const char *words,
		 const struct tls_peer *peer)
{
	struct hub *hub = arg;

	count_refused(&hub->exchange, code);
	if (!door_line(&hub->exchange))
		return;
	if (peer == NULL)
		log_warn("conn.refuse", kv_str("reason", nx_word(code)), kv_str("addr", address),
			 kv_str("words", words));
	else
		log_warn("conn.refuse", kv_str("reason", nx_word(code)), kv_str("addr", address),
			 kv_str("name", peer->name), kv_str("pin", peer->pin_text),
			 kv_str("spoken", peer->spoken), kv_time("expires", peer->not_after_ms),
			 kv_str("words", words));
}

/* much may have changed during its handshake: the configuration, or how many of its partner are in
 */
static int welcome(struct hub *hub, struct conn *conn, const char **ret_words)
{
	const struct partner *partner;
	int r = 0;

	*ret_words = "the configuration no longer admits this key";
	if (!conn_admitted_by(conn, hub->tls))
		r = hub_admit_again(hub, conn);
	partner = conn_partner(conn);
	if (r == 0 && (partner->conf == NULL || partner->links >= partner->conf->connections_max)) {
		*ret_words = "this partner has its connections";
		r = NX_ETOOMANY;
	}
	return r;
}

void hub_opened(void *arg, struct conn *conn)
{
	struct hub *hub = arg;
	struct peer *peer = NULL;
	const char *words;
	int r = welcome(hub, conn, &words);

	if (r < 0) {
		hub_refused(hub, conn_address(conn), r, words, conn_peer(conn));
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

void hub_bury(struct hub *hub)
{
	while (hub->dead_n > 0)
		peer_free(&hub->dead[--hub->dead_n]);
}
