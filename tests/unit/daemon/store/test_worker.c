/* the queue's order, the worker's turns, and what a fatal commit leaves undone */
#include "store/queue.h"
#include "store/worker.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct store_put *put_of(uint32_t partner, bool urgent)
{
	struct store_put *put = calloc(1, sizeof(*put));

	put->req.kind = REQ_PUT;
	put->req.urgent = urgent;
	put->req.partner = partner;
	return put;
}

static unsigned free_list(struct store_req *list)
{
	unsigned n = 0;

	for (struct store_req *next; list != NULL; list = next, n++) {
		next = list->next;
		free(list);
	}
	return n;
}

static unsigned count(const struct store_req *list, enum store_kind kind, uint32_t partner)
{
	unsigned n = 0;

	for (; list != NULL; list = list->next)
		n += list->kind == kind && (kind != REQ_PUT || list->partner == partner);
	return n;
}

static void urgent_goes_first(void **state)
{
	struct store_settle *settle = calloc(1, sizeof(*settle));
	struct store_put *routine = put_of(1, false), *flash = put_of(2, true);
	struct queue queue = { .n = 0 };
	struct store_req *list;

	(void)state;
	settle->req.kind = REQ_SETTLE;
	queue_add(&queue, &settle->req);
	queue_add(&queue, &routine->req);
	queue_add(&queue, &flash->req);
	list = queue_take(&queue);
	assert_ptr_equal(list, &flash->req);
	assert_ptr_equal(list->next, &routine->req);
	assert_ptr_equal(list->next->next, &settle->req);
	assert_null(list->next->next->next);
	assert_int_equal(queue.n, 0);
	free_list(list);
}

static void one_partner_cannot_fill_a_batch(void **state)
{
	struct queue queue = { .n = 0 };
	struct store_req *list;

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		queue_add(&queue, &put_of(1, false)->req);
	queue_add(&queue, &put_of(2, false)->req);
	list = queue_take(&queue);
	assert_int_equal(count(list, REQ_PUT, 1), QUEUE_PARTNER_MAX);
	assert_int_equal(count(list, REQ_PUT, 2), 1);
	free_list(list);
	for (unsigned i = 1; i < QUEUE_SHARED; i++) { /* the other may come again at any moment */
		list = queue_take(&queue);
		assert_int_equal(count(list, REQ_PUT, 1), QUEUE_PARTNER_MAX);
		free_list(list);
		for (unsigned n = 0; n < QUEUE_PARTNER_MAX; n++)
			queue_add(&queue, &put_of(1, false)->req);
	}
	list = queue_take(&queue); /* it did not: as many as a batch holds */
	assert_int_equal(count(list, REQ_PUT, 1), QUEUE_BATCH_MAX);
	free_list(list);
	while ((list = queue_take(&queue)) != NULL)
		free_list(list);
	assert_int_equal(queue.n, 0);
}

/* nor with few that are large: what it writes in one commit the others wait for */
static void nor_can_large_ones(void **state)
{
	struct store_put *put;
	struct queue queue = { .n = 0 };
	struct store_req *list;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		put = put_of(1, false);
		put->document.n = 250000;
		queue_add(&queue, &put->req);
	}
	queue_add(&queue, &put_of(2, false)->req);
	list = queue_take(&queue);
	assert_int_equal(count(list, REQ_PUT, 1), 2);
	assert_int_equal(count(list, REQ_PUT, 2), 1);
	free_list(list);
	while ((list = queue_take(&queue)) != NULL)
		free_list(list);
}

/* two who take turns never meet in the queue, and are two all the same */
static void who_comes_by_turns_shares(void **state)
{
	struct queue queue = { .n = 0 };
	struct store_req *list;

	(void)state;
	queue_add(&queue, &put_of(2, false)->req);
	free_list(queue_take(&queue));
	for (unsigned i = 0; i < 100; i++)
		queue_add(&queue, &put_of(1, false)->req);
	list = queue_take(&queue);
	assert_int_equal(count(list, REQ_PUT, 1), QUEUE_PARTNER_MAX);
	free_list(list);
	while ((list = queue_take(&queue)) != NULL)
		free_list(list);
}

