/* jansson says of a light copy what it says of the whole; what differs is the tails of long texts
 */
#include "news/facts.h"
#include "news/light.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MOST 8192

static struct slice light(struct slice document)
{
	static char to[MOST];

	assert_true(document.n <= sizeof(to));
	return slice_of(to, light_copy(document, to));
}

/* under: the key that the two stand under */
static void assert_like(const json_t *whole, const json_t *copy, const char *under)
{
	const json_t *member;
	const char *key;

	assert_int_equal(json_typeof(whole), json_typeof(copy));
	if (json_is_string(whole)) {
		size_t n = json_string_length(copy);

		if (strncmp(under, "body", 4) == 0 || strncmp(under, "description", 11) == 0)
			assert_true(n == json_string_length(whole) || n == 0);
		else if (strcmp(under, "value") == 0)
			assert_true(n == json_string_length(whole) || n > FACT_MAX);
		else
			assert_int_equal(n, json_string_length(whole));
		assert_memory_equal(json_string_value(whole), json_string_value(copy), n);
	} else if (json_is_array(whole)) {
		assert_int_equal(json_array_size(whole), json_array_size(copy));
		for (size_t i = 0; i < json_array_size(whole); i++)
			assert_like(json_array_get(whole, i), json_array_get(copy, i), "");
	} else if (json_is_object(whole)) {
		assert_int_equal(json_object_size(whole), json_object_size(copy));
		json_object_foreach((json_t *)whole, key, member)
		{
			assert_non_null(json_object_get(copy, key));
			assert_like(member, json_object_get(copy, key), key);
		}
	} else {
		assert_true(json_equal(whole, copy));
	}
}

/* returns whether it is JSON */
static bool compare(struct slice document)
{
	/* exactly as long as it is, so that a sanitizer sees who reads on */
	uint8_t *exact = malloc(document.n + 1);
	struct slice copy;
	json_error_t one, other;
	json_t *whole, *lighter;
	bool good;

	memcpy(exact, document.p, document.n);
	exact = realloc(exact, document.n > 0 ? document.n : 1);
	copy = light(slice_of(exact, document.n));
	assert_true(copy.n <= document.n);
	whole = json_loadb((const char *)exact, document.n, JSON_REJECT_DUPLICATES, &one);
	lighter = json_loadb((const char *)copy.p, copy.n, JSON_REJECT_DUPLICATES, &other);
	good = whole != NULL;
	if ((whole == NULL) != (lighter == NULL) ||
	    (whole == NULL &&
	     (json_error_code(&one) != json_error_code(&other) || one.line != other.line)))
		fail_msg("%.*s\n%s: %s", (int)document.n, (const char *)document.p, one.text,
			 other.text);
	if (whole != NULL)
		assert_like(whole, lighter, "");
	json_decref(whole);
	json_decref(lighter);
	free(exact);
	return good;
}

static char text[MOST];

/* {"KEY":"UNIT UNIT ... TAIL"} */
static struct slice document(const char *key, const char *unit, unsigned times, const char *tail)
{
	size_t n = (size_t)snprintf(text, sizeof(text), "{\"uri\":\"u\", \"%s\" : \n\"", key);

	while (times-- > 0)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", unit);
	n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\",\"x\":[1,\"value\"]}", tail);
	return slice_of(text, n);
}

static void long_texts_are_cut(void **state)
{
	static const char *const keys[] = { "body_text", "body", "description_html", "value" };
	static const char *const units[] = { "a", "ພາສາລາວ", "Tiếng Việt ", "\\n<p>\\\"", "😀" };

	(void)state;
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 5; j++) {
			struct slice whole = document(keys[i], units[j], 300, "");

			assert_true(compare(whole));
			assert_true(light(whole).n < FACT_MAX * 5 + 100);
		}
}

static void what_is_read_stays(void **state)
{
	static const char *const keys[] = { "uri2",  "headline", "href",
					    "Value", "values",   "bod\\u0079" };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct slice whole = document(keys[i], "a", 2000, "");

		assert_true(compare(whole));
		assert_int_equal(light(whole).n, whole.n);
	}
	assert_true(compare(document("value", "a", FACT_MAX, "")));
	assert_int_equal(light(document("value", "a", FACT_MAX, "")).n,
			 document("value", "a", FACT_MAX, "").n);
}

static void faults_stay(void **state)
{
	static const char *const tails[] = {
		"\x01",     "\n",           "\\x",          "\\",
		"\\u0000",  "\\ud800",      "\\u12",        "\xff",
		"\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xe0\xba", "\xe1\xba",     "\xe1",         "\"",
		"\x7f",     "\\u0e81",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
		bool good = compare(document("body_text", "ລາວ abcdefgh", 60, tails[i]));

		assert_int_equal(good, i >= sizeof(tails) / sizeof(*tails) - 2);
	}
	for (size_t cut = 1; cut < 800; cut++) {
		struct slice whole = document("body_text", "ລາວ \\\"bc", 60, "");

		compare(slice_of(whole.p, whole.n - cut));
	}
}

static void damaged_documents(void **state)
{
	static const char marks[] = "\"\\{}[]:,u\x80\xe0\xba\x01 v0";
	uint32_t x = 20261122;
	unsigned good = 0;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct slice whole =
			document(i % 2 ? "body_html" : "value", i % 3 ? "ກ\\n" : "word ", 150, "");

		for (unsigned k = 0; k < 1 + i % 3; k++) {
			x = x * 1664525 + 1013904223;
			text[(x >> 8) % whole.n] = marks[(x >> 4) % (sizeof(marks) - 1)];
		}
		good += compare(whole);
	}
	assert_in_range(good, 1000, 19000); /* both kinds came */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_texts_are_cut),
		cmocka_unit_test(what_is_read_stays),
		cmocka_unit_test(faults_stay),
		cmocka_unit_test(damaged_documents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
