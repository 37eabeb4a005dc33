/* octets of a part on their way in, and what happens when the last one is there */
#include "store/photos.h"

#include "base/hash.h"
#include "store/items.h"
#include <assert.h>

static void hash_more(struct slice octets, void *arg)
{
	sha256_add(arg, octets.p, octets.n);
}

/* the digest of what is committed: after a start, a transaction that failed, or when too many parts
 * are under way, from the disk */
static int catch_up(struct txn *txn, struct digest *digest, uint64_t number, uint64_t committed)
{
	uint8_t unused[SHA256_LEN];
	int r;

	if (digest->number == number && digest->hashed == committed)
		return 0;
	sha256_end(digest->sha, unused);
	digest->number = digest->hashed = digest->run = 0;
	r = chunks_walk(txn, number, committed, hash_more, digest->sha);
	if (r < 0)
		return r;
	digest->number = number;
	digest->hashed = committed;
	return 0;
}

/* ... and of the octets that are appended: as they come with it, or now */
static int digest_more(struct txn *txn, struct digest *digest, struct store_part_append *append)
{
	int r;

	if (digest_take(digest, append))
		return 0;
	r = catch_up(txn, digest, append->number, append->offset);
	if (r < 0)
		return r;
	sha256_add(digest->sha, append->octets, append->n);
	digest->hashed += append->n;
	digest->run = 0;
	return 0;
}

/* all octets are there: is it what was promised? the same photo is stored once */
static void finish(struct photos *photos, struct txn *txn, struct store_part_append *append,
		   struct digest *digest, struct part_row *row, int64_t wall_ms)
{
	uint64_t standing = part_find(txn, row->sha256, 0);
	uint8_t octets[SHA256_LEN];
	struct part_row other;
	struct txn items;

	sha256_end(digest->sha, octets);
	digest->number = 0;
	if (memcmp(octets, row->sha256, sizeof(octets)) != 0) {
		part_throw_away(txn, append->number, row);
		append->committed = 0;
		append->req.code = NX_EMISMATCH;
		return;
	}
	append->complete = true;
	if (standing != 0 && part_get(txn, standing, &other) == 0 && other.state == PART_COMPLETE) {
		txn_begin(&items, photos->conf.items, TXN_READ);
		if (!items_is_doomed(&items, standing) && items.r == 0) {
			part_throw_away(txn, append->number, row);
			append->number = standing;
		}
		txn_end(&items);
	}
	if (append->number != standing)
		part_complete(txn, append->number, row, wall_ms);
}

static int may_append(struct photos *photos, const struct store_part_append *append,
		      const struct part_row *row)
{
	if (row->state != PART_PARTIAL)
		return NX_ENOENT;
	if (append->n > APPEND_MAX || append->offset != row->committed ||
	    append->n > row->size - row->committed)
		return NX_EARG;
	return photos_room(photos, MARK_FLASH, chunks_pages(append->n)) ? 0 : NX_EFULL;
}

void parts_append(struct photos *photos, struct txn *txn, struct store_part_append *append,
		  int64_t wall_ms)
{
	struct slice octets = slice_of(append->octets, append->n);
	struct digest *digest = NULL;
	struct part_row row;
	int r = part_get(txn, append->number, &row);

	append->complete = false;
	append->committed = r == 0 ? row.committed : 0;
	if (r == 0)
		r = may_append(photos, append, &row);
	if (r == 0 && (digest = digests_of(&photos->digests, append->number)) == NULL)
		r = NX_ENOMEM;
	if (r == 0)
		r = digest_more(txn, digest, append);
	if (r == 0)
		r = chunks_append(txn, append->number, &row, octets);
	if (r == NX_EQUARANTINE || r == NX_ENOENT) {
		/* the partial itself is broken on disk: it begins anew */
		if (row.state == PART_PARTIAL)
			part_throw_away(txn, append->number, &row);
		append->committed = 0;
	}
	append->req.code = r;
	if (r < 0)
		return;
	assert(digest != NULL);
	append->committed = row.committed;
	fair_took(&photos->fair, row.partner, chunks_pages(append->n));
	row.touched_ms = wall_ms;
	if (row.committed == row.size)
		finish(photos, txn, append, digest, &row, wall_ms);
	else
		part_put(txn, append->number, &row);
}
