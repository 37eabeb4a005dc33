/*
 * clockrule.h - may embargoes be released by this clock? Pure; knows no store.
 *
 * The wall clock is trusted while it stands within `jump` of where the boot-time clock says. After
 * a start it is suspect when it is earlier than the last time that was stored, or more than a day
 * later, until somebody vouches for it.
 */
#pragma once
#include "proto/err.h"

struct clockrule {
	int64_t jump_ms;
	bool ntp; /* the kernel's word counts */
	bool started;
	int64_t base_boot_ms,
		base_wall_ms; /* where both stood when it was last trusted from outside */
	int64_t good_ms;      /* the highest wall time seen while it was trusted */
	int64_t label_ms;     /* what base_boot_ms was called: at least the last time stored */
	bool start_suspect, jumped;
};
/* stored_ms: the last wall time of the run before, INT64_MIN = none */
void clockrule_start(struct clockrule *rule, int64_t boot_ms, int64_t wall_ms, int64_t stored_ms);
/* look again. returns true when the answer of clockrule_good() changed; why: words for it */
bool clockrule_look(struct clockrule *rule, int64_t boot_ms, int64_t wall_ms, bool synchronised,
		    struct why *why);
/* the operator vouches for the clock as it stands. returns as clockrule_look() */
bool clockrule_vouch(struct clockrule *rule, int64_t boot_ms, int64_t wall_ms);
bool clockrule_good(const struct clockrule *rule);
/* the time that an embargo must have passed: wall_ms while it is good; else no later than what was
 * good */
int64_t clockrule_now(const struct clockrule *rule, int64_t wall_ms);
/* what time to write beside things whose age will matter: while the clock is suspect the boot-time
 * clock goes on from what was good, so that nothing is years old once it is set right */
int64_t clockrule_label(const struct clockrule *rule, int64_t boot_ms, int64_t wall_ms);
