/*
 * One item as one octet string (head, facts, parts, envelope, document), cut into rows of 4,076
 * octets and a CRC32C that covers the row's key too, so that a row which stands at the wrong place
 * is found as well.
 *
 * Head, little-endian: u8 version, u8 state, u8 lane, u8 kill, u32 partner, u64 position, i64
 * stored, i64 received, i64 released, i64 held until, u64 octets, content[32], story[32],
 * identity[32], u32 facts length, u32 parts length, u32 parts, u32 envelope length, u32 document
 * length, u32 zero. A part: u64 number, u64 size, sha256[32], u16 length, name.
 */
#include "store/items_priv.h"

#include "base/hash.h"

#include <assert.h>
#include <stdlib.h>

#define RECORD_VERSION 1
#define CUT            4076 /* octets of a row before its CRC */
#define HEAD           176
#define CHUNK_BITS     10
#define PART_FIXED     50
#define ROUND_UP(n)    (((n) + CUT - 1) / CUT)

/* ---- rows */

static uint32_t crc_of(uint64_t key, const uint8_t *p, size_t n)
{
	uint8_t name[8];

	pack_u64(name, key);
	return crc32c(crc32c(0, name, sizeof(name)), p, n);
}

static uint64_t body_key(uint64_t sequence, size_t chunk)
{
	return sequence << CHUNK_BITS | chunk; /* chunks count from 1 */
}

/* octets that go out in rows as they come, without being joined first */
struct cutter {
	struct txn *txn;
	uint64_t sequence;
	size_t chunk, n;
	uint8_t row[CUT + 4];
};

static void cutter_flush(struct cutter *cutter)
{
	uint64_t key =
		cutter->chunk == 0 ? cutter->sequence : body_key(cutter->sequence, cutter->chunk);

	pack_u32(cutter->row + cutter->n, crc_of(key, cutter->row, cutter->n));
	txn_append(cutter->txn, cutter->chunk == 0 ? T_ITEMS : T_BODIES, key_u64(&key),
		   slice_of(cutter->row, cutter->n + 4));
	cutter->chunk++;
	cutter->n = 0;
}

static void cutter_add(struct cutter *cutter, struct slice octets)
{
	while (octets.n > 0) {
		size_t n = CUT - cutter->n;

		if (n > octets.n)
			n = octets.n;
		memcpy(cutter->row + cutter->n, octets.p, n);
		cutter->n += n;
		octets = slice_of(octets.p + n, octets.n - n);
		if (cutter->n == CUT)
			cutter_flush(cutter);
	}
}

static void head_pack(uint8_t head[HEAD], const struct record *record, size_t facts_n,
		      size_t parts_n)
{
	uint8_t *p = head;

	*p++ = RECORD_VERSION;
	*p++ = (uint8_t)record->state;
	*p++ = (uint8_t)record->lane;
	*p++ = record->kill;
	p = pack_u32(p, record->partner);
	p = pack_u64(p, record->position);
	p = pack_u64(p, (uint64_t)record->stored_ms);
	p = pack_u64(p, (uint64_t)record->received_ms);
	p = pack_u64(p, (uint64_t)record->released_ms);
	p = pack_u64(p, (uint64_t)record->held_until_ms);
	p = pack_u64(p, record->octets);
	p = memcpy(p, record->content, 32);
	p = memcpy(p + 32, record->story, 32);
	p = memcpy(p + 32, record->identity, 32);
	p = pack_u32(p + 32, (uint32_t)facts_n);
	p = pack_u32(p, (uint32_t)parts_n);
	p = pack_u32(p, record->parts_n);
	p = pack_u32(p, record->envelope_n);
	p = pack_u32(p, record->document_n);
	p = pack_u32(p, 0); /* nothing yet, and no octets of our stack */
	assert(p == head + HEAD);
}

static size_t part_pack(uint8_t to[PART_FIXED], const struct store_part *part)
{
	uint8_t *p = pack_u64(to, part->number);

	p = pack_u64(p, part->size);
	p = memcpy(p, part->sha256, 32);
	p[32] = (uint8_t)part->name.n;
	p[33] = (uint8_t)(part->name.n >> 8);
	return PART_FIXED;
}

size_t record_parts_n(const struct store_part *parts, unsigned n)
{
	size_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += PART_FIXED + parts[i].name.n;
	return sum;
}

