/* messages: the vectors of proto/vectors.txt (written by hand, not by this code), and every message
 * there and back */
#include "wire.h"

struct vector {
	char name[40];
	uint8_t octets[600];
	size_t n;
};
static struct vector vectors[64];
static unsigned vectors_n;

static void read_vector(char *line, struct vector *vector)
{
	char *name = strtok(line, " |"), *hex = strtok(NULL, " |");

	(void)snprintf(vector->name, sizeof(vector->name), "%s", name);
	for (vector->n = 0; hex[2 * vector->n] != '\0'; vector->n++) {
		unsigned octet;

		assert_int_equal(sscanf(hex + 2 * vector->n, "%2x", &octet), 1);
		vector->octets[vector->n] = (uint8_t)octet;
	}
}

static int read_vectors(void **state)
{
	FILE *file = fopen("proto/vectors.txt", "r"); /* tests run in the root of the tree */
	char line[2000];

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		if (*line != '#')
			read_vector(line, &vectors[vectors_n++]);
	(void)fclose(file);
	return vectors_n < 40;
}

static const struct vector *vector_of(const char *name)
{
	for (unsigned i = 0; i < vectors_n; i++)
		if (strcmp(vectors[i].name, name) == 0)
			return &vectors[i];
	fail_msg("no vector %s", name);
	return NULL;
}

static struct msg msg_of(const char *name)
{
	const struct vector *vector = vector_of(name);
	struct frame frame;
	struct msg msg;

	assert_int_equal(frame_next(slice_of(vector->octets, vector->n), 65536, &frame), vector->n);
	assert_int_equal(msg_read(&frame, &msg, NULL), 0);
	return msg;
}

static void hellos_say_what_they_say(void **state)
{
	struct hello hello = msg_of("hello").hello;

	(void)state;
	assert_string_equal(hello.node, "kpl");
	assert_string_equal(hello.agent, "demo");
	assert_string_equal(hello.boot, "01");
	assert_true(hello.epoch == 0xa1);
	assert_false(hello.has_held);
	assert_memory_equal(&hello.max, &limits_floor, sizeof(limits_floor));
	hello = msg_of("hello-held").hello;
	assert_true(hello.epoch == UINT64_MAX);
	assert_true(hello.has_held && hello.held_epoch == 0x1122334455667788);
	assert_int_equal(hello.held_sequence, 41);
	assert_int_equal(hello.max.document, 1 << 20);
	assert_false(hello.has_last || hello.has_restored);
	hello = msg_of("hello-restored").hello;
	assert_true(hello.epoch == 11 && hello.has_last && hello.last == 45);
	assert_true(hello.has_restored && hello.restored_epoch == 10);
	assert_int_equal(hello.restored_sequence, 40);
	assert_false(hello.has_held);
	assert_false(hello.has_rights);
	hello = msg_of("hello-rights").hello;
	assert_true(hello.has_rights);
	assert_string_equal(hello.publish, "kpl.* joint");
	assert_string_equal(hello.subscriptions, "");
	hello = msg_of("hello-least").hello;
	assert_memory_equal(&hello.max, &limits_floor, sizeof(limits_floor));
}

static int hello_of(const char *text, struct hello *ret)
{
	struct frame frame = { .type = FRAME_HELLO, .payload = slice_str(text) };
	struct msg msg;
	int r = msg_read(&frame, &msg, NULL);

	*ret = msg.hello;
	return r;
}

static void rights_are_names_and_nothing_else(void **state)
{
	static const char *const wrong[] = {
		"[]",
		"{\"publish\":\"kpl.*\"}",
		"{\"publish\":[1]}",
		"{\"publish\":[\"\"]}",
		"{\"publish\":[\"a b\"]}",
		"{\"subscriptions\":[\"a\\u001b\"]}",
		"{\"subscriptions\":[\"\\u0e81\"]}",
		"{\"subscriptions\":["
		"\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaa\"]}",
	};
	struct hello hello;
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		snprintf(text, sizeof(text), "{\"node\":\"x\",\"epoch\":\"1\",\"rights\":%s}",
			 wrong[i]);
		if (hello_of(text, &hello) != NX_EHELLO)
			fail_msg("%s is taken", text);
	}
	assert_int_equal(hello_of("{\"node\":\"x\",\"epoch\":\"1\",\"rights\":{\"new\":1,"
				  "\"subscriptions\":[\"a\",\"...\",\"b\"]}}",
				  &hello),
			 0);
	assert_string_equal(hello.publish, "");
	assert_string_equal(hello.subscriptions, "a ...");
}

