/*
 * grid.c - cells that are kept until all widths are known.
 */
#include "config/grid.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/reading.h"

void grid_init(struct grid *grid, unsigned columns)
{
	*grid = (struct grid){ .columns = columns };
}

void grid_done(struct grid *grid)
{
	for (unsigned i = 0; i < grid->n; i++)
		free(grid->cells[i]);
	free(grid->cells);
	*grid = (struct grid){ 0 };
}

void grid_add(struct grid *grid, const char *format, ...)
{
	size_t *width = &grid->width[grid->n % grid->columns];
	char *cell = NULL;
	va_list ap;

	if (grid->short_of_memory || !one_more((void **)&grid->cells, grid->n, sizeof(cell))) {
		grid->short_of_memory = true;
		return;
	}
	va_start(ap, format);
	if (vasprintf(&cell, format, ap) < 0)
		cell = NULL;
	va_end(ap);
	if (cell == NULL) {
		grid->short_of_memory = true;
		return;
	}
	if (strlen(cell) > *width)
		*width = strlen(cell);
	grid->cells[grid->n++] = cell;
}

int grid_write(const struct grid *grid, struct buf *out)
{
	if (grid->short_of_memory)
		return NX_ENOMEM;
	for (unsigned i = 0; i + grid->columns <= grid->n; i += grid->columns) {
		unsigned last = grid->columns;

		while (last > 0 && grid->cells[i + last - 1][0] == '\0')
			last--; /* no blanks at the end of a line */
		for (unsigned j = 0; j < last; j++)
			buf_addf(out, "%-*s%s", j + 1 < last ? (int)grid->width[j] : 0,
				 grid->cells[i + j], j + 1 < last ? "  " : "");
		buf_addf(out, "\n");
	}
	return out->r;
}
