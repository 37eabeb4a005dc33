#include "actor.h"
#include "base/clock.h"
#include "base/hash.h"
#include "proto/envelope.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- photos */

struct photo photo_of(struct stage *stage, uint64_t seed, size_t n)
{
	struct photo photo = { .octets = stage_alloc(stage, n), .n = n };

	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		photo.octets[i] = (uint8_t)(seed >> 56);
	}
	sha256_of(photo.octets, n, photo.sha256);
	return photo;
}

/* ---- what the session asks us for */

static bool source_item(void *arg, enum session_class class, uint64_t id, struct session_out *out)
{
	struct actor *actor = arg;

	for (unsigned i = 0; i < actor->offers_n; i++) {
		struct offer *offer = actor->offers[i];

		if (offer->sent || (class == CLASS_FLASH) != (offer->lane == LANE_FLASH) ||
		    class == CLASS_BACKLOG)
			continue;
		offer->sent = true;
		offer->id = id;
		out->subscription = 0;
		out->position = out->sequence = 0;
		out->envelope = slice_of(offer->octets, offer->envelope_n);
		out->document = slice_of(offer->octets + offer->envelope_n, offer->document_n);
		return true;
	}
	return false;
}

static void source_sent(void *arg, uint64_t id)
{
	(void)arg, (void)id;
}

static struct offer *offer_by_id(struct actor *actor, uint64_t id)
{
	for (unsigned i = 0; i < actor->offers_n; i++)
		if (actor->offers[i]->sent && actor->offers[i]->id == id &&
		    actor->offers[i]->answer == NO_ANSWER_YET)
			return actor->offers[i];
	return NULL;
}

static const struct photo *photo_asked(struct actor *actor, const uint8_t sha256[32])
{
	for (unsigned i = 0; i < actor->offers_n; i++)
		if (actor->offers[i]->sent && actor->offers[i]->photo.octets != NULL &&
		    memcmp(actor->offers[i]->photo.sha256, sha256, 32) == 0)
			return &actor->offers[i]->photo;
	return NULL;
}

struct asked { /* NEEDs of the hub: handle to hash, for the latest 64 */
	uint64_t handle;
	uint8_t sha256[32];
};

static struct asked *asked_slot(struct actor *actor, uint64_t handle)
{
	static struct asked table[4096]; /* by actor and handle */
	size_t h = (size_t)(((uintptr_t)actor >> 6) * 31 + handle * 7 + actor->links * 101) % 4096;

	return &table[h];
}

static int source_part(void *arg, uint64_t handle, uint64_t offset, uint8_t *to, size_t n)
{
	struct actor *actor = arg;
	const struct photo *photo = photo_asked(actor, asked_slot(actor, handle)->sha256);
	size_t left;

	if (photo == NULL)
		return NX_ENOTOPEN;
	if (offset >= actor->part_end)
		return 0;
	left = actor->part_end < photo->n ? (size_t)(actor->part_end - offset)
					  : photo->n - (size_t)offset;
	n = n < left ? n : left;
	memcpy(to, photo->octets + offset, n);
	if (actor->lies)
		to[0] ^= 1;
	actor->data_out += n;
	return (int)n;
}

/* ---- life */

struct actor *actor_new(struct stage *stage, const char *name)
{
	struct actor *actor = calloc(1, sizeof(*actor)), **at = &stage->actors;

	assert_non_null(actor);
	actor->stage = stage;
	actor->part_end = UINT64_MAX;
	actor->credit_items = 1000;
	snprintf(actor->name, sizeof(actor->name), "%s", name);
	snprintf(actor->boot, sizeof(actor->boot), "b0");
	while (*at != NULL)
		at = &(*at)->next;
	*at = actor;
	return actor;
}

void actor_cut(struct actor *actor)
{
	if (actor->line != NULL) {
		line_cut(actor->line);
		line_let_go(&actor->line);
	}
	session_free(&actor->session);
}

static void got_free(struct got *got)
{
	free(got->octets);
	free(got->photo);
	free(got);
}

void actor_free(struct actor **at)
{
	struct actor *actor = *at, **in = &actor->stage->actors;

	*at = NULL;
	actor_cut(actor);
	while (*in != actor)
		in = &(*in)->next;
	*in = actor->next;
	for (unsigned i = 0; i < actor->offers_n; i++) {
		free(actor->offers[i]->octets);
		free(actor->offers[i]);
	}
	for (unsigned i = 0; i < actor->gots_n; i++)
		got_free(actor->gots[i]);
	free(actor->offers);
	free(actor->gots);
	free(actor);
}

