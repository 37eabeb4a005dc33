/*
 * test_random.c - many small lives of an exchange, each from one number, against a model.
 *
 *   test_random          so many seeds as fit into a few seconds
 *   test_random 17 [40]  that one alone, or those from 17 to 40
 *
 * The model keeps what was offered and answered. At the end of a life everything is brought up
 * again, time passes, and then: whoever was told yes finds his item at every subscription that
 * wants it, no octet came before its time or after a kill, versions did not go backwards on a
 * link, each item had one answer, and nothing is owed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "actor.h"
#include "base/clock.h"
#include "store/store.h"

#include <cmocka.h>

enum { PUBLISHERS = 2, READERS = 3, STORIES = 5, STEPS = 60, SEEDS_MOST = 300, SECONDS = 20 };

static const char rest[] =
	"partner kpl { pin = {@kpl} publish = {\"kpl.*\"} }\n"
	"partner afp { pin = {@afp} publish = {\"afp.*\"} }\n"
	"partner vna { pin = {@vna} read = {\"*\"} }\n"
	"partner web { pin = {@web} read = {\"*\"} }\n"
	"partner lao { pin = {@lao} read = {\"*\"} }\n"
	"subscription s-vna { partner = \"vna\" channels = {\"*\"} start = \"all\" }\n"
	"subscription s-web { partner = \"web\" channels = {\"*\"} start = \"all\" "
	"versions = \"all\" }\n"
	"subscription s-lao { partner = \"lao\" channels = {\"kpl.*\"} start = \"all\" }\n";
static const char *const names[] = { "kpl", "afp", "vna", "web", "lao" };

struct life {
	uint64_t seed, number;
	struct stage *stage;
	struct actor *who[PUBLISHERS + READERS];
	unsigned version[PUBLISHERS][STORIES];
	bool killed[PUBLISHERS][STORIES];
	struct photo photos[3];
	unsigned checked[READERS]; /* items looked at already */
	unsigned secrets;
};
struct secret { /* the scene's tag of an offer */
	int64_t release_ms;
};

static uint64_t below(struct life *life, uint64_t n)
{
	life->seed = life->seed * 6364136223846793005u + 1442695040888963407u;
	return (life->seed >> 33) % n;
}

static struct actor *reader(struct life *life, unsigned i)
{
	return life->who[PUBLISHERS + i];
}

static const struct offer *offer_of(const struct life *life, const struct got *got)
{
	for (unsigned p = 0; p < PUBLISHERS; p++)
		for (unsigned i = 0; i < life->who[p]->offers_n; i++) {
			const struct offer *offer = life->who[p]->offers[i];

			if (strcmp(offer->uri, got->uri) == 0 &&
			    strcmp(offer->version, got->version) == 0)
				return offer;
		}
	return NULL;
}

/* ---- what must hold at every moment */

static bool kill_before(const struct actor *actor, unsigned n, const struct got *got)
{
	for (unsigned i = 0; i < n; i++)
		if (actor->gots[i]->kill && strcmp(actor->gots[i]->uri, got->uri) == 0)
			return true;
	return false;
}

static void check_got(struct life *life, unsigned r, unsigned n)
{
	struct actor *actor = reader(life, r);
	struct got *got = actor->gots[n];
	const struct offer *offer = offer_of(life, got);

	if (offer == NULL)
		fail_msg("seed %lu: %s got %s that nobody sent", life->number, actor->name,
			 got->uri);
	if ((int64_t)offer->tag > clock_wall_ms())
		fail_msg("seed %lu: %s got %s before its time", life->number, actor->name,
			 got->uri);
	if (got->document_n != offer->document_n ||
	    memcmp(got->octets + got->envelope_n, offer->octets + offer->envelope_n,
		   got->document_n) != 0)
		fail_msg("seed %lu: %s got other octets", life->number, actor->name);
	if (!got->kill && kill_before(actor, n, got))
		fail_msg("seed %lu: %s got %s %s after its kill", life->number, actor->name,
			 got->uri, got->version);
	for (unsigned i = 0; r != 1 && i < n; i++) {
		const struct got *before = actor->gots[i];

		if (before->link == got->link && strcmp(before->uri, got->uri) == 0 &&
		    atoi(before->version) > atoi(got->version))
			fail_msg("seed %lu: %s got %s %s after %s", life->number, actor->name,
				 got->uri, got->version, before->version);
	}
}

