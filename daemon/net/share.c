/* share.c - see share.h. A stopwatch that every turn sets back. */
#include "net/share.h"

#include <time.h>

#include "net/loop_priv.h"

static int64_t watch_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void share_begin(struct loop *loop, struct share *share)
{
	if (share->turn != loop_turn(loop)) {
		share->turn = loop_turn(loop);
		share->used_us = 0;
	}
	share->since_us = watch_us();
}

bool share_left(const struct share *share)
{
	return share->used_us + watch_us() - share->since_us < SHARE_US;
}

void share_end(struct share *share)
{
	share->used_us += watch_us() - share->since_us;
}
