/*
 * lex.c - words, quotes, comments. What libconfuse does silently is refused here (seen with 3.3):
 *  - outside quotes it cuts at = + ( ) , and keeps % : / ; in a word: only plain words pass;
 *  - in quotes it expands ${NAME} from the environment and knows C's escapes: only \\ and \" pass;
 *  - a comment or quote that does not end swallows the rest of the file: refused where it began;
 *  - a comment between the values of a list, or before a '=', is an error to it: it sees no
 * comments;
 *  - it counts some lines twice (those that end a comment): so the lines come from here.
 */
#include "config/lex.h"

#include <stdarg.h>
#include <stdio.h>

void lex_init(struct lex *lex, char *text, size_t n)
{
	*lex = (struct lex){ .p = (uint8_t *)text, .end = (uint8_t *)text + n, .line = 1 };
}

bool lex_punct(const struct lex *lex, char c)
{
	return lex->kind == LEX_PUNCT && lex->text.p[0] == (uint8_t)c;
}

__attribute__((format(printf, 2, 3))) static void bad(struct lex *lex, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(lex->words, sizeof(lex->words), format, ap);
	va_end(ap);
	lex->kind = LEX_BAD;
	lex->p = lex->end;
}

static bool word_octet(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool begins(const struct lex *lex, const char *two)
{
	return lex->end - lex->p >= 2 && memcmp(lex->p, two, 2) == 0;
}

static void skip_line(struct lex *lex)
{
	while (lex->p < lex->end && *lex->p != '\n')
		*lex->p++ = ' ';
}

static bool skip_comment(struct lex *lex)
{
	unsigned line = lex->line;
	uint8_t *begin = lex->p;

	for (lex->p += 2; lex->p < lex->end && !begins(lex, "*/"); lex->p++)
		lex->line += *lex->p == '\n';
	if (lex->p >= lex->end) {
		lex->at = line;
		bad(lex, "the comment that begins here does not end");
		return false;
	}
	lex->p += 2;
	for (; begin < lex->p; begin++)
		if (*begin != '\n')
			*begin = ' ';
	return true;
}

/* to the next token; false when bad */
static bool skip(struct lex *lex)
{
	for (;;) {
		if (lex->p >= lex->end)
			return true;
		if (blank(*lex->p)) {
			lex->line += *lex->p == '\n';
			if (*lex->p == '\r' && (lex->end - lex->p < 2 || lex->p[1] != '\n')) {
				lex->at = lex->line;
				bad(lex, "a carriage return without a line feed");
				return false;
			}
			if (*lex->p == '\r')
				*lex->p = ' ';
			lex->p++;
		} else if (*lex->p == '#' || begins(lex, "//")) {
			skip_line(lex);
		} else if (begins(lex, "/*")) {
			if (!skip_comment(lex))
				return false;
		} else {
			return true;
		}
	}
}

/* one more octet of a quoted text; 0 at its end, 1 to go on, -1 when bad */
static int quoted_octet(struct lex *lex, uint8_t quote)
{
	uint8_t c = *lex->p;

	if (c == quote)
		return 0;
	if (c < 0x20 && c != '\t') {
		bad(lex, c == '\n' ? "the quote does not end on its line"
				   : "a control character inside quotes");
		return -1;
	}
	if (begins(lex, "${")) {
		bad(lex, "'${' is refused: nothing is taken from the environment");
		return -1;
	}
	if (c == '\\') {
		if (quote != '"' || (!begins(lex, "\\\\") && !begins(lex, "\\\""))) {
			bad(lex,
			    "a backslash in quotes: only \\\\ and \\\" in double quotes are known");
			return -1;
		}
		lex->p++;
	}
	lex->p++;
	return 1;
}

static void quoted(struct lex *lex)
{
	uint8_t quote = *lex->p++;
	const uint8_t *begin = lex->p;
	int more = 1;

	while (lex->p < lex->end && (more = quoted_octet(lex, quote)) == 1)
		;
	if (more < 0)
		return;
	if (lex->p >= lex->end)
		return bad(lex, "the quote does not end on its line");
	lex->text = slice_of(begin, (size_t)(lex->p - begin));
	lex->kind = LEX_QUOTED;
	lex->p++;
	if (lex->text.n > LEX_MAX)
		bad(lex, "a text of %zu octets; at most %d", lex->text.n, LEX_MAX);
	else if (lex->p < lex->end && (word_octet(*lex->p) || *lex->p == '"' || *lex->p == '\''))
		bad(lex, "something stands right behind the closing quote: put a space between");
}

/* what stands here up to the next blank, printable */
static void not_plain(struct lex *lex, const uint8_t *begin)
{
	char shown[41];
	size_t n = 0;

	for (const uint8_t *p = begin; p < lex->end && !blank(*p) && n < sizeof(shown) - 1; p++)
		shown[n++] = (char)(*p >= 0x20 && *p < 0x7f ? *p : '?');
	shown[n] = '\0';
	if (*begin == 0xef && lex->at == 1)
		bad(lex, "the file begins with a byte order mark: save it as UTF-8 without one");
	else if (strstr(shown, "${"))
		bad(lex, "'%s': '${' is refused: nothing is taken from the environment", shown);
	else
		bad(lex, "'%s' is no plain word or number: put it in quotes", shown);
}

static void word(struct lex *lex)
{
	const uint8_t *begin = lex->p;

	while (lex->p < lex->end && word_octet(*lex->p))
		lex->p++;
	lex->text = slice_of(begin, (size_t)(lex->p - begin));
	lex->kind = LEX_WORD;
	if (lex->text.n > LEX_MAX)
		bad(lex, "a word of %zu octets; at most %d", lex->text.n, LEX_MAX);
	else if (lex->text.n == 0 ||
		 (lex->p < lex->end && !blank(*lex->p) && !memchr("{}()=,", *lex->p, 6)))
		not_plain(lex, begin);
}

void lex_next(struct lex *lex)
{
	if (lex->kind == LEX_BAD || !skip(lex))
		return;
	lex->at = lex->line;
	if (lex->p >= lex->end) {
		lex->kind = LEX_END;
	} else if (*lex->p == '"' || *lex->p == '\'') {
		quoted(lex);
	} else if (memchr("{}()=,", *lex->p, 6)) {
		lex->kind = LEX_PUNCT;
		lex->text = slice_of(lex->p++, 1);
	} else {
		word(lex);
	}
}
