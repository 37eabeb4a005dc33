/*
 * queue.h - requests that wait for one worker, and which of them make the next batch.
 *
 * Partners take turns, one request each (partner 0, the room's own and the operator's, is one of
 * them): who comes next waits for one of each who was there, however many thousands those have.
 * What one partner has of a class keeps its order, and so do the octets of one part.
 *
 * Urgent PUTs go first, then PUTs; of both at most QUEUE_PARTNER_MAX of one partner, and about
 * QUEUE_PARTNER_OCTETS of their documents, while others wait or came among the last QUEUE_SHARED
 * batches, so that one who sends thousands cannot hold up the rest, be each of them a flash:
 * whoever comes next waits for one short batch, not for a long one. Then everything else, urgent
 * ones first, but after QUEUE_URGENT_RUN of these one that is not.
 *
 * Taking and adding cost the same however many wait. Partners whose numbers are a multiple of
 * QUEUE_LANES apart share a turn. Not thread-safe: the worker holds its lock.
 */
#pragma once
#include "store/store.h"

#define QUEUE_BATCH_MAX      256
#define QUEUE_PARTNER_MAX    32
#define QUEUE_PARTNER_OCTETS (256u << 10)
#define QUEUE_SHARED         1000 /* batches: about two seconds */
#define QUEUE_OTHERS_MIN     32   /* places of a batch that PUTs leave to settlings that wait */
#define QUEUE_URGENT_RUN     3
#define QUEUE_LANES          1024

enum queue_class { QUEUE_URGENT_PUT, QUEUE_PUT, QUEUE_URGENT, QUEUE_OTHER, QUEUE_CLASSES };
struct queue_lane { /* what one partner has waiting; in the round while that is something */
	struct store_req *first, **end;
	struct queue_lane *prev, *next;
};
struct queue { /* all zeros: empty. It may not be moved */
	struct queue_row {
		struct queue_lane lanes[QUEUE_LANES];
		struct queue_lane
			*turn; /* whose it is; the round goes on from there. NULL: nobody's */
		unsigned n;    /* lanes in the round */
	} row[QUEUE_CLASSES];
	struct { /* of PUTs, in the batch of that number */
		uint64_t batch;
		unsigned n;
		size_t octets;
	} taken[QUEUE_LANES];
	unsigned n;
	uint64_t batch;
	uint32_t last;   /* the partner whose PUT stood first in the last batch that had one */
	unsigned shared; /* so many batches more are shared */
	unsigned run;    /* urgent ones since one that was not */
};
void queue_add(struct queue *queue, struct store_req *req);
/* the next batch, linked by next; NULL when nothing waits */
struct store_req *queue_take(struct queue *queue);
/* what was too much of the batch goes back to the front, as if it had not been taken */
void queue_put_back(struct queue *queue, struct store_req *list);
