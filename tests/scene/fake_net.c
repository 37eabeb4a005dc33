#include "fake_net.h"
#include "base/clock.h"
#include "base/hash.h"
#include "net/notify.h"
#include "net/share.h"
#include "net/trust.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct timer {
	struct timer *next;
	struct loop *loop;
	loop_fn *fn;
	void *arg;
	int64_t due_ms;
	bool set;
};
struct wake {
	struct wake *next;
	struct loop *loop;
	loop_fn *fn;
	void *arg;
	bool up;
};
struct signal_ {
	struct signal_ *next;
	struct loop *loop;
	loop_fn *fn;
	void *arg;
	int number;
};
struct later {
	struct later *next;
	loop_fn *fn;
	void *arg;
};
struct loop {
	struct timer *timers;
	struct wake *wakes;
	struct signal_ *signals;
	struct later *laters, **laters_end;
	struct conn *conns;
	struct listen *listen;
	uint64_t number;
	bool stopped;
};
struct octets {
	uint8_t *p;
	size_t at, n, cap;
};
struct conn {
	struct conn *next;
	struct loop *loop; /* NULL: the loop is gone */
	conn_fn *fn;
	conn_produce_fn *produce;
	void *arg, *partner;
	struct tls_peer peer;
	struct why why;
	struct octets in, out;
	uint64_t number, octets_in, octets_out;
	size_t unread_max, small_max;
	int64_t unread_since_ms; /* boot; 0 = all was read */
	int64_t finish_by_ms;
	bool ready, fresh, want, cut, cut_told, finishing;
	bool closed; /* by the hub */
	bool let_go; /* by the scene */
	char address[32];
};
struct listen {
	struct loop *loop;
	struct tls *tls;
	struct listen_limits limits;
	struct listen_ops ops;
	void *arg;
	char address[64];
};
struct tls {
	unsigned refs;
	tls_admit_fn *admit;
	void *arg;
	struct tls_peer self;
};

enum { ROOM = 8 + 65536, TURN_OUT = 1 << 20 };

/* ---- octets on their way */

static void octets_add(struct octets *octets, const void *p, size_t n)
{
	if (octets->at > 0 && octets->at == octets->n)
		octets->at = octets->n = 0;
	if (octets->n + n > octets->cap) {
		octets->cap = (octets->n + n) * 2;
		octets->p = realloc(octets->p, octets->cap);
		assert(octets->p != NULL);
	}
	if (n > 0)
		memcpy(octets->p + octets->n, p, n);
	octets->n += n;
}

static struct slice octets_all(const struct octets *octets)
{
	return slice_of(octets->p + octets->at, octets->n - octets->at);
}

/* ---- loop */

int loop_new(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return NX_ENOMEM;
	loop->laters_end = &loop->laters;
	*ret = loop;
	return 0;
}

static void conn_free(struct conn *conn)
{
	free(conn->in.p);
	free(conn->out.p);
	free(conn);
}

void loop_free(struct loop **at)
{
	struct loop *loop = *at;
	struct later *later;

	*at = NULL;
	if (loop == NULL)
		return;
	while ((later = loop->laters) != NULL) {
		loop->laters = later->next;
		free(later);
	}
	for (struct conn *conn = loop->conns, *next; conn != NULL; conn = next) {
		next = conn->next;
		conn->loop = NULL;
		conn->closed = true;
		if (conn->let_go)
			conn_free(conn);
	}
	free(loop);
}

int loop_run(struct loop *loop)
{
	(void)loop; /* the scene turns it */
	return 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}

bool fake_stopped(const struct loop *loop)
{
	return loop->stopped;
}

int64_t loop_now_ms(struct loop *loop)
{
	(void)loop;
	return clock_boot_ms();
}

int timer_new(struct loop *loop, loop_fn *fn, void *arg, struct timer **ret)
{
	struct timer *timer = calloc(1, sizeof(*timer));

	if (timer == NULL)
		return NX_ENOMEM;
	*timer = (struct timer){ .next = loop->timers, .loop = loop, .fn = fn, .arg = arg };
	loop->timers = timer;
	*ret = timer;
	return 0;
}

