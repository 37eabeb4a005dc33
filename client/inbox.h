/*
 * inbox.h - where received items come to rest: a folder each, which appears whole or not at all.
 *
 *   OUT/HASH-VERSION-HASH/document.json  envelope.json  parts/01-name ...  .done (when --exec
 * succeeded) OUT/.partial/SHA256     a part on its way, kept across links and restarts
 *   OUT/.incoming-XXXX      a folder that is being filled; thrown away at the next start
 *   OUT/.position-NAME      epoch and the highest position that is here (position.h)
 * Names from outside are cleaned, and everything goes through openat() with O_NOFOLLOW: nothing
 * lands outside OUT.
 */
#pragma once
#include "proto/envelope.h"

#define INBOX_NAME         160 /* octets of a folder's name, with its NUL */
#define INBOX_PARTIAL_DAYS 30  /* what was not touched for so long is thrown away */

struct inbox {
	int dir, partial;
};
/* makes OUT when it is not there, durably. returns 0 or NX_ESYS with words */
int inbox_open(const char *out, struct inbox *ret, struct why *why);
/* would inbox_open() do? What is not there is not made. returns 0 or NX_ESYS with words */
int inbox_try(const char *out, struct why *why);
void inbox_close(struct inbox *inbox);

/* SHA-256 over the document, then for each part in order u16 name length, name, sha256.
 * returns 0, NX_ENOMEM */
int inbox_content(struct slice document, const struct envelope *envelope, uint8_t content[32]);
/* 16 hex of SHA-256(origin NUL uri), the cleaned version, 16 hex of content. returns 0, NX_ENOMEM
 */
int inbox_name(struct slice origin, struct slice uri, struct slice version,
	       const uint8_t content[32], char to[INBOX_NAME]);
/* "01-name.jpg" */
void inbox_part_name(unsigned number, const char *name, char to[INBOX_NAME]);

/* is it here? Durably after inbox_seal(). returns 1, 0, or NX_EIO with words when something else
 * has its name */
int inbox_find(const struct inbox *inbox, const char *name, struct why *why);
struct inbox_part {
	const char *name; /* as the envelope has it */
	const char *file; /* in .partial, whole and verified */
	bool share;       /* nobody else needs the file */
};
struct inbox_item {
	const char *name;
	struct slice document, envelope;
	const struct inbox_part *parts;
	unsigned parts_n;
	/* inbox_fill() to inbox_appear(): */
	char incoming[40];
	int folder; /* its lock; -1 = not filled */
};
/*
 * A folder comes to be in four steps, of one item or of many together:
 *
 * inbox_fill writes it under a name of our own; flush: each file is on disk when this returns.
 *
 * inbox_sync: what was filled without flush is on disk; for many items this is twenty times as
 * fast.
 *
 * inbox_appear gives it its name. NX_EEXIST: it was here already, which is as good.
 *
 * inbox_seal: the names are on disk.
 *
 * All return 0, or NX_EIO with words; inbox_drop() what did not appear.
 */
int inbox_fill(const struct inbox *inbox, struct inbox_item *item, bool flush, struct why *why);
int inbox_sync(const struct inbox *inbox, struct why *why);
int inbox_appear(const struct inbox *inbox, struct inbox_item *item, struct why *why);
int inbox_seal(const struct inbox *inbox, struct why *why);
void inbox_drop(const struct inbox *inbox, struct inbox_item *item);

/* .done in the folder: what --exec ran has succeeded */
bool inbox_is_done(int folder);
/* returns 0, also when the command has taken the folder away; NX_EIO with words */
int inbox_set_done(int folder, struct why *why);
