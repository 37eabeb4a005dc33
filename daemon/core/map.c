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
	size_t cap = map->cap * 2;
	struct map_node **slots = calloc(cap, sizeof(*slots));

	if (slots == NULL)
		return;
	for (size_t i = 0; i < map->cap; i++) {
		struct map_node *node, *next;

		for (node = map->slots[i]; node != NULL; node = next) {
			next = node->next;
			chain(&slots[node->hash & (cap - 1)], node);
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
	chain(&map->slots[hash & (map->cap - 1)], node);
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
