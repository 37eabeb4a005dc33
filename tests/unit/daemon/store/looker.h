/*
 * looker.h - who looks into an environment beside the daemon, and is killed while he looks.
 */
#pragma once
#include "store/db.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct looker {
	pid_t pid;
	int ready;
};

/* reads when this returns. Nothing of this process's is open: it forks */
static inline void looker_begin(struct looker *looker, const char *dir,
				const struct db_table *tables, unsigned tables_n)
{
	const struct db_conf conf = { .tables = tables, .tables_n = tables_n, .read_only = true };
	struct db *db = NULL;
	struct txn txn;
	int ready[2];
	char octet;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	looker->pid = fork();
	if (looker->pid == 0) {
		if (db_open(dir, &conf, &db, NULL) < 0)
			_exit(1);
		txn_begin(&txn, db, TXN_READ);
		if (txn.r < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	looker->ready = ready[0];
	assert_int_equal(read(looker->ready, &octet, 1), 1);
}

static inline void looker_dies(struct looker *looker)
{
	int status;

	kill(looker->pid, SIGKILL);
	assert_int_equal(waitpid(looker->pid, &status, 0), looker->pid);
	close(looker->ready);
}

/* the last page ever used, after so much was written and as much freed */
static inline uint64_t churn(struct db *db, unsigned table)
{
	struct db_usage usage;

	for (unsigned i = 0; i < 60; i++) {
		struct txn txn;

		txn_begin(&txn, db, TXN_WRITE);
		txn_put(&txn, table, slice_str("churn"), slice_of(&i, sizeof(i)));
		assert_int_equal(txn_end(&txn), 0);
	}
	assert_int_equal(db_usage(db, &usage), 0);
	return usage.pages_end;
}
