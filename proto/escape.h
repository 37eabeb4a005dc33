/*
 * escape.h - what the text of a JSON string means where there are backslashes in it. Pure.
 */
#pragma once
#include "proto/err.h"

/* the letter that the escape at p (its backslash) stands for. returns the octets of the escape; 0:
 * there is none, or it stands for NUL or half a surrogate pair */
unsigned escape_letter(const uint8_t *p, const uint8_t *end, uint32_t *ret);

/* the others take texts in which escape_letter() found nothing wrong */
/* n octets of UTF-8 to `to`, which has room for text.n and may be text.p. returns n */
size_t escape_read(struct slice text, uint8_t *to);
/* as memcmp() of what they mean, and the shorter first */
int escape_compare(struct slice a, struct slice b);
bool escape_is(struct slice text, struct slice plain);