static void check_now(struct life *life)
{
	for (unsigned r = 0; r < READERS; r++)
		for (; life->checked[r] < reader(life, r)->gots_n; life->checked[r]++)
			check_got(life, r, life->checked[r]);
	for (unsigned p = 0; p < PUBLISHERS; p++)
		for (unsigned i = 0; i < life->who[p]->offers_n; i++)
			if (life->who[p]->offers[i]->answers > 1)
				fail_msg("seed %lu: two answers", life->number);
}

/* ---- what happens */

static void publish(struct life *life)
{
	unsigned p = (unsigned)below(life, PUBLISHERS), s = (unsigned)below(life, STORIES);
	char uri[32], version[32];
	struct story story = { .uri = uri, .version = version };
	struct offer *offer;

	if (life->killed[p][s])
		return;
	snprintf(uri, sizeof(uri), "urn:%s:%u", names[p], s);
	snprintf(version, sizeof(version), "%u", ++life->version[p][s]);
	story.urgency = below(life, 5) == 0 ? 1 : 5;
	story.pad = below(life, 4) == 0 ? (size_t)below(life, 40000) : 0;
	if (below(life, 4) == 0)
		story.photo = &life->photos[below(life, 3)];
	if (below(life, 12) == 0)
		story.kill = life->killed[p][s] = true;
	else if (below(life, 6) == 0)
		story.embargo_ms = clock_wall_ms() + 1000 + (int64_t)below(life, 20000);
	if (story.kill)
		story.photo = NULL;
	offer = actor_offer(life->who[p], &story);
	offer->tag = (uint64_t)story.embargo_ms;
}

static void come(struct life *life, unsigned i)
{
	struct actor *actor = life->who[i];
	char name[32];

	if (actor_dial(actor) < 0)
		return;
	if (i < PUBLISHERS)
		return;
	stage_settle(life->stage); /* HELLO first */
	if (!actor->hello)         /* it does not listen just now */
		return;
	snprintf(name, sizeof(name), "s-%.20s", actor->name);
	actor_subscribe(actor, name);
}

static void answer_some(struct life *life)
{
	struct actor *actor = reader(life, (unsigned)below(life, READERS));

	for (unsigned i = 0; i < actor->gots_n; i++) {
		struct got *got = actor->gots[i];

		if (got->answered || got->link != actor->links || below(life, 2) == 0)
			continue;
		if (got->withdrawn && below(life, 2) == 0)
			actor_refuse(actor, got, NX_EWITHDRAWN, NX_NEVER, 0);
		else if (below(life, 4) == 0)
			actor_refuse(actor, got, NX_EBUSY, NX_LATER, (int64_t)below(life, 5000));
		else
			actor_ack(actor, got);
	}
}

static void act(struct life *life)
{
	struct stage *stage = life->stage;
	struct actor *actor = life->who[below(life, PUBLISHERS + READERS)];

	switch (below(life, 16)) {
	case 0:
		actor_cut(actor);
		break;
	case 1:
		if (below(life, 3) == 0)
			stage_crash(stage);
		break;
	case 2:
		stage_later(stage, (int64_t)below(life, 8000));
		break;
	case 3:
		stage->by_hand = below(life, 2) == 0;
		break;
	case 4:
		for (uint64_t n = below(life, 4); n > 0; n--)
			stage_disk_step(stage);
		break;
	case 5:
		actor->answers = below(life, 3) != 0;
		break;
	case 6:
		answer_some(life);
		break;
	case 7:
		actor->deaf = below(life, 4) == 0;
		break;
	case 8:
	case 9:
		for (unsigned i = 0; i < PUBLISHERS + READERS; i++)
			if (actor_is_out(life->who[i]) || below(life, 12) == 0)
				come(life, i);
		break;
	default:
		publish(life);
		break;
	}
	if (below(life, 3) != 0)
		stage_settle(stage);
	check_now(life);
}

/* ---- the end */

static void offer_again(struct life *life)
{
	for (unsigned p = 0; p < PUBLISHERS; p++) {
		struct actor *actor = life->who[p];

		for (unsigned i = 0; i < actor->offers_n; i++)
			if (actor->offers[i]->answer == REFUSED &&
			    actor->offers[i]->refuse.retry == NX_LATER)
				actor_again(actor, actor->offers[i]);
	}
}

static void finish(struct life *life)
{
	life->stage->by_hand = false;
	for (unsigned i = 0; i < PUBLISHERS + READERS; i++) {
		struct actor *actor = life->who[i];

		actor->answers = true;
		actor->deaf = false;
		actor_cut(actor);
	}
	stage_settle(life->stage);
	stage_later(life->stage, 61000); /* for the takeovers of the last minute */
	for (unsigned i = 0; i < PUBLISHERS + READERS; i++)
		come(life, i);
	for (unsigned i = 0; i < 4; i++) {
		stage_later(life->stage, 30000);
		offer_again(life);
	}
	stage_later(life->stage, 3 * 60 * 1000);
	check_now(life);
}

