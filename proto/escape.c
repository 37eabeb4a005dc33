#include "proto/escape.h"

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* four hex digits; negative when there are none */
static int hex_four(const uint8_t *p, const uint8_t *end)
{
	int u = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		u = u << 4 | digit;
	}
	return u;
}

unsigned escape_letter(const uint8_t *p, const uint8_t *end, uint32_t *ret)
{
	static const char marks[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *mark;
	int u, low;

	if (end - p < 2 || p[1] == '\0')
		return 0;
	mark = strchr(marks, p[1]);
	if (mark != NULL) {
		*ret = (uint8_t)meant[mark - marks];
		return 2;
	}
	u = p[1] == 'u' ? hex_four(p + 2, end) : -1;
	if (u <= 0 || (u >= 0xdc00 && u <= 0xdfff))
		return 0;
	*ret = (uint32_t)u;
	if (u < 0xd800 || u > 0xdbff)
		return 6;
	low = end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex_four(p + 8, end) : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	*ret = 0x10000 + ((uint32_t)(u - 0xd800) << 10 | (uint32_t)(low - 0xdc00));
	return 12;
}

static unsigned put_utf8(uint32_t u, uint8_t to[4])
{
	static const uint8_t fronts[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	unsigned n = u < 0x80 ? 1 : u < 0x800 ? 2 : u < 0x10000 ? 3 : 4;

	for (unsigned i = n - 1; i > 0; i--, u >>= 6)
		to[i] = (uint8_t)(0x80 | (u & 0x3f));
	to[0] = (uint8_t)(fronts[n] | u);
	return n;
}

size_t escape_read(struct slice text, uint8_t *to)
{
	const uint8_t *p = text.p, *end = text.p + text.n;
	uint8_t *at = to;
	uint32_t letter = 0;

	while (p < end) {
		unsigned n = *p == '\\' ? escape_letter(p, end, &letter) : 0;

		if (n > 0)
			at += put_utf8(letter, at);
		else
			*at++ = *p;
		p += n > 0 ? n : 1;
	}
	return (size_t)(at - to);
}

/* a text one octet at a time, its escapes read */
struct spelling {
	const uint8_t *p, *end;
	uint8_t octets[4];
	unsigned at, n;
};

/* negative at the end */
static int next_octet(struct spelling *spelling)
{
	uint32_t letter = 0;

	if (spelling->at < spelling->n)
		return spelling->octets[spelling->at++];
	if (spelling->p == spelling->end)
		return -1;
	if (*spelling->p != '\\')
		return *spelling->p++;
	spelling->p += escape_letter(spelling->p, spelling->end, &letter);
	spelling->n = put_utf8(letter, spelling->octets);
	spelling->at = 1;
	return spelling->octets[0];
}

int escape_compare(struct slice a, struct slice b)
{
	struct spelling one = { .p = a.p, .end = a.p + a.n };
	struct spelling other = { .p = b.p, .end = b.p + b.n };
	int c, d;

	do {
		c = next_octet(&one);
		d = next_octet(&other);
	} while (c == d && c >= 0);
	return c - d;
}

bool escape_is(struct slice text, struct slice plain)
{
	struct spelling spelling = { .p = text.p, .end = text.p + text.n };
	size_t n = 0;

	while (n < plain.n && next_octet(&spelling) == plain.p[n])
		n++;
	return n == plain.n && next_octet(&spelling) < 0;
}
