/*
 * facts.h - what the exchange knows of a story without opening it again: a struct, and its fixed
 * binary form.
 *
 * Pure. The store keeps the binary form beside the document so that a filter never parses JSON.
 * Slices point into `block`, which facts_done() frees.
 */
#pragma once
#include "proto/msg.h"

#define URI_MAX      1024 /* octets */
#define VERSION_MAX  64
#define SUBJECTS_MAX 64
#define FACT_MAX     256 /* language, type, slugline, a subject: longer ones are cut at a letter */
#define TIME_NONE    INT64_MIN

enum news_status { STATUS_USABLE = 0, STATUS_WITHHELD = 1, STATUS_CANCELED = 2 };

struct facts {
	struct slice origin, uri, version; /* the identity; version "0" when there is none */
	struct slice channel;
	struct slice language, type, slugline, headline;
	int urgency; /* 0 = not given, else 1-9 */
	enum news_status status;
	int64_t version_created_ms; /* wall, TIME_NONE when not given */
	int64_t embargo_ms; /* the latest of all its spellings, TIME_NONE when there is none */
	unsigned subjects_n;
	struct slice subjects[SUBJECTS_MAX];
	uint8_t *block; /* malloc'ed */
};
void facts_done(struct facts *facts);
/* a copy with a block of its own; ret may be from (whose block stays the caller's). returns 0 or
 * NX_ENOMEM */
int facts_copy(const struct facts *from, struct facts *ret);

/* urgency 1 or 2 and every kill travel in the flash lane */
enum lane facts_lane(const struct facts *facts);
static inline bool facts_kill(const struct facts *facts)
{
	return facts->status == STATUS_CANCELED;
}

/* the binary form: at most 24 KiB. Its first octet is its format; a reader skips what it does not
 * know at the end.
 * returns 0 and malloc'ed octets, NX_EARG (a field above its ceiling), NX_ENOMEM */
int facts_write(const struct facts *facts, uint8_t **ret, size_t *ret_n);
/* returns 0 (a copy is made), NX_ECORRUPT, NX_ENOMEM */
int facts_read(struct slice from, struct facts *ret);

/*
 * version_compare - which of two versions of one story is newer? As unsigned integers (of any
 * length) when both are digits ("007" and "7" are then equal), else by versioncreated.
 * returns  0 and *ret <0, 0, >0; NX_EORDER when they differ and neither rule decides
 */
int version_compare(struct slice a, int64_t a_created_ms, struct slice b, int64_t b_created_ms,
		    int *ret);
/* SHA-256(origin NUL uri) and SHA-256(origin NUL uri NUL version [NUL "kill"]): keys of the store.
 * Origin, uri and version must be within NAME_MAX_, URI_MAX, VERSION_MAX, as those of story_read()
 * and facts_read() are. */
void facts_story_key(const struct facts *facts, uint8_t key[32]);
void facts_identity_key(const struct facts *facts, uint8_t key[32]);