static void nor_can_its_flashes(void **state)
{
	struct store_settle *settle = calloc(1, sizeof(*settle));
	struct store_put *other = put_of(2, true), *routine = put_of(3, false);
	struct queue queue = { .n = 0 };
	struct store_req *list;

	(void)state;
	settle->req.kind = REQ_SETTLE;
	for (unsigned i = 0; i < 1000; i++)
		queue_add(&queue, &put_of(1, true)->req);
	queue_add(&queue, &other->req);
	queue_add(&queue, &routine->req);
	queue_add(&queue, &settle->req);
	list = queue_take(&queue);
	assert_int_equal(count(list, REQ_PUT, 1), QUEUE_PARTNER_MAX);
	assert_int_equal(count(list, REQ_PUT, 2), 1);
	assert_int_equal(count(list, REQ_PUT, 3), 1);
	assert_int_equal(count(list, REQ_SETTLE, 0), 1);
	free_list(list);
	settle = calloc(1, sizeof(*settle));
	settle->req.kind = REQ_SETTLE;
	queue_add(&queue, &settle->req); /* nor can they keep settlings waiting */
	list = queue_take(&queue);
	assert_int_equal(count(list, REQ_SETTLE, 0), 1);
	free_list(list);
	while ((list = queue_take(&queue)) != NULL)
		free_list(list);
}

static void settlings_keep_their_places(void **state)
{
	struct store_settle *settle = calloc(1, sizeof(*settle));
	struct queue queue = { .n = 0 };
	struct store_req *list;

	(void)state;
	settle->req.kind = REQ_SETTLE;
	for (unsigned i = 0; i < 1000; i++)
		queue_add(&queue, &put_of(1, false)->req);
	queue_add(&queue, &settle->req);
	list = queue_take(&queue);
	assert_int_equal(count(list, REQ_SETTLE, 0), 1);
	free_list(list);
	while ((list = queue_take(&queue)) != NULL)
		free_list(list);
}

/* puts of one partner keep their order through any number of batches that were cut short */
static void put_back_keeps_the_order(void **state)
{
	uint64_t next[4] = { 0 }, given[4] = { 0 };
	unsigned left = 500, seed = 7;
	struct queue queue = { .n = 0 };

	(void)state;
	for (unsigned i = 0; i < left; i++) {
		struct store_put *put = put_of(1 + (seed = seed * 69069 + 1) / 65536 % 3, false);

		put->req.cost = given[put->req.partner]++;
		queue_add(&queue, &put->req);
	}
	while (left > 0) {
		struct store_req *list = queue_take(&queue), *rest = list;
		unsigned keep = 1 + (seed = seed * 69069 + 1) / 65536 % 40;
		struct store_req **end = &rest;

		for (unsigned i = 0; i < keep && *end != NULL; i++)
			end = &(*end)->next;
		rest = *end;
		*end = NULL;
		if (rest != NULL)
			queue_put_back(&queue, rest);
		for (struct store_req *req = list; req != NULL; req = req->next) {
			uint32_t partner = req->partner;

			assert_int_equal(req->cost, next[partner]++);
			left--;
		}
		free_list(list);
	}
	assert_int_equal(queue.n, 0);
	assert_null(queue_take(&queue));
}

static void octets_of_a_part_keep_their_order(void **state)
{
	struct store_part_append append[3] = { 0 };
	struct queue queue = { .n = 0 };
	struct store_req *list;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		append[i].req.kind = REQ_PART_APPEND;
		append[i].number = 9;
		append[i].req.urgent = i == 1; /* its item became a flash, then not */
		queue_add(&queue, &append[i].req);
	}
	list = queue_take(&queue);
	for (unsigned i = 0; i < 3; i++, list = list->next)
		assert_ptr_equal(list, &append[i].req);
	assert_null(list);
}

static struct store_req *read_of(uint32_t partner, bool urgent)
{
	struct store_req *req = calloc(1, sizeof(*req));

	req->kind = REQ_FETCH;
	req->partner = partner;
	req->urgent = urgent;
	return req;
}

/* the front of the next batch, cut after so many, the rest put back; freed. Where in it is the one
 * of that partner? 0: nowhere */
static unsigned serve(struct queue *queue, unsigned n, uint32_t partner)
{
	struct store_req *list = queue_take(queue), *req = list, *rest;
	unsigned found = 0;

	for (unsigned i = 1; i < n && req->next != NULL; i++)
		req = req->next;
	rest = req->next;
	req->next = NULL;
	if (rest != NULL)
		queue_put_back(queue, rest);
	req = list;
	for (unsigned i = 1; req != NULL; i++, req = req->next)
		if (req->partner == partner)
			found = i;
	free_list(list);
	return found;
}

/* whoever comes waits for one of each who was there, be they urgent or not, and batches of one */
static void reads_of_one_do_not_keep_others_waiting(void **state)
{
	struct queue queue = { .n = 0 };
	unsigned seed = 3, n, waited;

	(void)state;
	for (unsigned i = 0; i < 20000; i++)
		queue_add(&queue, read_of(1, i % 2 == 0));
	for (unsigned i = 0; i < 500; i++) {
		bool urgent = (seed = seed * 69069 + 1) / 65536 % 2 == 0;

		n = 1 + (seed = seed * 69069 + 1) / 65536 % 8;
		serve(&queue, n, 0);
		queue_add(&queue, read_of(2, urgent));
		for (waited = 0; (n = serve(&queue, 1, 2)) == 0; waited++)
			assert_true(waited < 2 * (QUEUE_URGENT_RUN + 1));
		assert_true(!urgent || waited <= 2);
	}
	while (queue.n > 0)
		free_list(queue_take(&queue));
}

