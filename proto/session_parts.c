/* parts: NEEDs of the peer that we serve, NEEDs of ours that it serves */
#include <assert.h>
#include <stdlib.h>

#include "proto/session_priv.h"

static struct handle *find(const struct handles *handles, uint64_t number)
{
	if (handles->kept == NULL || number == 0)
		return NULL;
	for (size_t i = 0; i < NEEDS_KEPT; i++)
		if (handles->kept[i].state != HANDLE_FREE && handles->kept[i].handle == number)
			return &handles->kept[i];
	return NULL;
}

static struct handle *find_open(const struct handles *handles, uint64_t number)
{
	struct handle *handle = find(handles, number);

	return handle != NULL && handle->state == HANDLE_OPEN ? handle : NULL;
}

/* a place for a new handle: a free one, or that of the oldest which is closed */
static struct handle *make(struct handles *handles, uint64_t number)
{
	struct handle *place = NULL;

	if (handles->kept == NULL)
		handles->kept = calloc(NEEDS_KEPT, sizeof(*handles->kept));
	if (handles->kept == NULL)
		return NULL;
	for (size_t i = 0; i < NEEDS_KEPT; i++) {
		struct handle *handle = &handles->kept[i];

		if (handle->state == HANDLE_OPEN)
			continue;
		if (handle->state == HANDLE_FREE) {
			place = handle;
			break;
		}
		if (place == NULL || handle->handle < place->handle)
			place = handle;
	}
	assert(place != NULL); /* fewer are open than are kept */
	handles->late += place->end - place->next;
	*place = (struct handle){ .handle = number, .state = HANDLE_OPEN };
	handles->last = number;
	handles->open++;
	return place;
}

static void shut(struct handles *handles, struct handle *handle, enum handle_state state)
{
	handles->open -= handle->state == HANDLE_OPEN;
	handle->state = state;
}

/* ---- the peer's */

static int say_gone(struct session *session, uint64_t handle, int code)
{
	struct msg msg = { .type = FRAME_GONE };

	if (session->gones >= GONES_MAX)
		return broken(session, NX_ENEEDFLOOD, "%u GONEs unread", session->gones);
	msg.gone.handle = handle;
	(void)strncat(msg.gone.code, nx_word(code < 0 ? code : NX_ENOTOPEN),
		      sizeof(msg.gone.code) - 1);
	return say(session, &msg);
}

/* an old handle again: more of the same, or of something that is forgotten */
static int extend(struct session *session, const struct need *need, struct handle *handle)
{
	struct handles *asked = &session->asked;

	if (handle == NULL || handle->state == HANDLE_GONE)
		return say_gone(session, need->handle, NX_ENOTOPEN);
	if (handle->state == HANDLE_STOPPED || handle->end != need->offset ||
	    memcmp(handle->sha256, need->sha256, sizeof(handle->sha256)) != 0)
		return broken(session, NX_ENEED, "NEED with an old handle that does not go on");
	if (handle->state == HANDLE_SERVED) {
		if (asked->open >= NEEDS_MAX)
			return broken(session, NX_ENEED, "more than %d open NEEDs", NEEDS_MAX);
		handle->state = HANDLE_OPEN;
		asked->open++;
	}
	handle->end += need->length;
	return 1;
}

static int open_need(struct session *session, const struct need *need)
{
	struct handle *handle;

	if (session->asked.open >= NEEDS_MAX)
		return broken(session, NX_ENEED, "more than %d open NEEDs", NEEDS_MAX);
	handle = make(&session->asked, need->handle);
	if (handle == NULL)
		return broken(session, NX_ENOMEM, "no room for NEEDs");
	handle->next = handle->accepted = need->offset;
	handle->end = need->offset + need->length;
	memcpy(handle->sha256, need->sha256, sizeof(handle->sha256));
	return 1;
}

