/* --verify-store: silent about a store that is well, and each fault by its name */
#include "store_fixture.h"

#include "store/items_priv.h"
#include "store/owed.h"
#include "store/photos.h"
#include "store/store_priv.h"
#include "store/verify.h"

#include <sys/mman.h>

#define PHOTO    30000
#define DOCUMENT 20000

struct there {
	struct sx sx;
	uint8_t *photo;
	char document[DOCUMENT + 1];
	struct store_part part;
	uint64_t sequence[2], position;
};

static int setup(void **state)
{
	struct there *there = calloc(1, sizeof(*there));
	struct sx *sx = &there->sx;
	struct sx_put put;

	*state = there;
	sx_init(sx, true);
	assert_int_equal(sx_open(sx), 0);
	there->photo = sx_octets(1, PHOTO);
	for (unsigned i = 0; i < DOCUMENT; i += 10)
		snprintf(there->document + i, 11, "%010u", (i + 1) * 2654435761u);
	assert_int_equal(sx_upload(sx, sx->afp, there->photo, PHOTO, PHOTO, &there->part), 0);
	sx_put_make(&put, sx->afp, 1, &there->part, 1);
	put.put.document = slice_str(there->document);
	assert_int_equal(sx_put(sx, &put), 0);
	there->sequence[0] = put.sequence;
	there->position = put.position;
	sx_put_make(&put, sx->afp, 2, NULL, 0);
	assert_int_equal(sx_put(sx, &put), 0);
	there->sequence[1] = put.sequence;
	store_close(&sx->store);
	return 0;
}

static int teardown(void **state)
{
	struct there *there = *state;

	sx_end(&there->sx);
	free(there->photo);
	free(there);
	return 0;
}

static bool said(const struct sx *sx, const char *words)
{
	for (unsigned i = 0; i < sx->words_n; i++)
		if (strstr(sx->words[i], words) != NULL)
			return true;
	for (unsigned i = 0; i < sx->words_n; i++)
		print_message("said: %s\n", sx->words[i]);
	return false;
}

static void nothing_to_say(void **state)
{
	struct there *there = *state;

	assert_int_equal(sx_verify(&there->sx), 0);
	assert_int_equal(there->sx.words_n, 0);
}

static void no_store_is_an_error(void **state)
{
	struct there *there = *state;
	struct why why = { 0 };

	assert_true(store_verify("/nonexistent", sx_words, &there->sx, &why) < 0);
	assert_true(strlen(why.words) > 0);
}

/* one bit of every place in the file where these octets stand */
static void flip(const struct sx *sx, const char *name, const void *octets, size_t n)
{
	unsigned found = 0;
	char path[300];
	struct stat st;
	uint8_t *map, *at;
	int fd;

	snprintf(path, sizeof(path), "%s/%s/data.mdb", sx->dir, name);
	fd = open(path, O_RDWR);
	assert_int_equal(fstat(fd, &st), 0);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(map != MAP_FAILED);
	at = map;
	while ((at = memmem(at, (size_t)(map + st.st_size - at), octets, n)) != NULL) {
		*at++ ^= 0x40;
		found++;
	}
	munmap(map, (size_t)st.st_size);
	close(fd);
	assert_true(found > 0);
}

/* while it walks, a daemon takes stories: at each word of a fault, one */
static void words_and_a_story(const char *words, void *arg)
{
	struct sx *sx = arg;
	struct sx_put put;

	sx_words(words, sx);
	sx_put_make(&put, sx->afp, 100 + sx->words_n, NULL, 0);
	assert_int_equal(sx_put(sx, &put), 0);
}

static void what_comes_meanwhile_is_no_fault(void **state)
{
	struct there *there = *state;
	struct sx *sx = &there->sx;
	struct verify *verify = calloc(1, sizeof(*verify));
	uint8_t key[32] = { 0 };
	struct txn txn;

	assert_int_equal(sx_open(sx), 0);
	txn_begin(&txn, items_db(sx->store->items), TXN_WRITE);
	txn_put(&txn, T_STORIES, slice_of(key, sizeof(key)), slice_str("x"));
	assert_int_equal(txn_end(&txn), 0);
	verify->items_db = items_db(sx->store->items);
	verify->photos_db = photos_db(sx->store->photos);
	verify->again = verify_part_of_item;
	verify->fn = words_and_a_story;
	verify->arg = sx;
	verify_all_items(verify);
	assert_int_equal(verify->r, 0);
	assert_true(said(sx, "story 0000000000000000: cannot be read"));
	assert_int_equal(verify->faults, 1);
	free(verify);
}

/* a row that ends a slice is cut before the next one is read */
struct cutting {
	struct sx *sx;
	bool cut, overlap;
};

