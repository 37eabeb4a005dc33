#include "core/exchange.h"
#include "base/log.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { QUEUE_BEHIND = 2048, NEARLY_FULL = 93, FLASH_MORE = 4 * 1024 * 1024 };

struct partner *exchange_partner(const struct exchange *exchange, const char *name)
{
	for (unsigned i = 0; i < exchange->partners_n; i++)
		if (strcmp(exchange->partners[i]->name, name) == 0)
			return exchange->partners[i];
	return NULL;
}

struct feed *exchange_feed(const struct exchange *exchange, const char *name)
{
	for (unsigned i = 0; i < exchange->feeds_n; i++)
		if (strcmp(exchange->feeds[i]->name, name) == 0)
			return exchange->feeds[i];
	return NULL;
}

struct feed *exchange_feed_by_number(const struct exchange *exchange, uint32_t number)
{
	for (unsigned i = 0; i < exchange->feeds_n; i++)
		if (exchange->feeds[i]->number == number)
			return exchange->feeds[i];
	return NULL;
}

static struct partner *partner_by_number(const struct exchange *exchange, uint32_t number)
{
	for (unsigned i = 0; i < exchange->partners_n; i++)
		if (exchange->partners[i]->number == number)
			return exchange->partners[i];
	return NULL;
}

/* those beyond partners_n and feeds_n wait to be taken */
static int partners_reserve(struct exchange *exchange, unsigned n)
{
	unsigned room = exchange->partners_n + n;
	struct partner **more;

	if (room <= exchange->partners_room)
		return 0;
	more = realloc(exchange->partners, room * sizeof(*more));
	if (more == NULL)
		return NX_ENOMEM;
	exchange->partners = more;
	for (; exchange->partners_room < room; exchange->partners_room++) {
		more[exchange->partners_room] = calloc(1, sizeof(**more));
		if (more[exchange->partners_room] == NULL)
			return NX_ENOMEM;
	}
	return 0;
}

static int feeds_reserve(struct exchange *exchange, unsigned n)
{
	unsigned room = exchange->feeds_n + n;
	struct feed **more;

	if (room <= exchange->feeds_room)
		return 0;
	more = realloc(exchange->feeds, room * sizeof(*more));
	if (more == NULL)
		return NX_ENOMEM;
	exchange->feeds = more;
	for (; exchange->feeds_room < room; exchange->feeds_room++) {
		more[exchange->feeds_room] = calloc(1, sizeof(**more));
		if (more[exchange->feeds_room] == NULL)
			return NX_ENOMEM;
	}
	return 0;
}

int exchange_reserve(struct exchange *exchange, unsigned partners, unsigned feeds)
{
	int r = partners_reserve(exchange, partners);

	return r < 0 ? r : feeds_reserve(exchange, feeds);
}

static struct partner *partner_take(struct exchange *exchange, uint32_t number)
{
	struct partner *partner = partner_by_number(exchange, number);

	if (partner != NULL)
		return partner;
	assert(exchange->partners_n < exchange->partners_room);
	partner = exchange->partners[exchange->partners_n++];
	partner->number = number;
	return partner;
}

static struct feed *feed_take(struct exchange *exchange, uint32_t number)
{
	struct feed *feed = exchange_feed_by_number(exchange, number);

	if (feed != NULL)
		return feed;
	assert(exchange->feeds_n < exchange->feeds_room);
	feed = exchange->feeds[exchange->feeds_n++];
	map_init(&feed->busy);
	feed->late_end = &feed->late;
	feed->number = number;
	feed->owed_again_ms = INT64_MIN;
	for (unsigned i = 0; i < TAKEOVERS; i++)
		feed->takeovers[i] = INT64_MIN;
	return feed;
}

void exchange_adopt(struct exchange *exchange, const struct conf *conf,
		    const struct store_define *define)
{
	for (unsigned i = 0; i < exchange->partners_n; i++)
		exchange->partners[i]->conf = NULL;
	for (unsigned i = 0; i < exchange->feeds_n; i++)
		exchange->feeds[i]->conf = NULL;
	for (unsigned i = 0; i < define->partners_n; i++) {
		struct partner *partner = partner_take(exchange, define->partners[i].number);

		partner->conf = &conf->partners[i];
		snprintf(partner->name, sizeof(partner->name), "%s", conf->partners[i].name);
	}
	for (unsigned i = 0; i < define->subscriptions_n; i++) {
		struct feed *feed = feed_take(exchange, define->subscriptions[i].number);

		feed->conf = &conf->subscriptions[i];
		snprintf(feed->name, sizeof(feed->name), "%s", conf->subscriptions[i].name);
	}
	exchange->conf = conf;
}

void exchange_done(struct exchange *exchange)
{
	for (unsigned i = 0; i < exchange->feeds_n; i++)
		map_done(&exchange->feeds[i]->busy);
	for (unsigned i = 0; i < exchange->feeds_room; i++)
		free(exchange->feeds[i]);
	for (unsigned i = 0; i < exchange->partners_room; i++)
		free(exchange->partners[i]);
	free(exchange->feeds);
	free(exchange->partners);
	ring_done(&exchange->ring);
	map_done(&exchange->stories);
	map_done(&exchange->kills_only);
	map_done(&exchange->pulls);
}

