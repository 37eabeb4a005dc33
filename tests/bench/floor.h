/*
 * floor.h - the talk of the floor, the least that can do the job: a frame is u32 length of what
 * follows the head, u32 kind, u64 time in ns, all native (both ends are on this machine); an answer
 * is the u64 of the frame that is now flushed.
 */
#pragma once
#include "tests/bench/wire.h"

enum floor_kind { FLOOR_ITEM = 0, FLOOR_SUBSCRIBE = 1 };
struct floor_head {
	uint32_t length, kind;
	uint64_t made_ns;
};

struct floor_load { /* floor_load.c: the other end */
	const char *identity;
	int port;
	unsigned links, window;
	bool subscribe, idle;
	uint64_t count; /* deliveries a subscriber waits for */
	double seconds, rate;
	size_t size;
};
int floor_load(const struct floor_load *load);
