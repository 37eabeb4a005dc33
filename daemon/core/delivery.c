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

/* ---- parts that are given: those of items that are open, neither withdrawn nor taken over */

struct delivery_part {
	struct map_node node;
	struct delivery *delivery;
	const struct store_part *part;
};

static int parts_give(struct delivery *delivery)
{
	const struct parts *parts = delivery->parts;

	if (parts == NULL)
		return 0;
	delivery->given = calloc(parts->n, sizeof(*delivery->given));
	if (delivery->given == NULL)
		return NX_ENOMEM;
	for (unsigned i = 0; i < parts->n; i++) {
		struct delivery_part *given = &delivery->given[i];

		given->delivery = delivery;
		given->part = &parts->v[i];
		map_add(&delivery->link->given, &given->node, map_hash_key(parts->v[i].sha256));
		delivery->budget += 2 * parts->v[i].size + (1 << 20);
	}
	return 0;
}

static void parts_take_back(struct delivery *delivery)
{
	for (unsigned i = 0; delivery->given != NULL && i < delivery->parts->n; i++)
		map_del(&delivery->link->given, &delivery->given[i].node);
	free(delivery->given);
	delivery->given = NULL;
}

/* one of the open items that has it and lets so many octets be asked for, or NULL */
static struct delivery_part *part_given(struct link *link, const uint8_t sha256[32], uint64_t n)
{
	struct map_node *node = map_first(&link->given, map_hash_key(sha256));

	for (; node != NULL; node = map_next(node)) {
		struct delivery_part *given = container_of(node, struct delivery_part, node);

		if (memcmp(given->part->sha256, sha256, 32) == 0 && n <= given->delivery->budget)
			return given;
	}
	return NULL;
}

static uint64_t another_with_part(struct link *link, const uint8_t sha256[32])
{
	const struct delivery_part *given = part_given(link, sha256, 0);

	return given == NULL ? 0 : given->delivery->id;
}

/* ---- life */

/* where a newer version or a kill of its story finds it; told apart from hot items by its hash */
static void story_add(struct delivery *delivery)
{
	struct exchange *exchange = delivery->link->exchange;

	if (!delivery->kill)
		map_add(delivery->versions_all ? &exchange->kills_only : &exchange->stories,
			&delivery->by_story, ~map_hash_key(delivery->story));
}

static void story_del(struct delivery *delivery)
{
	struct exchange *exchange = delivery->link->exchange;

	map_del(delivery->versions_all ? &exchange->kills_only : &exchange->stories,
		&delivery->by_story);
}

void delivery_free(struct delivery **at)
{
	struct delivery *delivery = *at;
	struct link *link = delivery->link;

	map_del(&link->deliveries, &delivery->by_id);
	story_del(delivery);
	parts_take_back(delivery);
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

	if (delivery == NULL)
		return NULL;
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
	memcpy(delivery->story, hot->story, sizeof(delivery->story));
	if (parts_give(delivery) < 0 || feed_busy_add(claim->feed, hot->position) < 0) {
		parts_take_back(delivery);
		hot_parts_unref(&delivery->parts);
		free(delivery);
		return NULL;
	}
	map_add(&link->deliveries, &delivery->by_id, map_hash_u64(id));
	story_add(delivery);
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
		.parts_n = delivery->parts == NULL ? 0 : delivery->parts->n,
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

const struct store_part *delivery_part(struct link *link, const struct need *need, uint64_t *ret_id,
				       bool *ret_flash)
{
	struct delivery_part *given = part_given(link, need->sha256, need->length);
	uint64_t size = given == NULL ? 0 : given->part->size;

	if (given == NULL || need->offset >= size || need->length > size - need->offset)
		return NULL;
	given->delivery->budget -= need->length;
	*ret_id = given->delivery->id;
	*ret_flash = given->delivery->lane == LANE_FLASH;
	return given->part;
}

void delivery_let_go(struct delivery *delivery)
{
	delivery->claim = NULL;
	parts_take_back(delivery);
	story_del(delivery);
}

static void withdraw(struct delivery *delivery, bool kill)
{
	delivery->withdrawn = kill ? SETTLE_KILLED : SETTLE_SUPERSEDED;
	parts_take_back(delivery);
	session_withdraw(delivery->link->session, delivery->id, kill ? NX_EKILLED : NX_ESUPERSEDED);
	link_want(delivery->link);
	log_info("item.withdrawn", kv_u64("conn", delivery->link->number),
		 kv_str("peer", delivery->link->partner->name),
		 kv_str("subscription", delivery->claim->feed->name),
		 kv_u64("seq", delivery->sequence),
		 kv_str("reason", kill ? "killed" : "superseded"));
}

static void hot_newer(struct exchange *exchange, struct map *map, const uint8_t story[32],
		      uint64_t position, bool kill)
{
	struct map_node *node = map_first(map, map_hash_key(story)), *next;

	for (; node != NULL; node = next) {
		struct hot *hot = container_of(node, struct hot, by_story);

		next = map_next(node);
		if (memcmp(hot->story, story, 32) != 0 || hot->position >= position || hot->kill)
			continue;
		exchange_story_del(exchange, hot);
		hot->verdict = kill ? SETTLE_KILLED : SETTLE_SUPERSEDED;
		exchange_story_add(exchange, hot);
	}
}

/* each is withdrawn once, and then in no index any more */
static void open_newer(struct map *map, const uint8_t story[32], uint64_t position, bool kill)
{
	struct map_node *node = map_first(map, ~map_hash_key(story)), *next;

	for (; node != NULL; node = next) {
		struct delivery *delivery = container_of(node, struct delivery, by_story);

		next = map_next(node);
		if (memcmp(delivery->story, story, 32) != 0 || delivery->position >= position)
			continue;
		map_del(map, node);
		withdraw(delivery, kill);
	}
}

void delivery_newer(struct exchange *exchange, const uint8_t story[32], uint64_t position,
		    bool kill)
{
	hot_newer(exchange, &exchange->stories, story, position, kill);
	open_newer(&exchange->stories, story, position, kill);
	if (!kill)
		return;
	hot_newer(exchange, &exchange->kills_only, story, position, true);
	open_newer(&exchange->kills_only, story, position, true);
}
