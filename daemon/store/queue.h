/*
 * queue.h - requests that wait for one worker, and which of them make the next batch.
 *
 * Urgent ones first; then PUTs; of both at most QUEUE_PARTNER_MAX of one partner, and about
 * QUEUE_PARTNER_OCTETS of their documents, while others wait or came among the last QUEUE_SHARED
 * batches, so that one who sends thousands cannot hold up the rest, be each of them a flash:
 * whoever comes next waits for one short batch, not for a long one. Then everything else in the
 * order it came. The PUTs of one partner keep their order, and so do the octets of one part. Not
 * thread-safe: the worker holds its lock.
 */
#pragma once
#include "store/store.h"

#define QUEUE_BATCH_MAX      256
#define QUEUE_PARTNER_MAX    32
#define QUEUE_PARTNER_OCTETS (256u << 10)
#define QUEUE_SHARED         1000 /* batches: about two seconds */
#define QUEUE_OTHERS_MIN     32   /* places of a batch that PUTs leave to settlings that wait */

enum queue_class { QUEUE_URGENT, QUEUE_PUT, QUEUE_OTHER, QUEUE_CLASSES };
struct queue {
	struct {
		struct store_req *first, **end;
	} row[QUEUE_CLASSES];
	unsigned n;
	uint32_t last;   /* the partner whose PUT stood first in the last batch that had one */
	unsigned shared; /* so many batches more are shared */
};
void queue_init(struct queue *queue);
void queue_add(struct queue *queue, struct store_req *req);
/* the next batch, linked by next; NULL when nothing waits */
struct store_req *queue_take(struct queue *queue);
/* what was too much of the batch goes back to the front, in its order */
void queue_put_back(struct queue *queue, struct store_req *list);
