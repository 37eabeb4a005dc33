/* beneath the other files of the session: control frames that wait to be sent, octets kept until a
 * frame is whole, and the end of a link that broke a rule */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/session_priv.h"

#define WIRE_LEAST 256

int broken(struct session *session, int code, const char *format, ...)
{
	va_list list;

	if (session->failed != 0)
		return session->failed;
	va_start(list, format);
	(void)vsnprintf(session->bye.words, sizeof(session->bye.words), format, list);
	va_end(list);
	session->bye.code = session->failed = code;
	session->bye_due = true;
	session->bye_ms = session->now_ms;
	return code;
}

static int ctl_grow(struct session *session, size_t n)
{
	size_t used = session->ctl_end - session->ctl_at, cap = session->ctl_cap;
	uint8_t *bigger;

	if (session->ctl_at > 0)
		memmove(session->ctl, session->ctl + session->ctl_at, used);
	session->ctl_at = 0;
	session->ctl_end = used;
	if (cap - used >= n)
		return 0;
	while (cap - used < n)
		cap = cap == 0 ? 512 : 2 * cap;
	bigger = realloc(session->ctl, cap);
	if (bigger == NULL)
		return NX_ENOMEM;
	session->ctl = bigger;
	session->ctl_cap = cap;
	return 0;
}

void ctl_drop(struct session *session)
{
	free(session->ctl);
	session->ctl = NULL;
	session->ctl_at = session->ctl_end = session->ctl_cap = 0;
}

int say(struct session *session, const struct msg *msg)
{
	uint8_t frame[8192]; /* the longest words with every octet escaped are 1.5 KiB */
	int n = msg_write(msg, frame, sizeof(frame));

	if (n > 0 && session->ctl_cap - session->ctl_end < (size_t)n &&
	    ctl_grow(session, (size_t)n) < 0)
		n = NX_ENOMEM;
	if (n < 0)
		return broken(session, n, "no room for %s", frame_name((uint8_t)msg->type));
	memcpy(session->ctl + session->ctl_end, frame, (size_t)n);
	session->ctl_end += (size_t)n;
	session->gones += msg->type == FRAME_GONE;
	session->claim_answers += msg->type == FRAME_SUBSCRIBED || msg->type == FRAME_UNSUBSCRIBED;
	return 0;
}

int wire_keep(struct session *session, const uint8_t *p, size_t n)
{
	size_t needed = session->wire_n + n, cap = session->wire_cap;
	uint8_t *bigger;

	if (needed > cap) {
		while (cap < needed)
			cap = cap == 0 ? WIRE_LEAST : 2 * cap;
		bigger = realloc(session->wire, cap);
		if (bigger == NULL)
			return NX_ENOMEM;
		session->wire = bigger;
		session->wire_cap = cap;
	}
	if (n > 0)
		memcpy(session->wire + session->wire_n, p, n);
	session->wire_n += n;
	return 0;
}
