#include "base/hash.h"
#include "news/facts.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- versions */

#define N       TIME_NONE
#define NINES50 "99999999999999999999999999999999999999999999999999"

static void versions_compare(void **state)
{
	/* clang-format off */
	static const struct {
		const char *a, *b;
		int64_t a_ms, b_ms;
		int sign; /* 7: neither rule decides */
	} rows[] = {
		{ "10", "9", N, N, 1 },
		{ "9", "10", N, N, -1 },
		{ "0", "1", N, N, -1 },
		{ "2", "2", N, N, 0 },
		{ "2", "2", 5, 9, 0 },
		{ "007", "7", N, N, 0 },
		{ "010", "9", N, N, 1 },
		{ "000", "0", N, N, 0 },
		{ "10", "9", 1, 2, 1 }, /* numbers before dates */
		{ NINES50 NINES50, NINES50 NINES50, N, N, 0 },
		{ "1" NINES50 NINES50, "2" NINES50, N, N, 1 },
		{ NINES50 "1", NINES50 "2", N, N, -1 },
		{ "18446744073709551616", "18446744073709551615", N, N, 1 }, /* beyond 64 bits */
		{ "a", "a", N, N, 0 },
		{ "a", "b", N, N, 7 },
		{ "a", "b", 1, 2, -1 },
		{ "b", "a", 1, 2, -1 },
		{ "b", "a", 2, 1, 1 },
		{ "a", "b", 3, 3, 7 },
		{ "a", "b", 3, N, 7 },
		{ "a", "b", N, 3, 7 },
		{ "2", "3b", 1, 2, -1 },
		{ "2", "3b", N, N, 7 },
		{ "-1", "2", N, N, 7 },
		{ "1.5", "1.10", N, N, 7 },
		{ "1", " 2", N, N, 7 },
		{ "a", "b", INT64_MAX, INT64_MIN + 1, 1 },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct slice a = slice_str(rows[i].a), b = slice_str(rows[i].b);
		int got = 99, r = version_compare(a, rows[i].a_ms, b, rows[i].b_ms, &got);

		got = r < 0 ? 7 : got < 0 ? -1 : got > 0;
		if (got != rows[i].sign)
			fail_msg("%s against %s: %d", rows[i].a, rows[i].b, got);
		assert_true(r == 0 || r == NX_EORDER);
		/* and the other way round */
		r = version_compare(b, rows[i].b_ms, a, rows[i].a_ms, &got);
		got = r < 0 ? 7 : got < 0 ? -1 : got > 0;
		assert_int_equal(got, rows[i].sign == 7 ? 7 : -rows[i].sign);
	}
}

/* ---- keys, lanes */

static struct facts sample(void)
{
	struct facts facts = {
		.origin = slice_str("lna"),
		.uri = slice_str("urn:x:1"),
		.version = slice_str("3"),
		.channel = slice_str("lao"),
		.language = slice_str("lo"),
		.type = slice_str("text"),
		.slugline = slice_str("ນ້ຳຖ້ວມ"),
		.headline = slice_str("ນ້ຳຖ້ວມ ທີ່ ວຽງຈັນ"),
		.urgency = 2,
		.status = STATUS_WITHHELD,
		.version_created_ms = 1795341600123,
		.embargo_ms = TIME_NONE,
		.subjects_n = 2,
		.subjects = { slice_str("medtop:03000000"), slice_str("weather") },
	};
	return facts;
}

static void keys(void **state)
{
	struct facts facts = sample();
	uint8_t key[32], want[32];

	(void)state;
	facts_story_key(&facts, key);
	sha256_of("lna\0urn:x:1", 11, want);
	assert_memory_equal(key, want, 32);
	facts_identity_key(&facts, key);
	sha256_of("lna\0urn:x:1\0"
		  "3",
		  13, want);
	assert_memory_equal(key, want, 32);
	facts.status = STATUS_CANCELED;
	facts_identity_key(&facts, key);
	sha256_of("lna\0urn:x:1\0"
		  "3\0kill",
		  18, want);
	assert_memory_equal(key, want, 32);
}

