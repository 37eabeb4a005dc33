/*
 * loop_priv.h - what the other files of this room may know of the loop: the event_base, the end of
 * a turn without an allocation, and room for octets on their way that no conn has to own.
 */
#pragma once
#include "net/loop.h"

struct event_base;
struct event_base *loop_base(struct loop *loop);
uint64_t loop_turn(const struct loop *loop); /* the number of this turn */

/*
 * Something to be done at the end of this turn, or of the next when the end of this one has begun.
 * Zeroed at first; adding it twice is adding it once. It replaces event_active(), which libevent
 * serves within the same pass: an event that activates itself would keep all descriptors from being
 * looked at.
 */
struct later {
	loop_fn *fn;
	void *arg;
	struct later *prev, *next;
	struct later_list *in; /* NULL: in none */
	bool own;              /* malloc'ed by loop_later() */
};
void later_add(struct loop *loop, struct later *later, loop_fn *fn, void *arg);
void later_drop(struct later *later);
/* for what nobody owns: fn is called by loop_free(), unless it is dropped before */
void later_at_free(struct loop *loop, struct later *later, loop_fn *fn, void *arg);

/* Octets of whichever conn is being served right now. What is left over is copied away by that
 * conn. */
#define LOOP_IN_ROOM  (64u << 10)
#define LOOP_OUT_ROOM (160u << 10)
uint8_t *loop_in_room(struct loop *loop);
uint8_t *loop_out_room(struct loop *loop);