static void words_and_a_cut(const char *words, void *arg)
{
	struct cutting *cutting = arg;
	struct txn txn;
	struct cur cur;

	cutting->overlap = cutting->overlap || strstr(words, "overlap") != NULL;
	if (cutting->cut || strstr(words, "a filter that is not there") == NULL)
		return;
	txn_begin(&txn, items_db(cutting->sx->store->items), TXN_WRITE);
	cur_open(&cur, &txn, T_OWED);
	owed_cut(&cur, cutting->sx->sub, 2553, 2553, NULL, NULL);
	cur_close(&cur);
	assert_int_equal(txn_end(&txn), 0);
	cutting->cut = true;
}

static void what_is_cut_between_two_slices_does_not_overlap(void **state)
{
	struct there *there = *state;
	struct sx *sx = &there->sx;
	struct cutting cutting = { .sx = sx };
	struct verify *verify = calloc(1, sizeof(*verify));
	struct txn txn;

	assert_int_equal(sx_open(sx), 0);
	txn_begin(&txn, items_db(sx->store->items), TXN_WRITE);
	for (unsigned i = 0; i < VERIFY_SLICE + 10; i++) { /* 1-6, 11-16 ... */
		struct owed_row row = { .subscription = sx->sub,
					.generation = i == VERIFY_SLICE - 1 ? 99 : 1,
					.first = i * 10 + 1,
					.last = i * 10 + 6 };

		owed_put(&txn, &row);
	}
	assert_int_equal(txn_end(&txn), 0);
	verify->items_db = items_db(sx->store->items);
	verify->photos_db = photos_db(sx->store->photos);
	verify->fn = words_and_a_cut;
	verify->arg = &cutting;
	verify_all_owed(verify);
	assert_int_equal(verify->r, 0);
	assert_true(cutting.cut);
	assert_false(cutting.overlap);
	free(verify);
}

static void a_flipped_bit_of_a_photo(void **state)
{
	struct there *there = *state;
	struct sx *sx = &there->sx;
	struct store_read_part read;
	struct store_part again;

	flip(sx, "photos", there->photo + 9000, 16);
	assert_int_equal(sx_verify(sx), 1);
	assert_true(said(sx, "part 1: chunk 2: checksum"));
	assert_int_equal(sx_open(sx), 0);
	assert_int_equal(sx_read(sx, 1, 0, 8000, &read), 0); /* before it */
	free(read.octets);
	assert_int_equal(sx_read(sx, 1, 8000, 8000, &read), NX_EQUARANTINE);
	sx_loop(sx, 1000);
	assert_int_equal(sx->events[STORE_CORRUPT], 1);
	assert_int_equal(sx->last[STORE_CORRUPT].part, 1);
	/* who sends it again heals it for all that come after */
	assert_int_equal(sx_upload(sx, sx->dpa, there->photo, PHOTO, PHOTO, &again), 0);
	assert_true(again.number != 1);
	sx_assert_part(sx, again.number, there->photo, PHOTO);
	store_close(&sx->store);
	assert_true(sx_verify(sx) > 0);
	assert_true(said(sx, "part 1 is quarantined"));
}

/* what the subscriber gets, position by position; true: the item was among what is to be delivered
 */
static bool is_delivered(struct sx *sx, uint64_t sequence)
{
	struct store_fetch *fetch = calloc(1, sizeof(*fetch));
	bool delivered = false, end = false;

	for (fetch->from = 1; !end; fetch->from = fetch->next) {
		fetch->req.kind = REQ_FETCH;
		fetch->subscription = sx->sub;
		fetch->items_max = FETCH_MAX;
		fetch->octets_max = 1 << 20;
		fetch->wall_ms = clock_wall_ms();
		assert_int_equal(sx_run(sx, &fetch->req), 0);
		for (unsigned i = 0; i < fetch->n; i++)
			delivered = delivered || (fetch->items[i].sequence == sequence &&
						  fetch->items[i].verdict == SETTLE_ACKED);
		end = fetch->end;
		store_fetch_done(fetch);
	}
	free(fetch);
	return delivered;
}

static void a_flipped_bit_of_a_document(void **state)
{
	struct there *there = *state;
	struct sx *sx = &there->sx;

	flip(sx, "items", there->document + 10000, 16);
	assert_int_equal(sx_verify(sx), 1);
	assert_true(said(sx, "item 1: body chunk 2: checksum"));
	assert_int_equal(sx_open(sx), 0);
	assert_false(is_delivered(sx, there->sequence[0]));
	assert_true(is_delivered(sx, there->sequence[1])); /* the other one goes on */
	sx_loop(sx, 1000);
	assert_true(sx->events[STORE_CORRUPT] > 0);
	assert_int_equal(sx->last[STORE_CORRUPT].sequence, there->sequence[0]);
}

