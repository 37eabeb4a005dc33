/*
 * Packed receipts. A row: version, flags, u16 entries, last position u64, time of the last i64,
 * then for each entry two varints: (position - the one before) << 3 | how, and the zigzag of (time
 * - the one before). The first entry's position is the key's, its step 0; the first time counts
 * from 0. All little-endian.
 */
#include "store/owed.h"

#define ROW_VERSION 1
#define ROW_KILL    1
#define ROW_KEY     12
#define ROW_HEAD    20
#define ENTRY_MAX   20 /* two varints of ten octets */
#define STEP_MAX    (UINT64_MAX >> 3)

static struct slice row_key(uint8_t key[ROW_KEY], uint32_t subscription, uint64_t first)
{
	pack_be64(pack_be32(key, subscription), first);
	return slice_of(key, ROW_KEY);
}

/* ---- reading */
struct row_read {
	const uint8_t *p, *at, *end; /* `at`: where the last entry begins */
	uint64_t position, last;
	int64_t at_ms, last_ms;
	bool kill;
};

static bool row_open(struct row_read *read, struct txn *txn, struct slice key, struct slice value)
{
	const uint8_t *v = value.p;

	if (key.n != ROW_KEY || value.n < ROW_HEAD || v[0] != ROW_VERSION) {
		txn->r = NX_ECORRUPT;
		return false;
	}
	*read = (struct row_read){
		.p = v + ROW_HEAD,
		.end = v + value.n,
		.position = unpack_be64(key.p + 4),
		.last = unpack_u64(v + 4),
		.last_ms = (int64_t)unpack_u64(v + 12),
		.kill = v[1] & ROW_KILL,
	};
	return true;
}

static bool varint_get(struct row_read *read, uint64_t *ret)
{
	unsigned shift = 0;

	*ret = 0;
	while (read->p < read->end && shift < 64) {
		uint8_t c = *read->p++;

		*ret |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80))
			return true;
		shift += 7;
	}
	return false;
}

static bool row_entry(struct row_read *read, struct receipt_entry *ret)
{
	uint64_t step, time;

	read->at = read->p;
	if (!varint_get(read, &step) || !varint_get(read, &time))
		return false;
	read->position += step >> 3;
	read->at_ms += (int64_t)(time >> 1) ^ -(int64_t)(time & 1);
	*ret = (struct receipt_entry){
		.position = read->position,
		.at_ms = read->at_ms,
		.how = step & 7,
		.kill = read->kill,
	};
	return true;
}

/* ---- writing */
struct row_write {
	struct txn *txn;
	uint32_t subscription;
	uint64_t first, last;
	int64_t last_ms;
	unsigned entries;
	size_t n, most;
	bool kill;
	uint8_t octets[RECEIPT_ROW_MAX];
};

static uint8_t *varint_put(uint8_t *p, uint64_t u)
{
	for (; u >= 0x80; u >>= 7)
		*p++ = (uint8_t)(u | 0x80);
	*p++ = (uint8_t)u;
	return p;
}

static void row_flush(struct row_write *write)
{
	uint8_t key[ROW_KEY], *p = write->octets;

	if (write->entries == 0)
		return;
	*p++ = ROW_VERSION;
	*p++ = write->kill ? ROW_KILL : 0;
	*p++ = (uint8_t)write->entries;
	*p++ = (uint8_t)(write->entries >> 8);
	p = pack_u64(p, write->last);
	pack_u64(p, (uint64_t)write->last_ms);
	txn_put(write->txn, T_RECEIPTS, row_key(key, write->subscription, write->first),
		slice_of(write->octets, write->n));
	write->entries = 0;
}

static void row_add(struct row_write *write, const struct receipt_entry *entry)
{
	int64_t time;
	uint8_t *p;

	if (write->entries > 0 &&
	    (write->kill || entry->kill || write->n + ENTRY_MAX > write->most ||
	     entry->position - write->last > STEP_MAX))
		row_flush(write);
	if (write->entries++ == 0) {
		write->first = write->last = entry->position;
		write->last_ms = 0;
		write->n = ROW_HEAD;
		write->kill = entry->kill;
	}
	time = entry->at_ms - write->last_ms;
	p = write->octets + write->n;
	p = varint_put(p, (entry->position - write->last) << 3 | (entry->how & 7));
	p = varint_put(p, (uint64_t)time << 1 ^ (uint64_t)(time >> 63));
	write->n = (size_t)(p - write->octets);
	write->last = entry->position;
	write->last_ms = entry->at_ms;
}

