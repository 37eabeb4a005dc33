#include "store/worker.h"

#include "base/clock.h"
#include "store/queue.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TURNS_BEFORE_IDLE 4 /* batches, while an idle step waits: retirement must not starve */

struct worker {
	struct worker_conf conf;
	pthread_t thread;
	bool threaded;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	/* under the lock: */
	struct queue queue;
	bool kicked, stop, dead;
	struct worker_now now;
	/* the worker's own: */
	unsigned turns;
	/* for the others to look at: */
	_Atomic unsigned waiting;
	_Atomic int64_t busy_since, last_ms;
	_Atomic uint64_t steps;
};

int worker_new(const struct worker_conf *conf, struct worker **ret)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (worker == NULL)
		return NX_ENOMEM;
	worker->conf = *conf;
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->cond, NULL);
	*ret = worker;
	return 0;
}

void worker_free(struct worker **worker)
{
	if (*worker == NULL)
		return;
	worker_stop(*worker);
	pthread_cond_destroy(&(*worker)->cond);
	pthread_mutex_destroy(&(*worker)->lock);
	free(*worker);
	*worker = NULL;
}

void worker_submit(struct worker *worker, struct store_req *req)
{
	atomic_fetch_add(&worker->waiting, 1);
	pthread_mutex_lock(&worker->lock);
	queue_add(&worker->queue, req);
	pthread_cond_signal(&worker->cond);
	pthread_mutex_unlock(&worker->lock);
}

static void kick(struct worker *worker, const struct worker_now *now)
{
	pthread_mutex_lock(&worker->lock);
	if (now != NULL)
		worker->now = *now;
	/* before the first tick nobody knows the time */
	worker->kicked = !worker->dead && (now != NULL || worker->now.boot_ms != 0);
	pthread_cond_signal(&worker->cond);
	pthread_mutex_unlock(&worker->lock);
}

void worker_kick(struct worker *worker, const struct worker_now *now)
{
	if (worker->conf.idle != NULL)
		kick(worker, now);
}

unsigned worker_waiting(const struct worker *worker)
{
	return atomic_load(&worker->waiting);
}

int64_t worker_busy_since(const struct worker *worker, int64_t *ret_last_ms)
{
	*ret_last_ms = atomic_load(&worker->last_ms);
	return atomic_load(&worker->busy_since);
}

uint64_t worker_steps(const struct worker *worker)
{
	return atomic_load(&worker->steps);
}

static unsigned length(const struct store_req *list)
{
	unsigned n = 0;

	for (; list != NULL; list = list->next)
		n++;
	return n;
}

/* cuts list after n, returns the rest */
static struct store_req *cut(struct store_req *list, unsigned n)
{
	struct store_req *rest;

	while (--n > 0 && list->next != NULL)
		list = list->next;
	rest = list->next;
	list->next = NULL;
	return rest;
}

/* the next batch; the lock is not held while its size is worked out */
static struct store_req *take(struct worker *worker)
{
	struct store_req *list, *rest;
	unsigned n;

	pthread_mutex_lock(&worker->lock);
	list = queue_take(&worker->queue);
	pthread_mutex_unlock(&worker->lock);
	if (list == NULL || worker->conf.size == NULL)
		return list;
	n = worker->conf.size(worker->conf.arg, list);
	rest = cut(list, n == 0 ? 1 : n);
	if (rest != NULL) {
		pthread_mutex_lock(&worker->lock);
		queue_put_back(&worker->queue, rest);
		pthread_mutex_unlock(&worker->lock);
	}
	return list;
}

static void discard(struct worker *worker, struct store_req *list)
{
	if (list == NULL)
		return;
	atomic_fetch_sub(&worker->waiting, length(list));
	if (worker->conf.discard != NULL)
		worker->conf.discard(worker->conf.arg, list);
}

/* nobody may be told anything any more: the process is about to end */
static void die(struct worker *worker, int code, const struct why *why)
{
	pthread_mutex_lock(&worker->lock);
	worker->dead = true;
	worker->kicked = false;
	pthread_mutex_unlock(&worker->lock);
	outbox_fatal(worker->conf.outbox, code, why);
}

