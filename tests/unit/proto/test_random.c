/* two sessions and thousands of random steps; the seed that is printed replays one. What must hold:
 * every item is answered exactly once, octets arrive as they were sent, no honest pair ever breaks
 * a rule. test_random SEED ROUNDS */
#include "talk.h"

#define STEPS 1500

static uint64_t seed;

static unsigned below(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % n);
}

struct mine { /* what a side knows of the other's items and of its own NEEDs */
	uint64_t open[QUEUE_MAX];
	unsigned open_n;
	uint64_t next[QUEUE_MAX]; /* by handle: offset that must come next */
	uint64_t end[QUEUE_MAX];
	uint64_t handles[64];
	unsigned handles_n, claims_n;
	uint32_t claims[64], numbers;
};
static struct side *sides[2];
static struct mine mine[2];

static void forget(uint64_t *list, unsigned *n, unsigned at)
{
	list[at] = list[--*n];
}

static void check_item(struct side *side, const struct session_event *ev)
{
	const struct item_head *head = &ev->item.head;
	const struct parcel *parcel = &side->peer->sent[head->id];

	assert_int_equal(head->envelope_len, parcel->envelope);
	assert_int_equal(head->document_len, parcel->document);
	assert_int_equal(head->position, head->id + 100);
	assert_int_equal(head->sequence, head->id + 200);
	assert_memory_equal(ev->item.octets, parcel->octets,
			    (size_t)parcel->envelope + parcel->document);
}

static void open_id(struct mine *my, uint64_t id)
{
	for (unsigned i = 0; i < my->open_n; i++)
		if (my->open[i] == id)
			return; /* WITHDRAW of one that is whole */
	my->open[my->open_n++] = id;
}

static void check_data(struct mine *my, const struct session_event *ev)
{
	uint64_t handle = ev->data.handle;

	assert_true(ev->data.offset == my->next[handle]);
	for (size_t i = 0; i < ev->data.octets.n; i++)
		assert_int_equal(ev->data.octets.p[i], part_octet(ev->data.offset + i));
	my->next[handle] += ev->data.octets.n;
	assert_true(my->next[handle] <= my->end[handle]);
	assert_int_equal(ev->data.done, my->next[handle] == my->end[handle]);
}

static void end_claim(struct mine *my, uint32_t number)
{
	for (unsigned i = 0; i < my->claims_n; i++)
		if (my->claims[i] == number)
			my->claims[i] = my->claims[--my->claims_n];
}

static void claim_event(struct side *side, struct mine *my, struct mine *others,
			const struct session_event *ev)
{
	struct subscribed subscribed = { .name = "some", .epoch = 1 };

	if (ev->kind == SESSION_SUBSCRIBE && below(3) == 0) {
		(void)session_unsubscribed(side->session, "some", 0, NX_ENOSUB, NULL);
	} else if (ev->kind == SESSION_SUBSCRIBE) {
		subscribed.number = ++others->numbers;
		assert_int_equal(session_subscribed(side->session, &subscribed), 0);
	} else if (ev->kind == SESSION_UNSUBSCRIBE) {
		(void)session_unsubscribed(side->session, "some", ev->number, NX_ERELEASED, NULL);
	} else if (ev->kind == SESSION_SUBSCRIBED) {
		my->claims[my->claims_n++] = ev->subscribed.number;
	} else if (ev->kind == SESSION_UNSUBSCRIBED && ev->unsubscribed.number != 0) {
		end_claim(my, ev->unsubscribed.number);
	}
}

static void on_event(struct side *side, struct session_event *ev)
{
	struct mine *my = &mine[side == sides[1]], *others = &mine[side == sides[0]];

	if (ev->kind == SESSION_ITEM_BEGIN && below(8) == 0)
		session_item_drop(side->session, ev->item.head.id);
	if (ev->kind == SESSION_ITEM) {
		check_item(side, ev);
		open_id(my, ev->item.head.id);
	}
	if (ev->kind == SESSION_ITEM_DROPPED)
		open_id(my, ev->id);
	if (ev->kind == SESSION_WITHDRAW)
		open_id(my, ev->withdraw.id);
	if (ev->kind == SESSION_NEED && below(6) > 0)
		session_need_accept(side->session, ev->need.handle, below(2));
	else if (ev->kind == SESSION_NEED)
		session_gone(side->session, ev->need.handle, NX_ENOTOPEN);
	if (ev->kind == SESSION_DATA)
		check_data(my, ev);
	if (ev->kind == SESSION_ANSWER)
		assert_int_equal(ev->ack.sequence, ev->ack.id + 1000);
	claim_event(side, my, others, ev);
}

static void offer(struct side *side)
{
	enum session_class class = (enum session_class)below(CLASSES);
	unsigned total = 0;

	for (int i = 0; i < CLASSES; i++)
		total += side->last[i];
	if (total + 2 < QUEUE_MAX)
		side_offer(side, class, below(4) ? below(300) : below(20000),
			   below(5) ? below(5000) : below(300000));
}

