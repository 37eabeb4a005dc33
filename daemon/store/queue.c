#include "store/queue.h"

#define PARTNERS_SEEN 64   /* of one batch; who comes later waits for the next one */
#define LOOK_MAX      8192 /* how far a walk over those who must wait may go */

void queue_init(struct queue *queue)
{
	*queue = (struct queue){ .n = 0 };
	for (unsigned i = 0; i < QUEUE_CLASSES; i++) {
		queue->row[i].first = NULL;
		queue->row[i].end = &queue->row[i].first;
	}
}

static enum queue_class class_of(const struct store_req *req)
{
	if (req->urgent)
		return QUEUE_URGENT;
	return req->kind == REQ_PUT ? QUEUE_PUT : QUEUE_OTHER;
}

static void append(struct queue *queue, enum queue_class class, struct store_req *req)
{
	req->next = NULL;
	*queue->row[class].end = req;
	queue->row[class].end = &req->next;
	queue->n++;
}

/* takes out the request that *at points to */
static struct store_req *unlink_at(struct queue *queue, enum queue_class class,
				   struct store_req **at)
{
	struct store_req *req = *at;

	*at = req->next;
	if (req->next == NULL)
		queue->row[class].end = at;
	req->next = NULL;
	queue->n--;
	return req;
}

static uint64_t part_of(const struct store_req *req)
{
	if (req->kind == REQ_PART_APPEND)
		return ((const struct store_part_append *)req)->number;
	if (req->kind == REQ_PART_DROP)
		return ((const struct store_part_drop *)req)->number;
	return 0;
}

/* octets of a part that became urgent on its way must not overtake those before them */
static void promote_part(struct queue *queue, uint64_t part)
{
	struct store_req **at = &queue->row[QUEUE_OTHER].first;

	while (*at != NULL) {
		if (part_of(*at) == part) {
			(*at)->urgent = true;
			append(queue, QUEUE_URGENT, unlink_at(queue, QUEUE_OTHER, at));
		} else {
			at = &(*at)->next;
		}
	}
}

/* and what was made less urgent stays behind those that are */
static bool part_is_urgent(const struct queue *queue, uint64_t part)
{
	for (const struct store_req *req = queue->row[QUEUE_URGENT].first; req; req = req->next)
		if (part_of(req) == part)
			return true;
	return false;
}

void queue_add(struct queue *queue, struct store_req *req)
{
	uint64_t part = part_of(req);

	if (part != 0 && req->urgent)
		promote_part(queue, part);
	else if (part != 0 && part_is_urgent(queue, part))
		req->urgent = true;
	append(queue, class_of(req), req);
}

struct batch {
	struct store_req *first, **end;
	unsigned n;
	struct {
		uint32_t partner;
		unsigned n;
		size_t octets;
	} seen[PARTNERS_SEEN];
	unsigned seen_n;
};

static void batch_add(struct batch *batch, struct store_req *req)
{
	*batch->end = req;
	batch->end = &req->next;
	batch->n++;
}

static void take_front(struct queue *queue, enum queue_class class, struct batch *batch,
		       unsigned most)
{
	while (batch->n < most && queue->row[class].first != NULL)
		batch_add(batch, unlink_at(queue, class, &queue->row[class].first));
}

static uint32_t partner_of(const struct store_req *req)
{
	return ((const struct store_put *)req)->partner;
}

/* do items of more than one partner wait, or did they lately? An urgent one is no reason to forget
 * the others: a flood of flashes of one partner would keep everybody else out for as long as it
 * lasts */
static bool is_shared(struct queue *queue)
{
	const struct store_req *first = NULL, *req;
	unsigned look = 0;

	for (int class = QUEUE_URGENT; class <= QUEUE_PUT; class ++) {
		for (req = queue->row[class].first; req != NULL && look < LOOK_MAX;
		     req = req->next, look++) {
			if (req->kind != REQ_PUT)
				continue;
			if (first == NULL)
				first = req;
			if (partner_of(req) != partner_of(first))
				queue->shared = QUEUE_SHARED;
			if (queue->shared == QUEUE_SHARED)
				break;
		}
	}
	if (first != NULL && queue->last != 0 && queue->last != partner_of(first))
		queue->shared = QUEUE_SHARED;
	if (first != NULL)
		queue->last = partner_of(first);
	return queue->shared > 0 && queue->shared-- > 0;
}

/* has this partner a place left in the batch? */
static bool may_join(struct batch *batch, const struct store_put *put)
{
	uint32_t partner = put->partner;
	unsigned i = 0;

	while (i < batch->seen_n && batch->seen[i].partner != partner)
		i++;
	if (i == PARTNERS_SEEN)
		return false;
	if (i == batch->seen_n) {
		batch->seen[i].partner = partner;
		batch->seen[i].n = 0;
		batch->seen[i].octets = 0;
		batch->seen_n++;
	}
	if (batch->seen[i].n == QUEUE_PARTNER_MAX || batch->seen[i].octets >= QUEUE_PARTNER_OCTETS)
		return false;
	batch->seen[i].n++;
	batch->seen[i].octets += put->document.n;
	return true;
}

static void take_fair(struct queue *queue, enum queue_class class, struct batch *batch,
		      unsigned most)
{
	struct store_req **at = &queue->row[class].first;

	for (unsigned look = 0; *at != NULL && batch->n < most && look < LOOK_MAX; look++) {
		if ((*at)->kind != REQ_PUT || may_join(batch, (const struct store_put *)*at))
			batch_add(batch, unlink_at(queue, class, at));
		else
			at = &(*at)->next;
	}
}

struct store_req *queue_take(struct queue *queue)
{
	struct batch batch = { .first = NULL };
	unsigned most = QUEUE_BATCH_MAX;

	batch.end = &batch.first;
	if (queue->row[QUEUE_OTHER].first != NULL)
		most -= QUEUE_OTHERS_MIN;
	if (is_shared(queue)) {
		take_fair(queue, QUEUE_URGENT, &batch, most);
		take_fair(queue, QUEUE_PUT, &batch, most);
	} else {
		take_front(queue, QUEUE_URGENT, &batch, most);
		take_front(queue, QUEUE_PUT, &batch, most);
	}
	take_front(queue, QUEUE_OTHER, &batch, QUEUE_BATCH_MAX);
	*batch.end = NULL;
	return batch.first;
}

void queue_put_back(struct queue *queue, struct store_req *list)
{
	struct queue back;

	queue_init(&back);
	while (list != NULL) {
		struct store_req *next = list->next;

		append(&back, class_of(list), list);
		list = next;
	}
	for (unsigned i = 0; i < QUEUE_CLASSES; i++) {
		if (back.row[i].first == NULL)
			continue;
		*back.row[i].end = queue->row[i].first;
		if (queue->row[i].first == NULL)
			queue->row[i].end = back.row[i].end;
		queue->row[i].first = back.row[i].first;
	}
	queue->n += back.n;
}
