/* one pull on its link: what is asked for, what comes and goes on to the store, and how it ends */
#include "base/log.h"
#include "core/pull_priv.h"

#include <assert.h>
#include <stdlib.h>

enum {
	PIECE = 256 * 1024,            /* one append */
	WINDOW_MOST = 8 * 1024 * 1024, /* asked for and not yet on disk */
	HANDLES_A_LINK = 16,
	HANDLES_FOR_FLASH = 2, /* of them */
};

struct pull *pull_by_handle(struct link *link, uint64_t handle)
{
	struct map_node *node = map_first(&link->handles, map_hash_u64(handle));

	for (; node != NULL; node = map_next(node)) {
		struct pull *pull = container_of(node, struct pull, by_handle);

		if (pull->handle == handle)
			return pull;
	}
	return NULL;
}

void pull_free(struct pull *pull)
{
	if (!pull->over || pull->requests > 0)
		return;
	inbound_drop(pull->exchange, pull->partner, pull->held);
	free(pull->piece);
	free(pull);
}

/* off its link: handle stopped, no longer waiting there */
void pull_detach(struct pull *pull, bool stop)
{
	struct link *link = pull->link;
	struct pull **at;

	if (link == NULL)
		return;
	if (map_in(&pull->by_handle)) {
		if (stop)
			session_stop(link->session, pull->handle);
		map_del(&link->handles, &pull->by_handle);
		link_want(link);
	}
	for (at = &link->needs_wait; *at != NULL; at = &(*at)->next_waiting) {
		if (*at == pull) {
			*at = pull->next_waiting;
			break;
		}
	}
	pull->link = NULL;
	pull->handle = 0;
	if (stop && !link->over)
		pull_needs_start(link);
}

void want_on(struct pull *pull, struct want *want)
{
	want->pull = pull;
	want->next = NULL;
	want->at = pull->wants_end;
	*want->at = want;
	pull->wants_end = &want->next;
	pull->wants_flash += want->flash;
	pull->wants_here += pull->link != NULL && pull->link == want->link;
}

void want_off(struct want *want)
{
	struct pull *pull = want->pull;

	assert(pull != NULL);
	*want->at = want->next;
	if (want->next != NULL)
		want->next->at = want->at;
	else
		pull->wants_end = want->at;
	pull->wants_flash -= want->flash;
	pull->wants_here -= pull->link != NULL && pull->link == want->link;
	want->pull = NULL;
}

static void dropped(struct store_req *req, void *arg)
{
	(void)arg; /* if it did not work it is there still, and is swept one day */
	free(req);
}

/* a partial without one octet is worth nothing, but counts for its partner. Whoever wants the part
 * again begins behind this in the writer's queue */
void pull_drop_empty(const struct pull *pull)
{
	struct store_part_drop *drop;

	if (pull->number == 0 || pull->got > 0)
		return;
	drop = calloc(1, sizeof(*drop));
	if (drop == NULL)
		return;
	*drop = (struct store_part_drop){
		.req = { .kind = REQ_PART_DROP, .done = dropped, .partner = pull->partner->number },
		.number = pull->number
	};
	store_submit(pull->exchange->store, &drop->req);
}

void pull_over(struct pull *pull)
{
	pull_detach(pull, true);
	while (pull->wants != NULL) /* their links are gone: nobody is left to tell */
		want_off(pull->wants);
	if (!pull->failed && pull->piece_n > 0)
		pull_append(pull);
	pull_drop_empty(pull);
	map_del(&pull->exchange->pulls, &pull->node);
	pull->over = true;
	atomic_store(&pull->find.req.unwanted, true);
	pull_free(pull);
}

static void tell_all(struct pull *pull, int code, enum nx_retry retry, uint64_t number)
{
	struct want *want;

	pull->state =
		PULL_ENDING; /* a taker that lets go of others must not end it a second time */
	while ((want = pull->wants) != NULL) {
		want_off(want);
		if (code == 0)
			store_lease(pull->exchange->store, number);
		want->done(want->arg, want->index, code, retry, number);
	}
}

void pull_end(struct pull *pull, int code, enum nx_retry retry, uint64_t number)
{
	tell_all(pull, code, retry, number);
	pull_over(pull);
}

void pull_end_here(struct pull *pull, int code)
{
	struct want *others = NULL, **end = &others, *next;

	/* aside while the rest is told: a taker lets go of what is its own, on this link */
	for (struct want *want = pull->wants; want != NULL; want = next) {
		next = want->next;
		if (want->link == pull->link)
			continue;
		want_off(want);
		want->next = NULL;
		*end = want;
		end = &want->next;
	}
	tell_all(pull, code, NX_LATER, 0);
	for (; others != NULL; others = next) {
		next = others->next;
		want_on(pull, others);
	}
}

