/*
 * copies.h - what --backup, --restore and --convert share: what a store says of itself, the copy of
 * both environments, the note beside it, and folders that come and go whole. Private to the store
 * room.
 */
#pragma once
#include "store/backup.h"
#include "store/db.h"
#include "store/format.h"
#include "store/pump.h"

enum { COPY_ITEMS, COPY_PHOTOS, COPY_ENVS };
extern const char *const copy_names[COPY_ENVS];

/*
 * copies_look - what the store in dir says of itself; a format that is not ours is refused in
 * words: NX_EFORMAT. older_ok: one that --convert could take is told in ret alone.
 */
int copies_look(const char *dir, bool older_ok, struct copy_facts *ret, struct why *why);

/* items, then photos, each as one read transaction sees it, into the folder `to` */
int copies_take(const char *dir, const char *to, uint64_t rate, struct copy_facts *ret,
		struct why *why);

/* backup.txt: what a copy is, a line each */
int note_write(const char *dir, const struct copy_facts *facts, struct why *why);
int note_read(const char *dir, struct copy_facts *ret, struct why *why);

/* ---- folders */
#define COPY_PATH 4096
/* NX_EARG and words when it is too long */
int path_join(char to[COPY_PATH], const char *a, const char *b, const char *c, struct why *why);
int folder_make(const char *path, struct why *why);
int folder_sync(const char *path, struct why *why);
int parent_sync(const char *path, struct why *why);
/* a store, a copy, or half of one: only the files that we make; then the folder, if nothing else
 * is in it */
int folder_remove(const char *path, struct why *why);
void locks_remove(const char *path); /* lock.mdb of both: of readers, none is there any more */
/* mode and, for root, owner as the folder `like` */
int folder_own(const char *path, const char *like, struct why *why);
int copies_failed(struct why *why, const char *what, const char *path); /* errno */
