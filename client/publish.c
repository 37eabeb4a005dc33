#include "client/publish.h"
#include "client/publisher.h"
#include "client/report.h"
#include "client/signals.h"

#include <stdlib.h>

#define WAITING_MAX  32        /* items read ahead */
#define READ_AT_ONCE (8 << 20) /* octets of parts hashed before the link has its turn again */
#define FINISH_MS    5000

static void on_event(struct publish *p, struct link *link, struct session_event *event)
{
	switch (event->kind) {
	case SESSION_HELLO:
		held_check(&p->held, &event->hello);
		break;
	case SESSION_ANSWER:
		offer_acked(p, link, &event->ack);
		break;
	case SESSION_REFUSED:
		offer_refused(p, link, &event->refuse);
		break;
	case SESSION_NEED:
		offer_need(p, link, &event->need);
		break;
	case SESSION_SUBSCRIBE:
		session_unsubscribed(link_session(link), event->subscribe.name, 0, NX_ENOSUB,
				     "newsxctl publish serves no subscriptions");
		break;
	case SESSION_ITEM: /* nothing was asked for */
		free(event->item.octets);
		session_refuse(link_session(link), event->item.head.id, NX_ENOTALLOWED, NX_NEVER, 0,
			       "newsxctl publish takes nothing");
		break;
	case SESSION_ITEM_DROPPED:
		session_refuse(link_session(link), event->id, NX_ENOTALLOWED, NX_NEVER, 0,
			       "newsxctl publish takes nothing");
		break;
	case SESSION_BYE:
		report_words("the exchange says goodbye: %s%s%s", event->bye.code,
			     event->bye.words[0] ? ": " : "", event->bye.words);
		p->ending = true;
		break;
	default:
		break;
	}
}

/* read ahead, a little at a time. true: there is more that could be read at once */
static bool fill(struct publish *p, struct link *link)
{
	uint64_t octets = 0;

	while (p->waiting[LANE_ROUTINE].n + p->waiting[LANE_FLASH].n < WAITING_MAX && !p->ending) {
		struct why why = { 0 };
		struct entry *entry;
		struct outbox *box = NULL;
		int r = input_next(&p->input, &box, &why);

		if (r == 0)
			return false;
		if (r < 0) {
			offer_unusable(p, p->input.name, r, &why);
			continue;
		}
		entry = calloc(1, sizeof(*entry));
		if (entry == NULL) {
			outbox_free(&box);
			offer_unusable(p, p->input.name, NX_ENOMEM, &why);
			continue;
		}
		entry->box = box;
		offer_add(&p->waiting[box->flash ? LANE_FLASH : LANE_ROUTINE], entry);
		session_item_ready(link_session(link), box->flash ? CLASS_FLASH : CLASS_ROUTINE);
		octets += box->document_n;
		for (unsigned i = 0; i < box->parts_n; i++)
			octets += box->parts[i].size;
		if (octets > READ_AT_ONCE)
			return true;
	}
	return false;
}

static bool is_done(const struct publish *p)
{
	if (p->open.n > 0)
		return false;
	return p->ending || (input_over(&p->input) && p->waiting[LANE_ROUTINE].n == 0 &&
			     p->waiting[LANE_FLASH].n == 0);
}

static void interrupted(struct publish *p, struct link *link)
{
	report_words("interrupted: waiting for the answers that are on their way");
	p->ending = true;
	session_bye(link_session(link), NX_EBYE, "interrupted");
}

/* returns 0 when all is said, negative when the link was lost */
static int converse(struct publish *p, struct link *link, int signals, struct why *why)
{
	for (;;) {
		struct pollfd also[2] = { { .fd = signals, .events = POLLIN },
					  { .fd = -1, .events = POLLIN } };
		struct session_event event;
		bool more;
		int r;

		while ((r = link_event(link, &event, why)) > 0)
			on_event(p, link, &event);
		if (r < 0)
			return r;
		more = fill(p, link);
		if (is_done(p))
			return 0;
		if (p->waiting[LANE_ROUTINE].n + p->waiting[LANE_FLASH].n < WAITING_MAX &&
		    !p->ending)
			also[1].fd = input_waits(&p->input);
		r = link_turn(link, also, 2, more ? 0 : INT64_MAX, why);
		if (r < 0)
			return r;
		if (also[0].revents != 0 && signals_take(signals) != 0 && !p->ending)
			interrupted(p, link);
	}
}

static int status_of(const struct publish *p)
{
	if (p->unreadable)
		return 2;
	return p->never ? 1 : p->later ? 75 : 0;
}

int publish_talk(struct publish *publish, struct link *link)
{
	struct why why = { 0 };
	int signals = signals_open(), r;

	publish->session = link_session(link);
	r = converse(publish, link, signals, &why);
	if (r < 0 && !publish->ending)
		report_words("%s", why.words);
	publish->ending = true;
	for (struct entry *at = publish->open.first; at != NULL; at = at->next)
		offer_undelivered(publish, at, r < 0 ? r : NX_EBYE);
	offer_forget_rest(publish, r < 0 ? r : NX_EBYE);
	link_finish(link, NX_EBYE, "done", r < 0 ? 200 : FINISH_MS);
	publish->session = NULL;
	signals_close(&signals);
	return status_of(publish);
}

/* the connection came to nothing for a reason that another try does not mend */
static int status_of_found(int status, const struct found *found)
{
	return status == 75 && step_mends(found->failed) ? step_status(found->failed) : status;
}

int publish_run(const struct publish_options *options)
{
	struct publish *publish = publish_new(options);
	struct link_conf to = options->link;
	struct session_conf conf;
	struct link *link = NULL;
	struct found found = { 0 };
	struct why why = { 0 };
	int r, status;

	if (publish == NULL) {
		report_words("out of memory");
		return 75;
	}
	if (held_open(&publish->held, options->state, options->link.identity, options->link.server,
		      &why) < 0) {
		report_words("%s", why.words);
		publish_free(&publish);
		return 2;
	}
	link_session_conf(&conf, options->link.identity);
	held_say(&publish->held, &conf.hello);
	publish_source(publish, &conf);
	to.found = &found;
	r = link_open(&to, &conf, &link, &why);
	if (r < 0) {
		report_words("%s", why.words);
		if (r != NX_EARG)
			offer_forget_rest(publish, r);
		status = r == NX_EARG ? 2 : 75;
	} else {
		status = publish_talk(publish, link);
	}
	link_close(&link);
	publish_free(&publish);
	return status_of_found(status, &found);
}
