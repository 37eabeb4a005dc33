/* Partners and subscriptions on disk. */
#include "store/subs.h"
#include <stdlib.h>

#define ROW_VERSION 1
#define SUB_HEAD    34
#define SUB_MAX     (SUB_HEAD + 2 * (1 + NAME_MAX_))

static bool same(struct txn *txn, unsigned table, struct slice key, struct slice value)
{
	struct slice old;

	return txn_get(txn, table, key, &old) && slice_eq(old, value);
}

/* what stands there already is not written again: a restart with the same configuration writes
 * nothing */
static void put_new(struct txn *txn, unsigned table, struct slice key, struct slice value)
{
	if (!same(txn, table, key, value))
		txn_put(txn, table, key, value);
}

static struct slice name_key(char key[NAME_MAX_ + 3], char kind, const char *name)
{
	size_t n = strnlen(name, NAME_MAX_);

	key[0] = kind;
	key[1] = ':';
	memcpy(key + 2, name, n);
	return slice_of(key, n + 2);
}

/* ---- names and numbers */
bool numbers_get(struct txn *txn, struct numbers *ret)
{
	struct slice value;

	*ret = (struct numbers){ 0 };
	if (!txn_get(txn, T_SUBSCRIPTIONS, slice_str("n"), &value) || value.n != 9 ||
	    value.p[0] != ROW_VERSION)
		return false;
	*ret = (struct numbers){ unpack_u32(value.p + 1), unpack_u32(value.p + 5) };
	return true;
}

void numbers_put(struct txn *txn, const struct numbers *numbers)
{
	uint8_t value[9] = { ROW_VERSION };

	pack_u32(pack_u32(value + 1, numbers->partners), numbers->subscriptions);
	txn_put(txn, T_SUBSCRIPTIONS, slice_str("n"), slice_of(value, sizeof(value)));
}

uint32_t number_next(struct txn *txn, bool subscription)
{
	struct numbers numbers;
	uint32_t *number = subscription ? &numbers.subscriptions : &numbers.partners;

	numbers_get(txn, &numbers);
	++*number;
	numbers_put(txn, &numbers);
	return *number;
}

uint32_t sub_named(struct txn *txn, const char *name)
{
	char key[NAME_MAX_ + 3];
	struct slice value;

	if (name == NULL || !txn_get(txn, T_SUBSCRIPTIONS, name_key(key, 's', name), &value))
		return 0;
	return value.n == 5 && value.p[0] == ROW_VERSION ? unpack_u32(value.p + 1) : 0;
}

void sub_name_put(struct txn *txn, const char *name, uint32_t number)
{
	uint8_t value[5] = { ROW_VERSION };
	char key[NAME_MAX_ + 3];

	pack_u32(value + 1, number);
	put_new(txn, T_SUBSCRIPTIONS, name_key(key, 's', name), slice_of(value, sizeof(value)));
}

void sub_name_del(struct txn *txn, const char *name)
{
	char key[NAME_MAX_ + 3];

	txn_del(txn, T_SUBSCRIPTIONS, name_key(key, 's', name));
}

/* ---- partners */
bool partner_parse(struct slice value, struct partner_row *ret)
{
	if (value.n != 13 || value.p[0] != ROW_VERSION)
		return false;
	*ret = (struct partner_row){ .number = unpack_u32(value.p + 1),
				     .vanished_ms = (int64_t)unpack_u64(value.p + 5) };
	return true;
}

bool partner_get(struct txn *txn, const char *name, struct partner_row *ret)
{
	char key[NAME_MAX_ + 3];
	struct slice value;

	return name != NULL && txn_get(txn, T_SUBSCRIPTIONS, name_key(key, 'p', name), &value) &&
	       partner_parse(value, ret);
}

void partner_put(struct txn *txn, const char *name, const struct partner_row *row)
{
	uint8_t value[13] = { ROW_VERSION };
	char key[NAME_MAX_ + 3];

	pack_u64(pack_u32(value + 1, row->number), (uint64_t)row->vanished_ms);
	put_new(txn, T_SUBSCRIPTIONS, name_key(key, 'p', name), slice_of(value, sizeof(value)));
}

void partner_del(struct txn *txn, const char *name)
{
	char key[NAME_MAX_ + 3];

	txn_del(txn, T_SUBSCRIPTIONS, name_key(key, 'p', name));
}

