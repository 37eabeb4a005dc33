#include "proto/tape.h"
#include "proto/escape.h"
#include "proto/letters.h"

#include <math.h>
#include <stdlib.h>

#define FEW_KEYS 64 /* so many are compared each with each */

struct reader {
	const uint8_t *p, *end;
	struct tape *tape;
	unsigned depth;
	int fault;
};

static bool fault(struct reader *reader, int code)
{
	if (reader->fault == 0)
		reader->fault = code;
	return false;
}

static void skip_space(struct reader *reader)
{
	while (reader->p < reader->end && (*reader->p == ' ' || *reader->p == '\n' ||
					   *reader->p == '\r' || *reader->p == '\t'))
		reader->p++;
}

/* the next octet that is no space, if it is this one */
static bool take(struct reader *reader, char c)
{
	skip_space(reader);
	if (reader->p == reader->end || *reader->p != (uint8_t)c)
		return false;
	reader->p++;
	return true;
}

/* ---- strings */

/* behind its opening quote. false when it is none */
static bool read_string(struct reader *reader, struct slice *ret, bool *ret_escaped)
{
	const uint8_t *start = reader->p, *at = start;
	uint32_t letter;
	unsigned n = 1;

	*ret_escaped = false;
	for (;;) {
		at = letters_end(at, reader->end);
		if (at == NULL || (*at != '"' && *at != '\\'))
			return fault(reader, NX_EJSON);
		if (*at == '"')
			break;
		n = escape_letter(at, reader->end, &letter);
		if (n == 0)
			return fault(reader, NX_EJSON);
		at += n;
		*ret_escaped = true;
	}
	*ret = slice_of(start, (size_t)(at - start));
	reader->p = at + 1;
	return true;
}

/* ---- keys */

static bool same_key(const struct tape_node *a, const struct tape_node *b)
{
	if (a->key_escaped || b->key_escaped)
		return escape_compare(a->key, b->key) == 0;
	return slice_eq(a->key, b->key);
}

/* the order of escape_compare() */
static int by_key(const void *a, const void *b)
{
	const struct tape_node *one = *(const struct tape_node *const *)a;
	const struct tape_node *other = *(const struct tape_node *const *)b;
	size_t n = one->key.n < other->key.n ? one->key.n : other->key.n;
	int r;

	if (one->key_escaped || other->key_escaped)
		return escape_compare(one->key, other->key);
	r = memcmp(one->key.p, other->key.p, n);
	return r != 0 ? r : (one->key.n > n) - (other->key.n > n);
}

static bool many_keys_differ(struct reader *reader, const struct tape_node *object, unsigned n)
{
	const struct tape_node **sorted = malloc(n * sizeof(*sorted));
	const struct tape_node *at = tape_in(object);
	bool differ = true;

	if (sorted == NULL)
		return fault(reader, NX_ENOMEM);
	for (unsigned i = 0; i < n; i++, at += at->span)
		sorted[i] = at;
	qsort(sorted, n, sizeof(const struct tape_node *), by_key);
	for (unsigned i = 1; i < n && differ; i++)
		differ = !same_key(sorted[i - 1], sorted[i]);
	free(sorted);
	return differ ? true : fault(reader, NX_EDUPKEY);
}

static bool keys_differ(struct reader *reader, const struct tape_node *object, unsigned n,
			bool escaped)
{
	const struct tape_node *end = tape_behind(object);

	if (n > FEW_KEYS || escaped)
		return many_keys_differ(reader, object, n);
	for (const struct tape_node *a = tape_in(object); a < end; a += a->span)
		for (const struct tape_node *b = a + a->span; b < end; b += b->span)
			if (slice_eq(a->key, b->key))
				return fault(reader, NX_EDUPKEY);
	return true;
}

/* ---- numbers and words */

