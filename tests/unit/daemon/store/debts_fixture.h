/*
 * debts_fixture.h - subscriptions, answers and fetching over items_fixture.h.
 */
#pragma once
#include "items_fixture.h"
#include "store/tend.h"

static inline int64_t fx_batch(struct fx *fx, struct store_req *req)
{
	assert_int_equal(items_batch(fx->items, req, fx->boot_ms, fx->wall_ms), 0);
	return req->code;
}

/* one subscription "s" of partner "vna" unless said otherwise; what is not given may read
 * everything */
struct fx_def {
	struct store_partner_def partners[4];
	struct store_sub_def subs[4];
	unsigned partners_n, subs_n;
};
static inline struct fx_def fx_def_one(const char *channels, bool all)
{
	return (struct fx_def){
		.partners = { { .name = "vna" } },
		.partners_n = 1,
		.subs = { { .name = "s",
			    .partner = "vna",
			    .channels = channels,
			    .filter = "",
			    .rights = "*",
			    .start_all = all,
			    .backlog_age_ms = 30 * DAY,
			    .backlog_size = 1 << 30 } },
		.subs_n = 1,
	};
}

static inline int64_t fx_define(struct fx *fx, struct fx_def *def)
{
	struct store_define define = {
		.req = { .kind = REQ_DEFINE },
		.partners = def->partners,
		.partners_n = def->partners_n,
		.subscriptions = def->subs,
		.subscriptions_n = def->subs_n,
	};

	return fx_batch(fx, &define.req);
}

static inline uint32_t fx_sub(struct fx *fx, const char *channels, bool all)
{
	struct fx_def def = fx_def_one(channels, all);

	assert_int_equal(fx_define(fx, &def), 0);
	assert_true(def.subs[0].number > 0);
	return def.subs[0].number;
}

/* n items "PREFIX1" to "PREFIXn" */
static inline void fx_items(struct fx *fx, const char *prefix, unsigned n, const char *channel)
{
	char uri[64];

	for (unsigned i = 1; i <= n; i++) {
		snprintf(uri, sizeof(uri), "urn:%s%u", prefix, i);
		assert_int_equal(fx_put(fx, .uri = uri, .channel = channel).code, 0);
	}
}

static inline void fx_settle_as(struct fx *fx, uint32_t sub, enum settle_how how, uint64_t first,
				uint64_t last)
{
	struct settle_run run = { .subscription = sub,
				  .how = how,
				  .first = first,
				  .last = last,
				  .sequence = last,
				  .at_ms = fx->wall_ms };
	struct store_settle settle = { .req = { .kind = REQ_SETTLE }, .runs = &run, .n = 1 };

	assert_int_equal(fx_batch(fx, &settle.req), 0);
}
static inline void fx_ack(struct fx *fx, uint32_t sub, uint64_t position)
{
	fx_settle_as(fx, sub, SETTLE_ACKED, position, position);
}

static inline unsigned fx_later(struct fx *fx, uint32_t sub, uint64_t position,
				int64_t not_before_ms)
{
	struct store_later later = { .req = { .kind = REQ_LATER },
				     .subscription = sub,
				     .position = position,
				     .not_before_ms = not_before_ms };

	assert_int_equal(fx_batch(fx, &later.req), 0);
	return later.attempts;
}

static inline uint64_t fx_owe_again(struct fx *fx, uint32_t sub, uint64_t position)
{
	struct store_owe_again again = { .req = { .kind = REQ_OWE_AGAIN },
					 .subscription = sub,
					 .position = position };

	assert_int_equal(fx_batch(fx, &again.req), 0);
	return again.items;
}

static inline struct store_claim fx_claim(struct fx *fx, uint32_t sub)
{
	struct store_claim claim = { .req = { .kind = REQ_CLAIM }, .subscription = sub };
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_int_equal(items_claim(fx->items, &txn, &claim), 0);
	txn_abort(&txn);
	return claim;
}

/* the caller gives it to store_fetch_done() */
static inline void fx_fetch_into(struct fx *fx, struct store_fetch *fetch)
{
	struct txn txn;

	if (fetch->items_max == 0)
		fetch->items_max = FETCH_MAX;
	if (fetch->octets_max == 0)
		fetch->octets_max = SIZE_MAX;
	if (fetch->wall_ms == 0)
		fetch->wall_ms = fx->wall_ms;
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_int_equal(items_fetch(fx->items, &txn, fetch), 0);
	txn_abort(&txn);
}