static void answer(struct side *side, struct mine *my)
{
	unsigned at = my->open_n > 0 ? below(my->open_n) : 0;
	struct ack ack = { 0 };

	if (my->open_n == 0)
		return;
	ack.id = my->open[at];
	ack.sequence = ack.id + 1000;
	ack.result = (uint8_t)below(4);
	if (below(4) == 0 || session_ack(side->session, &ack) < 0)
		assert_int_equal(session_refuse(side->session, ack.id, NX_EBUSY, NX_LATER, below(9),
						below(2) ? "later, \"please\"" : NULL),
				 0);
	assert_int_equal(session_ack(side->session, &ack), NX_EACK);
	forget(my->open, &my->open_n, at);
}

static void need(struct side *side, struct mine *my)
{
	uint8_t sha256[32] = { (uint8_t)below(256) };
	uint64_t offset = below(1000000), length = 1 + below(50000), handle;

	if (my->handles_n == 64 || side->session == NULL)
		forget(my->handles, &my->handles_n, below(64));
	handle = session_need(side->session, sha256, offset, length);
	if (handle == 0 || handle >= QUEUE_MAX)
		return;
	my->handles[my->handles_n++] = handle;
	my->next[handle] = offset;
	my->end[handle] = offset + length;
}

static void change_need(struct side *side, struct mine *my)
{
	uint64_t handle = my->handles_n > 0 ? my->handles[below(my->handles_n)] : 0;
	uint64_t length = 1 + below(30000);

	if (handle == 0)
		return;
	if (below(3) == 0)
		session_stop(side->session, handle);
	else if (session_need_more(side->session, handle, length))
		my->end[handle] += length;
}

static void claim(struct side *side, struct mine *my, struct mine *others)
{
	switch (below(3)) {
	case 0:
		(void)session_subscribe(side->session, "some", below(2), below(9), below(9));
		break;
	case 1:
		if (my->claims_n > 0)
			(void)session_unsubscribe(side->session, my->claims[below(my->claims_n)]);
		break;
	default: /* another link takes one over */
		if (others->numbers > 0)
			(void)session_unsubscribed(side->session, "some",
						   1 + below(others->numbers), NX_ETAKENOVER, "");
		break;
	}
}

static void step(struct side *side)
{
	struct mine *my = &mine[side == sides[1]], *others = &mine[side == sides[0]];
	int64_t next_ms;

	switch (below(16)) {
	case 0:
	case 1:
		offer(side);
		break;
	case 2:
	case 3:
		answer(side, my);
		break;
	case 4:
		need(side, my);
		break;
	case 5:
		change_need(side, my);
		break;
	case 6:
		session_withdraw(side->session, 1 + below(60), NX_EKILLED);
		break;
	case 7:
		if (below(4) == 0)
			session_window(side->session, (enum lane)below(2), below(40),
				       below(500000));
		break;
	case 8:
		if (below(4) == 0)
			claim(side, my, others);
		break;
	case 9:
		side->now_ms += below(2000);
		side->small_max = below(2) ? FRAME_SMALL : 1024 + below(4000);
		assert_int_equal(session_tick(side->session, side->now_ms, &next_ms), 0);
		break;
	case 10:
		side->cut = below(3) ? SIZE_MAX : 1 + below(200);
		break;
	default:
		for (unsigned i = below(6); i > 0 && side_speak(side); i--)
			;
		if (side_listen(side, below(3) ? SIZE_MAX : below(30000)) != 0)
			fail_msg("%s: %s", nx_word(side->heard.r), side->heard.why.words);
		break;
	}
}

/* everything is offered, sent and answered */
static void settle(void)
{
	for (int i = 0; i < 2; i++)
		session_window(sides[i]->session, LANE_ROUTINE, 64, 4 << 20);
	for (;;) {
		bool more = false;

		talk(sides[0], sides[1]);
		for (int i = 0; i < 2; i++)
			while (mine[i].open_n > 0) {
				answer(sides[i], &mine[i]);
				more = true;
			}
		if (!more)
			return;
	}
}

static void check_end(struct side *side)
{
	for (int class = 0; class < CLASSES; class ++)
		assert_int_equal(side->first[class], side->last[class]);
	assert_int_equal(session_open_out(side->session), 0);
	assert_int_equal(session_open_in(side->session), 0);
	assert_int_equal(session_held(side->session), 0);
	for (unsigned id = 1; id < QUEUE_MAX; id++)
		assert_int_equal(side->answered[id], side->sent[id].octets != NULL);
}

static void conversation(uint64_t from)
{
	seed = from * 0x9e3779b97f4a7c15 + 1;
	memset(mine, 0, sizeof(mine));
	for (int i = 0; i < 2; i++) {
		side_init(sides[i], sides[1 - i], NULL);
		sides[i]->on_event = on_event;
	}
	for (int i = 0; i < STEPS; i++)
		step(sides[below(2)]);
	settle();
	for (int i = 0; i < 2; i++)
		check_end(sides[i]);
	for (int i = 0; i < 2; i++)
		side_done(sides[i]);
}

static uint64_t first_seed = 1;
static unsigned rounds = 30;

static void random_conversations_end_well(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		sides[i] = malloc(sizeof(*sides[i]));
	for (unsigned i = 0; i < rounds; i++) {
		print_message("seed %llu\n", (unsigned long long)(first_seed + i));
		conversation(first_seed + i);
	}
	for (int i = 0; i < 2; i++)
		free(sides[i]);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(random_conversations_end_well) };

	first_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : first_seed;
	rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : rounds;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
