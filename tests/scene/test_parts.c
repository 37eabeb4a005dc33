/*
 * test_parts.c - photos are pulled, by right: they wait, resume, change lines and lie.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "actor.h"
#include "base/clock.h"

#include <cmocka.h>

static void a_photo_arrives_octet_for_octet(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo photo = photo_of(stage, 1, 3000000);
	struct offer *a;

	vna->answers = true;
	actor_subscribe(vna, "all");
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	expect_result(a, RESULT_STORED);
	assert_int_equal(vna->gots_n, 1);
	assert_true(vna->gots[0]->answered);
	assert_memory_equal(vna->gots[0]->photo, photo.octets, photo.n);
	assert_int_equal(vna->gones_n, 0);
	assert_int_equal(stage->exchange->inbound_held, 0);
}

static void an_item_is_stored_after_its_photo(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo photo = photo_of(stage, 1, 300000);
	struct offer *a;

	actor_subscribe(vna, "all");
	kpl->part_end = 299999;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	expect_nothing(a);
	assert_int_equal(vna->gots_n, 0);
	kpl->part_end = UINT64_MAX;
	session_need_ready(kpl->session, kpl->need.handle);
	stage_settle(stage);
	expect_result(a, RESULT_STORED);
	assert_int_equal(vna->gots_n, 1);
}

static void no_octet_for_two_minutes_is_later_and_the_rest_resumes(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 2, 900000);
	struct offer *a;

	kpl->part_end = 600000;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_later(stage, 118000);
	expect_nothing(a);
	stage_later(stage, 5000);
	expect_refusal(a, "part-wait", NX_LATER);
	assert_int_equal(stage->exchange->inbound_held, 0);
	kpl->part_end = UINT64_MAX;
	actor_again(kpl, a);
	kpl->data_out = 0;
	stage_settle(stage);
	expect_result(a, RESULT_STORED);
	assert_int_equal(kpl->need.offset, 600000);
	assert_int_equal(kpl->data_out, 300000);
}

/* the clock of a photo stands still while others move on its line */
static void a_photo_that_waits_its_turn_is_not_given_up(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo first = photo_of(stage, 3, 400000), second = photo_of(stage, 4, 1000);
	struct offer *a, *b;

	kpl->part_end = 0;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &first);
	b = actor_publish(kpl, .uri = "urn:b", .photo = &second);
	stage_settle(stage);
	assert_int_equal(kpl->needs_n, 2);
	for (unsigned i = 1; i <= 4; i++) { /* of the first something comes each 100 seconds */
		kpl->part_end = 90000 * i;
		session_need_ready(kpl->session, 1);
		stage_later(stage, 100000);
		expect_nothing(a);
		expect_nothing(b);
	}
	kpl->part_end = UINT64_MAX;
	session_need_ready(kpl->session, 1);
	session_need_ready(kpl->session, 2);
	stage_settle(stage);
	expect_ack(a);
	expect_ack(b);
}

static void two_items_with_one_photo_make_one_need(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 5, 200000);
	struct offer *a, *b, *c;

	kpl->part_end = 100000;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	b = actor_publish(kpl, .uri = "urn:b", .photo = &photo);
	stage_settle(stage);
	assert_int_equal(kpl->needs_n, 1);
	kpl->part_end = UINT64_MAX;
	session_need_ready(kpl->session, kpl->need.handle);
	stage_settle(stage);
	expect_ack(a);
	expect_ack(b);
	assert_int_equal(kpl->needs_n, 1);
	c = actor_publish(kpl, .uri = "urn:c", .photo = &photo); /* it sent it once: it is had */
	stage_settle(stage);
	expect_ack(c);
	assert_int_equal(kpl->needs_n, 1);
}

static void another_line_goes_on_where_one_died(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *one = actor_enter(stage, "kpl"), *two = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 6, 700000);
	struct offer *a, *b;

	one->part_end = 300000;
	a = actor_publish(one, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	b = actor_publish(two, .uri = "urn:b", .photo = &photo);
	stage_settle(stage);
	assert_int_equal(two->needs_n, 0);
	actor_cut(one);
	stage_settle(stage);
	assert_true(two->needs_n > 0);
	expect_ack(b);
	assert_int_equal(two->data_out, 400000);
	expect_nothing(a);
	assert_int_equal(actor_dial(one), 0);
	stage_settle(stage);
	expect_ack(a);
}

