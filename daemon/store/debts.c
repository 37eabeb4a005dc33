/* The exact view of what is owed: rows, feed, filter and rights together. */
#include "store/tend.h"

void debts_open(struct debts *debts, struct txn *txn, const struct sub *sub, uint64_t from,
		uint64_t upto, unsigned most)
{
	*debts = (struct debts){
		.txn = txn,
		.sub = sub,
		.at = from > 0 ? from : 1,
		.upto = upto,
		.most = most,
	};
	cur_open(&debts->rows, txn, T_OWED);
	cur_open(&debts->feed, txn, T_FEED);
}

void debts_close(struct debts *debts)
{
	cur_close(&debts->feed);
	cur_close(&debts->rows);
}

/* the item of a feed row that a row covers. What is damaged counts: it is owed until somebody
 * decides */
static bool matches(struct debts *debts, const struct owed_row *row, struct debt *ret)
{
	struct record record;
	bool match;
	int r;

	if (debts->kills && !ret->feed.kill)
		return false;
	r = ret->feed.sequence == 0 ? NX_ECORRUPT
				    : record_read(debts->txn, ret->feed.sequence, &record, NULL);
	if (r == NX_ECORRUPT) {
		ret->octets = ret->text = 0;
		ret->released_ms = TIME_NONE;
		return true;
	}
	if (r < 0)
		return false;
	match = filter_match(debts->txn, &debts->filters, debts->sub, row->generation,
			     record.facts.channel);
	ret->octets = record.octets;
	ret->text = (uint64_t)record.envelope_n + record.document_n;
	ret->released_ms = record.released_ms;
	record_done(&record);
	return match;
}

/* the next match inside one row; false: the row is over, debts->at stands behind it, or tired */
static bool next_in_row(struct debts *debts, const struct owed_row *row, struct debt *ret)
{
	uint64_t last = row->last < debts->upto ? row->last : debts->upto;

	for (bool more = cur_seek(&debts->feed, key_u64(&debts->at)); more;
	     more = cur_next(&debts->feed)) {
		if (!feed_read(&debts->feed, &ret->feed) || ret->feed.position > last)
			break;
		if (debts->looked++ >= debts->most)
			return false;
		debts->at = ret->feed.position + 1;
		if (matches(debts, row, ret)) {
			ret->attempts = row->attempts;
			return true;
		}
	}
	debts->at = last + 1;
	return false;
}

bool debts_next(struct debts *debts, struct debt *ret)
{
	struct owed_row row;

	while (debts->at <= debts->upto && debts->looked < debts->most && debts->txn->r == 0) {
		if (!owed_at(&debts->rows, debts->sub->number, debts->at, &row) ||
		    row.first > debts->upto) {
			debts->at = debts->upto + 1;
			break;
		}
		debts->looked++;
		if (debts->at < row.first)
			debts->at = row.first;
		if (next_in_row(debts, &row, ret))
			return true;
	}
	return false;
}