static const uint8_t *digits_end(const uint8_t *p, const uint8_t *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

bool tape_integer(const struct tape_node *node, int64_t *ret)
{
	bool fits = node->kind == TAPE_INTEGER, below = fits && node->text.p[0] == '-';
	int64_t n = 0;

	for (size_t i = below; fits && i < node->text.n; i++) {
		int digit = node->text.p[i] - '0';

		fits = !__builtin_mul_overflow(n, (int64_t)10, &n) &&
		       !__builtin_add_overflow(n, below ? -digit : digit, &n);
	}
	*ret = fits ? n : 0;
	return fits;
}

/* what has so many digits is left open */
static bool real_fits(struct slice text)
{
	char copy[64];

	if (text.n >= sizeof(copy))
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	return isinf(strtod(copy, NULL)) == 0;
}

static bool read_number(struct reader *reader, struct tape_node *node)
{
	const uint8_t *start = reader->p, *end = reader->end;
	const uint8_t *p = start + (*start == '-'), *behind = digits_end(p, end);
	int64_t n;

	node->kind = TAPE_INTEGER;
	if (behind == p || (*p == '0' && behind - p > 1))
		return fault(reader, NX_EJSON);
	if (behind < end && *behind == '.') {
		node->kind = TAPE_REAL;
		p = behind + 1;
		behind = digits_end(p, end);
		if (behind == p)
			return fault(reader, NX_EJSON);
	}
	if (behind < end && (*behind == 'e' || *behind == 'E')) {
		node->kind = TAPE_REAL;
		p = behind + 1;
		p += p < end && (*p == '+' || *p == '-');
		behind = digits_end(p, end);
		if (behind == p)
			return fault(reader, NX_EJSON);
	}
	node->text = slice_of(start, (size_t)(behind - start));
	reader->p = behind;
	if (node->kind == TAPE_REAL ? !real_fits(node->text) : !tape_integer(node, &n))
		reader->tape->large = true;
	return true;
}

static bool read_word(struct reader *reader, struct tape_node *node, enum tape_kind kind,
		      const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(reader->end - reader->p) < n || memcmp(reader->p, word, n) != 0)
		return fault(reader, NX_EJSON);
	reader->p += n;
	node->kind = (uint8_t)kind;
	return true;
}

/* ---- values: depth_max bounds the recursion */

static bool read_value(struct reader *reader, const struct tape_node *named);

static bool read_list(struct reader *reader)
{
	static const struct tape_node unnamed;

	if (take(reader, ']'))
		return true;
	do {
		if (!read_value(reader, &unnamed))
			return false;
	} while (take(reader, ','));
	return take(reader, ']') ? true : fault(reader, NX_EJSON);
}

static bool read_member(struct reader *reader, bool *escaped)
{
	struct tape_node named = { .kind = TAPE_NULL };

	if (!take(reader, '"'))
		return fault(reader, NX_EJSON);
	if (!read_string(reader, &named.key, &named.key_escaped))
		return false;
	*escaped |= named.key_escaped;
	return take(reader, ':') ? read_value(reader, &named) : fault(reader, NX_EJSON);
}

static bool read_object(struct reader *reader, struct tape_node *object)
{
	bool escaped = false;
	unsigned n = 0;

	if (take(reader, '}'))
		return true;
	do {
		if (!read_member(reader, &escaped))
			return false;
		n++;
	} while (take(reader, ','));
	if (!take(reader, '}'))
		return fault(reader, NX_EJSON);
	object->span = (uint32_t)(reader->tape->nodes + reader->tape->n - object);
	return keys_differ(reader, object, n, escaped);
}

static bool read_brackets(struct reader *reader, struct tape_node *node)
{
	bool whole;

	if (++reader->depth > reader->tape->depth_max)
		return fault(reader, NX_EDEPTH);
	reader->p++;
	whole = node->kind == TAPE_LIST ? read_list(reader) : read_object(reader, node);
	reader->depth--;
	node->span = (uint32_t)(reader->tape->nodes + reader->tape->n - node);
	return whole;
}

/* named: has the key of what is to be read */
static bool read_value(struct reader *reader, const struct tape_node *named)
{
	struct tape *tape = reader->tape;
	struct tape_node *node = tape->nodes + tape->n;

	skip_space(reader);
	if (reader->p == reader->end)
		return fault(reader, NX_EJSON);
	if (tape->n == tape->cap)
		return fault(reader, NX_EVALUES);
	tape->n++;
	*node = *named;
	node->span = 1;
	switch (*reader->p) {
	case '"':
		reader->p++;
		node->kind = TAPE_STRING;
		return read_string(reader, &node->text, &node->text_escaped);
	case '{':
		node->kind = TAPE_OBJECT;
		return read_brackets(reader, node);
	case '[':
		node->kind = TAPE_LIST;
		return read_brackets(reader, node);
	case 't':
		return read_word(reader, node, TAPE_TRUE, "true");
	case 'f':
		return read_word(reader, node, TAPE_FALSE, "false");
	case 'n':
		return read_word(reader, node, TAPE_NULL, "null");
	default:
		return read_number(reader, node);
	}
}

int tape_read(struct slice json, struct tape *tape)
{
	struct reader reader = { .p = json.p, .end = json.p + json.n, .tape = tape };
	static const struct tape_node unnamed;

	tape->n = 0;
	tape->large = false;
	if (!read_value(&reader, &unnamed))
		return reader.fault;
	skip_space(&reader);
	return reader.p == reader.end && tape->nodes->kind == TAPE_OBJECT ? 0 : NX_EJSON;
}

const struct tape_node *tape_get(const struct tape_node *object, const char *name)
{
	struct slice wanted = slice_str(name);

	if (object == NULL || object->kind != TAPE_OBJECT)
		return NULL;
	for (const struct tape_node *at = tape_in(object); at < tape_behind(object); at += at->span)
		if (at->key_escaped ? escape_is(at->key, wanted) : slice_eq(at->key, wanted))
			return at;
	return NULL;
}
