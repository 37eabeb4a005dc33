/* loop_wake.c - see loop.h: wake-ups from other threads, signals. */
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "net/loop_priv.h"

/* -- wake-ups from other threads */

struct wake {
	loop_fn *fn;
	void *arg;
	int fd;
	struct event event;
};

static void wake_rang(evutil_socket_t fd, short what, void *arg)
{
	struct wake *wake = arg;
	uint64_t n;

	(void)what;
	/* read first: a call that comes during fn wakes us again */
	if (read(fd, &n, sizeof(n)) == sizeof(n))
		wake->fn(wake->arg);
}

int wake_new(struct loop *loop, loop_fn *fn, void *arg, struct wake **ret)
{
	struct wake *wake = calloc(1, sizeof(*wake));
	int r = NX_ENOMEM;

	if (wake == NULL)
		return r;
	*wake = (struct wake){ .fn = fn, .arg = arg };
	wake->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (wake->fd < 0) {
		r = NX_ESYS;
		goto fail;
	}
	event_assign(&wake->event, loop_base(loop), wake->fd, EV_READ | EV_PERSIST, wake_rang,
		     wake);
	if (event_add(&wake->event, NULL) < 0)
		goto fail;
	*ret = wake;
	return 0;
fail:
	if (wake->fd >= 0)
		close(wake->fd);
	free(wake);
	return r;
}

void wake_free(struct wake **wake)
{
	if (*wake == NULL)
		return;
	event_del(&(*wake)->event);
	close((*wake)->fd);
	free(*wake);
	*wake = NULL;
}

void wake_up(struct wake *wake)
{
	int kept = errno;

	/* EAGAIN: the counter is full, so the loop is awake already */
	if (write(wake->fd, &(uint64_t){ 1 }, sizeof(uint64_t)) < 0)
		errno = kept;
}

/* -- signals */

struct signal_ {
	loop_fn *fn;
	void *arg;
	struct event event;
};

static void signal_rang(evutil_socket_t number, short what, void *arg)
{
	struct signal_ *signal = arg;

	(void)number, (void)what;
	signal->fn(signal->arg);
}

int signal_new(struct loop *loop, int number, loop_fn *fn, void *arg, struct signal_ **ret)
{
	struct signal_ *signal = calloc(1, sizeof(*signal));

	if (signal == NULL)
		return NX_ENOMEM;
	*signal = (struct signal_){ .fn = fn, .arg = arg };
	event_assign(&signal->event, loop_base(loop), number, EV_SIGNAL | EV_PERSIST, signal_rang,
		     signal);
	if (event_add(&signal->event, NULL) < 0) {
		free(signal);
		return NX_ESYS;
	}
	*ret = signal;
	return 0;
}

void signal_free(struct signal_ **signal)
{
	if (*signal == NULL)
		return;
	event_del(&(*signal)->event);
	free(*signal);
	*signal = NULL;
}
