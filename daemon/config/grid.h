/*
 * grid.h - text in columns: cells from left to right, row after row, then written with equal
 * widths.
 */
#pragma once
#include "base/buf.h"

#define GRID_COLUMNS 12

struct grid {
	unsigned columns, n;
	char **cells;
	size_t width[GRID_COLUMNS];
	bool short_of_memory;
};
void grid_init(struct grid *grid, unsigned columns);
void grid_done(struct grid *grid);
/* the next cell; after a failure does nothing */
void grid_add(struct grid *grid, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* returns 0, NX_ENOMEM, or what the buffer says */
int grid_write(const struct grid *grid, struct buf *out);
