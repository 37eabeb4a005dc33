/*
 * test_ceilings.c - what one partner can make grow, and where it ends, whatever it leaves undone.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "actor.h"
#include "core/hub_priv.h"
#include "core/peer.h"

#include <cmocka.h>

enum { MEMORY = 8 << 20, SHARE = MEMORY / 4, FLASH_MORE = 4 << 20, PAD = 200000 };

/* the same photo is promised by all of them and comes for none */
static unsigned promise(struct actor *actor, struct photo *photo, int urgency, unsigned n)
{
	struct stage *stage = actor->stage;
	unsigned refused = 0;

	actor->part_end = 0;
	for (unsigned i = 0; i < n; i++) {
		char uri[32];
		struct offer *a;

		snprintf(uri, sizeof(uri), "urn:promise:%u", i);
		a = actor_publish(actor, .uri = uri, .urgency = urgency, .pad = PAD,
				  .photo = photo);
		stage_settle(stage);
		if (a->answer == REFUSED) {
			expect_refusal(a, "busy", NX_LATER);
			refused++;
		} else {
			expect_nothing(a);
		}
	}
	return refused;
}

static struct stage *small(void)
{
	return stage_new(
		&(struct stage_conf){ .rest = stage_usual, .limits = "inbound-memory = 8MiB" });
}

static void whoever_ends_nothing_is_refused_alone(void **state)
{
	struct stage *stage = small();
	struct actor *kpl = actor_enter(stage, "kpl"), *afp = actor_enter(stage, "afp");
	struct photo photo = photo_of(stage, 1, 3000);
	struct offer *a;

	(void)state;
	assert_true(promise(kpl, &photo, 5, 40) > 0);
	assert_in_range(stage->exchange->inbound_held, SHARE, SHARE + 2 * PAD);
	a = actor_publish(afp, .uri = "urn:a", .channel = "afp.x");
	stage_settle(stage);
	expect_ack(a);
	actor_cut(kpl);
	stage_settle(stage);
	assert_int_equal(stage->exchange->inbound_held, 0);
	stage_free(&stage);
}

static void flash_has_a_ceiling_too(void **state)
{
	struct stage *stage = small();
	struct actor *kpl = actor_enter(stage, "kpl"), *afp = actor_enter(stage, "afp");
	struct photo photo = photo_of(stage, 1, 3000);
	struct offer *a;

	(void)state;
	assert_true(promise(kpl, &photo, 5, 20) > 0);
	assert_true(promise(kpl, &photo, 1, 60) > 0);
	assert_in_range(stage->exchange->inbound_held, SHARE + FLASH_MORE,
			SHARE + FLASH_MORE + 4 * PAD);
	a = actor_publish(afp, .uri = "urn:a", .channel = "afp.x", .urgency = 1);
	stage_settle(stage);
	expect_ack(a);
	kpl->part_end = UINT64_MAX; /* it only was slow: all that was taken is stored */
	session_need_ready(kpl->session, kpl->need.handle);
	stage_settle(stage);
	assert_int_equal(stage->exchange->inbound_held, 0);
	assert_int_equal(exchange_partner(stage->exchange, "kpl")->flash_held, 0);
	stage_free(&stage);
}

static void small_items_count_for_what_they_cost(void **state)
{
	struct stage *stage = small();
	struct actor *kpl = actor_enter(stage, "kpl");
	struct photo photo = photo_of(stage, 1, 3000);
	unsigned taken = 0;

	(void)state;
	kpl->part_end = 0;
	for (unsigned i = 0; i < 1200; i++) {
		char uri[32];

		snprintf(uri, sizeof(uri), "urn:small:%u", i);
		actor_publish(kpl, .uri = uri, .photo = &photo);
		stage_settle(stage);
	}
	for (unsigned i = 0; i < kpl->offers_n; i++)
		taken += kpl->offers[i]->answer == NO_ANSWER_YET;
	assert_in_range(taken, 300, 512); /* of SHARE, 4 KiB and more each */
	stage_free(&stage);
}

/* all of them are let in before the first photo is asked for: together they ask for no more than
 * the share, and one each line */
