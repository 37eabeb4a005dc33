/*
 * file.h - a file that is sent: hashed before it is offered, read piece by piece, and noticed when
 * it is no longer what was hashed.
 *
 * Knows nothing of what the octets are. Opens regular files only, and waits for none.
 */
#pragma once
#include "proto/err.h"
#include <sys/stat.h>

#define FILE_HEAD 16 /* first octets, for who wants to know what it is */

struct file {
	char *path;
	int fd; /* -1: not open now */
	uint64_t size;
	int64_t changed_s, changed_ns;
	uint64_t device, inode;
	uint8_t sha256[32];
};
/*
 * given: so many octets of a path are the user's own words, and symbolic links are followed there.
 * Beyond them strangers chose what lies there, and none is: one would send any file of this machine
 */
#define FILE_GIVEN SIZE_MAX /* the whole path is */
/* a regular file, open for reading; -1 with words */
int file_open(const char *path, size_t given, struct stat *ret, struct why *why);
/* all of it, malloc'ed. returns 0; NX_EBIGDOC above most, NX_ENOENT, NX_ENOMEM with words */
int file_all(const char *path, size_t given, size_t most, uint8_t **ret, size_t *ret_n,
	     struct why *why);
/* size and hash. path is malloc'ed and the file's now, also when this fails. returns 0, NX_ENOENT
 * with words */
int file_look(struct file *file, char *path, size_t given, uint8_t head[FILE_HEAD],
	      size_t *ret_head_n, struct why *why);
/* some octets; returns how many, or NX_EPARTSGONE when the file is no longer what was hashed */
int file_read(struct file *file, uint64_t offset, uint8_t *to, size_t n);
void file_done(struct file *file);
