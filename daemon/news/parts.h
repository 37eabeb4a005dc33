/*
 * parts.h - the list of parts that a document names. Pure; which hrefs are parts is said in
 * story.h.
 */
#pragma once
#include "proto/err.h"

struct parts {
	unsigned n, most;
	struct slice *names; /* room for most; the octets are somebody else's */
};
bool parts_is_relative(struct slice href);
/* put name on the list unless it is there. returns 0 or NX_EPARTS */
int parts_add(struct parts *parts, struct slice name);
/* one malloc'ed block: the pointers, then the names with a NUL each. NULL when out of memory */
char **parts_copy(const struct parts *parts);
