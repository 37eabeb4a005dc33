/*
 * clock.h - now: real, or a test's. Two clocks: boot (monotonic, counts suspend: CLOCK_BOOTTIME)
 * for every deadline and order, wall (ms since 1970 UTC) for labels only (promise P9). Thread: any.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

int64_t clock_boot_ms(void);
int64_t clock_wall_ms(void);
/* a test takes the clocks in hand; both stand still until moved. clock_real() gives them back. */
void clock_fake(int64_t boot_ms, int64_t wall_ms);
void clock_advance(int64_t ms);   /* both */
void clock_jump_wall(int64_t ms); /* the wall clock alone */
void clock_real(void);
/* the kernel says its clock is synchronised (adjtimex) */
bool clock_synchronised(void);
/* RFC 3339 in UTC with ms, "2026-11-22T10:00:00.123Z"; to has at least 32 octets */
void clock_rfc3339(int64_t wall_ms, char *to);
