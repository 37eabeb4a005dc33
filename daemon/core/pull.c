#include "base/log.h"
#include "core/pull_priv.h"
#include <stdlib.h>

enum { WINDOW_FIRST = 1024 * 1024 }; /* asked for and not yet on disk, at first */

static uint64_t pull_hash(const struct partner *partner, const uint8_t sha256[32])
{
	return map_hash_key(sha256) ^ map_hash_u64(partner->number);
}

static struct pull *pull_find(struct exchange *exchange, const struct partner *partner,
			      const uint8_t sha256[32])
{
	struct map_node *node = map_first(&exchange->pulls, pull_hash(partner, sha256));

	for (; node != NULL; node = map_next(node)) {
		struct pull *pull = container_of(node, struct pull, node);

		if (pull->partner == partner && memcmp(pull->sha256, sha256, 32) == 0)
			return pull;
	}
	return NULL;
}

/* find a link of one that waits, and stand in its row */
static void pull_route(struct pull *pull)
{
	struct pull **at;

	pull->state = PULL_WAITING;
	if (pull->link != NULL)
		return;
	for (struct want *want = pull->wants; want != NULL; want = want->next) {
		if (want->link == NULL || want->link->over)
			continue;
		pull->link = want->link;
		for (pull->wants_here = 0; want != NULL; want = want->next)
			pull->wants_here += want->link == pull->link;
		for (at = &pull->link->needs_wait; *at != NULL; at = &(*at)->next_waiting)
			;
		*at = pull;
		pull->next_waiting = NULL;
		pull_needs_start(pull->link);
		return;
	}
	pull_over(pull);
}

static void begun(struct store_req *req, void *arg)
{
	struct pull *pull = arg;

	pull->requests--;
	if (pull->over) {
		pull->number = req->code == 0 && pull->begin.offset == 0 ? pull->begin.number : 0;
		if (pull_find(pull->exchange, pull->partner, pull->sha256) == NULL)
			pull_drop_empty(pull);
		pull_free(pull);
	} else if (req->code < 0) {
		pull_end(pull, req->code, nx_retry(req->code), 0);
	} else {
		pull->number = pull->begin.number;
		/* what an earlier pull left may have come to disk only after it was looked for */
		pull->got = pull->committed = pull->begin.offset;
		pull_route(pull);
	}
}

static void found(struct store_req *req, void *arg)
{
	struct pull *pull = arg;
	const struct conf_partner *conf = pull->partner->conf;

	pull->requests--;
	if (pull->over) {
		if (req->code == 0 && pull->find.complete)
			store_unlease(pull->exchange->store, pull->find.number);
		pull_free(pull);
		return;
	}
	if (req->code < 0 || conf == NULL) {
		pull_end(pull, req->code < 0 ? req->code : NX_ENOTENTITLED, NX_LATER, 0);
		return;
	}
	if (pull->find.complete) {
		uint64_t number = pull->find.number;
		struct store *store = pull->exchange->store;

		pull_end(pull, 0, NX_LATER, number);
		store_unlease(store, number); /* each taker has a lease of its own */
		return;
	}
	pull->got = pull->committed = pull->find.offset;
	pull->state = PULL_BEGINNING;
	pull->begin = (struct store_part_begin){
		.req = { .kind = REQ_PART_BEGIN,
			 .done = begun,
			 .arg = pull,
			 .partner = pull->partner->number },
		.size = pull->size,
		.partials_max = conf->partials_n_max,
		.partials_octets_max = conf->partials_max,
	};
	memcpy(pull->begin.sha256, pull->sha256, 32);
	pull->requests++;
	store_submit(pull->exchange->store, &pull->begin.req);
}

static struct pull *pull_new(struct exchange *exchange, struct partner *partner,
			     const uint8_t sha256[32], uint64_t size)
{
	struct pull *pull = calloc(1, sizeof(*pull));

	if (pull == NULL)
		return NULL;
	pull->exchange = exchange;
	pull->partner = partner;
	pull->size = size;
	pull->window = WINDOW_FIRST;
	pull->wants_end = &pull->wants;
	memcpy(pull->sha256, sha256, 32);
	map_add(&exchange->pulls, &pull->node, pull_hash(partner, sha256));
	pull->find = (struct store_part_find){
		.req = { .kind = REQ_PART_FIND,
			 .done = found,
			 .arg = pull,
			 .partner = partner->number },
		.size = size,
	};
	memcpy(pull->find.sha256, sha256, 32);
	pull->requests = 1;
	store_submit(exchange->store, &pull->find.req);
	return pull;
}

