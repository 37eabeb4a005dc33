/*
 * exec.h - running the operator's command for one item: sh -c COMMAND newsxctl FOLDER, with facts
 * in the environment.
 */
#pragma once
#include "proto/err.h"
#include <sys/types.h>

#define EXEC_LIMIT_MS (5 * 60 * 1000) /* then the command is killed */

struct exec_fact {
	const char *name; /* NEWSX_URI ... */
	struct slice value;
};
struct exec {
	pid_t pid;  /* 0: nothing runs */
	int fd;     /* readable when it has ended: poll it */
	int tie[2]; /* a pipe that ends with us */
	int64_t began_ms;
	bool killed;
};
/* folder: the argument. Its standard input is empty, its output goes to our standard error, and it
 * dies when we do, with its process group. returns 0 or NX_ESYS */
int exec_start(const char *command, const char *folder, const struct exec_fact *facts,
	       unsigned facts_n, int64_t now_ms, struct exec *ret, struct why *why);
/*
 * exec_end - has it ended?
 * returns  1 and the exit status in *ret_status (128 + signal when it was killed); 0: it runs still
 */
int exec_end(struct exec *exec, int *ret_status);
void exec_kill(struct exec *exec);
