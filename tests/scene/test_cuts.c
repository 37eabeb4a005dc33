/*
 * test_cuts.c - the line is cut after the n-th frame, for every n until there is none.
 *
 * A story with a photo, one of two frames and a flash go from kpl to vna. The line of one of the
 * two is cut after n frames, heard or said, and when it has come back once more after n; what was
 * said last arrives or does not; the disk goes on or stands still meanwhile; the exchange goes on
 * or dies. In the end each is acknowledged once, delivered, and nothing is owed or left over.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "actor.h"

#include <cmocka.h>

enum { CUTS = 2, OFFERS = 3, PHOTO = 50000 };

struct cut {
	unsigned n;
	bool reader, loses, slow, dies;
};
struct play {
	struct cut cut;
	struct stage *stage;
	struct actor *kpl, *vna;
};

static struct actor *victim(const struct play *play)
{
	return play->cut.reader ? play->vna : play->kpl;
}

static void come(struct play *play, struct actor *actor)
{
	bool is_cut = actor == victim(play) && actor->links < CUTS;

	actor->frames_left = is_cut ? play->cut.n : 0;
	assert_int_equal(actor_dial(actor), 0);
	stage_settle(play->stage);
	if (actor == play->vna && actor->session != NULL) {
		actor_subscribe(actor, "all");
		stage_settle(play->stage);
	}
}

/* until both are here, and the line of neither was cut */
static void go_on(struct play *play)
{
	const struct actor *kpl = play->kpl, *vna = play->vna;
	unsigned deaths = 0;

	play->stage->by_hand = play->cut.slow;
	while (actor_is_out(kpl) || actor_is_out(vna)) {
		come(play, actor_is_out(vna) ? play->vna : play->kpl);
		if (!actor_is_out(kpl) && !actor_is_out(vna)) {
			play->stage->by_hand = false;
			stage_settle(play->stage);
		}
		if (play->cut.dies && actor_is_out(victim(play)) && victim(play)->links > deaths) {
			stage_crash(play->stage);
			deaths++;
		}
	}
}

static void expect_delivered(const struct play *play, const struct offer *offer,
			     const struct photo *photo)
{
	struct got *got = actor_got(play->vna, offer->uri, NULL);
	unsigned most = play->cut.reader || play->cut.dies ? 1 + CUTS : 1;

	assert_non_null(got);
	assert_in_range(actor_count(play->vna, offer->uri, NULL), 1, most);
	for (unsigned i = 0; i < play->vna->gots_n; i++)
		if (strcmp(play->vna->gots[i]->uri, offer->uri) == 0)
			assert_int_equal(play->vna->gots[i]->sequence, offer->ack.sequence);
	assert_true(got->answered);
	assert_int_equal(got->document_n, offer->document_n);
	assert_memory_equal(got->octets + got->envelope_n, offer->octets + offer->envelope_n,
			    offer->document_n);
	if (offer->photo.octets == NULL)
		return;
	assert_int_equal(got->photo_got, photo->n);
	assert_memory_equal(got->photo, photo->octets, photo->n);
}

static void expect_end(struct play *play, const struct photo *photo)
{
	struct exchange *exchange = play->stage->exchange;
	unsigned gots_n = play->vna->gots_n;

	stage_later(play->stage, 2000);
	for (unsigned i = 0; i < OFFERS; i++) {
		struct offer *offer = play->kpl->offers[i];

		expect_ack(offer);
		assert_int_equal(offer->answers, 1);
		expect_delivered(play, offer, photo);
	}
	assert_int_equal(exchange->state.sequence_last, OFFERS);
	assert_int_equal(exchange->pulls.n, 0);
	assert_int_equal(exchange->inbound_held, 0);
	for (unsigned i = 0; i < exchange->feeds_n; i++)
		assert_int_equal(exchange->feeds[i]->busy.n, 0);
	assert_int_equal(actor_dial(play->vna), 0);
	stage_settle(play->stage);
	actor_subscribe(play->vna, "all");
	stage_settle(play->stage);
	assert_int_equal(play->vna->subscribed.owed, 0);
	assert_int_equal(play->vna->gots_n, gots_n);
}

/* true: there was an n-th frame */
static bool played(const struct cut *cut)
{
	const struct stage_conf small = { .store = "size = 16MiB" };
	struct play play = { .cut = *cut, .stage = stage_new(&small) };
	struct photo photo = photo_of(play.stage, cut->n, PHOTO);
	bool was_cut;

	play.kpl = actor_new(play.stage, "kpl");
	play.vna = actor_new(play.stage, "vna");
	play.vna->answers = true;
	victim(&play)->loses = cut->loses;
	actor_publish(play.kpl, .uri = "urn:photo", .photo = &photo);
	actor_publish(play.kpl, .uri = "urn:long", .pad = 20000);
	actor_publish(play.kpl, .uri = "urn:flash", .urgency = 1);
	go_on(&play);
	was_cut = victim(&play)->links > 1;
	victim(&play)->frames_left = 0;
	expect_end(&play, &photo);
	stage_free(&play.stage);
	return was_cut;
}

static void cut_after_each(struct cut cut, unsigned least)
{
	for (cut.n = 1; played(&cut); cut.n++)
		;
	print_message("%s%s%s%s: %u frames\n", cut.reader ? "reader" : "publisher",
		      cut.loses ? " loses" : "", cut.slow ? " slow" : "", cut.dies ? " dies" : "",
		      cut.n - 1);
	assert_true(cut.n > least);
}

static void in_every_way(bool reader)
{
	cut_after_each((struct cut){ .reader = reader }, 8);
	cut_after_each((struct cut){ .reader = reader, .loses = true }, 8);
	cut_after_each((struct cut){ .reader = reader, .loses = true, .slow = true }, 8);
	cut_after_each((struct cut){ .reader = reader, .dies = true }, 8);
	cut_after_each((struct cut){ .reader = reader, .dies = true, .slow = true }, 8);
}

static void the_publisher_is_cut_after_each_frame(void **state)
{
	(void)state;
	in_every_way(false);
}

static void the_subscriber_is_cut_after_each_frame(void **state)
{
	(void)state;
	in_every_way(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(the_publisher_is_cut_after_each_frame),
		scene(the_subscriber_is_cut_after_each_frame),
	};

	/* a disk in memory, where there is one: it is not the disk that is tried here */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
