#include "news/story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct story_limits tight = {
	.document_max = 200,
	.depth_max = 3,
	.values_max = 5,
	.parts_max = 4,
};

/* clang-format off */
static const struct {
	const char *text;
	int r;
} rows[] = {
	{ "{}", 0 },
	{ " \t\r\n{}", 0 },
	{ "", NX_EDOCUMENT },
	{ " \n", NX_EDOCUMENT },
	{ "[]", NX_EDOCUMENT },
	{ "\"x\"", NX_EDOCUMENT },
	{ "5", NX_EDOCUMENT },
	{ "\xef\xbb\xbf{}", NX_EDOCUMENT },
	{ "\xff\xfe{", NX_EDOCUMENT },
	{ "\xfe\xff{", NX_EDOCUMENT },
	/* depth: the outermost object is the first */
	{ "{\"a\":[{}]}", 0 },
	{ "{\"a\":[[]]}", 0 },
	{ "{\"a\":[{\"b\":[]}]}", NX_EDEPTH },
	{ "{\"a\":[[[]]]}", NX_EDEPTH },
	{ "{\"a\":[[]],\"b\":[[]]}", 0 },
	/* brackets and quotes inside strings are letters */
	{ "{\"a\":\"[[[[[[[[{{{{{{{{\"}", 0 },
	{ "{\"a\":\"\\\"[[[[[[\"}", 0 },
	{ "{\"a\":\"\\\\\",\"b\":[[]]}", 0 },
	{ "{\"a\":\"\\\\\",\"b\":[[[]]]}", NX_EDEPTH },
	{ "{\"a\":\"\\\\\\\"[[[[[[\"}", 0 },
	{ "{\"\\\"{{{{\":1}", 0 },
	{ "{\"a\":\"\\u005b\\u0022[[[[\"}", 0 },
	/* values: the object is one; keys are none */
	{ "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", 0 },
	{ "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5}", NX_EVALUES },
	{ "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\",\"d\":\"4\"}", 0 },
	{ "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\",\"d\":\"4\",\"e\":\"5\"}", NX_EVALUES },
	{ "{\"a\":[1,2,3]}", 0 },
	{ "{\"a\":[1,2,3,4]}", NX_EVALUES },
	{ "{\"a\":[\"1\",\"2\",\"3\"]}", 0 },
	{ "{\"a\":[\"1\",\"2\",\"3\",\"4\"]}", NX_EVALUES },
	{ "{\"a\":[[],[],[]]}", 0 },
	{ "{\"a\":[[],[],[],{}]}", NX_EVALUES },
	{ "{\"a\":[true,null,-1.5e+7]}", 0 },
	{ "{\"a\":[true,null,-1.5e+7,false]}", NX_EVALUES },
	{ "{\"a\" : \",,,,,,,,:::::\" , \"b\" : 2}", 0 },
	/* what is broken is left for jansson, and stays in bounds */
	{ "{\"a", 0 },
	{ "{\"a\\", 0 },
	{ "{\"a\\\"", 0 },
	{ "}}}}}}", NX_EDOCUMENT },
	{ "{}}}}}}", 0 },
	{ "{::::::::::[1,1,1,1,1,1,1,1]", 0 },
};
/* clang-format on */

static void what_is_counted(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = strlen(rows[i].text);
		uint8_t *exact = malloc(n + 1);
		struct why why = { .code = 0 };
		int r;

		memcpy(exact + 1, rows[i].text, n); /* a sanitizer sees a step beyond the end */
		r = story_scan(slice_of(exact + 1, n), &tight, &why);
		free(exact);
		if (r != rows[i].r)
			fail_msg("%s: %s (%s)", rows[i].text, nx_word(r), why.words);
		assert_int_equal(why.code, r);
	}
}

static void the_ceiling(void **state)
{
	char text[202];

	(void)state;
	memset(text, ' ', sizeof(text));
	text[0] = '{';
	text[199] = '}';
	assert_int_equal(story_scan(slice_of(text, 200), &tight, NULL), 0);
	assert_int_equal(story_scan(slice_of(text, 201), &tight, NULL), NX_EBIGDOC);
}

static void nul_octets(void **state)
{
	(void)state;
	assert_int_equal(story_scan(slice_of("{\"a\":\"\0\"}", 9), &tight, NULL), NX_ENUL);
	assert_int_equal(story_scan(slice_of("{}\0\0\0", 5), &tight, NULL), NX_ENUL);
	assert_int_equal(story_scan(slice_of("  \0{}", 5), &tight, NULL), NX_ENUL);
	/* every second octet: the words speak of UTF-16 */
	assert_int_equal(story_scan(slice_of("{\0}\0", 4), &tight, NULL), NX_EDOCUMENT);
	assert_int_equal(story_scan(slice_of("\0{\0}", 4), &tight, NULL), NX_EDOCUMENT);
}

static void words_name_the_line(void **state)
{
	struct why why;

	(void)state;
	assert_int_equal(story_scan(slice_str("{\n\n\"a\":[\n[[[]]]\n]}"), &tight, &why),
			 NX_EDEPTH);
	assert_non_null(strstr(why.words, "line 4"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_counted),
		cmocka_unit_test(the_ceiling),
		cmocka_unit_test(nul_octets),
		cmocka_unit_test(words_name_the_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
