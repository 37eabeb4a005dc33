/*
 * A day of an exchange in small, with its threads: stories, new versions, kills and embargoes
 * beside photos in pieces; settling, releases, retirement, deletion of parts. What it was told is
 * safe is marked in the very moment.
 */
#include "power.h"
#include "store/items_priv.h"
#include "store/store_priv.h"
#include "tests/unit/daemon/store/store_fixture.h"

#define WALL      INT64_C(1800000000000)
#define STORIES   16 /* of a round, at most */
#define ITEMS     20000
#define FRESH_FEW 24
#define PHOTOS    400

struct told { /* of an item */
	uint64_t sequence, position, part;
	bool settled, loose;
};
struct photo {
	uint64_t number, seed, offset;
	size_t n;
	bool whole, used;
};
struct story {
	struct sx_put put;
	uint64_t which, part;
	char document[DOCUMENT_MOST];
	struct load *load;
};
struct load {
	struct sx sx;
	uint64_t seed, which;
	int waiting; /* stories without an answer */
	struct told items[ITEMS];
	unsigned items_n, refused;
	unsigned old_n; /* so many are older than keep */
	uint64_t position_last;
	bool settled[ITEMS]; /* by position */
	struct photo photos[PHOTOS];
	unsigned photos_n;
	struct story stories[STORIES + 1];
};

/* ---- what is in them */

size_t load_document(uint64_t which, char to[DOCUMENT_MOST])
{
	uint64_t seed = which;
	size_t n = power_random(&seed) % 4 == 0 ? power_random(&seed) % (DOCUMENT_MOST - 64)
						: power_random(&seed) % 900;
	int head = snprintf(to, 64, "{\"n\":%llu}", (unsigned long long)which);

	for (size_t i = 0; i < n; i++)
		to[(size_t)head + i] = (char)('a' + power_random(&seed) % 26);
	return (size_t)head + n;
}

void load_photo(uint64_t seed, uint8_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(power_random(&seed) >> 24);
}

static void mark(enum promise_kind kind, uint64_t a, uint64_t b, uint64_t c)
{
	struct promise it = { .kind = kind, .a = a, .b = b, .c = c };

	record_mark(&it, sizeof(it));
}

static uint64_t below(struct load *load, uint64_t n)
{
	return power_random(&load->seed) % n;
}

/* ---- stories */

static void story_done(struct store_req *req, void *arg)
{
	struct story *story = (struct story *)req;
	struct load *load = story->load;
	struct told *told = &load->items[load->items_n];

	(void)arg;
	load->waiting--;
	if (req->code != 0) {
		load->refused++;
		return;
	}
	told->sequence = receipt_sequence(story->put.put.receipt);
	told->position = receipt_position(story->put.put.receipt);
	told->part = story->part;
	mark(TOLD_ITEM, told->sequence, told->position, story->which);
	if (told->position > load->position_last)
		load->position_last = told->position;
	load->items_n++;
}

static void story_send(struct load *load, unsigned at, const struct store_part *part)
{
	struct story *story = &load->stories[at];
	uint64_t which = ++load->which, kind = part == NULL ? below(load, 20) : 19;
	struct facts *facts = &story->put.facts;
	size_t n;

	memset(&story->put, 0, sizeof(story->put));
	sx_put_make(&story->put, load->sx.afp, (unsigned)which, part, part == NULL ? 0 : 1);
	story->load = load;
	story->which = which;
	story->part = part == NULL ? 0 : part->number;
	n = load_document(which, story->document);
	story->put.put.document = slice_of(story->document, n);
	if (kind < 4 && which > 30) { /* of a story that is there: newer, or withdrawn */
		snprintf(story->put.uri, sizeof(story->put.uri), "urn:test:%llu",
			 (unsigned long long)(1 + below(load, which - 1)));
		facts->uri = slice_str(story->put.uri);
		facts->version = slice_str(kind < 2 ? "2" : "3");
		facts->status = kind < 2 ? STATUS_USABLE : STATUS_CANCELED;
	} else if (kind < 7) {
		facts->embargo_ms = clock_wall_ms() + (kind == 4 ? 300 * SX_DAY : 3000);
	} else if (kind == 7) {
		facts->urgency = 1;
	}
	load->waiting++;
	story->put.put.req.done = story_done;
	store_submit(load->sx.store, &story->put.put.req);
}

static int stories_wait(struct load *load)
{
	for (unsigned i = 0; load->waiting > 0; i++) {
		if (i > 10000 || load->sx.events[STORE_FATAL] > 0)
			return -1;
		sx_loop(&load->sx, 10000);
	}
	return 0;
}

/* ---- photos */

/* some pieces of it; enough: until it is whole */
static int photo_go_on(struct load *load, struct photo *photo, bool enough)
{
	uint8_t *octets = malloc(photo->n);
	struct store_part_append append = { 0 };
	struct store_part_begin begin;
	int r;

	load_photo(photo->seed, octets, photo->n);
	r = sx_begin(&load->sx, load->sx.afp, octets, photo->n, &begin);
	photo->number = begin.number;
	for (uint64_t at = begin.offset; r == 0 && !append.complete; at = append.committed) {
		size_t n = 1 + below(load, photo->n / 2);

		if (!enough && at > photo->n / 2)
			break;
		n = n < photo->n - at ? n : photo->n - at;
		sx_append_make(&append, begin.number, at, octets, n);
		r = sx_run(&load->sx, &append.req);
		if (r == 0 && !append.complete)
			mark(TOLD_PARTIAL, begin.number, append.committed, 0);
	}
	if (r == 0 && append.complete) {
		photo->whole = true;
		photo->number = append.number;
		mark(TOLD_PART, append.number, photo->n, photo->seed);
	}
	free(octets);
	return r;
}

