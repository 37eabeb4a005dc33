/* an instant in words to milliseconds; see story_time() in story.h */
#include "news/story.h"

struct reader {
	struct slice left;
	bool ok;
};

/* exactly n digits, a number from least to most */
static int number(struct reader *reader, unsigned n, int least, int most)
{
	int u = 0;

	if (!reader->ok || reader->left.n < n) {
		reader->ok = false;
		return 0;
	}
	for (unsigned i = 0; i < n; i++) {
		if (reader->left.p[i] < '0' || reader->left.p[i] > '9') {
			reader->ok = false;
			return 0;
		}
		u = u * 10 + (reader->left.p[i] - '0');
	}
	reader->left = slice_of(reader->left.p + n, reader->left.n - n);
	if (u < least || u > most)
		reader->ok = false;
	return u;
}

/* the next octet if it is one of these, else NUL */
static char take(struct reader *reader, const char *any)
{
	char c;

	if (!reader->ok || reader->left.n == 0)
		return '\0';
	c = (char)reader->left.p[0];
	if (c == '\0' || strchr(any, c) == NULL)
		return '\0';
	reader->left = slice_of(reader->left.p + 1, reader->left.n - 1);
	return c;
}

static void need(struct reader *reader, const char *any)
{
	if (take(reader, any) == '\0')
		reader->ok = false;
}

static int days_in(int year, int month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : days[month - 1];
}

/* days from 1970-01-01; a year begins in March here, so that the leap day is its last */
static int64_t days_from_epoch(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t before = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t of_era = y - era * 400;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + before - 719468;
}

/* Fractions finer than a millisecond count as the next one: an embargo never ends early. */
static int64_t read_fraction(struct reader *reader)
{
	int64_t ms = 0, unit = 100;
	bool rest = false;
	size_t n = 0;

	for (; reader->ok && n < reader->left.n; n++, unit /= 10) {
		int d = reader->left.p[n] - '0';

		if (d < 0 || d > 9)
			break;
		ms += d * unit;
		rest |= unit == 0 && d > 0;
	}
	if (n == 0)
		reader->ok = false;
	else
		reader->left = slice_of(reader->left.p + n, reader->left.n - n);
	return ms + rest;
}

static int64_t read_zone(struct reader *reader)
{
	char sign = take(reader, "Zz+-");
	int hours, minutes = 0;

	if (sign == 'Z' || sign == 'z')
		return 0;
	if (sign == '\0')
		reader->ok = false;
	hours = number(reader, 2, 0, 23);
	if (take(reader, ":") == ':' || reader->left.n > 0)
		minutes = number(reader, 2, 0, 59);
	return (hours * 60 + minutes) * INT64_C(60000) * (sign == '-' ? -1 : 1);
}

bool story_time(struct slice text, int64_t *ret_wall_ms)
{
	struct reader reader = { .left = text, .ok = true };
	int64_t ms = 0, s = 0;
	int year, month, day;

	year = number(&reader, 4, 0, 9999);
	need(&reader, "-");
	month = number(&reader, 2, 1, 12);
	need(&reader, "-");
	day = number(&reader, 2, 1, 31);
	need(&reader, "Tt ");
	s = number(&reader, 2, 0, 23) * 3600;
	need(&reader, ":");
	s += number(&reader, 2, 0, 59) * 60;
	if (take(&reader, ":") == ':') {
		s += number(&reader, 2, 0, 60); /* a leap second is the first of the next minute */
		if (take(&reader, ".,") != '\0')
			ms = read_fraction(&reader);
	}
	ms -= read_zone(&reader);
	if (!reader.ok || reader.left.n > 0 || day > days_in(year, month))
		return false;
	*ret_wall_ms = (days_from_epoch(year, month, day) * 86400 + s) * 1000 + ms;
	return true;
}
