/*
 * test_claims.c - claims, answers of every kind, and what silence costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "actor.h"
#include "base/clock.h"
#include "core/claim.h"
#include "store/owed.h"
#include "store/store_priv.h"

#include <cmocka.h>

static void a_takeover_owes_again_and_late_answers_count_for_nothing(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *old = actor_reader(stage, "vna", "all");
	struct actor *new;

	actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	assert_int_equal(old->gots_n, 1);
	new = actor_reader(stage, "vna", "all");
	assert_int_equal(old->unsubscribed_n, 1);
	assert_string_equal(old->unsubscribed.code, "taken-over");
	assert_false(actor_is_out(old));
	assert_int_equal(new->gots_n, 1);
	actor_ack(old, old->gots[0]);
	stage_settle(stage);
	assert_false(actor_is_out(old));         /* it is no crime */
	old = actor_reader(stage, "vna", "all"); /* still owed */
	assert_int_equal(old->gots_n, 1);
	actor_ack(old, old->gots[0]);
	stage_settle(stage);
	actor_back(new, "all");
	assert_int_equal(new->subscribed.owed, 0);
}

static void the_fifth_takeover_in_a_minute_is_busy(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *vna = actor_reader(stage, "vna", "all");

	for (unsigned i = 0; i < 4; i++)
		vna = actor_reader(stage, "vna", "all");
	vna = actor_enter(stage, "vna");
	actor_subscribe(vna, "all");
	stage_settle(stage);
	assert_int_equal(vna->subscribed_n, 0);
	assert_string_equal(vna->unsubscribed.code, "busy");
	stage_later(stage, 61000);
	actor_subscribe(vna, "all");
	stage_settle(stage);
	assert_int_equal(vna->subscribed_n, 1);
}

static void anothers_subscription_and_none_are_refused_alike(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *vna = actor_enter(stage, "vna");
	char words[257];

	actor_subscribe(vna, "every"); /* of web */
	stage_settle(stage);
	assert_string_equal(vna->unsubscribed.code, "no-such-subscription");
	snprintf(words, sizeof(words), "%s", vna->unsubscribed.words);
	actor_subscribe(vna, "nothing");
	stage_settle(stage);
	assert_int_equal(vna->unsubscribed_n, 2);
	assert_string_equal(vna->unsubscribed.words, words);
}

static void later_comes_again_after_its_time_and_blocks_nothing(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");

	actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	actor_refuse(vna, vna->gots[0], NX_ECONSUMERLATER, NX_LATER, 20000);
	actor_publish(kpl, .uri = "urn:b");
	stage_settle(stage);
	assert_int_equal(actor_count(vna, "urn:b", NULL), 1);
	actor_ack(vna, actor_got(vna, "urn:b", NULL));
	stage_later(stage, 19000);
	assert_int_equal(actor_count(vna, "urn:a", NULL), 1);
	stage_later(stage, 3000);
	assert_int_equal(actor_count(vna, "urn:a", NULL), 2);
	assert_int_equal(actor_count(vna, "urn:b", NULL), 1);
	actor_ack(vna, actor_got(vna, "urn:a", NULL));
	stage_settle(stage);
	actor_back(vna, "all");
	assert_int_equal(vna->subscribed.owed, 0);
}

/* what did not match before an item that is put off is not owed on: neither counted nor a row */
static void before_what_is_put_off_nothing_stays(void **state)
{
	struct stage_conf conf = {
		.rest = "partner kpl { pin = {@kpl} publish = {\"kpl.*\"} }\n"
			"partner vna { pin = {@vna} read = {\"*\"} }\n"
			"subscription all { partner = \"vna\" channels = {\"kpl.b\"} }\n"
	};
	struct stage *stage = scene_begin(state, &conf);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");

	actor_publish(kpl, .uri = "urn:a1", .channel = "kpl.a");
	actor_publish(kpl, .uri = "urn:a2", .channel = "kpl.a");
	actor_publish(kpl, .uri = "urn:b", .channel = "kpl.b");
	stage_settle(stage);
	actor_refuse(vna, actor_got(vna, "urn:b", NULL), NX_ECONSUMERLATER, NX_LATER, 20000);
	stage_settle(stage);
	actor_back(vna, "all");
	assert_int_equal(vna->subscribed.owed, 1);
}

