/*
 * test_versions.c - a story of many versions costs those who come later nothing: what memory knows
 * of the older ones is not walked again for each newer one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "actor.h"

#include <cmocka.h>

enum { VERSIONS = 200 };

static void versions(struct stage *stage, struct actor *kpl, unsigned from, unsigned upto)
{
	char version[16];

	for (unsigned i = from; i <= upto; i++) {
		snprintf(version, sizeof(version), "%u", i);
		actor_publish(kpl, .uri = "urn:live", .version = version);
		stage_settle(stage);
	}
}

static void only_the_newest_is_looked_at_by_the_next(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");

	versions(stage, kpl, 1, VERSIONS);
	assert_int_equal(stage->exchange->stories.n, 1);
	assert_int_equal(stage->exchange->kills_only.n, VERSIONS - 1);
	actor_publish(kpl, .uri = "urn:live", .version = "1", .kill = true);
	stage_settle(stage);
	assert_int_equal(stage->exchange->stories.n, 1); /* the kill itself */
	assert_int_equal(stage->exchange->kills_only.n, 0);
}

static void an_open_item_is_withdrawn_once(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");

	actor_subscribe(vna, "all");
	stage_settle(stage);
	versions(stage, kpl, 1, 1);
	assert_int_equal(vna->gots_n, 1);
	versions(stage, kpl, 2, 2);
	assert_true(vna->gots[0]->withdrawn);
	assert_string_equal(vna->gots[0]->withdrawn_code, "superseded");
	stage_forget_log(stage);
	versions(stage, kpl, 3, 9);
	assert_false(stage_logged(stage,
				  "event=item.withdrawn conn=2 peer=vna subscription=all seq=1 "));
	actor_refuse(vna, vna->gots[0], NX_EWITHDRAWN, NX_NEVER, 0);
	stage_settle(stage);
	assert_false(actor_is_out(vna));
}

static void many_open_items_with_one_photo_give_it(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo photo = photo_of(stage, 1, 3000);
	char uri[32];

	kpl->part_end = UINT64_MAX;
	actor_subscribe(vna, "all");
	stage_settle(stage);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(uri, sizeof(uri), "urn:p%u", i);
		actor_publish(kpl, .uri = uri, .photo = &photo);
	}
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 10);
	for (unsigned i = 0; i < 10; i++) {
		vna->needs_n = vna->gones_n = 0;
		actor_pull(vna, vna->gots[i]);
		stage_settle(stage);
		assert_int_equal(vna->gots[i]->photo_got, 3000);
		actor_ack(vna, vna->gots[i]);
		stage_settle(stage);
	}
	/* nothing that has it is open any more */
	vna->gots[0]->answered = false;
	vna->gots[0]->photo_got = 0;
	actor_pull(vna, vna->gots[0]);
	stage_settle(stage);
	assert_int_equal(vna->gones_n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(only_the_newest_is_looked_at_by_the_next),
		scene(an_open_item_is_withdrawn_once),
		scene(many_open_items_with_one_photo_give_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
