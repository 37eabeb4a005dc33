#include "store/leases.h"

#include "base/clock.h"
#include "base/fault.h"
#include "store/items.h"
#include "store/lock.h"
#include "store/photos.h"

#include <stdlib.h>

#define ROWS_FIRST 64
#define UNDER_WAY  64   /* deletions at a time */
#define HOLD_MS    5000 /* then those under way end and a backup may begin */
#define REST_MS    1000

enum step { STEP_DOOM, STEP_CHUNKS, STEP_UNDOOM };
struct removal {
	struct leases *leases;
	struct lease *lease;
	enum step step; /* the one that runs, or that it waits to begin */
	bool runs, listed;
	struct items_part_req items;
	struct photos_req photos;
	struct removal *next;
};
struct lease {
	uint64_t part;
	unsigned n;
	struct removal *removal;
	struct lease *next;
};
struct list {
	struct removal *first, **end;
};
struct leases {
	struct leases_conf conf;
	struct lease **rows;
	size_t rows_n, n;
	struct list waiting, failed;
	unsigned under_way;
	int lock_fd;
	int64_t locked_ms, rest_until_ms;
};

/* ---- the table */

static size_t row_of(const struct leases *leases, uint64_t part)
{
	return (size_t)(part * 0x9e3779b97f4a7c15ull >> 20) & (leases->rows_n - 1);
}

static struct lease *find(const struct leases *leases, uint64_t part)
{
	struct lease *lease = leases->rows[row_of(leases, part)];

	while (lease != NULL && lease->part != part)
		lease = lease->next;
	return lease;
}

static void grow(struct leases *leases)
{
	struct lease **old = leases->rows, *next;
	size_t old_n = leases->rows_n;
	struct lease **rows = calloc(old_n * 2, sizeof(*rows));

	if (rows == NULL) /* longer chains, nothing worse */
		return;
	leases->rows = rows;
	leases->rows_n = old_n * 2;
	for (size_t i = 0; i < old_n; i++)
		for (struct lease *lease = old[i]; lease != NULL; lease = next) {
			size_t row = row_of(leases, lease->part);

			next = lease->next;
			lease->next = rows[row];
			rows[row] = lease;
		}
	free(old);
}

static struct lease *find_or_make(struct leases *leases, uint64_t part)
{
	struct lease *lease = find(leases, part);
	size_t row;

	if (lease != NULL)
		return lease;
	lease = calloc(1, sizeof(*lease));
	if (lease == NULL)
		return NULL;
	if (++leases->n > leases->rows_n)
		grow(leases);
	row = row_of(leases, part);
	lease->part = part;
	lease->next = leases->rows[row];
	leases->rows[row] = lease;
	return lease;
}

static void drop_if_idle(struct leases *leases, struct lease *lease)
{
	struct lease **at = &leases->rows[row_of(leases, lease->part)];

	if (lease->n > 0 || lease->removal != NULL)
		return;
	while (*at != lease)
		at = &(*at)->next;
	*at = lease->next;
	leases->n--;
	free(lease);
}

