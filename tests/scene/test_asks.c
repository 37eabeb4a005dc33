/*
 * test_asks.c - what the operator asks of the daemon is answered in the log, whatever happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/hub_priv.h"
#include "stage.h"

#include <signal.h>
#include <stdlib.h>

#include <cmocka.h>

static bool no_memory;
#ifndef __SANITIZE_ADDRESS__
extern void *__libc_calloc(size_t n, size_t size);
void *calloc(size_t n, size_t size);
void *calloc(size_t n, size_t size)
{
	return no_memory ? NULL : __libc_calloc(n, size);
}
#endif

static void without_memory_nothing_is_forgotten_and_that_is_said(void **state)
{
	struct stage *stage = stage_new(NULL);

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	stage_free(&stage);
	skip();
#endif
	no_memory = true;
	hub_forget(stage->hub, "never-was");
	no_memory = false;
	stage_settle(stage);
	assert_true(stage_logged(stage, "event=ask.refused ask=forget subscription=never-was "
					"reason=out-of-memory"));
	stage_forget_log(stage);
	hub_forget(stage->hub, "never-was");
	stage_settle(stage);
	assert_true(stage_logged(stage, "event=ask.refused ask=forget subscription=never-was"));
	stage_free(&stage);
}

/* no memory at the very moment when the store has the new rights: the loop has them too, for a log
 * that says refused would lie */
static void what_the_store_was_given_is_not_refused_for_memory(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	const struct conf *before = stage->exchange->conf;

#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
	stage->by_hand = true;
	stage_rewrite(stage, "partner late { pin = {@late} read = {\"*\"} }\n"
			     "subscription late { partner = \"late\" channels = {\"*\"} }\n");
	fake_signal(stage->exchange->loop, SIGHUP);
	stage_settle(stage);
	assert_true(stage->exchange->conf == before); /* its definition waits for the disk */
	while (stage_disk_step(stage))
		;
	no_memory = true;
	fake_turn(stage->exchange->loop);
	no_memory = false;
	assert_false(stage_logged(stage, "event=conf.refused"));
	assert_true(stage_logged(stage, "event=conf.reload"));
	assert_non_null(exchange_partner(stage->exchange, "late"));
	assert_non_null(exchange_feed(stage->exchange, "late"));
	stage->conf = (struct conf *)stage->exchange->conf;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(without_memory_nothing_is_forgotten_and_that_is_said),
		scene(what_the_store_was_given_is_not_refused_for_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