static void lanes(void **state)
{
	struct facts facts = sample();

	(void)state;
	for (int urgency = 0; urgency <= 9; urgency++) {
		facts.urgency = urgency;
		facts.status = STATUS_USABLE;
		assert_int_equal(facts_lane(&facts),
				 urgency == 1 || urgency == 2 ? LANE_FLASH : LANE_ROUTINE);
		facts.status = STATUS_CANCELED;
		assert_int_equal(facts_lane(&facts), LANE_FLASH);
	}
}

/* ---- the binary form */

static void assert_same(const struct facts *a, const struct facts *b)
{
	assert_true(slice_eq(a->origin, b->origin));
	assert_true(slice_eq(a->uri, b->uri));
	assert_true(slice_eq(a->version, b->version));
	assert_true(slice_eq(a->channel, b->channel));
	assert_true(slice_eq(a->language, b->language));
	assert_true(slice_eq(a->type, b->type));
	assert_true(slice_eq(a->slugline, b->slugline));
	assert_true(slice_eq(a->headline, b->headline));
	assert_int_equal(a->urgency, b->urgency);
	assert_int_equal(a->status, b->status);
	assert_int_equal(a->version_created_ms, b->version_created_ms);
	assert_int_equal(a->embargo_ms, b->embargo_ms);
	assert_int_equal(a->subjects_n, b->subjects_n);
	for (unsigned i = 0; i < a->subjects_n; i++)
		assert_true(slice_eq(a->subjects[i], b->subjects[i]));
}

static void written_by_hand(void **state)
{
	static const uint8_t octets[] = { 1,    0,    5,    1, 0,   0,   1,   0xa2, 0x02, 0x70,
					  0x65, 0x7b, 0x80, 0, 0,   0,   0,   0,    0,    0,
					  0,    1,    'o',  0, 2,   'u', 'r', 0,    1,    '4',
					  0,    0,    0,    2, 'e', 'n', 0,   0,    0,    0,
					  0,    1,    'h',  0, 1,   's' };
	struct facts facts;

	(void)state;
	assert_int_equal(facts_read(slice_of(octets, sizeof(octets)), &facts), 0);
	assert_true(slice_is(facts.origin, "o"));
	assert_true(slice_is(facts.uri, "ur"));
	assert_true(slice_is(facts.version, "4"));
	assert_true(slice_is(facts.channel, ""));
	assert_true(slice_is(facts.language, "en"));
	assert_true(slice_is(facts.headline, "h"));
	assert_int_equal(facts.urgency, 5);
	assert_int_equal(facts.version_created_ms, 0x1a20270657b);
	assert_int_equal(facts.embargo_ms, TIME_NONE);
	assert_int_equal(facts.subjects_n, 1);
	assert_true(slice_is(facts.subjects[0], "s"));
	facts_done(&facts);
	assert_null(facts.block);
	facts_done(&facts);
}

static void there_and_back(void **state)
{
	struct facts facts = sample(), back;
	uint8_t *p;
	size_t n;

	(void)state;
	facts.embargo_ms = -1;
	assert_int_equal(facts_write(&facts, &p, &n), 0);
	assert_int_equal(p[0], 1);
	assert_int_equal(facts_read(slice_of(p, n), &back), 0);
	free(p);
	assert_same(&facts, &back);
	facts_done(&back);
}

