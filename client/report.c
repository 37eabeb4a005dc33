#include "client/report.h"
#include "client/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_MAX_ (64 << 10)

static void name_or_dash(struct buf *to, struct slice s)
{
	buf_add(to, " ", 1);
	if (s.n == 0)
		buf_add(to, "-", 1);
	else
		text_name(to, s);
}

static const char *retry_word(const struct outcome *outcome)
{
	return outcome->retry == NX_LATER ? "later" : "never";
}

static void receipt(struct buf *to, const struct outcome *outcome)
{
	if (outcome->has_seq)
		buf_addf(to, " seq=%" PRIu64, outcome->seq);
	if (outcome->ms >= 0)
		buf_addf(to, " ms=%" PRId64, outcome->ms);
	if (outcome->folder != NULL) {
		buf_addf(to, " folder=");
		text_name(to, slice_str(outcome->folder));
	}
}

static void refusal(struct buf *to, const struct outcome *outcome)
{
	buf_addf(to, " code=");
	text_words(to, slice_str(outcome->code));
	buf_addf(to, " %s: ", retry_word(outcome));
	text_words(to, slice_str(outcome->words));
	/* the words of a file that could not be sent say nothing without its name */
	if (outcome->uri.n == 0 && outcome->file != NULL) {
		buf_addf(to, " (");
		text_words(to, slice_str(outcome->file));
		buf_addf(to, ")");
	}
}

void report_line(struct buf *to, const struct outcome *outcome)
{
	buf_addf(to, "%s", outcome->result);
	name_or_dash(to, outcome->uri);
	name_or_dash(to, outcome->version);
	if (outcome->code != NULL)
		refusal(to, outcome);
	else
		receipt(to, outcome);
	buf_add(to, "\n", 1);
}

static void member(struct buf *to, const char *name, struct slice value)
{
	buf_addf(to, ",\"%s\":", name);
	text_json(to, value);
}

void report_json(struct buf *to, const struct outcome *outcome)
{
	buf_addf(to, "{\"result\":\"%s\"", outcome->result);
	member(to, "uri", outcome->uri);
	member(to, "version", outcome->version);
	if (outcome->has_seq)
		buf_addf(to, ",\"seq\":%" PRIu64, outcome->seq);
	if (outcome->ms >= 0)
		buf_addf(to, ",\"ms\":%" PRId64, outcome->ms);
	if (outcome->code != NULL) {
		member(to, "code", slice_str(outcome->code));
		member(to, "retry", slice_str(retry_word(outcome)));
		member(to, "words", slice_str(outcome->words));
	}
	if (outcome->file != NULL)
		member(to, "file", slice_str(outcome->file));
	if (outcome->folder != NULL)
		member(to, "folder", slice_str(outcome->folder));
	if (outcome->origin.n > 0)
		member(to, "origin", outcome->origin);
	if (outcome->channel.n > 0)
		member(to, "channel", outcome->channel);
	buf_addf(to, "}\n");
}

bool report_outcome(const struct outcome *outcome, bool json)
{
	struct buf line;
	struct slice s;
	bool ok;

	buf_init(&line, LINE_MAX_);
	if (json)
		report_json(&line, outcome);
	else
		report_line(&line, outcome);
	s = buf_slice(&line);
	ok = line.r == 0 && fwrite(s.p, 1, s.n, stdout) == s.n && fflush(stdout) == 0;
	buf_done(&line);
	return ok;
}

void report_words(const char *format, ...)
{
	struct buf line;
	char *words = NULL;
	va_list list;

	buf_init(&line, LINE_MAX_);
	va_start(list, format);
	if (vasprintf(&words, format, list) >= 0) {
		buf_addf(&line, "newsxctl: ");
		text_words(&line, slice_str(words));
		buf_addf(&line, "\n");
		fwrite(buf_slice(&line).p, 1, buf_len(&line), stderr);
		free(words);
	}
	va_end(list);
	buf_done(&line);
}
