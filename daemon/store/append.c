/* octets of a part on their way in, and what happens when the last one is there */
#include "store/photos.h"

#include "base/hash.h"
#include "store/items.h"
#include <assert.h>

static void hash_more(struct slice octets, void *arg)
{
	sha256_add(arg, octets.p, octets.n);
}

/* the running digest of a part, with what is committed in it; NULL and *ret_r when it cannot be had
 */
static struct active *active_of(struct photos *photos, struct txn *txn, uint64_t number,
				uint64_t committed, int *ret_r)
{
	struct active *active = &photos->active[0];
	uint8_t unused[SHA256_LEN];

	for (unsigned i = 0; i < ACTIVE_MAX && active->number != number; i++) {
		struct active *other = &photos->active[i];

		if (other->number == number || other->used < active->used)
			active = other;
	}
	active->used = ++photos->uses;
	if (active->sha == NULL)
		active->sha = sha256_new();
	if (active->sha == NULL) {
		*ret_r = NX_ENOMEM;
		return NULL;
	}
	if (active->number == number && active->hashed == committed)
		return active;
	/* after a start, a transaction that failed, or when too many are under way: from the disk
	 */
	sha256_end(active->sha, unused);
	active->number = number;
	active->hashed = 0;
	*ret_r = chunks_walk(txn, number, committed, hash_more, active->sha);
	if (*ret_r < 0) {
		active->number = 0;
		return NULL;
	}
	active->hashed = committed;
	return active;
}

/* all octets are there: is it what was promised? the same photo is stored once */
static void finish(struct photos *photos, struct txn *txn, struct store_part_append *append,
		   struct active *active, struct part_row *row, int64_t wall_ms)
{
	uint64_t standing = part_find(txn, row->sha256, 0);
	uint8_t digest[SHA256_LEN];
	struct part_row other;
	struct txn items;

	sha256_end(active->sha, digest);
	active->number = 0;
	if (memcmp(digest, row->sha256, sizeof(digest)) != 0) {
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
	struct active *active = NULL;
	struct part_row row;
	int r = part_get(txn, append->number, &row);

	append->complete = false;
	append->committed = r == 0 ? row.committed : 0;
	if (r == 0)
		r = may_append(photos, append, &row);
	if (r == 0)
		active = active_of(photos, txn, append->number, row.committed, &r);
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
	assert(active != NULL);
	sha256_add(active->sha, octets.p, octets.n);
	active->hashed = append->committed = row.committed;
	row.touched_ms = wall_ms;
	if (row.committed == row.size)
		finish(photos, txn, append, active, &row, wall_ms);
	else
		part_put(txn, append->number, &row);
}
