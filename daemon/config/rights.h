/*
 * rights.h - what patterns of channels have in common. Pure.
 */
#pragma once
#include "config/settings.h"

/* is there a channel that both would match? */
bool pattern_overlap(const char *a, const char *b);
bool rights_overlap(const struct conf_strings *a, const struct conf_strings *b);
/* is every channel of pattern matched by one of the list? (by one alone; several together are not
 * tried) */
bool rights_cover(const struct conf_strings *list, const char *pattern);
