#include "proto/ids.h"

#include <stdlib.h>

#define IDS_LEAST 16

/* Fibonacci hashing: the peer chooses which ids stay open, so neighbours must not share a run */
static size_t home(const struct ids *ids, uint64_t id)
{
	return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (ids->cap - 1);
}

static struct id_slot *place(const struct ids *ids, uint64_t id)
{
	size_t i = home(ids, id);

	while (ids->slots[i].id != 0 && ids->slots[i].id != id)
		i = (i + 1) & (ids->cap - 1);
	return &ids->slots[i];
}

int ids_reserve(struct ids *ids)
{
	struct ids bigger = { .cap = ids->cap == 0 ? IDS_LEAST : 2 * ids->cap, .n = ids->n };

	if (2 * (ids->n + 1) <= ids->cap)
		return 0;
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return NX_ENOMEM;
	for (size_t i = 0; i < ids->cap; i++)
		if (ids->slots[i].id != 0)
			*place(&bigger, ids->slots[i].id) = ids->slots[i];
	free(ids->slots);
	*ids = bigger;
	return 0;
}

struct id_slot *ids_add(struct ids *ids, uint64_t id)
{
	struct id_slot *slot = place(ids, id);

	*slot = (struct id_slot){ .id = id };
	ids->n++;
	return slot;
}

struct id_slot *ids_find(const struct ids *ids, uint64_t id)
{
	struct id_slot *slot;

	if (ids->n == 0 || id == 0)
		return NULL;
	slot = place(ids, id);
	return slot->id == 0 ? NULL : slot;
}

void ids_remove(struct ids *ids, struct id_slot *slot)
{
	size_t mask = ids->cap - 1, hole = (size_t)(slot - ids->slots), i = hole;

	ids->n--;
	for (;;) { /* close the run, so that no search ends early */
		i = (i + 1) & mask;
		if (ids->slots[i].id == 0)
			break;
		if (((i - home(ids, ids->slots[i].id)) & mask) < ((i - hole) & mask))
			continue;
		ids->slots[hole] = ids->slots[i];
		hole = i;
	}
	ids->slots[hole].id = 0;
}

void ids_trim(struct ids *ids)
{
	if (ids->n > 0)
		return;
	free(ids->slots);
	*ids = (struct ids){ 0 };
}