static void photos_ask_for_what_there_is_room_for(void **state)
{
	struct stage *stage = small();
	struct actor *lines[3], *afp = actor_enter(stage, "afp");
	struct photo photos[36], small_one = photo_of(stage, 99, 3000);
	struct offer *a;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		lines[i] = actor_enter(stage, "kpl");
	for (unsigned i = 0; i < 36; i++) {
		char uri[32];

		photos[i] = photo_of(stage, i, 3 << 20);
		lines[i % 3]->part_end = 0;
		snprintf(uri, sizeof(uri), "urn:big:%u", i);
		actor_publish(lines[i % 3], .uri = uri, .photo = &photos[i]);
	}
	stage_settle(stage);
	for (unsigned i = 0; i < 3; i++)
		assert_true(lines[i]->needs_n > 0);
	assert_in_range(stage->exchange->inbound_held, SHARE, SHARE + 4 * (1 << 20));
	a = actor_publish(afp, .uri = "urn:a", .channel = "afp.x", .photo = &small_one);
	stage_settle(stage);
	expect_ack(a);
	for (unsigned i = 0; i < 3; i++) { /* they only were slow */
		lines[i]->part_end = UINT64_MAX;
		for (unsigned handle = 1; handle <= lines[i]->needs_n; handle++)
			session_need_ready(lines[i]->session, handle);
	}
	for (unsigned s = 0; s < 40; s++) {
		stage_later(stage, 1000);
		assert_true(stage->exchange->inbound_held <= SHARE + 4 * (1 << 20));
	}
	for (unsigned i = 0; i < 36; i++)
		assert_int_not_equal(lines[i % 3]->offers[i / 3]->answer, NO_ANSWER_YET);
	assert_int_equal(stage->exchange->inbound_held, 0);
	stage_free(&stage);
}

/* a window grows while less than half of the share is spoken for */
static void a_photo_asks_for_more_only_while_there_is_plenty(void **state)
{
	static const struct {
		const char *limits;
		uint64_t least, most;
	} rows[] = { { "inbound-memory = 8MiB", 2 << 20, 3 << 20 },
		     { "inbound-memory = 64MiB", 6 << 20, 6 << 20 } };

	for (unsigned i = 0; i < 2; i++) {
		struct stage *stage =
			scene_begin(state, &(struct stage_conf){ .rest = stage_usual,
								 .limits = rows[i].limits });
		struct actor *kpl = actor_enter(stage, "kpl");
		struct photo photo = photo_of(stage, 1, 6 << 20);

		kpl->part_end = 1 << 20; /* they are on disk, and the next is asked for */
		actor_publish(kpl, .uri = "urn:a", .photo = &photo);
		stage_settle(stage);
		assert_in_range(kpl->need.offset + kpl->need.length, rows[i].least, rows[i].most);
	}
}

/* whatever memory there is, of one who does not keep to send-ahead: so many items unanswered on one
 * link, and some flashes more */
static void a_link_has_so_many_open(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_new(stage, "kpl");
	struct photo photo = photo_of(stage, 1, 3000);
	unsigned waits = 0;

	kpl->ahead = 5000;
	kpl->part_end = 0;
	assert_int_equal(actor_dial(kpl), 0);
	for (unsigned i = 0; i < 1200; i++) {
		char uri[32];

		snprintf(uri, sizeof(uri), "urn:open:%u", i);
		actor_publish(kpl, .uri = uri, .photo = &photo, .urgency = i < 1100 ? 5 : 1);
		stage_settle(stage);
		if (i == 1023)
			expect_nothing(kpl->offers[i]);
		if (i == 1024)
			expect_refusal(kpl->offers[i], "busy", NX_LATER);
	}
	for (unsigned i = 0; i < kpl->offers_n; i++)
		waits += kpl->offers[i]->answer == NO_ANSWER_YET;
	assert_int_equal(waits, 1024 + 64);
}

/* gives the exchange's end of the link of a reader who has the item and may ask for its photo */
static struct link *photo_offered(struct stage *stage, const struct photo *photo,
				  struct actor **ret_vna)
{
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct link *link;

	actor_subscribe(vna, "all");
	actor_publish(kpl, .uri = "urn:a", .photo = photo);
	stage_settle(stage);
	link = peer_link(stage->hub->peers[1]);
	assert_string_equal(link->partner->name, "vna");
	*ret_vna = vna;
	return link;
}

static void one_octet_at_a_time_leaves_nothing_behind(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct photo photo = photo_of(stage, 1, 5000);
	struct actor *vna;
	struct link *link = photo_offered(stage, &photo, &vna);

	for (unsigned i = 0; i < 3000; i++) {
		assert_true(session_need(vna->session, photo.sha256, i, 1) > 0);
		stage_settle(stage);
		assert_in_range(link->serves.n, 0, 16);
	}
	assert_int_equal(vna->gones_n, 0);
}

/* more is asked of a handle than there is: it is gone, and so is what we kept for it */
static void a_need_that_is_refused_leaves_nothing_behind(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct photo photo = photo_of(stage, 1, 5000);
	struct actor *vna;
	struct link *link = photo_offered(stage, &photo, &vna);

	for (unsigned i = 0; i < 100; i++) {
		uint64_t handle = session_need(vna->session, photo.sha256, i, 1);

		assert_true(handle > 0);
		assert_true(session_need_more(vna->session, handle, 1 << 20));
		stage_settle(stage);
		assert_int_equal(link->serves.n, 0);
	}
	assert_int_equal(vna->gones_n, 100);
}

