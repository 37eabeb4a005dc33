/*
 * settle.h - answers of subscribers on their way to the store: gathered while one batch is being
 * committed.
 *
 * One settling is in flight at a time; what comes meanwhile forms the next. A position stays in
 * feed->busy until it is settled on disk, so that a fetch that reads an older snapshot does not
 * send it again.
 */
#pragma once
#include "core/exchange.h"

struct settle;
int settle_new(struct exchange *exchange, struct settle **ret);
void settle_free(struct settle **settle);

/* run->subscription is feed->number. `last` is already busy for ACKED and the like */
void settle_add(struct settle *settle, struct feed *feed, const struct settle_run *run);
void settle_flush(struct settle *settle); /* end of a turn of the loop */

bool feed_busy(const struct feed *feed, uint64_t position);
int feed_busy_add(struct feed *feed, uint64_t position); /* returns 0, NX_ENOMEM */
void feed_busy_del(struct feed *feed, uint64_t position);
