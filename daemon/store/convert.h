/*
 * convert.h - the steps from one format of a file to the next. Private to the store room, so that a
 * test can hand in steps of its own.
 */
#pragma once
#include "store/copies.h"

struct convert_step {
	int env;       /* COPY_ITEMS, COPY_PHOTOS */
	uint32_t from; /* to from + 1; the new number is written with what it does */
	/* in one transaction of the copy; what takes longer begins and ends others on txn->db */
	void (*run)(struct txn *txn);
};
struct convert_formats {
	uint32_t items, photos; /* the newest of each */
	const struct convert_step *steps;
	unsigned steps_n;
};
int convert_with(const char *directory, const struct convert_formats *formats, int64_t wall_ms,
		 struct converted *ret, struct why *why);
