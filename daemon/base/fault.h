/*
 * fault.h - named places where a test may make us fail. Nothing in a release: only with -DFAULTS
 * does FAULT("db.commit") ask fault_hit(). A test arms the n-th pass through any (or one named)
 * place. Environment of a daemon built with FAULTS: NEWSXD_FAULT="place:n[:crash|:error]" arms at
 * start.
 */
#pragma once
#include <stdbool.h>

#ifdef FAULTS
bool fault_hit(const char *place);
#define FAULT(place) fault_hit(place)
#else
#define FAULT(place) false
#endif
/* n from 1; place NULL = any; crash: _exit(137) there instead of returning true */
void fault_arm(const char *place, unsigned n, bool crash);
bool fault_fired(void);
void fault_off(void);
void fault_from_environment(void);
