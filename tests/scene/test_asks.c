/*
 * test_asks.c - what the operator left for the daemon is answered in the log, whatever happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "core/hub_priv.h"
#include "stage.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(without_memory_nothing_is_forgotten_and_that_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
