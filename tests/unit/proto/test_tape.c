/* a tape beside jansson: what both must say of the same octets, by hand, at random, and from a
 * folder that NEWSX_CORPUS names (skipped without it) */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "beside.h"

/* exactly as long as it is, so that a sanitizer sees who reads on */
static bool exact(const char *text, size_t n)
{
	char *copy = malloc(n > 0 ? n : 1);
	bool taken;

	assert_non_null(copy);
	memcpy(copy, text, n);
	taken = beside(slice_of(copy, n));
	free(copy);
	return taken;
}

static void what_is_taken(void **state)
{
	static const char *const good[] = {
		"{}",
		" \t\r\n{ \"a\" : [ ] , \"b\" : { } } \n",
		"{\"\":\"\"}",
		("{\"a\":[true,false,null,0,-0,1.5,1e5,1E+5,-2e-5,9223372036854775807,"
		 "-9223372036854775808]}"),
		"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u0E81\\ud83d\\ude00\x7f\"}",
		"{\"a\":\"ພາສາລາວ Tiếng Việt 😀 \xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf\"}",
		"{\"\\u0061\":1,\"b\":2}",
		"{\"a\":1,\"\\u0061b\":2,\"ab\\u0000c\":3}",
	};

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(good) / sizeof(*good); i++)
		if (!exact(good[i], strlen(good[i])))
			fail_msg("not taken: %s", good[i]);
	assert_false(exact(good[7], strlen(good[7]))); /* NUL in a key */
}

static void what_is_not(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"{",
		"}",
		"[]",
		"\"x\"",
		"1",
		"null",
		"{}{}",
		"{},",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\":1,}",
		"{,}",
		"{\"a\":[1,]}",
		"{\"a\":[,]}",
		"{\"a\":[1 2]}",
		"{\"a\":[}",
		"{a:1}",
		"{'a':1}",
		"{\"a\":01}",
		"{\"a\":-}",
		"{\"a\":+1}",
		"{\"a\":.5}",
		"{\"a\":1.}",
		"{\"a\":1e}",
		"{\"a\":1e+}",
		"{\"a\":0x1}",
		"{\"a\":1a}",
		"{\"a\":truE}",
		"{\"a\":tru",
		"{\"a\":nullx}",
		"{\"a\":NaN}",
		"{\"a\":\"\n\"}",
		"{\"a\":\"\x1f\"}",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\\"}",
		"{\"a\":\"\\u12\"}",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":\"\\ud800\"}",
		"{\"a\":\"\\ud800\\u0041\"}",
		"{\"a\":\"\\udc00\"}",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\xc0\x80\"}",
		"{\"a\":\"\xe0\x80\x80\"}",
		"{\"a\":\"\xed\xa0\x80\"}",
		"{\"a\":\"\xf0\x80\x80\x80\"}",
		"{\"a\":\"\xf4\x90\x80\x80\"}",
		"{\"a\":\"\xe0\xba\"}",
		"{\"a\":\"\xe0\xba",
		"{\"a\":\"12345678\xe0\xba",
		"\xef\xbb\xbf{}",
		"{\"a\":1}\x01",
		/* keys that are there twice */
		"{\"a\":1,\"a\":1}",
		"{\"a\":1,\"b\":{\"c\":1,\"c\":2}}",
		"{\"a\":1,\"\\u0061\":1}",
		"{\"\":1,\"\":2}",
		"{\"\\n\":1,\"\\u000a\":1}",
		"{\"\\ud83d\\ude00\":1,\"😀\":1}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (exact(bad[i], strlen(bad[i])))
			fail_msg("taken: %s", bad[i]);
	assert_false(exact("{\"a\":\"\0\"}", 9));
	assert_false(exact("{}\0", 3));
}

/* one octet of a letter wrong, wherever in a word of eight it stands */
static void every_alignment(void **state)
{
	static const char *const units[] = { "a", "é", "ກ", "😀", "\\n", "\\u0e81" };
	char text[256];

	(void)state;
	for (size_t unit = 0; unit < 6; unit++)
		for (unsigned before = 0; before < 24; before++) {
			size_t n = (size_t)sprintf(text, "{\"a\":\"%.*s%s%s%s 0123456789\"}",
						   (int)before, "xxxxxxxxxxxxxxxxxxxxxxxx",
						   units[unit], units[unit], units[unit]);

			assert_true(exact(text, n));
			for (size_t at = 6; at < n; at++)
				for (unsigned octet = 0; octet < 256;
				     octet += octet < 0x7c ? 31 : 1) {
					char kept = text[at];

					text[at] = (char)octet;
					(void)exact(text, n);
					text[at] = kept;
				}
		}
}

/* {"a0":0,"a1":0,...}, the last key once more when twice is set */
static bool many(unsigned n, bool twice, bool escaped)
{
	char *text = malloc(n * 24 + 64);
	size_t at = 0;
	bool taken;

	assert_non_null(text);
	for (unsigned i = 0; i < n; i++)
		at += (size_t)sprintf(text + at, "%c\"a%u\":0", i == 0 ? '{' : ',', i * 7919 % n);
	if (twice)
		at += (size_t)sprintf(text + at, ",\"%s%u\":0", escaped ? "\\u0061" : "a", n / 2);
	text[at++] = '}';
	taken = exact(text, at);
	free(text);
	return taken;
}

