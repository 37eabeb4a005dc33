#include "news/story.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* clang-format off */
static const struct {
	const char *text;
	int64_t ms;
} good[] = {
	{ "1970-01-01T00:00:00Z",             0 },
	{ "2026-11-22T10:00:00Z",             1795341600000 },
	{ "2026-11-22T17:00:00+07:00",        1795341600000 }, /* Vientiane and Hanoi */
	{ "2026-11-22T17:00:00+0700",         1795341600000 },
	{ "2026-11-22T17:00:00+07",           1795341600000 },
	{ "2026-11-22T04:30:00-05:30",        1795341600000 },
	{ "2026-11-23T00:30:00+14:30",        1795341600000 },
	{ "2026-11-22t10:00:00z",             1795341600000 },
	{ "2026-11-22 10:00:00Z",             1795341600000 },
	{ "2026-11-22T10:00Z",                1795341600000 },
	{ "2026-11-22T10:00:00-00:00",        1795341600000 },
	{ "2026-11-22T10:00:00.1Z",           1795341600100 },
	{ "2026-11-22T10:00:00,25Z",          1795341600250 },
	{ "2026-11-22T10:00:00.999Z",         1795341600999 },
	{ "2026-11-22T10:00:00.123000000Z",   1795341600123 },
	{ "2026-11-22T10:00:00.0000001Z",     1795341600001 }, /* an embargo never ends early */
	{ "2026-11-22T10:00:00.9999Z",        1795341601000 },
	{ "2026-11-22T10:00:00.1234567890123456789012345678901234567890+00:00", 1795341600124 },
	{ "2016-12-31T23:59:60Z",             1483228800000 }, /* a leap second */
	{ "2000-02-29T00:00:00Z",             951782400000 },
	{ "2024-02-29T00:00:00Z",             1709164800000 },
	{ "2024-12-31T23:59:59Z",             1735689599000 },
	{ "1969-12-31T23:59:59.5Z",           -500 },
	{ "0000-01-01T00:00:00Z",             -62167219200000 },
	{ "0001-03-01T00:00:00Z",             -62130499200000 },
	{ "9999-12-31T23:59:59Z",             253402300799000 },
};
static const char *const bad[] = {
	"", "now", "2026", "2026-11-22", "2026-11-22T", "2026-11-22T10", "2026-11-22T10:00:00",
	"2026-11-22T10:00", "2026-11-22T10:00:00.5", "2026-11-22T10Z", "2026-11-22Z",
	"2026-02-29T10:00:00Z", "1900-02-29T10:00:00Z", "2100-02-29T10:00:00Z",
	"2026-04-31T10:00:00Z", "2026-00-10T10:00:00Z", "2026-13-10T10:00:00Z",
	"2026-11-00T10:00:00Z", "2026-12-32T10:00:00Z", "2026-11-22T24:00:00Z",
	"2026-11-22T10:60:00Z", "2026-11-22T10:00:61Z", "2026-11-22T10:00:00.Z",
	"2026-11-22T10:00:00+24:00", "2026-11-22T10:00:00+07:60", "2026-11-22T10:00:00+7:00",
	"2026-11-22T10:00:00+07:", "2026-11-22T10:00:00+070", "2026-11-22T10:00:00+07:000",
	"2026-11-22T10:00:00ZZ", "2026-11-22T10:00:00Z ", " 2026-11-22T10:00:00Z",
	"2026-11-22T10:00:00 Z", "2026-1-22T10:00:00Z", "26-11-22T10:00:00Z",
	"12026-11-22T10:00:00Z", "-2026-11-22T10:00:00Z", "+2026-11-22T10:00:00Z",
	"20261122T100000Z", "2026/11/22T10:00:00Z", "2026-11-22X10:00:00Z",
	"2026-11-22T10:00:00+", "2026-11-22T10:00:00ICT", "2026-11-22T1\xc2\xb2:00:00Z",
	"Sun, 22 Nov 2026 10:00:00 GMT", "1795341600", "2026-11-22T+1:00:00Z",
};
/* clang-format on */

static void instants(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t ms = 7;

		if (!story_time(slice_str(good[i].text), &ms))
			fail_msg("cannot read %s", good[i].text);
		if (ms != good[i].ms)
			fail_msg("%s is %lld, not %lld", good[i].text, (long long)good[i].ms,
				 (long long)ms);
	}
}

static void no_instants(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t ms = 7;

		if (story_time(slice_str(bad[i]), &ms))
			fail_msg("read %s as %lld", bad[i], (long long)ms);
		assert_int_equal(ms, 7);
	}
	assert_false(story_time(slice_of("2026-11-22T10:00:00Z\0", 21), &(int64_t){ 0 }));
	assert_false(story_time(slice_of("2026-11-22T10:00:00\0Z", 21), &(int64_t){ 0 }));
}

/* every front of a good text is refused unless it is itself a whole one; nothing is read beyond it
 */
static void fronts(void **state)
{
	static const char text[] = "2026-11-22T10:00:00.123+07:00";

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(story_time(slice_of(text, n), &(int64_t){ 0 }), n == 26);
}

/* the length of every month over 400 years, against counting on the fingers */
static void every_day_follows_the_last(void **state)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int64_t want = 0;

	(void)state;
	for (int year = 1970; year < 2370; year++) {
		for (int month = 1; month <= 12; month++) {
			int n = days[month - 1];
			bool leap = year % 4 == 0 && (year % 100 != 0 || year == 2000);

			if (month == 2 && leap)
				n++;
			for (int day = 1; day <= n + 1; day++) {
				char text[40];
				int64_t ms = 0;

				snprintf(text, sizeof(text), "%04d-%02d-%02dT00:00:00Z", year,
					 month, day);
				assert_int_equal(story_time(slice_str(text), &ms), day <= n);
				if (day <= n)
					assert_int_equal(ms, want + (day - 1) * INT64_C(86400000));
			}
			want += n * INT64_C(86400000);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instants),
		cmocka_unit_test(no_instants),
		cmocka_unit_test(fronts),
		cmocka_unit_test(every_day_follows_the_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
