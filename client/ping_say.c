/* ping_say.c - one line for one step, for people or for programs. */
#include "client/ping.h"
#include "client/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define LINE_SIZE 4096

static void say_json(struct buf *to, const struct ping_line *line, const char *words)
{
	buf_addf(to, "{\"step\":\"%s\",\"ok\":%s", step_word(line->step),
		 line->ok ? "true" : "false");
	if (!line->ok)
		buf_addf(to, ",\"status\":%d", step_status(line->step));
	if (line->figure != NULL)
		buf_addf(to, ",\"%s\":%" PRId64, line->figure, line->number);
	buf_addf(to, ",\"words\":");
	text_json(to, slice_str(words));
	buf_addf(to, "}\n");
}

void ping_say(bool json, const struct ping_line *line, const char *format, ...)
{
	char words[2 * RIGHTS_SIZE + 512];
	struct buf to;
	va_list list;

	va_start(list, format);
	vsnprintf(words, sizeof(words), format, list);
	va_end(list);
	buf_init(&to, LINE_SIZE);
	if (json) {
		say_json(&to, line, words);
	} else {
		buf_addf(&to, "%s %s ", line->ok ? "ok" : "FAIL", step_word(line->step));
		text_words(&to, slice_str(words));
		buf_addf(&to, "\n");
	}
	fwrite(buf_slice(&to).p, 1, buf_len(&to), stdout);
	fflush(stdout);
	buf_done(&to);
}
