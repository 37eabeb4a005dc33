/* loop.c - see loop.h. A turn: wait, all callbacks, then what was left for the end of the turn. */
#include "net/loop_priv.h"

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

/* libevent's clock stands still while the machine sleeps, ours does not: look again at least this
 * often */
#define NAP_MS 60000

struct later_list {
	struct later *first, *last;
};
struct loop {
	struct event_base *base;
	struct later_list turn_end, free_end;
	int64_t now_ms;
	uint64_t turn;
	bool now_known, stop;
	uint8_t in[LOOP_IN_ROOM], out[LOOP_OUT_ROOM];
};

/* libevent would write to standard error itself, which may be a pipe that nobody reads */
static void libevent_says(int severity, const char *words)
{
	if (severity >= EVENT_LOG_WARN)
		log_warn("loop.warn", kv_str("words", words));
}

int loop_new(struct loop **ret)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	struct event_config *config = event_config_new();
	int r = NX_ENOMEM;

	if (loop == NULL || config == NULL)
		goto out;
	event_set_log_callback(libevent_says);
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
	loop->base = event_base_new_with_config(config);
	if (loop->base == NULL)
		goto out;
	*ret = loop;
	loop = NULL;
	r = 0;
out:
	if (config != NULL)
		event_config_free(config);
	free(loop);
	return r;
}

void later_drop(struct later *later)
{
	struct later_list *list = later->in;

	if (list == NULL)
		return;
	*(later->prev ? &later->prev->next : &list->first) = later->next;
	*(later->next ? &later->next->prev : &list->last) = later->prev;
	later->prev = later->next = NULL;
	later->in = NULL;
}

static void list_add(struct later_list *list, struct later *later, loop_fn *fn, void *arg)
{
	if (later->in != NULL)
		return;
	*later = (struct later){ .fn = fn, .arg = arg, .prev = list->last, .in = list };
	*(list->last ? &list->last->next : &list->first) = later;
	list->last = later;
}

void later_add(struct loop *loop, struct later *later, loop_fn *fn, void *arg)
{
	list_add(&loop->turn_end, later, fn, arg);
}

void later_at_free(struct loop *loop, struct later *later, loop_fn *fn, void *arg)
{
	list_add(&loop->free_end, later, fn, arg);
}

static void run_first(struct later_list *list)
{
	struct later *later = list->first;
	loop_fn *fn = later->fn; /* NOLINT: clang takes it for the one that was freed before it */
	void *arg = later->arg;
	bool own = later->own;

	assert(later->in == list && later->prev == NULL);
	later_drop(later);
	if (own)
		free(later);
	fn(arg);
}

static void mark(void *arg)
{
	*(bool *)arg = true;
}

/* what is added while we run waits for the end of the next turn, after all descriptors were looked
 * at */
static void end_of_turn(struct loop *loop)
{
	struct later end = { 0 };
	bool done = false;

	if (loop->turn_end.first == NULL)
		return;
	later_add(loop, &end, mark, &done);
	while (!done)
		run_first(&loop->turn_end);
}

void loop_free(struct loop **loop)
{
	if (*loop == NULL)
		return;
	while ((*loop)->free_end.first != NULL)
		run_first(&(*loop)->free_end);
	while ((*loop)->turn_end.first != NULL)
		run_first(&(*loop)->turn_end);
	event_base_free((*loop)->base);
	free(*loop);
	*loop = NULL;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	while (!loop->stop && r >= 0) {
		/* without ONCE, NONBLOCK goes on for as long as anything is ready */
		int flags = EVLOOP_ONCE | (loop->turn_end.first != NULL ? EVLOOP_NONBLOCK : 0);

		loop->turn++;
		loop->now_known = false;
		r = event_base_loop(loop->base, flags | EVLOOP_NO_EXIT_ON_EMPTY);
		end_of_turn(loop);
		(void)log_flush(); /* what is left is tried at the next turn */
	}
	loop->stop = false;
	return r < 0 ? NX_ESYS : 0;
}

void loop_stop(struct loop *loop)
{
	loop->stop = true;
}

int64_t loop_now_ms(struct loop *loop)
{
	if (!loop->now_known)
		loop->now_ms = clock_boot_ms();
	loop->now_known = true;
	return loop->now_ms;
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

uint64_t loop_turn(const struct loop *loop)
{
	return loop->turn;
}

uint8_t *loop_in_room(struct loop *loop)
{
	return loop->in;
}

uint8_t *loop_out_room(struct loop *loop)
{
	return loop->out;
}

int loop_later(struct loop *loop, loop_fn *fn, void *arg)
{
	struct later *later = calloc(1, sizeof(*later));

	if (later == NULL)
		return NX_ENOMEM;
	later_add(loop, later, fn, arg);
	later->own = true;
	return 0;
}

/* -- timers */

struct timer {
	struct loop *loop;
	loop_fn *fn;
	void *arg;
	int64_t due_ms;
	struct event event;
};

static void timer_wait(struct timer *timer, int64_t ms)
{
	if (ms > NAP_MS)
		ms = NAP_MS;
	event_add(&timer->event, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
}

static void timer_rang(evutil_socket_t fd, short what, void *arg)
{
	struct timer *timer = arg;
	int64_t left = timer->due_ms - clock_boot_ms();

	(void)fd, (void)what;
	if (left > 0)
		timer_wait(timer, left);
	else
		timer->fn(timer->arg);
}

int timer_new(struct loop *loop, loop_fn *fn, void *arg, struct timer **ret)
{
	struct timer *timer = calloc(1, sizeof(*timer));

	if (timer == NULL)
		return NX_ENOMEM;
	*timer = (struct timer){ .loop = loop, .fn = fn, .arg = arg };
	event_assign(&timer->event, loop->base, -1, 0, timer_rang, timer);
	*ret = timer;
	return 0;
}

void timer_free(struct timer **timer)
{
	if (*timer == NULL)
		return;
	event_del(&(*timer)->event);
	free(*timer);
	*timer = NULL;
}

void timer_set(struct timer *timer, int64_t after_ms)
{
	if (after_ms < 0)
		after_ms = 0;
	if (after_ms > INT64_MAX / 4)
		after_ms = INT64_MAX / 4;
	timer->due_ms = clock_boot_ms() + after_ms;
	timer_wait(timer, after_ms);
}

void timer_stop(struct timer *timer)
{
	event_del(&timer->event);
}
