/*
 * Requests into one transaction, receipts out of its commit.
 *
 * When the map is full all the same, or memory ran out: first what frees room, then the items one a
 * transaction, so that only the request that is alone in its transaction is refused.
 */
#include "store/items_priv.h"
#include "store/receipt.h"

#define REQUESTS_MAX 256
#define DIRTY_MAX    1000
#define PUT_AT_MARK  100 /* less than the step of retirement after it frees */
#define PARTNER_MAX  32

struct batch {
	struct items *items;
	uint64_t pages; /* worst case so far */
};

/* ---- one request */

static uint64_t runs_pages(const struct store_settle *settle)
{
	uint64_t pages = 8;

	for (unsigned i = 0; i < settle->n; i++)
		pages += settle_pages(&settle->runs[i]);
	return pages;
}

uint64_t items_worst_pages(const struct store_req *req)
{
	switch (req->kind) {
	case REQ_PUT:
		return put_pages((const struct store_put *)req);
	case REQ_SETTLE:
		return runs_pages((const struct store_settle *)req);
	case REQ_DEFINE:
		return 4 * (uint64_t)((const struct store_define *)req)->subscriptions_n + 16;
	case REQ_LATER: /* and four that are given up for it */
		return 24;
	case REQ_OWE_AGAIN:
		return AGAIN_PAGES + AGAIN_ROWS + 16;
	default: /* FORGET too: the leaf that it has emptied is the next one's copy */
		return 16;
	}
}

static enum mark mark_of(const struct store_req *req)
{
	const struct store_put *put = (const struct store_put *)req;

	if (req->kind != REQ_PUT)
		return MARK_SETTLE;
	return facts_lane(put->facts) == LANE_FLASH ? MARK_FLASH : MARK_ROUTINE;
}

static void handle(struct items *items, struct txn *txn, struct store_req *req)
{
	int64_t wall_ms = items->wall_ms;

	switch (req->kind) {
	case REQ_PUT:
		((struct store_put *)req)->receipt = NULL;
		items_put(items, txn, (struct store_put *)req, wall_ms);
		break;
	case REQ_SETTLE:
		items_settle(items, txn, (struct store_settle *)req, wall_ms);
		break;
	case REQ_LATER:
		items_later(items, txn, (struct store_later *)req, wall_ms);
		break;
	case REQ_OWE_AGAIN:
		items_owe_again(items, txn, (struct store_owe_again *)req, wall_ms);
		break;
	case REQ_DEFINE:
		items_define(items, txn, (struct store_define *)req, wall_ms);
		break;
	case REQ_FORGET:
		items_forget(items, txn, (struct store_forget *)req, wall_ms);
		break;
	case REQ_INTERNAL:
		items_doom(items, txn, (struct items_part_req *)req);
		break;
	default:
		req->code = NX_EARG;
		break;
	}
}

/* three ways to choose from the list */
typedef bool choose_fn(const struct store_req *req);

static bool is_put(const struct store_req *req)
{
	return req->kind == REQ_PUT;
}

static bool is_rest(const struct store_req *req)
{
	return req->kind != REQ_PUT;
}

static bool is_any(const struct store_req *req)
{
	(void)req;
	return true;
}

/*
 * Is what is left to others what is fair? A flash that is over its partner's share may go into what
 * is kept for flashes, where its partner has a share as well: so that a flood of them takes no
 * routine item's room. Kills have a ceiling of their own
 */
static bool is_fair(const struct items *items, struct store_put *put, uint64_t pages)
{
	unsigned likely = put_pages_likely(put);

	put->urgent = false;
	if (!items_at_mark(items) || facts_kill(put->facts) ||
	    fair_allows(&items->fair, put->req.partner, likely,
			items_left(items, MARK_ROUTINE, pages)))
		return true;
	put->urgent = facts_lane(put->facts) == LANE_FLASH &&
		      fair_allows(&items->urgent, put->req.partner, likely,
				  items_left_urgent(items, pages));
	return put->urgent;
}

/* its worst case fits under its mark beside what was taken before it */
static int admit(struct batch *batch, struct store_req *req)
{
	uint64_t pages = batch->pages + items_worst_pages(req);

	if (!items_room(batch->items, mark_of(req), pages))
		return why_set(&req->why, NX_EFULL, "the store is nearly full");
	if (is_put(req) && !is_fair(batch->items, (struct store_put *)req, batch->pages))
		return why_set(&req->why, NX_EFULL,
			       "the store is nearly full, and what is left is for others too");
	batch->pages = pages;
	return 0;
}