static void rights_are_cut_with_a_mark(void **state)
{
	char list[RIGHTS_SIZE + 8], name[64];

	(void)state;
	for (size_t n = 1; n < sizeof(name); n++) { /* every length against the end of the list */
		size_t kept = 0;

		memset(list, 0, RIGHTS_SIZE);
		memset(list + RIGHTS_SIZE, '!', 8);
		memset(name, 'x', n);
		while (rights_add(list, slice_of(name, n)))
			kept++;
		assert_false(rights_add(list, slice_of(name, 1)));
		assert_memory_equal(list + RIGHTS_SIZE, "!!!!!!!!", 8);
		assert_int_equal(strlen(list), kept * (n + 1) + strlen(RIGHTS_CUT));
		assert_string_equal(list + kept * (n + 1), RIGHTS_CUT);
		assert_true(strlen(list) + n + 1 >= RIGHTS_SIZE - 1);
	}
	memset(list, 0, sizeof(list));
	assert_true(rights_add(list, slice_str("a..."))); /* not the mark */
	assert_true(rights_add(list, slice_str("b")));
	assert_string_equal(list, "a... b");
}

static void claims_say_what_they_say(void **state)
{
	struct msg msg = msg_of("subscribe");

	(void)state;
	assert_string_equal(msg.subscribe.name, "from-kpl");
	assert_false(msg.subscribe.has_position);
	msg = msg_of("subscribe-position");
	assert_true(msg.subscribe.has_position && msg.subscribe.epoch == 0x1122334455667788);
	assert_int_equal(msg.subscribe.position, 4711);
	msg = msg_of("subscribed");
	assert_int_equal(msg.subscribed.number, 1);
	assert_int_equal(msg.subscribed.position, 4711);
	assert_int_equal(msg.subscribed.owed, 12);
	assert_int_equal(msg.subscribed.expired, 3);
	assert_int_equal(msg_of("unsubscribe").unsubscribe, 7);
	msg = msg_of("unsubscribed");
	assert_int_equal(msg.unsubscribed.number, 7);
	assert_string_equal(msg.unsubscribed.code, "taken-over");
	assert_string_equal(msg.unsubscribed.words, "by another");
}

static void items_say_what_they_say(void **state)
{
	struct msg msg = msg_of("item");

	(void)state;
	assert_int_equal(msg.item.head.id, 1);
	assert_int_equal(msg.item.head.position, 2);
	assert_int_equal(msg.item.head.sequence, 3);
	assert_int_equal(msg.item.head.subscription, 4);
	assert_int_equal(msg.item.head.envelope_len, 5);
	assert_int_equal(msg.item.head.document_len, 6);
	assert_int_equal(msg.item.head.lane, LANE_FLASH);
	assert_true(slice_is(msg.item.octets, "{\"a\"}{\"b"));
	msg = msg_of("more");
	assert_int_equal(msg.more.id, 1);
	assert_int_equal(msg.more.offset, 8);
	assert_true(slice_is(msg.more.octets, "\":1"));
	msg = msg_of("credit-routine");
	assert_int_equal(msg.credit.lane, 0);
	assert_int_equal(msg.credit.items, 258);
	assert_true(msg.credit.octets == 4294967299);
	assert_int_equal(msg_of("credit-longer").credit.octets, 262144);
	assert_int_equal(msg_of("ping").ping.token, 7);
	assert_true(msg_of("pong").ping.wall_ms == 1795129200101);
	assert_string_equal(msg_of("bye").bye.code, "bye");
}

static void parts_say_what_they_say(void **state)
{
	struct msg msg = msg_of("need");

	(void)state;
	assert_int_equal(msg.need.handle, 9);
	assert_int_equal(msg.need.offset, 1048576);
	assert_int_equal(msg.need.length, 65536);
	for (uint8_t i = 0; i < 32; i++)
		assert_int_equal(msg.need.sha256[i], i);
	msg = msg_of("data");
	assert_int_equal(msg.data.handle, 9);
	assert_int_equal(msg.data.offset, 1048576);
	assert_true(slice_is(msg.data.octets, "photo"));
	assert_int_equal(msg_of("stop").stop, 9);
	msg = msg_of("gone");
	assert_int_equal(msg.gone.handle, 9);
	assert_string_equal(msg.gone.code, "not-open");
}

