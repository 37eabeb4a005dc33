/*
 * tape.h - JSON in one strict pass: octets in, a row of nodes out.
 *
 * Takes what RFC 8259 and UTF-8 allow, whose outermost value is an object, in which no object has a
 * key twice (also when it is written with escapes) and no string has \u0000 or half a surrogate
 * pair. That is what jansson takes with JSON_REJECT_DUPLICATES, but for the size of numbers:
 * `tape.large` says that one may fit neither 64 bits nor a double. It finds no words for a fault;
 * who needs them asks jansson.
 *
 * A node is followed by what is in it, so that a row is a tree: `span` nodes further stands the
 * next that is beside it. Nothing is copied and nothing unescaped before it is asked for: slices
 * point into the octets that were read; escape.h reads them. Pure; allocates only while it looks
 * for a key twice among more than 64.
 */
#pragma once
#include "proto/err.h"

enum tape_kind {
	TAPE_NULL,
	TAPE_FALSE,
	TAPE_TRUE,
	TAPE_INTEGER,
	TAPE_REAL,
	TAPE_STRING,
	TAPE_LIST,
	TAPE_OBJECT,
};
struct tape_node {
	struct slice key;  /* of a member of an object, as it is written between its quotes */
	struct slice text; /* a string's likewise; a number as it is written */
	uint32_t span;     /* nodes, itself and all that is in it */
	uint8_t kind;
	bool key_escaped, text_escaped; /* there is a backslash in it */
};
struct tape {
	struct tape_node *nodes; /* somebody's room for cap */
	unsigned n, cap;
	unsigned depth_max; /* the outermost object is the first; each costs half a KiB of stack */
	bool large;
};

/* room that is enough for n octets, unless they are no JSON */
static inline size_t tape_room(size_t n)
{
	return n / 2 + 1;
}
/* returns 0; NX_EJSON, NX_EDUPKEY, NX_EVALUES (more than cap), NX_EDEPTH, NX_ENOMEM */
int tape_read(struct slice json, struct tape *tape);

/* what is in a list or an object, in the order of the text: for (at = tape_in(node); at <
 * tape_behind(node); at += at->span) */
static inline const struct tape_node *tape_in(const struct tape_node *node)
{
	return node + 1;
}
static inline const struct tape_node *tape_behind(const struct tape_node *node)
{
	return node + node->span;
}
/* the member of an object under this name; NULL when there is none, or no object */
const struct tape_node *tape_get(const struct tape_node *object, const char *name);
/* false: no integer, or it needs more than 64 bits */
bool tape_integer(const struct tape_node *node, int64_t *ret);
