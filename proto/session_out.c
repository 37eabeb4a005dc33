/* frames out: the order of choice, and items of ours */
#include <assert.h>

#include "proto/session_priv.h"

#define PAYLOAD_LEAST 1024
#define LANE_RUN      2 /* frames of items between two of parts, while both wait */

/* a frame off the front of the control queue, which takes no memory when it is empty: most links
 * are */
static size_t ctl_frame(struct session *session, uint8_t *to)
{
	struct slice header;
	bool bad = false;
	const uint8_t *p;
	uint8_t type;
	size_t n;

	if (session->ctl_at == session->ctl_end)
		return 0;
	p = session->ctl + session->ctl_at;
	header = slice_of(p, session->ctl_end - session->ctl_at);
	n = FRAME_HEADER + get_u32(&header, &bad);
	type = get_u8(&header, &bad);
	memcpy(to, p, n);
	session->ctl_at += n;
	session->gones -= type == FRAME_GONE;
	session->claim_answers -= type == FRAME_SUBSCRIBED || type == FRAME_UNSUBSCRIBED;
	if (session->ctl_at == session->ctl_end)
		ctl_drop(session);
	return n;
}

static size_t made(const struct msg *msg, uint8_t *to, size_t room)
{
	int n = msg_write(msg, to, room);

	return n > 0 ? (size_t)n : 0;
}

static size_t credit_frame(struct session *session, enum lane lane, uint8_t *to, size_t room)
{
	struct window *window = &session->window[lane];
	struct msg msg = { .type = FRAME_CREDIT };
	uint64_t items = window->spent_items + window->items;
	uint64_t octets = window->spent_octets + window->octets;

	if (!credit_due(session, lane))
		return 0;
	window->told_items = items > window->told_items ? items : window->told_items;
	window->told_octets = octets > window->told_octets ? octets : window->told_octets;
	msg.credit = (struct credit){ lane, window->told_items, window->told_octets };
	return made(&msg, to, room);
}

/* a frame of n octets, with octets behind it that say nothing; room is for the largest frame */
static size_t padded(uint8_t *to, size_t n, size_t octets)
{
	uint8_t *header = to;

	if (n == 0 || octets == 0)
		return n;
	frame_header(&header, FRAME_PING, n - FRAME_HEADER + octets);
	memset(to + n, 0, octets);
	return n + octets;
}

static size_t ping_frame(struct session *session, uint8_t *to, size_t room)
{
	struct msg msg = { .type = FRAME_PONG };

	msg.ping.wall_ms = (uint64_t)session->wall_ms;
	if (session->pong_due) {
		session->pong_due = false;
		msg.ping.token = session->pong_token;
		return made(&msg, to, room);
	}
	if (session->pings_due == 0)
		return 0;
	session->pings_due--;
	session->ping_open = true;
	session->pinged_ms = session->now_ms;
	msg.type = FRAME_PING;
	msg.ping.token = ++session->ping_token;
	return padded(to, made(&msg, to, room), session->ping_octets);
}

static size_t bye_frame(struct session *session, uint8_t *to, size_t room)
{
	struct msg msg = { .type = FRAME_BYE };

	if (!session->bye_due)
		return 0;
	session->bye_due = false;
	(void)strncat(msg.bye.code, nx_word(session->bye.code), sizeof(msg.bye.code) - 1);
	(void)strncat(msg.bye.words, session->bye.words, sizeof(msg.bye.words) - 1);
	return made(&msg, to, room);
}

static size_t control_frame(struct session *session, uint8_t *to, size_t room, size_t payload_max)
{
	size_t n = ctl_frame(session, to);

	if (n == 0)
		n = answer_frame(session, to, room, payload_max);
	if (session->greeted && session->failed == 0) {
		for (int lane = LANES - 1; lane >= 0 && n == 0; lane--)
			n = credit_frame(session, (enum lane)lane, to, room);
		if (n == 0)
			n = ping_frame(session, to, room);
	}
	return n > 0 ? n : bye_frame(session, to, room);
}

/* may one more item be begun in this lane? */
static bool may_begin(const struct session *session, enum lane lane)
{
	const struct session_rules *rules = &session->rules;
	const struct purse *purse = &session->purse[lane];
	size_t items = rules->ahead_items, octets = rules->ahead_octets;

	if (session->said_bye || session->heard_bye || session->failed != 0)
		return false;
	if (purse->begun_items >= purse->items || purse->begun_octets >= purse->octets)
		return false;
	/* the last of send-ahead is kept for flash: no slow subscriber keeps a kill waiting */
	items -= items > 2 * FLASH_ITEMS ? FLASH_ITEMS : 0;
	octets -= octets > 2 * FLASH_OCTETS ? FLASH_OCTETS : 0;
	if (lane == LANE_FLASH) {
		items += FLASH_ITEMS;
		octets += FLASH_OCTETS;
	}
	return session->open_out.n < items && session->open_octets < octets;
}