static bool has_newer(const struct life *life, unsigned p, const struct offer *offer, bool kill)
{
	for (unsigned i = 0; i < life->who[p]->offers_n; i++) {
		const struct offer *other = life->who[p]->offers[i];

		if (strcmp(other->uri, offer->uri) != 0 || other == offer)
			continue;
		if (kill && memmem(other->octets, other->envelope_n + other->document_n, "canceled",
				   8) != NULL)
			return true;
		if (!kill && atoi(other->version) > atoi(offer->version))
			return true;
	}
	return false;
}

static void check_offer(struct life *life, unsigned p, const struct offer *offer)
{
	if (offer->answer == NO_ANSWER_YET)
		fail_msg("seed %lu: %s %s was never answered", life->number, offer->uri,
			 offer->version);
	if (offer->answer == REFUSED && !has_newer(life, p, offer, true))
		fail_msg("seed %lu: %s %s refused %s: %s", life->number, offer->uri, offer->version,
			 offer->refuse.code, offer->refuse.words);
	for (unsigned r = 0; offer->answer == ACKED && r < READERS; r++) {
		struct actor *actor = reader(life, r);

		if ((r == 2 && p == 1) || has_newer(life, p, offer, true) ||
		    ((r != 1 || offer->tag != 0) && has_newer(life, p, offer, false)))
			continue;
		if (actor_count(actor, offer->uri, offer->version) == 0)
			fail_msg("seed %lu: %s never got %s %s", life->number, actor->name,
				 offer->uri, offer->version);
	}
}

static void check_end(struct life *life)
{
	for (unsigned p = 0; p < PUBLISHERS; p++)
		for (unsigned i = 0; i < life->who[p]->offers_n; i++)
			check_offer(life, p, life->who[p]->offers[i]);
	for (unsigned r = 0; r < READERS; r++) {
		struct actor *actor = reader(life, r);

		assert_false(actor_is_out(actor));
		assert_int_equal(actor->subscribed_n, 1);
		for (unsigned i = 0; i < actor->gots_n; i++) {
			const struct got *got = actor->gots[i];

			if (got->link == actor->links && !got->answered && !got->withdrawn)
				fail_msg("seed %lu: %s did not answer", life->number, actor->name);
		}
		come(life, PUBLISHERS + r);
		stage_settle(life->stage);
		if (actor->subscribed.owed != 0)
			fail_msg("seed %lu: %s is still owed %lu", life->number, actor->name,
				 (unsigned long)actor->subscribed.owed);
	}
	assert_int_equal(life->stage->exchange->inbound_held, 0);
	assert_int_equal(life->stage->exchange->pulls.n, 0);
}

static void live(uint64_t seed)
{
	struct life life = { .seed = seed * 2654435761u + 1, .number = seed };

	life.stage = stage_new(&(struct stage_conf){ .rest = rest, .store = "size = 16MiB" });
	for (unsigned i = 0; i < 3; i++)
		life.photos[i] = photo_of(seed + i, 1000 + (size_t)below(&life, 400000));
	for (unsigned i = 0; i < PUBLISHERS + READERS; i++) {
		life.who[i] = actor_new(life.stage, names[i]);
		life.who[i]->answers = true;
	}
	for (unsigned i = 0; i < STEPS; i++)
		act(&life);
	finish(&life);
	check_end(&life);
	stage_free(&life.stage);
	for (unsigned i = 0; i < 3; i++)
		photo_done(&life.photos[i]);
}

static uint64_t first, last; /* 0 = as many as there is time for */

static void lives_of_an_exchange(void **state)
{
	time_t until = time(NULL) + SECONDS;
	uint64_t seed = first == 0 ? 1 : first;

	(void)state;
	for (; first != 0 ? seed <= last : seed <= SEEDS_MOST && time(NULL) < until; seed++) {
		if (getenv("SCENE_SEEDS") != NULL)
			print_message("seed %lu\n", (unsigned long)seed);
		live(seed);
	}
	print_message("lives up to %lu\n", (unsigned long)seed - 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lives_of_an_exchange),
	};

	/* a disk in memory, where there is one: it is not the disk that is tried here */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	last = argc > 2 ? strtoull(argv[2], NULL, 10) : first;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
