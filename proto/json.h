/*
 * json.h - private to proto: JSON in through a tape, out by hand.
 *
 * Knows nothing of what the keys mean. Readers are sticky: the first wrong value sets bad and fills
 * why; everything after that gives nothing.
 */
#pragma once
#include "proto/err.h"

#define JS_COUNT_MAX ((UINT64_C(1) << 53) - 1) /* what counts stays below 2^53 */

struct js; /* a value inside a tree; the root, which keeps a copy of the text, is freed with
	    * js_free() */

struct js_limits {
	size_t octets;
	unsigned depth, values;
};
/* returns 0, NX_EJSON (not one object, too large), NX_EDUPKEY, NX_EDEPTH, NX_EVALUES, NX_ENOMEM */
int js_read(struct slice text, const struct js_limits *limits, struct js **ret, struct why *why);
void js_free(struct js **js);

struct js_in {
	const struct js *object; /* where keys are looked up */
	bool bad;
	struct why *why; /* words only; the caller knows its code */
};
/* a string of least to size - 1 octets without control octets; "" when it is not there or null (if
 * least is 0) */
void js_text(struct js_in *in, const char *key, size_t least, char *to, size_t size);
/* words for a person: control octets become spaces, what is beyond size - 1 is cut at a letter */
void js_words(struct js_in *in, const char *key, char *to, size_t size);
/* a code: 1 to 32 octets of a-z 0-9 - ; to has 33 octets */
void js_code(struct js_in *in, const char *key, char *to);
/* an integer from least to most; missing when it is not there or null */
uint64_t js_count(struct js_in *in, const char *key, uint64_t missing, uint64_t least,
		  uint64_t most);
/* 1 to 16 hex digits; false when it is not there or null */
bool js_epoch(struct js_in *in, const char *key, uint64_t *ret);
bool js_has(const struct js_in *in, const char *key);
/* an object or a list under key; NULL when it is not there or null, bad when it is something else
 */
const struct js *js_object(struct js_in *in, const char *key);
const struct js *js_list(struct js_in *in, const char *key);
size_t js_list_n(const struct js *list);
/* what is in an object or a list, in the order of the text; NULL at the end, and in NULL */
const struct js *js_first(const struct js *in);
const struct js *js_next(const struct js *in, const struct js *at);
bool js_is_object(const struct js *js);
bool js_is_list(const struct js *js);
/* as long as the tree stands: a string, empty when it is something else; a member's key */
struct slice js_string(const struct js *js);
struct slice js_key(const struct js *member);
bool code_ok(struct slice code);

/* writing by hand: full is set when room was too small */
struct js_out {
	uint8_t *p;
	size_t n, room;
	bool full;
};
void out_raw(struct js_out *out, const char *text);
void out_octets(struct js_out *out, struct slice octets);
/* plain: there is nothing in it to escape. Else octets that are not UTF-8 become '?' */
void out_string(struct js_out *out, struct slice text, bool plain);
/* a value as it was read, without space around it */
void out_value(struct js_out *out, const struct js *js);
/* each of these starts with a comma unless a bracket stands before it */
void out_key(struct js_out *out, struct slice key);
void out_name(struct js_out *out, const char *key);
void out_text(struct js_out *out, const char *key, const char *text);
void out_word(struct js_out *out, const char *text); /* a string in a list */
void out_count(struct js_out *out, const char *key, uint64_t n);
void out_epoch(struct js_out *out, const char *key, uint64_t epoch);
void out_hex(struct js_out *out, const char *key, const uint8_t *p, size_t n);
