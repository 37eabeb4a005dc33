/*
 * letters.h - the text of a JSON string, at a table look-up and a shift for each octet. Pure.
 */
#pragma once
#include "proto/err.h"

/* the octet at which a run of whole letters ends that mean themselves: a quote, a backslash, a
 * control octet, or one that begins no letter. NULL when the text ends, or a letter breaks off */
const uint8_t *letters_end(const uint8_t *p, const uint8_t *end);