static void later_without_a_time_backs_off(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");
	int64_t last = clock_boot_ms(), gaps[5];

	actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	for (unsigned i = 0; i < 5; i++) {
		unsigned had = vna->gots_n;

		actor_refuse(vna, vna->gots[had - 1], NX_EBUSY, NX_LATER, 0);
		for (unsigned s = 0; s < 100 && vna->gots_n == had; s++)
			stage_later(stage, 1000);
		assert_int_equal(vna->gots_n, had + 1);
		gaps[i] = clock_boot_ms() - last;
		last = clock_boot_ms();
	}
	assert_true(gaps[4] >= 3 * gaps[1]);
	assert_true(gaps[4] < 120000);
}

static void a_clock_set_back_does_not_put_later_off(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");

	actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	actor_refuse(vna, vna->gots[0], NX_ECONSUMERLATER, NX_LATER, 20000);
	stage_settle(stage);
	clock_jump_wall(-24 * 3600 * 1000LL);
	stage_later(stage, 25000);
	assert_int_equal(actor_count(vna, "urn:a", NULL), 2);
}

static void never_is_settled(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");

	actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	actor_refuse(vna, vna->gots[0], NX_ECONSUMER, NX_NEVER, 0);
	stage_settle(stage);
	assert_true(stage_logged(stage, "level=warn event=item.refused_by retry=never"));
	stage_crash(stage);
	actor_back(vna, "all");
	assert_int_equal(vna->gots_n, 1);
	assert_int_equal(vna->subscribed.owed, 0);
}

static void no_answer_closes_is_owed_again_and_backs_off_the_third_time(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");

	actor_publish(kpl, .uri = "urn:a");
	for (unsigned i = 1; i <= 3; i++) {
		stage_settle(stage);
		assert_int_equal(actor_count(vna, "urn:a", NULL), i);
		stage_later(stage, 590000);
		assert_false(actor_is_out(vna));
		stage_later(stage, 20000);
		assert_true(actor_is_out(vna));
		assert_string_equal(vna->bye_code, "no-answer");
		assert_int_equal(actor_dial(vna), 0);
		stage_settle(stage);
		actor_subscribe(vna, "all");
		stage_settle(stage);
	}
	assert_int_equal(vna->gots_n, 3); /* now it waits */
	actor_publish(kpl, .uri = "urn:b");
	stage_settle(stage);
	assert_int_equal(actor_count(vna, "urn:b", NULL), 1); /* and blocks nothing */
	actor_ack(vna, actor_got(vna, "urn:b", NULL));
	stage_later(stage, 16 * 60 * 1000);
	assert_int_equal(actor_count(vna, "urn:a", NULL), 4);
}

static void closed_for_silence(struct stage *stage, struct actor *vna)
{
	stage_later(stage, 610000);
	assert_string_equal(vna->bye_code, "no-answer");
	actor_back(vna, "all");
}

/* who is remembered in the place of another begins at one */
static void silence_about_one_item_is_not_held_against_another(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");
	char uri[32];

	for (unsigned i = 0; i <= NO_ANSWERS; i++) {
		snprintf(uri, sizeof(uri), "urn:%u", i);
		actor_publish(kpl, .uri = uri);
		stage_settle(stage);
		closed_for_silence(stage, vna);
		if (i == 0)
			closed_for_silence(stage, vna);
		assert_int_equal(actor_count(vna, uri, NULL), i == 0 ? 3 : 2);
		actor_ack(vna, actor_got(vna, uri, NULL));
		stage_settle(stage);
	}
}

/* ---- lines */

static void nobody_waits_for_one_who_never_reads(void **state)
{
	static char rest[4096];
	struct stage *stage;
	struct actor *kpl, *readers[10];
	char name[32];
	size_t n = (size_t)snprintf(rest, sizeof(rest),
				    "partner kpl { pin = {@kpl} publish = {\"*\"} }\n");

	for (unsigned i = 0; i < 10; i++)
		n += (size_t)snprintf(rest + n, sizeof(rest) - n,
				      "partner r%u { pin = {@r%u} read = {\"*\"} }\n"
				      "subscription s%u { partner = \"r%u\" start = \"all\" }\n",
				      i, i, i, i);
	stage = scene_begin(
		state,
		&(struct stage_conf){ .rest = rest, .store = "size = 64MiB hot-memory = 1MiB" });
	kpl = actor_enter(stage, "kpl");
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "r%u", i);
		readers[i] = actor_enter(stage, name);
		snprintf(name, sizeof(name), "s%u", i);
		actor_subscribe(readers[i], name);
		readers[i]->answers = i > 0;
	}
	stage_settle(stage);
	readers[0]->deaf = true;
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "urn:%u", i);
		actor_publish(kpl, .uri = name, .pad = 20000);
		if (i % 20 == 19) {
			stage_settle(stage);
			assert_true(stage->exchange->ring.octets <= 1 << 20);
			assert_int_equal(stage->exchange->inbound_held, 0);
		}
	}
	for (unsigned i = 1; i < 10; i++)
		assert_int_equal(readers[i]->gots_n, 200);
	assert_true(line_peek(readers[0]->line).n <= 400 * 1024);
	stage_later(stage, 59000);
	assert_false(actor_is_out(readers[0]));
	stage_later(stage, 5000);
	assert_true(actor_is_out(readers[0]));
	assert_true(stage_logged(stage, "event=conn.close peer=r0 reason=stall"));
	readers[0]->deaf = false;
	readers[0]->answers = true;
	actor_back(readers[0], "s0");
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "urn:%u", i);
		assert_non_null(actor_got(readers[0], name, NULL));
	}
}

