#include "store/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct outbox {
	store_wake_fn *wake;
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct store_req *first, **end;
	struct note *notes, **notes_end;
	bool woken; /* since the loop last looked */
	bool fatal;
	struct why why;
};

static void empty(struct outbox *outbox)
{
	outbox->first = NULL;
	outbox->end = &outbox->first;
	outbox->notes = NULL;
	outbox->notes_end = &outbox->notes;
}

struct outbox *outbox_new(store_wake_fn *wake, void *arg)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));
	pthread_condattr_t attr;

	if (outbox == NULL)
		return NULL;
	outbox->wake = wake;
	outbox->arg = arg;
	pthread_mutex_init(&outbox->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&outbox->cond, &attr);
	pthread_condattr_destroy(&attr);
	empty(outbox);
	return outbox;
}

void outbox_free(struct outbox **outbox)
{
	struct note *note;

	if (*outbox == NULL)
		return;
	while ((note = (*outbox)->notes) != NULL) {
		(*outbox)->notes = note->next;
		free(note);
	}
	pthread_cond_destroy(&(*outbox)->cond);
	pthread_mutex_destroy(&(*outbox)->lock);
	free(*outbox);
	*outbox = NULL;
}

/* unlocks, and wakes the loop if that was not done since it last looked */
static void unlock_and_wake(struct outbox *outbox)
{
	bool first = !outbox->woken;

	outbox->woken = true;
	pthread_cond_broadcast(&outbox->cond);
	pthread_mutex_unlock(&outbox->lock);
	if (first && outbox->wake != NULL)
		outbox->wake(outbox->arg);
}

void outbox_post(struct outbox *outbox, struct store_req *list)
{
	pthread_mutex_lock(&outbox->lock);
	*outbox->end = list;
	while (*outbox->end != NULL)
		outbox->end = &(*outbox->end)->next;
	unlock_and_wake(outbox);
}

/*
 * Without memory the news is lost, not the matter: what is unused or doomed is found again by the
 * background walk, what is corrupt by the next reader.
 */
void outbox_note(struct outbox *outbox, enum note_kind kind, const struct store_event *event)
{
	struct note *note = malloc(sizeof(*note));

	if (note == NULL)
		return;
	*note = (struct note){ .kind = kind, .event = *event };
	pthread_mutex_lock(&outbox->lock);
	*outbox->notes_end = note;
	outbox->notes_end = &note->next;
	unlock_and_wake(outbox);
}

void outbox_fatal(struct outbox *outbox, int code, const struct why *why)
{
	pthread_mutex_lock(&outbox->lock);
	if (!outbox->fatal) {
		outbox->fatal = true;
		outbox->why = *why;
		outbox->why.code = code;
	}
	unlock_and_wake(outbox);
}

void outbox_take(struct outbox *outbox, struct store_req **ret_list, struct note **ret_notes)
{
	pthread_mutex_lock(&outbox->lock);
	*ret_list = outbox->first;
	*ret_notes = outbox->notes;
	empty(outbox);
	outbox->woken = false;
	pthread_mutex_unlock(&outbox->lock);
}

bool outbox_is_fatal(struct outbox *outbox, struct why *ret_why)
{
	bool fatal;

	pthread_mutex_lock(&outbox->lock);
	fatal = outbox->fatal;
	*ret_why = outbox->why;
	pthread_mutex_unlock(&outbox->lock);
	return fatal;
}

bool outbox_wait(struct outbox *outbox, int64_t ms)
{
	struct timespec until;
	bool there;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&outbox->lock);
	while (outbox->first == NULL && outbox->notes == NULL && !outbox->fatal)
		if (pthread_cond_timedwait(&outbox->cond, &outbox->lock, &until) == ETIMEDOUT)
			break;
	there = outbox->first != NULL || outbox->notes != NULL || outbox->fatal;
	pthread_mutex_unlock(&outbox->lock);
	return there;
}