bool items_wait(const struct session *session, enum lane lane)
{
	bool ready = lane == LANE_FLASH
			     ? session->ready[CLASS_FLASH]
			     : session->ready[CLASS_ROUTINE] || session->ready[CLASS_BACKLOG];

	return session->out_item[lane].active || (ready && may_begin(session, lane));
}

void item_ended(struct session *session, struct out_item *item)
{
	uint64_t id = item->id;

	if (!item->active)
		return;
	*item = (struct out_item){ 0 };
	if (session->rules.source.sent != NULL)
		session->rules.source.sent(session->rules.arg, id);
}

/* the next n octets of envelope and document */
static void copy_octets(struct out_item *item, uint8_t **to, size_t n)
{
	struct slice envelope = item->out.envelope, document = item->out.document;

	if (item->at < envelope.n) {
		size_t part = envelope.n - item->at < n ? envelope.n - item->at : n;

		put_bytes(to, envelope.p + item->at, part);
		item->at += part;
		n -= part;
	}
	if (n > 0)
		put_bytes(to, document.p + (item->at - envelope.n), n);
	item->at += n;
}

/* octets behind the head of an ITEM or MORE, its header in front, and the item's end if this was it
 */
static size_t item_frame(struct session *session, struct out_item *item, uint8_t type, uint8_t *to,
			 size_t head, size_t payload_max)
{
	size_t left = item->total - item->at,
	       n = payload_max - head < left ? payload_max - head : left;
	uint8_t *at = to + FRAME_HEADER + head;

	copy_octets(item, &at, n);
	frame_header(&to, type, head + n);
	session->stats.out_octets += n;
	if (item->at == item->total) {
		ids_find(&session->open_out, item->id)->flags &= (uint8_t)~ID_HALF;
		item_ended(session, item);
	}
	return FRAME_HEADER + head + n;
}

static size_t more_frame(struct session *session, struct out_item *item, uint8_t *to,
			 size_t payload_max)
{
	uint8_t *at = to + FRAME_HEADER;

	put_u64(&at, item->id);
	put_u32(&at, (uint32_t)item->at);
	return item_frame(session, item, FRAME_MORE, to, MORE_HEAD, payload_max);
}

static void put_item_head(uint8_t *at, const struct out_item *item, enum lane lane)
{
	put_u64(&at, item->id);
	put_u64(&at, item->out.position);
	put_u64(&at, item->out.sequence);
	put_u32(&at, item->out.subscription);
	put_u32(&at, (uint32_t)item->out.envelope.n);
	put_u32(&at, (uint32_t)item->out.document.n);
	put_u32(&at, (uint32_t)lane << 24); /* u8 lane, three zeros */
}

/* ask the source for an item of this class and begin it; 0 when it has none */
static size_t first_frame(struct session *session, enum session_class class, uint8_t *to,
			  size_t payload_max)
{
	enum lane lane = class == CLASS_FLASH ? LANE_FLASH : LANE_ROUTINE;
	struct out_item *item = &session->out_item[lane];
	const struct session_source *source = &session->rules.source;
	struct session_out out = { .lane = lane };
	uint64_t id = session->out_last + 1;
	struct id_slot *slot;

	if (!session->ready[class] || !may_begin(session, lane))
		return 0;
	if (ids_reserve(&session->open_out) < 0)
		return 0;              /* memory may come back: the next call tries again */
	session->ready[class] = false; /* unless the source has one, or says so while it is asked */
	if (source->item == NULL || !source->item(session->rules.arg, class, id, &out))
		return 0;
	session->ready[class] = true;
	assert(out.envelope.n <= LENGTH_MAX && out.document.n <= LENGTH_MAX);
	*item = (struct out_item){ .active = true, .id = id, .class = class, .out = out };
	item->total = out.envelope.n + out.document.n;
	session->out_last = id;
	slot = ids_add(&session->open_out, id);
	slot->octets = (uint32_t)item->total;
	slot->lane = (uint8_t)lane;
	slot->flags = ID_HALF;
	session->open_octets += item->total;
	session->purse[lane].begun_items++;
	session->purse[lane].begun_octets += item->total;
	session->stats.out_items++;
	put_item_head(to + FRAME_HEADER, item, lane);
	return item_frame(session, item, FRAME_ITEM, to, ITEM_HEAD, payload_max);
}