#define UNLINK(list, thing)                                                                        \
	do {                                                                                       \
		while (*(list) != (thing))                                                         \
			(list) = &(*(list))->next;                                                 \
		*(list) = (thing)->next;                                                           \
	} while (0)

void timer_free(struct timer **at)
{
	struct timer *timer = *at, **list;

	*at = NULL;
	if (timer == NULL)
		return;
	list = &timer->loop->timers;
	UNLINK(list, timer);
	free(timer);
}

void timer_set(struct timer *timer, int64_t after_ms)
{
	timer->due_ms = clock_boot_ms() + after_ms;
	timer->set = true;
}

void timer_stop(struct timer *timer)
{
	timer->set = false;
}

int64_t fake_next_timer(const struct loop *loop)
{
	int64_t next = INT64_MAX;

	for (const struct timer *t = loop->timers; t != NULL; t = t->next)
		if (t->set && t->due_ms < next)
			next = t->due_ms;
	return next;
}

int wake_new(struct loop *loop, loop_fn *fn, void *arg, struct wake **ret)
{
	struct wake *wake = calloc(1, sizeof(*wake));

	if (wake == NULL)
		return NX_ENOMEM;
	*wake = (struct wake){ .next = loop->wakes, .loop = loop, .fn = fn, .arg = arg };
	loop->wakes = wake;
	*ret = wake;
	return 0;
}

void wake_free(struct wake **at)
{
	struct wake *wake = *at, **list;

	*at = NULL;
	if (wake == NULL)
		return;
	list = &wake->loop->wakes;
	UNLINK(list, wake);
	free(wake);
}

void wake_up(struct wake *wake)
{
	wake->up = true;
}

int signal_new(struct loop *loop, int number, loop_fn *fn, void *arg, struct signal_ **ret)
{
	struct signal_ *signal = calloc(1, sizeof(*signal));

	if (signal == NULL)
		return NX_ENOMEM;
	*signal = (struct signal_){
		.next = loop->signals, .loop = loop, .fn = fn, .arg = arg, .number = number
	};
	loop->signals = signal;
	*ret = signal;
	return 0;
}

void signal_free(struct signal_ **at)
{
	struct signal_ *signal = *at, **list;

	*at = NULL;
	if (signal == NULL)
		return;
	list = &signal->loop->signals;
	UNLINK(list, signal);
	free(signal);
}

void fake_signal(struct loop *loop, int number)
{
	for (struct signal_ *s = loop->signals; s != NULL; s = s->next)
		if (s->number == number)
			s->fn(s->arg);
}

int loop_later(struct loop *loop, loop_fn *fn, void *arg)
{
	struct later *later = calloc(1, sizeof(*later));

	if (later == NULL)
		return NX_ENOMEM;
	later->fn = fn;
	later->arg = arg;
	*loop->laters_end = later;
	loop->laters_end = &later->next;
	return 0;
}

static bool turn_wakes(struct loop *loop)
{
	bool any = false;

	for (struct wake *wake = loop->wakes; wake != NULL; wake = wake->next) {
		if (!wake->up)
			continue;
		wake->up = false;
		wake->fn(wake->arg);
		any = true;
	}
	return any;
}

static bool turn_timers(struct loop *loop)
{
	bool any = false;

	for (struct timer *timer = loop->timers; timer != NULL; timer = timer->next) {
		if (!timer->set || timer->due_ms > clock_boot_ms())
			continue;
		timer->set = false;
		timer->fn(timer->arg);
		any = true;
	}
	return any;
}

static bool turn_laters(struct loop *loop)
{
	struct later *later = loop->laters, *next;

	loop->laters = NULL;
	loop->laters_end = &loop->laters;
	if (later == NULL)
		return false;
	for (; later != NULL; later = next) {
		next = later->next;
		later->fn(later->arg);
		free(later);
	}
	return true;
}

/* ---- conns */

