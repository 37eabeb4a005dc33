/* who goes first: flash, turns, credit, send-ahead, small frames */
#include "talk.h"

static void accept_part(struct side *side, struct session_event *ev)
{
	if (ev->kind == SESSION_NEED)
		session_need_accept(side->session, ev->need.handle, ev->need.sha256[1] == 1);
}

static void flash_overtakes_within_one_frame(void **state)
{
	uint8_t sha256[32] = { 1 };
	unsigned at;

	(void)state;
	open_windows();
	side_offer(a, CLASS_ROUTINE, 100, 250000);
	assert_true(session_need(b->session, sha256, 0, 1000000) > 0);
	(void)side_speak(b);
	(void)side_listen(a, SIZE_MAX);
	session_need_accept(a->session, 1, false);
	for (int i = 0; i < 5; i++)
		assert_true(side_speak(a));
	at = a->frames;
	side_offer(a, CLASS_FLASH, 100, 30000);
	for (int i = 0; i < 3; i++)
		assert_true(side_speak(a));
	assert_int_equal(a->types[at], FRAME_ITEM);
	assert_int_equal(a->lanes[at], LANE_FLASH);
	assert_int_equal(a->types[at + 1], FRAME_MORE); /* its own: 30,100 octets are two frames */
	b->on_event = ack_all;
	assert_int_equal(side_listen(b, SIZE_MAX), 0);
	assert_non_null(heard_last(&b->heard, SESSION_ITEM)); /* whole, before the routine one */
	assert_int_equal(heard_last(&b->heard, SESSION_ITEM)->item.head.id, 2);
	assert_true(session_held(b->session) > 0);
	talk(a, b);
}

static void each_that_waits_gets_a_fourth(void **state)
{
	uint8_t sha256[32] = { 1 };
	unsigned parts = 0, items = 0;

	(void)state;
	session_window(b->session, LANE_ROUTINE, 4000, 1 << 30);
	talk(a, b);
	for (unsigned i = 0; i < 300;
	     i++) { /* one frame each; by length: routine 100, backlog 200 */
		side_offer(a, CLASS_ROUTINE, 0, 100);
		side_offer(a, CLASS_BACKLOG, 0, 200);
	}
	assert_true(session_need(b->session, sha256, 0, 100000000) > 0);
	(void)side_speak(b);
	(void)side_listen(a, SIZE_MAX);
	session_need_accept(a->session, 1, false);
	a->pipe_n = 0;
	for (unsigned i = 0; i < 600; i++)
		assert_true(side_speak(a));
	for (size_t at = 0, i = 0, since[3] = { 0 }; at < a->pipe_n; i++) {
		struct frame frame;
		int n = frame_next(slice_of(a->pipe + at, a->pipe_n - at), FRAME_FLOOR, &frame);
		int kind = frame.type == FRAME_DATA             ? 2
			   : frame.payload.n == ITEM_HEAD + 100 ? 0
								: 1;

		assert_true(n > 0);
		for (int other = 0; other < 3; other++) {
			since[other] = other == kind ? 0 : since[other] + 1;
			assert_true(since[other] <= 3); /* one in four */
		}
		parts += kind == 2;
		items += kind != 2;
		at += (size_t)n;
	}
	assert_int_equal(parts + items, 600);
	assert_in_range(parts, 150, 300);
}

static void long_backlog_does_not_starve_routine(void **state)
{
	unsigned routine = 0, backlog = 0;

	(void)state;
	session_window(b->session, LANE_ROUTINE, 4000, 1 << 30);
	talk(a, b);
	for (unsigned i = 0; i < 60; i++) {
		side_offer(a, CLASS_BACKLOG, 0, 200000); /* 13 frames */
		for (unsigned k = 0; k < 10; k++)
			side_offer(a, CLASS_ROUTINE, 0, 100);
	}
	for (unsigned i = 0; i < 600; i++) {
		size_t before = a->pipe_n;

		assert_true(side_speak(a));
		if (a->pipe_n - before == FRAME_HEADER + ITEM_HEAD + 100)
			routine++;
		else
			backlog++;
	}
	assert_in_range(routine, 150, 450);
	assert_in_range(backlog, 150, 450);
}

static void credit_lets_the_last_item_overdraw(void **state)
{
	static struct said said;
	static struct heard heard;
	struct wire wire = { 0 };

	(void)state;
	session_free(&a->session);
	a->session = greeted(&(struct session_conf){
		.hello = plain.hello, .source = { side_item, side_sent, side_part }, .arg = a });
	w_credit(&wire, 0, 4, 100);
	(void)feed_wire(a->session, &wire, &heard);
	for (int i = 0; i < 5; i++)
		side_offer(a, CLASS_ROUTINE, 0, i == 0 ? 90 : 500);
	assert_int_equal(listen_to(a->session, &said, SAID_MAX), 2); /* 90, then 500 of 10 left */
	w_credit(&wire, 0, 4, 590);
	(void)feed_wire(a->session, &wire, &heard);
	assert_false(session_wants(a->session));
	assert_int_equal(listen_to(a->session, &said, SAID_MAX), 0);
	w_credit(&wire, 0, 4, 591);
	(void)feed_wire(a->session, &wire, &heard);
	assert_true(session_wants(a->session));
	assert_int_equal(listen_to(a->session, &said, SAID_MAX), 1);
	w_credit(&wire, 0, 4, 9999); /* the fourth and last item */
	(void)feed_wire(a->session, &wire, &heard);
	assert_int_equal(listen_to(a->session, &said, SAID_MAX), 1);
	wire_done(&wire);
}

