/* items of the peer: their octets gathered, withdrawn, dropped; the credit that we give for them */
#include <assert.h>
#include <stdlib.h>

#include "proto/session_priv.h"

#define ITEM_LEAST 4096

/* half of the window is left: the time to say more. Flash never waits that long. */
bool credit_due(const struct session *session, enum lane lane)
{
	const struct window *window = &session->window[lane];
	uint64_t floor_items = lane == LANE_FLASH ? FLASH_ITEMS : 0;
	uint64_t floor_octets = lane == LANE_FLASH ? FLASH_OCTETS : 0;
	uint64_t items = window->told_items - window->spent_items;
	uint64_t octets = window->told_octets > window->spent_octets
				  ? window->told_octets - window->spent_octets
				  : 0;

	if (window->items == 0 || window->octets == 0)
		return false;
	return items < floor_items || octets < floor_octets || items < (window->items + 1) / 2 ||
	       octets < (window->octets + 1) / 2;
}

void session_window(struct session *session, enum lane lane, uint64_t items, uint64_t octets)
{
	struct window *window = &session->window[lane];

	window->items = items;
	window->octets = octets;
	if (lane != LANE_FLASH)
		return;
	window->items = items < FLASH_ITEMS ? FLASH_ITEMS : items;
	window->octets = octets < FLASH_OCTETS ? FLASH_OCTETS : octets;
}

static int check_item(struct session *session, const struct item_head *head, size_t n)
{
	const struct window *window;

	if (session->heard_bye)
		return broken(session, NX_ESTATE, "ITEM after BYE");
	if (head->id != session->in_last + 1)
		return broken(session, NX_EITEM, "ITEM %llu after %llu",
			      (unsigned long long)head->id, (unsigned long long)session->in_last);
	if (head->lane >= LANES)
		return broken(session, NX_EITEM, "ITEM in lane %u", head->lane);
	if (session->in_item[head->lane].active)
		return broken(session, NX_EITEM, "ITEM while one is half-sent in its lane");
	if (head->envelope_len > LENGTH_MAX || head->document_len > LENGTH_MAX)
		return broken(session, NX_EITEM, "ITEM of %u + %u octets", head->envelope_len,
			      head->document_len);
	if (n > (size_t)head->envelope_len + head->document_len)
		return broken(session, NX_EITEM, "ITEM with more octets than it declares");
	if (head->subscription > session->held.highest)
		return broken(session, NX_EITEM, "ITEM of subscription %u, never given",
			      head->subscription);
	window = &session->window[head->lane];
	if (window->spent_items >= window->told_items ||
	    window->spent_octets >= window->told_octets)
		return broken(session, NX_ECREDIT, "ITEM beyond credit of lane %u", head->lane);
	return 0;
}

static void drop(struct in_item *item, int code)
{
	assert(item != NULL);
	if (!item->drop)
		item->drop_code = code;
	item->drop = true;
	free(item->octets);
	item->octets = NULL;
	item->cap = 0;
}

/* memory follows what has come, never what was declared */
static void store(struct in_item *item, struct slice octets)
{
	size_t needed = item->at + octets.n, cap = item->cap;
	uint8_t *bigger;

	if (!item->drop && (needed > cap || item->octets == NULL)) {
		cap = needed > 2 * cap ? needed : 2 * cap;
		cap = needed < item->total && cap < ITEM_LEAST ? ITEM_LEAST : cap;
		cap = cap > item->total ? item->total : cap;
		bigger = realloc(item->octets, cap > 0 ? cap : 1);
		if (bigger != NULL) {
			item->octets = bigger;
			item->cap = cap;
		} else {
			drop(item, NX_ENOMEM);
		}
	}
	if (!item->drop && octets.n > 0)
		memcpy(item->octets + item->at, octets.p, octets.n);
	item->at = needed;
}

