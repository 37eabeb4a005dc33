/* envelopes: what is read, what is refused, what the exchange writes into them */
#include <stdlib.h>

#include "proto/envelope.h"
#include "wire.h"

#define HASH "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define PART(name)                                                                                 \
	"{\"name\":\"" name "\",\"contentType\":\"image/jpeg\",\"size\":5,\"sha256\":\"" HASH "\"" \
	"}"

static int r_of(const char *json, unsigned parts_max)
{
	struct envelope envelope;
	struct why why;
	int r = envelope_read(slice_str(json), parts_max, &envelope, &why);

	if (r == 0)
		envelope_done(&envelope);
	else
		assert_int_equal(why.code, r);
	assert_null(envelope.json);
	assert_null(envelope.parts);
	return r;
}

static void everything_is_read(void **state)
{
	struct envelope envelope;

	(void)state;
	assert_int_equal(
		envelope_read(
			slice_str("{\"origin\":\"kpl\",\"sender\":\"vna\",\"channel\":\"kpl.news\","
				  "\"priority\":2,\"sent\":\"2026-11-22T10:00:00Z\",\"signal\":"
				  "\"sig:update\",\"received\":\"r\",\"hops\":[{\"party\":\"x\","
				  "\"time\":\"t\"}],\"sealed\":{\"k\":[1.5,null]},\"parts\":[" PART(
					  "a/b.jpg") "," PART("\\u0e9e.jpg") "]}"),
			2, &envelope, NULL),
		0);
	assert_string_equal(envelope.origin, "kpl");
	assert_string_equal(envelope.sender, "vna");
	assert_string_equal(envelope.channel, "kpl.news");
	assert_string_equal(envelope.signal, "sig:update");
	assert_string_equal(envelope.sent, "2026-11-22T10:00:00Z");
	assert_int_equal(envelope.priority, 2);
	assert_int_equal(envelope.hops, 1);
	assert_int_equal(envelope.parts_n, 2);
	assert_string_equal(envelope.parts[0].name, "a/b.jpg");
	assert_string_equal(envelope.parts[0].content_type, "image/jpeg");
	assert_int_equal(envelope.parts[1].size, 5);
	assert_int_equal(envelope.parts[1].sha256[31], 0xff);
	assert_string_equal(envelope.parts[1].name, "ພ.jpg");
	envelope_done(&envelope);
	assert_int_equal(r_of("{}", 0), 0);
	assert_int_equal(r_of("{\"origin\":null,\"parts\":null,\"hops\":null}", 0), 0);
}

