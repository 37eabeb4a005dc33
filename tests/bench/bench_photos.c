/* uses: daemon/store */
/*
 * Photos of 2 MB through PART_APPEND in requests of 256 KiB, with the store's threads: MB/s that
 * are durable and verified. bench_photos [PHOTOS [WAITING]]      so many photos, so many requests
 * on their way at a time
 */
#include "tests/unit/daemon/store/store_fixture.h"

#include <time.h>

#define PHOTO ((size_t)2000000)
#define PIECE ((size_t)256 << 10)
#define MOST  64

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct slot {
	struct store_part_append append;
	bool used;
};

static void need(bool is, const char *what)
{
	if (is)
		return;
	fprintf(stderr, "bench_photos: %s\n", what);
	exit(1);
}

static struct slot *free_slot(struct sx *sx, struct slot *slots, unsigned waiting)
{
	while (true) {
		for (unsigned i = 0; i < waiting; i++) {
			struct slot *slot = &slots[i];

			if (slot->used && slot->append.req.arg != NULL)
				continue;
			need(!slot->used || slot->append.req.code == 0, "refused");
			if (slot->used && slot->append.complete)
				store_unlease(sx->store, slot->append.number);
			slot->used = false;
			return slot;
		}
		sx_loop(sx, 10000);
	}
}

static void send_photo(struct sx *sx, struct slot *slots, unsigned waiting, const uint8_t *photo)
{
	struct store_part_begin begin;

	need(sx_begin(sx, sx->afp, photo, PHOTO, &begin) == 0, "refused to begin");
	for (size_t at = 0; at < PHOTO; at += PIECE) {
		struct slot *slot = free_slot(sx, slots, waiting);

		sx_append_make(&slot->append, begin.number, at, photo,
			       PHOTO - at < PIECE ? PHOTO - at : PIECE);
		slot->used = true;
		sx_submit(sx, &slot->append.req);
	}
}

int main(int argc, char **argv)
{
	unsigned photos = argc > 1 ? (unsigned)atoi(argv[1]) : 200;
	unsigned waiting = argc > 2 ? (unsigned)atoi(argv[2]) : 16;
	struct slot *slots = calloc(MOST, sizeof(*slots));
	struct sx *sx = calloc(1, sizeof(*sx));
	uint8_t *photo = sx_octets(1, PHOTO);
	double began, took;

	need(waiting >= 1 && waiting <= MOST, "1 to 64 requests");
	sx_init(sx, false);
	sx->conf.size = ((uint64_t)photos * 3 << 20) + (256 << 20);
	need(sx_open(sx) == 0, "cannot open");
	began = seconds();
	for (unsigned i = 0; i < photos; i++) {
		memcpy(photo, &i, sizeof(i));
		send_photo(sx, slots, waiting, photo);
	}
	for (unsigned i = 0; i < waiting; i++)
		while (slots[i].used && slots[i].append.req.arg != NULL)
			sx_loop(sx, 10000);
	took = seconds() - began;
	printf("photos=%u waiting=%u seconds=%.2f MB/s=%.0f\n", photos, waiting, took,
	       (double)photos * (double)PHOTO / 1e6 / took);
	sx_end(sx);
	free(sx);
	free(slots);
	free(photo);
	return 0;
}
