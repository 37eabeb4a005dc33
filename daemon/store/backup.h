/*
 * backup.h - a copy of a store beside a running daemon, its way back, and older formats. For main;
 * each takes seconds to hours and says nothing but what it returns.
 */
#pragma once
#include "base/hash.h"
#include "proto/msg.h"

struct copy_facts {
	uint32_t items_format, photos_format;
	uint64_t epoch, sequence, position;
	char node[NAME_MAX_ + 1];
	int64_t taken_ms;   /* wall; when the copy began */
	uint64_t octets[2]; /* of items and of photos; 0: not a copy */
	uint8_t sha256[2][SHA256_LEN];
	int faults; /* that --verify-store would find */
};
struct backup_conf {
	const char *directory; /* the store */
	const char *to;        /* must not be there; appears whole */
	uint64_t rate;         /* octets a second; 0: no limit */
	int64_t wall_ms;
	void (*fault)(const char *words, void *arg); /* of the copy */
	void *arg;
};
/*
 * store_backup - while it copies, the daemon starts no deletion of a part. Every item acknowledged
 * before the call is in it. Faults found in the copy are the store's own: it is kept all the same.
 * returns  0; NX_EEXIST (to is there); NX_ELOCKED (another backup of it, or to that name);
 *          NX_EFORMAT; NX_EFULL; NX_EIO; NX_ECORRUPT; NX_ENOMEM; nothing is left behind then
 */
int store_backup(const struct backup_conf *conf, struct copy_facts *ret, struct why *why);

struct restore_conf {
	const char *directory, *from;
	int64_t wall_ms;
};
struct restored {
	struct copy_facts copy; /* what it was */
	uint64_t epoch;         /* what it is now */
	char before[4096];      /* where the store lies that was here; "": there was none */
};
/*
 * store_restore - the copy becomes the store, under a new epoch; what was here is moved aside.
 * A crash leaves the one or the other, whole.
 * returns  0; 1: it is the store now, but what comes after that failed, in words: it may not be on
 *          disk, or the old one lies where before says, under no name of its own; NX_ELOCKED (a
 *          daemon or a backup runs); NX_ENOENT (no backup there); NX_EFORMAT; NX_ECORRUPT (the copy
 *          is not what was written); NX_EFULL; NX_EIO; NX_ENOMEM
 */
int store_restore(const struct restore_conf *conf, struct restored *ret, struct why *why);

struct converted {
	struct copy_facts facts; /* as it is now */
	uint32_t items_from, photos_from;
	/* the old files, kept; when there was nothing to do, those of an interrupted one, or "" */
	char before[4096];
};
/* returns 1 when there was something to do, 0 when not; 2: it was done, but what comes after that
 * failed, as above; NX_ELOCKED; NX_EFORMAT (newer, or too old); and as above */
int store_convert(const char *directory, int64_t wall_ms, struct converted *ret, struct why *why);
