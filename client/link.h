/*
 * link.h - one TLS connection to an exchange with a session on it, driven by poll().
 *
 * Life: link_open() (dials, shakes hands), then in turns: take link_event() until it gives 0, then
 * link_turn(); link_finish() to go in peace, link_close() always. Knows nothing of stories.
 */
#pragma once
#include "client/step.h"
#include "proto/session.h"
#include <poll.h>

struct link;
struct link_conf {
	const char *server, *identity; /* HOST:PORT; DIR/NAME */
	const char *const *pins;
	unsigned pins_n;
	struct found *found; /* or NULL; outlives the link */
};
/* what a program of ours says of itself; the caller adds its source */
void link_session_conf(struct session_conf *ret, const char *identity);
/*
 * link_open - connected, the exchange's key is one of pins, HELLO is queued. session is copied.
 * returns  0; NX_EARG (the arguments or the identity: exit 2), else not now, with words and the
 * step in conf->found. Whether our key is known shows only when the exchange says HELLO: until then
 * link_turn() too may fail with a step
 */
int link_open(const struct link_conf *conf, const struct session_conf *session, struct link **ret,
	      struct why *why);
/* on a socket that is connected already, and without TLS: for tests */
int link_open_plain(int fd, const struct session_conf *session, struct link **ret);
void link_close(struct link **link);
struct session *link_session(struct link *link);

/* returns 1 and an event, 0 when there is none, negative when the other side broke a rule: words
 * say which */
int link_event(struct link *link, struct session_event *ret, struct why *why);
/*
 * link_turn - write what there is to say, wait, read. Returns when octets came, when one of `also`
 * is ready (their revents are set), or at until_ms (clock_boot_ms; INT64_MAX = no limit). returns
 * 0; negative with words when the link is lost
 */
int link_turn(struct link *link, struct pollfd *also, nfds_t also_n, int64_t until_ms,
	      struct why *why);
/* say BYE, see everything out, wait at most most_ms until the other side has closed. Items that
 * come are thrown away, unanswered: they stay owed. */
void link_finish(struct link *link, int code, const char *words, int64_t most_ms);
