/*
 * worker.h - the threads of the room and the two kinds of queue between them and the loop.
 *
 * A worker takes what is waiting (no lingering: while one batch runs, the next one gathers), runs
 * it, posts what is finished to the outbox and wakes the loop once. With nothing waiting it does
 * the idle step that was asked for by worker_kick(). Without a thread worker_turn() does the same
 * in the caller's. Knows nothing of LMDB or of what the requests say. The room's user of
 * <pthread.h>.
 */
#pragma once
#include "store/store.h"

/* ---- the way back: finished requests and news, to the loop */
struct outbox;
enum note_kind {
	NOTE_EVENT,  /* for the caller */
	NOTE_UNUSED, /* .part: no item uses it any more */
	NOTE_DOOMED, /* .part: a deletion that stopped half way */
};
struct note {
	struct note *next;
	enum note_kind kind;
	struct store_event event;
};
struct outbox *outbox_new(store_wake_fn *wake, void *arg);
void outbox_free(struct outbox **outbox); /* the loop has taken what it wants */
/* thread: any */
void outbox_post(struct outbox *outbox, struct store_req *list);
void outbox_note(struct outbox *outbox, enum note_kind kind, const struct store_event *event);
void outbox_fatal(struct outbox *outbox, int code, const struct why *why);
/* thread: the loop's. Everything that is there; notes are malloc'ed and the caller's */
void outbox_take(struct outbox *outbox, struct store_req **ret_list, struct note **ret_notes);
bool outbox_is_fatal(struct outbox *outbox, struct why *ret_why);
bool outbox_wait(struct outbox *outbox, int64_t ms); /* until something is there */

/* ---- a worker */
struct worker;
/* the time as the loop saw it when it asked for the idle steps */
struct worker_now {
	int64_t boot_ms, wall_ms;
	bool synchronised;
};
struct worker_conf {
	const char *name; /* of the thread; at most 15 octets */
	/* how many of list, from its front, make one batch: 1 or more. NULL: all */
	unsigned (*size)(void *arg, const struct store_req *list);
	/* runs them and sets their codes. 1 = an idle step is due now; negative: fatal, nobody may
	 * be told */
	int (*batch)(void *arg, struct store_req *list, struct why *why);
	/* a bounded step. 1 = there is more, 0 = not now, negative: fatal. NULL: none */
	int (*idle)(void *arg, const struct worker_now *now, struct why *why);
	/* lets go of what the requests carry: they will not run. NULL: nothing to let go of */
	void (*discard)(void *arg, struct store_req *list);
	/* takes what is finished, instead of the outbox: this worker is a stage before another.
	 * NULL: the outbox */
	void (*pass)(void *arg, struct store_req *list);
	bool drop_at_stop; /* what waits at the stop is discarded, not run */
	void *arg;
	struct outbox *outbox;
};
int worker_new(const struct worker_conf *conf, struct worker **ret); /* 0, NX_ENOMEM */
int worker_start(struct worker *worker, struct why *why);            /* its thread. 0, NX_ESYS */
void worker_submit(struct worker *worker, struct store_req *req);
void worker_kick(struct worker *worker,
		 const struct worker_now *now); /* idle steps until one answers 0 */
bool worker_turn(
	struct worker *worker); /* without a thread: one batch or idle step; was there one? */
void worker_stop(struct worker *worker); /* finishes what is queued, joins the thread */
void worker_free(struct worker **worker);

unsigned worker_waiting(const struct worker *worker); /* requests not yet finished. Thread: any */
/* since when (boot ms) the batch that runs now runs, 0 = none does; *ret_last_ms: how long the last
 * one took */
int64_t worker_busy_since(const struct worker *worker, int64_t *ret_last_ms);

/* how many batches and idle steps are behind it: does it get on? Thread: any */
uint64_t worker_steps(const struct worker *worker);

/* PITFALLS 2: glibc's thresholds cost LMDB 3 to 24 times. Before any thread starts */
void worker_tune_malloc(void);
