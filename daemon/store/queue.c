#include "store/queue.h"

static enum queue_class class_of(const struct store_req *req)
{
	if (req->kind == REQ_PUT)
		return req->urgent ? QUEUE_URGENT_PUT : QUEUE_PUT;
	return req->urgent ? QUEUE_URGENT : QUEUE_OTHER;
}

static unsigned lane_of(const struct store_req *req)
{
	return req->partner % QUEUE_LANES;
}

/* ---- the round */

/* before is NULL when nobody is in it */
static void enter(struct queue_row *row, struct queue_lane *lane)
{
	struct queue_lane *before = row->turn;

	if (before == NULL) {
		row->turn = lane->prev = lane->next = lane;
	} else { /* the last one, until its turn comes */
		lane->next = before;
		lane->prev = before->prev;
		lane->prev->next = lane->next->prev = lane;
	}
	row->n++;
}

static void leave(struct queue_row *row, struct queue_lane *lane)
{
	if (row->turn == lane)
		row->turn = lane->next == lane ? NULL : lane->next;
	lane->prev->next = lane->next;
	lane->next->prev = lane->prev;
	row->n--;
}

static void append(struct queue *queue, struct store_req *req)
{
	struct queue_row *row = &queue->row[class_of(req)];
	struct queue_lane *lane = &row->lanes[lane_of(req)];

	req->next = NULL;
	if (lane->first == NULL) {
		lane->end = &lane->first;
		enter(row, lane);
	}
	*lane->end = req;
	lane->end = &req->next;
	queue->n++;
}

static void put_back(struct queue *queue, struct store_req *req)
{
	struct queue_row *row = &queue->row[class_of(req)];
	struct queue_lane *lane = &row->lanes[lane_of(req)];

	req->next = lane->first;
	if (lane->first == NULL)
		lane->end = &req->next;
	else
		leave(row, lane);
	lane->first = req;
	enter(row, lane);
	row->turn = lane;
	queue->n++;
}

/* takes out the request that *at points to */
static struct store_req *unlink_at(struct queue *queue, struct queue_row *row,
				   struct queue_lane *lane, struct store_req **at)
{
	struct store_req *req = *at;

	*at = req->next;
	if (req->next == NULL)
		lane->end = at;
	req->next = NULL;
	if (lane->first == NULL)
		leave(row, lane);
	queue->n--;
	return req;
}

/* ---- parts */

static uint64_t part_of(const struct store_req *req)
{
	if (req->kind == REQ_PART_APPEND)
		return ((const struct store_part_append *)req)->number;
	if (req->kind == REQ_PART_DROP)
		return ((const struct store_part_drop *)req)->number;
	return 0;
}

/* octets of a part that became urgent on its way must not overtake those before them */
static void promote_part(struct queue *queue, uint64_t part, unsigned n)
{
	struct queue_row *row = &queue->row[QUEUE_OTHER];
	struct store_req **at = &row->lanes[n].first;

	while (*at != NULL) {
		if (part_of(*at) == part) {
			(*at)->urgent = true;
			append(queue, unlink_at(queue, row, &row->lanes[n], at));
		} else {
			at = &(*at)->next;
		}
	}
}

/* and what was made less urgent stays behind those that are */
static bool part_is_urgent(const struct queue *queue, uint64_t part, unsigned n)
{
	const struct store_req *req = queue->row[QUEUE_URGENT].lanes[n].first;

	while (req != NULL && part_of(req) != part)
		req = req->next;
	return req != NULL;
}

void queue_add(struct queue *queue, struct store_req *req)
{
	uint64_t part = part_of(req);

	if (part != 0 && req->urgent)
		promote_part(queue, part, lane_of(req));
	else if (part != 0 && part_is_urgent(queue, part, lane_of(req)))
		req->urgent = true;
	append(queue, req);
}

/* ---- a batch */

struct batch {
	struct store_req *first, **end;
	unsigned n;
};

static void take_turn(struct queue *queue, struct queue_row *row, struct batch *batch)
{
	struct queue_lane *lane = row->turn;

	row->turn = lane->next;
	*batch->end = unlink_at(queue, row, lane, &lane->first);
	batch->end = &(*batch->end)->next;
	batch->n++;
}