/* and when all of them have much, each has as many as the others */
static void all_have_as_many_turns(void **state)
{
	unsigned served[4] = { 0 }, left = 999;
	struct queue queue = { .n = 0 };

	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		queue_add(&queue, read_of(1 + i / 1000, false));
	for (; left > 0; left -= 3) {
		struct store_req *list = queue_take(&queue);

		for (unsigned i = 0; i < 3; i++) {
			struct store_req *req = list;

			served[req->partner]++;
			list = req->next;
			free(req);
		}
		queue_put_back(&queue, list);
	}
	for (unsigned partner = 1; partner <= 3; partner++)
		assert_int_equal(served[partner], 333);
	while (queue.n > 0)
		free_list(queue_take(&queue));
}

/* however cut and put back, what one partner has of a class keeps its order, and all of it is
 * served */
static void turns_keep_the_order(void **state)
{
	uint64_t given[6][2] = { 0 }, next[6][2] = { 0 };
	struct queue queue = { .n = 0 };
	unsigned seed = 5, left = 0;

	(void)state;
	for (unsigned round = 0; round < 4000 || left > 0; round++) {
		unsigned keep = 1 + (seed = seed * 69069 + 1) / 65536 % 10;
		struct store_req *list, *req, *rest;

		for (unsigned i = 0; round < 4000 && i < 5; i++) {
			bool urgent = (seed = seed * 69069 + 1) / 65536 % 3 == 0;

			req = read_of((seed = seed * 69069 + 1) / 65536 % 6, urgent);
			req->cost = given[req->partner][urgent]++;
			queue_add(&queue, req);
			left++;
		}
		list = req = queue_take(&queue);
		for (unsigned i = 1; i < keep && req != NULL && req->next != NULL; i++)
			req = req->next;
		rest = req == NULL ? NULL : req->next;
		if (req != NULL)
			req->next = NULL;
		if (rest != NULL)
			queue_put_back(&queue, rest);
		for (req = list; req != NULL; req = req->next)
			assert_int_equal(req->cost, next[req->partner][req->urgent]++);
		left -= free_list(list);
	}
	assert_int_equal(queue.n, 0);
	assert_null(queue_take(&queue));
}

/* ---- the worker */
#define MANY 5000
struct there {
	int pipe[2];
	struct outbox *outbox;
	struct worker *worker;
	unsigned batches, ran, idle, idle_more, discarded;
	int fail_at; /* batch number */
	unsigned size;
	bool due; /* an idle step, after each batch */
};

static int batch(void *arg, struct store_req *list, struct why *why)
{
	struct there *there = arg;

	if (++there->batches == (unsigned)there->fail_at)
		return why_set(why, NX_EUNSURE, "the disk said no");
	for (; list != NULL; list = list->next)
		list->cost = ++there->ran;
	return there->due;
}

static unsigned size(void *arg, const struct store_req *list)
{
	(void)list;
	return ((struct there *)arg)->size;
}

static int idle(void *arg, const struct worker_now *now, struct why *why)
{
	struct there *there = arg;

	(void)why;
	assert_int_equal(now->wall_ms, 77);
	there->idle++;
	return there->idle_more > 0 && there->idle_more-- > 0;
}

static void discard(void *arg, struct store_req *list)
{
	for (; list != NULL; list = list->next)
		((struct there *)arg)->discarded++;
}

static void wake(void *arg)
{
	assert_int_equal(write(((struct there *)arg)->pipe[1], "", 1), 1);
}

static void open_there(struct there *there)
{
	struct worker_conf conf = { .name = "test",
				    .batch = batch,
				    .size = size,
				    .idle = idle,
				    .discard = discard,
				    .arg = there };

	*there = (struct there){ .size = 100 };
	assert_int_equal(pipe(there->pipe), 0);
	there->outbox = outbox_new(wake, there);
	conf.outbox = there->outbox;
	assert_int_equal(worker_new(&conf, &there->worker), 0);
}

static void close_there(struct there *there)
{
	worker_free(&there->worker);
	outbox_free(&there->outbox);
	assert_null(there->worker);
	close(there->pipe[0]);
	close(there->pipe[1]);
}

static void submit(struct there *there, struct store_req *req, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		req[i].kind = REQ_SETTLE;
		worker_submit(there->worker, &req[i]);
	}
}

