#include "store/verify.h"

#include "base/hash.h"

#include <inttypes.h>

static void hash_more(struct slice octets, void *arg)
{
	sha256_add(arg, octets.p, octets.n);
}

/* the first chunk that is missing or broken */
static void name_chunk(struct verify *verify, uint64_t number, uint64_t n)
{
	struct slice chunk;

	for (uint64_t index = 0; index * CHUNK_MAX < n; index++) {
		int r = chunk_get(&verify->photos, number, index, chunk_len(n, index), &chunk);

		if (r == 0)
			continue;
		verify_fault(verify, "part %" PRIu64 ": chunk %" PRIu64 ": %s", number, index,
			     r == NX_ENOENT ? "is not there" : "checksum");
		return;
	}
}

static void part_octets(struct verify *verify, uint64_t number, const struct part_row *row)
{
	uint64_t n = row->state == PART_PARTIAL ? row->committed : row->size;
	struct sha256 *sha = sha256_new();
	uint8_t digest[SHA256_LEN];
	int r;

	if (sha == NULL) {
		verify->r = NX_ENOMEM;
		return;
	}
	r = chunks_walk(&verify->photos, number, n, hash_more, sha);
	sha256_end(sha, digest);
	sha256_free(&sha);
	if (r < 0)
		name_chunk(verify, number, n);
	else if (row->state == PART_COMPLETE && memcmp(digest, row->sha256, sizeof(digest)) != 0)
		verify_fault(verify, "part %" PRIu64 ": its octets have another hash", number);
}

static void part_line(struct verify *verify, struct slice key, struct slice value)
{
	uint64_t number = u64_of(key);
	struct part_row row;

	if (!part_parse(value, &row))
		verify_fault(verify, "part %" PRIu64 ": its row cannot be read", number);
	else if (row.state == PART_QUARANTINED)
		verify_fault(verify, "part %" PRIu64 ": quarantined", number);
	else if (row.committed > row.size)
		verify_fault(verify, "part %" PRIu64 ": %" PRIu64 " octets of %" PRIu64, number,
			     row.committed, row.size);
	else if (row.state == PART_PARTIAL || row.state == PART_COMPLETE)
		part_octets(verify, number, &row);
}

static void index_line(struct verify *verify, struct slice key, struct slice value)
{
	uint64_t number = u64_of(value);
	struct part_row row;
	bool complete;

	if (key.n != INDEX_KEY_LEN || part_get(&verify->photos, number, &row) < 0) {
		verify_fault(verify, "the index names part %" PRIu64 ", which is not there",
			     number);
		return;
	}
	complete = memcmp(key.p + 32, "\0\0\0\0", 4) == 0;
	if (memcmp(key.p, row.sha256, 32) != 0 ||
	    row.state != (complete ? PART_COMPLETE : PART_PARTIAL))
		verify_fault(verify, "the index names part %" PRIu64 " for what it is not", number);
}

static void partial_line(struct verify *verify, struct slice key, struct slice value)
{
	uint64_t number = 0;
	struct part_row row;

	(void)value;
	for (unsigned i = 4; i < key.n && i < PARTIAL_KEY_LEN; i++)
		number = number << 8 | key.p[i];
	if (part_get(&verify->photos, number, &row) < 0 || row.state != PART_PARTIAL)
		verify_fault(verify, "part %" PRIu64 ": listed as under way, which it is not",
			     number);
}

/* chunks of parts that are not there: a look at the first of each part is enough */
static uint64_t stray_chunks(struct verify *verify, uint64_t from)
{
	uint64_t key = chunk_key(from, 0);
	struct slice value;
	struct cur cur;
	bool more;

	cur_open(&cur, &verify->photos, P_CHUNKS);
	more = cur_seek(&cur, key_u64(&key));
	for (unsigned n = 0; more && n < VERIFY_SLICE; n++) {
		from = u64_of(cur.key) >> CHUNK_SHIFT;
		if (!txn_get(&verify->photos, P_PARTS, key_u64(&from), &value))
			verify_fault(verify, "chunks of part %" PRIu64 ", which is not there",
				     from);
		key = chunk_key(++from, 0);
		more = cur_seek(&cur, key_u64(&key));
	}
	cur_close(&cur);
	return more ? from : 0;
}

void verify_all_photos(struct verify *verify)
{
	uint64_t from = 1;

	verify_photos(verify, P_PARTS, part_line);
	verify_photos(verify, P_INDEX, index_line);
	verify_photos(verify, P_PARTIALS, partial_line);
	while (from != 0 && verify->r == 0) {
		verify_begin(verify);
		from = stray_chunks(verify, from);
		verify_end(verify);
	}
}
