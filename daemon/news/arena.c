#include "news/arena.h"
#include "base/fault.h"
#include <stdint.h>
#include <stdlib.h>

#define BLOCK (256u << 10)
#define ALIGN sizeof(max_align_t)

struct block {
	struct block *next; /* the one before it */
	size_t used, size;
	_Alignas(max_align_t) char octets[];
};

static _Thread_local struct {
	bool on, refused;
	size_t left; /* below the ceiling */
	struct block *block;
} arena;

void arena_begin(size_t ceiling)
{
	arena.on = true;
	arena.refused = false;
	arena.left = ceiling;
}

bool arena_refused(void)
{
	return arena.refused;
}

bool arena_end(void)
{
	struct block *block;

	while (arena.block != NULL && (arena.block->next != NULL || arena.block->size > BLOCK)) {
		block = arena.block;
		arena.block = block->next;
		free(block);
	}
	if (arena.block != NULL)
		arena.block->used = 0;
	arena.on = false;
	return arena.refused;
}

static struct block *block_new(size_t n)
{
	size_t size = n > BLOCK ? n : BLOCK;
	struct block *block = malloc(sizeof(*block) + size);

	if (block == NULL)
		return NULL;
	block->next = arena.block;
	block->used = 0;
	block->size = size;
	arena.block = block;
	return block;
}

void *arena_alloc(size_t n)
{
	struct block *block = arena.block;
	void *p;

	if (!arena.on)
		return malloc(n);
	if (n > arena.left || FAULT("story.memory")) {
		arena.refused = true;
		return NULL;
	}
	n = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (block == NULL || n > block->size - block->used)
		block = block_new(n);
	if (block == NULL) {
		arena.refused = true;
		return NULL;
	}
	p = block->octets + block->used;
	block->used += n;
	arena.left -= n < arena.left ? n : arena.left;
	return p;
}

void arena_free(void *p)
{
	if (!arena.on)
		free(p);
}