static void list_init(struct list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

static void list_add(struct list *list, struct removal *removal)
{
	if (removal->listed)
		return;
	removal->listed = true;
	removal->next = NULL;
	*list->end = removal;
	list->end = &removal->next;
}

static struct removal *list_take(struct list *list)
{
	struct removal *removal = list->first;

	if (removal == NULL)
		return NULL;
	list->first = removal->next;
	if (list->first == NULL)
		list->end = &list->first;
	removal->listed = false;
	return removal;
}

int leases_new(const struct leases_conf *conf, struct leases **ret)
{
	struct leases *leases = calloc(1, sizeof(*leases));

	if (leases != NULL)
		leases->rows = calloc(ROWS_FIRST, sizeof(struct lease *));
	if (leases == NULL || leases->rows == NULL) {
		free(leases);
		return NX_ENOMEM;
	}
	leases->conf = *conf;
	leases->rows_n = ROWS_FIRST;
	leases->lock_fd = -1;
	leases->rest_until_ms = INT64_MIN;
	list_init(&leases->waiting);
	list_init(&leases->failed);
	*ret = leases;
	return 0;
}

void leases_free(struct leases **leases)
{
	if (*leases == NULL)
		return;
	for (size_t i = 0; i < (*leases)->rows_n; i++) {
		struct lease *lease;

		while ((lease = (*leases)->rows[i]) != NULL) {
			(*leases)->rows[i] = lease->next;
			free(lease->removal);
			free(lease);
		}
	}
	lock_drop(&(*leases)->lock_fd);
	free((*leases)->rows);
	free(*leases);
	*leases = NULL;
}

/* ---- leases */

int leases_take(struct leases *leases, uint64_t part)
{
	struct lease *lease = find_or_make(leases, part);

	if (lease == NULL)
		return NX_ENOMEM;
	lease->n++;
	return 0;
}

void leases_give(struct leases *leases, uint64_t part)
{
	struct lease *lease = find(leases, part);

	if (lease == NULL || lease->n == 0)
		return;
	lease->n--;
	if (lease->n == 0 && lease->removal != NULL && !lease->removal->runs)
		list_add(&leases->waiting, lease->removal);
	drop_if_idle(leases, lease);
}

unsigned leases_count(const struct leases *leases, uint64_t part)
{
	const struct lease *lease = find(leases, part);

	return lease == NULL ? 0 : lease->n;
}

bool leases_going(const struct leases *leases, uint64_t part)
{
	const struct lease *lease = find(leases, part);

	return lease != NULL && lease->removal != NULL &&
	       (lease->removal->runs || lease->removal->step != STEP_DOOM);
}

/* ---- deletions */

static void begin(struct leases *leases, uint64_t part, enum step step)
{
	struct lease *lease = find_or_make(leases, part);

	/* without memory: the background walk comes by again */
	if (lease == NULL || lease->removal != NULL)
		return;
	lease->removal = calloc(1, sizeof(*lease->removal));
	if (lease->removal == NULL) {
		drop_if_idle(leases, lease);
		return;
	}
	lease->removal->leases = leases;
	lease->removal->lease = lease;
	lease->removal->step = step;
	list_add(&leases->waiting, lease->removal);
}

void leases_unused(struct leases *leases, uint64_t part)
{
	begin(leases, part, STEP_DOOM);
}

void leases_resume(struct leases *leases, uint64_t part)
{
	begin(leases, part, STEP_CHUNKS);
}

static void step_done(struct store_req *req, void *arg);

static void submit(struct removal *removal)
{
	struct leases *leases = removal->leases;
	struct store_req *req =
		removal->step == STEP_CHUNKS ? &removal->photos.req : &removal->items.req;

	/* a crash between two steps */
	(void)FAULT(removal->step == STEP_DOOM     ? "photos.doom"
		    : removal->step == STEP_CHUNKS ? "photos.chunks"
						   : "photos.undoom");
	*req = (struct store_req){ .kind = REQ_INTERNAL, .done = step_done, .arg = removal };
	if (removal->step == STEP_CHUNKS) {
		removal->photos.verb = PHOTOS_DELETE;
		removal->photos.part = removal->lease->part;
		leases->conf.photos(leases->conf.arg, req);
	} else {
		removal->items.part = removal->lease->part;
		removal->items.doom = removal->step == STEP_DOOM;
		leases->conf.items(leases->conf.arg, req);
	}
}

static void ended(struct removal *removal)
{
	struct lease *lease = removal->lease;

	lease->removal = NULL;
	drop_if_idle(removal->leases, lease);
	free(removal);
}

static void stop_running(struct removal *removal)
{
	struct leases *leases = removal->leases;

	removal->runs = false;
	if (--leases->under_way > 0)
		return;
	lock_drop(&leases->lock_fd);
	if (clock_boot_ms() - leases->locked_ms > HOLD_MS)
		leases->rest_until_ms = clock_boot_ms() + REST_MS;
}

static void step_done(struct store_req *req, void *arg)
{
	struct removal *removal = arg;
	struct leases *leases = removal->leases;

	if (req->code == NX_EEXIST && removal->step == STEP_DOOM) {
		stop_running(removal); /* an item uses it again */
		ended(removal);
	} else if (req->code < 0) {
		stop_running(removal);
		list_add(&leases->failed, removal);
	} else if (removal->step == STEP_CHUNKS && removal->photos.more) {
		submit(removal);
	} else if (removal->step != STEP_UNDOOM) {
		removal->step++;
		submit(removal);
	} else {
		stop_running(removal);
		ended(removal);
	}
}

/* may one more begin? while a backup runs, none */
static bool may_start(struct leases *leases)
{
	int64_t now = clock_boot_ms();

	if (leases->under_way >= UNDER_WAY || now < leases->rest_until_ms)
		return false;
	if (leases->under_way > 0)
		return now - leases->locked_ms <= HOLD_MS;
	if (lock_deletions(leases->conf.directory, &leases->lock_fd) < 0)
		return false;
	leases->locked_ms = now;
	return true;
}

void leases_run(struct leases *leases, bool tick)
{
	struct removal *removal;

	while (tick && (removal = list_take(&leases->failed)) != NULL)
		list_add(&leases->waiting, removal);
	while (leases->waiting.first != NULL) {
		removal = leases->waiting.first;
		if (removal->step == STEP_DOOM && removal->lease->n > 0) {
			list_take(&leases->waiting); /* leases_give() puts it back */
			continue;
		}
		if (!may_start(leases))
			break;
		list_take(&leases->waiting);
		removal->runs = true;
		leases->under_way++;
		submit(removal);
	}
}

bool leases_held_up(const struct leases *leases)
{
	return leases->waiting.first != NULL;
}
