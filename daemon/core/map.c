#include "core/map.h"
#include <stdlib.h>

enum { CAP_LEAST = 16 };
#define GOLDEN 0x9e3779b97f4a7c15u

void map_init_secret(struct map *map, uint64_t secret)
{
	*map = (struct map){ .cap = 1, .shift = 64, .odd = secret | 1 };
	map->slots = &map->only;
}

void map_init(struct map *map)
{
	map_init_secret(map, GOLDEN);
}

void map_done(struct map *map)
{
	if (map->slots != &map->only)
		free(map->slots);
	*map = (struct map){ 0 };
}

static struct map_node **slot_of(const struct map *map, uint64_t hash)
{
	return &map->slots[map->cap == 1 ? 0 : hash * map->odd >> map->shift];
}

/* at the front of its chain */
static void chain(struct map_node **slot, struct map_node *node)
{
	node->next = *slot;
	node->at = slot;
	if (node->next != NULL)
		node->next->at = &node->next;
	*slot = node;
}

static void map_grow(struct map *map)
{
	struct map_node **old = map->slots, **slots;
	size_t old_cap = map->cap, cap = old_cap == 1 ? CAP_LEAST : old_cap * 2;

	slots = calloc(cap, sizeof(*slots));
	if (slots == NULL)
		return;
	map->slots = slots;
	map->cap = cap;
	map->shift = 64 - (unsigned)__builtin_ctzll(cap);
	for (size_t i = 0; i < old_cap; i++) {
		struct map_node *node, *next;

		for (node = old[i]; node != NULL; node = next) {
			next = node->next;
			chain(slot_of(map, node->hash), node);
		}
	}
	if (old != &map->only)
		free(old);
}

void map_add(struct map *map, struct map_node *node, uint64_t hash)
{
	if (map->n >= map->cap)
		map_grow(map);
	node->hash = hash;
	chain(slot_of(map, hash), node);
	map->n++;
}

void map_del(struct map *map, struct map_node *node)
{
	if (node->at == NULL)
		return;
	*node->at = node->next;
	if (node->next != NULL)
		node->next->at = node->at;
	node->at = NULL;
	map->n--;
}

static struct map_node *same(struct map_node *node, uint64_t hash)
{
	while (node != NULL && node->hash != hash)
		node = node->next;
	return node;
}

struct map_node *map_first(const struct map *map, uint64_t hash)
{
	return same(*slot_of(map, hash), hash);
}

struct map_node *map_next(const struct map_node *node)
{
	return same(node->next, node->hash);
}

struct map_node *map_any(const struct map *map)
{
	for (size_t i = 0; map->n > 0 && i < map->cap; i++)
		if (map->slots[i] != NULL)
			return map->slots[i];
	return NULL;
}