/* do items of more than one partner wait, or did they lately? An urgent one is no reason to forget
 * the others: a flood of flashes of one partner would keep everybody else out for as long as it
 * lasts */
static bool is_shared(struct queue *queue)
{
	const struct queue_row *urgent = &queue->row[QUEUE_URGENT_PUT];
	const struct queue_row *put = &queue->row[QUEUE_PUT];
	const struct queue_lane *first = urgent->n > 0 ? urgent->turn : put->turn;

	if (first == NULL)
		return queue->shared > 0 && queue->shared-- > 0;
	if (urgent->n > 1 || put->n > 1 ||
	    (urgent->n > 0 && put->n > 0 &&
	     lane_of(urgent->turn->first) != lane_of(put->turn->first)) ||
	    (queue->last != 0 && queue->last != first->first->partner))
		queue->shared = QUEUE_SHARED;
	queue->last = first->first->partner;
	return queue->shared > 0 && queue->shared-- > 0;
}

/* has its partner a place left in the batch? */
static bool may_join(struct queue *queue, const struct store_req *req)
{
	unsigned i = lane_of(req);

	if (queue->taken[i].batch != queue->batch) {
		queue->taken[i].batch = queue->batch;
		queue->taken[i].n = 0;
		queue->taken[i].octets = 0;
	}
	if (queue->taken[i].n == QUEUE_PARTNER_MAX ||
	    queue->taken[i].octets >= QUEUE_PARTNER_OCTETS)
		return false;
	queue->taken[i].n++;
	queue->taken[i].octets += ((const struct store_put *)req)->document.n;
	return true;
}

static void take_puts(struct queue *queue, enum queue_class class, bool shared, struct batch *batch,
		      unsigned most)
{
	struct queue_row *row = &queue->row[class];
	unsigned passed = 0; /* one after the other: they have had their share */

	while (batch->n < most && passed < row->n) {
		if (!shared || may_join(queue, row->turn->first)) {
			take_turn(queue, row, batch);
			passed = 0;
		} else {
			row->turn = row->turn->next;
			passed++;
		}
	}
}

static void take_others(struct queue *queue, struct batch *batch)
{
	struct queue_row *urgent = &queue->row[QUEUE_URGENT], *other = &queue->row[QUEUE_OTHER];

	while (batch->n < QUEUE_BATCH_MAX && (urgent->turn != NULL || other->turn != NULL)) {
		if (other->turn != NULL &&
		    (urgent->turn == NULL || queue->run >= QUEUE_URGENT_RUN)) {
			take_turn(queue, other, batch);
			queue->run = 0;
		} else {
			take_turn(queue, urgent, batch);
			queue->run++;
		}
	}
}

struct store_req *queue_take(struct queue *queue)
{
	struct batch batch = { .first = NULL };
	unsigned most = QUEUE_BATCH_MAX;
	bool shared = is_shared(queue);

	batch.end = &batch.first;
	queue->batch++;
	if (queue->row[QUEUE_OTHER].n > 0)
		most -= QUEUE_OTHERS_MIN;
	take_puts(queue, QUEUE_URGENT_PUT, shared, &batch, most);
	take_puts(queue, QUEUE_PUT, shared, &batch, most);
	take_others(queue, &batch);
	*batch.end = NULL;
	return batch.first;
}

/* after how many urgent ones is it the turn of one that is not? As many as stood before it */
static unsigned run_before(const struct store_req *list)
{
	unsigned n = 0;

	for (; list != NULL && class_of(list) != QUEUE_OTHER; list = list->next)
		n += class_of(list) == QUEUE_URGENT;
	return list == NULL || n > QUEUE_URGENT_RUN ? 0 : QUEUE_URGENT_RUN - n;
}

void queue_put_back(struct queue *queue, struct store_req *list)
{
	struct store_req *back = NULL, *next;

	queue->run = run_before(list);
	for (; list != NULL; list = next) { /* the last one first */
		next = list->next;
		list->next = back;
		back = list;
	}
	for (; back != NULL; back = next) {
		next = back->next;
		put_back(queue, back);
	}
}
