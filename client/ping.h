/*
 * ping.h - newsxctl ping: every step from the name of an exchange to a link that would carry items,
 * one line each, with what to do about the one that fails.
 */
#pragma once
#include "client/link.h"

struct ping_options {
	struct link_conf link;
	const char *channel, *subscription; /* rights to look for; or NULL */
	bool json;
};
/* exit status: 0, 2 as everywhere, else step_status() of the first step that failed */
int ping_run(const struct ping_options *options);

/* ---- ping_say.c */
struct ping_line {
	enum step step;
	bool ok;
	const char *figure; /* name of the number in JSON; or NULL */
	int64_t number;
};
void ping_say(bool json, const struct ping_line *line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
