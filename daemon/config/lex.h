/*
 * lex.h - the words of a configuration file, each with its line.
 *
 * Reads a strict part of what libconfuse reads, and reads it alike: plain words and numbers, quoted
 * text, { } ( ) = , and comments (# // and slash-star). Everything that libconfuse would cut,
 * expand or join in its own way is LEX_BAD with words. Borrows the text; no memory of its own.
 * Pure.
 */
#pragma once
#include "proto/err.h"

#define LEX_MAX 1024 /* octets of one word or quoted text */

enum lex_kind {
	LEX_END,
	LEX_WORD,
	LEX_QUOTED, /* text is what stands between the quotes, \\ and \" still as written */
	LEX_PUNCT,  /* one octet, in text */
	LEX_BAD,    /* words says why */
};
struct lex {
	uint8_t *p, *end;
	unsigned line; /* of what comes next */
	enum lex_kind kind;
	struct slice text;
	unsigned at; /* the line where this token began */
	char words[160];
};
void lex_init(struct lex *lex, char *text, size_t n);
void lex_next(struct lex *lex);
bool lex_punct(const struct lex *lex, char c);
