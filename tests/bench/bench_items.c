/* uses: daemon/store */
/*
 * Puts per second, by size of batch: 4 KB documents, one thread, the writer's own functions; what
 * they cost of the processor, and how much is written for each. bench_items [puts for each size of
 * batch [stories known before [size of batch]]]
 */
#include "../unit/daemon/store/items_fixture.h"
#include "tests/bench/known.h"

#include <malloc.h>
#include <time.h>

#define BATCH_MAX 256

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* octets that this process had written, a page cache that is flushed later included */
static double written(void)
{
	FILE *file = fopen("/proc/self/io", "r");
	unsigned long long n = 0;
	char line[128];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		if (sscanf(line, "wchar: %llu", &n) == 1)
			break;
	if (file != NULL)
		fclose(file);
	return (double)n;
}

static void make_batch(struct fx_put *puts, char (*uris)[32], unsigned n, unsigned *serial,
		       const char *document)
{
	for (unsigned i = 0; i < n; i++) {
		struct it it = { .uri = uris[i], .document = document };

		snprintf(uris[i], sizeof(uris[i]), "urn:bench:%u", (*serial)++);
		fx_make(&puts[i], &it);
		if (i > 0)
			puts[i - 1].put.req.next = &puts[i].put.req;
	}
}

static void bench(unsigned batch, unsigned total, unsigned known, const char *document)
{
	static struct fx_put puts[BATCH_MAX];
	static char uris[BATCH_MAX][32];
	struct fx *fx = calloc(1, sizeof(*fx));
	unsigned serial = 0;
	double took = 0, cpu = 0, octets;

	if (fx == NULL)
		abort();
	fx_folder(fx);
	fx_conf(fx);
	fx->conf.size = (UINT64_C(2) << 30) + known * UINT64_C(512);
	if (fx_open(fx) < 0 || (known > 0 && known_fill(fx->items, known) < 0))
		abort();
	octets = written();
	while (serial < total) {
		double from = now(CLOCK_MONOTONIC), cpu_from = now(CLOCK_PROCESS_CPUTIME_ID);

		make_batch(puts, uris, batch, &serial, document);
		if (items_batch(fx->items, &puts[0].put.req, fx->boot_ms, fx->wall_ms) < 0)
			abort();
		took += now(CLOCK_MONOTONIC) - from;
		cpu += now(CLOCK_PROCESS_CPUTIME_ID) - cpu_from;
		for (unsigned i = 0; i < batch; i++) {
			if (puts[i].put.req.code < 0)
				abort();
			items_receipt_free(&puts[i].put);
		}
	}
	printf("batch %3u: %8.0f puts/s, %6.3f ms a batch; a put: %5.1f us of CPU, %5.2f KiB "
	       "written "
	       "(%u puts, %u known)\n",
	       batch, serial / took, took * 1000 * batch / serial, cpu * 1e6 / serial,
	       (written() - octets) / 1024 / serial, serial, known);
	items_close(&fx->items);
	fx_remove(fx);
	free(fx);
}

int main(int argc, char **argv)
{
	unsigned total = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 50000;
	unsigned known = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
	unsigned only = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	static const unsigned sizes[] = { 1, 64, 256 };
	static char document[4096];

	/* as the door does before its threads start: LMDB frees and takes each dirty page */
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TOP_PAD, 64 << 20);
	memset(document, 'x', sizeof(document) - 1);
	for (unsigned i = 0; i < 3; i++)
		if (only == 0 || only == sizes[i])
			bench(sizes[i], sizes[i] == 1 ? total / 50 : total, known, document);
	return 0;
}
