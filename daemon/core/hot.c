#include "core/hot.h"
#include <stdlib.h>

enum { RING_LEAST = 1024, RING_MOST = 1 << 20 };

struct hot *hot_ref(struct hot *hot)
{
	hot->refs++;
	return hot;
}

void hot_unref(struct hot **hot)
{
	if (*hot != NULL && --(*hot)->refs == 0) {
		hot_parts_unref(&(*hot)->parts);
		free((*hot)->octets);
		free((*hot)->stamped);
		free(*hot);
	}
	*hot = NULL;
}

struct parts *hot_parts_copy(const struct store_part *v, unsigned n)
{
	size_t names = 0;
	struct parts *parts;
	uint8_t *to;

	for (unsigned i = 0; i < n; i++)
		names += v[i].name.n;
	if (n == 0)
		return NULL;
	parts = calloc(1, sizeof(*parts));
	if (parts == NULL)
		return NULL;
	parts->v = malloc(n * sizeof(*v) + names);
	if (parts->v == NULL) {
		free(parts);
		return NULL;
	}
	parts->refs = 1;
	parts->n = n;
	parts->octets = n * sizeof(*v) + names;
	to = (uint8_t *)(parts->v + n);
	for (unsigned i = 0; i < n; i++) {
		parts->v[i] = v[i];
		memcpy(to, v[i].name.p, v[i].name.n);
		parts->v[i].name.p = to;
		to += v[i].name.n;
	}
	return parts;
}

struct parts *hot_parts_ref(struct parts *parts)
{
	if (parts != NULL)
		parts->refs++;
	return parts;
}

void hot_parts_unref(struct parts **parts)
{
	if (*parts != NULL && --(*parts)->refs == 0) {
		free((*parts)->v);
		free(*parts);
	}
	*parts = NULL;
}

int ring_init(struct ring *ring, uint64_t octets_max, uint64_t position_last)
{
	*ring = (struct ring){ .cap = RING_LEAST, .octets_max = octets_max };
	ring->first = ring->end = position_last + 1;
	ring->slots = calloc(ring->cap, sizeof(*ring->slots));
	return ring->slots == NULL ? NX_ENOMEM : 0;
}

void ring_done(struct ring *ring)
{
	for (uint64_t p = ring->first; ring->slots != NULL && p < ring->end; p++)
		hot_unref(&ring->slots[p & (ring->cap - 1)]);
	free(ring->slots);
	*ring = (struct ring){ 0 };
}

static size_t weight(const struct hot *hot)
{
	return sizeof(*hot) + 64 + hot->octets_n + (hot->stamped == NULL ? 0 : hot->envelope.n) +
	       (hot->parts == NULL ? 0 : hot->parts->octets);
}

static void drop_first(struct ring *ring, ring_gone_fn *gone, void *arg)
{
	struct hot **slot = &ring->slots[ring->first++ & (ring->cap - 1)];

	if (*slot == NULL)
		return;
	ring->octets -= weight(*slot);
	gone(arg, *slot);
	hot_unref(slot);
}

static void ring_grow(struct ring *ring)
{
	size_t cap = ring->cap * 2;
	struct hot **slots = cap > RING_MOST ? NULL : calloc(cap, sizeof(*slots));

	if (slots == NULL)
		return;
	for (uint64_t p = ring->first; p < ring->end; p++)
		slots[p & (cap - 1)] = ring->slots[p & (ring->cap - 1)];
	free(ring->slots);
	ring->slots = slots;
	ring->cap = cap;
}

void ring_extend(struct ring *ring, uint64_t last, ring_gone_fn *gone, void *arg)
{
	if (last < ring->end)
		return;
	if (last - ring->end >= ring->cap) { /* a long gap: nothing here would be left anyhow */
		while (ring->first < ring->end)
			drop_first(ring, gone, arg);
		ring->first = ring->end = last + 1;
		return;
	}
	while (ring->end <= last) {
		if (ring->end - ring->first == ring->cap)
			ring_grow(ring);
		if (ring->end - ring->first == ring->cap)
			drop_first(ring, gone, arg);
		ring->slots[ring->end++ & (ring->cap - 1)] = NULL;
	}
}

void ring_add(struct ring *ring, struct hot *hot, ring_gone_fn *gone, void *arg)
{
	bool known = hot->position >= ring->first && hot->position < ring->end;

	if (hot->position < ring->first || (known && ring_at(ring, hot->position) != NULL))
		return;
	ring_extend(ring, hot->position, gone, arg);
	if (hot->position < ring->first) { /* extend() began anew behind a long gap */
		ring->first = hot->position;
	}
	ring->slots[hot->position & (ring->cap - 1)] = hot_ref(hot);
	ring->octets += weight(hot);
	while (ring->octets > ring->octets_max && ring->first < ring->end)
		drop_first(ring, gone, arg);
}

struct hot *ring_at(const struct ring *ring, uint64_t position)
{
	if (position < ring->first || position >= ring->end)
		return NULL;
	return ring->slots[position & (ring->cap - 1)];
}