/* goes on writing a row that stands: what it holds is copied as it is */
static void row_resume(struct row_write *write, const struct row_read *read, struct slice key,
		       struct slice value)
{
	memcpy(write->octets, value.p, value.n);
	write->n = value.n;
	write->entries = value.p[2] | (unsigned)value.p[3] << 8;
	write->first = unpack_be64(key.p + 4);
	write->last = read->last;
	write->last_ms = read->last_ms;
	write->kill = read->kill;
}

/* the row with the greatest key not above the position, and where the next one begins */
static bool row_before(struct cur *cur, uint32_t subscription, uint64_t position,
		       uint64_t *ret_next)
{
	uint8_t key[ROW_KEY];

	*ret_next = UINT64_MAX;
	cur_seek(cur, row_key(key, subscription, position + 1));
	if (cur->ok && cur->key.n == ROW_KEY && unpack_be32(cur->key.p) == subscription)
		*ret_next = unpack_be64(cur->key.p + 4);
	return (cur->ok ? cur_prev(cur) : cur_last(cur)) && cur->key.n == ROW_KEY &&
	       unpack_be32(cur->key.p) == subscription;
}

/* both rise; an entry of `entries` takes the place of one at the same position */
static void merge(struct row_write *write, struct row_read *read,
		  const struct receipt_entry *entries, size_t n)
{
	struct receipt_entry old;
	bool more = row_entry(read, &old);

	while (more || n > 0) {
		if (n == 0 || (more && old.position < entries->position)) {
			row_add(write, &old);
			more = row_entry(read, &old);
			continue;
		}
		if (more && old.position == entries->position)
			more = row_entry(read, &old);
		row_add(write, entries++);
		n--;
	}
	row_flush(write);
}

static void write_into(struct row_write *write, struct cur *cur, bool there,
		       const struct receipt_entry *entries, size_t n)
{
	uint8_t copy[DB_VALUE_MAX];
	struct row_read read = { 0 };

	if (there && !row_open(&read, write->txn, cur->key, cur->value))
		return;
	if (there && cur->value.n > RECEIPT_ROW_MAX) {
		write->txn->r = NX_ECORRUPT;
		return;
	}
	write->most = RECEIPT_ROW_MAX;
	if (there && read.last < entries->position) {
		row_resume(write, &read, cur->key, cur->value);
		read.p = read.end;
	} else if (there) { /* the first write makes the value stale */
		if (cur->value.n + n * ENTRY_MAX > RECEIPT_ROW_MAX)
			write->most =
				RECEIPT_ROW_MAX / 2; /* in halves, so that both have room again */
		memcpy(copy, cur->value.p, cur->value.n);
		row_open(&read, write->txn, cur->key, slice_of(copy, cur->value.n));
	}
	merge(write, &read, entries, n);
}

void receipts_add(struct txn *txn, uint32_t subscription, const struct receipt_entry *entries,
		  size_t n)
{
	struct row_write write = { .txn = txn, .subscription = subscription };
	struct cur cur;

	cur_open(&cur, txn, T_RECEIPTS);
	while (n > 0 && txn->r == 0) {
		uint64_t next;
		bool there = row_before(&cur, subscription, entries->position, &next);
		size_t take = 1;

		while (take < n && entries[take].position < next)
			take++;
		write_into(&write, &cur, there, entries, take);
		entries += take;
		n -= take;
	}
	cur_close(&cur);
}

