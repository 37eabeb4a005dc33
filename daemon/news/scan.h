/*
 * scan.h - what story.c needs of the octets of a document before and beside jansson; story_scan()
 * itself is in story.h. Pure.
 */
#pragma once
#include "news/story.h"

/*
 * jansson refuses a document for one number that fits neither 64 bits nor a double, wherever it
 * stands. Here each such number of text (which is changed in place) becomes 0, so that a property
 * nobody reads cannot refuse a story.
 * text     n octets and a NUL
 * returns  0; NX_EVERSION or NX_EURGENCY when one of them is such a number; NX_EDOCUMENT when that
 *          cannot be told
 */
int scan_tame_numbers(char *text, size_t n);