static void answers_say_what_they_say(void **state)
{
	struct msg msg = msg_of("ack");
	struct ack ack;

	(void)state;
	assert_true(msg_ack_next(&msg, &ack));
	assert_int_equal(ack.id, 1);
	assert_int_equal(ack.sequence, 42);
	assert_true(ack.stored_at_ms == 1795129200000);
	assert_true(msg_ack_next(&msg, &ack));
	assert_int_equal(ack.result, RESULT_SUPERSEDED);
	assert_int_equal(ack.stage, STAGE_COMPLETE);
	assert_false(msg_ack_next(&msg, &ack));
	msg = msg_of("ack-longer");
	assert_true(msg_ack_next(&msg, &ack));
	assert_int_equal(ack.result, RESULT_DUPLICATE);
	assert_true(msg_ack_next(&msg, &ack));
	assert_int_equal(ack.sequence, 43);
	assert_int_equal(ack.result, RESULT_HELD);
	assert_false(msg_ack_next(&msg, &ack));
	msg = msg_of("refuse-later");
	assert_int_equal(msg.refuse.retry, NX_LATER);
	assert_int_equal(msg.refuse.after_ms, 2000);
	msg = msg_of("refuse-never");
	assert_int_equal(msg.refuse.id, 2);
	assert_int_equal(msg.refuse.retry, NX_NEVER);
	assert_string_equal(msg.refuse.words, "ພາສາລາວ");
	msg = msg_of("withdraw");
	assert_int_equal(msg.withdraw.id, 2);
	assert_string_equal(msg.withdraw.code, "killed");
	assert_string_equal(result_word(RESULT_HELD), "held");
	assert_string_equal(result_word((enum result)99), "stored");
}

/* what we write is what the vectors say, octet for octet */
static void writers_make_the_vectors(void **state)
{
	static const char *const written[] = {
		"hello",        "hello-held",     "hello-restored", "hello-rights",
		"credit-flash", "credit-routine", "subscribe",      "subscribe-position",
		"subscribed",   "unsubscribe",    "unsubscribed",   "need",
		"stop",         "gone",           "withdraw",       "refuse-later",
		"refuse-never", "ping",           "pong",           "bye",
	};
	uint8_t octets[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
		const struct vector *vector = vector_of(written[i]);
		struct msg msg = msg_of(written[i]);

		assert_int_equal(msg_write(&msg, octets, sizeof(octets)), vector->n);
		assert_memory_equal(octets, vector->octets, vector->n);
		assert_int_equal(msg_write(&msg, octets, 20), NX_EFULL);
	}
}

static void bad_vectors_close_with_their_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < vectors_n; i++) {
		static struct heard heard;
		const struct vector *vector = &vectors[i];
		struct session *session;

		if (*vector->name != '!')
			continue;
		session = greeted(&plain);
		heard.n = 0;
		if (feed(session, slice_of(vector->octets, vector->n), SIZE_MAX, &heard) !=
		    nx_code(vector->name + 1, strlen(vector->name + 1)))
			fail_msg("%s: %s", vector->name, nx_word(heard.r));
		session_free(&session);
	}
}

static void words_that_are_not_utf8_are_still_json(void **state)
{
	static const char *const hostile[] = { ("a\xff"
						"b"),
					       "\xc3",
					       "\xed\xa0\x80",
					       "\xf5\x80\x80\x80",
					       "\xe0\x80\x80",
					       "tab\there \"q\" \\ \x01\x7f" };
	uint8_t octets[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		struct msg msg = { .type = FRAME_BYE }, back;
		struct frame frame;
		int n;

		(void)strcpy(msg.bye.code, "bye");
		(void)strcpy(msg.bye.words, hostile[i]);
		n = msg_write(&msg, octets, sizeof(octets));
		assert_int_equal(frame_next(slice_of(octets, (size_t)n), 65536, &frame), n);
		assert_int_equal(msg_read(&frame, &back, NULL), 0);
		assert_null(
			strpbrk(back.bye.words, "\t\x01\x7f")); /* nothing for a terminal to obey */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hellos_say_what_they_say),
		cmocka_unit_test(rights_are_names_and_nothing_else),
		cmocka_unit_test(rights_are_cut_with_a_mark),
		cmocka_unit_test(claims_say_what_they_say),
		cmocka_unit_test(items_say_what_they_say),
		cmocka_unit_test(parts_say_what_they_say),
		cmocka_unit_test(answers_say_what_they_say),
		cmocka_unit_test(writers_make_the_vectors),
		cmocka_unit_test(bad_vectors_close_with_their_name),
		cmocka_unit_test(words_that_are_not_utf8_are_still_json),
	};
	return cmocka_run_group_tests(tests, read_vectors, NULL);
}
