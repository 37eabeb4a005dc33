/*
 * share.h - how much of a turn of the loop one partner may have, on all its conns together.
 *
 * A partner who sends what is dear to read would otherwise keep the others waiting for as long as
 * its octets last. Whoever has used up its share goes on in the next turn, after all descriptors
 * were looked at. The one thing that is begun is always finished, so each conn gets on.
 *
 * What counts is the processor's time: while somebody else has the processor, or the machine stands
 * still, no partner is at work.
 */
#pragma once
#include "net/loop.h"

#define SHARE_US 2000

struct share {
	uint64_t turn;
	int64_t used_us, wall_us, cpu_us; /* used up to these */
};
void share_begin(struct loop *loop, struct share *share);
/* false: others first */
bool share_left(struct share *share);
void share_end(struct share *share);