static void begin(struct session *session, struct in_item *item, const struct item_head *head)
{
	const struct limits *max = &session->max;
	struct window *window = &session->window[head->lane];
	struct id_slot *slot = ids_add(&session->open_in, head->id);

	slot->lane = head->lane;
	slot->flags = ID_HALF;
	session->in_last = head->id;
	session->stats.in_items++;
	*item = (struct in_item){ .active = true, .head = *head };
	item->total = (size_t)head->envelope_len + head->document_len;
	window->spent_items++;
	window->spent_octets += item->total;
	if (head->document_len > max->document)
		drop(item, NX_EBIGDOC);
	else if (head->envelope_len > max->envelope)
		drop(item, NX_EBIGENV);
}

static void gathered(struct session *session, struct in_item *item, struct slice octets)
{
	store(item, octets);
	item->moved_ms = session->now_ms;
	session->stats.in_octets += octets.n;
	if (item->at == item->total)
		session->due = item;
}

int on_item(struct session *session, const struct msg *msg, struct session_event *ev)
{
	const struct item_head *head = &msg->item.head;
	int r = check_item(session, head, msg->item.octets.n);
	struct in_item *item;

	if (r < 0)
		return r;
	if (answers_reserve(session) < 0 || ids_reserve(&session->open_in) < 0)
		return broken(session, NX_ENOMEM, "no room for one more open item");
	item = &session->in_item[head->lane];
	begin(session, item, head);
	gathered(session, item, msg->item.octets);
	ev->kind = SESSION_ITEM_BEGIN;
	ev->item.head = *head;
	ev->item.octets = NULL;
	return 1;
}

static struct in_item *half_received(struct session *session, uint64_t id)
{
	for (int lane = 0; lane < LANES; lane++)
		if (session->in_item[lane].active && session->in_item[lane].head.id == id)
			return &session->in_item[lane];
	return NULL;
}

int on_more(struct session *session, const struct msg *msg, struct session_event *ev)
{
	struct in_item *item = half_received(session, msg->more.id);

	if (item == NULL)
		return broken(session, NX_EITEM, "MORE for an item that is not half-sent");
	if (msg->more.offset != item->at)
		return broken(session, NX_EITEM, "MORE at %u, expected %zu", msg->more.offset,
			      item->at);
	if (msg->more.octets.n == 0 || msg->more.octets.n > item->total - item->at)
		return broken(session, NX_EITEM, "MORE of %zu octets, %zu are missing",
			      msg->more.octets.n, item->total - item->at);
	gathered(session, item, msg->more.octets);
	return session->due == NULL ? 0 : item_due(session, ev);
}

int item_due(struct session *session, struct session_event *ev)
{
	struct in_item *item = session->due;
	struct id_slot *slot = ids_find(&session->open_in, item->head.id);

	slot->flags &= (uint8_t)~ID_HALF;
	session->due = NULL;
	if (item->drop) {
		ev->kind = SESSION_ITEM_DROPPED;
		ev->id = item->head.id;
		ev->code = item->drop_code;
	} else {
		ev->kind = SESSION_ITEM;
		ev->item.head = item->head;
		ev->item.octets = item->octets;
	}
	*item = (struct in_item){ 0 };
	return 1;
}

void session_item_drop(struct session *session, uint64_t id)
{
	struct in_item *item = half_received(session, id);

	if (item != NULL)
		drop(item, 0);
}

int on_withdraw(struct session *session, const struct msg *msg, struct session_event *ev)
{
	uint64_t id = msg->withdraw.id;
	struct id_slot *slot = ids_find(&session->open_in, id);
	struct in_item *item;

	if (id == 0 || id > session->in_last)
		return broken(session, NX_EITEM, "WITHDRAW of an item that was never sent");
	if (slot == NULL || slot->flags & ID_WITHDRAWN)
		return 0; /* it crossed our answer */
	ev->kind = SESSION_WITHDRAW;
	ev->withdraw.id = id;
	ev->withdraw.whole = !(slot->flags & ID_HALF);
	memcpy(ev->withdraw.code, msg->withdraw.code, sizeof(ev->withdraw.code));
	if (slot->flags & ID_HALF) {
		item = half_received(session, id);
		drop(item, 0);
		*item = (struct in_item){ 0 };
		slot->flags = ID_CUT;
	}
	slot->flags |= ID_WITHDRAWN;
	return 1;
}