/* one octet of it turns round on the disk */
static void damage(const struct stage *stage, const struct photo *photo)
{
	char path[400];
	uint8_t *octets, *at, turned = photo->octets[0] ^ 1;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/photos/data.mdb", stage->store_dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	octets = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(octets != MAP_FAILED);
	at = memmem(octets, (size_t)st.st_size, photo->octets, 1000);
	assert_non_null(at);
	assert_int_equal(pwrite(fd, &turned, 1, at - octets), 1);
	munmap(octets, (size_t)st.st_size);
	close(fd);
}

static void a_photo_that_cannot_be_read_leaves_nothing_behind(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	struct photo photo = photo_of(stage, 1, 5000);
	struct link *link;

	actor_subscribe(vna, "all");
	actor_publish(kpl, .uri = "urn:a", .photo = &photo);
	stage_settle(stage);
	link = peer_link(stage->hub->peers[1]);
	damage(stage, &photo);
	for (unsigned i = 1; i <= 20; i++) {
		assert_true(session_need(vna->session, photo.sha256, 0, 5000) > 0);
		stage_settle(stage);
		assert_int_equal(vna->gones_n, i);
		assert_int_equal(link->serves.n, 0);
	}
}

static unsigned taken_of(struct actor *actor, unsigned n, int urgency, bool kill)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < n; i++) {
		static unsigned number;
		char uri[32];
		struct offer *a;

		snprintf(uri, sizeof(uri), "urn:rate:%u", number++);
		a = actor_publish(actor, .uri = uri, .urgency = urgency, .kill = kill);
		stage_settle(actor->stage);
		if (a->answer == REFUSED)
			expect_refusal(a, "too-fast", NX_LATER);
		taken += a->answer == ACKED;
	}
	return taken;
}

/* a partner's minute: flashes and kills have one each beside it, and no more */
static void urgency_is_no_way_round_the_rate(void **state)
{
	struct stage *stage = scene_begin(
		state, &(struct stage_conf){ .rest = "partner kpl { pin = {@kpl} publish = "
						     "{\"kpl.*\"} items-per-minute = 10 }\n"
						     "partner afp { pin = {@afp} publish = "
						     "{\"afp.*\"} octets-per-minute = 1KiB "
						     "}\n" });
	struct actor *kpl = actor_enter(stage, "kpl"), *afp = actor_enter(stage, "afp");
	struct offer *a, *b;

	assert_int_equal(taken_of(kpl, 15, 5, false), 10);
	assert_int_equal(taken_of(kpl, 15, 1, false), 10);
	assert_int_equal(taken_of(kpl, 15, 5, true), 10);
	stage_later(stage, 61000);
	assert_int_equal(taken_of(kpl, 12, 1, false), 10);
	assert_int_equal(taken_of(kpl, 3, 5, false), 0); /* they counted: of -20 ten are back */
	a = actor_publish(afp, .uri = "urn:a", .channel = "afp.x", .pad = 3000);
	b = actor_publish(afp, .uri = "urn:b", .channel = "afp.x");
	stage_settle(stage);
	expect_ack(a);
	expect_refusal(b, "too-fast", NX_LATER);
	stage_later(stage, 240000);
	actor_again(afp, b);
	stage_settle(stage);
	expect_ack(b);
}

static unsigned lines_of(const struct stage *stage, const char *word)
{
	unsigned n = 0;

	for (const char *at = stage->log; at != NULL && (at = strstr(at, word)) != NULL; at++)
		n++;
	return n;
}

/* what costs a partner a few octets does not fill the disk under the log, nor cry as it likes */
static void nobody_fills_the_log(void **state)
{
	struct stage *stage = scene_begin(
		state, &(struct stage_conf){ .rest = stage_usual, .log = "item-lines = 20" });
	struct actor *vna = actor_enter(stage, "vna");

	stage_later(stage, 1000);
	stage_forget_log(stage);
	for (unsigned i = 0; i < 200; i++) {
		actor_subscribe(vna, "nothing");
		stage_settle(stage);
	}
	assert_int_equal(lines_of(stage, "event=subscription.refuse"), 20);
	stage_later(stage, 1000);
	assert_true(stage_logged(stage, "event=subscription.summary lines_left_out=180"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(whoever_ends_nothing_is_refused_alone),
		scene(flash_has_a_ceiling_too),
		scene(small_items_count_for_what_they_cost),
		scene(photos_ask_for_what_there_is_room_for),
		scene(a_photo_asks_for_more_only_while_there_is_plenty),
		scene(a_link_has_so_many_open),
		scene(one_octet_at_a_time_leaves_nothing_behind),
		scene(a_need_that_is_refused_leaves_nothing_behind),
		scene(a_photo_that_cannot_be_read_leaves_nothing_behind),
		scene(urgency_is_no_way_round_the_rate),
		scene(nobody_fills_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
