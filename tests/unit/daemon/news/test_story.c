#include "base/fault.h"
#include "news/story.h"
#include "tests/faults.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct story_limits limits = {
	.document_max = 256 << 10,
	.depth_max = 32,
	.values_max = 5000,
	.parts_max = 4,
};

static int read_text(const char *text, struct story *story, struct why *why)
{
	return story_read(slice_str(text), &limits, story, why);
}

static void must_read(const char *text, struct story *story)
{
	struct why why = { .code = 0 };

	if (read_text(text, story, &why) < 0)
		fail_msg("%s: %s: %s", text, nx_word(why.code), why.words);
}

static void assert_slice(struct slice s, const char *want)
{
	if (!slice_is(s, want))
		fail_msg("'%.*s' is not '%s'", (int)s.n, (const char *)s.p, want);
}

/* ---- one document of each generation */

static const char ninjs_1[] =
	"{\"uri\":\"urn:lna.example:story:1\",\"version\":\"3\",\"type\":\"text\",\"language\":"
	"\"lo\","
	"\"versioncreated\":\"2026-11-22T17:00:00+07:00\",\"pubstatus\":\"usable\",\"urgency\":2,"
	"\"headline\":\"ນ້ຳຖ້ວມ ທີ່ "
	"ວຽງຈັນ\",\"slugline\":\"ນ້ຳຖ້ວມ\",\"embargoed\":\"2026-11-22T12:00:00Z\","
	"\"subject\":[{\"code\":\"medtop:17000000\",\"name\":\"ອາກາດ\"},{\"name\":\"ວຽງຈັນ\"}],"
	"\"renditions\":{\"main\":{\"href\":\"flood.jpg\"},\"web\":{\"href\":\"https://p.example/"
	"f.jpg\"}},"
	"\"associations\":{\"featured\":{\"type\":\"picture\",\"renditions\":{\"a\":{\"href\":"
	"\"pictures/a.jpg\"}},"
	"\"associations\":{\"deeper\":{\"renditions\":{\"b\":{\"href\":\"flood.jpg\"}}}}},\"none\":"
	"null}}";

static void ninjs_1_is_read(void **state)
{
	struct story story;

	(void)state;
	must_read(ninjs_1, &story);
	assert_slice(story.facts.uri, "urn:lna.example:story:1");
	assert_slice(story.facts.version, "3");
	assert_slice(story.facts.type, "text");
	assert_slice(story.facts.language, "lo");
	assert_slice(story.facts.headline, "ນ້ຳຖ້ວມ ທີ່ ວຽງຈັນ");
	assert_slice(story.facts.slugline, "ນ້ຳຖ້ວມ");
	assert_slice(story.facts.origin, "");
	assert_slice(story.facts.channel, "");
	assert_int_equal(story.facts.urgency, 2);
	assert_int_equal(story.facts.status, STATUS_USABLE);
	assert_int_equal(story.facts.version_created_ms, 1795341600000);
	assert_int_equal(story.facts.embargo_ms, 1795348800000);
	assert_int_equal(story.facts.subjects_n, 2);
	assert_slice(story.facts.subjects[0], "medtop:17000000");
	assert_slice(story.facts.subjects[1], "ວຽງຈັນ");
	assert_int_equal(story.parts_n, 2);
	assert_string_equal(story.parts[0], "flood.jpg");
	assert_string_equal(story.parts[1], "pictures/a.jpg");
	story_done(&story);
	assert_null(story.parts);
	story_done(&story);
}