void partners_each(struct txn *txn, partner_fn *fn, void *arg)
{
	struct partner_row row;
	struct cur cur;

	cur_open(&cur, txn, T_SUBSCRIPTIONS);
	for (bool more = cur_seek(&cur, slice_str("p:")); more; more = cur_next(&cur)) {
		char name[NAME_MAX_ + 1];

		if (cur.key.n < 3 || memcmp(cur.key.p, "p:", 2) != 0)
			break;
		if (cur.key.n - 2 > NAME_MAX_ || !partner_parse(cur.value, &row))
			continue;
		memcpy(name, cur.key.p + 2, cur.key.n - 2);
		name[cur.key.n - 2] = '\0';
		fn(name, &row, arg);
	}
	cur_close(&cur);
}

/* ---- filters */
static struct slice filter_key(uint8_t key[8], uint32_t subscription, uint32_t generation)
{
	pack_be32(pack_be32(key, subscription), generation);
	return slice_of(key, 8);
}

bool filter_get(struct txn *txn, uint32_t subscription, uint32_t generation, struct slice *channels,
		struct slice *filter)
{
	struct slice value;
	uint8_t key[8];
	size_t n;

	*channels = *filter = (struct slice){ 0 };
	if (!txn_get(txn, T_FILTERS, filter_key(key, subscription, generation), &value))
		return false;
	if (value.n < 3 || value.p[0] != ROW_VERSION)
		return false;
	n = value.p[1] | (size_t)value.p[2] << 8;
	if (n > value.n - 3)
		return false;
	*channels = slice_of(value.p + 3, n);
	*filter = slice_of(value.p + 3 + n, value.n - 3 - n);
	return true;
}

void filter_put(struct txn *txn, uint32_t subscription, uint32_t generation, struct slice channels,
		struct slice filter)
{
	uint8_t value[3 + FILTER_MAX], key[8];

	if (channels.n + filter.n > FILTER_MAX) {
		txn->r = NX_ECONF;
		return;
	}
	value[0] = ROW_VERSION;
	value[1] = (uint8_t)channels.n;
	value[2] = (uint8_t)(channels.n >> 8);
	if (channels.n > 0)
		memcpy(value + 3, channels.p, channels.n);
	if (filter.n > 0)
		memcpy(value + 3 + channels.n, filter.p, filter.n);
	put_new(txn, T_FILTERS, filter_key(key, subscription, generation),
		slice_of(value, 3 + channels.n + filter.n));
}

static void filters_drop(struct txn *txn, uint32_t subscription)
{
	uint8_t key[8], found[8];
	struct cur cur;

	cur_open(&cur, txn, T_FILTERS);
	while (cur_seek(&cur, filter_key(key, subscription, 0)) && cur.key.n == 8 &&
	       unpack_be32(cur.key.p) == subscription) {
		memcpy(found, cur.key.p, sizeof(found));
		txn_del(txn, T_FILTERS, slice_of(found, sizeof(found)));
	}
	cur_close(&cur);
}

#define SWEEP_MAX 256

static bool in_use(const uint32_t *used, unsigned n, uint32_t generation)
{
	for (unsigned i = 0; i < n; i++) {
		if (used[i] == generation)
			return true;
	}
	return false;
}

/* the generations that rows still name; SWEEP_MAX: too many to tell */
static unsigned generations(struct txn *txn, uint32_t subscription, uint32_t used[SWEEP_MAX])
{
	struct owed_row row;
	unsigned n = 0;
	struct cur cur;

	cur_open(&cur, txn, T_OWED);
	for (bool more = owed_at(&cur, subscription, 0, &row); more && n < SWEEP_MAX;
	     more = owed_next(&cur, subscription, &row)) {
		if (!in_use(used, n, row.generation))
			used[n++] = row.generation;
	}
	cur_close(&cur);
	return n;
}

void filters_sweep(struct txn *txn, uint32_t subscription)
{
	uint32_t used[SWEEP_MAX], old[SWEEP_MAX];
	unsigned n = generations(txn, subscription, used), old_n = 0;
	uint8_t key[8];
	struct cur cur;

	if (n == SWEEP_MAX)
		return;
	cur_open(&cur, txn, T_FILTERS);
	for (bool more = cur_seek(&cur, filter_key(key, subscription, FILTER_RIGHTS + 1));
	     more && old_n < SWEEP_MAX && cur.key.n == 8 && unpack_be32(cur.key.p) == subscription;
	     more = cur_next(&cur)) {
		if (!in_use(used, n, unpack_be32(cur.key.p + 4)))
			old[old_n++] = unpack_be32(cur.key.p + 4);
	}
	cur_close(&cur);
	for (unsigned i = 0; i < old_n; i++)
		txn_del(txn, T_FILTERS, filter_key(key, subscription, old[i]));
}

/* ---- definitions */
static uint8_t *pack_name(uint8_t *p, const char *name)
{
	size_t n = strnlen(name, NAME_MAX_);

	*p++ = (uint8_t)n;
	memcpy(p, name, n);
	return p + n;
}

