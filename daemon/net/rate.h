/*
 * rate.h - how fast a line takes what we say, and what follows from it for the size of a frame.
 *
 * Measured as octets that the peer's kernel confirmed while we always had more to say, over half a
 * second (over two round trips on a long line). A quiet line measures nothing: what was known stays
 * for a minute. Knows sockets, not TLS. The arithmetic (rate_add) is free of them.
 */
#pragma once
#include "proto/err.h"

#define RATE_EVERY_MS  50
#define RATE_SPAN_MS   500
#define RATE_SURE_MS   200
#define RATE_STALE_MS  60000
#define RATE_POINTS    16
#define RATE_FRAME_MS  30 /* a frame holds the line for about this long */
#define RATE_SMALL_MIN 1024
#define RATE_SMALL_MAX 16384
#define RATE_BATCH_MAX 65536

struct rate {
	struct rate_point {
		int64_t at_ms;
		uint64_t acked;
	} * points; /* RATE_POINTS of them while a measurement is on: most lines are quiet */
	unsigned n;
	int64_t span_ms, measured_ms;
	uint64_t rate; /* octets a second; 0 = not known yet */
	bool sure;  /* measured over long enough to trust it with more than one frame at a time */
	bool near_; /* the round trip says: a local network */
	uint32_t lowat;
};
struct rate_line {                /* what the kernel says */
	uint64_t acked, delivery; /* delivery: its own estimate, 0 when it had too little to send */
	uint32_t rtt_us;
};

/* no delay, and a short queue in the kernel */
void rate_open(struct rate *rate, int fd);
bool rate_ask(int fd, struct rate_line *ret);
/* we have more to say than the line takes: measure, if it is time to */
void rate_busy(struct rate *rate, int fd, int64_t now_ms);
/* we have nothing to say, or never will: a measurement that began ends, and its memory goes */
void rate_dry(struct rate *rate);
void rate_add(struct rate *rate, const struct rate_line *line, int64_t now_ms);

size_t rate_small_max(const struct rate *rate, int64_t now_ms);
/* octets that we gather before we write; below one frame: one frame, after what is tiny */
size_t rate_batch(const struct rate *rate, int64_t now_ms);
/* a line on which we wait for the kernel to ask for more after each batch */
bool rate_slow(const struct rate *rate, int64_t now_ms);
