#include "tests/bench/known.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS_A_TXN 10000

struct known {
	uint8_t story[32], identity[32];
	uint64_t sequence;
};

static int by_key(const void *a, const void *b)
{
	return memcmp(((const struct known *)a)->story, ((const struct known *)b)->story, 32);
}

/* the keys that rules.c makes of kpl's urn:known:N, version 1, in their order */
static struct known *make(uint64_t n)
{
	struct known *known = malloc(n * sizeof(*known));
	uint8_t own[32];
	char uri[40];

	for (uint64_t i = 0; known != NULL && i < n; i++) {
		struct facts facts = { .origin = slice_str("kpl"), .version = slice_str("1") };

		snprintf(uri, sizeof(uri), "urn:known:%llu", (unsigned long long)i);
		facts.uri = slice_str(uri);
		facts_story_key(&facts, known[i].story);
		facts_identity_key(&facts, own);
		memcpy(known[i].identity, known[i].story, 16);
		memcpy(known[i].identity + 16, own, 16);
		known[i].sequence = i + 1;
	}
	if (known != NULL)
		qsort(known, n, sizeof(*known), by_key);
	return known;
}

static void put(struct txn *txn, const struct known *known, int64_t now_ms)
{
	struct identity_row identity = { .sequence = known->sequence,
					 .position = known->sequence,
					 .stored_ms = now_ms };
	struct story_row story = { .newest = known->sequence,
				   .newest_released = known->sequence,
				   .created_ms = TIME_NONE,
				   .released_created_ms = TIME_NONE,
				   .stored_ms = now_ms };

	memcpy(identity.content, known->identity, 32); /* any hash does */
	snprintf(identity.channel, sizeof(identity.channel), "bench.a");
	snprintf(story.channel, sizeof(story.channel), "bench.a");
	snprintf(story.version, sizeof(story.version), "1");
	identity_put(txn, known->identity, &identity);
	story_put(txn, known->story, &story);
}

/* each fourth story, or the others: what comes second splits the leaves that the first pass filled,
 * so that they stand between half and full, as random keys leave them */
static int pass(struct items *items, const struct known *known, uint64_t n, bool fourth,
		int64_t now_ms)
{
	uint64_t at = 0;
	int r = 0;

	while (r == 0 && at < n) {
		uint64_t end = at + ROWS_A_TXN < n ? at + ROWS_A_TXN : n;
		struct txn txn;

		items_begin(items, &txn);
		for (; at < end; at++)
			if ((at % 4 == 3) == fourth)
				put(&txn, &known[at], now_ms);
		if (items->count.sequence_last < n)
			items->count.sequence_last = items->count.position_last = n;
		r = items_end(items, &txn);
	}
	return r;
}

int known_fill(struct items *items, uint64_t n)
{
	struct known *known = make(n);
	int64_t now_ms = (int64_t)time(NULL) * 1000;
	int r = known == NULL ? NX_ENOMEM : pass(items, known, n, false, now_ms);

	if (r == 0)
		r = pass(items, known, n, true, now_ms);
	free(known);
	return r;
}