static void run_batch(struct worker *worker, struct store_req *list)
{
	struct why why = { 0 };
	int64_t began = clock_boot_ms();
	unsigned n = length(list);
	int r;

	atomic_store(&worker->busy_since, began);
	r = worker->conf.batch(worker->conf.arg, list, &why);
	atomic_store(&worker->last_ms, clock_boot_ms() - began);
	atomic_store(&worker->busy_since, 0);
	atomic_fetch_add(&worker->steps, 1);
	if (r < 0) {
		die(worker, r, &why);
		discard(worker, list);
		return;
	}
	if (r > 0) {
		worker_kick(worker, NULL);
		worker->turns = TURNS_BEFORE_IDLE; /* now */
	}
	atomic_fetch_sub(&worker->waiting, n);
	if (worker->conf.pass != NULL)
		worker->conf.pass(worker->conf.arg, list);
	else
		outbox_post(worker->conf.outbox, list);
}

static void run_idle(struct worker *worker)
{
	struct why why = { 0 };
	int64_t began = clock_boot_ms();
	struct worker_now now;
	int r;

	pthread_mutex_lock(&worker->lock);
	worker->kicked = false; /* a kick during the step counts */
	now = worker->now;
	pthread_mutex_unlock(&worker->lock);
	atomic_store(&worker->busy_since, began);
	r = worker->conf.idle(worker->conf.arg, &now, &why);
	atomic_store(&worker->last_ms, clock_boot_ms() - began);
	atomic_store(&worker->busy_since, 0);
	atomic_fetch_add(&worker->steps, 1);
	if (r < 0)
		die(worker, r, &why);
	else if (r > 0)
		kick(worker, NULL);
}

bool worker_turn(struct worker *worker)
{
	struct store_req *list = NULL;
	bool kicked, dead, stop;

	pthread_mutex_lock(&worker->lock);
	kicked = worker->kicked && !worker->stop;
	dead = worker->dead;
	stop = worker->stop;
	pthread_mutex_unlock(&worker->lock);
	if (!kicked || worker->turns < TURNS_BEFORE_IDLE)
		list = take(worker);
	if (list != NULL && (dead || (stop && worker->conf.drop_at_stop))) {
		discard(worker, list);
		return true;
	}
	if (list != NULL) {
		worker->turns++;
		run_batch(worker, list);
		return true;
	}
	worker->turns = 0;
	if (kicked && !dead)
		run_idle(worker);
	return kicked && !dead;
}

static void *run(void *arg)
{
	struct worker *worker = arg;
	bool stop = false;

	while (!stop) {
		while (worker_turn(worker))
			;
		pthread_mutex_lock(&worker->lock);
		while (worker->queue.n == 0 && !worker->kicked && !worker->stop)
			pthread_cond_wait(&worker->cond, &worker->lock);
		stop = worker->stop && worker->queue.n == 0;
		pthread_mutex_unlock(&worker->lock);
	}
	return NULL;
}

int worker_start(struct worker *worker, struct why *why)
{
	sigset_t all, before;
	int rc;

	/* signals are the loop's; a bus error comes to the thread that made it all the same */
	sigfillset(&all);
	sigdelset(&all, SIGBUS);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&worker->thread, NULL, run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return why_set(why, NX_ESYS, "thread %s: %s", worker->conf.name, strerror(rc));
	worker->threaded = true;
	pthread_setname_np(worker->thread, worker->conf.name);
	return 0;
}

void worker_stop(struct worker *worker)
{
	if (worker == NULL)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->stop = true;
	pthread_cond_signal(&worker->cond);
	pthread_mutex_unlock(&worker->lock);
	if (worker->threaded)
		pthread_join(worker->thread, NULL);
	worker->threaded = false;
	while (worker_turn(worker))
		;
}

void worker_tune_malloc(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	uint64_t most = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 16 : 0;

	/*
	 * LMDB allocates and frees every dirty page; the heap must keep what it has between two
	 * transactions. Those are of at most 1,000 pages, so a sixteenth of the memory is plenty
	 * where 256 MiB would be a quarter of a small machine. The pad is only address space.
	 */
	if (most < 16u << 20)
		most = 16u << 20;
	if (most > 256u << 20)
		most = 256u << 20;
	mallopt(M_TRIM_THRESHOLD, (int)most);
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TOP_PAD, (int)(most / 4));
}
