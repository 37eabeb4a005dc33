/* take.c - a subscriber without a disk: acks at once, reads the time out of what it gets */
#include "tests/bench/load.h"

#include "proto/envelope.h"

#include <stdio.h>
#include <stdlib.h>

#define AHEAD_ITEMS  1024
#define AHEAD_OCTETS (16 << 20)

void take_ready(struct member *member)
{
	char name[NAME_MAX_ + 1];

	session_window(member->session, LANE_ROUTINE, AHEAD_ITEMS, AHEAD_OCTETS);
	session_window(member->session, LANE_FLASH, 64, 1 << 20);
	snprintf(name, sizeof(name), "%s%u", member->load->options.subscription, member->index);
	session_subscribe(member->session, name, false, 0, 0);
}

static void delivered(struct member *member, uint64_t id, int64_t made_ns, bool flash)
{
	struct load *load = member->load;
	struct ack ack = { .id = id, .stage = STAGE_COMPLETE };

	session_ack(member->session, &ack);
	load->last_ns = now_ns();
	if (load->first_ns == 0)
		load->first_ns = made_ns > load->begin_ns ? made_ns : load->last_ns;
	if (flash)
		load->flashes_done++;
	else
		load->done++;
	if (made_ns > 0)
		tally_add(flash ? &load->flash : &load->tally, load->last_ns - made_ns);
}

static int64_t time_in(const uint8_t *document, size_t n)
{
	static const char key[] = "\"bench_ns\":\"";
	const uint8_t *at = memmem(document, n, key, sizeof(key) - 1);
	int64_t v = 0;

	if (at == NULL || (size_t)(at - document) + sizeof(key) + 20 > n)
		return 0;
	at += sizeof(key) - 1;
	for (unsigned i = 0; i < 20; i++)
		v = v * 10 + (at[i] - '0');
	return v;
}

/* ask for the parts that its envelope names; how many */
static unsigned ask(struct member *member, uint64_t id, const uint8_t *octets, size_t n)
{
	struct envelope envelope;
	unsigned asked = 0;

	if (memmem(octets, n, "\"parts\"", 7) == NULL ||
	    envelope_read(slice_of(octets, n), 64, &envelope, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < envelope.parts_n; i++) {
		uint64_t handle = session_need(member->session, envelope.parts[i].sha256, 0,
					       envelope.parts[i].size);

		if (handle == 0)
			continue;
		member->hands[handle % HANDS] = (struct hand){ .handle = handle, .id = id };
		asked++;
	}
	envelope_done(&envelope);
	return asked;
}

static void on_item(struct member *member, const struct item_head *head, uint8_t *octets)
{
	struct slot *slot = &member->slots[head->id % SLOTS];
	int64_t made = time_in(octets + head->envelope_len, head->document_len);
	unsigned waits = ask(member, head->id, octets, head->envelope_len);

	member->load->octets += head->document_len;
	free(octets);
	if (waits == 0) {
		delivered(member, head->id, made, head->lane == LANE_FLASH);
		return;
	}
	slot->id = head->id;
	slot->made_ns = made;
	slot->flash = head->lane == LANE_FLASH;
	slot->waits = waits;
}

void take_event(struct member *member, struct session_event *event)
{
	struct load *load = member->load;

	if (event->kind == SESSION_SUBSCRIBED) {
		member->ready = true;
		load->ready++;
	} else if (event->kind == SESSION_UNSUBSCRIBED) {
		snprintf(load->why, sizeof(load->why), "%s", event->unsubscribed.code);
	} else if (event->kind == SESSION_ITEM) {
		on_item(member, &event->item.head, event->item.octets);
	} else if (event->kind == SESSION_DATA) {
		struct hand *hand = &member->hands[event->data.handle % HANDS];
		struct slot *slot = &member->slots[hand->id % SLOTS];

		load->octets += event->data.octets.n;
		if (event->data.done && --slot->waits == 0)
			delivered(member, slot->id, slot->made_ns, slot->flash);
	}
}