static void credit_is_topped_up_at_half_and_never_falls(void **state)
{
	static struct said said;
	static struct heard heard;
	struct session *session = greeted(&plain);
	struct wire wire = { 0 };
	uint64_t told = 0;

	(void)state;
	session_window(session, LANE_ROUTINE, 8, 8000);
	assert_int_equal(listen_to(session, &said, SAID_MAX), 1);
	told = said.msg[0].credit.octets;
	assert_int_equal(told, 8000);
	for (uint64_t id = 1; id <= 4; id++) { /* half is left: nothing to say yet */
		w_item(&wire, id, 0, 0, 0, 10, 10);
		(void)feed_wire(session, &wire, &heard);
		heard.n = 0;
		assert_int_equal(listen_to(session, &said, SAID_MAX), 0);
	}
	w_item(&wire, 5, 0, 0, 0, 10, 10);
	(void)feed_wire(session, &wire, &heard);
	assert_int_equal(listen_to(session, &said, SAID_MAX), 1);
	assert_int_equal(said.msg[0].credit.items, 13);
	assert_int_equal(said.msg[0].credit.octets, 8050);
	session_window(session, LANE_ROUTINE, 0, 0); /* no raising: the promise stands */
	for (uint64_t id = 6; id <= 13; id++)
		w_item(&wire, id, 0, 0, 0, 10, 10);
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	assert_int_equal(listen_to(session, &said, SAID_MAX), 0);
	session_window(session, LANE_FLASH, 0, 0); /* flash never sinks below its floor */
	w_item(&wire, 14, 1, 0, 0, 10, 10);
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	assert_int_equal(listen_to(session, &said, SAID_MAX), 1);
	assert_int_equal(said.msg[0].credit.lane, LANE_FLASH);
	assert_int_equal(said.msg[0].credit.items, 9);
	assert_int_equal(said.msg[0].credit.octets, 65546);
	session_free(&session);
	wire_done(&wire);
}

static void send_ahead_keeps_the_last_for_flash(void **state)
{
	struct session_conf conf = plain;

	(void)state;
	side_done(a);
	conf.ahead_items = 20;
	side_init(a, b, &conf);
	session_window(b->session, LANE_ROUTINE, 4000, 1 << 30);
	session_window(b->session, LANE_FLASH, 4000, 1 << 30);
	talk(a, b);
	for (unsigned i = 0; i < 40; i++)
		side_offer(a, CLASS_ROUTINE, 0, 10);
	talk(a, b);
	assert_int_equal(session_open_out(a->session), 12);
	for (unsigned i = 0; i < 40; i++)
		side_offer(a, CLASS_FLASH, 0, 10);
	talk(a, b);
	assert_int_equal(session_open_out(a->session), 20);
	ack_id(b, 1);
	ack_id(b, 2);
	talk(a, b);
	assert_int_equal(session_open_out(a->session), 20);
	assert_int_equal(a->first[CLASS_FLASH], 10);
}

static void send_ahead_counts_octets_too(void **state)
{
	struct session_conf conf = plain;

	(void)state;
	side_done(a);
	conf.ahead_octets = 300 << 10;
	side_init(a, b, &conf);
	session_window(b->session, LANE_ROUTINE, 4000, 1 << 30);
	session_window(b->session, LANE_FLASH, 4000, 1 << 30);
	talk(a, b);
	for (unsigned i = 0; i < 20; i++)
		side_offer(a, CLASS_ROUTINE, 0, 40000);
	talk(a, b);
	assert_int_equal(session_open_out(a->session), 7); /* 240,000 are less than 236 KiB */
	for (unsigned i = 0; i < 3; i++)
		side_offer(a, CLASS_FLASH, 0, 40000);
	talk(a, b);
	assert_int_equal(session_open_out(a->session), 8);
	assert_int_equal(a->first[CLASS_FLASH], 1);
	for (unsigned id = 1; id <= 3; id++)
		ack_id(b, id);
	talk(a, b);
	assert_int_equal(a->first[CLASS_FLASH], 3);
}

static void small_frames_for_a_slow_line(void **state)
{
	(void)state;
	a->small_max = b->small_max = 1; /* 1,024 is the least */
	a->on_event = accept_part;
	b->on_event = ack_all;
	open_windows();
	side_offer(a, CLASS_ROUTINE, 500, 5000);
	for (unsigned before; (before = (unsigned)a->pipe_n), side_speak(a);)
		assert_true(a->pipe_n - before <= FRAME_HEADER + 1024);
	talk(a, b);
	assert_int_equal(a->answered[1], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TALK(flash_overtakes_within_one_frame),
		TALK(each_that_waits_gets_a_fourth),
		TALK(long_backlog_does_not_starve_routine),
		TALK(credit_lets_the_last_item_overdraw),
		TALK(credit_is_topped_up_at_half_and_never_falls),
		TALK(send_ahead_keeps_the_last_for_flash),
		TALK(send_ahead_counts_octets_too),
		TALK(small_frames_for_a_slow_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
