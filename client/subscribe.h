/*
 * subscribe.h - newsxctl subscribe: claim a subscription, let each item appear as a folder, run a
 * command, acknowledge.
 *
 * An ACK goes out when the folder is on disk and, with --exec, the command has succeeded and .done
 * is on disk too. Whatever goes wrong here is refused "later": nothing is given up on this side.
 */
#pragma once
#include "client/link.h"

struct subscribe_options {
	struct link_conf link;
	const char *subscription, *out;
	const char *exec;     /* a command for sh, or NULL */
	uint64_t count;       /* end after so many items; 0 = go on */
	int64_t idle_exit_ms; /* end when nothing came for so long; below 0 = go on */
	bool json;
};
/* exit status: 0 ended as asked (count, idle with nothing refused, a signal), 1 no such
 * subscription or taken over, 2 usage, 75 try again */
int subscribe_run(const struct subscribe_options *options);
/* the same on a link that stands; for tests */
void subscribe_conf(struct session_conf *ret, const char *identity);
int subscribe_talk(const struct subscribe_options *options, struct link *link);