int pull_want(struct link *link, const uint8_t sha256[32], uint64_t size, bool flash,
	      unsigned index, pull_done_fn *done, void *arg, struct want **ret)
{
	struct exchange *exchange = link->exchange;
	struct pull *pull = pull_find(exchange, link->partner, sha256);
	struct want *want = calloc(1, sizeof(*want));

	if (want == NULL)
		return NX_ENOMEM;
	if (pull != NULL && pull->size != size) { /* one hash, two sizes: one of them lies */
		free(want);
		return NX_EMISMATCH;
	}
	if (pull == NULL)
		pull = pull_new(exchange, link->partner, sha256, size);
	if (pull == NULL) {
		free(want);
		return NX_ENOMEM;
	}
	*want = (struct want){
		.link = link, .done = done, .arg = arg, .index = index, .flash = flash
	};
	want_on(pull, want);
	*ret = want;
	return 0;
}

/* its link has no item any more that it is a part of */
static void pull_elsewhere(struct pull *pull)
{
	pull_detach(pull, true);
	if (pull->piece_n > 0)
		pull_append(pull);
	pull_route(pull);
}

void pull_unwant(struct want **at)
{
	struct want *want = *at;
	struct pull *pull;

	if (want == NULL)
		return;
	*at = NULL;
	pull = want->pull;
	if (pull != NULL) {
		want_off(want);
		if (pull->state == PULL_ENDING)
			; /* it comes to its end by itself */
		else if (pull->wants == NULL)
			pull_over(pull);
		else if (pull->link != NULL && pull->wants_here == 0)
			pull_elsewhere(pull);
	}
	free(want);
}

/* its link does not give it: who waits for it there is told, others of the partner go on where they
 * are */
static void pull_failed_here(struct pull *pull, int code)
{
	pull_end_here(pull, code);
	if (pull->wants == NULL)
		pull_over(pull);
	else
		pull_elsewhere(pull);
}

void pull_gone(struct link *link, uint64_t handle, const char *code)
{
	struct pull *pull = pull_by_handle(link, handle);

	if (pull == NULL)
		return;
	if (claim_line(link->exchange))
		log_warn("part.gone", kv_u64("conn", link->number),
			 kv_str("peer", link->partner->name), kv_hex("part", pull->sha256, 8),
			 kv_str("reason", code));
	pull_failed_here(pull, NX_EPARTSGONE);
}

void pull_tick(struct exchange *exchange, int64_t now_ms)
{
	for (size_t i = 0; i < exchange->pulls.cap; i++) {
		struct map_node *node = exchange->pulls.slots[i], *next;

		for (; node != NULL; node = next) {
			struct pull *pull = container_of(node, struct pull, node);
			int64_t since = pull->moved_ms;

			next = node->next;
			if (pull->state == PULL_WAITING && pull->link != NULL)
				pull_needs_start(pull->link); /* there may be room again */
			if (pull->state != PULL_NEEDING)
				continue;
			pull_ask(pull);
			if (pull->appends > 0 || pull->asked == pull->got)
				continue;
			if (pull->link->data_in_ms > since)
				since = pull->link->data_in_ms;
			if (now_ms - since > exchange->conf->part_wait_ms) {
				pull_failed_here(pull, NX_EPARTWAIT);
				return; /* others next second: ending one may have ended more */
			}
		}
	}
}

void pull_link_over(struct link *link)
{
	for (size_t i = 0; i < link->exchange->pulls.cap; i++) {
		struct map_node *node = link->exchange->pulls.slots[i], *next;

		for (; node != NULL; node = next) {
			struct pull *pull = container_of(node, struct pull, node);

			next = node->next;
			for (struct want *want = pull->wants; want != NULL; want = want->next)
				if (want->link == link)
					want->link = NULL;
			if (pull->link != link)
				continue;
			pull_detach(pull, false);
			if (pull->piece_n > 0)
				pull_append(pull);
			if (pull->state == PULL_NEEDING || pull->state == PULL_WAITING)
				pull_route(pull);
		}
	}
}
