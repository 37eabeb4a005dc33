/* claims, silence, goodbye */
#include "talk.h"

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
	ack_id(b, 1);                       /* the item is still answered once */
	side_offer(a, CLASS_ROUTINE, 2, 2); /* and one that was begun before the news */
	a->queue[CLASS_ROUTINE][1].subscription = number;
	talk(a, b);
	assert_int_equal(a->answered[1], 1);
	assert_int_equal(heard_last(&b->heard, SESSION_ITEM)->item.head.subscription, number);
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

/* one octet a minute, and no whole frame for ever */
static void any_octet_is_life(void **state)
{
	static const uint8_t header[] = { 0, 0, 0, 100, FRAME_PING };
	struct session_event ev;
	int64_t next_ms;

	(void)state;
	talk(a, b);
	for (unsigned i = 0; i < sizeof(header); i++) {
		struct slice in = slice_of(&header[i], 1);
		int64_t now_ms = 80000 * (i + 1);

		assert_int_equal(session_tick(a->session, now_ms, &next_ms), 0);
		assert_int_equal(session_feed(a->session, &in, now_ms, 0, &ev, NULL), 0);
	}
	assert_int_equal(session_tick(a->session, 80000 * sizeof(header) + 90000, &next_ms),
			 NX_EIDLE);
}

static void the_pong_of_another_ping_is_nothing(void **state)
{
	static struct heard heard;
	struct wire wire = { 0 };

	(void)state;
	talk(a, b);
	session_ping(a->session, 1, 0);
	assert_true(side_speak(a));
	heard.n = 0;
	w_ping(&wire, FRAME_PONG, 12345, 0);
	assert_int_equal(feed_wire(a->session, &wire, &heard), 0);
	assert_int_equal(heard.n, 0);
	talk(a, b);
	assert_int_equal(heard_count(&a->heard, SESSION_PONG), 1);
	wire_done(&wire);
}

static void five_seconds_from_the_first_bye(void **state)
{
	static struct heard heard;
	struct wire wire = { 0 };
	int64_t next_ms;

	(void)state;
	talk(a, b);
	heard.n = 0;
	w_json(&wire, FRAME_BYE, "{\"code\":\"bye\"}");
	w_json(&wire, FRAME_BYE, "{\"code\":\"shutdown\"}"); /* ignored */
	assert_int_equal(feed_wire(a->session, &wire, &heard), 0);
	assert_int_equal(heard_count(&heard, SESSION_BYE), 1);
	assert_string_equal(heard_last(&heard, SESSION_BYE)->bye.code, "bye");
	assert_int_equal(session_tick(a->session, 3000, &next_ms), 0);
	session_bye(a->session, NX_EBYE, "");
	assert_int_equal(session_tick(a->session, 4999, &next_ms), 0);
	assert_int_equal(session_tick(a->session, 5000, &next_ms), NX_EBYE);
	wire_done(&wire);
}

/* a row of long PINGs, for whom it may concern: the last says so */
static void pings_come_when_asked_for(void **state)
{
	size_t pipe_n;
	unsigned before;

	(void)state;
	session_ping(a->session, 3, SIZE_MAX); /* HELLO comes first */
	talk(a, b);
	assert_true(heard_last(&a->heard, SESSION_PONG)->pong.last);
	before = heard_count(&a->heard, SESSION_PONG);
	session_ping(a->session, 2, SIZE_MAX);
	for (int i = 0; i < 2; i++) {
		assert_true(session_wants(a->session));
		pipe_n = a->pipe_n;
		assert_true(side_speak(a));
		assert_int_equal(a->pipe_n - pipe_n, FRAME_HEADER + FRAME_FLOOR);
		assert_int_equal(side_listen(b, 100), 0);
		assert_int_equal(side_listen(b, SIZE_MAX), 0);
		assert_true(side_speak(b));
		assert_int_equal(side_listen(a, SIZE_MAX), 0);
		assert_int_equal(heard_count(&a->heard, SESSION_PONG), before + 1 + i);
		assert_int_equal(heard_last(&a->heard, SESSION_PONG)->pong.last, i == 1);
	}
	assert_false(session_wants(a->session));
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
	assert_true(side_speak(a));
	assert_true(session_wants(a->session)); /* the rest of what it began */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TALK(claims_are_given_refused_released_and_taken),
		TALK(silence_pings_then_closes),
		TALK(any_octet_is_life),
		TALK(the_pong_of_another_ping_is_nothing),
		TALK(five_seconds_from_the_first_bye),
		TALK(pings_come_when_asked_for),
		TALK(only_the_latest_ping_is_answered),
		TALK(after_bye_answers_still_flow),
		TALK(reserved_and_unknown_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
