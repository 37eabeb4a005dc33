/*
 * faults.h - tests that arm fault points: where those are not built in (SAN=1 has them), such a
 * test is skipped, and says so.
 */
#pragma once
/* first of all: nothing that comes before it in the test is let go of */
#ifdef FAULTS
#define need_faults() ((void)0)
#else
#define need_faults() skip()
#endif
