#include "core/map.h"
#include <stdlib.h>

enum { MAP_LEAST = 16 };

int map_init(struct map *map)
{
	*map = (struct map){ .cap = MAP_LEAST };
	map->slots = calloc(map->cap, sizeof(*map->slots));
	return map->slots == NULL ? NX_ENOMEM : 0;
}

void map_done(struct map *map)
{
	free(map->slots);
	*map = (struct map){ 0 };
}

static void map_grow(struct map *map)
{
	size_t cap = map->cap * 2;
	struct map_node **slots = calloc(cap, sizeof(*slots));

	if (slots == NULL)
		return;
	for (size_t i = 0; i < map->cap; i++) {
		struct map_node *node, *next;

		for (node = map->slots[i]; node != NULL; node = next) {
			next = node->next;
			node->next = slots[node->hash & (cap - 1)];
			slots[node->hash & (cap - 1)] = node;
		}
	}
	free(map->slots);
	map->slots = slots;
	map->cap = cap;
}

void map_add(struct map *map, struct map_node *node, uint64_t hash)
{
	if (map->n >= map->cap)
		map_grow(map);
	node->hash = hash;
	node->in = true;
	node->next = map->slots[hash & (map->cap - 1)];
	map->slots[hash & (map->cap - 1)] = node;
	map->n++;
}

void map_del(struct map *map, struct map_node *node)
{
	struct map_node **at;

	if (!node->in)
		return;
	at = &map->slots[node->hash & (map->cap - 1)];
	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	node->in = false;
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
	return same(map->slots[hash & (map->cap - 1)], hash);
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