int actor_dial(struct actor *actor)
{
	struct session_conf conf = {
		.source = { .item = source_item, .sent = source_sent, .part = source_part },
		.arg = actor,
		.ahead_items = actor->ahead,
	};
	int code;

	actor_cut(actor);
	actor->line = line_dial(actor->stage->exchange->loop, actor->name, &code);
	if (actor->line == NULL)
		return code;
	actor->links++;
	actor->hello = actor->bye = false;
	actor->subscribed_n = actor->unsubscribed_n = actor->needs_n = actor->gones_n = 0;
	snprintf(conf.hello.node, sizeof(conf.hello.node), "%s", actor->name);
	snprintf(conf.hello.boot, sizeof(conf.hello.boot), "%s", actor->boot);
	conf.hello.max = (struct limits){ .frame = FRAME_FLOOR,
					  .document = 1 << 20,
					  .envelope = 1 << 18,
					  .parts = 64,
					  .part = 1 << 28 };
	actor->session = session_new(&conf, clock_boot_ms());
	assert_non_null(actor->session);
	actor_credit(actor, actor->credit_items);
	for (unsigned i = 0; i < actor->offers_n; i++) /* what is not answered is offered again */
		if (actor->offers[i]->answer == NO_ANSWER_YET)
			actor->offers[i]->sent = false;
	session_item_ready(actor->session, CLASS_FLASH);
	session_item_ready(actor->session, CLASS_ROUTINE);
	return 0;
}

struct actor *actor_enter(struct stage *stage, const char *name)
{
	struct actor *actor = actor_new(stage, name);

	assert_int_equal(actor_dial(actor), 0);
	stage_settle(stage);
	return actor;
}

void actor_claim(struct actor *actor, const char *subscription)
{
	actor_subscribe(actor, subscription);
	stage_settle(actor->stage);
	assert_int_equal(actor->subscribed_n, 1);
}

struct actor *actor_reader(struct stage *stage, const char *name, const char *subscription)
{
	struct actor *actor = actor_enter(stage, name);

	actor_claim(actor, subscription);
	return actor;
}

void actor_back(struct actor *actor, const char *subscription)
{
	assert_int_equal(actor_dial(actor), 0);
	stage_settle(actor->stage);
	actor_claim(actor, subscription);
}

bool actor_is_out(const struct actor *actor)
{
	return actor->line == NULL || line_is_over(actor->line);
}

void actor_credit(struct actor *actor, uint64_t items)
{
	actor->credit_items = items;
	session_window(actor->session, LANE_ROUTINE, items, items == 0 ? 0 : 1 << 24);
	session_window(actor->session, LANE_FLASH, items, 1 << 24);
}

/* ---- publishing */

__attribute__((format(printf, 3, 4))) static void put(char **text, size_t *n, const char *format,
						      ...)
{
	va_list list;
	char *more = NULL;
	int len;

	va_start(list, format);
	len = vasprintf(&more, format, list);
	va_end(list);
	assert_true(len >= 0);
	*text = realloc(*text, *n + (size_t)len + 1);
	assert_non_null(*text);
	memcpy(*text + *n, more, (size_t)len + 1);
	*n += (size_t)len;
	free(more);
}

static void put_document(char **text, size_t *n, const struct story *story)
{
	char when[32];

	put(text, n, "{\"uri\":\"%s\",\"version\":\"%s\",\"headline\":\"%s\"", story->uri,
	    story->version == NULL ? "1" : story->version,
	    story->words == NULL ? "words" : story->words);
	if (story->urgency > 0)
		put(text, n, ",\"urgency\":%d", story->urgency);
	if (story->kill)
		put(text, n, ",\"pubstatus\":\"canceled\"");
	if (story->embargo_ms != 0) {
		clock_rfc3339(story->embargo_ms, when);
		put(text, n, ",\"embargoed\":\"%s\"", when);
	}
	if (story->photo != NULL)
		put(text, n, ",\"renditions\":{\"r\":{\"href\":\"p.jpg\"}}");
	if (story->pad > 0)
		put(text, n, ",\"body\":\"%*s\"", (int)story->pad, "");
	put(text, n, "}");
}