static void a_key_is_found_among_many(void **state)
{
	static const unsigned sizes[] = { 1, 2, 63, 64, 65, 66, 1000, 5000 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		assert_true(many(sizes[i], false, false));
		assert_false(many(sizes[i], true, false));
		assert_false(many(sizes[i], true, true));
	}
}

static void ceilings(void **state)
{
	struct tape_node nodes[4];
	struct tape tape = { .nodes = nodes, .cap = 4, .depth_max = 2 };
	int64_t n;

	(void)state;
	assert_int_equal(tape_read(slice_str("{\"a\":[1,2]}"), &tape), 0);
	assert_int_equal(tape.n, 4);
	assert_int_equal(nodes[1].span, 3);
	assert_int_equal(tape_read(slice_str("{\"a\":[1,2,3]}"), &tape), NX_EVALUES);
	assert_int_equal(tape_read(slice_str("{\"a\":[[1]]}"), &tape), NX_EDEPTH);
	assert_int_equal(tape_read(slice_str("{\"a\":1,\"b\":2,\"a\":3}"), &tape), NX_EDUPKEY);
	assert_int_equal(tape_read(slice_str("{\"a\":9223372036854775808}"), &tape), 0);
	assert_true(tape.large && !tape_integer(tape_get(nodes, "a"), &n));
	assert_int_equal(tape_read(slice_str("{\"a\":-1e999}"), &tape), 0);
	assert_true(tape.large);
	assert_int_equal(tape_read(slice_str("{\"a\":1.5}"), &tape), 0);
	assert_false(tape.large);
	assert_null(tape_get(nodes, "b"));
	assert_null(tape_get(tape_get(nodes, "a"), "a"));
}

/* ---- at random; the round's number is its seed */

static uint64_t seed;

static unsigned below(unsigned n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((seed >> 33) % n);
}

static char *any(char *to, const char *const *words, unsigned n)
{
	return stpcpy(to, words[below(n)]);
}

static char *gen_string(char *to, unsigned letters)
{
	static const char *const units[] = {
		"a",        "bc ",  "ກ",       "ệ",     "é",   "😀",      "\\n",
		"\\\"",     "\\\\", "\\u0e81", "0\x7f", "\\/", "Wörter", "\\ud83d\\ude00",
		"long word"
	};

	*to++ = '"';
	for (unsigned n = below(letters); n > 0; n--)
		to = any(to, units, 15);
	*to++ = '"';
	return to;
}

static char *gen_value(char *to, unsigned depth)
{
	static const char *const words[] = {
		"0",     "-1",   "12345678901",         "1.5e3", "-0", "true", "null",
		"false", "\"\"", "9223372036854775808", "1e400", "[]", "{}"
	};
	unsigned kind = below(8), n = below(4);

	if (depth == 0 || kind < 3)
		return any(to, words, 13);
	if (kind < 5)
		return gen_string(to, 12);
	*to++ = kind == 5 ? '[' : '{';
	for (unsigned i = 0; i < n; i++) {
		to = stpcpy(to, i > 0 ? " , " : "");
		if (kind != 5)
			to = stpcpy(gen_string(to, 4), ":");
		to = gen_value(to, depth - 1);
	}
	*to++ = kind == 5 ? ']' : '}';
	return to;
}

static void at_random(void **state)
{
	static const char marks[] = "\"\\{}[]:,u\x80\xe0\xba\x01 e0-.\xf0\xed";
	static char text[1 << 16];
	unsigned taken = 0, rounds = 60000;

	(void)state;
	for (unsigned round = 0; round < rounds; round++) {
		char *end = text;

		seed = round;
		end = stpcpy(end, "{\"k\":");
		end = gen_value(end, 4);
		end = gen_string(stpcpy(end, ", \"body\" :"), 60);
		*end++ = '}';
		assert_true((size_t)(end - text) < sizeof(text));
		for (unsigned k = below(3); k > 0; k--)
			text[below((unsigned)(end - text))] = marks[below(sizeof(marks) - 1)];
		if (below(10) == 0)
			end -= below((unsigned)(end - text));
		taken += exact(text, (size_t)(end - text));
	}
	assert_in_range(taken, rounds / 4, rounds - rounds / 4); /* both kinds came */
}

/* ---- files */

static unsigned folder(const char *path)
{
	static char text[4 << 20];
	struct dirent *entry;
	DIR *dir = opendir(path);
	unsigned seen = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		char name[1024];
		FILE *file;
		size_t n;

		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_type == DT_DIR) {
			seen += folder(name);
			continue;
		}
		file = strstr(name, ".json") == NULL ? NULL : fopen(name, "rb");
		if (file == NULL)
			continue;
		n = fread(text, 1, sizeof(text) - 8, file);
		fclose(file);
		(void)exact(text, n);
		memmove(text + 5, text, n);
		memcpy(text, "{\"x\":", 5);
		text[n + 5] = '}';
		(void)exact(text, n + 6);
		seen++;
	}
	closedir(dir);
	return seen;
}

static void files(void **state)
{
	const char *path = getenv("NEWSX_CORPUS");

	(void)state;
	if (path == NULL)
		skip();
	assert_true(folder(path) > 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_taken),   cmocka_unit_test(what_is_not),
		cmocka_unit_test(every_alignment), cmocka_unit_test(a_key_is_found_among_many),
		cmocka_unit_test(ceilings),        cmocka_unit_test(at_random),
		cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
