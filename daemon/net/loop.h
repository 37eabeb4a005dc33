/*
 * loop.h - timers, signals, wake-ups over libevent's event_base. One loop, one thread.
 */
#pragma once
#include "proto/err.h"

struct loop;
typedef void loop_fn(void *arg);

int loop_new(struct loop **ret);
void loop_free(struct loop **loop);
/* runs until loop_stop(); returns 0 or NX_ESYS */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* now, boot ms, read once per turn of the loop */
int64_t loop_now_ms(struct loop *loop);

struct timer; /* one shot; set again from its own callback to repeat */
int timer_new(struct loop *loop, loop_fn *fn, void *arg, struct timer **ret);
void timer_free(struct timer **timer);
void timer_set(struct timer *timer, int64_t after_ms); /* replaces what was set */
void timer_stop(struct timer *timer);

struct wake; /* another thread calls wake_up(); fn runs in the loop, once for any number of calls */
int wake_new(struct loop *loop, loop_fn *fn, void *arg, struct wake **ret);
void wake_free(struct wake **wake);
void wake_up(struct wake *wake); /* thread: any; async-signal-safe */

struct signal_;
int signal_new(struct loop *loop, int number, loop_fn *fn, void *arg, struct signal_ **ret);
void signal_free(struct signal_ **signal);

/* run fn at the end of this turn */
int loop_later(struct loop *loop, loop_fn *fn, void *arg);