static int photo_round(struct load *load, unsigned round)
{
	struct photo *photo = &load->photos[load->photos_n];
	struct store_part part = { .name = slice_str("a.jpg") };
	int r = 0;

	*photo = (struct photo){ .seed = power_random(&load->seed),
				 .n = 3000 + (size_t)below(load, 60000) };
	if (round == 5)
		photo->n = 2000000; /* its deletion takes two steps, a piece of it fits a request */
	load->photos_n++;
	r = photo_go_on(load, photo, round % 5 != 3);
	if (r == 0 && round % 5 == 4) { /* the half one of the round before, after a while */
		photo = &load->photos[load->photos_n - 2];
		r = photo_go_on(load, photo, true);
	}
	if (r < 0 || !photo->whole)
		return r;
	part.number = photo->number;
	part.size = photo->n;
	{
		uint8_t *octets = malloc(photo->n);

		load_photo(photo->seed, octets, photo->n);
		sha256_of(octets, photo->n, part.sha256);
		free(octets);
	}
	story_send(load, STORIES, &part);
	r = stories_wait(load);
	store_unlease(load->sx.store, part.number);
	return r;
}

/* ---- the rest of their lives */

/* nothing holds it any more: it may go as soon as its keep is over */
static void let_go(struct told *told)
{
	if (told->loose)
		return;
	told->loose = true;
	mark(TOLD_LOOSE, told->sequence, 0, 0);
	if (told->part != 0)
		mark(TOLD_PART_LOOSE, told->part, 0, 0);
}

static void let_go_of_position(struct load *load, uint64_t position)
{
	for (unsigned i = 0; i < load->old_n; i++)
		if (load->items[i].position == position)
			let_go(&load->items[i]);
}

static int settle(struct load *load, uint64_t upto)
{
	for (uint64_t p = 1; p <= upto; p++) {
		if (load->settled[p])
			continue;
		let_go_of_position(load, p);
		if (sx_settle(&load->sx, p, p, 0) < 0)
			return -1;
		load->settled[p] = true;
		mark(TOLD_SETTLED, p, 0, 0);
	}
	return 0;
}

static void on_event(const struct store_event *event, void *arg)
{
	struct load *load = arg;

	sx_event(event, &load->sx);
	if (event->kind != STORE_RELEASED)
		return;
	mark(TOLD_RELEASED, event->last, 0, 0);
	if (event->last > load->position_last)
		load->position_last = event->last;
}

static void tick(struct load *load, unsigned n)
{
	for (; n > 0; n--) {
		clock_advance(1001);
		store_tick(load->sx.store, clock_boot_ms(), clock_wall_ms(), true);
		sx_loop(&load->sx, 5);
	}
}

/* a week later: what was settled may go, and the photos that nobody else uses with it */
static void retire(struct load *load)
{
	for (unsigned i = 0; i < load->items_n; i++) {
		struct told *told = &load->items[i];

		if (told->position == 0 || load->settled[told->position])
			let_go(told);
	}
	load->old_n = load->items_n;
	for (unsigned i = 0; i < load->photos_n; i++)
		if (!load->photos[i].whole)
			mark(TOLD_PART_LOOSE, load->photos[i].number, 0, 0);
	clock_advance(8 * SX_DAY);
	store_clock_ok(load->sx.store);
	tick(load, 12);
}

static int round_of(struct load *load, unsigned round)
{
	unsigned n = 1 + (unsigned)below(load, STORIES);
	int r;

	for (unsigned i = 0; i < n; i++)
		story_send(load, i, NULL);
	r = photo_round(load, round);
	if (r == 0)
		r = stories_wait(load);
	if (round % 3 == 2)
		tick(load, 4);
	/* the last few stay owed for a round */
	if (r == 0 && load->position_last > 3)
		r = settle(load, load->position_last - 3);
	if (round % 8 == 7)
		retire(load);
	return r;
}

int load_run(int log, unsigned rounds, uint64_t seed)
{
	struct load *load = calloc(1, sizeof(*load));
	int r;

	load->seed = seed;
	sx_init(&load->sx, false);
	load->sx.conf.size = 16 << 20;
	load->sx.conf.items_share_pct = 50;
	load->sx.conf.event = on_event;
	load->sx.conf.arg = load;
	clock_fake(1000000, WALL);
	record_begin(load->sx.dir, log);
	r = sx_open(&load->sx);
	if (r == 0)
		load->sx.store->items->fresh.most = FRESH_FEW; /* merged again and again */
	if (r == 0)
		mark(TOLD_READY, load->sx.sub, 0, 0);
	for (unsigned round = 0; r == 0 && round < rounds; round++)
		r = round_of(load, round);
	if (r < 0)
		fprintf(stderr, "the load came to a bad end: %s; fatal: %s\n", nx_word(r),
			load->sx.last[STORE_FATAL].why.words);
	if (r == 0)
		mark(TOLD_END, load->items_n, load->refused, load->sx.events[STORE_RETIRED]);
	store_close(&load->sx.store);
	record_begin(load->sx.dir, -1);
	sx_end(&load->sx);
	free(load);
	return r;
}
