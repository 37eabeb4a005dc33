#include "client/text.h"
#include "base/log.h"
#include "proto/utf8.h"

#define ENDING_MAX 12 /* octets of ".jpeg" and its like that survive a cut */

/* controls, what turns the direction of writing, and what cannot be seen */
static bool is_hidden(uint32_t u)
{
	return u < 0x20 || (u >= 0x7f && u <= 0x9f) || (u >= 0x200b && u <= 0x200f) ||
	       (u >= 0x2028 && u <= 0x202e) || (u >= 0x2060 && u <= 0x206f) || u == 0xfeff ||
	       (u >= 0xe0000 && u <= 0xe0fff);
}

static bool is_plain(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '"' || s.p[i] == '\\')
			return false;
	return s.n > 0;
}

void text_name(struct buf *to, struct slice s)
{
	char quoted[2600];

	if (is_plain(s))
		buf_add(to, s.p, s.n);
	else
		buf_add(to, quoted, log_quote(quoted, sizeof(quoted), s));
}

/* the next letter; octets that are none come one at a time with *ret_n = 0 */
static size_t next_letter(struct slice s, uint32_t *ret, unsigned *ret_n)
{
	*ret = s.p[0];
	*ret_n = utf8_letter(s, ret);
	return *ret_n == 0 ? 1 : *ret_n;
}

void text_words(struct buf *to, struct slice s)
{
	while (s.n > 0) {
		uint32_t letter;
		unsigned whole;
		size_t n = next_letter(s, &letter, &whole);

		if (whole > 0 && !is_hidden(letter))
			buf_add(to, s.p, n);
		else
			for (size_t i = 0; i < n; i++)
				buf_addf(to, "\\x%02x", s.p[i]);
		s.p += n;
		s.n -= n;
	}
}

static void json_letter(struct buf *to, uint32_t letter)
{
	if (letter >= 0x10000) {
		letter -= 0x10000;
		buf_addf(to, "\\u%04x\\u%04x", 0xd800 + (letter >> 10), 0xdc00 + (letter & 0x3ff));
	} else {
		buf_addf(to, "\\u%04x", letter);
	}
}

void text_json(struct buf *to, struct slice s)
{
	buf_add(to, "\"", 1);
	while (s.n > 0) {
		uint32_t letter;
		unsigned whole;
		size_t n = next_letter(s, &letter, &whole);

		if (whole == 0)
			buf_add(to, "\\ufffd", 6);
		else if (is_hidden(letter))
			json_letter(to, letter);
		else if (letter == '"' || letter == '\\')
			buf_addf(to, "\\%c", (char)letter);
		else
			buf_add(to, s.p, n);
		s.p += n;
		s.n -= n;
	}
	buf_add(to, "\"", 1);
}

static bool is_safe(uint32_t u)
{
	return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') ||
	       u == '.' || u == '_' || u == '-' || u == '+' || (u > 0xa0 && !is_hidden(u));
}

/* clean as much of name as fits into room octets; returns how many were written */
static size_t clean_into(char *to, size_t room, struct slice name)
{
	size_t len = 0;

	while (name.n > 0) {
		uint32_t letter;
		unsigned whole;
		size_t n = next_letter(name, &letter, &whole);
		bool keep = whole > 0 && is_safe(letter) && !(letter == '.' && len == 0);

		if (len + (keep ? n : 1) > room)
			break;
		if (keep)
			memcpy(to + len, name.p, n);
		else
			to[len] = '_';
		len += keep ? n : 1;
		name.p += n;
		name.n -= n;
	}
	return len;
}

/* ".jpg" at the end of name, empty when there is none or it is long */
static struct slice ending_of(struct slice name)
{
	for (size_t i = 1; i <= ENDING_MAX && i < name.n; i++)
		if (name.p[name.n - i] == '.')
			return slice_of(name.p + name.n - i + 1, i - 1);
	return (struct slice){ 0 };
}

void text_clean(char *to, size_t size, struct slice name)
{
	struct slice ending = ending_of(name);
	size_t len;

	if (name.n < size || ending.n == 0) {
		len = clean_into(to, size - 1, name);
	} else {
		len = clean_into(to, size - 2 - ENDING_MAX, name);
		to[len++] = '.';
		len += clean_into(to + len, ENDING_MAX, ending);
	}
	if (len == 0)
		to[len++] = '_';
	to[len] = '\0';
}
