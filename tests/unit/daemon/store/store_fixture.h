/*
 * store_fixture.h - a whole store in a folder of its own, behind its door: requests are made,
 * waited for, and looked at.
 */
#pragma once
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "store/store.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SX_DAY (INT64_C(24) * 3600 * 1000)

struct sx {
	char dir[256];
	struct store_conf conf;
	struct store *store;
	int pipe[2];
	uint32_t afp, dpa, sub; /* numbers; sub is dpa's, of all channels */
	unsigned done, events[STORE_FATAL + 1];
	struct store_event last[STORE_FATAL + 1];
	char words[32][300]; /* of store_verify */
	unsigned words_n;
};

static inline void sx_wake(void *arg)
{
	if (write(((struct sx *)arg)->pipe[1], "", 1) != 1)
		abort();
}

static inline void sx_event(const struct store_event *event, void *arg)
{
	struct sx *sx = arg;

	sx->events[event->kind]++;
	sx->last[event->kind] = *event;
}

static inline void sx_done(struct store_req *req, void *arg)
{
	struct sx *sx = arg;

	req->arg = NULL; /* seen */
	sx->done++;
}

static inline void sx_init(struct sx *sx, bool in_line)
{
	const char *tmp = getenv("TMPDIR");

	memset(sx, 0, sizeof(*sx));
	snprintf(sx->dir, sizeof(sx->dir), "%s/newsxd-store-XXXXXX", tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(sx->dir) == NULL || pipe2(sx->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		abort();
	sx->conf = (struct store_conf){ .directory = sx->dir,
					.node = "test",
					.size = 128 << 20,
					.items_share_pct = 25,
					.times.keep_ms = 7 * SX_DAY,
					.times.orphan_keep_ms = 7 * SX_DAY,
					.times.history_keep_ms = 400 * SX_DAY,
					.times.embargo_ahead_ms = 400 * SX_DAY,
					.times.clock_jump_ms = 60000,
					.times.held_size = 1 << 20,
					.in_line = in_line,
					.event = sx_event,
					.wake = sx_wake,
					.arg = sx };
}

static inline int sx_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void sx_end(struct sx *sx)
{
	store_close(&sx->store);
	close(sx->pipe[0]);
	close(sx->pipe[1]);
	nftw(sx->dir, sx_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* a piece of what the loop does: at most so long until something is finished */
static inline void sx_loop(struct sx *sx, int ms)
{
	struct pollfd fd = { .fd = sx->pipe[0], .events = POLLIN };
	char octets[64];

	if (sx->conf.in_line)
		store_step(sx->store);
	else if (poll(&fd, 1, ms) != 1)
		return;
	while (read(sx->pipe[0], octets, sizeof(octets)) > 0)
		;
	store_collect(sx->store);
}

static inline void sx_submit(struct sx *sx, struct store_req *req)
{
	req->done = sx_done;
	req->arg = sx;
	store_submit(sx->store, req);
}

/* until the request is done; NX_ECLOSED when it never is */
static inline int sx_await(struct sx *sx, struct store_req *req)
{
	for (unsigned i = 0; req->arg != NULL; i++) {
		if (i > 1000 || sx->events[STORE_FATAL] > 0)
			return NX_ECLOSED;
		sx_loop(sx, 10000);
	}
	return req->code;
}

static inline int sx_run(struct sx *sx, struct store_req *req)
{
	sx_submit(sx, req);
	return sx_await(sx, req);
}

static inline int sx_define(struct sx *sx)
{
	struct store_partner_def partners[] = { { .name = "afp" }, { .name = "dpa" } };
	struct store_sub_def subs[] = { { .name = "wire",
					  .partner = "dpa",
					  .channels = "*",
					  .rights = "*",
					  .backlog_age_ms = 30 * SX_DAY,
					  .backlog_size = 32 << 20 } };
	struct store_define define = { .req.kind = REQ_DEFINE,
				       .partners = partners,
				       .partners_n = 2,
				       .subscriptions = subs,
				       .subscriptions_n = 1 };
	int r = sx_run(sx, &define.req);

	sx->afp = partners[0].number;
	sx->dpa = partners[1].number;
	sx->sub = subs[0].number;
	return r;
}

static inline int sx_open(struct sx *sx)
{
	struct why why = { 0 };
	int r = store_open(&sx->conf, &sx->store, &why);

	if (r < 0)
		fprintf(stderr, "store_open: %s: %s\n", nx_word(r), why.words);
	return r < 0 ? r : sx_define(sx);
}

static inline void sx_reopen(struct sx *sx)
{
	store_close(&sx->store);
	assert_int_equal(sx_open(sx), 0);
}

/* ---- parts */

static inline uint8_t *sx_octets(uint64_t seed, size_t n)
{
	uint8_t *p = malloc(n + 1);

	for (size_t i = 0; i < n; i++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		p[i] = (uint8_t)(seed >> 56);
	}
	return p;
}

static inline int sx_find(struct sx *sx, uint32_t partner, const uint8_t *p, size_t n,
			  struct store_part_find *ret)
{
	*ret = (struct store_part_find){ .req = { .kind = REQ_PART_FIND, .partner = partner },
					 .size = n };
	sha256_of(p, n, ret->sha256);
	return sx_run(sx, &ret->req);
}

static inline int sx_begin(struct sx *sx, uint32_t partner, const uint8_t *p, size_t n,
			   struct store_part_begin *ret)
{
	*ret = (struct store_part_begin){ .req = { .kind = REQ_PART_BEGIN, .partner = partner },
					  .size = n,
					  .partials_max = 100,
					  .partials_octets_max = 1 << 30 };
	sha256_of(p, n, ret->sha256);
	return sx_run(sx, &ret->req);
}

static inline void sx_append_make(struct store_part_append *ret, uint64_t number, uint64_t offset,
				  const uint8_t *p, size_t n)
{
	*ret = (struct store_part_append){ .req.kind = REQ_PART_APPEND,
					   .number = number,
					   .offset = offset,
					   .octets = malloc(n + 1),
					   .n = n };
	memcpy(ret->octets, p + offset, n);
}

/* whole, in pieces; the number is leased */
static inline int sx_upload(struct sx *sx, uint32_t partner, const uint8_t *p, size_t n,
			    size_t piece, struct store_part *ret)
{
	struct store_part_append append = { 0 };
	struct store_part_begin begin;
	int r = sx_begin(sx, partner, p, n, &begin);
	uint64_t offset = begin.offset;

	while (r == 0 && !append.complete) {
		sx_append_make(&append, begin.number, offset, p,
			       n - offset < piece ? n - offset : piece);
		r = sx_run(sx, &append.req);
		offset = append.committed;
	}
	if (r < 0)
		return r;
	*ret = (struct store_part){ .number = append.number,
				    .size = n,
				    .name = slice_str("a.jpg") };
	sha256_of(p, n, ret->sha256);
	return 0;
}

static inline int sx_read(struct sx *sx, uint64_t number, uint64_t offset, size_t n,
			  struct store_read_part *ret)
{
	*ret = (struct store_read_part){
		.req.kind = REQ_READ_PART, .number = number, .offset = offset, .n = n
	};
	return sx_run(sx, &ret->req);
}

static inline void sx_assert_part(struct sx *sx, uint64_t number, const uint8_t *p, size_t n)
{
	struct store_read_part read;

	for (uint64_t at = 0; at < n; at += read.got, free(read.octets)) {
		assert_int_equal(sx_read(sx, number, at, 256 << 10, &read), 0);
		assert_true(read.got > 0);
		assert_memory_equal(read.octets, p + at, read.got);
	}
}

/* ---- items */

struct sx_put {
	struct store_put put;
	struct facts facts;
	char uri[40], document[200];
	int code; /* of the answer, and what the receipt said */
	uint64_t sequence, position;
};

static inline void sx_put_done(struct store_req *req, void *arg)
{
	struct sx_put *put = (struct sx_put *)req;

	put->code = req->code;
	if (req->code == 0) {
		put->sequence = receipt_sequence(put->put.receipt);
		put->position = receipt_position(put->put.receipt);
	}
	sx_done(req, arg);
}

static inline void sx_put_make(struct sx_put *p, uint32_t partner, unsigned n,
			       const struct store_part *parts, unsigned parts_n)
{
	memset(p, 0, sizeof(*p));
	snprintf(p->uri, sizeof(p->uri), "urn:test:%u", n);
	snprintf(p->document, sizeof(p->document), "{\"uri\":\"urn:test:%u\",\"headline\":\"%u\"}",
		 n, n);
	p->facts = (struct facts){ .origin = slice_str("afp"),
				   .uri = slice_str(p->uri),
				   .version = slice_str("1"),
				   .channel = slice_str("world"),
				   .version_created_ms = TIME_NONE,
				   .embargo_ms = TIME_NONE };
	p->put = (struct store_put){ .req = { .kind = REQ_PUT, .partner = partner },
				     .facts = &p->facts,
				     .envelope = slice_str("{}"),
				     .document = slice_str(p->document),
				     .parts = parts,
				     .parts_n = parts_n,
				     .kills_per_day = 1000,
				     .received_ms = clock_wall_ms() };
}

static inline void sx_put_submit(struct sx *sx, struct sx_put *p)
{
	p->put.req.done = sx_put_done;
	p->put.req.arg = sx;
	store_submit(sx->store, &p->put.req);
}

static inline int sx_put(struct sx *sx, struct sx_put *p)
{
	sx_put_submit(sx, p);
	return sx_await(sx, &p->put.req);
}

static inline int sx_settle(struct sx *sx, uint64_t first, uint64_t last, uint64_t sequence)
{
	struct settle_run run = { .subscription = sx->sub,
				  .how = SETTLE_ACKED,
				  .first = first,
				  .last = last,
				  .sequence = sequence,
				  .at_ms = clock_wall_ms() };
	struct store_settle settle = { .req.kind = REQ_SETTLE, .runs = &run, .n = 1 };

	return sx_run(sx, &settle.req);
}

static inline void sx_words(const char *words, void *arg)
{
	struct sx *sx = arg;

	if (sx->words_n < 32)
		snprintf(sx->words[sx->words_n++], sizeof(sx->words[0]), "%s", words);
}

/* of a closed store */
static inline int sx_verify(struct sx *sx)
{
	struct why why = { 0 };

	sx->words_n = 0;
	return store_verify(sx->dir, sx_words, sx, &why);
}