static bool took_room(const struct store_req *req, choose_fn *choose)
{
	const struct store_put *put = (const struct store_put *)req;

	return is_put(req) && choose(req) && put->receipt != NULL &&
	       receipt_result(put->receipt) != RESULT_DUPLICATE;
}

/* who took of what is left; grown: by so many pages, trees and all */
static void account(struct items *items, const struct store_req *list, choose_fn *choose, bool one,
		    uint64_t grown)
{
	const struct store_req *end = one ? list->next : NULL;
	uint64_t likely = 0;

	for (const struct store_req *req = list; req != end; req = req->next)
		if (took_room(req, choose))
			likely += put_pages_likely((const struct store_put *)req);
	for (const struct store_req *req = list; likely > 0 && req != end; req = req->next) {
		const struct store_put *put = (const struct store_put *)req;
		uint64_t pages;

		if (!took_room(req, choose))
			continue;
		pages = put_pages_likely(put);
		if (grown > likely)
			pages = (pages * grown + likely - 1) / likely;
		fair_took(put->urgent ? &items->urgent : &items->fair, put->req.partner, pages);
	}
}

/* ---- transactions */

static int run(struct items *items, struct store_req *list, choose_fn *choose, bool one)
{
	struct batch batch = { .items = items, .pages = BATCH_PAGES };
	uint64_t zone = items_zone(items), now;
	struct txn txn;
	int r;

	fair_fit_both(&items->fair, &items->urgent, zone);
	items_begin(items, &txn);
	for (struct store_req *req = list; req != NULL && txn.r == 0;
	     req = one ? NULL : req->next) {
		if (!choose(req))
			continue;
		req->code = admit(&batch, req);
		if (req->code == 0)
			handle(items, &txn, req);
	}
	r = items_end(items, &txn);
	now = items_zone(items);
	if (r == 0 && now > 0)
		account(items, list, choose, one, now > zone ? now - zone : 0);
	return r;
}

static bool can_be_split(int r)
{
	return r == NX_EFULL || r == NX_ENOMEM;
}

static int not_stored(struct store_req *req, int r)
{
	return why_set(&req->why, r, "%s",
		       r == NX_EFULL ? "the store has no room for it" : "out of memory");
}

/* each alone; who is refused alone has itself to blame */
static int run_each(struct items *items, struct store_req *list, choose_fn *choose)
{
	for (struct store_req *req = list; req != NULL; req = req->next) {
		int r = choose(req) ? run(items, req, choose, true) : 0;

		if (r < 0 && !can_be_split(r))
			return r;
		if (r < 0)
			req->code = not_stored(req, r);
	}
	return 0;
}

static bool any(const struct store_req *list, choose_fn *choose)
{
	for (; list != NULL; list = list->next)
		if (choose(list))
			return true;
	return false;
}

/* there is no room for what is known: a new story cannot be told from an old one */
static int all_later(struct store_req *list)
{
	for (struct store_req *req = list; req != NULL; req = req->next) {
		req->code = not_stored(req, NX_ENOMEM);
		if (is_put(req))
			((struct store_put *)req)->receipt = NULL;
	}
	return 0;
}

/*
 * A commit that may be on disk ends the process; but what an earlier transaction of this same batch
 * made durable has its receipt by then, and nobody is told: done() is called for none of them. So
 * they count as unanswered, and are offered again.
 */
int items_batch(struct items *items, struct store_req *list, int64_t boot_ms, int64_t wall_ms)
{
	int r = any(list, is_put) ? fresh_load(items) : 0;

	if (r == NX_ENOMEM)
		return all_later(list);
	if (r < 0)
		return r; /* what is known cannot be read */
	items_now(items, boot_ms, wall_ms,
		  false); /* what maintain was told may be over: a jump is a jump */
	r = run(items, list, is_any, false);
	if (r == NX_ECORRUPT) { /* nothing of it was written */
		r = items_mend_met(items, boot_ms);
		r = r < 0 ? r : run(items, list, is_any, false);
	}
	if (!can_be_split(r))
		return r;
	r = any(list, is_rest) ? run(items, list, is_rest, false) : 0;
	if (can_be_split(r))
		r = run_each(items, list, is_rest);
	return r < 0 ? r : run_each(items, list, is_put);
}

