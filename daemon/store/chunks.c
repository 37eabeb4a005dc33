#include "store/photos.h"

#include "base/hash.h"

#include <stdlib.h>

#define CRC_LEN 4

static void put_le32(uint8_t *to, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

static uint32_t get_le32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

size_t chunk_len(uint64_t size, uint64_t index)
{
	uint64_t at = index * CHUNK_MAX;

	if (at >= size)
		return 0;
	return size - at < CHUNK_MAX ? (size_t)(size - at) : CHUNK_MAX;
}

int chunk_get(struct txn *txn, uint64_t number, uint64_t index, size_t n, struct slice *ret)
{
	uint64_t key = chunk_key(number, index);
	struct slice value;

	if (!txn_get(txn, P_CHUNKS, key_u64(&key), &value))
		return txn->r < 0 ? txn->r : NX_ENOENT;
	if (value.n != n + CRC_LEN || get_le32(value.p + n) != crc32c(0, value.p, n))
		return NX_EQUARANTINE;
	*ret = slice_of(value.p, n);
	return 0;
}

static void chunk_put(struct txn *txn, uint64_t number, uint64_t index, uint8_t *chunk, size_t n)
{
	uint64_t key = chunk_key(number, index);

	put_le32(chunk + n, crc32c(0, chunk, n));
	txn_put(txn, P_CHUNKS, key_u64(&key), slice_of(chunk, n + CRC_LEN));
}

int chunks_append(struct txn *txn, uint64_t number, struct part_row *row, struct slice octets)
{
	uint64_t index = row->committed / CHUNK_MAX;
	size_t have = row->committed % CHUNK_MAX;
	uint8_t chunk[CHUNK_MAX + CRC_LEN];
	struct slice tail;
	int r;

	if (have > 0) { /* the last one grows */
		r = chunk_get(txn, number, index, have, &tail);
		if (r < 0)
			return r;
		memcpy(chunk, tail.p, have);
	}
	row->committed += octets.n;
	while (octets.n > 0 && txn->r == 0) {
		size_t n = octets.n < CHUNK_MAX - have ? octets.n : CHUNK_MAX - have;

		memcpy(chunk + have, octets.p, n);
		chunk_put(txn, number, index++, chunk, have + n);
		octets.p += n;
		octets.n -= n;
		have = 0;
	}
	return txn->r;
}

int chunks_walk(struct txn *txn, uint64_t number, uint64_t n, void (*fn)(struct slice, void *),
		void *arg)
{
	struct slice chunk;
	int r;

	for (uint64_t index = 0; index * CHUNK_MAX < n; index++) {
		r = chunk_get(txn, number, index, chunk_len(n, index), &chunk);
		if (r < 0)
			return r;
		fn(chunk, arg);
	}
	return 0;
}

bool chunks_delete(struct txn *txn, uint64_t number, unsigned most, unsigned *ret_n)
{
	uint64_t first = chunk_key(number, 0), end = chunk_key(number + 1, 0);
	struct cur cur;
	bool more;

	*ret_n = 0;
	cur_open(&cur, txn, P_CHUNKS);
	more = cur_seek(&cur, key_u64(&first)) && u64_of(cur.key) < end;
	while (more && *ret_n < most) {
		cur_del(&cur);
		(*ret_n)++;
		more = cur_next(&cur) && u64_of(cur.key) < end;
	}
	cur_close(&cur);
	return !more && txn->r == 0;
}

unsigned chunks_pages(size_t n)
{
	unsigned chunks = (unsigned)(n / CHUNK_MAX) + 2; /* a tail in front, one behind */

	/* a page each; leaves hold some 130 of them, and of the other tables a path of four each */
	return chunks + chunks / 60 + 16;
}

/* copies n octets of a complete part, from `at` on */
static int copy_out(struct txn *txn, const struct store_read_part *read, uint64_t size, size_t n)
{
	uint64_t at = read->offset;
	uint8_t *to = read->octets;
	struct slice chunk;

	while (n > 0) {
		uint64_t index = at / CHUNK_MAX;
		size_t skip = at % CHUNK_MAX, take;
		int r = chunk_get(txn, read->number, index, chunk_len(size, index), &chunk);

		if (r < 0) /* a missing chunk of a complete part is the same as a broken one */
			return r == NX_ENOENT ? NX_EQUARANTINE : r;
		take = chunk.n - skip < n ? chunk.n - skip : n;
		memcpy(to, chunk.p + skip, take);
		to += take;
		at += take;
		n -= take;
	}
	return 0;
}

int photos_read(struct txn *txn, struct store_read_part *read, bool *ret_fresh)
{
	size_t n = read->n < READ_MAX ? read->n : READ_MAX;
	struct part_row row;
	int r = part_get(txn, read->number, &row);

	read->got = 0;
	read->octets = NULL;
	if (r < 0)
		return r;
	if (row.state == PART_QUARANTINED)
		return NX_EQUARANTINE;
	if (row.state != PART_COMPLETE)
		return NX_ENOENT;
	if (read->offset > row.size)
		return NX_EARG;
	if (n > row.size - read->offset)
		n = (size_t)(row.size - read->offset);
	read->octets = malloc(n > 0 ? n : 1);
	if (read->octets == NULL)
		return NX_ENOMEM;
	r = copy_out(txn, read, row.size, n);
	read->got = n;
	if (r < 0) {
		free(read->octets);
		read->octets = NULL;
		read->got = 0;
	}
	*ret_fresh = r == NX_EQUARANTINE;
	return r;
}
