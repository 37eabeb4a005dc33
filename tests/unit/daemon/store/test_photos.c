/* parts on their way in, whole ones, and their end: the rules of the environment `photos`, without
 * threads */
#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "store/items.h"
#include "store/photos.h"
#include "tests/faults.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "looker.h"

#define AFP 1
#define DPA 2
#define NOW 1700000000000ll

struct room {
	char dir[64];
	struct db *items;
	struct photos *photos;
	uint64_t unused[64];
	unsigned unused_n, doomed_n;
};

static void on_unused(void *arg, uint64_t part)
{
	struct room *room = arg;

	assert_true(room->unused_n < 64);
	room->unused[room->unused_n++] = part;
}

static void on_doomed(void *arg, uint64_t part)
{
	(void)part;
	((struct room *)arg)->doomed_n++;
}

static void on_event(void *arg, const struct store_event *event)
{
	(void)arg;
	(void)event;
}

static void open_photos(struct room *room)
{
	struct photos_conf conf = { .parent = room->dir,
				    .size = 64 << 20,
				    .items = room->items,
				    .event = on_event,
				    .unused = on_unused,
				    .doomed = on_doomed,
				    .arg = room };

	assert_int_equal(photos_open(&conf, &room->photos, NULL), 0);
}

static int setup(void **state)
{
	struct db_conf conf = { .tables = items_tables,
				.tables_n = ITEMS_TABLES,
				.map_size = 8 << 20 };
	struct room *room = calloc(1, sizeof(*room));
	char path[80];

	snprintf(room->dir, sizeof(room->dir), "/tmp/nx-photos-XXXXXX");
	assert_non_null(mkdtemp(room->dir));
	snprintf(path, sizeof(path), "%s/items", room->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(db_open(path, &conf, &room->items, NULL), 0);
	open_photos(room);
	*state = room;
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	struct room *room = *state;

	fault_off();
	photos_close(&room->photos);
	db_close(&room->items);
	nftw(room->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(room);
	return 0;
}

/* ---- one request at a time */

static uint8_t *octets_of(uint64_t seed, size_t n)
{
	uint8_t *p = malloc(n + 1);

	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		p[i] = (uint8_t)(seed >> 56);
	}
	return p;
}

static int begin_full(struct room *room, uint32_t partner, const uint8_t sha[32], uint64_t size,
		      struct store_part_begin *ret)
{
	*ret = (struct store_part_begin){ .req = { .kind = REQ_PART_BEGIN, .partner = partner },
					  .size = size,
					  .partials_max = 4,
					  .partials_octets_max = 40 << 20 };
	memcpy(ret->sha256, sha, 32);
	assert_int_equal(photos_batch(room->photos, &ret->req, NOW), 0);
	return ret->req.code;
}

static uint64_t begin(struct room *room, uint32_t partner, const uint8_t sha[32], uint64_t size,
		      uint64_t *ret_offset)
{
	struct store_part_begin req;

	assert_int_equal(begin_full(room, partner, sha, size, &req), 0);
	assert_true(req.number > 0);
	if (ret_offset != NULL)
		*ret_offset = req.offset;
	return req.number;
}

static struct store_part_append append(struct room *room, uint64_t number, uint64_t offset,
				       const uint8_t *p, size_t n)
{
	struct store_part_append req = {
		.req.kind = REQ_PART_APPEND, .number = number, .offset = offset, .n = n
	};

	req.octets = malloc(n + 1);
	memcpy(req.octets, p, n);
	assert_int_equal(photos_batch(room->photos, &req.req, NOW), 0);
	assert_null(req.octets);
	return req;
}

/* from offset on to the end; the number that the part is known by then */
static uint64_t send_rest(struct room *room, uint64_t number, const uint8_t *p, size_t size,
			  uint64_t offset)
{
	while (true) {
		size_t n = size - offset < APPEND_MAX ? size - offset : APPEND_MAX;
		struct store_part_append req = append(room, number, offset, p + offset, n);

		assert_int_equal(req.req.code, 0);
		offset += n;
		assert_int_equal(req.committed, offset);
		assert_int_equal(req.complete, offset == size);
		if (req.complete)
			return req.number;
	}
}

static uint64_t send_whole(struct room *room, uint32_t partner, const uint8_t *p, size_t size)
{
	uint8_t sha[32];

	sha256_of(p, size, sha);
	return send_rest(room, begin(room, partner, sha, size, NULL), p, size, 0);
}

static struct store_part_find find(struct room *room, uint32_t partner, const uint8_t sha[32],
				   uint64_t size)
{
	struct store_part_find req = { .req = { .kind = REQ_PART_FIND, .partner = partner },
				       .size = size };
	struct txn txn, items;

	memcpy(req.sha256, sha, 32);
	txn_begin(&items, room->items, TXN_READ);
	txn_begin(&txn, photos_db(room->photos), TXN_READ);
	assert_int_equal(photos_find(&txn, &items, &req), 0);
	txn_end(&txn);
	txn_end(&items);
	return req;
}

static int read_back(struct room *room, uint64_t number, uint64_t offset, size_t n,
		     struct store_read_part *ret, bool *ret_fresh)
{
	struct txn txn;
	int r;

	*ret = (struct store_read_part){ .number = number, .offset = offset, .n = n };
	*ret_fresh = false;
	txn_begin(&txn, photos_db(room->photos), TXN_READ);
	r = photos_read(&txn, ret, ret_fresh);
	txn_end(&txn);
	return r;
}

static void assert_reads(struct room *room, uint64_t number, const uint8_t *p, size_t size)
{
	struct store_read_part read;
	bool fresh;

	for (uint64_t at = 0; at < size; at += read.got, free(read.octets)) {
		assert_int_equal(read_back(room, number, at, READ_MAX, &read, &fresh), 0);
		assert_true(read.got > 0);
		assert_memory_equal(read.octets, p + at, read.got);
	}
	assert_int_equal(read_back(room, number, size, 10, &read, &fresh), 0);
	assert_int_equal(read.got, 0);
	free(read.octets);
	assert_int_equal(read_back(room, number, size + 1, 10, &read, &fresh), NX_EARG);
}

static uint64_t entries(struct room *room, enum photos_table table)
{
	struct txn txn;
	uint64_t n;

	txn_begin(&txn, photos_db(room->photos), TXN_READ);
	n = txn_entries(&txn, table);
	txn_end(&txn);
	return n;
}

static void put_pair(struct room *room, enum items_table table, uint64_t part, uint64_t other,
		     unsigned other_n)
{
	uint8_t key[16];
	struct txn txn;

	for (unsigned i = 0; i < 8; i++)
		key[i] = (uint8_t)(part >> 8 * (7 - i));
	for (unsigned i = 0; i < other_n; i++)
		key[8 + i] = (uint8_t)(other >> 8 * (other_n - 1 - i));
	txn_begin(&txn, room->items, TXN_WRITE);
	txn_put(&txn, table, slice_of(key, 8 + other_n), slice_of(NULL, 0));
	assert_int_equal(txn_end(&txn), 0);
}

static void doom(struct room *room, uint64_t part)
{
	struct txn txn;

	txn_begin(&txn, room->items, TXN_WRITE);
	txn_put(&txn, T_DOOMED, key_u64(&part), slice_of(NULL, 0));
	assert_int_equal(txn_end(&txn), 0);
}

static bool internal(struct room *room, enum photos_verb verb, uint64_t part)
{
	struct photos_req req = { .req.kind = REQ_INTERNAL, .verb = verb, .part = part };

	assert_int_equal(photos_batch(room->photos, &req.req, NOW), 0);
	assert_int_equal(req.req.code, 0);
	return req.more;
}

static void maintain_all(struct room *room, int64_t wall_ms)
{
	int r;

	while ((r = photos_maintain(room->photos, wall_ms)) > 0)
		;
	assert_int_equal(r, 0);
}

/* ---- */

static void a_reader_that_died_is_let_go(void **state)
{
	struct room *room = *state;
	struct looker looker;
	uint64_t first, held;
	char path[80];

	photos_close(&room->photos);
	snprintf(path, sizeof(path), "%s/photos", room->dir);
	looker_begin(&looker, path, photos_tables, PHOTOS_TABLES);
	open_photos(room);
	first = churn(photos_db(room->photos), P_META);
	looker_dies(&looker);
	held = churn(photos_db(room->photos), P_META);
	assert_true(held > first + 60); /* its pages are kept for it */
	maintain_all(room, NOW);
	first = churn(photos_db(room->photos), P_META);
	assert_true(first < held + 20);
}

/* cut anywhere, the power gone anywhere: it goes on at the committed octet and the hash comes out
 * right */
static void cuts_do_not_matter(void **state)
{
	struct room *room = *state;

	for (uint64_t seed = 1; seed <= 40; seed++) {
		size_t size = (size_t)(seed * 2654435761u % 60000);
		uint8_t *p = octets_of(seed, size), sha[32];
		uint64_t number, offset = 0, again, dice = seed, at;
		struct store_part_append req = { 0 };

		sha256_of(p, size, sha);
		number = begin(room, AFP, sha, size, &offset);
		while (!req.complete) {
			size_t n;

			dice = dice * 6364136223846793005ull + 1;
			n = (dice >> 33) % (size / 3 + 2);
			n = n < size - offset ? n : size - offset;
			req = append(room, number, offset, p + offset, n);
			assert_int_equal(req.req.code, 0);
			offset += n;
			assert_int_equal(req.committed, offset);
			if (req.complete || (dice >> 60) > 3)
				continue;
			photos_close(&room->photos); /* the digest in memory is lost */
			open_photos(room);
			again = begin(room, AFP, sha, size, &at);
			assert_int_equal(again, number);
			assert_int_equal(at, offset);
		}
		assert_int_equal(req.number, number);
		assert_reads(room, number, p, size);
		free(p);
	}
}

static void octets_come_in_order(void **state)
{
	struct room *room = *state;
	uint8_t *p = octets_of(3, 10000), sha[32];
	struct store_part_append req;
	uint64_t number;

	sha256_of(p, 10000, sha);
	number = begin(room, AFP, sha, 10000, NULL);
	assert_int_equal(append(room, number, 0, p, 5000).req.code, 0);
	req = append(room, number, 4000, p, 1000); /* again */
	assert_int_equal(req.req.code, NX_EARG);
	assert_int_equal(req.committed, 5000);
	assert_int_equal(append(room, number, 6000, p, 10).req.code, NX_EARG);   /* a hole */
	assert_int_equal(append(room, number, 5000, p, 5001).req.code, NX_EARG); /* too long */
	assert_int_equal(append(room, number + 1, 0, p, 10).req.code, NX_ENOENT);
	assert_int_equal(send_rest(room, number, p, 10000, 5000), number);
	assert_int_equal(append(room, number, 10000, p, 0).req.code, NX_ENOENT); /* over */
	free(p);
}

static void an_empty_part_is_a_part(void **state)
{
	struct room *room = *state;
	struct store_read_part read;
	uint64_t number = send_whole(room, AFP, (const uint8_t *)"", 0);
	bool fresh;

	assert_int_equal(read_back(room, number, 0, 10, &read, &fresh), 0);
	assert_int_equal(read.got, 0);
	free(read.octets);
}

static void a_wrong_hash_is_thrown_away(void **state)
{
	struct room *room = *state;
	uint8_t *p = octets_of(5, 9000), sha[32];
	struct store_part_append req;
	uint64_t number, next;

	sha256_of(p, 9000, sha);
	number = begin(room, AFP, sha, 9000, NULL);
	p[8999] ^= 1;
	req = append(room, number, 0, p, 9000);
	assert_int_equal(req.req.code, NX_EMISMATCH);
	assert_false(req.complete);
	assert_int_equal(find(room, AFP, sha, 9000).number, 0);
	maintain_all(room, NOW);
	assert_int_equal(entries(room, P_CHUNKS), 0);
	assert_int_equal(entries(room, P_PARTS), 0);
	photos_close(&room->photos);
	open_photos(room);
	next = begin(room, AFP, sha, 9000, NULL);
	assert_true(next > number); /* a number is never given twice */
	free(p);
}

static void another_size_begins_anew(void **state)
{
	struct room *room = *state;
	uint8_t *p = octets_of(6, 9000), sha[32];
	uint64_t first, second, offset;

	sha256_of(p, 9000, sha);
	first = begin(room, AFP, sha, 9001, NULL);
	assert_int_equal(append(room, first, 0, p, 4000).req.code, 0);
	second = begin(room, AFP, sha, 9000, &offset);
	assert_true(second != first);
	assert_int_equal(offset, 0);
	assert_int_equal(append(room, first, 4000, p, 10).req.code, NX_ENOENT);
	assert_int_equal(send_rest(room, second, p, 9000, 0), second);
	free(p);
}

/* the answers for another's photo and for an unknown hash are the same, and the octets are kept
 * once */
static void a_hash_is_not_a_right(void **state)
{
	struct room *room = *state;
	uint8_t *p = octets_of(8, 30000), sha[32], other[32] = { 9 };
	struct store_part_find known, unknown;
	uint64_t number = send_whole(room, AFP, p, 30000), chunks = entries(room, P_CHUNKS), again;

	sha256_of(p, 30000, sha);
	known = find(room, DPA, sha, 30000);
	unknown = find(room, DPA, other, 30000);
	memset(known.sha256, 0, 32);
	memset(unknown.sha256, 0, 32);
	assert_memory_equal(&known, &unknown, sizeof(known));
	assert_int_equal(find(room, AFP, sha, 30000).number, 0); /* until an item says it was had */
	put_pair(room, T_HAD, number, AFP, 8);
	assert_true(find(room, AFP, sha, 30000).complete);
	assert_int_equal(find(room, AFP, sha, 30000).number, number);
	assert_false(find(room, AFP, sha, 29999).complete);
	again = send_whole(room, DPA, p, 30000);
	assert_int_equal(again, number);
	maintain_all(room, NOW);
	assert_int_equal(entries(room, P_CHUNKS), chunks);
	assert_int_equal(entries(room, P_PARTS), 1);
	assert_int_equal(entries(room, P_PARTIALS), 0);
	free(p);
}

static void what_is_doomed_does_not_stand(void **state)
{
	struct room *room = *state;
	uint8_t *p = octets_of(8, 30000), sha[32];
	uint64_t number = send_whole(room, AFP, p, 30000), again;

	sha256_of(p, 30000, sha);
	put_pair(room, T_HAD, number, AFP, 8);
	doom(room, number);
	assert_int_equal(find(room, AFP, sha, 30000).number, 0);
	again = send_whole(room, AFP, p, 30000);
	assert_true(again != number);
	while (internal(room, PHOTOS_DELETE, number)) /* step (2) leaves the newcomer's index row */
		;
	put_pair(room, T_HAD, again, AFP, 8);
	assert_int_equal(find(room, AFP, sha, 30000).number, again);
	assert_reads(room, again, p, 30000);
	free(p);
}

static void a_partner_has_a_ceiling(void **state)
{
	struct room *room = *state;
	struct store_part_begin req;
	uint8_t sha[32] = { 0 };

	for (sha[0] = 1; sha[0] <= 4; sha[0]++)
		begin(room, AFP, sha, 1000, NULL);
	assert_int_equal(begin_full(room, AFP, sha, 1000, &req), NX_EPARTIALS);
	assert_int_equal(req.number, 0);
	assert_int_equal(begin_full(room, DPA, sha, 1000, &req), 0); /* others do not feel it */
	sha[0] = 77;
	assert_int_equal(begin_full(room, DPA, sha, 40 << 20, &req), NX_EPARTIALS);
	assert_int_equal(begin_full(room, DPA, sha, PART_MAX + 1, &req), NX_EBIGPART);
	sha[0] = 1;
	assert_int_equal(begin_full(room, AFP, sha, 1000, &req), 0); /* what stands is continued */
}

static void a_full_store_takes_no_more_parts(void **state)
{
	struct room *room = *state;
	struct store_part_begin req;
	struct store_state full = { 0 };
	uint8_t sha[32] = { 1 }, octets[100] = { 0 };
	uint64_t number = begin(room, AFP, sha, 1000, NULL);

	photos_usage_fake(room->photos, 91);
	photos_state(room->photos, &full);
	assert_in_range(full.photos_percent, 90, 91);
	sha[0] = 2;
	assert_int_equal(begin_full(room, AFP, sha, 1000, &req), NX_EFULL);
	assert_int_equal(append(room, number, 0, octets, 100).req.code, 0); /* admitted before */
	photos_usage_fake(room->photos, 100);
	assert_int_equal(append(room, number, 100, octets, 100).req.code, NX_EFULL);
	photos_usage_fake(room->photos, -1);
	assert_int_equal(append(room, number, 100, octets, 100).req.code, 0);
}

/* under pressure one partner comes to its end before the room does */
static void one_partner_leaves_room_for_the_photos_of_others(void **state)
{
	struct room *room = *state;
	struct store_part_begin req = { 0 };
	uint8_t sha[32];
	unsigned n = 0;

	for (int r = 0; r == 0 && n < 100; n++) {
		uint8_t *p = octets_of(1000 + n, 100000);

		photos_usage_fake(room->photos, 89);
		sha256_of(p, 100000, sha);
		r = begin_full(room, AFP, sha, 100000, &req);
		if (r == 0)
			send_rest(room, req.number, p, 100000, 0);
		free(p);
	}
	assert_in_range(n, 10, 50);
	assert_int_equal(req.req.code, NX_EFULL);
	sha[0] ^= 1;
	assert_int_equal(begin_full(room, DPA, sha, 100000, &req), 0);
	photos_usage_fake(room->photos, 70); /* there is room again */
	assert_int_equal(begin_full(room, AFP, sha, 100000, &req), 0);
	photos_usage_fake(room->photos, -1);
}

/* a flipped bit: found on read-out, and who offers the photo sends it again */
static void a_flipped_bit_is_found(void **state)
{
	struct room *room = *state;
	uint8_t *p = octets_of(9, 20000), chunk[CHUNK_MAX + 4], sha[32];
	uint64_t number = send_whole(room, AFP, p, 20000), key = chunk_key(number, 2), again;
	struct store_read_part read;
	struct slice value;
	struct txn txn;
	bool fresh;

	txn_begin(&txn, photos_db(room->photos), TXN_WRITE);
	assert_true(txn_get(&txn, P_CHUNKS, key_u64(&key), &value));
	memcpy(chunk, value.p, value.n);
	chunk[1234] ^= 0x10;
	txn_put(&txn, P_CHUNKS, key_u64(&key), slice_of(chunk, value.n));
	assert_int_equal(txn_end(&txn), 0);
	assert_int_equal(read_back(room, number, 0, 8000, &read, &fresh), 0); /* not this piece */
	free(read.octets);
	assert_int_equal(read_back(room, number, 8000, 8000, &read, &fresh), NX_EQUARANTINE);
	assert_true(fresh);
	assert_null(read.octets);
	internal(room, PHOTOS_QUARANTINE, number);
	assert_int_equal(read_back(room, number, 0, 100, &read, &fresh), NX_EQUARANTINE);
	assert_false(fresh);
	again = send_whole(room, AFP, p, 20000);
	assert_true(again != number);
	assert_reads(room, again, p, 20000);
	sha256_of(p, 20000, sha);
	put_pair(room, T_HAD, again, AFP, 8);
	assert_int_equal(find(room, AFP, sha, 20000).number, again);
	free(p);
}

/* few pages a transaction, and the next one goes on where the last one was */
static void a_big_part_goes_in_steps(void **state)
{
	struct room *room = *state;
	size_t size = 5 << 20;
	uint8_t *p = octets_of(10, size), sha[32];
	uint64_t number = send_whole(room, AFP, p, size), before = entries(room, P_CHUNKS);
	unsigned steps = 1;

	sha256_of(p, size, sha);
	assert_true(internal(room, PHOTOS_DELETE, number));
	assert_int_equal(before - entries(room, P_CHUNKS), CHUNKS_A_TXN);
	photos_close(&room->photos);
	open_photos(room);
	while (internal(room, PHOTOS_DELETE, number))
		steps++;
	assert_int_equal(steps, before / CHUNKS_A_TXN);
	for (unsigned table = P_PARTS; table < PHOTOS_TABLES; table++)
		assert_int_equal(entries(room, table), 0);
	assert_false(internal(room, PHOTOS_DELETE, number)); /* again does no harm */
	free(p);
}

static void a_dropped_part_is_gone(void **state)
{
	struct room *room = *state;
	struct store_part_drop drop = { .req.kind = REQ_PART_DROP };
	uint8_t *p = octets_of(11, 9000), sha[32];

	sha256_of(p, 9000, sha);
	drop.number = begin(room, AFP, sha, 9000, NULL);
	append(room, drop.number, 0, p, 5000);
	assert_int_equal(photos_batch(room->photos, &drop.req, NOW), 0);
	assert_int_equal(drop.req.code, 0);
	assert_int_equal(find(room, AFP, sha, 9000).number, 0);
	photos_close(&room->photos); /* what was thrown away goes after a restart too */
	open_photos(room);
	maintain_all(room, NOW);
	assert_int_equal(entries(room, P_CHUNKS), 0);
	drop.number = send_whole(room, AFP, p, 9000);
	assert_int_equal(photos_batch(room->photos, &drop.req, NOW), 0);
	assert_int_equal(drop.req.code, NX_EEXIST); /* not a partial: others may have it */
	assert_reads(room, drop.number, p, 9000);
	free(p);
}

static void time_takes_what_nobody_wants(void **state)
{
	struct room *room = *state;
	uint8_t *p = octets_of(12, 9000), sha[32] = { 1 };
	uint64_t used, orphan;

	begin(room, AFP, sha, 1000, NULL);
	used = send_whole(room, AFP, p, 9000);
	orphan = send_whole(room, AFP, p, 8000);
	put_pair(room, T_USES, used, 17, 8);
	maintain_all(room, NOW + ORPHAN_OLD_MS);
	assert_int_equal(room->unused_n, 0);
	assert_int_equal(entries(room, P_PARTIALS), 1);
	maintain_all(room, NOW + ORPHAN_OLD_MS + 1);
	assert_int_equal(room->unused_n, 1);
	assert_int_equal(room->unused[0], orphan);
	maintain_all(room, NOW + PARTIAL_OLD_MS);
	assert_int_equal(entries(room, P_PARTIALS), 1);
	maintain_all(room, NOW + PARTIAL_OLD_MS + 1);
	assert_int_equal(entries(room, P_PARTIALS), 0);
	assert_int_equal(entries(room, P_PARTS), 2);
	assert_int_equal(room->doomed_n, 0);
	clock_fake(clock_boot_ms() + 20000, NOW);
	doom(room, orphan);
	maintain_all(room, NOW);
	clock_real();
	assert_int_equal(room->doomed_n, 1);
	free(p);
}

/* a transaction that found no room is run again one by one, and nothing is lost or doubled */
static void no_room_is_tried_again(void **state)
{
	struct room *room = *state;
	uint8_t *p = octets_of(13, 40000), sha[32];

	need_faults();
	sha256_of(p, 40000, sha);
	for (unsigned n = 1, fired = 1; fired; n++) {
		struct store_part_append req[4] = { 0 };
		uint64_t number = begin(room, DPA, sha, 40000, NULL);

		for (unsigned i = 0; i < 4; i++) {
			req[i].req.kind = REQ_PART_APPEND;
			req[i].req.next = i < 3 ? &req[i + 1].req : NULL;
			req[i].number = number;
			req[i].offset = i * 10000;
			req[i].n = 10000;
			req[i].octets = malloc(10000);
			memcpy(req[i].octets, p + i * 10000, 10000);
		}
		fault_arm("db.put", n, false);
		assert_int_equal(photos_batch(room->photos, &req[0].req, NOW), 0);
		fired = fault_fired();
		fault_off();
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(req[i].req.code, 0);
		assert_true(req[3].complete);
		assert_reads(room, req[3].number, p, 40000);
	}
	maintain_all(room, NOW);
	assert_int_equal(entries(room, P_PARTS), 1);
	free(p);
}

/* two who complete the same photo in one transaction that finds no room: the second was given the
 * first one's number, and is not when it runs again alone */
static void two_of_one_photo_are_tried_again(void **state)
{
	struct room *room = *state;
	bool fired = true;

	need_faults();
	for (unsigned n = 1; fired; n++) {
		uint8_t *p = octets_of(100 + n, 9000), sha[32];
		struct store_part_append req[2] = { 0 };

		sha256_of(p, 9000, sha);
		for (unsigned i = 0; i < 2; i++) {
			req[i].req.kind = REQ_PART_APPEND;
			req[i].req.next = i == 0 ? &req[1].req : NULL;
			req[i].number = begin(room, i == 0 ? AFP : DPA, sha, 9000, NULL);
			req[i].n = 9000;
			req[i].octets = malloc(9000);
			memcpy(req[i].octets, p, 9000);
		}
		assert_true(req[0].number != req[1].number);
		fault_arm("db.put", n, false);
		assert_int_equal(photos_batch(room->photos, &req[0].req, NOW), 0);
		fired = fault_fired();
		fault_off();
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(req[i].req.code, 0);
			assert_true(req[i].complete);
		}
		assert_true(req[0].number == req[1].number);
		assert_reads(room, req[0].number, p, 9000);
		assert_int_equal(entries(room, P_PARTIALS), 0);
		free(p);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cuts_do_not_matter),
		TEST(a_reader_that_died_is_let_go),
		TEST(octets_come_in_order),
		TEST(an_empty_part_is_a_part),
		TEST(a_wrong_hash_is_thrown_away),
		TEST(another_size_begins_anew),
		TEST(a_hash_is_not_a_right),
		TEST(what_is_doomed_does_not_stand),
		TEST(a_partner_has_a_ceiling),
		TEST(a_full_store_takes_no_more_parts),
		TEST(one_partner_leaves_room_for_the_photos_of_others),
		TEST(a_flipped_bit_is_found),
		TEST(a_big_part_goes_in_steps),
		TEST(a_dropped_part_is_gone),
		TEST(time_takes_what_nobody_wants),
		TEST(no_room_is_tried_again),
		TEST(two_of_one_photo_are_tried_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
