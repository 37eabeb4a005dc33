#include "store/meta.h"

#include "base/hash.h"
#include "store/owed.h"

#include <stdlib.h>

static uint32_t sum_of(struct slice name, const uint8_t *octets, size_t n)
{
	return crc32c(crc32c(0, name.p, name.n), octets, n);
}

void meta_put(struct txn *txn, unsigned table, const char *name, const uint8_t *octets, size_t n)
{
	uint8_t value[META_ROW_MAX];

	memcpy(value, octets, n);
	pack_u32(value + n, sum_of(slice_str(name), octets, n));
	txn_put(txn, table, slice_str(name), slice_of(value, n + META_SUM));
}

enum meta_state meta_state(struct slice name, struct slice value, size_t n)
{
	if (value.n == n)
		return META_WELL; /* an older newsxd wrote it */
	if (value.n < n + META_SUM || unpack_u32(value.p + n) != sum_of(name, value.p, n))
		return META_BAD;
	return value.n == n + META_SUM ? META_WELL : META_ODD;
}

enum meta_state meta_get(struct txn *txn, unsigned table, const char *name, size_t n,
			 const uint8_t **ret)
{
	struct slice value;

	*ret = NULL;
	if (!txn_get(txn, table, slice_str(name), &value))
		return META_NONE;
	*ret = value.p;
	return meta_state(slice_str(name), value, n);
}

/* ---- all of them */

static int keep(struct meta_rows *rows, struct slice key, struct slice value)
{
	struct meta_row *row = reallocarray(rows->p, rows->n + 1, sizeof(*row));

	if (row == NULL)
		return NX_ENOMEM;
	rows->p = row;
	row += rows->n++;
	*row = (struct meta_row){ .name_n = key.n };
	memcpy(row->name, key.p, key.n);
	if (value.n > DB_VALUE_MAX)
		return 0; /* its length is damaged: nobody knows where it ends */
	row->octets = malloc(value.n + 1);
	if (row->octets == NULL)
		return NX_ENOMEM;
	if (value.n > 0)
		memcpy(row->octets, value.p, value.n);
	row->n = value.n;
	return 0;
}

static int by_name(struct slice a, struct slice b)
{
	int r = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return r != 0 ? r : (a.n > b.n) - (a.n < b.n);
}

int meta_rows_read(struct txn *txn, unsigned table, struct meta_rows *ret)
{
	struct slice before = slice_of(NULL, 0);
	struct cur cur;
	int r = 0;

	*ret = (struct meta_rows){ 0 };
	cur_open(&cur, txn, table);
	for (bool more = cur_first(&cur); more && r == 0; more = cur_next(&cur)) {
		if (cur.key.n == 0 || cur.key.n > META_NAME_MAX) {
			ret->disorder = true;
			continue;
		}
		if (before.n > 0 && by_name(before, cur.key) >= 0)
			ret->disorder = true;
		before = cur.key;
		r = keep(ret, cur.key, cur.value);
	}
	cur_close(&cur);
	return r < 0 ? r : txn->r;
}

void meta_rows_free(struct meta_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		free(rows->p[i].octets);
	free(rows->p);
	*rows = (struct meta_rows){ 0 };
}

struct meta_row *meta_rows_find(struct meta_rows *rows, const char *name)
{
	for (size_t i = 0; i < rows->n; i++)
		if (!rows->p[i].gone &&
		    slice_is(slice_of(rows->p[i].name, rows->p[i].name_n), name))
			return &rows->p[i];
	return NULL;
}

struct slice meta_row_value(const struct meta_row *row)
{
	return row == NULL || row->octets == NULL ? slice_of(NULL, 0)
						  : slice_of(row->octets, row->n);
}

static unsigned bits_apart(const char *a, const char *b, size_t n)
{
	unsigned bits = 0;

	for (size_t i = 0; i < n; i++)
		bits += (unsigned)__builtin_popcount((unsigned char)a[i] ^ (unsigned char)b[i]);
	return bits;
}

bool meta_row_near(const struct meta_row *row, const char *name)
{
	return row->name_n == strlen(name) && bits_apart(row->name, name, row->name_n) == 1;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool near_digit(char c)
{
	for (unsigned bit = 0; bit < 8; bit++)
		if (is_digit((char)((unsigned char)c ^ 1u << bit)))
			return true;
	return false;
}

/* how many bits it takes to make it one; 2: more than one */
static unsigned bits_to_kind(const struct meta_row *row, const char *kind)
{
	size_t n = strlen(kind);
	unsigned bits;

	if (row->name_n <= n)
		return 2;
	bits = bits_apart(row->name, kind, n);
	for (size_t i = n; i < row->name_n; i++)
		if (!is_digit(row->name[i]))
			bits += near_digit(row->name[i]) ? 1 : 2;
	return bits;
}

bool meta_row_is_kind(const struct meta_row *row, const char *kind)
{
	return bits_to_kind(row, kind) == 0;
}

bool meta_row_near_kind(const struct meta_row *row, const char *kind)
{
	return bits_to_kind(row, kind) == 1;
}

void meta_rewrite(struct txn *txn, unsigned table, const struct meta_rows *rows)
{
	txn_clear(txn, table);
	for (size_t i = 0; i < rows->n; i++) {
		const struct meta_row *row = &rows->p[i];

		if (!row->gone && row->octets != NULL)
			txn_put(txn, table, slice_of(row->name, row->name_n),
				slice_of(row->octets, row->n));
	}
}

uint64_t table_last(struct txn *txn, unsigned table)
{
	uint64_t key = 0;
	struct cur cur;

	cur_open(&cur, txn, table);
	if (cur_last(&cur))
		key = u64_of(cur.key);
	cur_close(&cur);
	return key;
}
