/*
 * pump.h - octets from one descriptor into a new file, at no more than a rate, and to the disk as
 * they go: a copy that dirties a gigabyte and then syncs would keep the daemon's commits waiting.
 */
#pragma once
#include "base/hash.h"
#include "proto/err.h"

struct pump {
	int in;           /* read to its end */
	const char *path; /* of the file: made, must not be there */
	uint64_t rate;    /* octets a second; 0: as fast as it goes */
	/* out: */
	uint64_t octets;
	uint8_t sha256[SHA256_LEN];
};
/* returns 0: durable (the file, not its name); NX_EFULL, NX_EIO, NX_ENOMEM. in stays open */
int pump_run(struct pump *pump, struct why *why);