static void ninjs_2_is_read(void **state)
{
	struct story story;

	(void)state;
	must_read("{\"uri\":\"urn:vnx.example:9\",\"standard\":{\"name\":\"ninjs\",\"version\":\"2."
		  "1\"},"
		  "\"version\":\"12\",\"language\":\"vi\",\"pubstatus\":\"withheld\","
		  "\"headlines\":[{\"role\":\"main\",\"value\":\"Lũ lụt ở "
		  "Huế\"},{\"value\":\"khác\"}],"
		  "\"sluglines\":[{\"value\":\"lu-lut\"}],"
		  "\"subjects\":[{\"uri\":\"http://cv.example/"
		  "1\",\"name\":\"x\"},{\"qcode\":\"a:1\"},"
		  "{\"literal\":\"l\"},\"plain\",{\"code\":\"\",\"name\":\"n\"},{\"rel\":\"r\"},7,"
		  "null],"
		  "\"associations\":[{\"name\":\"p\",\"renditions\":[{\"name\":\"o\",\"href\":\"a "
		  "b.jpg\"}],"
		  "\"associations\":[{\"renditions\":[{\"href\":\"deep/er.png\"}]}]}]}",
		  &story);
	assert_slice(story.facts.version, "12");
	assert_slice(story.facts.headline, "Lũ lụt ở Huế");
	assert_slice(story.facts.slugline, "lu-lut");
	assert_slice(story.facts.type, "");
	assert_int_equal(story.facts.status, STATUS_WITHHELD);
	assert_int_equal(story.facts.urgency, 0);
	assert_int_equal(story.facts.version_created_ms, TIME_NONE);
	assert_int_equal(story.facts.embargo_ms, TIME_NONE);
	assert_int_equal(story.facts.subjects_n, 5);
	assert_slice(story.facts.subjects[0], "http://cv.example/1");
	assert_slice(story.facts.subjects[1], "a:1");
	assert_slice(story.facts.subjects[2], "l");
	assert_slice(story.facts.subjects[3], "plain");
	assert_slice(story.facts.subjects[4], "n");
	assert_int_equal(story.parts_n, 2);
	assert_string_equal(story.parts[0], "a b.jpg");
	assert_string_equal(story.parts[1], "deep/er.png");
	story_done(&story);
}

static void ninjs_3_is_read(void **state)
{
	struct story story;

	(void)state;
	must_read("{\"uri\":\"urn:x\",\"version\":7,\"language\":\"en\",\"pubStatus\":\"canceled\","
		  "\"versionCreated\":\"2026-11-22T10:00:00.5Z\","
		  "\"embargoedUntil\":\"2099-01-01T00:00:00Z\",\"urgency\":9}",
		  &story);
	assert_slice(story.facts.version, "7");
	assert_int_equal(story.facts.status, STATUS_CANCELED);
	assert_true(facts_kill(&story.facts));
	assert_int_equal(story.facts.version_created_ms, 1795341600500);
	assert_int_equal(story.facts.embargo_ms, 4070908800000);
	assert_int_equal(story.facts.urgency, 9);
	story_done(&story);
}

static void guid_and_nulls(void **state)
{
	struct story story;

	(void)state;
	must_read("{\"guid\":\"tag:n.example:1\",\"uri\":null,\"version\":null,\"type\":null,"
		  "\"language\":null,\"urgency\":null,\"pubstatus\":null,\"versioncreated\":null,"
		  "\"embargoed\":null,\"embargo\":null,\"headline\":null,\"subject\":null,"
		  "\"renditions\":null,\"associations\":null,\"slugline\":\"\",\"other\":[null]}",
		  &story);
	assert_slice(story.facts.uri, "tag:n.example:1");
	assert_slice(story.facts.version, "0");
	assert_int_equal(story.facts.status, STATUS_USABLE);
	assert_int_equal(story.facts.embargo_ms, TIME_NONE);
	assert_int_equal(story.parts_n, 0);
	story_done(&story);
	must_read("{\"guid\":\"g\",\"uri\":\"u\"}", &story);
	assert_slice(story.facts.uri, "u");
	story_done(&story);
}

/* ---- every refusal: members of an object that has a uri unless it begins with { */

#define X8(s)    s s s s s s s s
#define X64(s)   X8(X8(s))
#define X1024(s) X8(X8(X8(s))) X8(X8(X8(s)))

