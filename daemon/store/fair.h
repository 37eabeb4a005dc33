/*
 * fair.h - who fills what is left of an environment that is nearly full. Pure.
 *
 * In the zone between two marks one partner may take at most FAIR_TIMES what it leaves to all
 * others (the dynamic threshold of shared buffers, Choudhury and Hahne, IEEE/ACM ToN 1998). So a
 * partner who sends without end comes to its own end before the store does, and a quiet one beside
 * it finds room. What is freed is given back to all in proportion: nobody knows whose it was.
 *
 * Thread: the writer's of the environment. A zeroed one is good.
 */
#pragma once
#include "store/marks.h"

#define FAIR_TIMES 4 /* alone it stops when four fifths are gone */

struct fair_taken {
	uint32_t partner;
	uint64_t pages;
};
struct fair {
	struct fair_taken *of;
	unsigned n, room;
};
/* may this partner take so many pages, when `left` are left up to the mark? Its first always */
bool fair_allows(const struct fair *fair, uint32_t partner, uint64_t pages, uint64_t left);
/* it took them. Out of memory: they count for nobody */
void fair_took(struct fair *fair, uint32_t partner, uint64_t pages);
uint64_t fair_sum(const struct fair *fair); /* taken by all */
/* so many pages of the zone are in use now: more cannot have been taken. 0: all is forgotten */
void fair_fit(struct fair *fair, uint64_t zone);
/* the same of two that are taken from one zone */
void fair_fit_both(struct fair *a, struct fair *b, uint64_t zone);
void fair_done(struct fair *fair); /* frees */