/* what one line cannot give, or does not, is no word about the other */
static void another_line_goes_on_where_one_gives_nothing(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *one = actor_enter(stage, "kpl"), *two = actor_enter(stage, "kpl");
	struct photo photo;
	struct offer *a, *b;

	for (unsigned silent = 0; silent < 2; silent++) {
		photo = photo_of(stage, 60 + silent, 700000);
		one->part_end = 300000;
		two->data_out = 0;
		a = actor_publish(one, .uri = silent ? "urn:c" : "urn:a", .photo = &photo);
		stage_settle(stage);
		b = actor_publish(two, .uri = silent ? "urn:d" : "urn:b", .photo = &photo);
		stage_settle(stage);
		assert_int_equal(two->data_out, 0);
		if (silent)
			stage_later(stage, 125000);
		else
			session_gone(one->session, one->need.handle, NX_ENOTOPEN);
		stage_settle(stage);
		expect_refusal(a, silent ? "part-wait" : "parts-gone", NX_LATER);
		expect_ack(b);
		assert_int_equal(two->data_out, 400000);
		assert_int_equal(stage->exchange->pulls.n, 0);
		assert_int_equal(stage->exchange->inbound_held, 0);
	}
}

/* the line is cut; the next offer comes before the disk has what the first one brought */
static void a_cut_and_an_offer_at_once(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 7, 700000);
	struct offer *a;

	kpl->part_end = 300000;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	stage->by_hand = true;
	actor_cut(kpl);
	stage_settle(stage);
	kpl->part_end = UINT64_MAX;
	kpl->data_out = 0;
	assert_int_equal(actor_dial(kpl), 0);
	stage_settle(stage); /* the reader is asked what there is of it, before the writer is */
	stage->by_hand = false;
	stage_settle(stage);
	expect_result(a, RESULT_STORED);
}

static void a_crash_in_the_middle_resumes_at_what_was_committed(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 8, 2000000);
	struct offer *a;

	kpl->part_end = 1100000;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	expect_nothing(a);
	stage_crash(stage);
	kpl->part_end = UINT64_MAX;
	kpl->data_out = 0;
	assert_int_equal(actor_dial(kpl), 0);
	stage_settle(stage);
	expect_result(a, RESULT_STORED);
	assert_in_range(kpl->data_out, 900000, 1200000);
}

/* what was begun and has no octet yet does not stand in the way of the next */
static void a_photo_without_an_octet_counts_no_more_when_its_line_is_gone(void **state)
{
	struct stage_conf conf = {
		.rest = "partner kpl { pin = {@kpl} publish = {\"kpl.*\"} partials = 2 }\n"
	};
	struct stage *stage = scene_begin(state, &conf);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo one = photo_of(stage, 21, 300000), two = photo_of(stage, 22, 300000),
		     three = photo_of(stage, 23, 300000);
	struct offer *c;

	kpl->part_end = 0;
	actor_publish(kpl, .uri = "urn:a", .photo = &one);
	actor_publish(kpl, .uri = "urn:b", .photo = &two);
	stage_settle(stage);
	assert_int_equal(kpl->needs_n, 2);
	actor_cut(kpl);
	stage_settle(stage);
	for (unsigned i = 0; i < kpl->offers_n; i++)
		kpl->offers[i]->answer = REFUSED; /* it does not offer them again */
	kpl->part_end = UINT64_MAX;
	assert_int_equal(actor_dial(kpl), 0);
	c = actor_publish(kpl, .uri = "urn:c", .photo = &three);
	stage_settle(stage);
	expect_result(c, RESULT_STORED);
}

static void a_wrong_hash_is_later_once_and_then_never(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 9, 50000);
	struct offer *a;

	kpl->lies = true;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	expect_refusal(a, "part-mismatch", NX_LATER);
	actor_again(kpl, a);
	stage_settle(stage);
	expect_refusal(a, "part-mismatch", NX_NEVER);
}

static void anothers_photo_is_sent_whole_though_it_is_here(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *afp = actor_enter(stage, "afp");
	struct photo photo = photo_of(stage, 10, 100000);
	struct offer *a, *b, *c;

	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	expect_ack(a);
	afp->part_end = 99999;
	b = actor_publish(afp, .uri = "urn:b", .photo = &photo);
	stage_settle(stage);
	expect_nothing(b); /* knowing the hash is not enough */
	afp->part_end = UINT64_MAX;
	session_need_ready(afp->session, afp->need.handle);
	stage_settle(stage);
	expect_ack(b);
	assert_int_equal(afp->data_out, 100000);
	c = actor_publish(afp, .uri = "urn:c", .photo = &photo);
	stage_settle(stage);
	expect_ack(c);
	assert_int_equal(afp->data_out, 100000);
}

static const char both[] =
	"partner kpl { pin = {@kpl} publish = {\"kpl.*\"} }\n"
	"partner vna { pin = {@vna} publish = {\"vna.*\"} read = {\"kpl.*\"} }\n"
	"subscription all { partner = \"vna\" channels = {\"*\"} start = \"all\" }\n";

