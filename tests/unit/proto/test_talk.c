/* two sessions in one conversation: items, lanes, credit, parts, withdrawals, claims, silence,
 * goodbye */
#include "talk.h"

static struct side *a, *b;

static int setup(void **state)
{
	(void)state;
	a = malloc(sizeof(*a));
	b = malloc(sizeof(*b));
	assert_non_null(a);
	assert_non_null(b);
	side_init(a, b, NULL);
	side_init(b, a, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	side_done(a);
	side_done(b);
	free(a);
	free(b);
	return 0;
}

static void open_windows(void)
{
	session_window(a->session, LANE_ROUTINE, 64, 4 << 20);
	session_window(b->session, LANE_ROUTINE, 64, 4 << 20);
	talk(a, b);
}

static void both_directions_at_once(void **state)
{
	(void)state;
	a->on_event = b->on_event = ack_all;
	open_windows();
	assert_string_equal(session_peer(a->session)->node, "exchange");
	for (unsigned i = 0; i < 100; i++) {
		side_offer(a, CLASS_ROUTINE, 100, 40000);
		side_offer(b, i % 3 == 0 ? CLASS_FLASH : CLASS_ROUTINE, 10, 50);
	}
	talk(a, b);
	assert_int_equal(session_open_out(a->session) + session_open_out(b->session), 0);
	for (unsigned id = 1; id <= 100; id++) {
		assert_int_equal(a->answered[id], 1);
		assert_int_equal(b->answered[id], 1);
	}
	assert_int_equal(b->heard.octets, 100 * 40100);
	assert_int_equal(a->heard.octets, 100 * 60);
	assert_int_equal(session_held(b->session), 0);
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

static void many_answers_travel_in_one_frame(void **state)
{
	unsigned before;

	(void)state;
	open_windows();
	for (unsigned i = 0; i < 50; i++)
		side_offer(a, CLASS_ROUTINE, 5, 5);
	talk(a, b);
	for (uint64_t id = 50; id >= 1; id--)
		ack_id(b, id);
	assert_int_equal(session_ack(b->session, &(struct ack){ .id = 7 }), NX_EACK); /* once */
	assert_int_equal(session_refuse(b->session, 99, NX_EBUSY, NX_LATER, 0, NULL), NX_EACK);
	before = b->frames;
	a->cut = 1;
	talk(a, b);
	assert_int_equal(b->frames, before + 1);
	for (unsigned id = 1; id <= 50; id++)
		assert_int_equal(a->answered[id], 1);
	assert_int_equal(heard_last(&a->heard, SESSION_ANSWER)->ack.sequence, 1001);
}

static void refusals_carry_code_retry_and_words(void **state)
{
	const struct session_event *ev;
	char words[400];

	(void)state;
	open_windows();
	side_offer(a, CLASS_ROUTINE, 5, 5);
	side_offer(a, CLASS_ROUTINE, 5, 5);
	talk(a, b);
	memset(words, '"', sizeof(words) - 1);
	words[sizeof(words) - 1] = '\0';
	words[255] = '\xc3'; /* a letter that the ceiling cuts in two */
	words[256] = '\xa9';
	assert_int_equal(session_refuse(b->session, 2, NX_EFULL, NX_LATER, 1500, words), 0);
	assert_int_equal(session_refuse(b->session, 1, NX_ECONFLICT, NX_NEVER, 0, NULL), 0);
	talk(a, b);
	ev = heard_last(&a->heard, SESSION_REFUSED);
	assert_int_equal(ev->refuse.id, 1);
	assert_string_equal(ev->refuse.code, "conflict");
	assert_int_equal(ev->refuse.retry, NX_NEVER);
	assert_string_equal(ev->refuse.words, "");
	assert_int_equal(ev[-1].refuse.after_ms, 1500);
	assert_string_equal(ev[-1].refuse.code, "store-full");
	assert_int_equal(strlen(ev[-1].refuse.words), 256);
	assert_int_equal(ev[-1].refuse.words[255], '?');
}

static void withdraw_before_between_and_after(void **state)
{
	(void)state;
	open_windows();
	session_withdraw(a->session, 1, NX_EKILLED); /* not open: nothing */
	side_offer(a, CLASS_ROUTINE, 100, 100000);
	(void)side_speak(a);
	(void)side_speak(a);
	assert_int_equal(side_listen(b, SIZE_MAX), 0);
	session_withdraw(a->session, 1, NX_EKILLED); /* half-sent */
	session_withdraw(a->session, 1, NX_EKILLED);
	assert_true(a->released[1]);
	side_offer(a, CLASS_ROUTINE, 10, 10); /* the lane is free at once */
	talk(a, b);
	assert_false(heard_last(&b->heard, SESSION_WITHDRAW)->withdraw.whole);
	assert_string_equal(heard_last(&b->heard, SESSION_WITHDRAW)->withdraw.code, "killed");
	assert_int_equal(heard_count(&b->heard, SESSION_WITHDRAW), 1);
	assert_int_equal(session_held(b->session), 0);
	assert_int_equal(session_open_out(a->session), 2); /* until the answers */
	assert_int_equal(session_ack(b->session, &(struct ack){ .id = 1 }), NX_EACK);
	assert_int_equal(session_refuse(b->session, 1, NX_EWITHDRAWN, NX_NEVER, 0, NULL), 0);
	ack_id(b, 2); /* crosses the next WITHDRAW: the ACK stands */
	session_withdraw(a->session, 2, NX_ESUPERSEDED);
	(void)side_speak(b);
	(void)side_speak(b);
	(void)side_speak(a);
	assert_int_equal(side_listen(b, SIZE_MAX), 0);
	assert_int_equal(side_listen(a, SIZE_MAX), 0);
	talk(a, b);
	assert_int_equal(heard_count(&b->heard, SESSION_WITHDRAW),
			 1); /* the crossed one is not told */
	assert_int_equal(a->answered[1], 1);
	assert_int_equal(a->answered[2], 1);
	side_offer(a, CLASS_ROUTINE, 10, 10);
	talk(a, b);
	session_withdraw(a->session, 3, NX_ESUPERSEDED); /* whole and open */
	talk(a, b);
	assert_true(heard_last(&b->heard, SESSION_WITHDRAW)->withdraw.whole);
	ack_id(b, 3); /* was on its way to disk */
	talk(a, b);
	assert_int_equal(a->answered[3], 1);
}

static void drop_wanted(struct side *side, struct session_event *ev)
{
	if (ev->kind == SESSION_ITEM_BEGIN && ev->item.head.document_len % 2 == 1)
		session_item_drop(side->session, ev->item.head.id);
	ack_all(side, ev);
}

static void dropped_items_are_read_to_their_end(void **state)
{
	(void)state;
	open_windows();
	b->on_event = drop_wanted;
	side_offer(a, CLASS_ROUTINE, 100, 100001);          /* by wish */
	side_offer(a, CLASS_ROUTINE, 100, 101);             /* whole in one frame */
	side_offer(a, CLASS_ROUTINE, 100, (256 << 10) + 2); /* above what b takes */
	side_offer(a, CLASS_ROUTINE, (16 << 10) + 1, 100);
	side_offer(a, CLASS_ROUTINE, 100, 1000);
	for (int i = 0; i < 3; i++)
		(void)side_speak(a);
	assert_int_equal(side_listen(b, SIZE_MAX), 0);
	assert_int_equal(session_held(b->session), 0);
	talk(a, b);
	assert_int_equal(heard_count(&b->heard, SESSION_ITEM_BEGIN), 5);
	assert_int_equal(heard_count(&b->heard, SESSION_ITEM_DROPPED), 4);
	assert_int_equal(heard_count(&b->heard, SESSION_ITEM), 1);
	assert_int_equal(heard_last(&b->heard, SESSION_ITEM_DROPPED)->code, NX_EBIGENV);
	for (unsigned id = 1; id <= 5; id++)
		assert_int_equal(a->answered[id], 1);
}

static void memory_follows_what_came(void **state)
{
	static struct heard heard;
	struct session_conf conf = plain;
	struct session *session;
	struct wire wire = { 0 };

	(void)state;
	conf.hello.max.document = 64 << 20;
	session = greeted(&conf);
	w_item(&wire, 1, 1, 0, 100, 64 << 20, 200);
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	assert_true(session_held(session) <= 8192);
	w_raw(&wire, FRAME_SUBSCRIBE, 0, 16384, "{", 1);
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	session_free(&session);
	wire_done(&wire);
}

static void accept_part(struct side *side, struct session_event *ev)
{
	if (ev->kind == SESSION_NEED)
		session_need_accept(side->session, ev->need.handle, ev->need.sha256[1] == 1);
}

static unsigned done;
static uint64_t next_octet, order[64];

static void check_part(struct side *side, struct session_event *ev)
{
	(void)side;
	if (ev->kind != SESSION_DATA)
		return;
	for (size_t i = 0; i < ev->data.octets.n; i++)
		assert_int_equal(ev->data.octets.p[i], part_octet(ev->data.offset + i));
	next_octet = ev->data.offset + ev->data.octets.n;
	if (ev->data.done)
		order[done++ % 64] = ev->data.handle;
}

static void needs_are_extended_before_and_after_their_end(void **state)
{
	uint8_t sha256[32] = { 7 };
	uint64_t handle;

	(void)state;
	talk(a, b);
	a->on_event = accept_part;
	b->on_event = check_part;
	done = 0;
	handle = session_need(b->session, sha256, 1000, 20000);
	assert_int_equal(handle, 1);
	assert_true(session_need_more(b->session, handle, 5));
	talk(a, b);
	assert_int_equal(next_octet, 21005);
	assert_int_equal(done, 1);
	assert_true(session_need_more(b->session, handle, 40000)); /* after its end */
	talk(a, b);
	assert_int_equal(next_octet, 61005);
	assert_int_equal(done, 2);
	session_stop(b->session, handle); /* served already: nothing to stop */
	assert_false(session_need_more(b->session, handle, 1));
	talk(a, b);
	assert_int_equal(heard_count(&a->heard, SESSION_STOP), 0);
	assert_int_equal(heard_count(&a->heard, SESSION_NEED), 3);
}

static void sixteen_needs_flash_first_then_by_handle(void **state)
{
	static const uint64_t expected[] = {
		5, 9, 1, 2, 3, 4, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16
	};
	uint8_t sha256[32] = { 7 };

	(void)state;
	talk(a, b);
	b->on_event = check_part;
	a->on_event = accept_part;
	done = 0;
	for (unsigned i = 1; i <= 16; i++) {
		sha256[1] = i == 5 || i == 9;
		assert_int_equal(session_need(b->session, sha256, 0, 40000), i);
	}
	assert_int_equal(session_need(b->session, sha256, 0, 1), 0);
	for (int i = 0; i < 16; i++)
		(void)side_speak(b);
	talk(a, b);
	assert_int_equal(done, 16);
	assert_memory_equal(order, expected, sizeof(expected));
	assert_int_equal(session_need(b->session, sha256, 0, 1), 17);
	talk(a, b);
}

static void parts_wait_for_their_octets_and_may_be_gone(void **state)
{
	uint8_t sha256[32] = { 7 };
	uint64_t handle;

	(void)state;
	talk(a, b);
	a->on_event = accept_part;
	b->on_event = check_part;
	a->part_ready = 5000;
	handle = session_need(b->session, sha256, 0, 20000);
	talk(a, b);
	assert_int_equal(next_octet, 5000);
	assert_false(session_wants(a->session));
	a->part_ready = 9000;
	session_need_ready(a->session, handle);
	talk(a, b);
	assert_int_equal(next_octet, 9000);
	session_gone(a->session, handle, NX_EPARTSGONE);
	session_stop(b->session, handle); /* crosses */
	talk(a, b);
	assert_int_equal(heard_count(&b->heard, SESSION_GONE),
			 0); /* it was stopped: no more news */
	handle = session_need(b->session, sha256, 0, 20000);
	(void)side_speak(b);
	(void)side_listen(a, SIZE_MAX);
	session_gone(a->session, handle, NX_ENOTOPEN);
	assert_true(session_need_more(b->session, handle, 5)); /* crosses GONE: one more GONE */
	talk(a, b);
	assert_int_equal(heard_count(&b->heard, SESSION_GONE), 1);
	assert_string_equal(heard_last(&b->heard, SESSION_GONE)->gone.code, "not-open");
	assert_false(session_need_more(b->session, handle, 5));
}

static void data_on_its_way_when_stopped_is_dropped(void **state)
{
	uint8_t sha256[32] = { 7 };
	uint64_t handle;
	unsigned before;

	(void)state;
	talk(a, b);
	a->on_event = accept_part;
	handle = session_need(b->session, sha256, 0, 100000);
	(void)side_speak(b);
	(void)side_listen(a, SIZE_MAX);
	for (int i = 0; i < 4; i++)
		(void)side_speak(a);
	before = heard_count(&b->heard, SESSION_DATA);
	session_stop(b->session, handle);
	talk(a, b);
	assert_int_equal(heard_count(&b->heard, SESSION_DATA), before);
	assert_int_equal(heard_last(&a->heard, SESSION_STOP)->handle, handle);
	assert_int_equal(session_need(b->session, sha256, 0, 10), handle + 1);
	talk(a, b);
	assert_true(heard_last(&b->heard, SESSION_DATA)->data.done);
}

static void forgotten_handles_are_gone_not_fatal(void **state)
{
	static struct heard heard;
	static struct said said;
	struct session *session = greeted(&plain);
	struct wire wire = { 0 };

	(void)state;
	for (uint64_t handle = 1; handle <= 200; handle++) {
		w_need(&wire, handle, 0, 10);
		w_number(&wire, FRAME_STOP, handle);
		heard.n = 0;
		assert_int_equal(feed_wire(session, &wire, &heard), 0);
	}
	w_need(&wire, 3, 10, 10);
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	assert_int_equal(listen_to(session, &said, SAID_MAX), 1);
	assert_string_equal(said_last(&said, FRAME_GONE)->gone.code, "not-open");
	session_free(&session);
	wire_done(&wire);
}

static void answer_claims(struct side *side, struct session_event *ev)
{
	static uint32_t number;
	struct subscribed subscribed = { .number = ++number, .epoch = UINT64_MAX, .owed = 3 };

	if (ev->kind == SESSION_SUBSCRIBE && *ev->subscribe.name == 'n') {
		assert_int_equal(session_unsubscribed(side->session, ev->subscribe.name, 0,
						      NX_ENOSUB, "no such thing"),
				 0);
	} else if (ev->kind == SESSION_SUBSCRIBE) {
		(void)strcpy(subscribed.name, ev->subscribe.name);
		assert_int_equal(session_subscribed(side->session, &subscribed), 0);
	} else if (ev->kind == SESSION_UNSUBSCRIBE) {
		assert_int_equal(
			session_unsubscribed(side->session, "x", ev->number, NX_ERELEASED, NULL),
			0);
	}
}

static void claims_are_given_refused_released_and_taken(void **state)
{
	uint32_t number;

	(void)state;
	assert_int_equal(session_subscribe(b->session, "early", false, 0, 0), NX_ESTATE);
	talk(a, b);
	a->on_event = answer_claims;
	assert_int_equal(session_subscribe(b->session, "one", true, UINT64_MAX, 44), 0);
	assert_int_equal(session_subscribe(b->session, "none", false, 0, 0), 0);
	talk(a, b);
	assert_true(heard_last(&a->heard, SESSION_SUBSCRIBE) != NULL);
	assert_int_equal(heard_count(&b->heard, SESSION_SUBSCRIBED), 1);
	assert_string_equal(heard_last(&b->heard, SESSION_UNSUBSCRIBED)->unsubscribed.code,
			    "no-such-subscription");
	number = heard_last(&b->heard, SESSION_SUBSCRIBED)->subscribed.number;
	assert_true(heard_last(&b->heard, SESSION_SUBSCRIBED)->subscribed.epoch == UINT64_MAX);
	session_window(b->session, LANE_ROUTINE, 4, 1000);
	side_offer(a, CLASS_ROUTINE, 2, 2);
	a->queue[CLASS_ROUTINE][0].subscription = number;
	talk(a, b);
	assert_int_equal(heard_last(&b->heard, SESSION_ITEM)->item.head.subscription, number);
	/* taken over while it is being given back: the two cross, each ends once */
	assert_int_equal(session_unsubscribe(b->session, number), 0);
	assert_int_equal(session_unsubscribe(b->session, number), NX_EARG);
	assert_int_equal(session_unsubscribed(a->session, "one", number, NX_ETAKENOVER, NULL), 0);
	assert_int_equal(session_unsubscribed(a->session, "one", number, NX_ETAKENOVER, NULL), 0);
	talk(a, b);
	assert_int_equal(heard_count(&b->heard, SESSION_UNSUBSCRIBED), 2);
	assert_int_equal(heard_count(&a->heard, SESSION_UNSUBSCRIBE), 0);
	ack_id(b, 1); /* the item is still answered once */
	talk(a, b);
	assert_int_equal(a->answered[1], 1);
	for (int i = 0; i < 200; i++) { /* claim and release for ever */
		assert_int_equal(session_subscribe(b->session, "again", false, 0, 0), 0);
		talk(a, b);
		number = heard_last(&b->heard, SESSION_SUBSCRIBED)->subscribed.number;
		assert_int_equal(session_unsubscribe(b->session, number), 0);
		talk(a, b);
		assert_string_equal(heard_last(&b->heard, SESSION_UNSUBSCRIBED)->unsubscribed.code,
				    "released");
	}
}

static void silence_pings_then_closes(void **state)
{
	const struct session_event *pong;
	int64_t next_ms;

	(void)state;
	assert_int_equal(session_tick(a->session, 9999, &next_ms), 0);
	assert_int_equal(next_ms, 10000);
	assert_int_equal(session_tick(a->session, 10000, &next_ms), NX_ENOHELLO);
	talk(a, b);
	assert_int_equal(session_tick(a->session, 29999, &next_ms), 0);
	assert_int_equal(next_ms, 30000);
	assert_false(session_wants(a->session));
	a->now_ms = 30000;
	b->now_ms = 35000;
	assert_int_equal(session_tick(a->session, 30000, &next_ms), 0);
	assert_int_equal(next_ms, 60000);
	assert_true(session_wants(a->session));
	(void)side_speak(a);
	assert_int_equal(side_listen(b, SIZE_MAX), 0);
	(void)side_speak(b);
	a->now_ms = 30400;
	assert_int_equal(side_listen(a, SIZE_MAX), 0);
	pong = heard_last(&a->heard, SESSION_PONG);
	assert_int_equal(pong->pong.round_trip_ms, 400);
	assert_int_equal(pong->pong.clock_diff_ms, 4800);
	assert_int_equal(session_tick(a->session, 60400, &next_ms), 0);
	assert_int_equal(session_tick(a->session, 90400, &next_ms), 0);
	assert_int_equal(session_tick(a->session, 120399, &next_ms), 0);
	assert_int_equal(next_ms, 120400);
	assert_int_equal(session_tick(a->session, 120400, &next_ms), NX_EIDLE);
}

static void only_the_latest_ping_is_answered(void **state)
{
	static struct heard heard;
	static struct said said;
	struct session *session = greeted(&plain);
	struct wire wire = { 0 };

	(void)state;
	for (uint64_t token = 1; token <= 1000; token++)
		w_ping(&wire, FRAME_PING, token, 0);
	w_ping(&wire, FRAME_PONG, 12345, 0); /* nobody asked: nothing */
	w_raw(&wire, 222, 0x10, 5, "later", 5);
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	assert_int_equal(listen_to(session, &said, SAID_MAX), 1);
	assert_int_equal(said_last(&said, FRAME_PONG)->ping.token, 1000);
	session_free(&session);
	wire_done(&wire);
}

static void after_bye_answers_still_flow(void **state)
{
	int64_t next_ms;

	(void)state;
	open_windows();
	side_offer(a, CLASS_ROUTINE, 10, 100000);
	side_offer(a, CLASS_ROUTINE, 10, 10);
	(void)side_speak(a);
	session_bye(a->session, NX_ESHUTDOWN, "good night");
	session_bye(a->session, NX_EIO, "once");
	assert_true(session_said_bye(a->session));
	talk(a, b);
	assert_string_equal(heard_last(&b->heard, SESSION_BYE)->bye.code, "shutdown");
	assert_string_equal(heard_last(&b->heard, SESSION_BYE)->bye.words, "good night");
	assert_int_equal(heard_count(&b->heard, SESSION_ITEM),
			 1);                /* the half-sent one was finished */
	side_offer(b, CLASS_FLASH, 10, 10); /* who heard BYE begins nothing either */
	ack_id(b, 1);
	talk(a, b);
	assert_int_equal(a->answered[1], 1);
	assert_int_equal(heard_count(&a->heard, SESSION_ITEM), 0);
	assert_int_equal(session_tick(a->session, 4999, &next_ms), 0);
	assert_int_equal(next_ms, 5000);
	assert_int_equal(session_tick(a->session, 5000, &next_ms), NX_EBYE);
	assert_int_equal(session_tick(b->session, 5000, &next_ms), NX_EBYE);
}

static void reserved_and_unknown_answers(void **state)
{
	static const struct {
		uint8_t result, stage;
		enum result told;
		bool answers;
	} rows[] = {
		{ 3, 2, RESULT_SUPERSEDED, true },
		{ 4, 2, RESULT_STORED, true },
		{ 255, 2, RESULT_STORED, true },
		{ 0, 1, 0, false },
		{ 0, 3, 0, false },
		{ 0, 99, 0, false },
	};

	(void)state;
	open_windows();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		static struct heard heard;
		struct wire wire = { 0 };
		uint64_t id = a->first[CLASS_ROUTINE] + 1;

		side_offer(a, CLASS_ROUTINE, 1, 1);
		talk(a, b);
		heard.n = 0;
		w_ack(&wire, id, rows[i].result, rows[i].stage);
		assert_int_equal(feed_wire(a->session, &wire, &heard), 0);
		assert_int_equal(heard.n, rows[i].answers);
		if (rows[i].answers)
			assert_int_equal(heard.ev[0].ack.result, rows[i].told);
		wire_done(&wire);
	}
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_directions_at_once),
		TEST(flash_overtakes_within_one_frame),
		TEST(each_that_waits_gets_a_fourth),
		TEST(long_backlog_does_not_starve_routine),
		TEST(credit_lets_the_last_item_overdraw),
		TEST(credit_is_topped_up_at_half_and_never_falls),
		TEST(send_ahead_keeps_the_last_for_flash),
		TEST(many_answers_travel_in_one_frame),
		TEST(refusals_carry_code_retry_and_words),
		TEST(withdraw_before_between_and_after),
		TEST(dropped_items_are_read_to_their_end),
		TEST(memory_follows_what_came),
		TEST(needs_are_extended_before_and_after_their_end),
		TEST(sixteen_needs_flash_first_then_by_handle),
		TEST(parts_wait_for_their_octets_and_may_be_gone),
		TEST(data_on_its_way_when_stopped_is_dropped),
		TEST(forgotten_handles_are_gone_not_fatal),
		TEST(claims_are_given_refused_released_and_taken),
		TEST(silence_pings_then_closes),
		TEST(only_the_latest_ping_is_answered),
		TEST(after_bye_answers_still_flow),
		TEST(reserved_and_unknown_answers),
		TEST(small_frames_for_a_slow_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
