#include "client/subscribe.h"
#include "base/clock.h"
#include "client/report.h"
#include "client/rights.h"
#include "client/signals.h"
#include "client/subscriber.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define FLUSH_MS  1000
#define FINISH_MS 3000

/* ---- events */

static void item(struct subscriber *s, struct session_event *event)
{
	struct arrival *arrival = NULL;
	struct why why = { 0 };
	int r = arrival_new(&s->inbox, s->fetches, &event->item.head, event->item.octets, &arrival,
			    &why);

	s->moved_ms = clock_boot_ms();
	if (r == 0) {
		settle_add(s, arrival);
		return;
	}
	settle_refuse(s, arrival, event->item.head.id, r, why.words);
	arrival_free(&arrival, &s->inbox, s->fetches, s->session);
}

static void dropped(struct subscriber *s, const struct session_event *event)
{
	int code = event->code < 0 ? event->code : NX_EBUSY;

	settle_refuse(s, NULL, event->id, code, "the item is larger than newsxctl takes");
}

static void withdrawn(struct subscriber *s, const struct session_event *event)
{
	struct arrival *at = s->first;

	if (event->withdraw.whole) {
		while (at != NULL && at->head.id != event->withdraw.id)
			at = at->next;
		/* what the command has in hand is finished, and answered as it ends */
		if (at == NULL || at->state == ARRIVAL_RUNNING)
			return;
		settle_forget(s, at);
	}
	session_refuse(s->session, event->withdraw.id, NX_EWITHDRAWN, NX_NEVER, 0, NULL);
}

/* only now is anything made under OUT: a name that was mistyped leaves nothing there */
static void subscribed(struct subscriber *s, const struct subscribed *subscribed)
{
	struct why why = { 0 };

	if (s->inbox.dir < 0 && inbox_open(s->options->out, &s->inbox, &why) < 0) {
		report_words("%s", why.words);
		subscriber_end(s, 2);
		return;
	}
	position_keep(&s->position, s->inbox.dir);
	s->claimed = true;
	s->moved_ms = clock_boot_ms();
	position_epoch(&s->position, subscribed->epoch);
	report_words("subscribed to %s: at most %" PRIu64 " items are owed", subscribed->name,
		     subscribed->owed);
	if (subscribed->expired > 0)
		report_words("%" PRIu64 " items were given up by the exchange in all, because they "
			     "were older, or more, than it keeps",
			     subscribed->expired);
}

static void unsubscribed(struct subscriber *s, const struct unsubscribed *un)
{
	const struct hello *hello = session_peer(s->session);
	int code = nx_code(un->code, strlen(un->code));
	const char *words = un->words;

	if (code == NX_ETAKENOVER)
		words = "another newsxctl, or another program with this key, has taken the "
			"subscription over; stop one of the two";
	else if (code == NX_ENOSUB)
		words = "the exchange has no such subscription for this key: ask its operator for "
			"the "
			"right name";
	report_words("%s: %s: %s", s->options->subscription, un->code, words);
	if (code == NX_ENOSUB && hello->has_rights)
		report_words("this key may subscribe to: %s", rights_words(hello->subscriptions));
	subscriber_end(s, code == NX_ETAKENOVER || nx_retry(code) == NX_NEVER ? 1 : 75);
}

static void hello(struct subscriber *s)
{
	int r = session_subscribe(s->session, s->options->subscription, s->position.known,
				  s->position.epoch, s->position.at);

	if (r == 0)
		return;
	report_words("'%s' cannot be the name of a subscription", s->options->subscription);
	subscriber_end(s, 2);
}

static void on_event(struct subscriber *s, struct session_event *event)
{
	switch (event->kind) {
	case SESSION_HELLO:
		hello(s);
		break;
	case SESSION_SUBSCRIBED:
		subscribed(s, &event->subscribed);
		break;
	case SESSION_UNSUBSCRIBED:
		unsubscribed(s, &event->unsubscribed);
		break;
	case SESSION_ITEM:
		item(s, event);
		break;
	case SESSION_ITEM_DROPPED:
		dropped(s, event);
		break;
	case SESSION_WITHDRAW:
		withdrawn(s, event);
		break;
	case SESSION_DATA:
		s->moved_ms = clock_boot_ms();
		fetches_data(s->fetches, s->session, event);
		break;
	case SESSION_GONE:
		fetches_gone(s->fetches, event);
		break;
	case SESSION_SUBSCRIBE:
		session_unsubscribed(s->session, event->subscribe.name, 0, NX_ENOSUB,
				     "newsxctl subscribe serves no subscriptions");
		break;
	case SESSION_NEED:
		session_gone(s->session, event->need.handle, NX_ENOTOPEN);
		break;
	case SESSION_BYE:
		report_words("the exchange says goodbye: %s%s%s", event->bye.code,
			     event->bye.words[0] ? ": " : "", event->bye.words);
		s->status = 75;
		s->ending = true;
		break;
	default:
		break;
	}
}

/* ---- turns */

