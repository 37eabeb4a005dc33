/* --owed: who is owed what, exactly. Reads beside a running daemon. */
#include "store/subs.h"
#include "store/tend.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct report {
	void (*fn)(const struct owed_line *, void *);
	void *arg;
	struct txn *txn;
	uint64_t position_last;
};

static void report_sub(const struct report *report, const struct sub_row *row)
{
	const struct sub *sub = &row->sub;
	struct owed_line line = { .subscription = sub->name,
				  .partner = sub->partner_name,
				  .oldest_ms = TIME_NONE,
				  .acked_ms = TIME_NONE,
				  .vanished_ms = TIME_NONE };
	struct receipt_entry acked;
	struct debts debts;
	struct debt debt;

	debts_open(&debts, report->txn, sub, 1, report->position_last, UINT_MAX);
	while (debts_next(&debts, &debt)) {
		line.items++;
		line.octets += debt.octets;
		if (line.oldest_ms == TIME_NONE)
			line.oldest_ms = debt.released_ms;
	}
	debts_close(&debts);
	if (receipts_last_acked(report->txn, sub->number, false, &acked))
		line.acked_ms = acked.at_ms;
	if (row->vanished_ms != 0)
		line.vanished_ms = row->vanished_ms;
	report->fn(&line, report->arg);
}

static int report_all(struct report *report)
{
	struct items_count count = { 0 };
	struct sub_rows rows;
	int r;

	if (!count_get(report->txn, &count))
		return report->txn->r < 0 ? report->txn->r : NX_ECORRUPT;
	r = sub_rows_load(report->txn, &rows);
	if (r < 0)
		return r;
	report->position_last = count.position_last;
	for (size_t i = 0; i < rows.n && report->txn->r == 0; i++)
		report_sub(report, &rows.p[i]);
	sub_rows_free(&rows);
	return report->txn->r;
}

int store_owed(const char *directory, void (*fn)(const struct owed_line *, void *), void *arg,
	       struct why *why)
{
	struct db_conf conf = { .tables = items_tables,
				.tables_n = ITEMS_TABLES,
				.read_only = true };
	struct report report = { .fn = fn, .arg = arg };
	char dir[4096];
	struct db *db;
	struct txn txn;
	int r;

	if (snprintf(dir, sizeof(dir), "%s/items", directory) >= (int)sizeof(dir))
		return why_set(why, NX_EARG, "%.100s...: the name is too long", directory);
	r = db_open(dir, &conf, &db, why);
	if (r < 0)
		return r;
	txn_begin(&txn, db, TXN_READ);
	report.txn = &txn;
	r = txn.r < 0 ? txn.r : report_all(&report);
	txn_abort(&txn);
	db_close(&db);
	return r < 0 ? why_set(why, r, "%s: cannot be read: %s", dir, nx_word(r)) : 0;
}