static struct map *index_of(struct exchange *exchange, const struct hot *hot)
{
	return hot->verdict == SETTLE_SUPERSEDED ? &exchange->kills_only : &exchange->stories;
}

void exchange_story_add(struct exchange *exchange, struct hot *hot)
{
	if (hot->verdict != SETTLE_KILLED)
		map_add(index_of(exchange, hot), &hot->by_story, map_hash_key(hot->story));
}

void exchange_story_del(struct exchange *exchange, struct hot *hot)
{
	map_del(index_of(exchange, hot), &hot->by_story);
}

static void forget_story(void *arg, struct hot *hot)
{
	exchange_story_del(arg, hot);
}

void exchange_released(struct exchange *exchange, struct hot *hot)
{
	ring_add(&exchange->ring, hot, forget_story, exchange);
	if (hot->verdict == SETTLE_ACKED)
		exchange->newer(exchange->arg, hot->story, hot->position, hot->kill);
	if (ring_at(&exchange->ring, hot->position) == hot)
		exchange_story_add(exchange, hot);
	exchange->wake(exchange->arg, hot->lane);
}

void exchange_released_unseen(struct exchange *exchange, uint64_t last)
{
	ring_extend(&exchange->ring, last, forget_story, exchange);
	exchange->wake(exchange->arg, LANE_FLASH);
	exchange->wake(exchange->arg, LANE_ROUTINE);
}

bool exchange_busy(const struct exchange *exchange)
{
	return exchange->state.queued_items > QUEUE_BEHIND ||
	       exchange->state.items_percent >= NEARLY_FULL;
}

static uint64_t share_of(const struct conf *conf)
{
	return conf->inbound_memory / 100 * conf->inbound_share_pct;
}

bool inbound_room(const struct exchange *exchange, const struct partner *partner, bool flash)
{
	const struct conf *conf = exchange->conf;

	if (exchange->inbound_held < conf->inbound_memory && partner->inbound_held < share_of(conf))
		return true;
	return flash && partner->flash_held < FLASH_MORE;
}

bool inbound_plenty(const struct exchange *exchange, const struct partner *partner)
{
	const struct conf *conf = exchange->conf;

	return exchange->inbound_held < conf->inbound_memory / 2 &&
	       partner->inbound_held < share_of(conf) / 2;
}

void inbound_hold(struct exchange *exchange, struct partner *partner, uint64_t octets)
{
	exchange->inbound_held += octets;
	partner->inbound_held += octets;
}

void inbound_drop(struct exchange *exchange, struct partner *partner, uint64_t octets)
{
	exchange->inbound_held -= octets;
	partner->inbound_held -= octets;
}

static double refill(double left, double per_minute, int64_t passed_ms)
{
	if (per_minute == 0) /* no limit: nothing is run up that a later one would have to pay */
		return 0;
	left += per_minute * (double)passed_ms / 60000.0;
	return left > per_minute ? per_minute : left;
}

static void minutes_refill(struct partner *partner, int64_t now_ms)
{
	int64_t passed = partner->rated_ms == 0 ? 60000 : now_ms - partner->rated_ms;

	partner->rated_ms = now_ms;
	for (unsigned i = 0; i < RATES; i++) {
		struct minute *minute = &partner->minutes[i];

		minute->items = refill(minute->items, partner->conf->items_per_minute, passed);
		minute->octets =
			refill(minute->octets, (double)partner->conf->octets_per_minute, passed);
	}
}

static void minute_take(struct minute *minute, uint64_t octets)
{
	minute->items -= 1;
	minute->octets -= (double)octets; /* may go below 0: the next waits */
}

bool partner_rate(struct partner *partner, enum rate_kind kind, uint64_t octets, int64_t now_ms)
{
	const struct minute *own = &partner->minutes[kind];

	minutes_refill(partner, now_ms);
	if ((partner->conf->items_per_minute > 0 && own->items < 1) ||
	    (partner->conf->octets_per_minute > 0 && own->octets <= 0))
		return false;
	minute_take(&partner->minutes[kind], octets);
	if (kind != RATE_ROUTINE)
		minute_take(&partner->minutes[RATE_ROUTINE], octets);
	return true;
}

static bool one_more(const struct exchange *exchange, struct lines *lines)
{
	unsigned most = exchange->conf->log_item_lines;

	if (most == 0 || lines->n++ < most)
		return true;
	lines->left_out++;
	return false;
}

bool item_line(struct exchange *exchange)
{
	return one_more(exchange, &exchange->item_lines);
}

bool claim_line(struct exchange *exchange)
{
	return one_more(exchange, &exchange->claim_lines);
}

bool door_line(struct exchange *exchange)
{
	return one_more(exchange, &exchange->door_lines);
}

static unsigned slot(int code)
{
	return code < 0 && code > -128 ? (unsigned)-code : 0;
}

void count_refused(struct exchange *exchange, int code)
{
	exchange->count.refused[slot(code)]++;
}

void count_closed(struct exchange *exchange, int code)
{
	exchange->count.closed[slot(code)]++;
}
