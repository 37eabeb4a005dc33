/*
 * exchange.h - what all links share: configuration, store, the ring, partners, subscriptions at run
 * time, counters.
 *
 * The ground floor of core: it knows nothing of links or sessions; who lies above is told through
 * `wake`.
 */
#pragma once
#include "config/settings.h"
#include "core/hot.h"
#include "net/conn.h"
#include "net/share.h"

struct claim;
struct settle;

/* a flash counts against the routine items, and has a minute of its own; so has a kill */
enum rate_kind { RATE_ROUTINE, RATE_FLASH, RATE_KILL, RATES };
struct partner { /* lives as long as the exchange; a reload only changes conf */
	char name[NAME_MAX_ + 1];
	uint32_t number;                 /* in the store */
	const struct conf_partner *conf; /* NULL: no longer in the configuration */
	unsigned links;
	/* octets of items and parts that are not on disk yet, asked for or here; of those, flash
	 * items */
	uint64_t inbound_held, flash_held;
	struct share share; /* of the loop's time */
	struct minute {     /* what it may still send in this minute: refilled evenly */
		double items, octets;
	} minutes[RATES];
	int64_t rated_ms; /* boot; 0 = never looked at */
	struct { /* how often in this minute it said that this store is an older copy: each is an
		    err */
		int64_t since_ms;
		unsigned n;
	} rewound;
};

enum { TAKEOVERS = 4, NO_ANSWERS = 8 };
struct feed { /* one subscription at run time */
	char name[NAME_MAX_ + 1];
	uint32_t number;
	const struct conf_subscription *conf; /* NULL: no longer in the configuration */
	struct claim *claim;                  /* who has it now */
	struct map busy;               /* positions open, or answered and not yet settled on disk */
	struct busy *late, **late_end; /* of them: settled, but a fetch may not have seen it */
	uint64_t fetches, fetching[LANES]; /* begun so far; the number of the one in flight, or 0 */
	int64_t takeovers[TAKEOVERS];      /* boot ms of the latest */
	unsigned takeover_next;
	struct {
		uint64_t position;
		unsigned times;
	} no_answer[NO_ANSWERS]; /* positions that a reading subscriber let stand for ack-wait */
	unsigned no_answer_next;
	int64_t owed_again_ms; /* boot: when a restored client was last heard */
	bool kills_only;       /* it has too many rows of debts: nothing else goes out of turn */
	bool changed;          /* since the last subscription.state */
	uint64_t delivered, refused_later, refused_never;
};

enum { MISMATCHES = 64 };
struct mismatch { /* a part whose octets did not have their hash */
	uint32_t partner;
	uint8_t sha256[32];
};

struct counters {
	uint64_t stored, duplicate, held, superseded, overtaken, delivered, in_octets, out_octets;
	uint64_t corrupt;      /* told damages of the store */
	uint64_t refused[128]; /* by -code */
	uint64_t closed[128];
};

struct exchange {
	const struct conf *conf;
	struct loop *loop;
	struct store *store;
	struct store_state state; /* as of the last look */
	struct settle *settle;
	struct ring ring;
	char boot[33];
	struct partner **partners;
	unsigned partners_n, partners_room; /* what is there beyond n: see exchange_reserve() */
	struct feed **feeds;
	unsigned feeds_n, feeds_room;
	struct map stories;    /* hot items and open deliveries, by story */
	struct map kills_only; /* those of them that a newer version does not concern any more, only
				* a kill: so a story of many versions makes no long chain above */
	struct map pulls;      /* parts on their way in, by (partner, sha256) */
	uint64_t inbound_held; /* of all partners */
	struct mismatch mismatches[MISMATCHES];
	unsigned mismatch_next;
	struct counters count;
	struct lines { /* in this second */
		unsigned n, left_out;
	} item_lines, claim_lines, door_lines;
	struct retired { /* in this second */
		uint64_t items, octets;
	} retired;
	bool stopping;
	bool clock_suspect;                      /* then no certificate's time is acted upon */
	void (*wake)(void *arg, enum lane lane); /* a position is new: feeds may go on */
	/* positions, not sequences, say which of two is newer: a held version gets its position
	 * when it is released */
	void (*newer)(void *arg, const uint8_t story[32], uint64_t position, bool kill);
	void *arg;
};

struct partner *exchange_partner(const struct exchange *exchange, const char *name);
struct feed *exchange_feed(const struct exchange *exchange, const char *name);
struct feed *exchange_feed_by_number(const struct exchange *exchange, uint32_t number);
/* memory for so many new ones of each. It comes before the store is given a definition: what stands
 * there is then taken here too, or the two would go by different rights */
int exchange_reserve(struct exchange *exchange, unsigned partners, unsigned feeds);
/* take names and numbers from a configuration and its definition in the store; new ones are added,
 * for which memory was reserved, vanished ones lose conf */
void exchange_adopt(struct exchange *exchange, const struct conf *conf,
		    const struct store_define *define);
void exchange_done(struct exchange *exchange);

/* a released item: into the ring and the index of stories; older ones of its story are marked;
 * feeds are woken */
void exchange_released(struct exchange *exchange, struct hot *hot);
/* into and out of the index that its verdict calls for; one that was killed is in none */
void exchange_story_add(struct exchange *exchange, struct hot *hot);
void exchange_story_del(struct exchange *exchange, struct hot *hot);
/* positions exist that are not in memory */
void exchange_released_unseen(struct exchange *exchange, uint64_t last);
/* memory for what comes in. One partner has a share of it, so that nobody else waits for it;
 * whatever is held, some flash items more of each are taken */
bool inbound_room(const struct exchange *exchange, const struct partner *partner, bool flash);
/* may more be asked of a part than the first window? not when half of either is spoken for */
bool inbound_plenty(const struct exchange *exchange, const struct partner *partner);
void inbound_hold(struct exchange *exchange, struct partner *partner, uint64_t octets);
void inbound_drop(struct exchange *exchange, struct partner *partner, uint64_t octets);
/* may this partner hand over one more item of so many octets now? takes them off its minute. A
 * minute's worth may come at once */
bool partner_rate(struct partner *partner, enum rate_kind kind, uint64_t octets, int64_t now_ms);
/* is the writer behind, or the store nearly full? then credit is not raised */
bool exchange_busy(const struct exchange *exchange);

/* may one more line about a single item be written in this second? What is left out is summed up by
 * the tick */
bool item_line(struct exchange *exchange);
/* the same about claims and parts, and about those who were not let in: each can be had for a few
 * octets, thousands of times a second */
bool claim_line(struct exchange *exchange);
bool door_line(struct exchange *exchange);
void count_refused(struct exchange *exchange, int code);
void count_closed(struct exchange *exchange, int code);
