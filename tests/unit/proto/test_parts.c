/* parts: extended, ordered, waiting, gone, stopped, forgotten */
#include "talk.h"

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

static void nothing_beyond_what_was_accepted_is_sent(void **state)
{
	uint8_t sha256[32] = { 7 };
	uint64_t handle;

	(void)state;
	talk(a, b);
	b->on_event = check_part;
	next_octet = 0;
	handle = session_need(b->session, sha256, 0, 1000);
	(void)side_speak(b);
	(void)side_listen(a, SIZE_MAX);
	session_need_accept(a->session, handle, false);
	assert_true(session_need_more(b->session, handle, 500)); /* not accepted */
	(void)side_speak(b);
	(void)side_listen(a, SIZE_MAX);
	talk(a, b);
	assert_int_equal(next_octet, 1000);
	assert_false(session_wants(a->session));
	session_need_accept(a->session, handle, false);
	talk(a, b);
	assert_int_equal(next_octet, 1500);
}

static void a_stop_of_what_is_served_or_gone_is_no_news(void **state)
{
	static struct heard heard;
	static struct said said;
	struct session *session = greeted(&plain);
	struct wire wire = { 0 };

	(void)state;
	heard.n = 0;
	w_need(&wire, 1, 0, 10);
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	session_gone(session, 1, NX_ENOTOPEN);
	assert_int_equal(listen_to(session, &said, SAID_MAX), 1);
	w_number(&wire, FRAME_STOP, 1);
	w_need(&wire, 2, 0, 10);
	w_number(&wire, FRAME_STOP, 2);
	w_number(&wire, FRAME_STOP, 2);
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	assert_int_equal(heard_count(&heard, SESSION_NEED), 2);
	assert_int_equal(heard_count(&heard, SESSION_STOP), 1);
	session_free(&session);
	wire_done(&wire);
}

static void gones_that_are_read_are_no_flood(void **state)
{
	static struct heard heard;
	static struct said said;
	struct session *session = greeted(&plain);
	struct wire wire = { 0 };

	(void)state;
	for (uint64_t handle = 1; handle <= 300; handle++) {
		heard.n = 0;
		w_need(&wire, handle, 0, 1);
		assert_int_equal(feed_wire(session, &wire, &heard), 0);
		session_gone(session, handle, NX_ENOTOPEN);
		assert_int_equal(listen_to(session, &said, SAID_MAX), 1);
	}
	session_free(&session);
	wire_done(&wire);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TALK(needs_are_extended_before_and_after_their_end),
		TALK(sixteen_needs_flash_first_then_by_handle),
		TALK(parts_wait_for_their_octets_and_may_be_gone),
		TALK(data_on_its_way_when_stopped_is_dropped),
		TALK(nothing_beyond_what_was_accepted_is_sent),
		TALK(a_stop_of_what_is_served_or_gone_is_no_news),
		TALK(gones_that_are_read_are_no_flood),
		TALK(forgotten_handles_are_gone_not_fatal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
