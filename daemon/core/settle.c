#include "core/settle.h"
#include "base/log.h"
#include <stdlib.h>

/* the store sums up the worst case of a request before it begins: a larger one would need more room
 * than a full store keeps for settling */
enum { PAGES_AT_ONCE = 512 * 4 };

struct busy {
	struct map_node node;
	uint64_t position;
	struct busy *next_late; /* on feed->late, in the order of `after` */
	uint64_t after;         /* of fetches up to this one; 0: not late */
};

struct settle {
	struct exchange *exchange;
	struct settle_run *runs; /* gathering */
	unsigned first, n, cap;  /* from first to n they wait */
	struct store_settle flying;
	bool in_flight, scheduled;
};

static struct busy *busy_find(const struct feed *feed, uint64_t position)
{
	struct map_node *node = map_first(&feed->busy, map_hash_u64(position));

	for (; node != NULL; node = map_next(node)) {
		struct busy *busy = container_of(node, struct busy, node);

		if (busy->position == position)
			return busy;
	}
	return NULL;
}

bool feed_busy(const struct feed *feed, uint64_t position)
{
	return busy_find(feed, position) != NULL;
}

int feed_busy_add(struct feed *feed, uint64_t position)
{
	struct busy *busy = busy_find(feed, position);

	if (busy != NULL)
		return 0;
	busy = calloc(1, sizeof(*busy));
	if (busy == NULL)
		return NX_ENOMEM;
	busy->position = position;
	map_add(&feed->busy, &busy->node, map_hash_u64(position));
	return 0;
}

static void busy_free(struct feed *feed, struct busy *busy)
{
	map_del(&feed->busy, &busy->node);
	free(busy);
}

void feed_busy_del(struct feed *feed, uint64_t position)
{
	struct busy *busy = busy_find(feed, position);

	if (busy != NULL && busy->after == 0)
		busy_free(feed, busy);
}

static void late_until(struct feed *feed, uint64_t oldest)
{
	struct busy *busy;

	while ((busy = feed->late) != NULL && busy->after < oldest) {
		feed->late = busy->next_late;
		busy_free(feed, busy);
	}
	if (feed->late == NULL)
		feed->late_end = &feed->late;
}

/* the first of those in flight */
static uint64_t oldest_fetch(const struct feed *feed)
{
	uint64_t oldest = UINT64_MAX;

	for (unsigned lane = 0; lane < LANES; lane++)
		if (feed->fetching[lane] != 0 && feed->fetching[lane] < oldest)
			oldest = feed->fetching[lane];
	return oldest;
}

void feed_busy_settled(struct feed *feed, uint64_t position)
{
	struct busy *busy = busy_find(feed, position);

	if (busy == NULL || busy->after != 0)
		return;
	if (oldest_fetch(feed) == UINT64_MAX) {
		busy_free(feed, busy);
		return;
	}
	busy->after = feed->fetches;
	*feed->late_end = busy;
	feed->late_end = &busy->next_late;
}

void feed_busy_forget(struct feed *feed)
{
	late_until(feed, UINT64_MAX);
}

void feed_fetch_begin(struct feed *feed, enum lane lane)
{
	feed->fetching[lane] = ++feed->fetches;
}

void feed_fetch_end(struct feed *feed, enum lane lane)
{
	feed->fetching[lane] = 0;
	late_until(feed, oldest_fetch(feed));
}

int settle_new(struct exchange *exchange, struct settle **ret)
{
	struct settle *settle = calloc(1, sizeof(*settle));

	if (settle == NULL)
		return NX_ENOMEM;
	settle->exchange = exchange;
	*ret = settle;
	return 0;
}

void settle_free(struct settle **settle)
{
	if (*settle != NULL) {
		free((*settle)->flying.runs);
		free((*settle)->runs);
		free(*settle);
	}
	*settle = NULL;
}

static void settled(struct store_req *req, void *arg)
{
	struct settle *settle = arg;

	if (req->code < 0)
		log_err("feed.settle", kv_u64("runs", settle->flying.n),
			kv_str("reason", nx_word(req->code)), kv_str("words", req->why.words));
	for (unsigned i = 0; i < settle->flying.n; i++) {
		struct settle_run *run = &settle->flying.runs[i];
		struct feed *feed = exchange_feed_by_number(settle->exchange, run->subscription);

		if (feed != NULL && run->how != SETTLE_SKIPPED)
			feed_busy_settled(feed, run->last);
	}
	free(settle->flying.runs);
	settle->flying.runs = NULL;
	settle->in_flight = false;
	settle_flush(settle);
}

unsigned settle_at_once(const struct settle_run *runs, unsigned waiting)
{
	unsigned n = 0, pages = 0;

	while (n < waiting && (n == 0 || pages + settle_pages(&runs[n]) <= PAGES_AT_ONCE))
		pages += settle_pages(&runs[n++]);
	return n;
}

void settle_flush(struct settle *settle)
{
	unsigned n = settle_at_once(settle->runs + settle->first, settle->n - settle->first);
	struct settle_run *runs;

	if (settle->in_flight || n == 0)
		return;
	runs = malloc(n * sizeof(*runs));
	if (runs == NULL)
		return; /* with the next answer, or at the end */
	memcpy(runs, settle->runs + settle->first, n * sizeof(*runs));
	settle->first += n;
	if (settle->first == settle->n)
		settle->first = settle->n = 0;
	settle->flying = (struct store_settle){
		.req = { .kind = REQ_SETTLE, .done = settled, .arg = settle },
		.runs = runs,
		.n = n,
	};
	settle->in_flight = true;
	store_submit(settle->exchange->store, &settle->flying.req);
}

static void flush_later(void *arg)
{
	struct settle *settle = arg;

	settle->scheduled = false;
	settle_flush(settle);
}

/* room that was flushed is used again once it is half of all: each run is moved once at most */
static void settle_close_up(struct settle *settle)
{
	if (settle->first < settle->cap / 2)
		return;
	settle->n -= settle->first;
	memmove(settle->runs, settle->runs + settle->first, settle->n * sizeof(*settle->runs));
	settle->first = 0;
}

void settle_add(struct settle *settle, struct feed *feed, const struct settle_run *run)
{
	if (settle->n == settle->cap && settle->cap > 0)
		settle_close_up(settle);
	if (settle->n == settle->cap) {
		unsigned cap = settle->cap == 0 ? 256 : settle->cap * 2;
		struct settle_run *runs = realloc(settle->runs, cap * sizeof(*runs));

		if (runs == NULL) { /* not settled: owed still, and sent again one day */
			feed_busy_del(feed, run->last);
			log_err("feed.settle", kv_str("subscription", feed->name),
				kv_str("reason", nx_word(NX_ENOMEM)));
			return;
		}
		settle->runs = runs;
		settle->cap = cap;
	}
	settle->runs[settle->n] = *run;
	settle->runs[settle->n++].subscription = feed->number;
	feed->changed = true;
	if (!settle->scheduled && loop_later(settle->exchange->loop, flush_later, settle) == 0)
		settle->scheduled = true;
}
