/*
 * utf8.h - one letter of UTF-8 at a time, strictly: no overlong forms, no surrogates, nothing
 * above U+10FFFF.
 * Pure.
 */
#pragma once
#include "proto/err.h"

/* octets of the first letter of s (1-4) and its number (ret may be NULL); 0 when s is empty or does
 * not begin with a whole one */
unsigned utf8_letter(struct slice s, uint32_t *ret);
/* the longest front of s of at most n octets that does not cut a letter in two */
struct slice utf8_cut(struct slice s, size_t n);
