/*
 * digests.h - the running digests of parts under way. Private to the store room.
 *
 * There are two of these tables. One is the photos writer's: with it the last octets of a part can
 * be judged. The other belongs to the thread that an append passes on its way to the writer: it
 * adds the octets while the writer waits for the disk, and sends what comes of it along. The writer
 * takes that over only when it has taken over all of the same run, from the first octet on;
 * otherwise it adds them itself.
 */
#pragma once
#include "store/store.h"

/* 32 partners with all the partials they may have: with one more than these, each append would hash
 * all that came before it again */
#define DIGESTS_MAX 1024

struct digest {
	uint64_t number, hashed, used;
	uint64_t run; /* from the first octet on, never given twice; 0 = the writer's own */
	struct sha256 *sha;
};
struct digests {
	struct digest all[DIGESTS_MAX];
	uint64_t uses, runs;
};
/* what an append carries of it */
struct ahead {
	uint64_t run;
	struct sha256 *sha; /* with the octets of this append */
};

/* the one of that part, or the one that was not used for the longest time: look at its number.
 * NULL: out of memory */
struct digest *digests_of(struct digests *digests, uint64_t number);
/* thread: the one before the writer. Sets append->ahead, or leaves it NULL */
void digests_ahead(struct digests *digests, struct store_part_append *append);
/* thread: the writer's. append is on disk with these octets: is what it carries the digest of all
 * of them? Then it is taken over, and gone from append */
bool digest_take(struct digest *digest, struct store_part_append *append);
void ahead_free(struct ahead **ahead);
void digests_done(struct digests *digests);