/* clang-format off */
static const struct {
	const char *text;
	int r;
} rows[] = {
	/* not one JSON object */
	{ "{\"uri\":\"u\"", NX_EDOCUMENT },
	{ "{\"uri\":\"u\"}}", NX_EDOCUMENT },
	{ "{\"uri\":\"u\"}{\"uri\":\"u\"}", NX_EDOCUMENT },
	{ "{\"uri\":\"u\",}", NX_EDOCUMENT },
	{ "{'uri':'u'}", NX_EDOCUMENT },
	{ "{\"uri\":\"a\nb\"}", NX_EDOCUMENT },
	{ "{\"uri\":\"u\",\"x\":01}", NX_EDOCUMENT },
	{ "{\"uri\":\"u\",\"x\":1e999,\"y\":01e999}", NX_EDOCUMENT },
	{ "{\"uri\":\"u\",\"x\":NaN}", NX_EDOCUMENT },
	{ "[{\"uri\":\"u\"}]", NX_EDOCUMENT },
	/* uri */
	{ "{}", NX_ENOURI },
	{ "{\"uri\":\"\"}", NX_ENOURI },
	{ "{\"uri\":5}", NX_ENOURI },
	{ "{\"uri\":5,\"guid\":\"g\"}", NX_ENOURI },
	{ "{\"uri\":[\"u\"]}", NX_ENOURI },
	{ "{\"guid\":true}", NX_ENOURI },
	{ "{\"uri\":\"a\\nb\"}", NX_ENOURI },
	{ "{\"uri\":\"a\\u007fb\"}", NX_ENOURI },
	{ "{\"uri\":\"a\\u0085b\"}", NX_ENOURI },
	{ "{\"uri\":\"" X1024("x") "\"}", 0 },
	{ "{\"uri\":\"" X1024("x") "y\"}", NX_ENOURI },
	/* octets */
	{ "\"x\":\"\xff\"", NX_EUTF8 },
	{ "\"x\":\"\xc0\xaf\"", NX_EUTF8 },
	{ "\"x\":\"\xe0\xba\"", NX_EUTF8 },
	{ "\"x\":\"\xed\xa0\x80\"", NX_EUTF8 },
	{ "\"x\":\"\\ud800\"", NX_EUTF8 },
	{ "\"x\":\"\\udc00\"", NX_EUTF8 },
	{ "\"x\":\"\\ud83d\\udcf0\"", 0 },
	{ "\"x\":\"\\u0000\"", NX_ENUL },
	{ "\"x\\u0000\":1", NX_ENUL },
	/* keys */
	{ "\"uri\":\"v\"", NX_EDUPKEY },
	{ "\"\\u0075ri\":\"v\"", NX_EDUPKEY },
	{ "\"pubstatus\":\"canceled\",\"pubstatus\":\"usable\"", NX_EDUPKEY },
	{ "\"x\":{\"a\":1,\"a\":1}", NX_EDUPKEY },
	{ "\"x\":{\"a\":1},\"y\":{\"a\":1}", 0 },
	/* version */
	{ "\"version\":\"\"", NX_EVERSION },
	{ "\"version\":1.5", NX_EVERSION },
	{ "\"version\":-1", NX_EVERSION },
	{ "\"version\":true", NX_EVERSION },
	{ "\"version\":[1]", NX_EVERSION },
	{ "\"version\":\"a\\tb\"", NX_EVERSION },
	{ "\"version\":9223372036854775807", 0 },
	{ "\"version\":9223372036854775808", NX_EVERSION },
	{ "\"version\":1e999", NX_EVERSION },
	{ "\"version\":\"" X64("9") "\"", 0 },
	{ "\"version\":\"" X64("9") "9\"", NX_EVERSION },
	/* numbers that nobody reads */
	{ "\"x\":9223372036854775808", 0 },
	{ "\"x\":[1e999,-1e999,{\"urgency\":1e999}]", 0 },
	/* status */
	{ "\"pubstatus\":\"Usable\"", NX_ESTATUS },
	{ "\"pubstatus\":\"\"", NX_ESTATUS },
	{ "\"pubstatus\":\"killed\"", NX_ESTATUS },
	{ "\"pubStatus\":1", NX_ESTATUS },
	{ "\"pubStatus\":\"usable\",\"pubstatus\":\"x\"", NX_ESTATUS },
	{ "\"pubstatus\":\"usabl\"", NX_ESTATUS },
	/* dates */
	{ "\"versioncreated\":\"\"", NX_EDATE },
	{ "\"versioncreated\":\"2026-11-22\"", NX_EDATE },
	{ "\"versioncreated\":\"2026-11-22T10:00:00\"", NX_EDATE },
	{ "\"versionCreated\":\"2026-02-30T10:00:00Z\"", NX_EDATE },
	{ "\"versionCreated\":1795341600", NX_EDATE },
	{ "\"versioncreated_timestamp\":\"x\"", 0 },
	/* urgency */
	{ "\"urgency\":0", NX_EURGENCY },
	{ "\"urgency\":10", NX_EURGENCY },
	{ "\"urgency\":-1", NX_EURGENCY },
	{ "\"urgency\":4294967297", NX_EURGENCY },
	{ "\"urgency\":\"3\"", NX_EURGENCY },
	{ "\"urgency\":3.0", NX_EURGENCY },
	{ "\"urgency\":1e999", NX_EURGENCY },
	/* embargo */
	{ "\"embargoed\":\"\"", NX_EEMBARGO },
	{ "\"embargoed\":\"2026-11-22T10:00:00\"", NX_EEMBARGO },
	{ "\"embargoedUntil\":\"tomorrow\"", NX_EEMBARGO },
	{ "\"embargo\":1795341600", NX_EEMBARGO },
	{ "\"embargo\":false", NX_EEMBARGO },
	{ "\"embargo\":{}", NX_EEMBARGO },
	{ "\"embargoed\":\"2026-11-22T10:00:00Z\",\"embargo\":\"x\"", NX_EEMBARGO },
	/* other fields */
	{ "\"language\":[\"lo\"]", NX_EFIELD },
	{ "\"type\":1", NX_EFIELD },
	{ "\"headline\":1,\"slugline\":{},\"headlines\":\"x\",\"subject\":\"x\",\"subjects\":{}", 0 },
	{ "\"renditions\":\"x\",\"associations\":7", 0 },
	{ "\"renditions\":[1,null,\"x\",[],{\"href\":5}],\"associations\":[1,[],\"x\"]", 0 },
	{ "\"renditions\":[{\"href\":\"a\\u0001b\"}]", NX_EFIELD },
	/* parts: four are allowed */
	{ "\"renditions\":[{\"href\":\"1\"},{\"href\":\"2\"},{\"href\":\"3\"},{\"href\":\"4\"},{\"href\":\"1\"}]", 0 },
	{ "\"renditions\":[{\"href\":\"1\"},{\"href\":\"2\"},{\"href\":\"3\"},{\"href\":\"4\"},{\"href\":\"5\"}]", NX_EPARTS },
};
/* clang-format on */