static const char *channel_of(const struct actor *actor, const struct story *story, char to[64])
{
	if (story->channel != NULL)
		return story->channel;
	snprintf(to, 64, "%s.news", actor->name);
	return to;
}

struct offer *actor_offer(struct actor *actor, const struct story *story)
{
	struct offer *offer = calloc(1, sizeof(*offer));
	char *text = NULL, hex[65], channel[64];
	size_t n = 0;

	assert_non_null(offer);
	put(&text, &n, "{\"channel\":\"%s\"", channel_of(actor, story, channel));
	if (story->photo != NULL) {
		hex_of(story->photo->sha256, 32, hex);
		put(&text, &n, ",\"parts\":[{\"name\":\"p.jpg\",\"size\":%zu,\"sha256\":\"%s\"}]",
		    story->photo->n, hex);
		offer->photo = *story->photo;
	}
	put(&text, &n, "}");
	offer->envelope_n = (uint32_t)n;
	put_document(&text, &n, story);
	offer->document_n = (uint32_t)n - offer->envelope_n;
	offer->octets = (uint8_t *)text;
	offer->lane = !story->routine && (story->kill || story->urgency == 1 || story->urgency == 2)
			      ? LANE_FLASH
			      : LANE_ROUTINE;
	snprintf(offer->uri, sizeof(offer->uri), "%s", story->uri);
	snprintf(offer->version, sizeof(offer->version), "%s",
		 story->version == NULL ? "1" : story->version);
	actor->offers = realloc(actor->offers, (actor->offers_n + 1) * sizeof(*actor->offers));
	assert_non_null(actor->offers);
	actor->offers[actor->offers_n++] = offer;
	if (actor->session != NULL)
		session_item_ready(actor->session,
				   offer->lane == LANE_FLASH ? CLASS_FLASH : CLASS_ROUTINE);
	return offer;
}

void actor_again(struct actor *actor, struct offer *offer)
{
	offer->sent = false;
	offer->answer = NO_ANSWER_YET;
	offer->answers = 0;
	session_item_ready(actor->session, offer->lane == LANE_FLASH ? CLASS_FLASH : CLASS_ROUTINE);
}

void actor_withdraw(struct actor *actor, struct offer *offer)
{
	session_withdraw(actor->session, offer->id, NX_EWITHDRAWN);
}

/* ---- receiving */

void actor_subscribe(struct actor *actor, const char *name)
{
	assert_int_equal(session_subscribe(actor->session, name, false, 0, 0), 0);
}

void actor_ack(struct actor *actor, struct got *got)
{
	struct ack ack = { .id = got->id,
			   .result = RESULT_STORED,
			   .stage = STAGE_COMPLETE,
			   .stored_at_ms = (uint64_t)clock_wall_ms() };

	if (!got->answered && got->link == actor->links && actor->session != NULL)
		session_ack(actor->session, &ack);
	got->acked = got->acked || !got->answered;
	got->answered = true;
}

void actor_refuse(struct actor *actor, struct got *got, int code, enum nx_retry retry,
		  int64_t after_ms)
{
	if (!got->answered && got->link == actor->links && actor->session != NULL)
		session_refuse(actor->session, got->id, code, retry, after_ms, "");
	got->later = got->later || (!got->answered && retry == NX_LATER);
	got->answered = true;
}

void actor_pull(struct actor *actor, struct got *got)
{
	got->handle = session_need(actor->session, got->sha256, 0, got->photo_n);
	assert_true(got->handle != 0);
}

static void text_after(const uint8_t *p, size_t n, const char *key, char *to, size_t size)
{
	const uint8_t *at = memmem(p, n, key, strlen(key));
	size_t len = 0;

	to[0] = '\0';
	if (at == NULL)
		return;
	at += strlen(key);
	while (len < size - 1 && at + len < p + n && at[len] != '"')
		len++;
	memcpy(to, at, len);
	to[len] = '\0';
}

static void read_parts(struct got *got)
{
	struct envelope envelope;

	assert_int_equal(envelope_read(slice_of(got->octets, got->envelope_n), 64, &envelope, NULL),
			 0);
	if (envelope.parts_n > 0) {
		got->has_photo = true;
		got->photo_n = envelope.parts[0].size;
		memcpy(got->sha256, envelope.parts[0].sha256, 32);
		got->photo = malloc(got->photo_n);
		assert_non_null(got->photo);
	}
	envelope_done(&envelope);
}

