/* octets as hex and base64; see hash.h */
#include "base/hash.h"

void hex_of(const void *p, size_t n, char *to)
{
	const uint8_t *at = p;

	for (size_t i = 0; i < n; i++) {
		to[2 * i] = "0123456789abcdef"[at[i] >> 4];
		to[2 * i + 1] = "0123456789abcdef"[at[i] & 15];
	}
	to[2 * n] = '\0';
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool hex_to(struct slice hex, uint8_t *to, size_t n)
{
	if (hex.n / 2 != n || hex.n % 2 != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(hex.p[2 * i]), low = hex_digit(hex.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

void base64_of(const void *p, size_t n, char *to)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *at = p;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t u = (uint32_t)at[i] << 16;

		u |= left > 1 ? (uint32_t)at[i + 1] << 8 : 0;
		u |= left > 2 ? at[i + 2] : 0;
		*to++ = letters[u >> 18];
		*to++ = letters[u >> 12 & 63];
		*to++ = (char)(left > 1 ? letters[u >> 6 & 63] : '=');
		*to++ = (char)(left > 2 ? letters[u & 63] : '=');
	}
	*to = '\0';
}

static int base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_to(struct slice text, uint8_t *to, size_t n)
{
	size_t groups = n / 3 + (n % 3 != 0), digits = n / 3 * 4 + (n % 3 != 0 ? n % 3 + 1 : 0);
	uint32_t u = 0;
	size_t made = 0;

	if (text.n / 4 != groups || text.n % 4 != 0)
		return false;
	for (size_t i = 0; i < digits; i++) {
		int d = base64_digit(text.p[i]);

		if (d < 0)
			return false;
		u = u << 6 | (uint32_t)d;
		if (i % 4 != 0)
			to[made++] = (uint8_t)(u >> (6 - 2 * (i % 4)));
	}
	/* one text for each value: bits beyond the last octet are zero, the rest is padding */
	if ((n % 3 == 1 && (u & 15) != 0) || (n % 3 == 2 && (u & 3) != 0))
		return false;
	for (size_t i = digits; i < text.n; i++)
		if (text.p[i] != '=')
			return false;
	return true;
}
