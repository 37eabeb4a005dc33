/*
 * model.h - what an exchange owes, kept apart from it: for test_random.c.
 *
 * It knows what was offered and answered, which filter a subscription had when, what time it really
 * is, and what each reader got. It asks the exchange nothing but where the feed ends at a reload.
 */
#pragma once
#include "actor.h"

enum { PUBLISHERS = 2, READERS = 4, STORIES = 5, FILTERS_MOST = 32 };
enum { VNA, WEB, LAO, OLD }; /* latest, all; latest with a filter that changes; all, may expire */

struct life {
	uint64_t seed, number;
	struct stage *stage;
	struct actor *who[PUBLISHERS + READERS];
	unsigned version[PUBLISHERS][STORIES];
	bool killed[PUBLISHERS][STORIES];
	struct photo photos[3];
	unsigned checked[READERS]; /* items looked at already */
	bool expires;              /* what OLD is owed, after 20 s */
	unsigned crashes, filters_n;
	struct {
		uint64_t first; /* position from which on it counts */
		const char *channels;
	} filters[FILTERS_MOST];
	int64_t boot_ms, wall_ms; /* at the beginning */
	int64_t jump_ms;          /* how far the wall clock stands from the truth */
	int64_t ahead_ms;         /* the most that it ever stood ahead */
	bool put_off;             /* something was refused later */
};
int64_t model_true_ms(const struct life *life);
struct actor *model_reader(const struct life *life, unsigned i);
/* P3, P4, P5 and order, at every moment */
void model_check_now(struct life *life);
/* everything has come to rest: what is acknowledged is settled, and never comes again */
void model_at_rest(struct life *life);
/* P1, P2, P7: everybody has been here, and answered */
void model_check_end(struct life *life);
