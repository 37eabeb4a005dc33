#include "proto/json.h"
#include "proto/utf8.h"

#include <jansson.h>
#include <stdlib.h>

static const json_t *json_of(const struct js *js)
{
	return (const json_t *)js;
}

static const struct js *js_of(const json_t *json)
{
	return (const struct js *)json;
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

	if (text.n > limits->octets)
		return why_set(why, NX_EJSON, "%zu octets of JSON, at most %zu are read", text.n,
			       limits->octets);
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

static int from_jansson(const json_error_t *error, struct why *why)
{
	switch (json_error_code(error)) {
	case json_error_out_of_memory:
		return why_set(why, NX_ENOMEM, "out of memory");
	case json_error_duplicate_key:
		return why_set(why, NX_EDUPKEY, "octet %d: %.150s", error->position, error->text);
	default:
		return why_set(why, NX_EJSON, "octet %d: %.150s", error->position, error->text);
	}
}

int js_read(struct slice text, const struct js_limits *limits, struct js **ret, struct why *why)
{
	json_error_t error;
	json_t *json;
	int r;

	*ret = NULL;
	r = scan(text, limits, why);
	if (r < 0)
		return r;
	json = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &error);
	if (json == NULL)
		return from_jansson(&error, why);
	if (!json_is_object(json)) {
		json_decref(json);
		return why_set(why, NX_EJSON, "not an object");
	}
	*ret = (struct js *)json;
	return 0;
}

void js_free(struct js **js)
{
	json_decref((json_t *)*js);
	*js = NULL;
}

/* the value under key; NULL when it is not there, null, or something was bad before */
static const json_t *value_of(const struct js_in *in, const char *key)
{
	const json_t *value;

	if (in->bad)
		return NULL;
	value = json_object_get(json_of(in->object), key);
	return json_is_null(value) ? NULL : value;
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
	const json_t *value = value_of(in, key);

	if (value == NULL)
		return slice_of(NULL, 0);
	if (!json_is_string(value)) {
		bad(in, key, "not a string");
		return slice_of(NULL, 0);
	}
	return slice_of(json_string_value(value), json_string_length(value));
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
	while (!in->bad && (letter = utf8_letter(text, NULL)) > 0 && n + letter < size) {
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
	const json_t *value = value_of(in, key);
	json_int_t n;

	if (value == NULL)
		return missing;
	n = json_integer_value(value);
	if (!json_is_integer(value) || n < 0 || (uint64_t)n < least || (uint64_t)n > most) {
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
	const json_t *value = value_of(in, key);

	if (value != NULL && !json_is_object(value))
		bad(in, key, "not an object");
	return in->bad ? NULL : js_of(value);
}

const struct js *js_list(struct js_in *in, const char *key)
{
	const json_t *value = value_of(in, key);

	if (value != NULL && !json_is_array(value))
		bad(in, key, "not a list");
	return in->bad ? NULL : js_of(value);
}

size_t js_list_n(const struct js *list)
{
	return list == NULL ? 0 : json_array_size(json_of(list));
}

const struct js *js_list_at(const struct js *list, size_t i)
{
	const json_t *value = json_array_get(json_of(list), i);

	return json_is_object(value) ? js_of(value) : NULL;
}

struct slice js_list_text(const struct js *list, size_t i)
{
	const json_t *value = json_array_get(json_of(list), i);

	return slice_of(json_string_value(value), json_string_length(value));
}

int js_set_text(struct js *object, const char *key, const char *text)
{
	return json_object_set_new((json_t *)object, key, json_string(text)) < 0 ? NX_ENOMEM : 0;
}

void js_drop(struct js *object, const char *key)
{
	(void)json_object_del((json_t *)object, key);
}

int js_add_hop(struct js *object, const char *key, const char *party, const char *time)
{
	json_t *list = json_object_get((json_t *)object, key);
	json_t *hop = json_pack("{s:s,s:s}", "party", party, "time", time);

	if (!json_is_array(list)) {
		list = json_array();
		if (json_object_set_new((json_t *)object, key, list) < 0)
			list = NULL;
	}
	return json_array_append_new(list, hop) < 0 ? NX_ENOMEM : 0;
}

int js_write(const struct js *js, size_t ceiling, uint8_t **ret, size_t *ret_n)
{
	size_t n = 0, room = 1024;
	char *to = NULL, *more;

	*ret = NULL;
	do { /* once, nearly always: the second time it fits */
		room = n > room ? n : room;
		more = realloc(to, room);
		if (more == NULL)
			goto fail;
		to = more;
		n = json_dumpb(json_of(js), to, room, JSON_COMPACT);
		if (n == 0)
			goto fail;
		if (n > ceiling) {
			free(to);
			return NX_EFULL;
		}
	} while (n > room);
	*ret = (uint8_t *)to;
	*ret_n = n;
	return 0;
fail:
	free(to);
	return NX_ENOMEM;
}