static void tell(struct conn *conn, enum conn_event event, int code, const char *words)
{
	conn->cut_told = event == CONN_EOF || event == CONN_ERROR;
	why_set(&conn->why, code, "%s", words);
	conn->fn(conn, event, conn->arg);
}

static bool conn_in(struct conn *conn)
{
	bool any = conn->ready || conn->fresh;

	if (conn->ready) {
		conn->ready = false;
		tell(conn, CONN_READY, 0, "");
	}
	if (conn->fresh && !conn->closed) {
		conn->fresh = false;
		tell(conn, CONN_DATA, 0, "");
	}
	if (conn->cut && !conn->cut_told && !conn->closed) {
		tell(conn, CONN_ERROR, NX_EEOF, "the line was cut");
		any = true;
	}
	return any;
}

static bool conn_may_write(const struct conn *conn)
{
	return !conn->closed && !conn->cut && octets_all(&conn->out).n < conn->unread_max;
}

static bool conn_out(struct conn *conn)
{
	static uint8_t batch[ROOM];
	size_t made = 0, n = 1;

	while (n > 0 && made < TURN_OUT && conn->want && conn_may_write(conn)) {
		n = conn->produce(conn->arg, batch, sizeof(batch), conn->small_max);
		if (conn->closed)
			return true;
		octets_add(&conn->out, batch, n);
		conn->octets_out += n;
		made += n;
		if (n == 0)
			conn->want = false;
	}
	if (octets_all(&conn->out).n == 0)
		conn->unread_since_ms = 0;
	else if (conn->unread_since_ms == 0)
		conn->unread_since_ms = clock_boot_ms();
	return made > 0;
}

/* all is said, or the time for it is over */
static bool conn_end(struct conn *conn)
{
	if (!conn->finishing || conn->cut_told || conn->closed)
		return false;
	if (!conn->want && octets_all(&conn->out).n == 0) {
		tell(conn, CONN_EOF, NX_EEOF, "all was said");
		return true;
	}
	if (clock_boot_ms() < conn->finish_by_ms)
		return false;
	tell(conn, CONN_ERROR, NX_ESTALL, "not all was said");
	return true;
}

static bool turn_conns(struct loop *loop, bool (*fn)(struct conn *conn))
{
	bool any = false;

	for (struct conn *conn = loop->conns, *next; conn != NULL; conn = next) {
		next = conn->next;
		if (!conn->closed)
			any = fn(conn) || any;
	}
	return any;
}

static void bury_conns(struct loop *loop)
{
	for (struct conn **at = &loop->conns; *at != NULL;) {
		struct conn *conn = *at;

		if (conn->closed && conn->let_go) {
			*at = conn->next;
			conn_free(conn);
		} else {
			at = &conn->next;
		}
	}
}

bool fake_turn(struct loop *loop)
{
	bool any = turn_wakes(loop);

	any = turn_timers(loop) || any;
	any = turn_conns(loop, conn_in) || any;
	any = turn_laters(loop) || any;
	any = turn_conns(loop, conn_out) || any;
	any = turn_conns(loop, conn_end) || any;
	bury_conns(loop);
	return any;
}

void conn_handlers(struct conn *conn, conn_fn *fn, conn_produce_fn *produce, void *arg)
{
	conn->fn = fn;
	conn->produce = produce;
	conn->arg = arg;
}

struct slice conn_peek(const struct conn *conn)
{
	return octets_all(&conn->in);
}

void conn_rest(struct conn *conn)
{
	conn->fresh = true;
}

/* a turn is as long as a few events */
void share_begin(struct loop *loop, struct share *share)
{
	(void)loop;
	share->used_us = 0;
}

bool share_left(struct share *share)
{
	return ++share->used_us < 5;
}

void share_end(struct share *share)
{
	(void)share;
}

void conn_take(struct conn *conn, size_t n)
{
	conn->in.at += n;
	conn->octets_in += n;
	assert(conn->in.at <= conn->in.n);
}