static void what_was_delivered_whole_is_had(void **state)
{
	struct stage *stage = scene_begin(state, &(struct stage_conf){ .rest = both });
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo photo = photo_of(stage, 11, 40000);
	struct offer *b;

	vna->answers = true;
	actor_subscribe(vna, "all");
	actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 1);
	b = actor_publish(vna, .uri = "urn:b", .photo = &photo);
	stage_settle(stage);
	expect_ack(b);
	assert_int_equal(vna->needs_n, 0);
}

static void many_photos_open_fourteen_needs(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photos[24];
	char uri[32];

	kpl->part_end = 1000;
	for (unsigned i = 0; i < 24; i++) {
		photos[i] = photo_of(stage, 100 + i, 5000);
		snprintf(uri, sizeof(uri), "urn:%u", i);
		actor_publish(kpl, .uri = uri, .photo = &photos[i]);
	}
	stage_settle(stage);
	assert_int_equal(kpl->needs_n, 14);
	kpl->part_end = UINT64_MAX;
	for (unsigned i = 1; i <= 14; i++)
		session_need_ready(kpl->session, i);
	stage_settle(stage);
	for (unsigned i = 0; i < 24; i++)
		expect_ack(kpl->offers[i]);
}

/* no octet is asked for an item that was taken back, and who waits for the same photo gets it */
static void another_line_goes_on_where_an_item_was_taken_back(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *one = actor_enter(stage, "kpl"), *two = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 14, 3000000);
	struct offer *a, *b;
	unsigned needs;

	one->part_end = 300000;
	a = actor_publish(one, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	b = actor_publish(two, .uri = "urn:b", .photo = &photo);
	stage_settle(stage);
	assert_int_equal(two->needs_n, 0);
	needs = one->needs_n;
	actor_withdraw(one, a);
	stage_settle(stage);
	expect_refusal(a, "withdrawn", NX_NEVER);
	one->part_end = UINT64_MAX;
	session_need_ready(one->session, one->need.handle);
	stage_settle(stage);
	expect_ack(b);
	assert_int_equal(one->needs_n, needs);
	assert_in_range(two->data_out, 2700000 - 262144, 2700000);
	assert_int_equal(stage->exchange->pulls.n, 0);
	assert_int_equal(stage->exchange->inbound_held, 0);
}

/* of sixteen NEEDs two are kept for them */
static void the_photos_of_flashes_do_not_wait_for_a_row_of_others(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photos[23];
	struct offer *flash[3] = { 0 };
	char uri[32];

	kpl->part_end = 1000;
	for (unsigned i = 0; i < 23; i++) {
		photos[i] = photo_of(stage, 200 + i, i < 20 ? 5000 : 900);
		snprintf(uri, sizeof(uri), "urn:%u", i);
		if (i < 20)
			actor_publish(kpl, .uri = uri, .photo = &photos[i]);
	}
	stage_settle(stage);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(uri, sizeof(uri), "urn:flash:%u", i);
		flash[i] = actor_publish(kpl, .uri = uri, .photo = &photos[20 + i], .urgency = 1);
	}
	stage_settle(stage);
	for (unsigned i = 0; i < 3; i++)
		expect_ack(flash[i]);
	for (unsigned i = 0; i < 20; i++)
		expect_nothing(kpl->offers[i]);
}

static void a_withdrawn_item_lets_go_of_its_photo(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 12, 500000);
	struct offer *a;

	kpl->part_end = 200000;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	actor_withdraw(kpl, a);
	stage_settle(stage);
	expect_refusal(a, "withdrawn", NX_NEVER);
	assert_int_equal(stage->exchange->inbound_held, 0);
	assert_int_equal(stage->exchange->pulls.n, 0);
	kpl->part_end = UINT64_MAX; /* it was told to STOP */
	session_need_ready(kpl->session, kpl->need.handle);
	stage_settle(stage);
	assert_int_equal(kpl->data_out, 200000);
}

/* both are open and both ask; the answer to the first must not take the photo from the second */
static void a_reader_of_two_items_with_one_photo_gets_both(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo photo = photo_of(stage, 13, 300000);

	vna->answers = true;
	actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	actor_publish(kpl, .uri = "urn:b", .photo = &photo);
	stage_settle(stage);
	line_slow(vna->line, 1000, 1024);
	actor_subscribe(vna, "all");
	stage_later(stage, 2000);
	assert_int_equal(vna->gots_n, 2);
	assert_int_equal(vna->gones_n, 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(vna->gots[i]->answered);
		assert_memory_equal(vna->gots[i]->photo, photo.octets, photo.n);
	}
}

/* a frame at a time */
static void reads_slowly(struct actor *actor)
{
	actor->deaf = true;
	stage_settle(actor->stage);
	actor->deaf = false;
	(void)actor_turn(actor);
	actor->deaf = true;
}

