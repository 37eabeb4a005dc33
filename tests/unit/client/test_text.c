/* words from outside in names of files, in lines, in JSON; HOST:PORT; what a picture is */
#include "fixture.h"

#include "client/dial.h"
#include "client/inbox.h"
#include "client/picture.h"
#include "client/report.h"
#include "client/text.h"

static const char *clean(struct slice name)
{
	static char to[FILE_NAME_MAX_];

	text_clean(to, sizeof(to), name);
	return to;
}

static const char *clean_text(const char *name)
{
	return clean(slice_str(name));
}

static void names_of_files(void **state)
{
	(void)state;
	assert_string_equal(clean_text("photo.jpg"), "photo.jpg");
	assert_string_equal(clean_text("\xe1\xba\xa3nh \xe0\xba\xa5.jpg"),
			    "\xe1\xba\xa3nh_\xe0\xba\xa5.jpg");
	assert_string_equal(clean_text("../../etc/passwd"), "_._.._etc_passwd");
	assert_string_equal(clean_text(".."), "_.");
	assert_string_equal(clean_text("."), "_");
	assert_string_equal(clean_text(""), "_");
	assert_string_equal(clean_text("a\nb\x1b[2J"), "a_b__2J");
	assert_string_equal(clean_text("\xff\xfe"), "__");
	assert_string_equal(clean_text("a\xe2\x80\xae"
				       "b\xc2\x9b"),
			    "a_b_");
	assert_string_equal(clean(slice_of("a\0b", 3)), "a_b");
}

static void long_names_keep_their_ending(void **state)
{
	char name[601];
	const char *to;

	(void)state;
	memset(name, 'x', 300);
	memcpy(name + 300, ".jpeg", 6);
	to = clean_text(name);
	assert_true(strlen(to) < FILE_NAME_MAX_);
	assert_string_equal(to + strlen(to) - 5, ".jpeg");
	for (int i = 0; i < 200; i++)
		memcpy(name + 3 * i, "\xe0\xba\xa5", 3);
	name[600] = '\0';
	to = clean_text(name);
	assert_true(strlen(to) < FILE_NAME_MAX_);
	assert_int_equal(strlen(to) % 3, 0); /* no letter is cut */
}

/* whatever octets: never a slash, a control, a dot in front, never too long */
static void no_name_is_dangerous(void **state)
{
	(void)state;
	for (uint32_t seed = 0; seed < 3000; seed++) {
		uint8_t octets[300];
		const char *to;

		fill(octets, sizeof(octets), seed);
		to = clean(slice_of(octets, seed % sizeof(octets)));
		assert_true(strlen(to) > 0 && strlen(to) < FILE_NAME_MAX_ && *to != '.');
		for (; *to != '\0'; to++)
			assert_true((unsigned char)*to > 0x20 && *to != '/' && *to != 0x7f);
	}
}

static void names_of_folders(void **state)
{
	uint8_t content[32] = { 0xc0, 0xff, 0xee };
	char a[INBOX_NAME], b[INBOX_NAME];
	char version[64];

	(void)state;
	inbox_name(slice_str("kpl"), slice_str("urn:x:1"), slice_str("3"), content, a);
	assert_string_equal(a + 16, "-3-c0ffee0000000000");
	/* sha256sum of "kpl", a NUL, "urn:x:1" */
	assert_memory_equal(a, "34c11a7333c87642", 16);
	inbox_name(slice_str("kp"), slice_str("lurn:x:1"), slice_str("3"), content, b);
	assert_string_not_equal(a, b); /* the NUL between them counts */
	memset(version, '/', sizeof(version));
	inbox_name(slice_str(""), slice_str(""), slice_of(version, sizeof(version)), content, b);
	assert_null(strchr(b, '/'));
	inbox_part_name(7, "../a/\xe1\xba\xa3nh 1.jpg", b);
	assert_string_equal(b, "07-\xe1\xba\xa3nh_1.jpg");
}

static void assert_line(const struct outcome *outcome, const char *line, const char *json)
{
	struct buf to;

	buf_init(&to, 1 << 16);
	report_line(&to, outcome);
	buf_add(&to, "", 1);
	assert_string_equal((const char *)buf_slice(&to).p, line);
	buf_clear(&to);
	report_json(&to, outcome);
	buf_add(&to, "", 1);
	assert_string_equal((const char *)buf_slice(&to).p, json);
	buf_done(&to);
}