/* routine and backlog cannot interleave inside an item: who has had fewer frames begins the next */
static size_t routine_frame(struct session *session, uint8_t *to, size_t payload_max)
{
	struct out_item *item = &session->out_item[LANE_ROUTINE];
	enum session_class class = item->class;
	size_t n;

	if (item->active) {
		n = more_frame(session, item, to, payload_max);
	} else {
		if (!session->ready[CLASS_ROUTINE] || !session->ready[CLASS_BACKLOG])
			session->balance = 0;
		class = session->balance <= 0 ? CLASS_ROUTINE : CLASS_BACKLOG;
		n = first_frame(session, class, to, payload_max);
		if (n == 0) {
			class = class == CLASS_ROUTINE ? CLASS_BACKLOG : CLASS_ROUTINE;
			n = first_frame(session, class, to, payload_max);
		}
	}
	if (n > 0 && session->ready[CLASS_ROUTINE] && session->ready[CLASS_BACKLOG])
		session->balance += class == CLASS_ROUTINE ? 1 : -1;
	return n;
}

static size_t flash_frame(struct session *session, uint8_t *to, size_t payload_max)
{
	struct out_item *item = &session->out_item[LANE_FLASH];

	if (item->active)
		return more_frame(session, item, to, payload_max);
	return first_frame(session, CLASS_FLASH, to, payload_max);
}

/* routine, backlog and parts: a third each while all three wait */
static size_t bulk_frame(struct session *session, uint8_t *to, size_t payload_max)
{
	bool part_waits = parts_wait(session);
	size_t n = 0;

	if (part_waits && session->lane_run >= LANE_RUN) {
		n = part_frame(session, to, payload_max);
		session->lane_run = 0;
		if (n > 0)
			return n;
	}
	n = routine_frame(session, to, payload_max);
	if (n > 0) {
		session->lane_run = part_waits ? session->lane_run + 1 : 0;
		return n;
	}
	session->lane_run = 0;
	return part_waits ? part_frame(session, to, payload_max) : 0;
}

size_t session_frame(struct session *session, uint8_t *to, size_t room, size_t small_max,
		     int64_t now_ms, int64_t wall_ms)
{
	size_t n, payload_max = small_max > FRAME_SMALL ? FRAME_SMALL : small_max;

	assert(room >= FRAME_HEADER + FRAME_FLOOR);
	payload_max = payload_max < PAYLOAD_LEAST ? PAYLOAD_LEAST : payload_max;
	session->now_ms = now_ms;
	session->wall_ms = wall_ms;
	n = control_frame(session, to, room, payload_max);
	if (n > 0 || !session->greeted || session->failed != 0)
		return n;
	n = flash_frame(session, to, payload_max);
	if (n == 0)
		n = bulk_frame(session, to, payload_max);
	/* a source may have broken the link, or said GONE, while it was asked */
	return n > 0 ? n : control_frame(session, to, room, payload_max);
}

bool session_wants(const struct session *session)
{
	if (session->ctl_end > session->ctl_at || session->bye_due)
		return true;
	if (session->failed != 0 || !session->greeted)
		return false;
	return session->answers.n > 0 || session->pong_due || session->pings_due > 0 ||
	       credit_due(session, LANE_FLASH) || credit_due(session, LANE_ROUTINE) ||
	       items_wait(session, LANE_FLASH) || items_wait(session, LANE_ROUTINE) ||
	       parts_wait(session);
}

void session_item_ready(struct session *session, enum session_class class)
{
	session->ready[class] = true;
}

void session_withdraw(struct session *session, uint64_t id, int code)
{
	struct id_slot *slot = ids_find(&session->open_out, id);
	struct msg msg = { .type = FRAME_WITHDRAW };

	if (slot == NULL || slot->flags & ID_WITHDRAWN)
		return;
	msg.withdraw.id = id;
	(void)strncat(msg.withdraw.code, nx_word(code < 0 ? code : NX_EWITHDRAWN),
		      sizeof(msg.withdraw.code) - 1);
	slot->flags |= ID_WITHDRAWN;
	if (slot->flags & ID_HALF) {
		slot->flags = ID_WITHDRAWN | ID_CUT;
		item_ended(session, &session->out_item[slot->lane]);
	}
	(void)say(session, &msg);
}
