/*
 * report.h - one line for each item on standard output, for people or (--json) for programs; words
 * on standard error.
 */
#pragma once
#include "base/buf.h"

struct outcome {
	const char *result;        /* stored, duplicate, held, superseded, refused, undelivered */
	struct slice uri, version; /* empty: not known, shown as - */
	bool has_seq;
	uint64_t seq;
	int64_t ms;                   /* from the offer to the answer; below 0: not known */
	const char *code;             /* of a refusal, else NULL */
	enum nx_retry retry;          /* of a refusal */
	const char *words;            /* of a refusal; may be NULL */
	const char *file;             /* published from; or NULL */
	const char *folder;           /* received into; or NULL */
	struct slice origin, channel; /* received; or empty */
};
/* the line with its newline, appended to `to` */
void report_line(struct buf *to, const struct outcome *outcome);
void report_json(struct buf *to, const struct outcome *outcome);
/* one of them to standard output, at once. false: it could not be written */
bool report_outcome(const struct outcome *outcome, bool json);
/* "newsxctl: words" on standard error; octets that would act on a terminal are shown as \xHH */
void report_words(const char *format, ...) __attribute__((format(printf, 1, 2)));
