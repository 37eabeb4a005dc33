/*
 * input.h - what publish is given: files, and lines of standard input, one after the other.
 */
#pragma once
#include "base/buf.h"
#include "client/outbox.h"

struct input {
	char *const *files;
	unsigned files_n, next;
	const char *channel;
	int in;                /* of "-": standard input; a test's pipe */
	bool reading, in_over; /* "-" has its turn; it has ended */
	bool stalled;          /* nothing more could be read just now */
	unsigned line;
	struct buf lines; /* read and not yet taken */
	size_t looked;    /* octets of lines that hold no line end */
	bool skipping;    /* the rest of a line that was too long */
	char name[4096];  /* of what input_next() spoke last, as words name it */
};
void input_init(struct input *input, char *const *files, unsigned n, const char *channel, int in);
void input_done(struct input *input);
/* wait for this descriptor before the next input_next(); -1: no need */
int input_waits(const struct input *input);
bool input_over(const struct input *input);
/*
 * input_next - the next item.
 * returns  1 and an outbox; 0: none now (see input_waits() and input_over()); negative as
 * outbox_file(): this one cannot be offered, go on with the next
 */
int input_next(struct input *input, struct outbox **ret, struct why *why);
