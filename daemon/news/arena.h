/*
 * arena.h - memory of one document while it is read: given in a row, freed all at once, with a
 * ceiling.
 *
 * jansson's allocation functions know no context, so an arena belongs to a thread: between
 * arena_begin() and arena_end() all that this thread takes through arena_alloc() comes from its
 * arena; outside of them the same functions are malloc() and free(), so that others in the process
 * may use jansson as well. Nothing that was made inside may be used or freed after arena_end(). 256
 * KiB stay with each thread that ever read a story.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

void arena_begin(size_t ceiling);
/* returns true when an allocation was refused since arena_begin() */
bool arena_end(void);
bool arena_refused(void);
void *arena_alloc(size_t n); /* NULL above the ceiling or out of memory */
void arena_free(void *p);    /* inside: nothing */