static void on_item(struct actor *actor, struct session_event *event)
{
	struct got *got = calloc(1, sizeof(*got));
	const struct item_head *head = &event->item.head;
	const uint8_t *document = event->item.octets + head->envelope_len;

	assert_non_null(got);
	*got = (struct got){ .id = head->id,
			     .position = head->position,
			     .sequence = head->sequence,
			     .subscription = head->subscription,
			     .lane = head->lane,
			     .octets = event->item.octets,
			     .envelope_n = head->envelope_len,
			     .document_n = head->document_len,
			     .link = actor->links,
			     .at_ms = clock_boot_ms() };
	text_after(document, head->document_len, "\"uri\":\"", got->uri, sizeof(got->uri));
	text_after(document, head->document_len, "\"version\":\"", got->version,
		   sizeof(got->version));
	got->kill = memmem(document, head->document_len, "canceled", 8) != NULL;
	read_parts(got);
	actor->gots = realloc(actor->gots, (actor->gots_n + 1) * sizeof(*actor->gots));
	assert_non_null(actor->gots);
	actor->gots[actor->gots_n++] = got;
	if (actor->answers && got->has_photo)
		actor_pull(actor, got);
	else if (actor->answers)
		actor_ack(actor, got);
}

static void on_data(struct actor *actor, const struct session_event *event)
{
	for (unsigned i = 0; i < actor->gots_n; i++) {
		struct got *got = actor->gots[i];

		if (got->handle != event->data.handle || got->link != actor->links)
			continue;
		memcpy(got->photo + event->data.offset, event->data.octets.p, event->data.octets.n);
		got->photo_got += event->data.octets.n;
		if (event->data.done && actor->answers)
			actor_ack(actor, got);
	}
}

static void on_withdraw(struct actor *actor, const struct session_event *event)
{
	for (unsigned i = 0; i < actor->gots_n; i++) {
		struct got *got = actor->gots[i];

		if (got->id != event->withdraw.id || got->link != actor->links)
			continue;
		got->withdrawn = true;
		snprintf(got->withdrawn_code, sizeof(got->withdrawn_code), "%s",
			 event->withdraw.code);
		if (actor->answers)
			actor_refuse(actor, got, NX_EWITHDRAWN, NX_NEVER, 0);
		return;
	}
	/* half-sent: it is gone, and answered */
	session_refuse(actor->session, event->withdraw.id, NX_EWITHDRAWN, NX_NEVER, 0, "");
}

static void on_answer(struct actor *actor, const struct session_event *event)
{
	bool ack = event->kind == SESSION_ANSWER;
	struct offer *offer = offer_by_id(actor, ack ? event->ack.id : event->refuse.id);

	if (offer == NULL)
		fail_msg("%s heard an answer to nothing", actor->name);
	offer->answers++;
	offer->answer = ack ? ACKED : REFUSED;
	if (ack)
		offer->ack = event->ack;
	else
		offer->refuse = event->refuse;
}

static void on_need(struct actor *actor, const struct need *need)
{
	struct asked *slot = asked_slot(actor, need->handle);

	actor->needs_n++;
	actor->need = *need;
	slot->handle = need->handle;
	memcpy(slot->sha256, need->sha256, 32);
	if (photo_asked(actor, need->sha256) != NULL)
		session_need_accept(actor->session, need->handle, false);
	else
		session_gone(actor->session, need->handle, NX_ENOTOPEN);
}

static void on_event(struct actor *actor, struct session_event *event)
{
	switch (event->kind) {
	case SESSION_HELLO:
		actor->hello = true;
		break;
	case SESSION_SUBSCRIBED:
		actor->subscribed = event->subscribed;
		actor->subscribed_n++;
		break;
	case SESSION_UNSUBSCRIBED:
		actor->unsubscribed = event->unsubscribed;
		actor->unsubscribed_n++;
		break;
	case SESSION_ITEM_BEGIN:
		if (actor->stingy)
			session_window(actor->session, LANE_ROUTINE, 0, 0);
		break;
	case SESSION_ITEM:
		on_item(actor, event);
		break;
	case SESSION_ITEM_DROPPED:
		fail_msg("%s could not take an item", actor->name);
		break;
	case SESSION_WITHDRAW:
		on_withdraw(actor, event);
		break;
	case SESSION_NEED:
		on_need(actor, &event->need);
		break;
	case SESSION_DATA:
		on_data(actor, event);
		break;
	case SESSION_GONE:
		actor->gones_n++;
		break;
	case SESSION_ANSWER:
	case SESSION_REFUSED:
		on_answer(actor, event);
		break;
	case SESSION_BYE:
		actor->bye = true;
		snprintf(actor->bye_code, sizeof(actor->bye_code), "%s", event->bye.code);
		break;
	default:
		break;
	}
}

