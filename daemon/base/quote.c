/* quoting of a value in a line of the log; see log.h */
#include "base/log.h"
#include "proto/utf8.h"

#define STRING_MAX 512

static bool is_bare(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
		    (c == '\0' || strchr("._-:/@+", c) == NULL))
			return false;
	}
	return s.n > 0;
}

/* controls, and what turns the direction of writing or cannot be seen */
static bool is_hidden(uint32_t u)
{
	return u < 0x20 || (u >= 0x7f && u <= 0x9f) || u == 0x200e || u == 0x200f ||
	       (u >= 0x202a && u <= 0x202e) || (u >= 0x2066 && u <= 0x2069);
}

/* one letter of s as it is shown, at most 16 octets at to; *ret_used octets of s are done with */
static size_t show(struct slice s, char *to, unsigned *ret_used)
{
	uint32_t u = 0;
	unsigned n = utf8_letter(s, &u);
	size_t len = 0;

	*ret_used = n == 0 ? 1 : n;
	if (n > 0 && !is_hidden(u)) {
		if (u == '"' || u == '\\')
			to[len++] = '\\';
		memcpy(to + len, s.p, n);
		return len + n;
	}
	if (n > 0 && u == '\n') {
		memcpy(to, "\\n", 2);
		return 2;
	}
	for (unsigned i = 0; i < *ret_used; i++) {
		to[len++] = '\\';
		to[len++] = 'x';
		to[len++] = "0123456789abcdef"[s.p[i] >> 4];
		to[len++] = "0123456789abcdef"[s.p[i] & 15];
	}
	return len;
}

size_t log_quote(char *to, size_t size, struct slice s)
{
	struct slice text = utf8_cut(s, STRING_MAX);
	bool cut = text.n < s.n, bare = is_bare(text), full = false;
	size_t len = 0, end; /* end: where the text must stop to leave room for ..." and the NUL */

	if (size < 8) {
		if (size > 0)
			*to = '\0';
		return 0;
	}
	end = size - 5;
	if (!bare)
		to[len++] = '"';
	for (size_t i = 0; i < text.n && !full;) {
		char shown[16];
		unsigned used;
		size_t n = show(slice_of(text.p + i, text.n - i), shown, &used);

		full = n > end - len;
		if (!full) {
			memcpy(to + len, shown, n);
			len += n;
			i += used;
		}
	}
	if (cut || full) {
		memcpy(to + len, "...", 3);
		len += 3;
	}
	if (!bare)
		to[len++] = '"';
	to[len] = '\0';
	return len;
}