void conn_want(struct conn *conn)
{
	assert(!conn->closed);
	conn->want = true;
}

int64_t conn_stalled_ms(const struct conn *conn)
{
	return conn->unread_since_ms == 0 ? 0 : clock_boot_ms() - conn->unread_since_ms;
}

void conn_finish(struct conn *conn, int64_t within_ms)
{
	conn->finishing = conn->want = true;
	conn->finish_by_ms = clock_boot_ms() + within_ms;
}

void conn_close(struct conn **conn)
{
	if (*conn != NULL)
		(*conn)->closed = true;
	*conn = NULL;
}

void *conn_partner(const struct conn *conn)
{
	return conn->partner;
}

const struct tls_peer *conn_peer(const struct conn *conn)
{
	return &conn->peer;
}

const char *conn_address(const struct conn *conn)
{
	return conn->address;
}

uint64_t conn_number(const struct conn *conn)
{
	return conn->number;
}

const struct why *conn_reason(const struct conn *conn)
{
	return &conn->why;
}

uint64_t conn_rate(const struct conn *conn)
{
	(void)conn;
	return 0;
}

uint64_t conn_octets_in(const struct conn *conn)
{
	return conn->octets_in;
}

uint64_t conn_octets_out(const struct conn *conn)
{
	return conn->octets_out;
}

bool conn_admitted_by(const struct conn *conn, const struct tls *tls)
{
	(void)conn, (void)tls;
	return true; /* a handshake takes no time here */
}

int conn_admit_again(struct conn *conn, struct tls *tls)
{
	return tls->admit(tls->arg, &conn->peer, &conn->partner);
}

/* ---- the other end of a conn */

void fake_pin(const char *name, uint8_t pin[32])
{
	sha256_of(name, strlen(name), pin);
}

static void peer_of(const char *name, struct tls_peer *ret)
{
	*ret = (struct tls_peer){ .not_after_ms = INT64_MAX };
	fake_pin(name, ret->pin);
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	memcpy(ret->pin_text, "sha256:", 7);
	base64_of(ret->pin, 32, ret->pin_text + 7);
}

struct conn *line_dial(struct loop *loop, const char *name, int *ret_code)
{
	struct listen *listen = loop->listen;
	struct conn *conn = calloc(1, sizeof(*conn));

	assert(conn != NULL);
	*ret_code = NX_ECLOSED;
	peer_of(name, &conn->peer);
	if (listen != NULL)
		*ret_code = listen->tls->admit(listen->tls->arg, &conn->peer, &conn->partner);
	if (*ret_code < 0) {
		if (listen != NULL && listen->ops.refused != NULL)
			listen->ops.refused(listen->arg, "192.0.2.1:1", *ret_code, "", &conn->peer);
		free(conn);
		return NULL;
	}
	conn->loop = loop;
	conn->number = ++loop->number;
	conn->unread_max = 256 * 1024;
	conn->small_max = 16384;
	conn->ready = true;
	snprintf(conn->address, sizeof(conn->address), "192.0.2.1:%u", (unsigned)conn->number);
	conn->next = loop->conns;
	loop->conns = conn;
	listen->ops.opened(listen->arg, conn);
	return conn;
}

void line_write(struct conn *line, const void *p, size_t n)
{
	if (line->closed || line->cut || n == 0)
		return;
	octets_add(&line->in, p, n);
	line->fresh = true;
}

struct slice line_peek(const struct conn *line)
{
	return octets_all(&line->out);
}

void line_take(struct conn *line, size_t n)
{
	line->out.at += n;
	assert(line->out.at <= line->out.n);
	line->want = !line->closed;
	line->unread_since_ms = 0;
}

void line_cut(struct conn *line)
{
	line->cut = true;
	line->out.at = line->out.n = 0;
}

bool line_is_over(const struct conn *line)
{
	return line->closed;
}

void line_slow(struct conn *line, size_t unread_max, size_t small_max)
{
	line->unread_max = unread_max;
	line->small_max = small_max;
	line->want = !line->closed;
}