static void a_thread_does_all_in_order(void **state)
{
	struct store_req *req = calloc(MANY, sizeof(*req)), *list;
	struct there there;
	struct note *notes;
	unsigned done = 0, wakes = 0;
	char octet;

	(void)state;
	open_there(&there);
	assert_int_equal(worker_start(there.worker, NULL), 0);
	submit(&there, req, MANY);
	while (done < MANY) {
		struct pollfd fd = { .fd = there.pipe[0], .events = POLLIN };

		assert_int_equal(poll(&fd, 1, 10000), 1);
		assert_int_equal(read(there.pipe[0], &octet, 1), 1);
		wakes++;
		outbox_take(there.outbox, &list, &notes);
		for (; list != NULL; list = list->next)
			assert_ptr_equal(list, &req[done++]);
	}
	assert_int_equal(worker_waiting(there.worker), 0);
	assert_true(wakes <= there.batches); /* once a batch, not once a request */
	assert_true(there.batches >= MANY / 100);
	close_there(&there);
	free(req);
}

static void the_stop_finishes_what_is_queued(void **state)
{
	struct store_req req[1000] = { 0 };
	struct there there;

	(void)state;
	open_there(&there);
	assert_int_equal(worker_start(there.worker, NULL), 0);
	submit(&there, req, 1000);
	worker_stop(there.worker);
	assert_int_equal(there.ran, 1000);
	close_there(&there);
}

static void a_fatal_batch_is_told_to_nobody(void **state)
{
	struct store_req req[10] = { 0 }, *list;
	struct worker_now now = { .wall_ms = 77 };
	struct there there;
	struct note *notes;
	struct why why;
	unsigned done = 0;

	(void)state;
	open_there(&there);
	there.size = 2;
	there.fail_at = 2;
	submit(&there, req, 10);
	assert_false(outbox_is_fatal(there.outbox, &why));
	while (worker_turn(there.worker))
		;
	worker_kick(there.worker, &now); /* nor is anything maintained after it */
	assert_false(worker_turn(there.worker));
	assert_int_equal(there.batches, 2);
	assert_int_equal(there.idle, 0);
	assert_int_equal(there.discarded, 8);
	assert_true(outbox_is_fatal(there.outbox, &why));
	assert_int_equal(why.code, NX_EUNSURE);
	assert_string_equal(why.words, "the disk said no");
	for (outbox_take(there.outbox, &list, &notes); list != NULL; list = list->next)
		done++;
	assert_int_equal(done, 2);
	close_there(&there);
}

static void idle_steps_end_and_do_not_starve(void **state)
{
	struct worker_now now = { .boot_ms = 1, .wall_ms = 77 };
	struct store_req req[100] = { 0 };
	struct there there;

	(void)state;
	open_there(&there);
	assert_false(worker_turn(there.worker)); /* nobody asked */
	there.idle_more = 3;
	worker_kick(there.worker, &now);
	while (worker_turn(there.worker))
		;
	assert_int_equal(there.idle, 4);
	there.size = 1;
	submit(&there, req, 100);
	worker_kick(there.worker, &now);
	while (there.idle == 4)
		assert_true(worker_turn(there.worker));
	assert_true(there.ran < 10); /* with 90 requests still waiting */
	close_there(&there);
}

/* a batch may ask for an idle step at once; before the first tick nobody knows the time */
static void a_batch_asks_for_an_idle_step(void **state)
{
	struct worker_now now = { .boot_ms = 1, .wall_ms = 77 };
	struct store_req req[20] = { 0 };
	struct there there;

	(void)state;
	open_there(&there);
	there.size = 1;
	there.due = true;
	submit(&there, req, 20);
	while (there.ran < 10)
		assert_true(worker_turn(there.worker));
	assert_int_equal(there.idle, 0);
	worker_kick(there.worker, &now);
	while (there.ran < 20)
		assert_true(worker_turn(there.worker));
	assert_in_range(there.idle, 9, 10);
	close_there(&there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urgent_goes_first),
		cmocka_unit_test(one_partner_cannot_fill_a_batch),
		cmocka_unit_test(nor_can_large_ones),
		cmocka_unit_test(who_comes_by_turns_shares),
		cmocka_unit_test(nor_can_its_flashes),
		cmocka_unit_test(settlings_keep_their_places),
		cmocka_unit_test(put_back_keeps_the_order),
		cmocka_unit_test(octets_of_a_part_keep_their_order),
		cmocka_unit_test(reads_of_one_do_not_keep_others_waiting),
		cmocka_unit_test(all_have_as_many_turns),
		cmocka_unit_test(turns_keep_the_order),
		cmocka_unit_test(a_thread_does_all_in_order),
		cmocka_unit_test(the_stop_finishes_what_is_queued),
		cmocka_unit_test(a_fatal_batch_is_told_to_nobody),
		cmocka_unit_test(idle_steps_end_and_do_not_starve),
		cmocka_unit_test(a_batch_asks_for_an_idle_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
