/* errors and frames: every word once, every cut harmless, every limit seen from the header alone */
#include "wire.h"

static void every_error_has_one_word_and_comes_back(void **state)
{
	static const int codes[] = {
#define X(name, code, word, retry) name,
		NX_ERRORS(X)
#undef X
	};
	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		const char *word = nx_word(codes[i]);

		assert_true(strlen(word) <= 32);
		assert_int_equal(nx_code(word, strlen(word)), codes[i]);
	}
	assert_string_equal(nx_word(0), "ok");
	assert_string_equal(nx_word(-9999), "unknown");
	assert_int_equal(nx_code("bus", 3), 0);
	assert_int_equal(nx_code("busy later", 4), NX_EBUSY);
	assert_int_equal(nx_retry(NX_EBUSY), NX_LATER);
	assert_int_equal(nx_retry(NX_ECONFLICT), NX_NEVER);
}

static void why_keeps_its_words_and_gives_its_code(void **state)
{
	struct why why;
	char longest[600];

	(void)state;
	memset(longest, 'w', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(why_set(&why, NX_EIO, "line %d", 7), NX_EIO);
	assert_string_equal(why.words, "line 7");
	assert_int_equal(why_set(&why, NX_EIO, "%s", longest), NX_EIO);
	assert_int_equal(strlen(why.words), sizeof(why.words) - 1);
	assert_int_equal(why_set(NULL, NX_EIO, "nobody asks"), NX_EIO);
}

static void numbers_are_big_endian(void **state)
{
	uint8_t octets[15], *at = octets;
	static const uint8_t expected[15] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };
	struct slice from = slice_of(octets, sizeof(octets));
	bool bad = false;

	(void)state;
	put_u8(&at, 1);
	put_u16(&at, 0x0203);
	put_u32(&at, 0x04050607);
	put_u64(&at, 0x08090a0b0c0d0e0f);
	assert_memory_equal(octets, expected, sizeof(expected));
	assert_int_equal(get_u8(&from, &bad), 1);
	assert_int_equal(get_u16(&from, &bad), 0x0203);
	assert_int_equal(get_u32(&from, &bad), 0x04050607);
	assert_true(get_u64(&from, &bad) == 0x08090a0b0c0d0e0f);
	assert_false(bad);
	assert_int_equal(get_u8(&from, &bad), 0);
	assert_true(bad);
	from = slice_of(octets, sizeof(octets));
	assert_int_equal(get_bytes(&from, 4, &bad).n, 0); /* once bad, always bad */
}

static void cuts_do_not_matter(void **state)
{
	static const uint8_t zeros[300];
	struct wire wire = { 0 };
	struct frame frame;

	(void)state;
	w_raw(&wire, FRAME_PING, 0xf0, 300, zeros, 300);
	for (size_t n = 0; n < wire.n; n++)
		assert_int_equal(frame_next(slice_of(wire.p, n), FRAME_FLOOR, &frame), 0);
	assert_int_equal(frame_next(slice_of(wire.p, wire.n), FRAME_FLOOR, &frame), 308);
	assert_int_equal(frame.type, FRAME_PING);
	assert_int_equal(frame.flags, 0xf0);
	assert_int_equal(frame.payload.n, 300);
	assert_ptr_equal(frame.payload.p, wire.p + FRAME_HEADER);
	wire_done(&wire);
}

static int judged(uint32_t n, uint8_t type, uint8_t flags, size_t payload_max)
{
	uint8_t header[FRAME_HEADER], *at = header;
	struct frame frame;

	frame_header(&at, type, n);
	header[5] = flags;
	return frame_next(slice_of(header, sizeof(header)), payload_max, &frame);
}

static void the_header_alone_is_judged(void **state)
{
	(void)state;
	assert_int_equal(judged(0, FRAME_BYE, 0, 0), FRAME_HEADER);
	assert_int_equal(judged(1, FRAME_BYE, 0, 0), NX_EBIGFRAME);
	assert_int_equal(judged(100, FRAME_BYE, 0, 100), 0);
	assert_int_equal(judged(UINT32_MAX, FRAME_BYE, 0, SIZE_MAX), NX_EBIGFRAME);
	assert_int_equal(judged(0, 0, 0, 100), NX_EUNKNOWN);
	for (unsigned type = 1; type <= 18; type++) {
		assert_int_equal(judged(0, (uint8_t)type, 0, 100), FRAME_HEADER);
		assert_string_not_equal(frame_name((uint8_t)type), "?");
	}
	for (unsigned type = 19; type < 128; type++)
		assert_int_equal(judged(0, (uint8_t)type, 0, 100), NX_EUNKNOWN);
	for (unsigned type = 128; type < 256; type++)
		assert_int_equal(judged(0, (uint8_t)type, 0, 100), FRAME_HEADER);
	for (unsigned flags = 0; flags < 256; flags++)
		assert_int_equal(judged(0, FRAME_PING, (uint8_t)flags, 100),
				 flags & 15 ? NX_EFLAG : FRAME_HEADER);
	assert_string_equal(frame_name(200), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_one_word_and_comes_back),
		cmocka_unit_test(why_keeps_its_words_and_gives_its_code),
		cmocka_unit_test(numbers_are_big_endian),
		cmocka_unit_test(cuts_do_not_matter),
		cmocka_unit_test(the_header_alone_is_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