/* ---- how many */

static bool two_partners(const struct store_req *list)
{
	const struct store_put *first = NULL;
	unsigned n = 0;

	for (; list != NULL && n < REQUESTS_MAX; list = list->next, n++) {
		if (!is_put(list))
			continue;
		if (first != NULL &&
		    first->req.partner != ((const struct store_put *)list)->req.partner)
			return true;
		if (first == NULL)
			first = (const struct store_put *)list;
	}
	return false;
}

struct share {
	uint32_t partner;
	unsigned n;
};

/* one more of this partner: does it pass the partner's share? */
static bool over_share(struct share *shares, unsigned *n, uint32_t partner)
{
	unsigned i = 0;

	while (i < *n && shares[i].partner != partner)
		i++;
	if (i == *n)
		shares[(*n)++] = (struct share){ .partner = partner };
	return ++shares[i].n > PARTNER_MAX;
}

/* the pages of a batch that is put together */
struct tally {
	uint64_t worst;      /* of those that have room */
	unsigned pages, put; /* as it is likely; of items alone */
};

/*
 * Would its worst case pass its mark only because of those before it? Then it waits for the next
 * batch, when they are known to have taken far less. One that does not fit alone comes along, takes
 * nothing, and is refused.
 */
static bool fits_now(const struct items *items, const struct store_req *req, struct tally *tally)
{
	uint64_t worst = items_worst_pages(req);
	unsigned likely =
		is_put(req) ? put_pages_likely((const struct store_put *)req) : (unsigned)worst / 4;

	if (!items_room(items, mark_of(req), BATCH_PAGES + worst))
		return true;
	if (!items_room(items, mark_of(req), BATCH_PAGES + tally->worst + worst))
		return false;
	tally->worst += worst;
	tally->pages += likely;
	tally->put += is_put(req) ? likely : 0;
	return true;
}

unsigned items_batch_size(const struct items *items, const struct store_req *list)
{
	struct share shares[REQUESTS_MAX];
	bool shared = two_partners(list);
	unsigned n = 0, shares_n = 0, put_max = items_at_mark(items) ? PUT_AT_MARK : DIRTY_MAX;
	struct tally tally = { 0 };

	for (; list != NULL && n < REQUESTS_MAX; list = list->next, n++) {
		const struct store_put *put = (const struct store_put *)list;

		if (!fits_now(items, list, &tally))
			break;
		if (is_put(list) && shared && over_share(shares, &shares_n, put->req.partner))
			break;
		if (n > 0 && (tally.pages > DIRTY_MAX || tally.put > put_max))
			break;
	}
	return n;
}

/* ---- between batches */

/* full, or no memory: later */
static int or_later(int r)
{
	return can_be_split(r) ? 0 : r;
}

/* what frees room: debts that are over, and what nobody is owed */
static int make_room(struct items *items, int64_t wall_ms)
{
	int r = or_later(items_expire(items, wall_ms));

	return r == 0 ? or_later(items_retire(items, wall_ms)) : r;
}

static int maintain(struct items *items, int64_t boot_ms, int64_t wall_ms, bool synchronised)
{
	int r = fresh_load(items), merge = 0;

	if (r < 0)
		return or_later(r);
	r = or_later(items_mend_damaged(items, boot_ms));
	if (r == 0)
		r = or_later(items_release(items, boot_ms, wall_ms, synchronised));
	if (r == 0)
		r = or_later(items_store_wall(items));
	if (r == 0)
		r = merge = or_later(items_merge(items));
	if (r == 0 || (merge > 0 && items_at_mark(items))) /* room does not wait for its end */
		r = make_room(items, wall_ms);
	if (r == 0)
		r = or_later(items_vanished(items, wall_ms));
	return r == 0 ? merge : r;
}

int items_maintain(struct items *items, int64_t boot_ms, int64_t wall_ms, bool synchronised)
{
	int r;

	db_readers_look(items->db, boot_ms);
	r = maintain(items, boot_ms, wall_ms, synchronised);
	if (r == NX_ECORRUPT && items_mend_due(items, boot_ms)) {
		r = items_mend_met(items, boot_ms);
		r = r < 0 ? or_later(r) : 1;
	}
	return r;
}
