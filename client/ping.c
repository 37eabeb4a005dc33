#include "client/ping.h"
#include "base/clock.h"
#include "client/dial.h"
#include "client/report.h"
#include "client/rights.h"

#include <stdio.h>
#include <stdlib.h>

#define PINGS         5
#define ANSWER_MS     10000
#define RATE_MS       60000
#define RATE_ENOUGH   250000 /* us: a burst that took so long says what the line does */
#define RATE_MOST     64     /* PINGs of 64 KiB in a burst */
#define CLOCK_MOST_MS 60000
#define FINISH_MS     1000

struct probe {
	const struct ping_options *options;
	struct found found;
	struct link *link;
	bool greeted, answered;
	int64_t clock_diff_ms, round_trip_us;
	int status;
};

#define SAY_OK(p, s, ...)                                                                          \
	ping_say((p)->options->json, &(struct ping_line){ .step = s, .ok = true }, __VA_ARGS__)

static void fail(struct probe *p, enum step step, const char *words)
{
	ping_say(p->options->json, &(struct ping_line){ .step = step }, "%s", words);
	if (p->status == 0)
		p->status = step_status(step);
}

/* ---- the talk */

/* returns 0, or negative with words when the exchange says goodbye */
static int on_event(struct probe *p, struct session_event *event, struct why *why)
{
	struct session *session = link_session(p->link);
	int r;

	switch (event->kind) {
	case SESSION_HELLO:
		p->greeted = true;
		return 0;
	case SESSION_PONG:
		p->answered = event->pong.last;
		p->clock_diff_ms = event->pong.clock_diff_ms;
		return 0;
	case SESSION_ITEM:
		free(event->item.octets);
		session_refuse(session, event->item.head.id, NX_ENOTALLOWED, NX_NEVER, 0,
			       "newsxctl ping takes nothing");
		return 0;
	case SESSION_ITEM_DROPPED:
		session_refuse(session, event->id, NX_ENOTALLOWED, NX_NEVER, 0,
			       "newsxctl ping takes nothing");
		return 0;
	case SESSION_SUBSCRIBE:
		session_unsubscribed(session, event->subscribe.name, 0, NX_ENOSUB,
				     "newsxctl ping serves no subscriptions");
		return 0;
	case SESSION_BYE:
		r = nx_code(event->bye.code, strlen(event->bye.code));
		if (r == NX_ETWIN)
			return step_fail(&p->found, STEP_CONNECTIONS,
					 why_set(why, r,
						 "another program with this key holds the "
						 "connection, and a node has only one: end it, or "
						 "make this one a key of its own"));
		return why_set(why, r < 0 ? r : NX_EBYE, "the exchange says goodbye: %s%s%.150s",
			       event->bye.code, event->bye.words[0] ? ": " : "", event->bye.words);
	default:
		return 0;
	}
}

/* returns 0 when *flag is set; negative with words */
static int until(struct probe *p, const bool *flag, int64_t most_ms, struct why *why)
{
	int64_t end_ms = clock_boot_ms() + most_ms;

	for (;;) {
		struct session_event event;
		int r;

		while (!*flag && (r = link_event(p->link, &event, why)) != 0) {
			if (r > 0)
				r = on_event(p, &event, why);
			if (r < 0)
				return r;
		}
		if (*flag)
			return 0;
		if (clock_boot_ms() >= end_ms)
			return why_set(why, NX_EIDLE,
				       "no PONG came within %d s: the line is overloaded, or the "
				       "exchange is; try again later",
				       (int)(most_ms / 1000));
		r = link_turn(p->link, NULL, 0, end_ms, why);
		if (r < 0)
			return r;
	}
}

/* n PINGs with so many octets behind each, until the PONG of the last */
static int volley(struct probe *p, unsigned n, size_t octets, int64_t most_ms, int64_t *ret_us,
		  struct why *why)
{
	int64_t began_us = step_us();
	int r;

	p->answered = false;
	session_ping(link_session(p->link), n, octets);
	r = until(p, &p->answered, most_ms, why);
	*ret_us = step_us() - began_us;
	return r;
}

/* ---- steps */

/* what went well before the step that failed, in their order */
static void say_opened(struct probe *p)
{
	const struct found *found = &p->found;
	enum step failed = found->failed;
	struct dial_to to = { .port = "" };

	dial_parse(p->options->link.server, &to, NULL);
	if (failed == STEP_NAME)
		return;
	SAY_OK(p, STEP_NAME, "%s is %s%s", to.host, found->address,
	       found->addresses > 1 ? ", and has more addresses" : "");
	if (failed == STEP_PORT)
		return;
	SAY_OK(p, STEP_PORT, "%s answers at %s in %.1f ms", to.port, found->address,
	       (double)found->connect_us / 1000);
	if (failed == STEP_TLS)
		return;
	SAY_OK(p, STEP_TLS, "TLS 1.3%s%s", found->cipher[0] ? ", " : "", found->cipher);
	if (failed == STEP_ALPN)
		return;
	SAY_OK(p, STEP_ALPN, "newsxd/1");
	if (failed == STEP_PIN)
		return;
	SAY_OK(p, STEP_PIN, "%s is one of those given", found->server);
}