static void every_refusal(void **state)
{
	char text[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct story story = { .parts_n = 0 };
		struct why why = { .code = 0 };
		bool whole = rows[i].text[0] == '{' || rows[i].text[0] == '[';
		int r;

		snprintf(text, sizeof(text), "%s%s%s", whole ? "" : "{\"uri\":\"u\",", rows[i].text,
			 whole ? "" : "}");
		r = read_text(text, &story, &why);
		if (r != rows[i].r)
			fail_msg("%s: %s (%s)", text, nx_word(r), why.words);
		assert_int_equal(why.code, r);
		assert_true(r == 0 || why.words[0] != '\0');
		assert_true(r == 0 || story.facts.block == NULL); /* ret is left alone */
		story_done(&story);
	}
}

static void all_words_of_status(void **state)
{
	static const struct {
		const char *text;
		enum news_status status;
	} words[] = {
		{ "{\"uri\":\"u\",\"pubstatus\":\"usable\"}", STATUS_USABLE },
		{ "{\"uri\":\"u\",\"pubStatus\":\"withheld\"}", STATUS_WITHHELD },
		{ "{\"uri\":\"u\",\"pubstatus\":\"canceled\"}", STATUS_CANCELED },
		{ "{\"uri\":\"u\",\"pubStatus\":\"cancelled\"}", STATUS_CANCELED },
		{ "{\"uri\":\"u\",\"pubstatus\":\"usable\",\"pubStatus\":\"canceled\"}",
		  STATUS_CANCELED },
		{ "{\"uri\":\"u\",\"pubstatus\":\"withheld\",\"pubStatus\":\"usable\"}",
		  STATUS_WITHHELD },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		struct story story;

		must_read(words[i].text, &story);
		assert_int_equal(story.facts.status, words[i].status);
		story_done(&story);
	}
}

