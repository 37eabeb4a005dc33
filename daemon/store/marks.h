/*
 * marks.h - the three marks of an environment, in pages, and who may fill it up to which. Pure.
 *
 * A full LMDB cannot even delete. So items stop at 95 % of size, flash and kills at 99 %; settling
 * and retirement have 4 % and at least 16 MiB above size; the map is 8 % and at least 32 MiB larger
 * than size, all of it preallocated.
 */
#pragma once
#include "proto/err.h"

#define PRESSURE_PERCENT 80 /* of size: keep is shortened */
#define MARK_PERCENT     90 /* debts go (brim.c), and partners share what is left: fair.h */

enum mark {
	MARK_PARTS,   /* 90 %: photos */
	MARK_ROUTINE, /* 95 %: items of the routine lane */
	MARK_FLASH,   /* 99 %: flash and kills */
	MARK_SETTLE,  /* settling, releases, retirement */
};
struct marks {
	uint64_t page, size, settle, map; /* the page in octets, the rest in pages */
};
struct marks marks_of(uint64_t size_octets, uint64_t page);
/* ... of an environment whose file has so many octets (0: there is none): a file never shrinks, so
 * a smaller size leaves the marks where they were. *ret_kept: is it so here? */
struct marks marks_standing(uint64_t size_octets, uint64_t page, uint64_t file, bool *ret_kept);
uint64_t marks_pages(const struct marks *marks, enum mark mark);
/* used pages and this request's worst case */
bool marks_room(const struct marks *marks, enum mark mark, uint64_t used, uint64_t pages);
/* pages in use above so many per cent of size */
uint64_t marks_above(const struct marks *marks, unsigned percent, uint64_t used);
unsigned marks_percent(const struct marks *marks, uint64_t used); /* of size; up to 100 and more */