static void lines(void **state)
{
	struct outcome stored = { .result = "stored",
				  .uri = slice_str("tag:x,2026:1?a=b"),
				  .version = slice_str("2"),
				  .has_seq = true,
				  .seq = 41,
				  .ms = 5,
				  .file = "a.json" };
	struct outcome hostile = { .result = "refused",
				   .uri = slice_str("urn:\x1b[1A\nstored \xe2\x80\xae\xff"),
				   .version = slice_str("a b"),
				   .ms = -1,
				   .code = "x\ny",
				   .words = "\"\\\x07\xf0\x9f\x93\xb0 \xc2\x85" };
	struct outcome unknown = { .result = "refused",
				   .ms = -1,
				   .code = "c",
				   .retry = NX_LATER,
				   .words = "w",
				   .file = "f" };

	(void)state;
	assert_line(
		&stored, "stored tag:x,2026:1?a=b 2 seq=41 ms=5\n",
		"{\"result\":\"stored\",\"uri\":\"tag:x,2026:1?a=b\",\"version\":\"2\",\"seq\":41,"
		"\"ms\":5,\"file\":\"a.json\"}\n");
	assert_line(
		&hostile,
		"refused \"urn:\\x1b[1A\\nstored \\xe2\\x80\\xae\\xff\" \"a b\" code=x\\x0ay "
		"never: "
		"\"\\\\x07\xf0\x9f\x93\xb0 \\xc2\\x85\n",
		"{\"result\":\"refused\",\"uri\":\"urn:\\u001b[1A\\u000astored \\u202e\\ufffd\","
		"\"version\":\"a b\",\"code\":\"x\\u000ay\",\"retry\":\"never\",\"words\":"
		"\"\\\"\\\\\\u0007\xf0\x9f\x93\xb0 \\u0085\"}\n");
	assert_line(
		&unknown, "refused - - code=c later: w (f)\n",
		"{\"result\":\"refused\",\"uri\":\"\",\"version\":\"\",\"code\":\"c\",\"retry\":"
		"\"later\",\"words\":\"w\",\"file\":\"f\"}\n");
}

static void servers(void **state)
{
	static const char *const wrong[] = { "",      ":1",  "a:",   "a:0",    "a:65536", "a:x",
					     "a:1:2", "::1", "[::1", "[::1]x", "[]:1" };
	struct dial_to to;

	(void)state;
	assert_int_equal(dial_parse("a.example:99", &to, NULL), 0);
	assert_string_equal(to.host, "a.example");
	assert_string_equal(to.port, "99");
	assert_int_equal(dial_parse("a", &to, NULL), 0);
	assert_string_equal(to.port, "7417");
	assert_int_equal(dial_parse("[::1]:99", &to, NULL), 0);
	assert_string_equal(to.host, "::1");
	assert_string_equal(to.text, "[::1]:99");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(dial_parse(wrong[i], &to, NULL), NX_EARG);
}

static struct picture picture_of(const void *p, size_t n)
{
	struct picture picture;
	int fd;

	write_file("picture", p, n);
	fd = open("picture", O_RDONLY);
	picture_read(fd, &picture);
	close(fd);
	return picture;
}

static void pictures(void **state)
{
	/* APP0 of 4 octets, filling, then the frame header: 16 high, 258 wide */
	static const uint8_t jpeg[] = { 0xff, 0xd8, 0xff, 0xe0, 0,  4, 1, 2, 0xff, 0xff, 0xc2,
					0,    11,   8,    0,    16, 1, 2, 1, 1,    0x11, 0 };
	static const uint8_t png[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\1\0\2\0\0\0\7\x08";
	struct picture picture = picture_of(jpeg, sizeof(jpeg));

	(void)state;
	assert_int_equal(picture.type, PICTURE_JPEG);
	assert_int_equal(picture.width, 258);
	assert_int_equal(picture.height, 16);
	picture = picture_of(png, sizeof(png));
	assert_int_equal(picture.type, PICTURE_PNG);
	assert_int_equal(picture.width, 65538);
	assert_int_equal(picture.height, 7);
	/* cut anywhere: no size, or the right one, and no harm */
	for (size_t n = 0; n < sizeof(jpeg); n++) {
		picture = picture_of(jpeg, n);
		assert_true(picture.width == 0 || picture.width == 258);
		assert_int_equal(picture.type, n < 3 ? PICTURE_NONE : PICTURE_JPEG);
	}
	assert_int_equal(picture_of("{\"uri\":1}", 9).type, PICTURE_NONE);
	assert_string_equal(picture_content_type(slice_of("%PDF-1.7", 8)), "application/pdf");
	assert_string_equal(picture_content_type(slice_of("\0\0\0\x18"
							  "ftypmp42",
							  12)),
			    "video/mp4");
	assert_string_equal(picture_content_type(slice_of("x", 1)), "application/octet-stream");
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, make_folder, drop_folder)
	const struct CMUnitTest tests[] = {
		TEST(names_of_files),
		TEST(long_names_keep_their_ending),
		TEST(no_name_is_dangerous),
		TEST(names_of_folders),
		TEST(lines),
		TEST(servers),
		TEST(pictures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
