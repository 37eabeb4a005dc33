/*
 * Packed receipts. A row: version, flags, u16 entries, last position u64, time of the last i64,
 * then for each entry two varints: (position - the one before) << 3 | how, and the zigzag of (time
 * - the one before). The first entry's position is the key's, its step 0; the first time counts
 * from 0. All little-endian.
 */
#include "store/items_priv.h"

#include <stdio.h>

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

static bool row_parse(struct row_read *read, struct slice key, struct slice value)
{
	const uint8_t *v = value.p;

	if (key.n != ROW_KEY || value.n <= ROW_HEAD || value.n > RECEIPT_ROW_MAX ||
	    v[0] != ROW_VERSION)
		return false;
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

/*
 * What can be seen without reading the entries: there are so many that they fit, and the last octet
 * ends one. The whole of it is read by those who have the time.
 */
static bool row_open(struct row_read *read, struct slice key, struct slice value)
{
	unsigned entries;

	if (!row_parse(read, key, value))
		return false;
	entries = value.p[2] | (unsigned)value.p[3] << 8;
	return entries > 0 && value.n >= ROW_HEAD + 2 * (size_t)entries &&
	       read->position <= read->last && !(value.p[value.n - 1] & 0x80);
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

bool receipts_row_fits(struct slice key, struct slice value)
{
	struct receipt_entry entry = { 0 };
	struct row_read read;
	unsigned n = 0;

	if (!row_open(&read, key, value))
		return false;
	while (row_entry(&read, &entry))
		n++;
	return read.p == read.end && n == (value.p[2] | (unsigned)value.p[3] << 8) &&
	       entry.position == read.last && entry.at_ms == read.last_ms;
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

/* ---- a damaged row: its version alone, or what became of all that it told of is not known */

static bool other_version(struct row_write *write, struct slice key)
{
	write->octets[0] = ROW_VERSION;
	if (!receipts_row_fits(key, slice_of(write->octets, write->n)))
		return false;
	txn_put(write->txn, T_RECEIPTS, key, slice_of(write->octets, write->n));
	return true;
}

/* next: where the next row of the subscription begins, UINT64_MAX: there is none */
static void row_mend(struct items *items, struct txn *txn, struct slice at, struct slice value,
		     uint64_t next)
{
	struct row_write write = { .txn = txn, .n = value.n, .most = RECEIPT_ROW_MAX };
	struct receipt_entry unknown = { .at_ms = items->wall_ms, .how = RECEIPT_UNKNOWN };
	uint64_t last = next == UINT64_MAX ? items->count.position_last : next - 1;
	uint8_t key[ROW_KEY];
	char name[40];
	bool known;

	memcpy(key, at.p, ROW_KEY);
	write.subscription = unpack_be32(key);
	unknown.position = unpack_be64(key + 4);
	last = last < unknown.position ? unknown.position : last;
	if (value.n <= RECEIPT_ROW_MAX)
		memcpy(write.octets, value.p, value.n);
	known = value.n > ROW_HEAD && value.n <= RECEIPT_ROW_MAX &&
		other_version(&write, slice_of(key, ROW_KEY));
	snprintf(name, sizeof(name), "%u/%llu", write.subscription,
		 (unsigned long long)unknown.position);
	if (known) {
		items_note_mended(items, txn, "receipts", name,
				  "a row of receipts was damaged, what it says was not");
		return;
	}
	row_add(&write, &unknown);
	if (last > unknown.position) {
		unknown.position = last;
		row_add(&write, &unknown);
	}
	row_flush(&write);
	items_note_mended(items, txn, "receipts", name,
			  "receipts were damaged: what became of positions %llu to %llu is not "
			  "known any more",
			  (unsigned long long)write.first, (unsigned long long)last);
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

static void write_into(struct row_write *write, struct row_read *read, struct cur *cur,
		       const struct receipt_entry *entries, size_t n)
{
	uint8_t copy[RECEIPT_ROW_MAX];

	write->most = RECEIPT_ROW_MAX;
	if (read->p != NULL && read->last < entries->position) {
		row_resume(write, read, cur->key, cur->value);
		read->p = read->end;
	} else if (read->p != NULL) { /* the first write makes the value stale */
		if (cur->value.n + n * ENTRY_MAX > RECEIPT_ROW_MAX)
			write->most =
				RECEIPT_ROW_MAX / 2; /* in halves, so that both have room again */
		memcpy(copy, cur->value.p, cur->value.n);
		row_parse(read, cur->key, slice_of(copy, cur->value.n));
	}
	merge(write, read, entries, n);
}

void receipts_add(struct items *items, struct txn *txn, uint32_t subscription,
		  const struct receipt_entry *entries, size_t n)
{
	struct row_write write = { .txn = txn, .subscription = subscription };
	struct cur cur;

	cur_open(&cur, txn, T_RECEIPTS);
	while (n > 0 && txn->r == 0) {
		struct row_read read = { 0 };
		uint64_t next;
		size_t take = 1;

		if (row_before(&cur, subscription, entries->position, &next) &&
		    (!row_open(&read, cur.key, cur.value) ||
		     (read.last >= entries->position && !receipts_row_fits(cur.key, cur.value)))) {
			row_mend(items, txn, cur.key, cur.value, next);
			continue;
		}
		while (take < n && entries[take].position < next)
			take++;
		write_into(&write, &read, &cur, entries, take);
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
		if (row_open(&read, cur.key, cur.value))
			while (go && row_entry(&read, &entry))
				go = entry.position < from || fn(&entry, arg);
		if (go)
			cur_next(&cur);
	}
	cur_close(&cur);
}

/* how many entries say otherwise now */
static unsigned mark_row(struct slice key, uint8_t *row, size_t n, uint64_t from, receipts_fn *fn,
			 void *arg)
{
	struct receipt_entry entry;
	struct row_read read;
	unsigned marked = 0;

	if (!row_open(&read, key, slice_of(row, n)))
		return 0;
	while (row_entry(&read, &entry)) {
		if (entry.position < from || !fn(&entry, arg))
			continue;
		row[read.at - row] |= RECEIPT_AGAIN; /* the low three bits of its first varint */
		marked++;
	}
	return marked;
}

void receipts_again(struct items *items, struct txn *txn, uint32_t subscription, uint64_t from,
		    receipts_fn *fn, void *arg)
{
	uint8_t row[RECEIPT_ROW_MAX], key[ROW_KEY];
	uint64_t at = from, next = from;
	unsigned changed = 0;
	struct cur cur;
	size_t n;

	cur_open(&cur, txn, T_RECEIPTS);
	for (; txn->r == 0 && at != UINT64_MAX && changed < AGAIN_ROWS; at = next) {
		if (!row_before(&cur, subscription, at, &next))
			continue;
		if (!receipts_row_fits(cur.key, cur.value)) {
			row_mend(items, txn, cur.key, cur.value, next);
			next = at; /* once more */
			changed++;
			continue;
		}
		n = cur.value.n;
		memcpy(row, cur.value.p, n);
		memcpy(key, cur.key.p, ROW_KEY);
		if (mark_row(slice_of(key, ROW_KEY), row, n, from, fn, arg) == 0)
			continue;
		txn_put(txn, T_RECEIPTS, slice_of(key, ROW_KEY), slice_of(row, n));
		changed++;
	}
	cur_close(&cur);
}

bool receipts_last_acked(struct txn *txn, uint32_t subscription, bool maybe,
			 struct receipt_entry *ret)
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
		if (!row_open(&read, cur.key, cur.value))
			continue;
		while (row_entry(&read, &entry)) {
			if (entry.how == SETTLE_ACKED || (maybe && entry.how == RECEIPT_UNKNOWN)) {
				*ret = entry;
				found = true;
			}
		}
	} while (!found && cur_prev(&cur) && cur.key.n == ROW_KEY &&
		 unpack_be32(cur.key.p) == subscription);
out:
	cur_close(&cur);
	return found;
}

struct rows_seen {
	uint8_t old[64][ROW_KEY], bad[16][ROW_KEY];
	unsigned old_n, bad_n;
};

/* removes and mends, when the cursor of the walk is closed */
static void rows_act(struct items *items, struct txn *txn, const struct rows_seen *seen)
{
	struct cur cur;

	cur_open(&cur, txn, T_RECEIPTS);
	for (unsigned i = 0; i < seen->bad_n && txn->r == 0; i++) {
		uint64_t next;

		if (row_before(&cur, unpack_be32(seen->bad[i]), unpack_be64(seen->bad[i] + 4),
			       &next))
			row_mend(items, txn, cur.key, cur.value, next);
	}
	cur_close(&cur);
	for (unsigned i = 0; i < seen->old_n; i++)
		txn_del(txn, T_RECEIPTS, slice_of(seen->old[i], ROW_KEY));
}

bool receipts_forget(struct items *items, struct txn *txn, struct receipts_place *place,
		     int64_t before_ms, unsigned most)
{
	struct rows_seen seen = { .old_n = 0 };
	unsigned looked = 0;
	struct row_read read;
	struct cur cur;
	bool more;

	cur_open(&cur, txn, T_RECEIPTS);
	if (place->n == 0)
		more = cur_first(&cur);
	else
		more = cur_seek(&cur, slice_of(place->key, place->n));
	for (; more && looked < most && seen.old_n < 64 && seen.bad_n < 16;
	     more = cur_next(&cur), looked++) {
		if (cur.key.n != ROW_KEY)
			continue;
		if (!receipts_row_fits(cur.key, cur.value))
			memcpy(seen.bad[seen.bad_n++], cur.key.p, ROW_KEY);
		else if (row_parse(&read, cur.key, cur.value) && read.last_ms < before_ms)
			memcpy(seen.old[seen.old_n++], cur.key.p, ROW_KEY);
	}
	place->n = 0;
	if (more && txn->r == 0 && cur.key.n == ROW_KEY) {
		memcpy(place->key, cur.key.p, ROW_KEY);
		place->n = ROW_KEY;
	}
	cur_close(&cur);
	rows_act(items, txn, &seen);
	return place->n > 0;
}
