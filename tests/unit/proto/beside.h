/*
 * beside.h - a tape beside jansson: the two must say the same of any octets. For the unit test and
 * the fuzz target; what differs aborts.
 */
#pragma once
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/escape.h"
#include "proto/tape.h"

#define BESIDE_DEPTH 40
#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* malloc'ed, with a NUL behind it */
static inline char *beside_text(struct slice text, size_t *ret_n)
{
	char *copy = malloc(text.n + 1);

	MUST(copy != NULL);
	*ret_n = escape_read(text, (uint8_t *)copy);
	MUST(*ret_n <= text.n);
	copy[*ret_n] = '\0';
	return copy;
}

static inline void beside_number(const struct tape_node *node, const json_t *json)
{
	size_t n;
	char *text = beside_text(node->text, &n);
	int64_t integer;

	if (json_is_integer(json)) {
		MUST(tape_integer(node, &integer) && integer == json_integer_value(json));
	} else {
		MUST(json_is_real(json) && node->kind == TAPE_REAL);
		MUST(!tape_integer(node, &integer));
		MUST(strtod(text, NULL) == json_real_value(json));
	}
	free(text);
}

static inline void beside_node(const struct tape_node *node, const json_t *json);

static inline void beside_members(const struct tape_node *node, const json_t *json)
{
	const struct tape_node *at = tape_in(node);
	size_t members = 0, n;

	for (; at < tape_behind(node); at += at->span, members++) {
		char *key;

		if (node->kind == TAPE_LIST) {
			beside_node(at, json_array_get(json, members));
			continue;
		}
		key = beside_text(at->key, &n);
		MUST(n == strlen(key) && (at->key_escaped || n == at->key.n));
		MUST(tape_get(node, key) == at);
		beside_node(at, json_object_get(json, key));
		free(key);
	}
	MUST(at == tape_behind(node));
	MUST(members == (node->kind == TAPE_LIST ? json_array_size(json) : json_object_size(json)));
}

static inline void beside_node(const struct tape_node *node, const json_t *json)
{
	static const json_type types[] = {
		[TAPE_NULL] = JSON_NULL,     [TAPE_FALSE] = JSON_FALSE,     [TAPE_TRUE] = JSON_TRUE,
		[TAPE_STRING] = JSON_STRING, [TAPE_INTEGER] = JSON_INTEGER, [TAPE_REAL] = JSON_REAL,
		[TAPE_LIST] = JSON_ARRAY,    [TAPE_OBJECT] = JSON_OBJECT,
	};
	size_t n;
	char *text;

	MUST(json != NULL && types[node->kind] == json_typeof(json));
	if (json_is_number(json)) {
		beside_number(node, json);
	} else if (json_is_string(json)) {
		text = beside_text(node->text, &n);
		MUST(n == json_string_length(json) &&
		     memcmp(text, json_string_value(json), n) == 0);
		MUST(node->text_escaped == (memchr(node->text.p, '\\', node->text.n) != NULL));
		free(text);
	} else {
		beside_members(node, json);
	}
}

/* returns whether it was taken */
static inline bool beside(struct slice text)
{
	struct tape tape = { .cap = (unsigned)tape_room(text.n), .depth_max = BESIDE_DEPTH };
	json_error_t error;
	json_t *json = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, &error);
	bool large = json == NULL && json_error_code(&error) == json_error_numeric_overflow;
	int r;

	tape.nodes = malloc(tape.cap * sizeof(*tape.nodes));
	MUST(tape.nodes != NULL);
	r = tape_read(text, &tape);
	MUST(r == 0 || r == NX_EJSON || r == NX_EDUPKEY || r == NX_EDEPTH || r == NX_EVALUES);
	if (r == 0 && json != NULL)
		beside_node(tape.nodes, json);
	if (r == 0 && json == NULL) /* jansson goes no further than to a number that is too large */
		MUST(large && tape.large);
	if (r == NX_EJSON && json != NULL) /* jansson skips a NUL octet behind a number */
		MUST(!json_is_object(json) || memchr(text.p, '\0', text.n) != NULL);
	if (r == NX_EVALUES) /* brackets that are never closed */
		MUST(json == NULL);
	if (r == NX_EDUPKEY)
		MUST(json == NULL &&
		     (large || json_error_code(&error) == json_error_duplicate_key));
	json_decref(json);
	free(tape.nodes);
	return r == 0;
}
