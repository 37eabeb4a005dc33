/*
 * lock.h - one daemon for one directory: flock on DIRECTORY/newsxd.lock. --owed, --verify-store and
 * --backup do not take it.
 */
#pragma once
#include "proto/err.h"

/* makes the directory (0750) if it is not there. returns 0 and a descriptor; NX_ELOCKED; NX_EIO */
int lock_take(const char *directory, int *ret_fd, struct why *why);
void lock_drop(int *fd); /* -1 is nothing */

/*
 * A backup holds DIRECTORY/backup.lock alone; deletions of parts hold it together. NX_ELOCKED: a
 * backup runs, delete nothing now.
 */
int lock_deletions(const char *directory, int *ret_fd);
/* waits up to wait_ms until no deletion is under way. NX_ELOCKED: another backup runs; NX_EIO */
int lock_backup(const char *directory, int64_t wait_ms, int *ret_fd, struct why *why);