bool pull_flash(const struct pull *pull)
{
	return pull->wants_flash > 0;
}

void pull_hold(struct pull *pull)
{
	uint64_t now = pull->asked > pull->committed ? pull->asked - pull->committed : 0;

	inbound_drop(pull->exchange, pull->partner, pull->held);
	inbound_hold(pull->exchange, pull->partner, now);
	pull->held = now;
}

/* ask for as much as the window lets us: each octet once of a link, for a pull that leaves one
 * comes back only for an item that was offered there since */
void pull_ask(struct pull *pull)
{
	uint64_t upto = pull->committed + pull->window;
	uint64_t n;

	if (upto > pull->size)
		upto = pull->size;
	if (pull->state != PULL_NEEDING || upto <= pull->asked ||
	    (upto < pull->size && upto - pull->asked < pull->window / 4))
		return;
	n = upto - pull->asked;
	if (pull->asked == pull->got) /* it was the disk that kept us waiting, not the peer */
		pull->moved_ms = loop_now_ms(pull->exchange->loop);
	if (pull->handle != 0 && session_need_more(pull->link->session, pull->handle, n)) {
		pull->asked = upto;
	} else {
		uint64_t handle = session_need(pull->link->session, pull->sha256, pull->got,
					       upto - pull->got);

		if (handle == 0)
			return; /* 16 are open: the next tick tries again */
		if (map_in(&pull->by_handle))
			map_del(&pull->link->handles, &pull->by_handle);
		pull->handle = handle;
		pull->asked = upto;
		map_add(&pull->link->handles, &pull->by_handle, map_hash_u64(handle));
	}
	pull_hold(pull);
	link_want(pull->link);
}

static void pull_start(struct pull *pull)
{
	pull->state = PULL_NEEDING;
	pull->moved_ms = loop_now_ms(pull->exchange->loop);
	pull->asked = pull->got;
	pull->handle = 0;
	pull_hold(pull);
	pull_ask(pull);
}

static unsigned flash_needs(const struct link *link)
{
	unsigned n = 0;

	for (size_t i = 0; i < link->handles.cap; i++)
		for (struct map_node *node = link->handles.slots[i]; node != NULL;
		     node = node->next)
			n += pull_flash(container_of(node, struct pull, by_handle));
	return n;
}

/* is there a handle, and memory? Whatever is held, one part comes on each link, and two of flash
 * items */
static bool may_start(const struct link *link, bool flash, bool room)
{
	if (flash)
		return link->handles.n < HANDLES_A_LINK &&
		       (room || flash_needs(link) < HANDLES_FOR_FLASH);
	return link->handles.n == 0 ||
	       (room && link->handles.n < HANDLES_A_LINK - HANDLES_FOR_FLASH);
}

/* those that wait for a handle of this link: flash first, else in the order they came */
void pull_needs_start(struct link *link)
{
	while (link->needs_wait != NULL) {
		struct pull **best = &link->needs_wait, *pull;
		bool room = inbound_room(link->exchange, link->partner, false);

		for (struct pull **at = best; *at != NULL; at = &(*at)->next_waiting) {
			if (pull_flash(*at)) {
				best = at;
				break;
			}
		}
		pull = *best;
		if (!may_start(link, pull_flash(pull), room))
			return; /* when one ends, or at the next tick */
		*best = pull->next_waiting;
		pull->next_waiting = NULL;
		if (!room)
			pull->window = PIECE;
		pull_start(pull);
	}
}

/* ---- octets */

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
	if (pull->over) {
		if (req->code == 0 && append->req.complete)
			store_unlease(exchange->store, append->req.number);
		pull_free(pull);
	} else if (req->code < 0) {
		pull->failed = true;
		if (claim_line(exchange))
			log_warn("part.refused", kv_str("peer", pull->partner->name),
				 kv_hex("part", pull->sha256, 8),
				 kv_str("reason", nx_word(req->code)),
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
		pull_hold(pull);
		if (pull->window < WINDOW_MOST && inbound_plenty(exchange, pull->partner))
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
			 .urgent = pull_flash(pull),
			 .partner = pull->partner->number },
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
		uint64_t left = pull->size - (pull->got - pull->piece_n);
		size_t room = left < PIECE ? (size_t)left : PIECE, n = room - pull->piece_n;

		if (pull->piece == NULL)
			pull->piece = malloc(room);
		if (pull->piece == NULL) {
			pull->failed = true;
			return;
		}
		if (n > octets.n)
			n = octets.n;
		memcpy(pull->piece + pull->piece_n, octets.p, n);
		pull->piece_n += n;
		pull->got += n;
		octets.p += n;
		octets.n -= n;
		if (pull->piece_n == room)
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