int on_need(struct session *session, const struct msg *msg, struct session_event *ev)
{
	const struct need *need = &msg->need;
	int r;

	if (need->handle == 0 || need->length == 0 || need->offset >= COUNT_LIMIT ||
	    need->length >= COUNT_LIMIT - need->offset)
		return broken(session, NX_ENEED, "NEED with handle or length 0, or too long");
	if (need->handle > session->asked.last)
		r = open_need(session, need);
	else
		r = extend(session, need, find(&session->asked, need->handle));
	if (r <= 0)
		return r;
	ev->kind = SESSION_NEED;
	ev->need = *need;
	return 1;
}

int on_stop(struct session *session, const struct msg *msg, struct session_event *ev)
{
	struct handle *handle = find(&session->asked, msg->stop);
	bool open = handle != NULL && handle->state == HANDLE_OPEN;

	if (msg->stop == 0 || msg->stop > session->asked.last)
		return broken(session, NX_ENEED, "STOP of a handle never given");
	if (handle != NULL && handle->state != HANDLE_GONE)
		shut(&session->asked, handle, HANDLE_STOPPED);
	ev->kind = SESSION_STOP;
	ev->handle = msg->stop;
	return open;
}

void session_need_accept(struct session *session, uint64_t number, bool flash)
{
	struct handle *handle = find_open(&session->asked, number);

	if (handle == NULL)
		return;
	handle->accepted = handle->end;
	handle->flash = flash;
	handle->ready = true;
}

void session_need_ready(struct session *session, uint64_t number)
{
	struct handle *handle = find_open(&session->asked, number);

	if (handle != NULL)
		handle->ready = true;
}

void session_gone(struct session *session, uint64_t number, int code)
{
	struct handle *handle = find_open(&session->asked, number);

	if (handle == NULL)
		return;
	shut(&session->asked, handle, HANDLE_GONE);
	(void)say_gone(session, number, code);
}

static bool servable(const struct handle *handle)
{
	return handle->state == HANDLE_OPEN && handle->ready && handle->next < handle->accepted;
}

static bool before(const struct handle *a, const struct handle *b)
{
	if (a->flash != b->flash)
		return a->flash;
	return a->handle < b->handle;
}

/* whose turn it is: flash first, then in the order of handles */
static struct handle *next_served(const struct session *session)
{
	struct handle *next = NULL, *kept = session->asked.kept;

	if (session->asked.open == 0)
		return NULL;
	for (size_t i = 0; i < NEEDS_KEPT; i++)
		if (servable(&kept[i]) && (next == NULL || before(&kept[i], next)))
			next = &kept[i];
	return next;
}

bool parts_wait(const struct session *session)
{
	return next_served(session) != NULL;
}

static size_t data_frame(struct session *session, struct handle *handle, uint8_t *to, size_t n)
{
	uint8_t *at = to + FRAME_HEADER;

	put_u64(&at, handle->handle);
	put_u64(&at, handle->next);
	frame_header(&to, FRAME_DATA, DATA_HEAD + n);
	handle->next += n;
	session->stats.out_data += n;
	if (handle->next == handle->end)
		shut(&session->asked, handle, HANDLE_SERVED);
	return FRAME_HEADER + DATA_HEAD + n;
}

size_t part_frame(struct session *session, uint8_t *to, size_t payload_max)
{
	const struct session_source *source = &session->rules.source;
	struct handle *handle;

	while ((handle = next_served(session)) != NULL) {
		uint64_t left = handle->accepted - handle->next;
		size_t n = payload_max - DATA_HEAD;
		int r = NX_ENOTOPEN;

		n = left < n ? (size_t)left : n;
		handle->ready = false; /* unless the source says otherwise */
		if (source->part != NULL)
			r = source->part(session->rules.arg, handle->handle, handle->next,
					 to + FRAME_HEADER + DATA_HEAD, n);
		if (handle->state != HANDLE_OPEN)
			continue; /* the source gave it up itself */
		if (r < 0)
			session_gone(session, handle->handle, r);
		if (r <= 0)
			continue;
		handle->ready = true;
		return data_frame(session, handle, to, (size_t)r < n ? (size_t)r : n);
	}
	return 0;
}

/* ---- ours */