static int64_t next_time(const struct subscriber *s)
{
	int64_t at = INT64_MAX;

	if (s->running != NULL)
		at = s->exec.began_ms + EXEC_LIMIT_MS;
	else if (s->options->idle_exit_ms >= 0 && s->claimed && s->held == 0)
		at = s->moved_ms + s->options->idle_exit_ms;
	if (s->position.dirty && s->flushed_ms + FLUSH_MS < at)
		at = s->flushed_ms + FLUSH_MS;
	return at;
}

static void check_times(struct subscriber *s)
{
	int64_t now_ms = clock_boot_ms();

	if (s->position.dirty && now_ms >= s->flushed_ms + FLUSH_MS) {
		position_flush(&s->position);
		s->flushed_ms = now_ms;
	}
	if (s->options->idle_exit_ms >= 0 && s->claimed && s->held == 0 &&
	    now_ms >= s->moved_ms + s->options->idle_exit_ms)
		subscriber_end(s, s->put_off_n + s->put_off_more > 0 ? 75 : 0);
	/* after a goodbye: parts come no more, what the command has in hand is finished */
	if (s->ending && s->running == NULL)
		subscriber_end(s, s->status);
}

/* the first signal waits for the command that runs, the second does not */
static void interrupted(struct subscriber *s)
{
	if (!s->ending && s->running != NULL)
		report_words("a signal came: waiting for the command to end");
	s->hurried = s->ending;
	s->ending = true;
	if (s->hurried)
		subscriber_end(s, 75);
}

/* returns 0 when it ended as it should, negative when the link was lost */
static int converse(struct subscriber *s, int signals, struct why *why)
{
	while (!s->over) {
		struct pollfd also[2] = { { .fd = signals, .events = POLLIN },
					  { .fd = -1, .events = POLLIN } };
		struct session_event event;
		int r;

		while (!s->over && (r = link_event(s->link, &event, why)) != 0) {
			if (r < 0)
				return r;
			on_event(s, &event);
		}
		if (!s->over)
			settle_work(s);
		check_times(s);
		if (s->over)
			break;
		also[1].fd = s->running == NULL ? -1 : s->exec.fd;
		r = link_turn(s->link, also, 2, next_time(s), why);
		if (r < 0)
			return r;
		if (also[0].revents != 0 && signals_take(signals) != 0)
			interrupted(s);
	}
	return 0;
}

static int talk(struct subscriber *s, int signals)
{
	struct why why = { 0 };
	int r = converse(s, signals, &why);

	if (r < 0 && s->status == 0 && !s->ending) {
		report_words("%s", why.words);
		s->status = 75;
	}
	link_finish(s->link, NX_EBYE, "done", r < 0 ? 200 : FINISH_MS);
	if (s->hurried)
		exec_kill(&s->exec);
	else
		settle_await_command(s);
	if (s->put_off_n + s->put_off_more > 0)
		report_words("refused later, and still owed: %u; the lines that begin with refused "
			     "say why",
			     s->put_off_n + s->put_off_more);
	position_close(&s->position);
	while (s->first != NULL)
		settle_forget(s, s->first);
	return s->status;
}

void subscribe_conf(struct session_conf *ret, const char *identity)
{
	link_session_conf(ret, identity);
	/* as much as any exchange holds: what it took must not fail here */
	ret->hello.max.document = 1000 << 10;
	ret->hello.max.envelope = 1000 << 10;
	ret->hello.max.parts = PARTS_CEILING;
	ret->hello.max.part = 256 << 20;
}

int subscribe_talk(const struct subscribe_options *options, struct link *link)
{
	struct subscriber s = {
		.options = options,
		.link = link,
		.session = link_session(link),
		.moved_ms = clock_boot_ms(),
		.inbox = { .dir = -1, .partial = -1 },
		.exec = { .fd = -1 },
		.exec_ms = 5000,
	};
	int out = open(options->out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int signals = signals_open(), status = 2;

	position_open(out, options->subscription, &s.position);
	if (out >= 0)
		close(out);
	s.fetches = fetches_new(&s.inbox);
	if (s.fetches != NULL)
		status = talk(&s, signals);
	fetches_free(&s.fetches);
	inbox_close(&s.inbox);
	signals_close(&signals);
	return status;
}

int subscribe_run(const struct subscribe_options *options)
{
	struct link_conf to = options->link;
	struct session_conf conf;
	struct link *link = NULL;
	struct found found = { 0 };
	struct why why = { 0 };
	int r, status;

	/* a folder that cannot be written is said before anybody is called */
	if (inbox_try(options->out, &why) < 0) {
		report_words("%s", why.words);
		return 2;
	}
	subscribe_conf(&conf, options->link.identity);
	to.found = &found;
	r = link_open(&to, &conf, &link, &why);
	if (r < 0) {
		report_words("%s", why.words);
		status = r == NX_EARG ? 2 : 75;
	} else {
		status = subscribe_talk(options, link);
	}
	link_close(&link);
	/* some reasons are not mended by another try */
	return status == 75 && step_mends(found.failed) ? step_status(found.failed) : status;
}
