/*
 * text.h - words that came from outside, made safe for a terminal, a line of JSON, the name of a
 * file. Pure.
 */
#pragma once
#include "base/buf.h"

#define FILE_NAME_MAX_ 128 /* octets of a cleaned name, with its NUL */

/* a name in a line: as it stands when all its octets are visible ASCII without " and \, else as
 * log_quote() has it */
void text_name(struct buf *to, struct slice s);
/* words to the end of a line: letters as they are, what would act on a terminal as \xHH */
void text_words(struct buf *to, struct slice s);
/* a JSON string with its quotes; octets that are not UTF-8 become U+FFFD */
void text_json(struct buf *to, struct slice s);
/*
 * text_clean - a name that is safe inside a folder: letters, digits, . _ - + and visible letters
 * beyond ASCII stay, the rest becomes _ ; no dot in front; cut between two letters, its ending
 * kept. "_" when nothing is left. size     of to, at most FILE_NAME_MAX_, at least 32
 */
void text_clean(char *to, size_t size, struct slice name);