/* the first frame of these octets; 0: it is not all here */
static size_t frame_size(struct slice octets)
{
	const uint8_t *p = octets.p;
	size_t n;

	if (octets.n < FRAME_HEADER)
		return 0;
	n = FRAME_HEADER + ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
	return n <= octets.n ? n : 0;
}

/* one more; true: and now the line is cut */
static bool was_last_frame(struct actor *actor)
{
	if (actor->frames_left == 0 || --actor->frames_left > 0)
		return false;
	actor_cut(actor);
	return true;
}

static bool hear(struct actor *actor)
{
	struct slice all = line_peek(actor->line), in;
	struct session_event event;
	struct why why = { 0 };
	int r = 1;

	if (actor->frames_left > 0)
		all.n = frame_size(all);
	in = all;
	while (r > 0 && (in.n > 0 || all.n > 0)) {
		r = session_feed(actor->session, &in, clock_boot_ms(), clock_wall_ms(), &event,
				 &why);
		if (r > 0)
			on_event(actor, &event);
	}
	if (r < 0)
		fail_msg("the hub broke a rule towards %s: %s %s", actor->name, nx_word(r),
			 why.words);
	line_take(actor->line, all.n - in.n);
	if (all.n > 0)
		(void)was_last_frame(actor);
	return all.n > 0;
}

/* true: the line is cut */
static bool say(struct actor *actor, struct slice frames)
{
	size_t n = frames.n;

	for (; frames.n > 0; frames.p += n, frames.n -= n) {
		if (actor->frames_left > 0)
			n = frame_size(frames);
		if (!actor->loses || actor->frames_left != 1)
			line_write(actor->line, frames.p, n);
		if (was_last_frame(actor))
			return true;
	}
	return false;
}

static bool speak(struct actor *actor)
{
	static uint8_t frame[FRAME_HEADER + FRAME_FLOOR];
	bool any = false;
	size_t n;

	/* of a line's worth a turn, so that others have theirs */
	for (unsigned i = 0; i < 32; i++) {
		n = session_frame(actor->session, frame, sizeof(frame), FRAME_SMALL,
				  clock_boot_ms(), clock_wall_ms());
		if (n == 0)
			break;
		any = true;
		if (say(actor, slice_of(frame, n)))
			break;
	}
	return any;
}

bool actor_turn(struct actor *actor)
{
	bool any = false;

	if (actor->session == NULL || actor->line == NULL)
		return false;
	if (!actor->deaf)
		any = hear(actor);
	if (!actor->mute && actor->line != NULL && !line_is_over(actor->line))
		any = speak(actor) || any;
	return any;
}

/* ---- looking back */

struct got *actor_got(struct actor *actor, const char *uri, const char *version)
{
	for (unsigned i = actor->gots_n; i > 0; i--) {
		struct got *got = actor->gots[i - 1];

		if (strcmp(got->uri, uri) == 0 &&
		    (version == NULL || strcmp(got->version, version) == 0))
			return got;
	}
	return NULL;
}

unsigned actor_count(const struct actor *actor, const char *uri, const char *version)
{
	unsigned n = 0;

	for (unsigned i = 0; i < actor->gots_n; i++)
		n += strcmp(actor->gots[i]->uri, uri) == 0 &&
		     (version == NULL || strcmp(actor->gots[i]->version, version) == 0);
	return n;
}

bool actor_saw(const struct actor *actor, const char *words)
{
	for (unsigned i = 0; i < actor->gots_n; i++) {
		const struct got *got = actor->gots[i];

		if (memmem(got->octets, (size_t)got->envelope_n + got->document_n, words,
			   strlen(words)) != NULL)
			return true;
	}
	return false;
}
