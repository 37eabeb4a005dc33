/*
 * publish.h - newsxctl publish: offer items, many at a time, and say what became of each.
 */
#pragma once
#include "client/link.h"

struct publish_options {
	struct link_conf link;
	const char *channel; /* NULL: the exchange decides */
	const char *state;   /* file that remembers what was acknowledged; NULL: IDENTITY.held */
	bool json;
	char *const *files; /* "-" = ninjs on standard input, one document a line */
	unsigned files_n;
};
/* exit status: 0 all accepted, 1 one was refused for good, 2 a file was unreadable, 75 try again */
int publish_run(const struct publish_options *options);
/* the same on a link that stands; for tests. Takes the session's part of a source through
 * publish_source(). */
struct publish;
struct publish *publish_new(const struct publish_options *options);
void publish_source(struct publish *publish, struct session_conf *conf);
int publish_talk(struct publish *publish, struct link *link);
void publish_free(struct publish **publish);
