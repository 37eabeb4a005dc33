#include "proto/json.h"
#include "proto/escape.h"
#include "proto/frame.h"
#include "proto/judge.h"
#include "proto/tape.h"
#include "proto/utf8.h"

#include <stdlib.h>

/* a struct js is a node of a tape; the root is the first of a block that js_free() frees */
static const struct tape_node *node_of(const struct js *js)
{
	return (const struct tape_node *)(const void *)js;
}

static const struct js *js_of(const struct tape_node *node)
{
	return (const struct js *)(const void *)node;
}

/* the octet after the string that starts at p (behind its opening quote) */
static const uint8_t *skip_string(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p != '"')
		p += *p == '\\' ? 2 : 1;
	return p < end ? p + 1 : end;
}

/* count before jansson allocates: an octet of "[[[[" costs it eighty of memory */
static int scan(struct slice text, const struct js_limits *limits, struct why *why)
{
	const uint8_t *p = text.p, *end = text.p + text.n;
	unsigned depth = 0, values = 1;

	while (p < end) {
		uint8_t c = *p++;

		if (c == '"')
			p = skip_string(p, end);
		else if (c == '{' || c == '[')
			depth++, values++;
		else if (c == ',')
			values++;
		else if ((c == '}' || c == ']') && depth > 0)
			depth--;
		if (depth > limits->depth)
			return why_set(why, NX_EDEPTH, "nested deeper than %u", limits->depth);
		if (values > limits->values)
			return why_set(why, NX_EVALUES, "more than %u values", limits->values);
	}
	return 0;
}

/* what a tape did not take, or took with a number that is too large: jansson decides */
static int say_fault(struct slice text, const struct js_limits *limits, int fault, struct why *why)
{
	struct judgement judgement;
	int r = scan(text, limits, why);

	if (r < 0)
		return r;
	r = judge(text, &judgement);
	if (r == NX_ENOMEM || fault == NX_ENOMEM)
		return why_set(why, NX_ENOMEM, "out of memory");
	if (r == 0)
		return fault == 0 ? 0 : why_set(why, NX_EJSON, "not one JSON object");
	return why_set(why, r == NX_EDUPKEY ? r : NX_EJSON, "octet %d: %.150s", judgement.octet,
		       judgement.words);
}

/* in place: what is read is never longer than what is written */
static void unescape_all(struct tape *tape)
{
	for (struct tape_node *at = tape->nodes; at < tape->nodes + tape->n; at++) {
		if (at->key_escaped)
			at->key.n = escape_read(at->key, (uint8_t *)at->key.p);
		at->key_escaped = false;
		if (at->text_escaped) /* which stays: so it is when it is written, too */
			at->text.n = escape_read(at->text, (uint8_t *)at->text.p);
	}
}

int js_read(struct slice text, const struct js_limits *limits, struct js **ret, struct why *why)
{
	size_t room = tape_room(text.n);
	struct tape tape = { .depth_max = limits->depth };
	uint8_t *copy;
	int r;

	*ret = NULL;
	if (text.n > limits->octets)
		return why_set(why, NX_EJSON, "%zu octets of JSON, at most %zu are read", text.n,
			       limits->octets);
	tape.cap = room < limits->values ? (unsigned)room : limits->values;
	tape.nodes = malloc(tape.cap * sizeof(*tape.nodes) + text.n);
	if (tape.nodes == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	copy = (uint8_t *)(tape.nodes + tape.cap);
	put_bytes(&copy, text.p, text.n);
	r = tape_read(slice_of(tape.nodes + tape.cap, text.n), &tape);
	if (r < 0 || tape.large)
		r = say_fault(text, limits, r, why);
	if (r < 0) {
		free(tape.nodes);
		return r;
	}
	unescape_all(&tape);
	*ret = (struct js *)(void *)tape.nodes;
	return 0;
}

void js_free(struct js **js)
{
	free(*js);
	*js = NULL;
}

/* the value under key; NULL when it is not there, null, or something was bad before */
static const struct tape_node *value_of(const struct js_in *in, const char *key)
{
	const struct tape_node *value;

	if (in->bad || in->object == NULL)
		return NULL;
	value = tape_get(node_of(in->object), key);
	return value == NULL || value->kind == TAPE_NULL ? NULL : value;
}

static void bad(struct js_in *in, const char *key, const char *what)
{
	if (!in->bad)
		(void)why_set(in->why, NX_EJSON, "%s: %s", key, what);
	in->bad = true;
}

static bool has_control(struct slice text)
{
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < 0x20 || text.p[i] == 0x7f)
			return true;
	return false;
}

