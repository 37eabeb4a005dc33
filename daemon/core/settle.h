/*
 * settle.h - answers of subscribers on their way to the store: gathered while one batch is being
 * committed.
 *
 * One settling is in flight at a time; what comes meanwhile forms the next. A position stays in
 * feed->busy until it is settled on disk and every fetch that began before is back, so that one
 * which reads an older snapshot does not send it again.
 */
#pragma once
#include "core/exchange.h"

struct settle;
int settle_new(struct exchange *exchange, struct settle **ret);
void settle_free(struct settle **settle);

/* run->subscription is feed->number. `last` is already busy for ACKED and the like */
void settle_add(struct settle *settle, struct feed *feed, const struct settle_run *run);
void settle_flush(struct settle *settle); /* end of a turn of the loop */
/* how many of those that wait make one request: 512, but fewer with photos */
unsigned settle_at_once(const struct settle_run *runs, unsigned waiting);

bool feed_busy(const struct feed *feed, uint64_t position);
int feed_busy_add(struct feed *feed, uint64_t position);  /* returns 0, NX_ENOMEM */
void feed_busy_del(struct feed *feed, uint64_t position); /* it is owed, and may be sent */
/* what is said of it is on disk: forgotten as soon as no older fetch is in flight */
void feed_busy_settled(struct feed *feed, uint64_t position);
/* everything that was settled may be sent again */
void feed_busy_forget(struct feed *feed);

/* of its claim, one in each lane at a time. Its items are looked at before it ends */
void feed_fetch_begin(struct feed *feed, enum lane lane);
void feed_fetch_end(struct feed *feed, enum lane lane);
