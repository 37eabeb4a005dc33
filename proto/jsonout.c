#include "proto/json.h"
#include "proto/utf8.h"

static void out_octets(struct js_out *out, const void *p, size_t n)
{
	if (out->full || out->room - out->n < n) {
		out->full = true;
		return;
	}
	memcpy(out->p + out->n, p, n);
	out->n += n;
}

void out_raw(struct js_out *out, const char *text)
{
	out_octets(out, text, strlen(text));
}

static void out_escaped(struct js_out *out, uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	char text[] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };

	if (c == '"' || c == '\\') {
		text[1] = (char)c;
		out_octets(out, text, 2);
	} else {
		out_octets(out, text, sizeof(text));
	}
}

static void out_string(struct js_out *out, const char *text)
{
	struct slice rest = slice_str(text);

	out_raw(out, "\"");
	while (rest.n > 0) {
		size_t n = utf8_letter(rest, NULL);

		if (n == 0)
			out_raw(out, "?");
		else if (*rest.p < 0x20 || *rest.p == 0x7f || *rest.p == '"' || *rest.p == '\\')
			out_escaped(out, *rest.p);
		else
			out_octets(out, rest.p, n);
		n = n == 0 ? 1 : n;
		rest = slice_of(rest.p + n, rest.n - n);
	}
	out_raw(out, "\"");
}

void out_word(struct js_out *out, const char *text)
{
	if (out->n > 0 && out->p[out->n - 1] != '{' && out->p[out->n - 1] != '[')
		out_raw(out, ",");
	out_string(out, text);
}

void out_key(struct js_out *out, const char *key)
{
	out_word(out, key);
	out_raw(out, ":");
}

void out_text(struct js_out *out, const char *key, const char *text)
{
	out_key(out, key);
	out_string(out, text);
}

void out_count(struct js_out *out, const char *key, uint64_t n)
{
	char digits[21];
	size_t i = sizeof(digits);

	digits[--i] = '\0';
	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	out_key(out, key);
	out_raw(out, digits + i);
}

void out_hex(struct js_out *out, const char *key, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	out_key(out, key);
	out_raw(out, "\"");
	for (size_t i = 0; i < n; i++)
		out_octets(out, (char[]){ digits[p[i] >> 4], digits[p[i] & 15] }, 2);
	out_raw(out, "\"");
}

void out_epoch(struct js_out *out, const char *key, uint64_t epoch)
{
	uint8_t octets[8];

	for (int i = 7; i >= 0; i--, epoch >>= 8)
		octets[i] = (uint8_t)epoch;
	out_hex(out, key, octets, sizeof(octets));
}
