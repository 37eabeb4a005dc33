/* claims of both sides */
#include <stdlib.h>

#include "proto/session_priv.h"

static struct claim *claim_add(struct claims *claims, const char *name, uint32_t number)
{
	unsigned cap = claims->cap == 0 ? 4 : 2 * claims->cap;
	struct claim *bigger, *claim;

	if (claims->n == claims->cap) {
		bigger = reallocarray(claims->list, cap, sizeof(*claims->list));
		if (bigger == NULL)
			return NULL;
		claims->list = bigger;
		claims->cap = cap;
	}
	claim = &claims->list[claims->n++];
	*claim = (struct claim){ .number = number };
	(void)strncat(claim->name, name, sizeof(claim->name) - 1);
	return claim;
}

static struct claim *claim_find(const struct claims *claims, uint32_t number)
{
	for (unsigned i = 0; i < claims->n; i++)
		if (claims->list[i].number == number)
			return &claims->list[i];
	return NULL;
}

/* one of ours that was asked for and is not answered */
static struct claim *claim_asked(const struct claims *claims, const char *name)
{
	for (unsigned i = 0; i < claims->n; i++)
		if (claims->list[i].number == 0 && strcmp(claims->list[i].name, name) == 0)
			return &claims->list[i];
	return NULL;
}

static void claim_remove(struct claims *claims, struct claim *claim)
{
	*claim = claims->list[--claims->n];
}

/* ---- the peer's */

static bool flooded(const struct session *session)
{
	return session->subscribes + session->releases + session->claim_answers >= CLAIMS_MAX;
}

int on_subscribe(struct session *session, const struct msg *msg, struct session_event *ev)
{
	if (session->heard_bye)
		return broken(session, NX_ESTATE, "SUBSCRIBE after BYE");
	if (flooded(session) || session->given.n + session->subscribes >= CLAIMS_MAX)
		return broken(session, NX_ECLAIMFLOOD, "more than %d claims", CLAIMS_MAX);
	session->subscribes++;
	ev->kind = SESSION_SUBSCRIBE;
	ev->subscribe = msg->subscribe;
	return 1;
}

int on_unsubscribe(struct session *session, const struct msg *msg, struct session_event *ev)
{
	uint32_t number = msg->unsubscribe;
	struct claim *claim = claim_find(&session->given, number);

	if (number == 0 || number > session->given.highest)
		return broken(session, NX_ECLAIM, "UNSUBSCRIBE %u, never given", number);
	if (claim == NULL || claim->leaving)
		return 0; /* it crossed our UNSUBSCRIBED */
	if (flooded(session))
		return broken(session, NX_ECLAIMFLOOD, "more than %d claims and releases unread",
			      CLAIMS_MAX);
	claim->leaving = true;
	session->releases++;
	ev->kind = SESSION_UNSUBSCRIBE;
	ev->number = number;
	return 1;
}

static int say_claim(struct session *session, const struct msg *msg)
{
	if (session->claim_answers >= CLAIMS_MAX)
		return broken(session, NX_ECLAIMFLOOD, "%u answers to claims unread",
			      session->claim_answers);
	return say(session, msg);
}

int session_subscribed(struct session *session, const struct subscribed *subscribed)
{
	struct claims *given = &session->given;
	struct msg msg = { .type = FRAME_SUBSCRIBED };

	if (subscribed->number == 0 || claim_find(given, subscribed->number) != NULL)
		return NX_EARG;
	if (claim_add(given, "", subscribed->number) == NULL)
		return broken(session, NX_ENOMEM, "no room for claims");
	if (subscribed->number > given->highest)
		given->highest = subscribed->number;
	session->subscribes -= session->subscribes > 0;
	msg.subscribed = *subscribed;
	return say_claim(session, &msg);
}

int session_unsubscribed(struct session *session, const char *name, uint32_t number, int code,
			 const char *words)
{
	struct claim *claim = claim_find(&session->given, number);
	struct msg msg = { .type = FRAME_UNSUBSCRIBED };

	if (number != 0 && claim == NULL)
		return 0; /* has ended already */
	if (claim == NULL) {
		session->subscribes -= session->subscribes > 0;
	} else {
		session->releases -= claim->leaving;
		claim_remove(&session->given, claim);
	}
	msg.unsubscribed.number = number;
	(void)strncat(msg.unsubscribed.name, name, sizeof(msg.unsubscribed.name) - 1);
	(void)strncat(msg.unsubscribed.code, nx_word(code < 0 ? code : NX_ERELEASED),
		      sizeof(msg.unsubscribed.code) - 1);
	if (words != NULL)
		(void)strncat(msg.unsubscribed.words, words, sizeof(msg.unsubscribed.words) - 1);
	return say_claim(session, &msg);
}

/* ---- ours */

int session_subscribe(struct session *session, const char *name, bool has_position, uint64_t epoch,
		      uint64_t position)
{
	struct msg msg = { .type = FRAME_SUBSCRIBE };

	if (!session->greeted || session->said_bye || session->failed != 0)
		return NX_ESTATE;
	if (*name == '\0' || strlen(name) > NAME_MAX_)
		return NX_EARG;
	if (session->held.n >= CLAIMS_MAX)
		return NX_EFULL;
	if (claim_add(&session->held, name, 0) == NULL)
		return NX_ENOMEM;
	(void)strcpy(msg.subscribe.name, name);
	msg.subscribe.has_position = has_position;
	msg.subscribe.epoch = epoch;
	msg.subscribe.position = position;
	return say(session, &msg);
}

int session_unsubscribe(struct session *session, uint32_t number)
{
	struct claim *claim = claim_find(&session->held, number);
	struct msg msg = { .type = FRAME_UNSUBSCRIBE, .unsubscribe = number };

	if (number == 0 || claim == NULL || claim->leaving)
		return NX_EARG;
	claim->leaving = true;
	return say(session, &msg);
}

int on_subscribed(struct session *session, const struct msg *msg, struct session_event *ev)
{
	const struct subscribed *subscribed = &msg->subscribed;
	struct claim *claim = claim_asked(&session->held, subscribed->name);

	if (claim == NULL || claim_find(&session->held, subscribed->number) != NULL)
		return broken(session, NX_ECLAIM, "SUBSCRIBED not asked for, or a number in use");
	claim->number = subscribed->number;
	if (claim->number > session->held.highest)
		session->held.highest = claim->number;
	ev->kind = SESSION_SUBSCRIBED;
	ev->subscribed = *subscribed;
	return 1;
}

int on_unsubscribed(struct session *session, const struct msg *msg, struct session_event *ev)
{
	const struct unsubscribed *unsubscribed = &msg->unsubscribed;
	uint32_t number = unsubscribed->number;
	struct claim *claim = number == 0 ? claim_asked(&session->held, unsubscribed->name)
					  : claim_find(&session->held, number);

	if (claim == NULL && (number == 0 || number > session->held.highest))
		return broken(session, NX_ECLAIM, "UNSUBSCRIBED of what is not held");
	if (claim == NULL)
		return 0;
	claim_remove(&session->held, claim);
	ev->kind = SESSION_UNSUBSCRIBED;
	ev->unsubscribed = *unsubscribed;
	return 1;
}