static void hostile_ones_are_refused(void **state)
{
	static const struct {
		const char *json;
		int r;
	} rows[] = {
		{ "", NX_EENVELOPE },
		{ "[]", NX_EENVELOPE },
		{ "{}x", NX_EENVELOPE },
		{ "{\"origin\":\"\xff\"}", NX_EENVELOPE },
		{ "{\"origin\":\"\\u0000\"}", NX_EENVELOPE },
		{ "{\"origin\":7}", NX_EENVELOPE },
		{ "{\"origin\":\"a\\u0007\"}", NX_EENVELOPE },
		{ "{\"channel\":[\"x\"]}", NX_EENVELOPE },
		{ "{\"priority\":0}", NX_EENVELOPE },
		{ "{\"priority\":10}", NX_EENVELOPE },
		{ "{\"priority\":1.5}", NX_EENVELOPE },
		{ "{\"priority\":\"1\"}", NX_EENVELOPE },
		{ "{\"hops\":{}}", NX_EENVELOPE },
		{ "{\"hops\":[1]}", NX_EENVELOPE },
		{ "{\"hops\":[{\"time\":\"t\"}]}", NX_EENVELOPE },
		{ "{\"sent\":\"0123456789012345678901234567890123456789\"}", NX_EENVELOPE },
		{ "{\"origin\":\"a\",\"origin\":\"a\"}", NX_EDUPKEY },
		{ "{\"x\":{\"y\":1,\"y\":1}}", NX_EDUPKEY },
		{ "{\"parts\":{}}", NX_EENVELOPE },
		{ "{\"parts\":[[]]}", NX_EENVELOPE },
		{ "{\"parts\":[{}]}", NX_EENVELOPE },
		{ "{\"parts\":[{\"name\":\"a\",\"size\":1}]}", NX_EENVELOPE },
		{ "{\"parts\":[{\"name\":\"a\",\"sha256\":\"" HASH "\"}]}", NX_EENVELOPE },
		{ "{\"parts\":[{\"name\":\"a\",\"size\":0,\"sha256\":\"" HASH "\"}]}",
		  NX_EENVELOPE },
		{ "{\"parts\":[{\"name\":\"a\",\"size\":-1,\"sha256\":\"" HASH "\"}]}",
		  NX_EENVELOPE },
		{ "{\"parts\":[{\"name\":\"a\",\"size\":9007199254740992,\"sha256\":\"" HASH
		  "\"}]}",
		  NX_EENVELOPE },
		{ "{\"parts\":[{\"name\":\"a\",\"size\":1,\"sha256\":\"0011\"}]}", NX_EENVELOPE },
		{ "{\"parts\":[{\"name\":\"a\",\"size\":1,\"sha256\":"
		  "\"0g112233445566778899aabbccddeeff"
		  "00112233445566778899aabbccddeeff\"}]}",
		  NX_EENVELOPE },
		{ "{\"parts\":[" PART("a") "," PART("b") "," PART("a") "]}", NX_EENVELOPE },
		{ "{\"parts\":[" PART("a") "," PART("b") "," PART("c") "," PART("d") "]}",
		  NX_EPARTS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (r_of(rows[i].json, 3) != rows[i].r)
			fail_msg("%s: %s", rows[i].json, nx_word(r_of(rows[i].json, 3)));
}

static void part_names_play_no_tricks(void **state)
{
	static const char *const good[] = { "a",  "a.jpg",   "a b.jpg", "a/b/c", "...",
					    ".a", "ảnh.jpg", "ພາບ.jpg", "a..b",  "a:b" };
	static const char *const bad[] = { "",
					   "/a",
					   "a/",
					   "a//b",
					   ".",
					   "..",
					   "../a",
					   "a/../b",
					   "a/./b",
					   "a\\b",
					   "a\n",
					   "a\x1b[2J",
					   "a\x7f",
					   "a/..",
					   "\xc2\x85",
					   ("\xe2\x80\xae"
					    "gpj.exe"),
					   "\xe2\x81\xa6",
					   "\xff",
					   "\xe2\x80\x8f" };
	char name[300];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(part_name_ok(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (part_name_ok(bad[i]))
			fail_msg("row %zu", i);
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	assert_true(part_name_ok(name));
	name[255] = 'n';
	name[256] = '\0';
	assert_false(part_name_ok(name));
}

static char *repeat(const char *before, const char *unit, unsigned n, const char *after)
{
	char *text = malloc(strlen(before) + n * strlen(unit) + strlen(after) + 1), *at = text;

	assert_non_null(text);
	at = stpcpy(at, before);
	while (n-- > 0)
		at = stpcpy(at, unit);
	(void)stpcpy(at, after);
	return text;
}

static void bombs_are_counted_before_they_are_read(void **state)
{
	char *text;

	(void)state;
	text = repeat("{\"x\":", "[", 32, "");
	assert_int_equal(r_of(text, 0), NX_EDEPTH);
	free(text);
	text = repeat("{\"x\":", "[", 1000000, "");
	assert_int_equal(r_of(text, 0), NX_EDEPTH);
	free(text);
	text = repeat("{\"x\":[", "0,", 4990, "0]}");
	assert_int_equal(r_of(text, 0), 0);
	free(text);
	text = repeat("{\"x\":[", "0,", 5000, "0]}");
	assert_int_equal(r_of(text, 0), NX_EVALUES);
	free(text);
	text = repeat("{\"x\":\"", "[[\\\"{,", 9000, "\"}"); /* inside a string nothing counts */
	assert_int_equal(r_of(text, 0), 0);
	free(text);
	text = repeat("{\"hops\":[{\"party\":\"a\"}", ",{\"party\":\"a\"}", 32, "]}");
	assert_int_equal(r_of(text, 0), NX_EENVELOPE);
	free(text);
	assert_int_equal(r_of("{\"x\":\"\\", 0), NX_EENVELOPE); /* ends inside an escape */
}

static char *stamped(const char *json, bool trust, size_t ceiling, int expected)
{
	struct envelope_stamp stamp = { .origin = "kpl",
					.sender = "kpl-hub",
					.node = "exchange",
					.received = "2026-11-22T10:00:00.123Z",
					.trust_transport = trust };
	struct envelope envelope;
	uint8_t *octets = NULL;
	char *text = NULL;
	size_t n = 0;

	assert_int_equal(envelope_read(slice_str(json), 9, &envelope, NULL), 0);
	assert_int_equal(envelope_write(&envelope, &stamp, ceiling, &octets, &n), expected);
	if (expected == 0) {
		assert_string_equal(envelope.origin, "kpl");
		assert_string_equal(envelope.received, stamp.received);
		text = strndup((const char *)octets, n);
	}
	free(octets);
	envelope_done(&envelope);
	return text;
}

static void the_exchange_writes_its_own(void **state)
{
	static const char from[] =
		"{\"origin\":\"liar\",\"hops\":[{\"party\":\"far\",\"time\":\"t\"}],"
		"\"signal\":\"sig:update\",\"received\":\"long ago\",\"x\":[1,\"\\u00e9\"]}";
	char *text = stamped(from, false, 1000, 0);

	(void)state;
	assert_string_equal(
		text, "{\"origin\":\"kpl\",\"received\":\"2026-11-22T10:00:00.123Z\","
		      "\"x\":[1,\"é\"],\"sender\":\"kpl-hub\",\"hops\":[{\"party\":\"exchange\","
		      "\"time\":\"2026-11-22T10:00:00.123Z\"}]}");
	free(text);
	text = stamped(from, true, 1000, 0);
	assert_non_null(strstr(
		text, "\"hops\":[{\"party\":\"far\",\"time\":\"t\"},{\"party\":\"exchange\""));
	assert_non_null(strstr(text, "\"signal\":\"sig:update\""));
	free(text);
	assert_null(stamped(from, true, 100, NX_EBIGENV));
	text = repeat("{\"hops\":[{\"party\":\"a\"}", ",{\"party\":\"a\"}", 31, "]}");
	assert_null(stamped(text, true, 10000, NX_EENVELOPE)); /* it goes round in circles */
	free(stamped(text, false, 10000, 0));
	free(text);
	text = repeat("{\"x\":\"", "0123456789", 1000, "\"}"); /* longer than the first guess */
	free(stamped(text, false, 20000, 0));
	free(text);
}

static void publishers_make_what_is_read(void **state)
{
	struct envelope_part parts[2] = {
		{ .name = "a \"b\".jpg", .content_type = "image/jpeg", .size = 7 },
		{ .name = "ພ.png", .size = 1 }
	};
	struct envelope envelope;
	uint8_t *octets;
	size_t n;

	(void)state;
	parts[1].sha256[0] = 0xab;
	assert_int_equal(envelope_make("kpl.news", "2026", parts, 2, &octets, &n), 0);
	assert_int_equal(envelope_read(slice_of(octets, n), 2, &envelope, NULL), 0);
	assert_string_equal(envelope.channel, "kpl.news");
	assert_string_equal(envelope.sent, "2026");
	assert_memory_equal(envelope.parts, parts, sizeof(parts));
	envelope_done(&envelope);
	free(octets);
	assert_int_equal(envelope_make(NULL, NULL, NULL, 0, &octets, &n), 0);
	assert_true(slice_is(slice_of(octets, n), "{}"));
	free(octets);
}

static void who_passes_it_on_changes_the_channel_alone(void **state)
{
	static const char from[] = "{ \"x\": [1,\"\\u0041\"], \"origin\": \"kpl\", \"channel\": "
				   "\"a.b\", \"signal\": \"sig:update\", \"hops\": [{\"party\": "
				   "\"far\"}], \"priority\": 3 }";
	struct envelope envelope;
	uint8_t *octets;
	size_t n;

	(void)state;
	assert_int_equal(envelope_read(slice_str(from), 2, &envelope, NULL), 0);
	assert_int_equal(envelope_relay(&envelope, NULL, &octets, &n), 0);
	assert_true(slice_is(slice_of(octets, n),
			     "{\"x\":[1,\"A\"],\"origin\":\"kpl\",\"channel\":\"a.b\","
			     "\"signal\":\"sig:update\",\"hops\":[{\"party\":\"far\"}],"
			     "\"priority\":3}"));
	free(octets);
	assert_int_equal(envelope_relay(&envelope, "c.d", &octets, &n), 0);
	assert_true(slice_is(slice_of(octets, n),
			     "{\"x\":[1,\"A\"],\"origin\":\"kpl\","
			     "\"signal\":\"sig:update\",\"hops\":[{\"party\":\"far\"}],"
			     "\"priority\":3,\"channel\":\"c.d\"}"));
	free(octets);
	envelope_done(&envelope);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_is_read),
		cmocka_unit_test(hostile_ones_are_refused),
		cmocka_unit_test(part_names_play_no_tricks),
		cmocka_unit_test(bombs_are_counted_before_they_are_read),
		cmocka_unit_test(the_exchange_writes_its_own),
		cmocka_unit_test(publishers_make_what_is_read),
		cmocka_unit_test(who_passes_it_on_changes_the_channel_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