static void after_bye_answers_still_flow(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl");
	struct offer *a;

	stage->by_hand = true;
	a = actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	session_bye(kpl->session, NX_EBYE, "done");
	stage_settle(stage);
	expect_nothing(a);
	assert_false(actor_is_out(kpl));
	stage_disk_commits(stage);
	expect_ack(a);
	stage_later(stage, 1500);
	assert_true(kpl->bye);
	assert_true(actor_is_out(kpl));
}

static void a_stop_says_bye_and_does_not_wait_for_ever(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");
	struct offer *a = actor_publish(kpl, .uri = "urn:a");

	stage_settle(stage);
	expect_ack(a);
	stage_stop(stage); /* vna never answers */
	assert_int_equal(stage->status, 0);
	assert_true(kpl->bye);
	assert_string_equal(kpl->bye_code, "shutdown");
	assert_int_equal(vna->gots_n, 1);
	stage_open(stage);
	vna->answers = true;
	actor_back(vna, "all");
	assert_int_equal(vna->gots_n, 2);
}

static void answers_to_what_was_sent_flow_after_our_bye(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");

	actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	hub_stop(stage->hub);
	stage_later(stage, 2000);
	assert_true(vna->bye);
	assert_false(actor_is_out(vna));
	actor_ack(vna, vna->gots[0]);
	stage_settle(stage);
	stage_stop(stage);
	stage_open(stage);
	actor_back(vna, "all");
	assert_int_equal(vna->gots_n, 1);
	assert_int_equal(vna->subscribed.owed, 0);
}

/* the store could not: then it is not said that it is done, and the client comes again */
static void what_could_not_be_owed_again_is_not_claimed(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_reader(stage, "vna", "all");
	struct feed *feed = exchange_feed(stage->exchange, "all");

	actor_publish(kpl, .uri = "urn:a");
	stage_settle(stage);
	actor_ack(vna, vna->gots[0]);
	stage_settle(stage);
	assert_int_equal(actor_dial(vna), 0);
	stage_settle(stage);
	stage->by_hand = true;
	assert_int_equal(
		session_subscribe(vna->session, "all", true, stage->exchange->state.epoch, 0), 0);
	stage_settle(stage);
	assert_int_equal(vna->subscribed_n, 0);
	assert_true(stage_disk_step(stage));
	feed->claim->again.req.code = NX_EFULL; /* as if there had been no room */
	stage->by_hand = false;
	stage_later(stage, 7000);
	assert_true(actor_is_out(vna));
	assert_int_equal(vna->subscribed_n, 0);
	assert_string_equal(vna->bye_code, "store-full");
	assert_true(stage_logged(stage, "level=err event=subscription.claim reason=store-full"));
	assert_false(stage_logged(stage, "event=subscription.restored"));
	assert_true(feed->owed_again_ms == INT64_MIN); /* it may come within the minute */
	assert_int_equal(actor_dial(vna), 0);
	stage_settle(stage);
	assert_int_equal(
		session_subscribe(vna->session, "all", true, stage->exchange->state.epoch, 0), 0);
	stage_settle(stage);
	assert_int_equal(vna->subscribed_n, 1);
	assert_int_equal(actor_count(vna, "urn:a", NULL), 2);
}