void record_write(struct txn *txn, const struct record *record, struct slice envelope,
		  struct slice document)
{
	struct cutter cutter = { .txn = txn, .sequence = record->sequence };
	uint8_t head[HEAD], part[PART_FIXED], *written = NULL;
	struct slice facts = record->facts_packed;

	if (facts.n == 0 && txn->r == 0)
		txn->r = facts_write(&record->facts, &written, &facts.n);
	if (txn->r < 0)
		return;
	if (written != NULL)
		facts.p = written;
	head_pack(head, record, facts.n, record_parts_n(record->parts, record->parts_n));
	cutter_add(&cutter, slice_of(head, sizeof(head)));
	cutter_add(&cutter, facts);
	for (unsigned i = 0; i < record->parts_n; i++) {
		cutter_add(&cutter, slice_of(part, part_pack(part, &record->parts[i])));
		cutter_add(&cutter, record->parts[i].name);
	}
	cutter_add(&cutter, envelope);
	cutter_add(&cutter, document);
	if (cutter.n > 0)
		cutter_flush(&cutter);
	free(written);
}

unsigned record_pages(size_t head_n, size_t envelope_n, size_t document_n)
{
	size_t n = HEAD + head_n + envelope_n + document_n;

	/* each row may take a page; and one leaf in both tables, and some of the branches above */
	return (unsigned)(ROUND_UP(n) + ROUND_UP(n) / 100 + 4);
}

/* ---- back */

struct head {
	struct record record;
	size_t facts_n, parts_n; /* octets */
	size_t all;              /* octets of the whole string */
};

static int head_parse(struct slice s, uint64_t sequence, struct head *ret)
{
	struct record *record = &ret->record;
	const uint8_t *p = s.p;

	if (s.n < HEAD || p[0] != RECORD_VERSION || p[1] < ITEM_RELEASED ||
	    p[1] > ITEM_QUARANTINED || p[2] >= LANES)
		return NX_ECORRUPT;
	*record = (struct record){
		.sequence = sequence,
		.state = (enum item_state)p[1],
		.lane = (enum lane)p[2],
		.kill = p[3] != 0,
		.partner = unpack_u32(p + 4),
		.position = unpack_u64(p + 8),
		.stored_ms = (int64_t)unpack_u64(p + 16),
		.received_ms = (int64_t)unpack_u64(p + 24),
		.released_ms = (int64_t)unpack_u64(p + 32),
		.held_until_ms = (int64_t)unpack_u64(p + 40),
		.octets = unpack_u64(p + 48),
		.parts_n = unpack_u32(p + 160),
		.envelope_n = unpack_u32(p + 164),
		.document_n = unpack_u32(p + 168),
	};
	memcpy(record->content, p + 56, 32);
	memcpy(record->story, p + 88, 32);
	memcpy(record->identity, p + 120, 32);
	ret->facts_n = unpack_u32(p + 152);
	ret->parts_n = unpack_u32(p + 156);
	ret->all = HEAD + ret->facts_n + ret->parts_n + record->envelope_n + record->document_n;
	return ret->all < (size_t)CUT << CHUNK_BITS ? 0 : NX_ECORRUPT;
}

/* the octets of one row, its CRC found right. NX_ENOENT: no such row */
static int row_get(struct txn *txn, enum items_table table, uint64_t key, struct slice *ret)
{
	if (!txn_get(txn, table, key_u64(&key), ret))
		return txn->r < 0 ? txn->r : NX_ENOENT;
	if (ret->n < 4 || unpack_u32(ret->p + ret->n - 4) != crc_of(key, ret->p, ret->n - 4))
		return NX_ECORRUPT;
	ret->n -= 4;
	return 0;
}

static int head_get(struct txn *txn, uint64_t sequence, struct head *ret, struct slice *ret_row)
{
	int r = row_get(txn, T_ITEMS, sequence, ret_row);

	return r < 0 ? r : head_parse(*ret_row, sequence, ret);
}

int record_head(struct txn *txn, uint64_t sequence, struct record *ret)
{
	struct head head;
	struct slice row;
	int r = head_get(txn, sequence, &head, &row);

	if (r == 0)
		*ret = head.record;
	return r;
}

