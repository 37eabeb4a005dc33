/*
 * leases.h - which parts the loop holds on to, and the deletion of those that nobody does.
 *
 * A lease stands from the offer of a part until the item's commit is reported. A deletion has three
 * steps, each durable before the next begins: (1) items: the part is doomed, if no use stands;
 * (2) photos: chunks, then the part; (3) items: doomed and had are removed. After a crash it goes
 * on at (2). Once begun, the part counts as absent. Knows nothing of threads: requests go out
 * through two functions and come back as done(). Thread: the loop's.
 */
#pragma once
#include "store/store.h"

struct leases;
struct leases_conf {
	const char *directory; /* where a backup's lock would lie */
	void (*items)(void *arg, struct store_req *req);
	void (*photos)(void *arg, struct store_req *req);
	void *arg;
};
int leases_new(const struct leases_conf *conf, struct leases **ret);
void leases_free(struct leases **leases); /* the workers have stopped */

int leases_take(struct leases *leases, uint64_t part); /* 0, NX_ENOMEM */
void leases_give(struct leases *leases, uint64_t part);
unsigned leases_count(const struct leases *leases, uint64_t part);
/* is a deletion of it under way? then it is as good as gone */
bool leases_going(const struct leases *leases, uint64_t part);

void leases_unused(struct leases *leases,
		   uint64_t part); /* no item uses it: begin at (1), once it is not leased */
void leases_resume(struct leases *leases, uint64_t part); /* it is doomed: go on at (2) */
void leases_run(struct leases *leases, bool tick); /* start what waits; tick: what failed, too */
/* after leases_run(): deletions wait for a backup, or for as many that are under way */
bool leases_held_up(const struct leases *leases);