static void claims_of_one_link_take_turns(void **state)
{
	struct stage *stage = scene_begin(
		state,
		&(struct stage_conf){ .rest = "partner kpl { pin = {@kpl} publish = {\"*\"} }\n"
					      "partner vna { pin = {@vna} read = {\"*\"} }\n"
					      "subscription one { partner = \"vna\" channels = "
					      "{\"*\"} start = \"all\" "
					      "}\n"
					      "subscription two { partner = \"vna\" channels = "
					      "{\"*\"} start = \"all\" "
					      "}\n" });
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_new(stage, "vna");
	unsigned of[3] = { 0 };
	char uri[32];

	for (unsigned i = 0; i < 20; i++) {
		snprintf(uri, sizeof(uri), "urn:%u", i);
		actor_publish(kpl, .uri = uri);
	}
	stage_settle(stage);
	vna->credit_items = 0;
	assert_int_equal(actor_dial(vna), 0);
	stage_settle(stage);
	actor_subscribe(vna, "one");
	actor_subscribe(vna, "two");
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 0);
	actor_credit(vna, 1000);
	stage_settle(stage);
	assert_int_equal(vna->gots_n, 40);
	for (unsigned i = 0; i < 10; i++)
		of[vna->gots[i]->subscription]++;
	assert_in_range(of[1], 4, 6);
	assert_in_range(of[2], 4, 6);
}

static void silence_is_pinged_and_then_closed(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *afp = actor_enter(stage, "afp");

	stage_later(stage, 200000); /* both answer PINGs */
	assert_false(actor_is_out(kpl));
	kpl->mute = true;
	stage_later(stage, 65000);
	assert_false(actor_is_out(kpl));
	stage_later(stage, 30000);
	assert_true(actor_is_out(kpl));
	assert_true(stage_logged(stage, "event=conn.close peer=kpl reason=idle"));
	assert_false(actor_is_out(afp));
}

static void no_hello_in_ten_seconds(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_new(stage, "kpl");

	kpl->mute = true;
	assert_int_equal(actor_dial(kpl), 0);
	stage_later(stage, 9000);
	assert_false(actor_is_out(kpl));
	stage_later(stage, 5000);
	assert_true(actor_is_out(kpl));
	assert_true(stage_logged(stage, "event=conn.close peer=kpl reason=no-hello"));
}

/* its former link has ended, and only waits for the line to take the BYE */
static void a_node_that_begins_anew_is_no_twin_of_its_end(void **state)
{
	struct stage *stage = scene_begin(
		state,
		&(struct stage_conf){
			.rest = "partner kpl { pin = {@kpl} publish = {\"*\"} node = yes }\n" });
	struct actor *old = actor_enter(stage, "kpl"), *new = actor_new(stage, "kpl");

	snprintf(new->boot, sizeof(new->boot), "b1");
	assert_int_equal(actor_dial(new), 0);
	stage_settle(stage);
	assert_true(actor_is_out(new));
	assert_string_equal(new->bye_code, "twin");
	assert_false(actor_is_out(actor_enter(stage, "kpl"))); /* one program may have two */
	actor_cut(old->next->next);
	stage_settle(stage);
	old->deaf = old->mute = true;
	line_write(old->line, "\0\0\0\0\x13\0\0\0", 8); /* no such frame */
	stage_settle(stage);
	assert_true(stage_logged(stage, "event=conn.close peer=kpl reason=unknown-frame"));
	assert_false(actor_is_out(old));
	assert_int_equal(actor_dial(new), 0);
	stage_settle(stage);
	assert_true(new->hello);
	assert_false(actor_is_out(new));
	stage_later(stage, 5000);
	assert_true(actor_is_out(old));
	assert_false(actor_is_out(new));
}

static void a_stranger_is_not_let_in(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *who = actor_new(stage, "who");

	assert_int_equal(actor_dial(who), NX_EUNKNOWNKEY);
	assert_true(stage_logged(stage, "event=conn.refuse reason=unknown-key"));
}

/* what comes while a backlog is being sent follows it at once */
static void live_items_follow_a_backlog_without_a_pause(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna = actor_enter(stage, "vna");
	int64_t began;
	char uri[32];

	for (unsigned i = 0; i < 100; i++) {
		snprintf(uri, sizeof(uri), "urn:%u", i);
		actor_publish(kpl, .uri = uri);
	}
	stage_settle(stage);
	line_slow(vna->line, 1000, 1024);
	actor_subscribe(vna, "all");
	stage->by_hand = true;
	vna->answers = true;
	actor_publish(kpl, .uri = "urn:live");
	began = clock_boot_ms();
	stage_disk_commits(stage);
	assert_int_equal(clock_boot_ms(), began);
	assert_int_equal(vna->gots_n, 101);
}

