/*
 * hot.h - released items in memory: reference-counted, and the newest of them in a ring by
 * position.
 *
 * A delivery holds its item only while its octets are being framed, so that a link that does not
 * read costs one item, not its whole window. What is no longer here is fetched from the store.
 */
#pragma once
#include "core/map.h"
#include "store/store.h"

struct parts { /* shared by an item and its deliveries */
	unsigned refs, n;
	size_t octets;
	struct store_part *v; /* one allocation with the names behind it */
};
struct hot {
	unsigned refs;
	uint64_t sequence, position;
	enum lane lane;
	bool kill, follows;      /* follows: there may be older versions of its story */
	enum settle_how verdict; /* ACKED: deliver; SUPERSEDED: not to versions = latest; KILLED: to
				    nobody */
	int64_t stored_ms;       /* wall; 0 = fetched from the store */
	uint8_t story[32];
	struct map_node by_story;
	char channel[NAME_MAX_ + 1];
	uint8_t *octets;  /* the document, behind what came or was fetched before it */
	uint8_t *stamped; /* the envelope, when it does not stand there; else NULL */
	size_t octets_n;
	struct slice envelope, document; /* in those two */
	struct parts *parts;             /* NULL when it has none */
};
struct hot *hot_ref(struct hot *hot);
void hot_unref(struct hot **hot);
struct parts *hot_parts_copy(const struct store_part *v,
			     unsigned n); /* NULL when out of memory or n == 0 */
struct parts *hot_parts_ref(struct parts *parts);
void hot_parts_unref(struct parts **parts);

struct ring {
	struct hot **slots; /* a power of two; slot = position modulo cap; NULL = a gap */
	size_t cap;
	uint64_t first, end; /* positions first..end-1 may be here */
	uint64_t octets, octets_max;
};
int ring_init(struct ring *ring, uint64_t octets_max, uint64_t position_last);
void ring_done(struct ring *ring);
/* hot->position is at least end; takes a reference. What no longer fits leaves at the old end,
 * through gone() */
typedef void ring_gone_fn(void *arg, struct hot *hot);
void ring_add(struct ring *ring, struct hot *hot, ring_gone_fn *gone, void *arg);
/* positions up to last exist, but not here */
void ring_extend(struct ring *ring, uint64_t last, ring_gone_fn *gone, void *arg);
struct hot *ring_at(const struct ring *ring, uint64_t position); /* NULL: not here */
