#include "core/delivery.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/serve.h"
#include "core/settle.h"

#include <stdlib.h>

struct delivery *delivery_find(struct link *link, uint64_t id)
{
	struct map_node *node = map_first(&link->deliveries, map_hash_u64(id));

	for (; node != NULL; node = map_next(node)) {
		struct delivery *delivery = container_of(node, struct delivery, by_id);

		if (delivery->id == id)
			return delivery;
	}
	return NULL;
}

static bool gives_parts(const struct delivery *delivery)
{
	return delivery->parts != NULL && delivery->claim != NULL &&
	       delivery->withdrawn == SETTLE_ACKED;
}

static uint64_t another_with_part(struct link *link, uint64_t part)
{
	for (const struct delivery *d = link->oldest; d != NULL; d = d->after)
		for (unsigned i = 0; gives_parts(d) && i < d->parts->n; i++)
			if (d->parts->v[i].number == part)
				return d->id;
	return 0;
}

void delivery_free(struct delivery **at)
{
	struct delivery *delivery = *at;
	struct link *link = delivery->link;

	map_del(&link->deliveries, &delivery->by_id);
	map_del(&link->exchange->stories, &delivery->by_story);
	if (delivery->before != NULL)
		delivery->before->after = delivery->after;
	else
		link->oldest = delivery->after;
	if (delivery->after != NULL)
		delivery->after->before = delivery->before;
	else
		link->newest = delivery->before;
	if (delivery->parts != NULL)
		serve_delivery_over(link, delivery->id, another_with_part);
	hot_parts_unref(&delivery->parts);
	hot_unref(&delivery->hot);
	free(delivery);
	*at = NULL;
}

struct delivery *delivery_new(struct link *link, struct claim *claim, uint64_t id,
			      const struct ready *ready)
{
	struct delivery *delivery = calloc(1, sizeof(*delivery));
	struct hot *hot = ready->hot;

	if (delivery == NULL || feed_busy_add(claim->feed, hot->position) < 0) {
		free(delivery);
		return NULL;
	}
	*delivery = (struct delivery){
		.link = link,
		.claim = claim,
		.hot = hot,
		.parts = hot_parts_ref(hot->parts),
		.id = id,
		.position = hot->position,
		.sequence = hot->sequence,
		.lane = hot->lane,
		.kill = hot->kill,
		.skip_first = ready->skip_first,
		.attempts = ready->attempts,
		.stored_ms = hot->stored_ms,
		.sent_ms = loop_now_ms(link->exchange->loop),
		.withdrawn = SETTLE_ACKED,
		.versions_all = claim->feed->conf->versions == VERSIONS_ALL,
	};
	for (unsigned i = 0; hot->parts != NULL && i < hot->parts->n; i++)
		delivery->budget += 2 * hot->parts->v[i].size + (1 << 20);
	memcpy(delivery->story, hot->story, sizeof(delivery->story));
	map_add(&link->deliveries, &delivery->by_id, map_hash_u64(id));
	/* told apart from hot items by where the node lies: see delivery_newer() */
	map_add(&link->exchange->stories, &delivery->by_story, ~map_hash_key(hot->story));
	delivery->before = link->newest;
	if (link->newest != NULL)
		link->newest->after = delivery;
	else
		link->oldest = delivery;
	link->newest = delivery;
	return delivery;
}

void delivery_settle(struct delivery *delivery, enum settle_how how)
{
	struct settle_run run = {
		.how = how,
		.first = delivery->skip_first,
		.last = delivery->position,
		.sequence = delivery->sequence,
		.at_ms = clock_wall_ms(),
		.has_parts = delivery->parts != NULL,
		.kill = delivery->kill,
	};

	settle_add(delivery->link->exchange->settle, delivery->claim->feed, &run);
}

void delivery_settle_skipped(struct delivery *delivery)
{
	struct settle_run run = { .how = SETTLE_SKIPPED,
				  .first = delivery->skip_first,
				  .last = delivery->position - 1,
				  .at_ms = clock_wall_ms() };

	if (delivery->skip_first < delivery->position)
		settle_add(delivery->link->exchange->settle, delivery->claim->feed, &run);
}

static const struct store_part *part_of(const struct delivery *delivery, const uint8_t sha256[32])
{
	for (unsigned i = 0; delivery->parts != NULL && i < delivery->parts->n; i++)
		if (memcmp(delivery->parts->v[i].sha256, sha256, 32) == 0)
			return &delivery->parts->v[i];
	return NULL;
}

const struct store_part *delivery_part(struct link *link, const struct need *need, uint64_t *ret_id,
				       bool *ret_flash)
{
	for (struct delivery *d = link->oldest; d != NULL; d = d->after) {
		const struct store_part *part = part_of(d, need->sha256);

		if (part == NULL || !gives_parts(d) || need->length > d->budget)
			continue;
		if (need->offset >= part->size || need->length > part->size - need->offset)
			return NULL;
		d->budget -= need->length;
		*ret_id = d->id;
		*ret_flash = d->lane == LANE_FLASH;
		return part;
	}
	return NULL;
}

static void withdraw(struct delivery *delivery, bool kill)
{
	if (delivery->claim == NULL || delivery->kill || (!kill && delivery->versions_all))
		return;
	delivery->withdrawn = kill ? SETTLE_KILLED : SETTLE_SUPERSEDED;
	session_withdraw(delivery->link->session, delivery->id, kill ? NX_EKILLED : NX_ESUPERSEDED);
	link_want(delivery->link);
	log_info("item.withdrawn", kv_u64("conn", delivery->link->number),
		 kv_str("peer", delivery->link->partner->name),
		 kv_str("subscription", delivery->claim->feed->name),
		 kv_u64("seq", delivery->sequence),
		 kv_str("reason", kill ? "killed" : "superseded"));
}

void delivery_newer(struct exchange *exchange, const uint8_t story[32], uint64_t position,
		    bool kill)
{
	uint64_t hash = map_hash_key(story);

	for (struct map_node *n = map_first(&exchange->stories, hash); n != NULL; n = map_next(n)) {
		struct hot *hot = container_of(n, struct hot, by_story);

		if (memcmp(hot->story, story, 32) == 0 && hot->position < position && !hot->kill &&
		    hot->verdict != SETTLE_KILLED)
			hot->verdict = kill ? SETTLE_KILLED : SETTLE_SUPERSEDED;
	}
	for (struct map_node *n = map_first(&exchange->stories, ~hash); n != NULL;
	     n = map_next(n)) {
		struct delivery *delivery = container_of(n, struct delivery, by_story);

		if (memcmp(delivery->story, story, 32) == 0 && delivery->position < position)
			withdraw(delivery, kill);
	}
}
