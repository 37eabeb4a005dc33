/* --verify-store, over what is owed and to whom: what the next start would mend, and receipts */
#include "store/verify.h"

#include "store/subs.h"

#include <inttypes.h>
#include <stdio.h>

static void owed_line(struct verify *verify, struct slice key, struct slice value)
{
	struct slice channels, text;
	struct owed_row row;

	if (key.n != 12) {
		verify_fault(verify, "a row of owed cannot be read");
		return;
	}
	if (!owed_row(key, value, &row)) {
		verify_fault(verify,
			     "subscription %" PRIu32 ": what is owed from position %" PRIu64
			     " on cannot be read",
			     unpack_be32(key.p), unpack_be64(key.p + 4));
		return;
	}
	if (row.subscription == verify->owed_subscription && row.first <= verify->owed_last)
		verify_fault(verify,
			     "subscription %" PRIu32 ": owed rows overlap at position %" PRIu64,
			     row.subscription, row.first);
	if (!filter_get(&verify->items, row.subscription, row.generation, &channels, &text))
		verify_fault(verify,
			     "subscription %" PRIu32 ": owed from position %" PRIu64
			     " on under a filter that is not there",
			     row.subscription, row.first);
	verify->owed_subscription = row.subscription;
	verify->owed_last = row.last;
}

static void receipts_line(struct verify *verify, struct slice key, struct slice value)
{
	if (!receipts_row_fits(key, value))
		verify_fault(verify,
			     "subscription %" PRIu32 ": receipts from position %" PRIu64
			     " on cannot be read",
			     key.n == 12 ? unpack_be32(key.p) : 0,
			     key.n == 12 ? unpack_be64(key.p + 4) : 0);
}

/* its rows as this slice sees them: as many as are counted, and the last one without an end */
static void sub_owed(struct verify *verify, uint32_t number)
{
	struct owed_state state;
	struct owed_row row = { 0 };
	uint32_t rows = 0;
	uint8_t key[12];
	struct cur cur;

	pack_be64(pack_be32(key, number), 0);
	cur_open(&cur, &verify->items, T_OWED);
	for (bool more = cur_seek(&cur, slice_of(key, sizeof(key)));
	     more && cur.key.n == 12 && unpack_be32(cur.key.p) == number; more = cur_next(&cur)) {
		rows++;
		if (!owed_row(cur.key, cur.value, &row))
			row.last = UINT64_MAX; /* has its own word */
	}
	cur_close(&cur);
	if (row.last != UINT64_MAX)
		verify_fault(verify, "subscription %" PRIu32 ": is not owed what is new", number);
	if (!owed_state_read(&verify->items, number, &state))
		verify_fault(verify, "subscription %" PRIu32 ": its counters cannot be read",
			     number);
	else if (state.rows != rows)
		verify_fault(verify,
			     "subscription %" PRIu32 ": %" PRIu32
			     " rows of owed are counted, there are %" PRIu32,
			     number, state.rows, rows);
}

static void sub_line(struct verify *verify, struct slice key, struct slice value)
{
	char name[NAME_MAX_ + 1];
	struct partner_row partner;
	struct sub_row row;

	if (key.n == 4 && key.p[0] == 0) {
		if (!sub_row_head(key, value, &row))
			verify_fault(verify,
				     "subscription %" PRIu32 ": its definition cannot be read",
				     unpack_be32(key.p));
		sub_owed(verify, unpack_be32(key.p));
	} else if (key.n > 2 && key.p[1] == ':') {
		snprintf(name, sizeof(name), "%.*s", (int)key.n - 2, (const char *)key.p + 2);
		if (key.p[0] == 'p' ? !partner_parse(value, &partner)
				    : sub_named(&verify->items, name) == 0)
			verify_fault(verify, "the number of %s %s cannot be read",
				     key.p[0] == 'p' ? "partner" : "subscription", name);
	}
}

static void filter_line(struct verify *verify, struct slice key, struct slice value)
{
	struct slice channels, text;

	(void)value;
	if (key.n != 8 || !filter_get(&verify->items, unpack_be32(key.p), unpack_be32(key.p + 4),
				      &channels, &text))
		verify_fault(verify, "subscription %" PRIu32 ": a filter cannot be read",
			     key.n == 8 ? unpack_be32(key.p) : 0);
}

void verify_all_owed(struct verify *verify)
{
	verify_items(verify, T_OWED, owed_line);
	verify_items(verify, T_RECEIPTS, receipts_line);
	verify_items(verify, T_SUBSCRIPTIONS, sub_line);
	verify_items(verify, T_FILTERS, filter_line);
}