/* the first n octets of the string at to; row is the first row */
static int join(struct txn *txn, uint64_t sequence, struct slice row, uint8_t *to, size_t n)
{
	size_t done = 0;
	int r = 0;

	for (size_t chunk = 1; r == 0; chunk++) {
		size_t some = row.n < n - done ? row.n : n - done;

		memcpy(to + done, row.p, some);
		done += some;
		if (done == n)
			return 0;
		if (row.n != CUT)
			return NX_ECORRUPT; /* only the last row is shorter */
		r = row_get(txn, T_BODIES, body_key(sequence, chunk), &row);
	}
	return r == NX_ENOENT ? NX_ECORRUPT : r;
}

static int part_parse(struct slice *from, struct store_part *ret, uint8_t **names)
{
	size_t n;

	if (from->n < PART_FIXED)
		return NX_ECORRUPT;
	ret->number = unpack_u64(from->p);
	ret->size = unpack_u64(from->p + 8);
	memcpy(ret->sha256, from->p + 16, 32);
	n = from->p[48] | (size_t)from->p[49] << 8;
	*from = slice_of(from->p + PART_FIXED, from->n - PART_FIXED);
	if (n > from->n)
		return NX_ECORRUPT;
	if (n > 0)
		memcpy(*names, from->p, n);
	ret->name = slice_of(*names, n);
	*names += n;
	*from = slice_of(from->p + n, from->n - n);
	return 0;
}

static int parts_read(struct slice from, struct record *record)
{
	size_t n = record->parts_n;
	uint8_t *names;
	int r = 0;

	if (n == 0)
		return 0;
	if (n > from.n / PART_FIXED)
		return NX_ECORRUPT;
	record->parts = malloc(n * sizeof(*record->parts) + from.n);
	if (record->parts == NULL)
		return NX_ENOMEM;
	names = (uint8_t *)(record->parts + n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = part_parse(&from, &record->parts[i], &names);
	return r;
}

int record_read(struct txn *txn, uint64_t sequence, struct record *ret, uint8_t **ret_octets)
{
	struct head head = { 0 };
	uint8_t *all = NULL;
	struct slice row;
	size_t n, front;
	int r = head_get(txn, sequence, &head, &row);

	if (r < 0)
		return r;
	front = HEAD + head.facts_n + head.parts_n;
	n = ret_octets == NULL ? front : head.all;
	all = malloc(n + 1);
	if (all == NULL)
		return NX_ENOMEM;
	r = join(txn, sequence, row, all, n);
	if (r == 0)
		r = facts_read(slice_of(all + HEAD, head.facts_n), &head.record.facts);
	if (r == 0)
		r = parts_read(slice_of(all + HEAD + head.facts_n, head.parts_n), &head.record);
	if (r < 0) {
		record_done(&head.record);
	} else {
		*ret = head.record;
		if (ret_octets != NULL) {
			memmove(all, all + front, n - front);
			*ret_octets = all;
			all = NULL; /* the caller's now */
		}
	}
	free(all);
	return r;
}

void record_done(struct record *record)
{
	facts_done(&record->facts);
	free(record->parts);
	record->parts = NULL;
}

/* ---- changes */

void record_state(struct txn *txn, uint64_t sequence, enum item_state state, uint64_t position,
		  int64_t released_ms)
{
	uint8_t copy[CUT + 4];
	struct head head;
	struct slice row;
	int r = head_get(txn, sequence, &head, &row);

	if (r < 0)
		return; /* retired meanwhile; or damaged, and whoever reads it will say so */
	memcpy(copy, row.p, row.n);
	copy[1] = (uint8_t)state;
	pack_u64(copy + 8, position);
	pack_u64(copy + 32, (uint64_t)released_ms);
	pack_u32(copy + row.n, crc_of(sequence, copy, row.n));
	txn_put(txn, T_ITEMS, key_u64(&sequence), slice_of(copy, row.n + 4));
}

/* without reading what it removes: what is corrupt must go too */
uint64_t record_remove(struct txn *txn, uint64_t sequence)
{
	uint64_t pages = 0, first = body_key(sequence, 0);
	struct cur cur;

	if (txn_del(txn, T_ITEMS, key_u64(&sequence)))
		pages++;
	cur_open(&cur, txn, T_BODIES);
	for (bool ok = cur_seek(&cur, key_u64(&first));
	     ok && u64_of(cur.key) >> CHUNK_BITS == sequence; ok = cur_next(&cur)) {
		cur_del(&cur);
		pages++;
	}
	cur_close(&cur);
	return pages;
}
