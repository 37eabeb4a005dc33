/* answers of both sides, and the credit that we are given */
#include <stdlib.h>

#include "proto/session_priv.h"

/* every open item of the peer has its place in the ring: an answer never fails */
int answers_reserve(struct session *session)
{
	struct answers *old = &session->answers;
	struct answers bigger = { .cap = old->cap == 0 ? 16 : 2 * old->cap, .n = old->n };

	if (old->n + session->open_in.n + 1 <= old->cap)
		return 0;
	bigger.ring = calloc(bigger.cap, sizeof(*bigger.ring));
	if (bigger.ring == NULL)
		return NX_ENOMEM;
	for (size_t i = 0; i < old->n; i++)
		bigger.ring[i] = old->ring[(old->at + i) & (old->cap - 1)];
	free(old->ring);
	*old = bigger;
	return 0;
}

static struct answer *front(struct answers *answers)
{
	return &answers->ring[answers->at];
}

static void pop(struct answers *answers)
{
	struct answer *answer = front(answers);

	if (answer->code != 0)
		free(answer->words);
	answers->at = (answers->at + 1) & (answers->cap - 1);
	answers->n--;
}

void answers_done(struct answers *answers)
{
	while (answers->n > 0)
		pop(answers);
	free(answers->ring);
	*answers = (struct answers){ 0 };
}

/* close the id and queue its answer */
static void answered(struct session *session, struct id_slot *slot, const struct answer *answer)
{
	struct answers *answers = &session->answers;

	ids_remove(&session->open_in, slot);
	answers->ring[(answers->at + answers->n++) & (answers->cap - 1)] = *answer;
}

int session_ack(struct session *session, const struct ack *ack)
{
	struct id_slot *slot = ids_find(&session->open_in, ack->id);
	struct answer answer = { .id = ack->id, .result = ack->result };

	if (slot == NULL || slot->flags & (ID_HALF | ID_CUT))
		return NX_EACK;
	answer.sequence = ack->sequence;
	answer.stored_at_ms = ack->stored_at_ms;
	answered(session, slot, &answer);
	return 0;
}

int session_refuse(struct session *session, uint64_t id, int code, enum nx_retry retry,
		   int64_t after_ms, const char *words)
{
	struct id_slot *slot = ids_find(&session->open_in, id);
	struct answer answer = { .id = id, .code = code < 0 ? code : NX_EBUSY, .retry = retry };

	if (slot == NULL || slot->flags & ID_HALF)
		return NX_EACK;
	answer.after_ms = after_ms;
	if (words != NULL && *words != '\0')
		answer.words = strndup(words, 256); /* without memory: without words */
	answered(session, slot, &answer);
	return 0;
}

static size_t ack_frame(struct answers *answers, uint8_t *to, size_t payload_max)
{
	uint8_t *at = to + FRAME_HEADER, *end = at + payload_max;

	put_u8(&at, ACK_ENTRY);
	while (answers->n > 0 && front(answers)->code == 0 && end - at >= ACK_ENTRY) {
		const struct answer *answer = front(answers);

		put_u64(&at, answer->id);
		put_u64(&at, answer->sequence);
		put_u64(&at, answer->stored_at_ms);
		put_u8(&at, answer->result);
		put_u8(&at, STAGE_COMPLETE);
		pop(answers);
	}
	frame_header(&to, FRAME_ACK, (size_t)(at - to) - FRAME_HEADER);
	return (size_t)(at - to) + FRAME_HEADER;
}

size_t answer_frame(struct session *session, uint8_t *to, size_t room, size_t payload_max)
{
	struct answers *answers = &session->answers;
	const struct answer *answer;
	struct msg msg;
	int n;

	if (answers->n == 0)
		return 0;
	answer = front(answers);
	if (answer->code == 0)
		return ack_frame(answers, to, payload_max);
	msg.type = FRAME_REFUSE;
	msg.refuse = (struct refuse){ .id = answer->id,
				      .retry = answer->retry,
				      .after_ms = answer->after_ms };
	(void)strncat(msg.refuse.code, nx_word(answer->code), sizeof(msg.refuse.code) - 1);
	if (answer->words != NULL)
		(void)strncat(msg.refuse.words, answer->words, sizeof(msg.refuse.words) - 1);
	pop(answers);
	n = msg_write(&msg, to, room);
	return n > 0 ? (size_t)n : 0;
}

static void closed(struct session *session, struct id_slot *slot)
{
	session->open_octets -= slot->octets;
	ids_remove(&session->open_out, slot);
}

int next_ack(struct session *session, struct session_event *ev)
{
	struct id_slot *slot;

	while (ack_next(&session->acks, session->acks_len, &ev->ack)) {
		if (ev->ack.stage != STAGE_COMPLETE)
			continue; /* of a later version */
		slot = ids_find(&session->open_out, ev->ack.id);
		if (slot == NULL || slot->flags & (ID_HALF | ID_CUT))
			return broken(session, NX_EACK, "ACK of %llu, which is not open and whole",
				      (unsigned long long)ev->ack.id);
		if (ev->ack.result > RESULT_SUPERSEDED)
			ev->ack.result = RESULT_STORED;
		closed(session, slot);
		ev->kind = SESSION_ANSWER;
		return 1;
	}
	session->acks.n = 0;
	return 0;
}

int on_ack(struct session *session, const struct msg *msg, struct session_event *ev)
{
	bool kept = session->wire_spent; /* the frame already lies in our own memory */
	int r;

	session->acks = msg->ack.entries;
	session->acks_len = msg->ack.entry_len;
	r = next_ack(session, ev);
	if (r <= 0 || session->acks.n == 0 || kept)
		return r;
	if (wire_keep(session, session->acks.p, session->acks.n) < 0)
		return broken(session, NX_ENOMEM, "no room for an ACK");
	session->acks.p = session->wire;
	session->wire_spent = true;
	return r;
}

int on_refuse(struct session *session, const struct msg *msg, struct session_event *ev)
{
	struct id_slot *slot = ids_find(&session->open_out, msg->refuse.id);

	if (slot == NULL || slot->flags & ID_HALF)
		return broken(session, NX_EACK, "REFUSE of %llu, which is not open and whole",
			      (unsigned long long)msg->refuse.id);
	closed(session, slot);
	ev->kind = SESSION_REFUSED;
	ev->refuse = msg->refuse;
	return 1;
}

int on_credit(struct session *session, const struct msg *msg, struct session_event *ev)
{
	const struct credit *credit = &msg->credit;
	struct purse *purse;

	if (credit->lane >= LANES)
		return broken(session, NX_EFRAME, "CREDIT for lane %u", credit->lane);
	purse = &session->purse[credit->lane];
	if (credit->items < purse->items || credit->octets < purse->octets)
		return broken(session, NX_EFRAME, "CREDIT falls");
	purse->items = credit->items;
	purse->octets = credit->octets;
	ev->kind = SESSION_CREDIT;
	return 1;
}