static int greet(struct probe *p, struct why *why)
{
	int r = until(p, &p->greeted, 2 * ANSWER_MS, why);

	if (r < 0) {
		fail(p, p->found.failed != STEP_NONE ? p->found.failed : STEP_HELLO, why->words);
		return r;
	}
	SAY_OK(p, STEP_KEY, "the exchange (%s) knows our key %s",
	       session_peer(link_session(p->link))->node, p->found.self);
	return 0;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* the clock difference is that of the quickest answer */
static int measure(struct probe *p, struct why *why)
{
	int64_t us[PINGS], diff_ms = 0, least_us = INT64_MAX;

	for (unsigned i = 0; i < PINGS; i++) {
		int r = volley(p, 1, 0, ANSWER_MS, &us[i], why);

		if (r < 0)
			return r;
		if (us[i] < least_us)
			diff_ms = p->clock_diff_ms;
		least_us = us[i] < least_us ? us[i] : least_us;
	}
	qsort(us, PINGS, sizeof(us[0]), by_size);
	p->round_trip_us = us[PINGS / 2];
	p->clock_diff_ms = diff_ms;
	return 0;
}

static void say_clock(struct probe *p)
{
	int64_t diff_ms = p->clock_diff_ms;
	double s = (double)(diff_ms < 0 ? -diff_ms : diff_ms) / 1000;
	bool ok = diff_ms >= -CLOCK_MOST_MS && diff_ms <= CLOCK_MOST_MS;

	ping_say(
		p->options->json,
		&(struct ping_line){
			.step = STEP_CLOCK, .ok = ok, .figure = "ms", .number = diff_ms },
		ok ? "the exchange's clock is %.3f s %s ours"
		   : "the exchange's clock is %.3f s %s ours, more than a minute: set the one that "
		     "is wrong; timedatectl says whether this machine's is kept by NTP",
		s, diff_ms < 0 ? "behind" : "ahead of");
	if (!ok && p->status == 0)
		p->status = step_status(STEP_CLOCK);
}

/* each right that was asked for and is not there, then those that are */
static void say_no_right(struct probe *p, const struct hello *hello, bool publish, bool subscribe)
{
	const struct ping_options *o = p->options;
	char channel[200] = "", subscription[200] = "";

	if (publish)
		snprintf(channel, sizeof(channel),
			 "this key may not publish to %.64s: ask the exchange's operator for the "
			 "right; ",
			 o->channel);
	if (subscribe)
		snprintf(subscription, sizeof(subscription),
			 "the exchange has no subscription %.64s for this key: ask its operator "
			 "for the right name; ",
			 o->subscription);
	ping_say(p->options->json, &(struct ping_line){ .step = STEP_RIGHTS },
		 "%s%sthis key may publish to: %s; may subscribe to: %s", channel, subscription,
		 rights_words(hello->publish), rights_words(hello->subscriptions));
	if (p->status == 0)
		p->status = step_status(STEP_RIGHTS);
}

static void say_rights(struct probe *p)
{
	const struct hello *hello = session_peer(link_session(p->link));
	const struct ping_options *o = p->options;
	bool no_channel = o->channel != NULL && !rights_to_publish(hello, o->channel);
	bool no_subscription =
		o->subscription != NULL && !rights_to_subscribe(hello, o->subscription);

	if (!hello->has_rights)
		SAY_OK(p, STEP_RIGHTS, "the exchange does not say what this key may do");
	else if (hello->publish[0] == '\0' && hello->subscriptions[0] == '\0')
		fail(p, STEP_RIGHTS,
		     "this key may publish nowhere and has no subscription: ask the exchange's "
		     "operator for rights");
	else if (no_channel || no_subscription)
		say_no_right(p, hello, no_channel, no_subscription);
	else
		SAY_OK(p, STEP_RIGHTS, "may publish to: %s; may subscribe to: %s",
		       rights_words(hello->publish), rights_words(hello->subscriptions));
}

static int say_rate(struct probe *p, struct why *why)
{
	int64_t us = 0, octets = 0, rate;

	for (unsigned n = 1; n <= RATE_MOST && us < RATE_ENOUGH; n *= 8) {
		int r = volley(p, n, PING_OCTETS_MAX, RATE_MS, &us, why);

		if (r < 0)
			return r;
		octets = (int64_t)n * (FRAME_FLOOR + FRAME_HEADER);
	}
	us = us > p->round_trip_us ? us - p->round_trip_us : 1;
	rate = octets * 1000000 / us;
	ping_say(p->options->json,
		 &(struct ping_line){
			 .step = STEP_RATE, .ok = true, .figure = "octets_per_s", .number = rate },
		 "%.2f MB/s towards the exchange (%lld KiB in %.1f ms)", (double)rate / 1e6,
		 (long long)octets / 1024, (double)us / 1000);
	return 0;
}

static void talk(struct probe *p)
{
	struct why why = { 0 };
	enum step step = STEP_ROUND_TRIP;
	int r;

	if (greet(p, &why) < 0)
		return;
	r = measure(p, &why);
	if (r == 0)
		say_clock(p);
	say_rights(p);
	if (r == 0) {
		ping_say(p->options->json,
			 &(struct ping_line){ .step = STEP_ROUND_TRIP,
					      .ok = true,
					      .figure = "us",
					      .number = p->round_trip_us },
			 "%.3f ms, the median of %d", (double)p->round_trip_us / 1000, PINGS);
		step = STEP_RATE;
		r = say_rate(p, &why);
	}
	if (r < 0)
		fail(p, p->found.failed != STEP_NONE ? p->found.failed : step, why.words);
	link_finish(p->link, NX_EBYE, "done", r < 0 ? 200 : FINISH_MS);
}

int ping_run(const struct ping_options *options)
{
	struct probe p = { .options = options };
	struct link_conf to = options->link;
	struct session_conf conf;
	struct why why = { 0 };
	int r;

	to.found = &p.found;
	link_session_conf(&conf, to.identity);
	r = link_open(&to, &conf, &p.link, &why);
	if (r < 0 && p.found.failed == STEP_NONE) {
		report_words("%s", why.words);
		return r == NX_EARG ? 2 : 75;
	}
	say_opened(&p);
	if (r < 0)
		fail(&p, p.found.failed, why.words);
	else
		talk(&p);
	link_close(&p.link);
	return p.status;
}
