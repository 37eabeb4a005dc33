/* life and end of a session: made, timed, said goodbye, freed */
#include <stdlib.h>

#include "proto/session_priv.h"

static void raise_to_floor(struct limits *max)
{
	const struct limits *floor = &limits_floor;

	max->frame = max->frame < floor->frame ? floor->frame : max->frame;
	max->document = max->document < floor->document ? floor->document : max->document;
	max->envelope = max->envelope < floor->envelope ? floor->envelope : max->envelope;
	max->parts = max->parts < floor->parts ? floor->parts : max->parts;
	max->part = max->part < floor->part ? floor->part : max->part;
}

static struct session_rules rules_of(const struct session_conf *conf)
{
	return (struct session_rules){
		.ahead_items = conf->ahead_items == 0 ? 1024 : conf->ahead_items,
		.ahead_octets = conf->ahead_octets == 0 ? 16 << 20 : conf->ahead_octets,
		.hello_ms = conf->hello_ms <= 0 ? 10000 : conf->hello_ms,
		.ping_ms = conf->ping_ms <= 0 ? 30000 : conf->ping_ms,
		.idle_ms = conf->idle_ms <= 0 ? 90000 : conf->idle_ms,
		.bye_ms = conf->bye_ms <= 0 ? 5000 : conf->bye_ms,
		.source = conf->source,
		.arg = conf->arg,
	};
}

struct session *session_new(const struct session_conf *conf, int64_t now_ms)
{
	struct session *session = calloc(1, sizeof(*session));
	struct msg msg = { .type = FRAME_HELLO };

	if (session == NULL)
		return NULL;
	msg.hello = conf->hello;
	raise_to_floor(&msg.hello.max);
	session->rules = rules_of(conf);
	session->max = msg.hello.max;
	session->now_ms = session->started_ms = session->heard_ms = session->pinged_ms = now_ms;
	session->window[LANE_FLASH].items = FLASH_ITEMS;
	session->window[LANE_FLASH].octets = FLASH_OCTETS;
	if (say(session, &msg) < 0)
		session_free(&session);
	return session;
}

void session_free(struct session **session)
{
	struct session *old = *session;

	*session = NULL;
	if (old == NULL)
		return;
	for (int lane = 0; lane < LANES; lane++) {
		item_ended(old, &old->out_item[lane]);
		free(old->in_item[lane].octets);
	}
	answers_done(&old->answers);
	free(old->open_in.slots);
	free(old->open_out.slots);
	free(old->asked.kept);
	free(old->wanted.kept);
	free(old->given.list);
	free(old->held.list);
	free(old->wire);
	free(old->peer);
	free(old->ctl);
	free(old);
}

/* the memory of a link that is quiet */
static void trim(struct session *session)
{
	if (session->wire_n == 0 || session->wire_spent) {
		if (session->acks.n == 0) {
			free(session->wire);
			session->wire = NULL;
			session->wire_n = session->wire_cap = 0;
			session->wire_spent = false;
		}
	}
	ids_trim(&session->open_in);
	ids_trim(&session->open_out);
	if (session->answers.n == 0 && session->open_in.n == 0)
		answers_done(&session->answers);
}

static int64_t latest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void sooner(int64_t *next_ms, int64_t at_ms)
{
	if (at_ms < *next_ms)
		*next_ms = at_ms;
}

int session_tick(struct session *session, int64_t now_ms, int64_t *ret_next_ms)
{
	const struct session_rules *rules = &session->rules;
	int64_t ping_at_ms = latest(session->heard_ms, session->pinged_ms) + rules->ping_ms;

	session->now_ms = now_ms;
	*ret_next_ms = session->heard_ms + rules->idle_ms;
	if (now_ms >= *ret_next_ms)
		return session->failed ? session->failed : NX_EIDLE;
	if (session->failed || session->said_bye || session->heard_bye) {
		sooner(ret_next_ms, session->bye_ms + rules->bye_ms);
		if (now_ms >= session->bye_ms + rules->bye_ms)
			return session->failed ? session->failed : NX_EBYE;
	}
	if (!session->greeted) {
		sooner(ret_next_ms, session->started_ms + rules->hello_ms);
		return now_ms >= session->started_ms + rules->hello_ms ? NX_ENOHELLO : 0;
	}
	if (now_ms >= ping_at_ms) {
		if (session->pings_due == 0)
			session_ping(session, 1, 0);
		session->pinged_ms = now_ms;
		ping_at_ms = now_ms + rules->ping_ms;
		trim(session);
	}
	sooner(ret_next_ms, ping_at_ms);
	return 0;
}

void session_ping(struct session *session, unsigned n, size_t octets)
{
	session->pings_due = n;
	session->ping_octets = octets < PING_OCTETS_MAX ? octets : PING_OCTETS_MAX;
}

void session_bye(struct session *session, int code, const char *words)
{
	if (session->said_bye || session->failed)
		return;
	if (!session->heard_bye)
		session->bye_ms = session->now_ms;
	session->said_bye = session->bye_due = true;
	(void)why_set(&session->bye, code < 0 ? code : NX_EBYE, "%s", words ? words : "");
}

bool session_said_bye(const struct session *session)
{
	return session->said_bye;
}

const struct hello *session_peer(const struct session *session)
{
	return session->peer;
}

unsigned session_open_out(const struct session *session)
{
	return (unsigned)session->open_out.n;
}

unsigned session_open_in(const struct session *session)
{
	return (unsigned)session->open_in.n;
}

size_t session_held(const struct session *session)
{
	return session->in_item[LANE_ROUTINE].cap + session->in_item[LANE_FLASH].cap;
}

int64_t session_half_since_ms(const struct session *session)
{
	int64_t since_ms = INT64_MAX;

	for (int lane = 0; lane < LANES; lane++)
		if (session->in_item[lane].active)
			sooner(&since_ms, session->in_item[lane].moved_ms);
	return since_ms;
}

void session_stats(const struct session *session, struct session_stats *ret)
{
	*ret = session->stats;
}