/* everything that a lane gives, as words: "3 skip4-5 6!killed end"; at most size octets */
static inline const char *fx_fetch(struct fx *fx, uint32_t sub, enum lane lane, char *to,
				   size_t size)
{
	static const char *const verdicts[] = { "",        "!never",   "!superseded",
						"!killed", "!skipped", "!given-up" };
	uint64_t from = 0;
	size_t n = 0;

	to[0] = '\0';
	for (unsigned rounds = 0; rounds < 100000; rounds++) {
		struct store_fetch fetch = { .subscription = sub, .lane = lane, .from = from };

		fx_fetch_into(fx, &fetch);
		for (unsigned i = 0; i < fetch.n; i++) {
			const struct fetched *item = &fetch.items[i];

			if (item->skip_first < item->position)
				n += (size_t)snprintf(to + n, size - n, "(%llu-)",
						      (unsigned long long)item->skip_first);
			n += (size_t)snprintf(to + n, size - n, "%llu%s ",
					      (unsigned long long)item->position,
					      verdicts[item->verdict]);
		}
		if (fetch.skip_first != 0)
			n += (size_t)snprintf(to + n, size - n, "skip%llu-%llu ",
					      (unsigned long long)fetch.skip_first,
					      (unsigned long long)fetch.next - 1);
		store_fetch_done(&fetch);
		assert_true(fetch.end || fetch.next > from);
		from = fetch.next;
		if (fetch.end)
			break;
	}
	if (n > 0)
		to[n - 1] = '\0';
	return to;
}

/* owed rows as words: "1-4g1 7-7g1a2 9-g1" */
static inline const char *fx_rows(struct fx *fx, uint32_t sub, char *to, size_t size)
{
	struct owed_row row;
	struct cur cur;
	struct txn txn;
	size_t n = 0;

	to[0] = '\0';
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	cur_open(&cur, &txn, T_OWED);
	for (bool more = owed_at(&cur, sub, 0, &row); more; more = owed_next(&cur, sub, &row)) {
		n += (size_t)snprintf(to + n, size - n, "%llu-", (unsigned long long)row.first);
		if (row.last != UINT64_MAX)
			n += (size_t)snprintf(to + n, size - n, "%llu",
					      (unsigned long long)row.last);
		n += (size_t)snprintf(to + n, size - n, "g%u", row.generation);
		if (row.attempts > 0)
			n += (size_t)snprintf(to + n, size - n, "a%u", row.attempts);
		n += (size_t)snprintf(to + n, size - n, " ");
	}
	cur_close(&cur);
	txn_abort(&txn);
	if (n > 0)
		to[n - 1] = '\0';
	return to;
}

struct fx_words {
	char *to;
	size_t n, size;
};
static inline bool fx_receipt(const struct receipt_entry *entry, void *arg)
{
	static const char hows[] =
		"ANSK-GXR"; /* acked never superseded killed skipped given-up expired again */
	struct fx_words *words = arg;

	words->n += (size_t)snprintf(words->to + words->n, words->size - words->n, "%llu%c%s ",
				     (unsigned long long)entry->position, hows[entry->how],
				     entry->kill ? "!" : "");
	return true;
}
/* receipts as words: "1A 2N 5A!" */
static inline const char *fx_receipts(struct fx *fx, uint32_t sub, char *to, size_t size)
{
	struct fx_words words = { .to = to, .size = size };
	struct txn txn;

	to[0] = '\0';
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	receipts_each(&txn, sub, 1, fx_receipt, &words);
	txn_abort(&txn);
	if (words.n > 0)
		to[words.n - 1] = '\0';
	return to;
}

/* five seconds later, all that is to be done */
static inline void fx_maintain(struct fx *fx)
{
	fx_advance(fx, 5000);
	for (unsigned i = 0; i < 100000; i++) {
		int r = items_maintain(fx->items, fx->boot_ms, fx->wall_ms, false);

		assert_true(r >= 0);
		if (r == 0)
			return;
	}
	fail_msg("maintenance does not come to an end");
}

#define WORDS 65536
#define assert_rows(fx, sub, words)                                                                \
	do {                                                                                       \
		char to_[4096];                                                                    \
		assert_string_equal(fx_rows((fx), (sub), to_, sizeof(to_)), (words));              \
	} while (0)
#define assert_receipts(fx, sub, words)                                                            \
	do {                                                                                       \
		char to_[4096];                                                                    \
		assert_string_equal(fx_receipts((fx), (sub), to_, sizeof(to_)), (words));          \
	} while (0)
#define assert_fetch(fx, sub, lane, words)                                                         \
	do {                                                                                       \
		char to_[4096];                                                                    \
		assert_string_equal(fx_fetch((fx), (sub), (lane), to_, sizeof(to_)), (words));     \
	} while (0)
