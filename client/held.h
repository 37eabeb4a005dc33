/*
 * held.h - what the acknowledgements of an exchange gave this key: the highest (epoch, sequence),
 * in a small file, a line for each server. Said in HELLO, it shows an exchange that was restored
 * from a copy, and shows us that it was. Lost or old it costs that warning, nothing else.
 */
#pragma once
#include "proto/msg.h"

struct held {
	int fd;
	bool kept;        /* fd is open */
	bool known;       /* epoch and sequence say something */
	bool dirty, anew; /* anew: what is in the file no longer counts, however high */
	uint64_t epoch, sequence;
	int64_t saved_ms; /* boot */
	const char *server;
};
/* file NULL: IDENTITY.held, and no words when it cannot be kept there. returns 0; NX_EIO, words */
int held_open(struct held *held, const char *file, const char *identity, const char *server,
	      struct why *why);
void held_say(const struct held *held, struct hello *mine);
/* the exchange's HELLO: words on standard error when what it acknowledged may be gone */
void held_check(struct held *held, const struct hello *theirs);
void held_note(struct held *held, uint64_t epoch, uint64_t sequence);
void held_close(struct held *held);