/* ---- rows that do not fit together */

static struct slice pair(uint8_t key[16], uint64_t a, uint64_t b)
{
	pack_be64(pack_be64(key, a), b);
	return slice_of(key, 16);
}

static void no_part(struct there *there, struct txn *items, struct txn *photos)
{
	(void)items;
	txn_del(photos, P_PARTS, key_u64(&there->part.number));
}

static void no_chunk(struct there *there, struct txn *items, struct txn *photos)
{
	uint64_t key = chunk_key(there->part.number, 3);

	(void)items;
	txn_del(photos, P_CHUNKS, key_u64(&key));
}

static void not_whole(struct there *there, struct txn *items, struct txn *photos)
{
	struct part_row row;

	(void)items;
	part_get(photos, there->part.number, &row);
	row.sha256[0] ^= 1;
	part_put(photos, there->part.number, &row);
}

static void index_of_nothing(struct there *there, struct txn *items, struct txn *photos)
{
	uint8_t key[INDEX_KEY_LEN];
	uint64_t number = 99;

	(void)items;
	index_key(key, there->part.sha256, 0);
	txn_put(photos, P_INDEX, slice_of(key, sizeof(key)), key_u64(&number));
}

static void use_of_nobody(struct there *there, struct txn *items, struct txn *photos)
{
	uint8_t key[16];

	(void)photos;
	txn_put(items, T_USES, pair(key, there->part.number, 77), slice_of(NULL, 0));
}

static void use_not_noted(struct there *there, struct txn *items, struct txn *photos)
{
	uint8_t key[16];

	(void)photos;
	txn_del(items, T_USES, pair(key, there->part.number, there->sequence[0]));
}

static void doomed_in_use(struct there *there, struct txn *items, struct txn *photos)
{
	(void)photos;
	txn_put(items, T_DOOMED, key_u64(&there->part.number), slice_of(NULL, 0));
}

static void no_item(struct there *there, struct txn *items, struct txn *photos)
{
	(void)photos;
	txn_del(items, T_ITEMS, key_u64(&there->sequence[1]));
}

static void no_feed(struct there *there, struct txn *items, struct txn *photos)
{
	(void)photos;
	txn_del(items, T_FEED, key_u64(&there->position));
}

static void no_story(struct there *there, struct txn *items, struct txn *photos)
{
	struct record record = { 0 };

	(void)photos;
	record_head(items, there->sequence[0], &record);
	assert_true(txn_del(items, T_FRESH, key_u64(&there->sequence[0])) ||
		    txn_del(items, T_STORIES, slice_of(record.story, 32)));
}

static void story_of_tomorrow(struct there *there, struct txn *items, struct txn *photos)
{
	struct record record = { 0 };
	struct story_row story;

	(void)photos;
	record_head(items, there->sequence[0], &record);
	story_get(items, record.story, record.sequence, &story);
	story.newest = 1000;
	story_put(items, record.story, &story);
}

static void fresh_nonsense(struct there *there, struct txn *items, struct txn *photos)
{
	(void)photos;
	txn_put(items, T_FRESH, key_u64(&there->sequence[0]), slice_str("?"));
}

static void owed_twice(struct there *there, struct txn *items, struct txn *photos)
{
	struct owed_row row = { .subscription = there->sx.sub, .generation = 1 };

	(void)photos;
	row.first = 5;
	row.last = 5;
	owed_put(items, &row);
}

/* one octet of the value changes */
static void other_octet(struct txn *txn, unsigned table, struct slice key, size_t at)
{
	uint8_t copy[DB_VALUE_MAX];
	struct slice value;

	assert_true(txn_get(txn, table, key, &value));
	assert_true(at < value.n);
	memcpy(copy, value.p, value.n);
	copy[at] ^= 0x10;
	txn_put(txn, table, key, slice_of(copy, value.n));
}

static struct slice twelve(uint8_t key[12], uint32_t subscription, uint64_t first)
{
	pack_be64(pack_be32(key, subscription), first);
	return slice_of(key, 12);
}

static void owed_damaged(struct there *there, struct txn *items, struct txn *photos)
{
	uint8_t key[12];

	(void)photos;
	other_octet(items, T_OWED, twelve(key, there->sx.sub, 1), 0);
}

static void owed_ends(struct there *there, struct txn *items, struct txn *photos)
{
	struct owed_row row = {
		.subscription = there->sx.sub, .generation = 1, .first = 1, .last = 2
	};

	(void)photos;
	owed_put(items, &row);
}

static void filter_of_nobody(struct there *there, struct txn *items, struct txn *photos)
{
	uint8_t key[12];

	(void)photos;
	other_octet(items, T_OWED, twelve(key, there->sx.sub, 1), 9);
}