static int say_need(struct session *session, struct handle *handle, uint64_t length)
{
	struct msg msg = { .type = FRAME_NEED };

	msg.need.handle = handle->handle;
	msg.need.offset = handle->end;
	msg.need.length = length;
	memcpy(msg.need.sha256, handle->sha256, sizeof(msg.need.sha256));
	handle->end += length;
	return say(session, &msg);
}

uint64_t session_need(struct session *session, const uint8_t sha256[32], uint64_t offset,
		      uint64_t length)
{
	struct handle *handle;

	if (!session->greeted || session->failed != 0 || length == 0 ||
	    session->wanted.open >= NEEDS_MAX)
		return 0;
	handle = make(&session->wanted, session->wanted.last + 1);
	if (handle == NULL)
		return 0;
	handle->next = handle->end = offset;
	memcpy(handle->sha256, sha256, sizeof(handle->sha256));
	return say_need(session, handle, length) < 0 ? 0 : handle->handle;
}

bool session_need_more(struct session *session, uint64_t number, uint64_t length)
{
	struct handle *handle = find(&session->wanted, number);

	if (handle == NULL || session->failed != 0 || length == 0)
		return false;
	if (handle->state == HANDLE_SERVED && session->wanted.open < NEEDS_MAX) {
		handle->state = HANDLE_OPEN;
		session->wanted.open++;
	}
	return handle->state == HANDLE_OPEN && say_need(session, handle, length) == 0;
}

void session_stop(struct session *session, uint64_t number)
{
	struct handle *handle = find(&session->wanted, number);
	struct msg msg = { .type = FRAME_STOP, .stop = number };

	if (handle == NULL || (handle->state != HANDLE_OPEN && handle->state != HANDLE_SERVED))
		return;
	if (handle->state == HANDLE_OPEN)
		(void)say(session, &msg);
	shut(&session->wanted, handle, HANDLE_STOPPED);
}

/* octets that were on their way when we said STOP: thrown away, up to what was asked for */
static int on_late_data(struct session *session, struct handle *handle, size_t n)
{
	uint64_t allowed = handle != NULL ? handle->end - handle->next : session->wanted.late;

	if (n > allowed)
		return broken(session, NX_EDATA, "DATA beyond what was asked for");
	if (handle != NULL)
		handle->next += n;
	else
		session->wanted.late -= n;
	return 0;
}

int on_data(struct session *session, const struct msg *msg, struct session_event *ev)
{
	uint64_t number = msg->data.handle;
	struct handle *handle = find(&session->wanted, number);
	size_t n = msg->data.octets.n;

	if (number == 0 || number > session->wanted.last || n == 0)
		return broken(session, NX_EDATA, "DATA without octets, or never asked for");
	if (handle == NULL || handle->state != HANDLE_OPEN)
		return on_late_data(session, handle, n);
	if (msg->data.offset != handle->next || n > handle->end - handle->next)
		return broken(session, NX_EDATA, "DATA at a wrong offset, or too much of it");
	handle->next += n;
	session->stats.in_data += n;
	ev->kind = SESSION_DATA;
	ev->data.handle = number;
	ev->data.offset = msg->data.offset;
	ev->data.octets = msg->data.octets;
	ev->data.done = handle->next == handle->end;
	if (ev->data.done)
		shut(&session->wanted, handle, HANDLE_SERVED);
	return 1;
}

int on_gone(struct session *session, const struct msg *msg, struct session_event *ev)
{
	uint64_t number = msg->gone.handle;
	struct handle *handle = find(&session->wanted, number);
	bool open = handle != NULL && handle->state == HANDLE_OPEN;

	if (number == 0 || number > session->wanted.last)
		return broken(session, NX_EDATA, "GONE for a handle never given");
	if (handle == NULL || handle->state == HANDLE_SERVED)
		return 0;
	shut(&session->wanted, handle, HANDLE_GONE);
	handle->end = handle->next;
	ev->kind = SESSION_GONE;
	ev->gone.handle = number;
	memcpy(ev->gone.code, msg->gone.code, sizeof(ev->gone.code));
	return open;
}
