#include "news/light.h"
#include "news/facts.h"
#include "proto/utf8.h"

#define ONES  0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* is there an octet of w that is under n (at most 0x80)? Right for words without high bits. */
static bool has_less(uint64_t w, uint8_t n)
{
	return ((w - ONES * n) & ~w & HIGHS) != 0;
}

/* are the next eight octets letters of ASCII that mean themselves in a string? */
static bool eight_plain(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return (w & HIGHS) == 0 && !has_less(w, 0x20) && !has_less(w ^ ONES * '"', 1) &&
	       !has_less(w ^ ONES * '\\', 1);
}

/* octets of the letter at p, as it is written and (less for an escape) as it is read; 0: leave it
 * to jansson */
static unsigned letter(const uint8_t *p, size_t left, unsigned *ret_read)
{
	uint8_t c = p[0];
	unsigned n;

	if (c == '\\') {
		*ret_read = 1;
		return left > 1 && p[1] != '\0' && strchr("\"\\/bfnrt", p[1]) != NULL ? 2 : 0;
	}
	if (c < 0x80)
		n = c >= 0x20;
	else if (c >= 0xc2 && c < 0xe0 && left > 1)
		n = (p[1] & 0xc0) == 0x80 ? 2 : 0;
	else if (c > 0xe0 && c < 0xed && left > 2) /* most of three octets */
		n = (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 ? 3 : 0;
	else
		n = utf8_letter(slice_of(p, left), NULL);
	*ret_read = n;
	return n;
}

/*
 * the string whose text begins at i: returns where its text ends (at the quote), 0 when it is
 * jansson's to judge; *ret_cut is where its front ends, which is read as `keep` octets or little
 * more
 */
static size_t plain_end(struct slice document, size_t i, size_t keep, size_t *ret_cut)
{
	const uint8_t *p = document.p;
	size_t n = document.n, read = 0;
	bool cut = false;

	while (i < n && p[i] != '"') {
		unsigned written = 8, is_read = 8;

		if (!cut && read >= keep) {
			*ret_cut = i;
			cut = true;
		}
		if (p[i] >= 0x80 || i + 8 > n || !eight_plain(p + i))
			written = letter(p + i, n - i, &is_read);
		if (written == 0)
			return 0;
		i += written;
		read += is_read;
	}
	if (!cut)
		*ret_cut = i;
	return i < n ? i : 0;
}

static bool begins(struct slice key, const char *word)
{
	size_t n = strlen(word);

	return key.n >= n && memcmp(key.p, word, n) == 0;
}

enum { ALL = -1 };

/* how much of a text under this key anybody reads */
static int to_keep(struct slice key)
{
	if (slice_is(key, "value")) /* of a headline */
		return FACT_MAX + 1;
	return begins(key, "body") || begins(key, "description") ? 0 : ALL;
}

/* just after the quote that closes the string whose text begins at i, or n */
static size_t string_end(struct slice document, size_t i)
{
	const uint8_t *p = document.p;

	while (i < document.n && p[i] != '"')
		i += p[i] == '\\' ? 2 : 1;
	return i < document.n ? i + 1 : document.n;
}

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

size_t light_copy(struct slice document, char *to)
{
	struct slice last = { .n = 0 }; /* the last string */
	const uint8_t *p = document.p;
	size_t n = 0, from = 0, i = 0; /* what stands from `from` on is not copied yet */
	bool after_colon = false;

	while (i < document.n) {
		uint8_t c = p[i++];
		size_t start = i, cut, end = 0;
		int keep;

		if (c != '"') {
			after_colon = c == ':' || (after_colon && is_space(c));
			continue;
		}
		keep = after_colon ? to_keep(last) : ALL;
		if (keep != ALL)
			end = plain_end(document, i, (size_t)keep, &cut);
		if (end > 0) {
			memcpy(to + n, p + from, cut - from);
			n += cut - from;
			from = end;
			i = end + 1;
		} else {
			i = string_end(document, i);
		}
		last = slice_of(p + start, i - start > 0 ? i - start - 1 : 0);
		after_colon = false;
	}
	memcpy(to + n, p + from, document.n - from);
	return n + document.n - from;
}
