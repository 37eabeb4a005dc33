/*
 * position.h - up to where a subscription is here: one small file beside the items. Advice for the
 * exchange, no more: lost, torn or old it costs copies, never an item.
 */
#pragma once
#include "proto/err.h"

struct position {
	int fd; /* -1: it is not kept */
	char file[160];
	bool known, dirty;
	uint64_t epoch, at;
};
/* dir: OUT, or -1 when there is none yet; name: of the subscription. What cannot be read counts as
 * not known. Makes nothing. */
void position_open(int dir, const char *name, struct position *ret);
/* from now on it is kept: makes the file when it is not there */
void position_keep(struct position *position, int dir);
/* this subscription now speaks of this epoch */
void position_epoch(struct position *position, uint64_t epoch);
/* the item at `at` is here durably */
void position_note(struct position *position, uint64_t at);
void position_flush(struct position *position);
void position_close(struct position *position);
