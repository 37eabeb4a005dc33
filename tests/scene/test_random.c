/*
 * test_random.c - many small lives of an exchange, each from one number, against a model.
 *
 *   test_random          so many seeds as fit into a few seconds
 *   test_random 17 [40]  that one alone, or those from 17 to 40
 *
 * Stories, photos, flashes, kills, embargoes, offers made twice; readers that answer, refuse, come
 * and go, do not listen; crashes, reloads that change a filter, clocks that jump, debts that
 * expire, a store whose reader is slow to tell what it read. The model (model.h) is asked after
 * each step. At the end of a life everything is brought up again, time passes, and whoever was told
 * yes finds his item at every subscription that wants it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "model.h"
#include "store/store.h"

#include <cmocka.h>

enum { STEPS = 80, SEEDS_MOST = 300, SECONDS = 25 };

static const char rest[] =
	"partner kpl { pin = {@kpl} publish = {\"kpl.*\"} }\n"
	"partner afp { pin = {@afp} publish = {\"afp.*\"} }\n"
	"partner vna { pin = {@vna} read = {\"*\"} }\n"
	"partner web { pin = {@web} read = {\"*\"} }\n"
	"partner lao { pin = {@lao} read = {\"*\"} }\n"
	"partner old { pin = {@old} read = {\"*\"} }\n"
	"subscription s-vna { partner = \"vna\" channels = {\"*\"} start = \"all\" }\n"
	"subscription s-web { partner = \"web\" channels = {\"*\"} start = \"all\" "
	"versions = \"all\" }\n";
static const char *const names[] = { "kpl", "afp", "vna", "web", "lao", "old" };
static const char *const channels[] = { "kpl.*", "afp.*", "*" };

static void conf_of(const struct life *life, const char *lao, char *to, size_t size)
{
	snprintf(to, size,
		 "%ssubscription s-lao { partner = \"lao\" channels = {\"%s\"} start = \"all\" }\n"
		 "subscription s-old { partner = \"old\" channels = {\"*\"} start = \"all\" "
		 "versions = \"all\" backlog-age = \"%s\" }\n",
		 rest, lao, life->expires ? "20s" : "1h");
}

static uint64_t below(struct life *life, uint64_t n)
{
	life->seed = life->seed * 6364136223846793005u + 1442695040888963407u;
	return (life->seed >> 33) % n;
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
	story.urgency = below(life, 4) == 0 ? 1 : 5;
	story.pad = below(life, 4) == 0 ? (size_t)below(life, 40000) : 0;
	if (below(life, 4) == 0)
		story.photo = &life->photos[below(life, 3)];
	if (below(life, 16) == 0)
		story.kill = life->killed[p][s] = true;
	if (below(life, 6) == 0)
		story.embargo_ms = model_true_ms(life) + 1000 + (int64_t)below(life, 20000);
	if (story.kill)
		story.photo = NULL;
	offer = actor_offer(life->who[p], &story);
	/* a kill of what is out does not wait */
	offer->tag = story.kill ? 0 : (uint64_t)story.embargo_ms;
}

static void offer_twice(struct life *life)
{
	struct actor *actor = life->who[below(life, PUBLISHERS)];
	struct offer *offer;

	if (actor->offers_n == 0 || actor->session == NULL)
		return;
	offer = actor->offers[below(life, actor->offers_n)];
	if (offer->answer != ACKED)
		return;
	offer->again = offer->ack.sequence;
	actor_again(actor, offer);
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
	struct actor *actor = model_reader(life, (unsigned)below(life, READERS));

	for (unsigned i = 0; i < actor->gots_n; i++) {
		struct got *got = actor->gots[i];

		if (got->answered || got->link != actor->links || below(life, 2) == 0)
			continue;
		if (got->withdrawn && below(life, 2) == 0) {
			actor_refuse(actor, got, NX_EWITHDRAWN, NX_NEVER, 0);
		} else if (below(life, 4) == 0) {
			life->put_off = true;
			actor_refuse(actor, got, NX_EBUSY, NX_LATER, (int64_t)below(life, 5000));
		} else {
			actor_ack(actor, got);
		}
	}
}

static void set_filter(struct life *life, const char *lao)
{
	assert_true(life->filters_n < FILTERS_MOST);
	life->filters[life->filters_n].first = life->stage->exchange->ring.end;
	life->filters[life->filters_n++].channels = lao;
}

static void reload(struct life *life)
{
	const char *lao = channels[below(life, 3)];
	char text[2048];

	if (life->filters_n == FILTERS_MOST)
		return;
	conf_of(life, lao, text, sizeof(text));
	life->stage->by_hand = false;
	stage_settle(life->stage); /* where the feed ends is known now */
	set_filter(life, lao);
	stage_reload(life->stage, text);
}

