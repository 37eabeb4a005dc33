#include "proto/json.h"
#include "proto/tape.h"
#include "proto/utf8.h"

void out_octets(struct js_out *out, struct slice octets)
{
	if (out->full || out->room - out->n < octets.n) {
		out->full = true;
		return;
	}
	if (octets.n > 0)
		memcpy(out->p + out->n, octets.p, octets.n);
	out->n += octets.n;
}

void out_raw(struct js_out *out, const char *text)
{
	out_octets(out, slice_str(text));
}

static bool must_escape(uint8_t c)
{
	return c < 0x20 || c == 0x7f || c == '"' || c == '\\';
}

static void out_escaped(struct js_out *out, uint8_t c)
{
	static const char digits[] = "0123456789abcdef";
	char text[] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };

	if (c == '"' || c == '\\') {
		text[1] = (char)c;
		out_octets(out, slice_of(text, 2));
	} else {
		out_octets(out, slice_of(text, sizeof(text)));
	}
}

/* octets of ASCII in front that mean themselves */
static size_t plain_front(struct slice text)
{
	size_t n = 0;

	while (n < text.n && text.p[n] < 0x80 && !must_escape(text.p[n]))
		n++;
	return n;
}

void out_string(struct js_out *out, struct slice text, bool plain)
{
	out_raw(out, "\"");
	while (text.n > 0) {
		size_t n = plain ? text.n : plain_front(text);

		if (n == 0)
			n = utf8_letter(text, NULL);
		if (n == 0)
			out_raw(out, "?");
		else if (!plain && must_escape(*text.p))
			out_escaped(out, *text.p);
		else
			out_octets(out, slice_of(text.p, n));
		n = n == 0 ? 1 : n;
		text = slice_of(text.p + n, text.n - n);
	}
	out_raw(out, "\"");
}

static void out_comma(struct js_out *out)
{
	if (out->n > 0 && out->p[out->n - 1] != '{' && out->p[out->n - 1] != '[')
		out_raw(out, ",");
}

void out_word(struct js_out *out, const char *text)
{
	out_comma(out);
	out_string(out, slice_str(text), false);
}

void out_key(struct js_out *out, struct slice key)
{
	out_comma(out);
	out_string(out, key, false);
	out_raw(out, ":");
}

void out_name(struct js_out *out, const char *key)
{
	out_key(out, slice_str(key));
}

void out_text(struct js_out *out, const char *key, const char *text)
{
	out_name(out, key);
	out_string(out, slice_str(text), false);
}

void out_count(struct js_out *out, const char *key, uint64_t n)
{
	char digits[21];
	size_t i = sizeof(digits);

	digits[--i] = '\0';
	do
		digits[--i] = (char)('0' + n % 10);
	while ((n /= 10) > 0);
	out_name(out, key);
	out_raw(out, digits + i);
}

void out_hex(struct js_out *out, const char *key, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";

	out_name(out, key);
	out_raw(out, "\"");
	for (size_t i = 0; i < n; i++)
		out_octets(out, slice_of((char[]){ digits[p[i] >> 4], digits[p[i] & 15] }, 2));
	out_raw(out, "\"");
}

void out_epoch(struct js_out *out, const char *key, uint64_t epoch)
{
	uint8_t octets[8];

	for (int i = 7; i >= 0; i--, epoch >>= 8)
		octets[i] = (uint8_t)epoch;
	out_hex(out, key, octets, sizeof(octets));
}

/* ---- what was read */

static void out_node(struct js_out *out, const struct tape_node *node);

static void out_all(struct js_out *out, const struct tape_node *in, const char *brackets)
{
	const char opening[] = { brackets[0], '\0' };

	out_raw(out, opening);
	for (const struct tape_node *at = tape_in(in); at < tape_behind(in); at += at->span) {
		if (in->kind == TAPE_OBJECT)
			out_key(out, at->key);
		else if (at != tape_in(in))
			out_raw(out, ",");
		out_node(out, at);
	}
	out_raw(out, brackets + 1);
}

static void out_node(struct js_out *out, const struct tape_node *node)
{
	static const char *const words[] = { "null", "false", "true" };

	switch (node->kind) {
	case TAPE_OBJECT:
		out_all(out, node, "{}");
		break;
	case TAPE_LIST:
		out_all(out, node, "[]");
		break;
	case TAPE_STRING:
		out_string(out, node->text, !node->text_escaped);
		break;
	case TAPE_INTEGER:
	case TAPE_REAL:
		out_octets(out, node->text);
		break;
	default:
		out_raw(out, words[node->kind]);
		break;
	}
}

void out_value(struct js_out *out, const struct js *js)
{
	out_node(out, (const struct tape_node *)(const void *)js); /* as json.c has it */
}
