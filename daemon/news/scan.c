/* what jansson need not see; story_scan() is in story.h */
#include "news/story.h"

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