static void jump(struct life *life, int64_t ms)
{
	life->jump_ms += ms;
	if (life->jump_ms > life->ahead_ms)
		life->ahead_ms = life->jump_ms;
	clock_jump_wall(ms);
}

static void crash(struct life *life)
{
	/* at a start nobody can tell that it did; nor that it went back, before a time is stored */
	if (life->jump_ms > 0 || clock_boot_ms() - life->boot_ms < 2000)
		jump(life, -life->jump_ms);
	life->crashes++;
	stage_crash(life->stage);
}

static void some_clock(struct life *life)
{
	int64_t ms = (int64_t)(120 + below(life, 7200)) * 1000;

	if (life->jump_ms != 0)
		jump(life, -life->jump_ms);
	else
		jump(life, below(life, 2) == 0 ? ms : -ms);
	if (life->jump_ms == 0 && below(life, 2) == 0)
		store_clock_ok(life->stage->exchange->store);
}

static void come_and_go(struct life *life)
{
	for (unsigned i = 0; i < PUBLISHERS + READERS; i++)
		if (actor_is_out(life->who[i]) || below(life, 12) == 0)
			come(life, i);
}

/* what the reader saw is told when more has happened */
static void read_late(struct life *life, bool late)
{
	life->stage->reader_late = late;
	stage_reader_answers(life->stage);
}

static void act(struct life *life)
{
	struct stage *stage = life->stage;
	struct actor *actor = life->who[below(life, PUBLISHERS + READERS)];

	switch (below(life, 20)) {
	case 0:
		actor_cut(actor);
		break;
	case 1:
		if (below(life, 3) == 0)
			crash(life);
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
		come_and_go(life);
		break;
	case 10:
		if (below(life, 3) == 0)
			reload(life);
		break;
	case 11:
		if (below(life, 3) == 0)
			some_clock(life);
		break;
	case 12:
		offer_twice(life);
		break;
	case 13:
		read_late(life, below(life, 3) == 0);
		break;
	default:
		publish(life);
		break;
	}
	if (below(life, 3) != 0) {
		stage_settle(stage);
		if (!stage->by_hand && !stage->reader_late)
			model_at_rest(life);
	}
	model_check_now(life);
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

/* the time of the next try is wall time, so that it outlives a restart: a clock that goes back
 * again leaves it so far ahead, two hours at most */
static int64_t put_off_ms(const struct life *life)
{
	return life->put_off ? life->ahead_ms : 0;
}

static void finish(struct life *life)
{
	life->stage->by_hand = false;
	read_late(life, false);
	stage_settle(life->stage); /* what was begun by the old clock */
	jump(life, -life->jump_ms);
	store_clock_ok(life->stage->exchange->store);
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
	if (put_off_ms(life) > 40 * 60 * 1000) /* what nobody answers is an hour old by then */
		life->expires = true;
	stage_later(life->stage, 3 * 60 * 1000 + put_off_ms(life));
	model_at_rest(life);
	model_check_now(life);
}

static void check_answered(struct life *life)
{
	for (unsigned r = 0; r < READERS; r++) {
		struct actor *actor = model_reader(life, r);

		assert_false(actor_is_out(actor));
		assert_int_equal(actor->subscribed_n, 1);
		for (unsigned i = 0; i < actor->gots_n; i++) {
			const struct got *got = actor->gots[i];

			if (got->link == actor->links && !got->answered && !got->withdrawn)
				fail_msg("seed %lu: %s did not answer", life->number, actor->name);
		}
		come(life, PUBLISHERS + r); /* it is told what it is owed */
		stage_settle(life->stage);
	}
}

static void live(uint64_t seed)
{
	struct life life = { .seed = seed * 2654435761u + 1, .number = seed };
	char text[2048];

	life.expires = below(&life, 3) == 0;
	conf_of(&life, channels[0], text, sizeof(text));
	life.stage = stage_new(&(struct stage_conf){ .rest = text, .store = "size = 16MiB" });
	life.boot_ms = clock_boot_ms();
	life.wall_ms = clock_wall_ms();
	set_filter(&life, channels[0]);
	life.filters[0].first = 0;
	for (unsigned i = 0; i < 3; i++)
		life.photos[i] =
			photo_of(life.stage, seed + i, 1000 + (size_t)below(&life, 400000));
	for (unsigned i = 0; i < PUBLISHERS + READERS; i++) {
		life.who[i] = actor_new(life.stage, names[i]);
		life.who[i]->answers = true;
	}
	for (unsigned i = 0; i < STEPS; i++)
		act(&life);
	finish(&life);
	check_answered(&life);
	model_check_end(&life);
	stage_free(&life.stage);
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
		scene(lives_of_an_exchange),
	};

	/* a disk in memory, where there is one: it is not the disk that is tried here */
	if (access("/dev/shm", W_OK) == 0)
		setenv("TMPDIR", "/dev/shm", 0);
	first = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	last = argc > 2 ? strtoull(argv[2], NULL, 10) : first;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
