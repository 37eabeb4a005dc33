/* share.c - see share.h. A stopwatch that every turn sets back. */
#include "net/share.h"

#include <time.h>

#include "net/loop_priv.h"

/* the processor's time is dear to ask for (a system call; 1.4 us on a virtual machine, 0.03 for the
 * other clock): only once so much has passed */
#define ASK_US 250

static int64_t watch_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t used_us(struct share *share)
{
	int64_t wall_us = watch_us(CLOCK_MONOTONIC), cpu_us;

	if (wall_us - share->wall_us < ASK_US)
		return share->used_us + wall_us - share->wall_us;
	cpu_us = watch_us(CLOCK_THREAD_CPUTIME_ID);
	share->used_us += cpu_us - share->cpu_us;
	share->wall_us = wall_us;
	share->cpu_us = cpu_us;
	return share->used_us;
}

void share_begin(struct loop *loop, struct share *share)
{
	if (share->turn != loop_turn(loop)) {
		share->turn = loop_turn(loop);
		share->used_us = 0;
	}
	share->wall_us = watch_us(CLOCK_MONOTONIC);
	share->cpu_us = watch_us(CLOCK_THREAD_CPUTIME_ID);
}

bool share_left(struct share *share)
{
	return used_us(share) < SHARE_US;
}

void share_end(struct share *share)
{
	share->used_us = used_us(share);
}
