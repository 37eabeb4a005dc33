/*
 * Is a state what we promised? It opens, it fits together, and everything that the load was told is
 * there, octet for octet.
 */
#include "power.h"
#include "store/items_priv.h"
#include "store/photos.h"
#include "tests/unit/daemon/store/store_fixture.h"

struct looking {
	const struct promise *marks;
	size_t n;
	struct txn items, photos;
	char *words;
};

static int bad(struct looking *looking, const char *what, uint64_t which)
{
	snprintf(looking->words, 400, "%s %llu", what, (unsigned long long)which);
	return -1;
}

/* was it let go of, or overtaken, before the cut? */
static bool later(const struct looking *looking, size_t from, enum promise_kind kind, uint64_t a)
{
	for (size_t i = from; i < looking->n; i++)
		if (looking->marks[i].kind == kind && looking->marks[i].a == a)
			return true;
	return false;
}

static int look_item(struct looking *looking, size_t at)
{
	const struct promise *mark = &looking->marks[at];
	char document[DOCUMENT_MOST];
	size_t n = load_document(mark->c, document);
	uint8_t *octets = NULL;
	struct record record;
	int r = record_read(&looking->items, mark->a, &record, &octets);

	if (r < 0)
		return later(looking, at, TOLD_LOOSE, mark->a)
			       ? 0
			       : bad(looking, "acknowledged and missing: item", mark->a);
	if (record.document_n != n || memcmp(octets + record.envelope_n, document, n) != 0)
		r = bad(looking, "other octets: item", mark->a);
	else if (mark->b != 0 && record.position != mark->b)
		r = bad(looking, "at another position: item", mark->a);
	free(octets);
	record_done(&record);
	return r;
}

static int look_part(struct looking *looking, size_t at)
{
	const struct promise *mark = &looking->marks[at];
	struct part_row row;
	int r = part_get(&looking->photos, mark->a, &row);

	if (later(looking, at, TOLD_PART_LOOSE, mark->a))
		return 0;
	if (r < 0)
		return bad(looking, "acknowledged and missing: part", mark->a);
	if (mark->kind == TOLD_PARTIAL) /* it may have become whole meanwhile */
		return row.committed >= mark->b ? 0 : bad(looking, "octets lost of part", mark->a);
	if (row.state != PART_COMPLETE || row.size != mark->b)
		return bad(looking, "not whole: part", mark->a);
	return 0;
}

static int look_settled(struct looking *looking, uint64_t position)
{
	struct owed_row row;
	struct cur cur;
	bool owed;

	cur_open(&cur, &looking->items, T_OWED);
	owed = owed_at(&cur, (uint32_t)looking->marks[0].a, position, &row) &&
	       row.first <= position;
	cur_close(&cur);
	return owed ? bad(looking, "settled and owed again: position", position) : 0;
}

static int look(struct looking *looking, size_t at)
{
	const struct promise *mark = &looking->marks[at];
	struct items_count count;

	switch (mark->kind) {
	case TOLD_ITEM:
		return look_item(looking, at);
	case TOLD_PARTIAL:
	case TOLD_PART:
		return look_part(looking, at);
	case TOLD_SETTLED:
		return look_settled(looking, mark->a);
	case TOLD_RELEASED:
		if (!count_get(&looking->items, &count) || count.position_last < mark->a)
			return bad(looking, "released and forgotten: position", mark->a);
		return 0;
	default:
		return 0;
	}
}

static int open_one(const char *folder, const char *name, const struct db_table *tables, unsigned n,
		    struct db **ret, struct why *why)
{
	struct db_conf conf = { .tables = tables, .tables_n = n, .read_only = true };
	char dir[400];

	snprintf(dir, sizeof(dir), "%s/%s", folder, name);
	return db_open(dir, &conf, ret, why);
}

static int look_all(const char *folder, const struct promise *marks, size_t n, char words[400])
{
	struct looking looking = { .marks = marks, .n = n, .words = words };
	struct db *items = NULL, *photos = NULL;
	struct why why = { 0 };
	int r = open_one(folder, "items", items_tables, ITEMS_TABLES, &items, &why);

	if (r == 0)
		r = open_one(folder, "photos", photos_tables, PHOTOS_TABLES, &photos, &why);
	if (r < 0) {
		snprintf(words, 400, "%s", why.words);
	} else {
		txn_begin(&looking.items, items, TXN_READ);
		txn_begin(&looking.photos, photos, TXN_READ);
		for (size_t i = 0; r == 0 && i < n; i++)
			r = look(&looking, i);
		txn_abort(&looking.items);
		txn_abort(&looking.photos);
	}
	db_close(&photos);
	db_close(&items);
	return r;
}

static void first_words(const char *fault, void *arg)
{
	char *words = arg;

	if (words[0] == '\0')
		snprintf(words, 400, "verify: %s", fault);
}

static int fits_together(const char *folder, char words[400])
{
	struct why why = { 0 };
	int r = store_verify(folder, first_words, words, &why);

	if (r < 0)
		snprintf(words, 400, "verify: %s", why.words);
	return r == 0 ? 0 : -1;
}

/* as the daemon would: start, a second goes by, a story with its photo, stop */
static int live(struct sx *sx, char words[400])
{
	static const uint8_t photo[] = "after the power came back";
	struct store_part part;
	struct sx_put put;
	int r = sx_open(sx);

	for (unsigned i = 0; r == 0 && i < 3; i++) {
		clock_advance(1001);
		store_tick(sx->store, clock_boot_ms(), clock_wall_ms(), true);
		for (unsigned n = 0; n < 50 && store_step(sx->store); n++)
			store_collect(sx->store);
		store_collect(sx->store);
	}
	if (r == 0)
		r = sx_upload(sx, sx->afp, photo, sizeof(photo), 10, &part);
	if (r == 0) {
		sx_put_make(&put, sx->afp, 900000000, &part, 1);
		r = sx_put(sx, &put);
	}
	if (r < 0)
		snprintf(words, 400, "it does not go on: %s", nx_word(r));
	store_close(&sx->store);
	return r;
}

static int goes_on(const char *folder, const struct promise *marks, size_t n, char words[400])
{
	struct sx *sx = calloc(1, sizeof(*sx));
	char command[900];
	int r;

	sx_init(sx, true);
	snprintf(command, sizeof(command),
		 "! [ -d '%s' ] || cp -r --sparse=always '%s/.' '%s' && rm -f '%s'/*/lock.mdb",
		 folder, folder, sx->dir, sx->dir);
	if (system(command) != 0)
		abort();
	sx->conf.size = 16 << 20;
	sx->conf.items_share_pct = 50;
	r = live(sx, words);
	if (r == 0)
		r = fits_together(sx->dir, words);
	if (r == 0)
		r = look_all(sx->dir, marks, n, words);
	sx_end(sx);
	free(sx);
	return r;
}

int check_state(const char *folder, const struct promise *marks, size_t n, bool whole,
		char words[400])
{
	int r = 0;

	words[0] = '\0';
	if (n > 0) { /* it was said that a store is there */
		r = fits_together(folder, words);
		if (r == 0)
			r = look_all(folder, marks, n, words);
	}
	if (r == 0 && (whole || n == 0))
		r = goes_on(folder, marks, n, words);
	return r;
}
