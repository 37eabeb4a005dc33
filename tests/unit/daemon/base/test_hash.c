#include "base/hash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void digests_are_those_of_fips_180(void **state)
{
	static const char abc[] =
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
	static const char none[] =
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
	uint8_t digest[64];
	char hex[129];

	(void)state;
	sha256_of("abc", 3, digest);
	hex_of(digest, 32, hex);
	assert_string_equal(hex, abc);
	sha256_of(NULL, 0, digest);
	hex_of(digest, 32, hex);
	assert_string_equal(hex, none);
	sha512_of("abc", 3, digest);
	hex_of(digest, 64, hex);
	assert_string_equal(hex,
			    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
			    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void a_running_digest_starts_anew(void **state)
{
	struct sha256 *sha = sha256_new();
	uint8_t digest[32], again[32];

	(void)state;
	assert_non_null(sha);
	for (unsigned round = 0; round < 3; round++) {
		sha256_add(sha, "a", 1);
		sha256_add(sha, NULL, 0);
		sha256_add(sha, "bc", 2);
		sha256_end(sha, digest);
		sha256_of("abc", 3, again);
		assert_memory_equal(digest, again, 32);
	}
	sha256_free(&sha);
	assert_null(sha);
	sha256_free(&sha);
}

/* RFC 3720, B.4 */
static void crc_vectors(void **state)
{
	uint8_t octets[32];

	(void)state;
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, NULL, 0), 0);
	memset(octets, 0, 32);
	assert_int_equal(crc32c(0, octets, 32), 0x8a9136aa);
	memset(octets, 0xff, 32);
	assert_int_equal(crc32c(0, octets, 32), 0x62a8ab43);
	for (unsigned i = 0; i < 32; i++)
		octets[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, octets, 32), 0x46dd794e);
	for (unsigned i = 0; i < 32; i++)
		octets[i] = (uint8_t)(31 - i);
	assert_int_equal(crc32c(0, octets, 32), 0x113fdb5c);
	assert_int_equal(crc32c_table(0, octets, 32), 0x113fdb5c);
	assert_int_equal(crc32c_table(0, "123456789", 9), 0xe3069283);
}

static void crc_of_pieces_by_table_and_cpu(void **state)
{
	uint8_t octets[257];

	(void)state;
	random_octets(octets, sizeof(octets));
	for (size_t cut = 0; cut <= sizeof(octets); cut++) {
		uint32_t front = crc32c(0, octets, cut);

		assert_int_equal(crc32c_table(0, octets, cut), front);
		assert_int_equal(crc32c(front, octets + cut, sizeof(octets) - cut),
				 crc32c_table(0, octets, sizeof(octets)));
	}
}

static void hex_both_ways(void **state)
{
	uint8_t to[4];
	char text[9];

	(void)state;
	hex_of("\x00\x7f\x80\xff", 4, text);
	assert_string_equal(text, "007f80ff");
	assert_true(hex_to(slice_str("007F80fF"), to, 4));
	assert_memory_equal(to, "\x00\x7f\x80\xff", 4);
	assert_true(hex_to(slice_str(""), to, 0));
	assert_false(hex_to(slice_str("007f80f"), to, 4));
	assert_false(hex_to(slice_str("007f80ff0"), to, 4));
	assert_false(hex_to(slice_str("007f80ff"), to, 3));
	assert_false(hex_to(slice_str("007f80fg"), to, 4));
	assert_false(hex_to(slice_str("007f80f\x06"), to, 4));
	assert_false(hex_to(slice_str("007f 0ff"), to, 4));
}

static void base64_of_rfc_4648(void **state)
{
	static const char *const pairs[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
		{ "\xfb\xff\xfe", "+//+" },
	};
	uint8_t to[8];
	char text[16];

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		size_t n = strlen(pairs[i][0]);

		base64_of(pairs[i][0], n, text);
		assert_string_equal(text, pairs[i][1]);
		assert_true(base64_to(slice_str(pairs[i][1]), to, n));
		assert_memory_equal(to, pairs[i][0], n);
		assert_false(base64_to(slice_str(pairs[i][1]), to, n + 1));
	}
}

static void base64_that_is_none(void **state)
{
	static const char *const bad[] = { "Zg=",  "Zg",   "Zg===",    "Zh==", "Zg=A", "Z===",
					   "====", "Z g=", "Zg==Zg==", "Zg-=", "Zg\n=" };
	uint8_t to[8];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(base64_to(slice_str(bad[i]), to, 1));
	assert_false(base64_to(slice_str("Zm9="), to, 2)); /* bits beyond the last octet */
	assert_false(base64_to(slice_str("Zm8=Zm8="), to, 4));
}

/* worked out apart from this code, from the SHA-512 of "abc" above */
static void spoken_groups(void **state)
{
	char text[72];

	(void)state;
	spoken_of("abc", 3, text);
	assert_int_equal(strlen(text), 71);
	/* ddaf35a193 = 952127299987, of which the last five digits are spoken */
	assert_memory_equal(
		text, "99987 90049 87329 24750 68074 02741 90937 64776 37443 42989 47880 29295",
		71);
}

static void random_is_not_constant(void **state)
{
	uint8_t a[32] = { 0 }, b[32] = { 0 };

	(void)state;
	random_octets(a, 32);
	random_octets(b, 32);
	assert_memory_not_equal(a, b, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_those_of_fips_180),
		cmocka_unit_test(a_running_digest_starts_anew),
		cmocka_unit_test(crc_vectors),
		cmocka_unit_test(crc_of_pieces_by_table_and_cpu),
		cmocka_unit_test(hex_both_ways),
		cmocka_unit_test(base64_of_rfc_4648),
		cmocka_unit_test(base64_that_is_none),
		cmocka_unit_test(spoken_groups),
		cmocka_unit_test(random_is_not_constant),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
