/*
 * map.h - an intrusive hash map: the node lives in the thing. Several things may share a hash; the
 * caller compares.
 */
#pragma once
#include "proto/err.h"

#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))

struct map_node {
	struct map_node *next, **at; /* at: what points here; NULL when it is in no map */
	uint64_t hash;
};
struct map {
	struct map_node **slots; /* &only, until there are two */
	struct map_node *only;
	size_t cap, n;
	unsigned shift; /* 64 less the bits of cap */
	uint64_t odd;
};
void map_init(struct map *map); /* the map must not be moved from now on */
/* the same, where hashes are a stranger's choice: without the secret nobody can fill one chain
 * (multiply-shift, Dietzfelbinger 1997) */
void map_init_secret(struct map *map, uint64_t secret);
void map_done(struct map *map); /* the things are the caller's */
/* never fails: when it cannot grow, chains become longer */
void map_add(struct map *map, struct map_node *node, uint64_t hash);
void map_del(struct map *map, struct map_node *node); /* a no-op when it is in no map */
static inline bool map_in(const struct map_node *node)
{
	return node->at != NULL;
}
struct map_node *map_first(const struct map *map, uint64_t hash);
struct map_node *map_next(const struct map_node *node); /* the next of the same hash */
struct map_node *map_any(const struct map *map); /* some node, NULL when empty: for emptying it */
static inline uint64_t map_hash_u64(uint64_t u)
{
	u ^= u >> 33;
	u *= 0xff51afd7ed558ccdULL;
	u ^= u >> 33;
	return u;
}
static inline uint64_t map_hash_key(const uint8_t key[32]) /* a key that is a digest already */
{
	uint64_t u;

	memcpy(&u, key, sizeof(u));
	return map_hash_u64(u);
}
