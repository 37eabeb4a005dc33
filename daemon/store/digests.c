#include "store/digests.h"

#include "base/hash.h"

#include <stdlib.h>

struct digest *digests_of(struct digests *digests, uint64_t number)
{
	struct digest *digest = &digests->all[0];

	for (unsigned i = 0; i < DIGESTS_MAX && digest->number != number; i++) {
		struct digest *other = &digests->all[i];

		if (other->number == number || other->used < digest->used)
			digest = other;
	}
	digest->used = ++digests->uses;
	if (digest->sha == NULL)
		digest->sha = sha256_new();
	return digest->sha == NULL ? NULL : digest;
}

static struct ahead *ahead_of(const struct digest *digest)
{
	struct ahead *ahead = malloc(sizeof(*ahead));

	if (ahead == NULL)
		return NULL;
	ahead->run = digest->run;
	ahead->sha = sha256_copy(digest->sha);
	if (ahead->sha == NULL)
		ahead_free(&ahead);
	return ahead;
}

void digests_ahead(struct digests *digests, struct store_part_append *append)
{
	struct digest *digest = digests_of(digests, append->number);
	uint8_t unused[SHA256_LEN];

	append->ahead = NULL;
	if (digest == NULL)
		return;
	if (append->offset == 0) {
		sha256_end(digest->sha, unused);
		*digest = (struct digest){ .number = append->number,
					   .used = digest->used,
					   .run = ++digests->runs,
					   .sha = digest->sha };
	}
	if (digest->number != append->number || digest->hashed != append->offset) {
		digest->number = 0; /* until it begins anew */
		return;
	}
	sha256_add(digest->sha, append->octets, append->n);
	digest->hashed += append->n;
	append->ahead = ahead_of(digest);
}

bool digest_take(struct digest *digest, struct store_part_append *append)
{
	struct ahead *ahead = append->ahead;
	struct sha256 *sha;

	if (ahead == NULL)
		return false;
	if (append->offset != 0 && (digest->number != append->number ||
				    digest->hashed != append->offset || digest->run != ahead->run))
		return false;
	sha = digest->sha;
	digest->sha = ahead->sha;
	ahead->sha = sha;
	digest->run = ahead->run;
	digest->number = append->number;
	digest->hashed = append->offset + append->n;
	ahead_free(&append->ahead); /* were it run again, its octets are added then */
	return true;
}

void ahead_free(struct ahead **ahead)
{
	if (*ahead != NULL)
		sha256_free(&(*ahead)->sha);
	free(*ahead);
	*ahead = NULL;
}

void digests_done(struct digests *digests)
{
	for (unsigned i = 0; i < DIGESTS_MAX; i++)
		sha256_free(&digests->all[i].sha);
}