static void the_latest_embargo_wins(void **state)
{
	struct story story;

	(void)state;
	must_read("{\"uri\":\"u\",\"embargoed\":\"2026-11-22T12:00:00Z\","
		  "\"embargoedUntil\":\"2026-11-22T20:00:00+07:00\",\"embargo\":null}",
		  &story);
	assert_int_equal(story.facts.embargo_ms, 1795352400000);
	story_done(&story);
	must_read("{\"uri\":\"u\",\"embargo\":\"2026-11-22T12:59:59Z\","
		  "\"embargoedUntil\":\"2026-11-22T20:00:00+07:00\"}",
		  &story);
	assert_int_equal(story.facts.embargo_ms, 1795352400000);
	story_done(&story);
	must_read("{\"uri\":\"u\",\"embargo\":\"2026-11-22T23:00:00Z\","
		  "\"embargoedUntil\":\"2026-11-22T20:00:00+07:00\"}",
		  &story);
	assert_int_equal(story.facts.embargo_ms, 1795388400000);
	story_done(&story);
}

static void what_is_a_part(void **state)
{
	static const char *const parts[] = {
		"a.jpg", "./a.jpg", "d/e/f.png", "a..b", "...",
		"1:2",   "ຮູບ.jpg",  "a?b#c",     "-x:y", " https://x"
	};
	static const char *const others[] = { "",          "https://x.example/a",
					      "HTTP:a",    "data:,x",
					      "a:b",       "x+y.z-1:b",
					      "//h/a",     "/a",
					      "#a",        "?a",
					      "..",        "../a",
					      "a/../b",    "a/..",
					      "\\\\\\\\h", "a\\\\..\\\\b" };
	char text[256];
	struct story story;

	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(text, sizeof(text), "{\"uri\":\"u\",\"renditions\":[{\"href\":\"%s\"}]}",
			 parts[i]);
		must_read(text, &story);
		if (story.parts_n != 1)
			fail_msg("%s is a part", parts[i]);
		assert_string_equal(story.parts[0], parts[i]);
		story_done(&story);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		snprintf(text, sizeof(text), "{\"uri\":\"u\",\"renditions\":[{\"href\":\"%s\"}]}",
			 others[i]);
		must_read(text, &story);
		if (story.parts_n != 0)
			fail_msg("%s is no part", others[i]);
		story_done(&story);
	}
}

static void long_facts_are_cut_at_a_letter(void **state)
{
	char text[2048] = "{\"uri\":\"u\",\"headline\":\"a";
	struct story story;

	(void)state;
	for (size_t i = 0; i < 100; i++)
		strcat(text, "ສ"); /* 3 octets; 1 + 85 * 3 = 256 */
	strcat(text, "\",\"language\":\"");
	for (size_t i = 0; i < 100; i++)
		strcat(text, "ສ");
	strcat(text, "\"}");
	must_read(text, &story);
	assert_int_equal(story.facts.headline.n, 256);
	assert_int_equal(story.facts.language.n, 255);
	story_done(&story);
}

static void sixty_four_subjects(void **state)
{
	char text[4096] = "{\"uri\":\"u\",\"subjects\":[";
	struct story story;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		snprintf(text + strlen(text), 32, "%s{\"code\":\"%u\"}", i > 0 ? "," : "", i);
	strcat(text, "]}");
	must_read(text, &story);
	assert_int_equal(story.facts.subjects_n, SUBJECTS_MAX);
	assert_slice(story.facts.subjects[63], "63");
	story_done(&story);
}