static const uint8_t *unpack_name(const uint8_t *p, const uint8_t *end, char *name)
{
	size_t n = p != NULL && p < end ? *p++ : SIZE_MAX;

	if (n > NAME_MAX_ || n > (size_t)(end - p))
		return NULL;
	memcpy(name, p, n);
	name[n] = '\0';
	return p + n;
}

void sub_row_put(struct txn *txn, const struct sub_row *row)
{
	uint8_t key[4], value[SUB_MAX], *p = value;
	const struct sub *sub = &row->sub;

	*p++ = ROW_VERSION;
	*p++ = sub->versions_all;
	p = pack_u32(p, sub->partner);
	p = pack_u32(p, sub->generation);
	p = pack_u64(p, (uint64_t)sub->backlog_age_ms);
	p = pack_u64(p, sub->backlog_size);
	p = pack_u64(p, (uint64_t)row->vanished_ms);
	p = pack_name(p, sub->name);
	p = pack_name(p, sub->partner_name);
	pack_be32(key, sub->number);
	put_new(txn, T_SUBSCRIPTIONS, slice_of(key, 4), slice_of(value, (size_t)(p - value)));
}

void sub_row_drop(struct txn *txn, const struct sub_row *row)
{
	uint8_t key[4];

	pack_be32(key, row->sub.number);
	owed_drop(txn, row->sub.number);
	filters_drop(txn, row->sub.number);
	txn_del(txn, T_SUBSCRIPTIONS, slice_of(key, 4));
	if (sub_named(txn, row->sub.name) == row->sub.number)
		sub_name_del(txn, row->sub.name);
}

static char *copy(struct slice s)
{
	char *p = malloc(s.n + 1);

	if (p != NULL) {
		if (s.n > 0)
			memcpy(p, s.p, s.n);
		p[s.n] = '\0';
	}
	return p;
}

bool sub_row_head(struct slice key, struct slice value, struct sub_row *ret)
{
	const uint8_t *p = value.p, *end = value.p + value.n;
	struct sub *sub = &ret->sub;

	*ret = (struct sub_row){ .sub.number = unpack_be32(key.p) };
	if (value.n < SUB_HEAD)
		return false;
	sub->versions_all = p[1];
	sub->partner = unpack_u32(p + 2);
	sub->generation = unpack_u32(p + 6);
	sub->backlog_age_ms = (int64_t)unpack_u64(p + 10);
	sub->backlog_size = unpack_u64(p + 18);
	ret->vanished_ms = (int64_t)unpack_u64(p + 26);
	sub->frozen = ret->vanished_ms != 0;
	p = unpack_name(p + SUB_HEAD, end, sub->name);
	return unpack_name(p, end, sub->partner_name) != NULL && value.p[0] == ROW_VERSION;
}

static int sub_row_parse(struct txn *txn, struct slice key, struct slice value, struct sub_row *ret)
{
	struct slice channels, rights, filter;
	struct sub *sub = &ret->sub;

	if (!sub_row_head(key, value, ret))
		return NX_ECORRUPT;
	filter_get(txn, sub->number, sub->generation, &channels, &filter);
	filter_get(txn, sub->number, FILTER_RIGHTS, &rights, &filter);
	sub->channels = copy(channels);
	sub->rights = sub->channels != NULL ? copy(rights) : NULL;
	if (sub->rights != NULL)
		return 0;
	free(sub->channels);
	sub->channels = NULL;
	return NX_ENOMEM;
}

/* numbers stand before all names: a number of four octets begins with 0 as long as fewer than 2^24
 * were given */
int sub_rows_load(struct txn *txn, struct sub_rows *ret)
{
	struct sub_row *p;
	struct cur cur;
	int r = 0;

	*ret = (struct sub_rows){ 0 };
	cur_open(&cur, txn, T_SUBSCRIPTIONS);
	for (bool more = cur_first(&cur); more && cur.key.n > 0 && cur.key.p[0] == 0;
	     more = cur_next(&cur)) {
		if (cur.key.n != 4)
			continue;
		p = reallocarray(ret->p, ret->n + 1, sizeof(*p));
		if (p == NULL) {
			r = NX_ENOMEM;
			break;
		}
		ret->p = p;
		r = sub_row_parse(txn, cur.key, cur.value, &p[ret->n]);
		if (r < 0)
			break;
		ret->n++;
	}
	cur_close(&cur);
	if (r == 0)
		r = txn->r;
	if (r < 0)
		sub_rows_free(ret);
	return r;
}

void sub_rows_free(struct sub_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		free(rows->p[i].sub.channels);
		free(rows->p[i].sub.rights);
	}
	free(rows->p);
	*rows = (struct sub_rows){ 0 };
}