static void the_photo_of_a_flash_goes_first(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo first = photo_of(stage, 15, 300000), second = photo_of(stage, 16, 30000);
	struct got *routine, *flash;

	actor_subscribe(vna, "all");
	actor_publish(kpl, .uri = "urn:a", .photo = &first);
	stage_settle(stage);
	actor_publish(kpl, .uri = "urn:b", .photo = &second, .urgency = 1);
	stage_settle(stage);
	routine = actor_got(vna, "urn:a", NULL);
	flash = actor_got(vna, "urn:b", NULL);
	line_slow(vna->line, 1, 1024);
	actor_pull(vna, routine);
	for (unsigned i = 0; i < 50; i++)
		reads_slowly(vna);
	assert_true(routine->photo_got > 0);
	actor_pull(vna, flash);
	for (unsigned i = 0; i < 40; i++)
		reads_slowly(vna);
	assert_int_equal(flash->photo_got, flash->photo_n);
	assert_true(routine->photo_got < 100000);
	for (unsigned i = 0; i < 400; i++)
		reads_slowly(vna);
	assert_memory_equal(routine->photo, first.octets, first.n);
}

/* nothing of a photo is given for an item that another link has now, or that was taken back */
static void only_open_items_give_their_photos(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *old = actor_enter(stage, "vna"), *new;
	struct photo photo = photo_of(stage, 17, 3000);

	actor_subscribe(old, "all");
	actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	new = actor_enter(stage, "vna");
	actor_subscribe(new, "all");
	stage_settle(stage);
	assert_int_equal(new->gots_n, 1);
	actor_pull(old, old->gots[0]);
	actor_pull(new, new->gots[0]);
	stage_settle(stage);
	assert_int_equal(old->gones_n, 1);
	assert_int_equal(old->gots[0]->photo_got, 0);
	assert_int_equal(new->gots[0]->photo_got, 3000);
	actor_publish(kpl, .uri = "urn:a", .kill = true);
	stage_settle(stage);
	assert_true(new->gots[0]->withdrawn);
	actor_pull(new, new->gots[0]);
	stage_settle(stage);
	assert_int_equal(new->gones_n, 1);
}

static void what_is_answered_gives_no_more_of_its_photo(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo photo = photo_of(stage, 19, 300000);

	actor_subscribe(vna, "all");
	actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	line_slow(vna->line, 1, 1024);
	actor_pull(vna, vna->gots[0]);
	for (unsigned i = 0; i < 20; i++)
		reads_slowly(vna);
	assert_true(vna->gots[0]->photo_got > 0);
	actor_refuse(vna, vna->gots[0], NX_ECONSUMERLATER, NX_LATER, 60000);
	for (unsigned i = 0; i < 20 && vna->gones_n == 0; i++)
		reads_slowly(vna);
	assert_int_equal(vna->gones_n, 1);
	assert_true(vna->gots[0]->photo_got < photo.n);
}

static void a_photo_has_one_size(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 18, 3000), shorter = photo;
	struct offer *a, *b;

	shorter.n = 2000;
	kpl->part_end = 0;
	a = actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	b = actor_publish(kpl, .uri = "urn:b", .photo = &shorter);
	stage_settle(stage);
	expect_refusal(b, "part-mismatch", NX_LATER);
	kpl->part_end = UINT64_MAX;
	session_need_ready(kpl->session, kpl->need.handle);
	stage_settle(stage);
	expect_ack(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(a_photo_arrives_octet_for_octet),
		scene(an_item_is_stored_after_its_photo),
		scene(no_octet_for_two_minutes_is_later_and_the_rest_resumes),
		scene(a_photo_that_waits_its_turn_is_not_given_up),
		scene(two_items_with_one_photo_make_one_need),
		scene(another_line_goes_on_where_one_died),
		scene(another_line_goes_on_where_one_gives_nothing),
		scene(a_cut_and_an_offer_at_once),
		scene(a_crash_in_the_middle_resumes_at_what_was_committed),
		scene(a_photo_without_an_octet_counts_no_more_when_its_line_is_gone),
		scene(a_wrong_hash_is_later_once_and_then_never),
		scene(anothers_photo_is_sent_whole_though_it_is_here),
		scene(what_was_delivered_whole_is_had),
		scene(a_reader_of_two_items_with_one_photo_gets_both),
		scene(another_line_goes_on_where_an_item_was_taken_back),
		scene(the_photos_of_flashes_do_not_wait_for_a_row_of_others),
		scene(many_photos_open_fourteen_needs),
		scene(the_photo_of_a_flash_goes_first),
		scene(only_open_items_give_their_photos),
		scene(what_is_answered_gives_no_more_of_its_photo),
		scene(a_photo_has_one_size),
		scene(a_withdrawn_item_lets_go_of_its_photo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
