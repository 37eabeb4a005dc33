/*
 * delivery.h - one item on its way to one subscriber: open from its ITEM to its answer.
 *
 * It holds the octets only until the last of them is framed. It stands in three places: on its link
 * by transmit id and in the order sent, and in the exchange's index of stories, so that a kill or a
 * newer version finds it.
 */
#pragma once
#include "core/claim.h"

struct delivery_part; /* one of its parts in link->given */

struct delivery {
	struct map_node by_id, by_story;
	struct delivery *before, *after; /* on the link, in the order sent */
	struct link *link;
	struct claim *claim; /* NULL: taken over or given up; its answer counts for nothing */
	struct hot *hot;     /* until its last octet is framed */
	struct parts *parts;
	struct delivery_part *given; /* parts->n of them */
	uint64_t id, position, sequence, skip_first;
	uint64_t budget;           /* octets of parts that may still be asked for */
	int64_t sent_ms, whole_ms; /* boot: its first octet, and its last one, were framed */
	int64_t stored_ms;         /* wall */
	unsigned attempts;
	enum lane lane;
	enum settle_how withdrawn; /* ACKED = not withdrawn */
	bool kill, versions_all;
	uint8_t story[32];
};

struct delivery *delivery_find(struct link *link, uint64_t id); /* NULL when it is not open */
/* takes ready's reference of the item. returns NULL when out of memory (the reference is still the
 * caller's) */
struct delivery *delivery_new(struct link *link, struct claim *claim, uint64_t id,
			      const struct ready *ready);
void delivery_free(struct delivery **delivery);
/* its claim is over: its answer counts for nothing, and no part of it is given any more */
void delivery_let_go(struct delivery *delivery);
/* what the answer (or a rule) says of it, and of the positions before it that did not match; it has
 * a claim */
void delivery_settle(struct delivery *delivery, enum settle_how how);
void delivery_settle_skipped(struct delivery *delivery); /* only those before it */
/* the part that this NEED may have: of an item open on this link, within its size, and not asked
 * for again and again (at most twice the parts' octets and 1 MiB); or NULL. Its delivery's id and
 * lane */
const struct store_part *delivery_part(struct link *link, const struct need *need, uint64_t *ret_id,
				       bool *ret_flash);
/* a newer version, or a kill, of this story is released: older ones are not begun, open ones are
 * withdrawn */
void delivery_newer(struct exchange *exchange, const uint8_t story[32], uint64_t position,
		    bool kill);
