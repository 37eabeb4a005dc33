#include "proto/err.h"

#include <stdarg.h>
#include <stdio.h>

/* clang-format off */
static const struct error_row {
	int code;
	const char *word;
	enum nx_retry retry;
} rows[] = {
#define X(name, code, word, retry) { code, word, retry },
	NX_ERRORS(X)
#undef X
};
/* clang-format on */
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct error_row *row_of(int code)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].code == code)
			return &rows[i];
	return NULL;
}

const char *nx_word(int code)
{
	const struct error_row *row = row_of(code);

	if (code >= 0)
		return "ok";
	return row == NULL ? "unknown" : row->word;
}

int nx_code(const char *word, size_t n)
{
	struct slice wanted = slice_of(word, n);

	for (size_t i = 0; i < ROWS; i++)
		if (slice_is(wanted, rows[i].word))
			return rows[i].code;
	return 0;
}

enum nx_retry nx_retry(int code)
{
	const struct error_row *row = row_of(code);

	return row == NULL ? NX_NEVER : row->retry;
}

int why_set(struct why *why, int code, const char *format, ...)
{
	va_list list;

	if (why == NULL)
		return code;
	why->code = code;
	va_start(list, format);
	(void)vsnprintf(why->words, sizeof(why->words), format, list);
	va_end(list);
	return code;
}
