/*
 * create.h - an environment comes into being whole or not at all, and grows only at a start.
 *
 * It is made in PARENT/NAME.new (open, first rows, sync, preallocate, fsync) and then renamed:
 * preallocating before LMDB's first commit, or a power cut in it, would leave a file that LMDB
 * refuses for ever. What an interrupted creation left is removed.
 */
#pragma once
#include "store/db.h"

struct create {
	const char *parent, *name;                 /* of the folder; parent exists */
	struct db_conf db;                         /* map_size: preallocated whole */
	void (*first)(struct txn *txn, void *arg); /* writes the first rows */
	/* it is open, and its file system was never tried: these are the words. May be NULL */
	void (*untried)(const struct why *why, void *arg);
	void *arg;
	/* CREATE_PIECE, or the rest, was taken from the disk. May be NULL */
	void (*taking)(void *arg);
	void *taking_arg;
};
#define CREATE_PIECE (UINT64_C(1) << 30)
/*
 * env_open - make it if it is not there, open it, let it grow to map_size, clear stale readers.
 * returns  0; NX_EFORMAT (network file system); NX_EFULL (cannot preallocate); NX_ECORRUPT; NX_EIO;
 * NX_ENOMEM; NX_ELOCKED
 */
int env_open(const struct create *create, struct db **ret, struct why *why);
/*
 * env_room - has the file system of parent what all of these do not have of it yet? Asked before
 * anything is taken: a disk that is too small would else be filled to its end, at each start, and
 * the first of two would keep its share.
 * returns  0; NX_EFULL
 */
struct env_want {
	const char *name; /* as in struct create */
	uint64_t octets;  /* map_size */
};
int env_room(const char *parent, const struct env_want *wants, size_t n, struct why *why);
/* what was made just now and holds nothing goes again. It is closed, and nobody else has it */
void env_undo(const char *parent, const char *name);
/* octets of the file in folder dir; 0: there is none */
uint64_t env_octets(const char *dir);
/* words for store_event: what of the store keeps its size, though a smaller one is asked for */
void env_kept(const char *what, uint64_t asked, uint64_t stands, struct why *why);
/*
 * Is the file system of dir one that LMDB can live on? returns 0; NX_EFORMAT for NFS, CIFS,
 * overlayfs and their like; 1 and words in why for one that was never tried (anything but ext4,
 * xfs, btrfs, tmpfs)
 */
int env_filesystem(const char *dir, struct why *why);
/* the same, of what statfs says */
int env_filesystem_of(uint32_t type, const char *dir, struct why *why);