static void the_largest(void **state)
{
	static char big[4096];
	struct facts facts = sample(), back;
	uint8_t *p;
	size_t n;

	(void)state;
	memset(big, 'x', sizeof(big));
	facts.origin = facts.channel = facts.version = slice_of(big, 64);
	facts.uri = slice_of(big, URI_MAX);
	facts.language = facts.type = facts.slugline = facts.headline = slice_of(big, FACT_MAX);
	facts.subjects_n = SUBJECTS_MAX;
	for (unsigned i = 0; i < SUBJECTS_MAX; i++)
		facts.subjects[i] = slice_of(big, FACT_MAX);
	assert_int_equal(facts_write(&facts, &p, &n), 0);
	assert_true(n <= 24 << 10);
	assert_int_equal(facts_read(slice_of(p, n), &back), 0);
	assert_same(&facts, &back);
	facts_done(&back);
	/* one subject more, whose two octets of length are there */
	p = realloc(p, n + 2);
	assert_non_null(p);
	p[3]++;
	p[n] = p[n + 1] = 0;
	assert_int_equal(facts_read(slice_of(p, n + 2), &back), NX_ECORRUPT);
	free(p);
	facts.uri.n++;
	assert_int_equal(facts_write(&facts, &p, &n), NX_EARG);
}

static void cut_anywhere_it_is_corrupt(void **state)
{
	struct facts facts = sample(), back;
	uint8_t *p, *more;
	size_t n;

	(void)state;
	assert_int_equal(facts_write(&facts, &p, &n), 0);
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *exact = malloc(cut + 1); /* so that a sanitizer sees a step too far */

		memcpy(exact + 1, p, cut);
		assert_int_equal(facts_read(slice_of(exact + 1, cut), &back), NX_ECORRUPT);
		free(exact);
	}
	/* octets that a later version adds at the end are skipped */
	more = calloc(1, n + 100);
	memcpy(more, p, n);
	assert_int_equal(facts_read(slice_of(more, n + 100), &back), 0);
	assert_same(&facts, &back);
	facts_done(&back);
	free(more);
	free(p);
}

static void garbled_it_is_refused_or_within_bounds(void **state)
{
	/* clang-format off */
	static const struct { size_t at; uint8_t octet; } rows[] = {
		{ 0, 0 }, { 0, 2 }, { 1, 3 }, { 1, 255 }, { 2, 10 }, { 3, 65 }, { 3, 3 },
		{ 20, 1 }, { 21, 65 }, { 20, 255 },
	};
	/* clang-format on */
	struct facts facts = sample(), back;
	uint8_t *p, *bad;
	size_t n;

	(void)state;
	assert_int_equal(facts_write(&facts, &p, &n), 0);
	bad = malloc(n);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(bad, p, n);
		bad[rows[i].at] = rows[i].octet;
		assert_int_equal(facts_read(slice_of(bad, n), &back), NX_ECORRUPT);
	}
	for (size_t at = 0; at < n; at++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(bad, p, n);
			bad[at] ^= (uint8_t)(1u << bit);
			if (facts_read(slice_of(bad, n), &back) < 0)
				continue;
			assert_true(back.urgency <= 9 && back.subjects_n <= SUBJECTS_MAX);
			assert_true(back.uri.n > 0 && back.uri.n <= URI_MAX);
			facts_done(&back);
		}
	}
	free(bad);
	free(p);
}

static void no_uri_or_version_is_corrupt(void **state)
{
	struct facts facts = sample(), back;
	uint8_t *p;
	size_t n;

	(void)state;
	facts.uri = slice_str("");
	assert_int_equal(facts_write(&facts, &p, &n), 0);
	assert_int_equal(facts_read(slice_of(p, n), &back), NX_ECORRUPT);
	free(p);
	facts = sample();
	facts.version = slice_str("");
	assert_int_equal(facts_write(&facts, &p, &n), 0);
	assert_int_equal(facts_read(slice_of(p, n), &back), NX_ECORRUPT);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_compare),
		cmocka_unit_test(keys),
		cmocka_unit_test(lanes),
		cmocka_unit_test(written_by_hand),
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(the_largest),
		cmocka_unit_test(cut_anywhere_it_is_corrupt),
		cmocka_unit_test(garbled_it_is_refused_or_within_bounds),
		cmocka_unit_test(no_uri_or_version_is_corrupt),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