void line_expires(struct conn *line, int64_t not_after_ms)
{
	line->peer.not_after_ms = not_after_ms;
}

void line_let_go(struct conn **at)
{
	struct conn *line = *at;

	*at = NULL;
	if (line == NULL)
		return;
	line->let_go = line->cut = true;
	if (line->loop == NULL)
		conn_free(line);
}

/* ---- listen, tls, notify */

int listen_open(struct loop *loop, const char *const *addresses, unsigned n, struct tls *tls,
		const struct listen_limits *limits, const struct listen_ops *ops, void *arg,
		struct listen **ret, struct why *why)
{
	struct listen *listen = calloc(1, sizeof(*listen));

	(void)why;
	if (listen == NULL)
		return NX_ENOMEM;
	*listen = (struct listen){
		.loop = loop, .tls = tls_ref(tls), .limits = *limits, .ops = *ops, .arg = arg
	};
	snprintf(listen->address, sizeof(listen->address), "%s", n > 0 ? addresses[0] : "");
	loop->listen = listen;
	*ret = listen;
	return 0;
}

void listen_close(struct listen **at)
{
	struct listen *listen = *at;

	*at = NULL;
	if (listen == NULL)
		return;
	listen->loop->listen = NULL;
	tls_free(&listen->tls);
	free(listen);
}

void listen_reload(struct listen *listen, struct tls *tls, const struct listen_limits *limits)
{
	tls_free(&listen->tls);
	listen->tls = tls_ref(tls);
	listen->limits = *limits;
}

const char *listen_address(const struct listen *listen, unsigned i)
{
	return i == 0 ? listen->address : NULL;
}

bool listen_absent(const struct listen *listen, unsigned i)
{
	(void)listen, (void)i;
	return false;
}

unsigned listen_connections(const struct listen *listen)
{
	unsigned n = 0;

	for (const struct conn *conn = listen->loop->conns; conn != NULL; conn = conn->next)
		n += !conn->closed;
	return n;
}

bool fake_listening(const struct loop *loop)
{
	return loop->listen != NULL;
}

int tls_new(const char *key_file, const char *certificate_file, tls_admit_fn *admit, void *arg,
	    struct tls **ret, struct why *why)
{
	struct tls *tls = calloc(1, sizeof(*tls));

	(void)key_file, (void)certificate_file, (void)why;
	if (tls == NULL)
		return NX_ENOMEM;
	*tls = (struct tls){ .refs = 1, .admit = admit, .arg = arg };
	peer_of("exchange", &tls->self);
	*ret = tls;
	return 0;
}

struct tls *tls_ref(struct tls *tls)
{
	tls->refs++;
	return tls;
}

void tls_free(struct tls **tls)
{
	if (*tls != NULL && --(*tls)->refs == 0)
		free(*tls);
	*tls = NULL;
}

const struct tls_peer *tls_self(const struct tls *tls)
{
	return &tls->self;
}

/* CAs are the business of the real net and of the tests from the outside */

struct trusts *trusts_new(const bool *suspect)
{
	(void)suspect;
	return calloc(1, 1);
}

int trusts_add(struct trusts *trusts, const struct trust_conf *conf, struct why *why)
{
	(void)trusts, (void)conf, (void)why;
	return 0;
}

void trusts_free(struct trusts **trusts)
{
	free(*trusts);
	*trusts = NULL;
}

void tls_trust(struct tls *tls, struct trusts **trusts)
{
	(void)tls;
	trusts_free(trusts);
}

const char *tls_trusted(const struct tls *tls, unsigned i, int64_t *ret_crl_ends_ms)
{
	(void)tls, (void)i, (void)ret_crl_ends_ms;
	return NULL;
}

int notify_ready(const char *words)
{
	(void)words;
	return 0;
}

int notify_status(const char *words)
{
	(void)words;
	return 0;
}

int notify_reloading(void)
{
	return 0;
}

int notify_stopping(void)
{
	return 0;
}

int notify_more_time(int64_t ms)
{
	(void)ms;
	return 0;
}