/* ---- looking */
void receipts_each(struct txn *txn, uint32_t subscription, uint64_t from, receipts_fn *fn,
		   void *arg)
{
	struct receipt_entry entry;
	struct row_read read;
	struct cur cur;
	uint64_t next;
	bool go = true;

	cur_open(&cur, txn, T_RECEIPTS);
	if (!row_before(&cur, subscription, from, &next) && txn->r == 0) {
		uint8_t key[ROW_KEY];

		cur_seek(&cur, row_key(key, subscription, from));
	}
	while (go && cur.ok && cur.key.n == ROW_KEY && unpack_be32(cur.key.p) == subscription) {
		if (!row_open(&read, txn, cur.key, cur.value))
			break;
		while (go && row_entry(&read, &entry))
			go = entry.position < from || fn(&entry, arg);
		if (go)
			cur_next(&cur);
	}
	cur_close(&cur);
}

/* how many entries say otherwise now */
static unsigned mark_row(struct txn *txn, struct slice key, uint8_t *row, size_t n, uint64_t from,
			 receipts_fn *fn, void *arg)
{
	struct receipt_entry entry;
	struct row_read read;
	unsigned marked = 0;

	if (!row_open(&read, txn, key, slice_of(row, n)))
		return 0;
	while (row_entry(&read, &entry)) {
		if (entry.position < from || !fn(&entry, arg))
			continue;
		row[read.at - row] |= RECEIPT_AGAIN; /* the low three bits of its first varint */
		marked++;
	}
	return marked;
}

void receipts_again(struct txn *txn, uint32_t subscription, uint64_t from, receipts_fn *fn,
		    void *arg)
{
	uint8_t row[DB_VALUE_MAX], key[ROW_KEY];
	uint64_t next = from;
	struct cur cur;
	size_t n;

	cur_open(&cur, txn, T_RECEIPTS);
	while (txn->r == 0) {
		uint64_t at = next;

		if (!row_before(&cur, subscription, at, &next)) {
			if (next == UINT64_MAX)
				break;
			continue;
		}
		n = cur.value.n;
		memcpy(row, cur.value.p, n);
		memcpy(key, cur.key.p, ROW_KEY);
		if (mark_row(txn, slice_of(key, ROW_KEY), row, n, from, fn, arg) > 0)
			txn_put(txn, T_RECEIPTS, slice_of(key, ROW_KEY), slice_of(row, n));
		if (next == UINT64_MAX)
			break;
	}
	cur_close(&cur);
}

bool receipts_last_acked(struct txn *txn, uint32_t subscription, struct receipt_entry *ret)
{
	struct receipt_entry entry;
	struct row_read read;
	bool found = false;
	struct cur cur;
	uint64_t next;

	cur_open(&cur, txn, T_RECEIPTS);
	if (!row_before(&cur, subscription, UINT64_MAX - 1, &next))
		goto out;
	do {
		if (!row_open(&read, txn, cur.key, cur.value))
			break;
		while (row_entry(&read, &entry)) {
			if (entry.how == SETTLE_ACKED) {
				*ret = entry;
				found = true;
			}
		}
	} while (!found && cur_prev(&cur) && unpack_be32(cur.key.p) == subscription);
out:
	cur_close(&cur);
	return found;
}

bool receipts_forget(struct txn *txn, struct receipts_place *place, int64_t before_ms,
		     unsigned most)
{
	uint8_t keys[64][ROW_KEY];
	unsigned old = 0, seen = 0;
	struct row_read read;
	struct cur cur;
	bool more;

	cur_open(&cur, txn, T_RECEIPTS);
	if (place->n == 0)
		more = cur_first(&cur);
	else
		more = cur_seek(&cur, slice_of(place->key, place->n));
	for (; more && seen < most && old < 64; more = cur_next(&cur), seen++) {
		if (!row_open(&read, txn, cur.key, cur.value))
			break;
		if (read.last_ms < before_ms)
			memcpy(keys[old++], cur.key.p, ROW_KEY);
	}
	place->n = 0;
	if (more && txn->r == 0) {
		memcpy(place->key, cur.key.p, ROW_KEY);
		place->n = ROW_KEY;
	}
	cur_close(&cur);
	for (unsigned i = 0; i < old; i++)
		txn_del(txn, T_RECEIPTS, slice_of(keys[i], ROW_KEY));
	return place->n > 0;
}