/* the version octet of the first row of what the subscription is owed */
static void damage_owed(struct stage *stage, const char *subscription)
{
	uint32_t number = exchange_feed(stage->exchange, subscription)->number;
	uint8_t key[12], value[100];
	struct owed_row row;
	struct cur cur;
	struct txn txn;
	size_t n;

	txn_begin(&txn, items_db(stage->exchange->store->items), TXN_WRITE);
	cur_open(&cur, &txn, T_OWED);
	assert_true(owed_at(&cur, number, 0, &row));
	n = cur.value.n;
	assert_true(n <= sizeof(value));
	memcpy(value, cur.value.p, n);
	cur_close(&cur);
	value[0] ^= 0x10;
	pack_be64(pack_be32(key, number), row.first);
	txn_put(&txn, T_OWED, slice_of(key, sizeof(key)), slice_of(value, n));
	assert_int_equal(txn_end(&txn), 0);
}

static unsigned times_logged(const struct stage *stage, const char *words)
{
	unsigned n = 0;

	for (const char *p = stage->log; p != NULL && (p = strstr(p, words)) != NULL; p++)
		n++;
	return n;
}

static void a_damaged_row_is_mended_while_others_go_on(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna, *web;
	char uri[32];

	for (unsigned i = 0; i < 100; i++) {
		snprintf(uri, sizeof(uri), "urn:%u", i);
		actor_publish(kpl, .uri = uri);
		stage_settle(stage);
	}
	web = actor_reader(stage, "web", "every");
	assert_int_equal(web->gots_n, 100);
	vna = actor_enter(stage, "vna"); /* a claim meets it */
	damage_owed(stage, "all");
	actor_subscribe(vna, "all");
	stage_settle(stage);
	assert_true(vna->bye);
	assert_string_equal(vna->bye_code, "corrupt");
	stage_later(stage, 2000);
	assert_true(stage_logged(stage, "event=store.corrupt table=owed"));
	actor_back(vna, "all");
	assert_int_equal(vna->gots_n, 100);
	actor_publish(kpl, .uri = "urn:more");
	stage_settle(stage);
	assert_int_equal(actor_count(web, "urn:more", NULL), 1);
	assert_int_equal(actor_count(vna, "urn:more", NULL), 1);
	assert_int_equal(times_logged(stage, "event=store.corrupt"), 1);
	assert_int_equal(stage->status, 0);
}

/* it is tried at each tick until the writer has mended what it met */
static void a_fetch_that_fails_is_said_once(void **state)
{
	struct stage *stage = scene_begin(state, NULL);
	struct actor *kpl = actor_enter(stage, "kpl"), *vna;
	char uri[32];

	vna = actor_enter(stage, "vna");
	for (unsigned i = 0; i < 100; i++) {
		snprintf(uri, sizeof(uri), "urn:%u", i);
		actor_publish(kpl, .uri = uri);
		stage_settle(stage);
	}
	stage->reader_late = true;
	actor_subscribe(vna, "all");
	stage_settle(stage);
	stage_reader_answers(stage); /* SUBSCRIBED */
	damage_owed(stage, "all");
	stage->by_hand = true; /* the writer does not come by */
	stage->reader_late = false;
	stage_reader_answers(stage);
	stage_later(stage, 10000);
	assert_int_equal(times_logged(stage, "event=subscription.fetch"), 1);
	stage->by_hand = false;
	stage_later(stage, 2000);
	assert_int_equal(vna->gots_n, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scene(a_takeover_owes_again_and_late_answers_count_for_nothing),
		scene(the_fifth_takeover_in_a_minute_is_busy),
		scene(anothers_subscription_and_none_are_refused_alike),
		scene(later_comes_again_after_its_time_and_blocks_nothing),
		scene(a_clock_set_back_does_not_put_later_off),
		scene(before_what_is_put_off_nothing_stays),
		scene(later_without_a_time_backs_off),
		scene(never_is_settled),
		scene(no_answer_closes_is_owed_again_and_backs_off_the_third_time),
		scene(silence_about_one_item_is_not_held_against_another),
		scene(nobody_waits_for_one_who_never_reads),
		scene(after_bye_answers_still_flow),
		scene(a_stop_says_bye_and_does_not_wait_for_ever),
		scene(answers_to_what_was_sent_flow_after_our_bye),
		scene(what_could_not_be_owed_again_is_not_claimed),
		scene(claims_of_one_link_take_turns),
		scene(silence_is_pinged_and_then_closed),
		scene(no_hello_in_ten_seconds),
		scene(a_node_that_begins_anew_is_no_twin_of_its_end),
		scene(a_stranger_is_not_let_in),
		scene(live_items_follow_a_backlog_without_a_pause),
		scene(a_damaged_row_is_mended_while_others_go_on),
		scene(a_fetch_that_fails_is_said_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
