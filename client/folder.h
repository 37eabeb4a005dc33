/*
 * folder.h - files and folders that no name from outside can lead astray: everything by openat()
 * and O_NOFOLLOW, everything flushed when flush is asked for. errno says why something failed.
 */
#pragma once
#include "proto/err.h"

/* a folder in dir, made when it is not there; the descriptor or -1 */
int folder_make(int dir, const char *name);
int folder_open(int dir, const char *name);
/* a new file with these octets; flush: on disk when true is returned */
bool folder_write(int dir, const char *name, struct slice octets, bool flush);
/* a new file `name` with the octets of from_dir/from: the same file by another name (share), or a
 * copy */
bool folder_take(int dir, const char *name, int from_dir, const char *from, bool share, bool flush);
/* remove name and, when it is a folder, what lies in it; at most 4 deep */
void folder_remove(int dir, const char *name);
/* call fn for every name in dir but . and .. */
void folder_each(int dir, void (*fn)(int dir, const char *name, void *arg), void *arg);