static void origin_and_channel_are_put_in(void **state)
{
	struct story story;
	uint8_t *old;

	(void)state;
	must_read(ninjs_1, &story);
	old = story.facts.block;
	assert_int_equal(story_place(&story, slice_str("lna"), slice_str("lao")), 0);
	assert_ptr_not_equal(story.facts.block, old);
	assert_slice(story.facts.origin, "lna");
	assert_slice(story.facts.channel, "lao");
	assert_slice(story.facts.uri, "urn:lna.example:story:1");
	assert_slice(story.facts.subjects[1], "ວຽງຈັນ");
	assert_int_equal(story_place(&story, slice_str("other"), slice_str("")), 0);
	assert_slice(story.facts.origin, "other");
	assert_slice(story.facts.channel, "");
	story_done(&story);
}

/* limits reach jansson's side too: the largest that may pass */
static void at_the_limits(void **state)
{
	struct story story;
	char *text = malloc(300 << 10);
	size_t n;

	(void)state;
	n = (size_t)sprintf(text, "{\"uri\":\"u\",\"x\":[");
	for (unsigned i = 0; i < 4997; i++)
		n += (size_t)sprintf(text + n, "%s{}", i > 0 ? "," : "");
	sprintf(text + n, "]}");
	must_read(text, &story);
	story_done(&story);
	sprintf(text + n, ",1]}");
	assert_int_equal(read_text(text, &story, NULL), NX_EVALUES);

	n = (size_t)sprintf(text, "{\"uri\":\"u\",\"x\":");
	memset(text + n, '[', 31);
	memset(text + n + 31, ']', 31);
	sprintf(text + n + 62, "}");
	must_read(text, &story);
	story_done(&story);
	memset(text + n, '[', 32);
	memset(text + n + 32, ']', 32);
	sprintf(text + n + 64, "}");
	assert_int_equal(read_text(text, &story, NULL), NX_EDEPTH);

	n = (size_t)sprintf(text, "{\"uri\":\"u\",\"x\":\"");
	memset(text + n, 'x', (256 << 10) - n - 2);
	sprintf(text + (256 << 10) - 2, "\"}");
	must_read(text, &story);
	story_done(&story);
	sprintf(text + (256 << 10), " ");
	assert_int_equal(read_text(text, &story, NULL), NX_EBIGDOC);
	free(text);
}

/* others in the process use jansson with the same functions, before, between and after stories */
static void others_may_use_jansson(void **state)
{
	json_t *value = json_pack("{s:s}", "a", "b");
	struct story story;

	(void)state;
	must_read(ninjs_1, &story);
	story_done(&story);
	json_object_set_new(value, "c", json_integer(1));
	assert_string_equal(json_string_value(json_object_get(value, "a")), "b");
	json_decref(value);
}

static void out_of_memory_anywhere(void **state)
{
	unsigned n = 1;

	(void)state;
	need_faults();
	for (;; n++) {
		struct story story;
		int r;

		fault_arm("story.memory", n, false);
		r = read_text(ninjs_1, &story, NULL);
		if (!fault_fired()) {
			assert_int_equal(r, 0);
			story_done(&story);
			break;
		}
		assert_int_equal(r, NX_ENOMEM);
	}
	fault_off();
	assert_true(n > 2); /* room for nodes and parts at least */
}

static int init(void **state)
{
	(void)state;
	story_init();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ninjs_1_is_read),
		cmocka_unit_test(ninjs_2_is_read),
		cmocka_unit_test(ninjs_3_is_read),
		cmocka_unit_test(guid_and_nulls),
		cmocka_unit_test(every_refusal),
		cmocka_unit_test(all_words_of_status),
		cmocka_unit_test(the_latest_embargo_wins),
		cmocka_unit_test(what_is_a_part),
		cmocka_unit_test(long_facts_are_cut_at_a_letter),
		cmocka_unit_test(sixty_four_subjects),
		cmocka_unit_test(origin_and_channel_are_put_in),
		cmocka_unit_test(at_the_limits),
		cmocka_unit_test(others_may_use_jansson),
		cmocka_unit_test(out_of_memory_anywhere),
	};
	return cmocka_run_group_tests(tests, init, NULL);
}