static void counted_wrongly(struct there *there, struct txn *items, struct txn *photos)
{
	struct owed_state state = { .rows = 9 };

	(void)photos;
	owed_state_put(items, there->sx.sub, &state);
}

static void counters_damaged(struct there *there, struct txn *items, struct txn *photos)
{
	uint8_t key[5] = { 'c' };

	(void)photos;
	pack_be32(key + 1, there->sx.sub);
	other_octet(items, T_SUBSCRIPTIONS, slice_of(key, 5), 0);
}

static void definition_damaged(struct there *there, struct txn *items, struct txn *photos)
{
	uint8_t key[4];

	(void)photos;
	pack_be32(key, there->sx.sub);
	other_octet(items, T_SUBSCRIPTIONS, slice_of(key, 4), 0);
}

static void filter_damaged(struct there *there, struct txn *items, struct txn *photos)
{
	uint8_t key[8];

	(void)photos;
	pack_be32(pack_be32(key, there->sx.sub), 1);
	other_octet(items, T_FILTERS, slice_of(key, 8), 0);
}

static void feed_damaged(struct there *there, struct txn *items, struct txn *photos)
{
	(void)photos;
	other_octet(items, T_FEED, key_u64(&there->position), 0);
}

static void receipts_damaged(struct there *there, struct txn *items, struct txn *photos)
{
	uint8_t key[12];

	(void)photos;
	txn_put(items, T_RECEIPTS, twelve(key, there->sx.sub, 1), slice_str("?"));
}

static const struct {
	void (*harm)(struct there *there, struct txn *items, struct txn *photos);
	const char *words;
} harms[] = {
	{ no_part, "item 1: part 1 is not there" },
	{ no_part, "chunks of part 1, which is not there" },
	{ no_part, "the index names part 1, which is not there" },
	{ no_chunk, "part 1: chunk 3: is not there" },
	{ not_whole, "part 1: its octets have another hash" },
	{ index_of_nothing, "the index names part 99, which is not there" },
	{ use_of_nobody, "part 1: used by item 77, which is not there" },
	{ use_not_noted, "item 1: its use of part 1 is not noted" },
	{ doomed_in_use, "part 1: doomed, but item 1 uses it" },
	{ no_item, "feed row 2: item 2 is not there" },
	{ no_feed, "item 1: its position 1 is not in the feed" },
	{ no_story, "item 1: its story has no row" },
	{ story_of_tomorrow, "item 1000, was never given" },
	{ fresh_nonsense, "fresh row 1: cannot be read" },
	{ owed_twice, "owed rows overlap at position 5" },
	{ owed_damaged, "owed from position 1 on cannot be read" },
	{ owed_ends, "is not owed what is new" },
	{ filter_of_nobody, "under a filter that is not there" },
	{ counted_wrongly, "9 rows of owed are counted, there are 1" },
	{ counters_damaged, "its counters cannot be read" },
	{ definition_damaged, "its definition cannot be read" },
	{ filter_damaged, "a filter cannot be read" },
	{ feed_damaged, "feed row 1: cannot be read" },
	{ receipts_damaged, "receipts from position 1 on cannot be read" },
};

static void harm(struct there *there, unsigned i)
{
	struct db_conf items_conf = { .tables = items_tables, .tables_n = ITEMS_TABLES };
	struct db_conf photos_conf = { .tables = photos_tables, .tables_n = PHOTOS_TABLES };
	struct db *items = NULL, *photos = NULL;
	struct txn items_txn, photos_txn;
	char path[300];

	snprintf(path, sizeof(path), "%s/items", there->sx.dir);
	assert_int_equal(db_open(path, &items_conf, &items, NULL), 0);
	snprintf(path, sizeof(path), "%s/photos", there->sx.dir);
	assert_int_equal(db_open(path, &photos_conf, &photos, NULL), 0);
	txn_begin(&items_txn, items, TXN_WRITE);
	txn_begin(&photos_txn, photos, TXN_WRITE);
	harms[i].harm(there, &items_txn, &photos_txn);
	assert_int_equal(txn_end(&items_txn), 0);
	assert_int_equal(txn_end(&photos_txn), 0);
	db_close(&items);
	db_close(&photos);
}

static void each_fault_has_a_name(void **state)
{
	for (unsigned i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
		struct there *there = *state;

		harm(there, i);
		assert_true(sx_verify(&there->sx) > 0);
		assert_true(said(&there->sx, harms[i].words));
		teardown(state);
		setup(state);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_to_say),
		TEST(no_store_is_an_error),
		TEST(a_flipped_bit_of_a_photo),
		TEST(a_flipped_bit_of_a_document),
		TEST(each_fault_has_a_name),
		TEST(what_comes_meanwhile_is_no_fault),
		TEST(what_is_cut_between_two_slices_does_not_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
