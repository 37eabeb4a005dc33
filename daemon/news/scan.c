#include "news/scan.h"
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>

static unsigned line_at(struct slice document, size_t at)
{
	unsigned line = 1;

	for (size_t i = 0; i < at; i++)
		line += document.p[i] == '\n';
	return line;
}

/* what a document may begin with; the words say what to mend */
static int check_start(struct slice document, struct why *why)
{
	const uint8_t *p = document.p;
	size_t i = 0;

	if (document.n == 0)
		return why_set(why, NX_EDOCUMENT, "the document is empty");
	if (document.n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		return why_set(why, NX_EDOCUMENT,
			       "the document begins with a byte order mark; leave it out");
	if (document.n >= 2 && (memcmp(p, "\xff\xfe", 2) == 0 || memcmp(p, "\xfe\xff", 2) == 0 ||
				(p[0] == 0) != (p[1] == 0)))
		return why_set(why, NX_EDOCUMENT,
			       "the document looks like UTF-16; a story is written in UTF-8");
	while (i < document.n && strchr(" \t\r\n", p[i]) != NULL && p[i] != '\0')
		i++;
	if (i == document.n || (p[i] != '{' && p[i] != '\0'))
		return why_set(why, NX_EDOCUMENT, "the document is not a JSON object");
	return 0;
}

/* just after the quote that closes the string whose text begins at i, or n. A quote after an odd
 * number of backslashes is part of the text. */
static size_t string_end(const uint8_t *p, size_t i, size_t n)
{
	size_t start = i;

	while (i < n) {
		const uint8_t *quote = memchr(p + i, '"', n - i);
		size_t at, k;

		if (quote == NULL)
			return n;
		at = k = (size_t)(quote - p);
		while (k > start && p[k - 1] == '\\')
			k--;
		if ((at - k) % 2 == 0)
			return at + 1;
		i = at + 1;
	}
	return n;
}

static bool is_bare(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '-' || c == '+' || c == '.';
}

/*
 * In good JSON a value is an opening bracket, a string or a bare word, and each colon says that the
 * string before it was a key and no value. In bad JSON the count is right up to the fault, where
 * jansson stops too.
 */
int story_scan(struct slice document, const struct story_limits *limits, struct why *why)
{
	const uint8_t *p = document.p;
	int64_t values = 0, depth = 0;
	size_t n = document.n;
	int r;

	if (n > limits->document_max)
		return why_set(why, NX_EBIGDOC, "the document has %zu octets, %zu are allowed", n,
			       limits->document_max);
	r = check_start(document, why);
	if (r < 0)
		return r;
	if (memchr(p, '\0', n) != NULL)
		return why_set(why, NX_ENUL, "there is a NUL octet in the document");
	for (size_t i = 0; i < n;) {
		uint8_t c = p[i++];

		if (c == '"') {
			i = string_end(p, i, n);
			values++;
		} else if (c == '{' || c == '[') {
			depth++;
			values++;
		} else if (c == '}' || c == ']') {
			depth--;
		} else if (c == ':') {
			values--;
		} else if (is_bare(c)) {
			while (i < n && is_bare(p[i]))
				i++;
			values++;
		}
		if (depth > (int64_t)limits->depth_max)
			return why_set(why, NX_EDEPTH, "nested deeper than %u (line %u)",
				       limits->depth_max, line_at(document, i));
		/* one more, because the last string may be a key whose colon comes next */
		if (values > (int64_t)limits->values_max + 1)
			return why_set(why, NX_EVALUES, "more than %u values (line %u)",
				       limits->values_max, line_at(document, i));
	}
	if (values > (int64_t)limits->values_max)
		return why_set(why, NX_EVALUES, "more than %u values", limits->values_max);
	return 0;
}

/* ---- numbers that are too large */

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* length of the JSON number that s begins with, 0 when it is none */
static size_t number_len(const char *s)
{
	const char *at = s + (*s == '-');
	size_t n = digits(at);

	if (n == 0 || (n > 1 && *at == '0'))
		return 0;
	at += n;
	if (*at == '.') {
		n = digits(at + 1);
		if (n == 0)
			return 0;
		at += 1 + n;
	}
	if (*at == 'e' || *at == 'E') {
		at++;
		at += *at == '-' || *at == '+';
		n = digits(at);
		if (n == 0)
			return 0;
		at += n;
	}
	return is_bare((uint8_t)*at) ? 0 : (size_t)(at - s);
}

static bool too_large(const char *s, size_t n)
{
	char *end;

	errno = 0;
	if (memchr(s, '.', n) == NULL && memchr(s, 'e', n) == NULL && memchr(s, 'E', n) == NULL)
		return (strtoll(s, &end, 10) == LLONG_MAX || *s == '-') && errno == ERANGE;
	return isinf(strtod(s, &end)) != 0;
}

static int code_of_key(struct slice key)
{
	if (slice_is(key, "version"))
		return NX_EVERSION;
	if (slice_is(key, "urgency"))
		return NX_EURGENCY;
	return key.n > 0 && memchr(key.p, '\\', key.n) != NULL ? NX_EDOCUMENT : 0;
}

int scan_tame_numbers(char *text, size_t n)
{
	struct slice key = { .n = 0 }; /* the last string of the outermost object */
	unsigned depth = 0;

	for (size_t i = 0; i < n;) {
		size_t start = i, len;
		char c = text[i++];

		if (c == '"') {
			i = string_end((const uint8_t *)text, i, n);
			if (depth == 1 && i - start >= 2)
				key = slice_of(text + start + 1, i - start - 2);
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			depth--;
		} else if (is_bare((uint8_t)c)) {
			len = number_len(text + start);
			while (i < n && is_bare((uint8_t)text[i]))
				i++;
			if (len == 0 || !too_large(text + start, len))
				continue;
			if (depth == 1 && code_of_key(key) < 0)
				return code_of_key(key);
			memset(text + start, ' ', len);
			text[start] = '0';
		}
	}
	return 0;
}
