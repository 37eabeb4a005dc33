/*
 * channel.h - names of channels and the patterns that stand for them: a name, or a prefix with
 * '*' at its end.
 */
#pragma once
#include "proto/err.h"

/* 1 to 64 octets of letters, digits, . _ - */
bool channel_name_ok(struct slice name);
bool channel_match(struct slice pattern, struct slice channel);
/* patterns separated by '\n' */
bool channel_match_any(struct slice patterns, struct slice channel);
