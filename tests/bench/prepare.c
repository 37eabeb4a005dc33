/*
 * prepare.c - a store that stands still is given a past: stories that it knows, whose items were
 * retired.
 *
 *   prepare --dir STORE/items --size OCTETS --count N
 */
#include "tests/bench/known.h"

#include "store/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tell(void *arg, const struct store_event *event)
{
	(void)arg;
	(void)event;
}

static void unused(void *arg, uint64_t part)
{
	(void)arg;
	(void)part;
}

static const char *value_of(int argc, char **argv, const char *name, const char *fallback)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return argv[i + 1];
	return fallback;
}

int main(int argc, char **argv)
{
	const struct store_conf store = { .node = "exchange", .times.clock_jump_ms = 60000 };
	const struct items_conf conf = {
		.dir = value_of(argc, argv, "--dir", ""),
		.size = strtoull(value_of(argc, argv, "--size", "0"), NULL, 10),
		.store = &store,
		.event = tell,
		.unused = unused,
	};
	uint64_t count = strtoull(value_of(argc, argv, "--count", "0"), NULL, 10);
	struct items *items = NULL;
	struct why why = { 0 };
	int r;

	worker_tune_malloc();
	r = items_open(&conf, &items, &why);
	if (r == 0)
		r = known_fill(items, count);
	if (r < 0)
		fprintf(stderr, "prepare: %s: %s\n", nx_word(r), why.words);
	items_close(&items);
	return r < 0 ? 1 : 0;
}
