/* items in conversation: both ways, answered, refused, withdrawn, dropped */
#include "talk.h"

static void drop_wanted(struct side *side, struct session_event *ev)
{
	if (ev->kind == SESSION_ITEM_BEGIN && ev->item.head.document_len % 2 == 1)
		session_item_drop(side->session, ev->item.head.id);
	ack_all(side, ev);
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

static void half_an_item_has_a_time(void **state)
{
	(void)state;
	open_windows();
	assert_true(session_half_since_ms(b->session) == INT64_MAX);
	a->now_ms = b->now_ms = 1000;
	side_offer(a, CLASS_ROUTINE, 100, 100000);
	(void)side_speak(a);
	assert_int_equal(side_listen(b, SIZE_MAX), 0);
	assert_int_equal(session_half_since_ms(b->session), 1000);
	a->now_ms = b->now_ms = 2000;
	side_offer(a, CLASS_FLASH, 100, 100000);
	(void)side_speak(a);
	assert_int_equal(side_listen(b, SIZE_MAX), 0);
	assert_int_equal(session_half_since_ms(b->session), 1000); /* the one that waits longest */
	talk(a, b);
	assert_true(session_half_since_ms(b->session) == INT64_MAX);
	side_offer(a, CLASS_ROUTINE, 100, 100000);
	(void)side_speak(a);
	assert_int_equal(side_listen(b, SIZE_MAX), 0);
	assert_int_equal(session_half_since_ms(b->session), 2000);
	session_withdraw(a->session, 3, NX_EKILLED);
	talk(a, b);
	assert_true(session_half_since_ms(b->session) == INT64_MAX);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TALK(both_directions_at_once),
		TALK(many_answers_travel_in_one_frame),
		TALK(refusals_carry_code_retry_and_words),
		TALK(withdraw_before_between_and_after),
		TALK(dropped_items_are_read_to_their_end),
		TALK(half_an_item_has_a_time),
		TALK(memory_follows_what_came),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
