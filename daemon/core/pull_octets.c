#include "base/log.h"
#include "core/pull_priv.h"

#include <stdlib.h>

enum {
	PIECE = 256 * 1024,
	WINDOW_MOST = 8 * 1024 * 1024
}; /* one append; asked for and not yet on disk */

struct append {
	struct store_part_append req;
	struct pull *pull;
};

/* octets that did not have the hash that was promised: later once, never the second time */
static enum nx_retry mismatch_retry(struct pull *pull)
{
	struct exchange *exchange = pull->exchange;
	struct mismatch *slot = &exchange->mismatches[exchange->mismatch_next];

	for (unsigned i = 0; i < MISMATCHES; i++) {
		const struct mismatch *known = &exchange->mismatches[i];

		if (known->partner == pull->partner->number &&
		    memcmp(known->sha256, pull->sha256, 32) == 0)
			return NX_NEVER;
	}
	slot->partner = pull->partner->number;
	memcpy(slot->sha256, pull->sha256, 32);
	exchange->mismatch_next = (exchange->mismatch_next + 1) % MISMATCHES;
	return NX_LATER;
}

/* the part is whole and its hash is right: but it may stand under another number, for it is stored
 * once */
static void appended(struct store_req *req, void *arg)
{
	struct append *append = arg;
	struct pull *pull = append->pull;
	struct exchange *exchange = pull->exchange;

	pull->requests--;
	pull->appends--;
	pull->held -= append->req.n;
	exchange->inbound_held -= append->req.n;
	if (pull->over) {
		if (req->code == 0 && append->req.complete)
			store_unlease(exchange->store, append->req.number);
		pull_free(pull);
	} else if (req->code < 0) {
		pull->failed = true;
		log_warn("part.refused", kv_str("peer", pull->partner->name),
			 kv_hex("part", pull->sha256, 8), kv_str("reason", nx_word(req->code)),
			 kv_str("words", req->why.words));
		count_refused(exchange, req->code);
		pull_end(pull, req->code,
			 req->code == NX_EMISMATCH ? mismatch_retry(pull) : nx_retry(req->code), 0);
	} else if (append->req.complete) {
		uint64_t number = append->req.number;

		log_info("part.stored", kv_str("peer", pull->partner->name),
			 kv_hex("part", pull->sha256, 8), kv_u64("bytes", pull->size));
		pull_end(pull, 0, NX_LATER, number);
		store_unlease(exchange->store, number);
	} else {
		pull->committed = append->req.committed;
		if (pull->window < WINDOW_MOST &&
		    exchange->inbound_held < exchange->conf->inbound_memory / 2)
			pull->window *= 2;
		pull_ask(pull);
	}
	free(append);
}

void pull_append(struct pull *pull)
{
	struct append *append = calloc(1, sizeof(*append));

	if (append == NULL) { /* the octets are lost to us: asked again from what is on disk */
		pull->failed = true;
		return;
	}
	append->pull = pull;
	append->req = (struct store_part_append){
		.req = { .kind = REQ_PART_APPEND,
			 .done = appended,
			 .arg = append,
			 .urgent = pull_flash(pull) },
		.number = pull->number,
		.offset = pull->got - pull->piece_n,
		.octets = pull->piece,
		.n = pull->piece_n,
	};
	pull->piece = NULL;
	pull->piece_n = 0;
	pull->appends++;
	pull->requests++;
	store_submit(pull->exchange->store, &append->req.req);
}

static void take(struct pull *pull, struct slice octets)
{
	while (octets.n > 0 && !pull->failed) {
		size_t n = PIECE - pull->piece_n;

		if (pull->piece == NULL)
			pull->piece = malloc(PIECE);
		if (pull->piece == NULL) {
			pull->failed = true;
			return;
		}
		if (n > octets.n)
			n = octets.n;
		memcpy(pull->piece + pull->piece_n, octets.p, n);
		pull->piece_n += n;
		pull->got += n;
		pull->held += n;
		pull->exchange->inbound_held += n;
		octets.p += n;
		octets.n -= n;
		if (pull->piece_n == PIECE || pull->got == pull->size)
			pull_append(pull);
	}
}

void pull_data(struct link *link, uint64_t handle, struct slice octets, bool done)
{
	struct pull *pull = pull_by_handle(link, handle);

	link->data_in_ms = loop_now_ms(link->exchange->loop);
	if (pull == NULL)
		return;
	pull->moved_ms = link->data_in_ms;
	take(pull, octets);
	if (pull->failed) {
		pull_end(pull, NX_ENOMEM, NX_LATER, 0);
		return;
	}
	if (pull->got == pull->size) {
		pull->state = PULL_ENDING;
		pull_detach(pull, false);
		pull_needs_start(link);
		return;
	}
	if (done && pull->piece_n > 0 && pull->appends == 0)
		pull_append(
			pull); /* all that was asked is here: on to disk, that more may be asked */
}