/* the string under key; p is NULL when it is not there or bad */
static struct slice string_of(struct js_in *in, const char *key)
{
	const struct tape_node *value = value_of(in, key);

	if (value == NULL)
		return slice_of(NULL, 0);
	if (value->kind != TAPE_STRING) {
		bad(in, key, "not a string");
		return slice_of(NULL, 0);
	}
	return value->text;
}

void js_text(struct js_in *in, const char *key, size_t least, char *to, size_t size)
{
	struct slice text = string_of(in, key);

	*to = '\0';
	if (text.n < least)
		bad(in, key, "missing or too short");
	else if (text.n >= size)
		bad(in, key, "too long");
	else if (has_control(text))
		bad(in, key, "control octets");
	if (in->bad || text.p == NULL)
		return;
	memcpy(to, text.p, text.n);
	to[text.n] = '\0';
}

void js_words(struct js_in *in, const char *key, char *to, size_t size)
{
	struct slice text = string_of(in, key);
	size_t n = 0, letter;

	if (text.n > 256)
		bad(in, key, "more than 256 octets");
	while (!in->bad && text.p != NULL && (letter = utf8_letter(text, NULL)) > 0 &&
	       n + letter < size) {
		memcpy(to + n, text.p, letter);
		if (has_control(slice_of(text.p, letter)))
			to[n] = ' ';
		n += letter;
		text = slice_of(text.p + letter, text.n - letter);
	}
	to[n] = '\0';
}

bool code_ok(struct slice code)
{
	for (size_t i = 0; i < code.n; i++) {
		uint8_t c = code.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'))
			return false;
	}
	return code.n >= 1 && code.n <= 32;
}

void js_code(struct js_in *in, const char *key, char *to)
{
	js_text(in, key, 1, to, 33);
	if (!in->bad && !code_ok(slice_str(to)))
		bad(in, key, "not a code");
}

uint64_t js_count(struct js_in *in, const char *key, uint64_t missing, uint64_t least,
		  uint64_t most)
{
	const struct tape_node *value = value_of(in, key);
	int64_t n;

	if (value == NULL)
		return missing;
	if (!tape_integer(value, &n) || n < 0 || (uint64_t)n < least || (uint64_t)n > most) {
		bad(in, key, "not a whole number in range");
		return missing;
	}
	return (uint64_t)n;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool js_epoch(struct js_in *in, const char *key, uint64_t *ret)
{
	struct slice text = string_of(in, key);

	*ret = 0;
	if (text.p == NULL)
		return false;
	if (text.n < 1 || text.n > 16)
		bad(in, key, "not 1 to 16 hex digits");
	for (size_t i = 0; i < text.n && !in->bad; i++) {
		int digit = hex_digit(text.p[i]);

		if (digit < 0)
			bad(in, key, "not hex digits");
		else
			*ret = *ret << 4 | (uint64_t)digit;
	}
	return !in->bad;
}

bool js_has(const struct js_in *in, const char *key)
{
	return value_of(in, key) != NULL;
}

const struct js *js_object(struct js_in *in, const char *key)
{
	const struct tape_node *value = value_of(in, key);

	if (value != NULL && value->kind != TAPE_OBJECT)
		bad(in, key, "not an object");
	return in->bad ? NULL : js_of(value);
}

const struct js *js_list(struct js_in *in, const char *key)
{
	const struct tape_node *value = value_of(in, key);

	if (value != NULL && value->kind != TAPE_LIST)
		bad(in, key, "not a list");
	return in->bad ? NULL : js_of(value);
}

const struct js *js_first(const struct js *in)
{
	const struct tape_node *node = node_of(in);

	return node == NULL || node->span == 1 ? NULL : js_of(tape_in(node));
}

const struct js *js_next(const struct js *in, const struct js *at)
{
	const struct tape_node *next = tape_behind(node_of(at));

	return next < tape_behind(node_of(in)) ? js_of(next) : NULL;
}

size_t js_list_n(const struct js *list)
{
	size_t n = 0;

	for (const struct js *at = js_first(list); at != NULL; at = js_next(list, at))
		n++;
	return n;
}

bool js_is_object(const struct js *js)
{
	return node_of(js)->kind == TAPE_OBJECT;
}

bool js_is_list(const struct js *js)
{
	return node_of(js)->kind == TAPE_LIST;
}

struct slice js_string(const struct js *js)
{
	return node_of(js)->kind == TAPE_STRING ? node_of(js)->text : slice_of(NULL, 0);
}

struct slice js_key(const struct js *member)
{
	return node_of(member)->key;
}
