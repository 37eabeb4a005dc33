/*
 * items_fixture.h - an environment `items` in a folder of its own, items to put into it, and what
 * it told.
 */
#pragma once
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "base/hash.h"
#include "store/items_priv.h"
#include "store/receipt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DAY   (INT64_C(24) * 3600 * 1000)
#define START INT64_C(1800000000000) /* wall, ms */

struct fx {
	char dir[256], items_dir[300];
	struct store_conf store;
	struct items_conf conf;
	struct items *items;
	int64_t boot_ms, wall_ms;
	struct store_event events[256];
	unsigned events_n;
};

static inline void fx_event(void *arg, const struct store_event *event)
{
	struct fx *fx = arg;

	if (fx->events_n < 256)
		fx->events[fx->events_n++] = *event;
}

static inline void fx_unused(void *arg, uint64_t part)
{
	(void)arg;
	(void)part;
}

static inline const struct store_event *fx_told(const struct fx *fx, enum store_event_kind kind)
{
	for (unsigned i = fx->events_n; i > 0; i--)
		if (fx->events[i - 1].kind == kind)
			return &fx->events[i - 1];
	return NULL;
}

static inline void fx_folder(struct fx *fx)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(fx->dir, sizeof(fx->dir), "%s/newsxd-items-XXXXXX", tmp == NULL ? "/tmp" : tmp);
	if (mkdtemp(fx->dir) == NULL)
		abort();
	snprintf(fx->items_dir, sizeof(fx->items_dir), "%s/items", fx->dir);
}

static inline void fx_conf(struct fx *fx)
{
	fx->boot_ms = 1000000;
	fx->wall_ms = START;
	fx->store = (struct store_conf){ .directory = fx->dir,
					 .node = "test",
					 .times.keep_ms = 7 * DAY,
					 .times.orphan_keep_ms = 7 * DAY,
					 .times.history_keep_ms = 400 * DAY,
					 .times.embargo_ahead_ms = 400 * DAY,
					 .times.clock_jump_ms = 60000,
					 .times.held_size = 1 << 20 };
	fx->conf = (struct items_conf){ .dir = fx->items_dir,
					.size = 32 << 20,
					.store = &fx->store,
					.event = fx_event,
					.unused = fx_unused,
					.arg = fx };
}

static inline int fx_open(struct fx *fx)
{
	struct why why = { 0 };
	int r = items_open(&fx->conf, &fx->items, &why);

	if (r < 0)
		fprintf(stderr, "items_open: %s: %s\n", nx_word(r), why.words);
	return r;
}

static inline void fx_remove(const struct fx *fx)
{
	static const char *const names[] = { "items/data.mdb", "items/lock.mdb",
					     "items.new/data.mdb", "items.new/lock.mdb" };
	char path[400];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", fx->dir, names[i]);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s/items", fx->dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/items.new", fx->dir);
	rmdir(path);
	rmdir(fx->dir);
}

static inline int fx_setup(void **state)
{
	struct fx *fx = calloc(1, sizeof(*fx));

	if (fx == NULL)
		return -1;
	fx_folder(fx);
	fx_conf(fx);
	*state = fx;
	return fx_open(fx);
}

static inline int fx_teardown(void **state)
{
	struct fx *fx = *state;

	items_close(&fx->items);
	fx_remove(fx);
	free(fx);
	return 0;
}

static inline void fx_reopen(struct fx *fx)
{
	items_close(&fx->items);
	assert_int_equal(fx_open(fx), 0);
}

/* ---- an item: what is left out has a value that works */
struct it {
	const char *uri, *version, *channel, *document;
	int64_t created_ms, embargo_ms; /* 0 = none */
	enum news_status status;
	int urgency;
	uint32_t partner;
	unsigned kills_per_day;
	const struct store_part *parts;
	unsigned parts_n;
};

struct fx_put {
	struct facts facts;
	struct store_put put;
};

static inline struct slice or_text(const char *text, const char *other)
{
	return slice_str(text == NULL ? other : text);
}

static inline void fx_make(struct fx_put *p, const struct it *it)
{
	memset(p, 0, sizeof(*p));
	p->facts = (struct facts){
		.origin = slice_str("kpl"),
		.uri = or_text(it->uri, "urn:1"),
		.version = or_text(it->version, "1"),
		.channel = or_text(it->channel, "world"),
		.urgency = it->urgency,
		.status = it->status,
		.version_created_ms = it->created_ms == 0 ? TIME_NONE : it->created_ms,
		.embargo_ms = it->embargo_ms == 0 ? TIME_NONE : it->embargo_ms,
	};
	p->put = (struct store_put){
		.req = { .kind = REQ_PUT, .partner = it->partner == 0 ? 1 : it->partner },
		.facts = &p->facts,
		.envelope = slice_str("{}"),
		.document = or_text(it->document, "{\"uri\":\"urn:1\"}"),
		.parts = it->parts,
		.parts_n = it->parts_n,
		.kills_per_day = it->kills_per_day == 0 ? 1000 : it->kills_per_day,
		.received_ms = START - 1,
	};
}

struct given { /* what a put was answered with */
	int code;
	uint64_t sequence, position;
	int64_t stored_ms;
	enum result result;
};

static inline struct given fx_given(struct store_put *put)
{
	struct given given = { .code = put->req.code };

	if (put->receipt != NULL) {
		given.sequence = receipt_sequence(put->receipt);
		given.position = receipt_position(put->receipt);
		given.stored_ms = receipt_stored_ms(put->receipt);
		given.result = receipt_result(put->receipt);
	}
	items_receipt_free(put);
	return given;
}

static inline struct given fx_it(struct fx *fx, const struct it *it)
{
	struct fx_put p;

	fx_make(&p, it);
	assert_int_equal(items_batch(fx->items, &p.put.req, fx->boot_ms, fx->wall_ms), 0);
	assert_true((p.put.req.code == 0) == (p.put.receipt != NULL));
	assert_true(p.put.req.code == 0 || p.put.req.why.words[0] != '\0');
	return fx_given(&p.put);
}
#define fx_put(fx, ...) fx_it((fx), &(struct it){ __VA_ARGS__ })

static inline void fx_advance(struct fx *fx, int64_t ms)
{
	fx->boot_ms += ms;
	fx->wall_ms += ms;
}

static inline int fx_release(struct fx *fx)
{
	return items_release(fx->items, fx->boot_ms, fx->wall_ms, false);
}

static inline struct record fx_head(struct fx *fx, uint64_t sequence)
{
	struct record record = { 0 };
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_READ);
	assert_int_equal(record_head(&txn, sequence, &record), 0);
	txn_end(&txn);
	return record;
}

static inline struct story_row fx_story(struct fx *fx, const char *uri)
{
	struct it it = { .uri = uri };
	struct story_row row;
	struct fx_put p;
	uint8_t key[32];
	struct txn txn;

	fx_make(&p, &it);
	facts_story_key(&p.facts, key);
	assert_int_equal(fresh_load(fx->items), 0);
	txn_begin(&txn, items_db(fx->items), TXN_READ);
	story_get(&txn, key, fresh_guess(fx->items, key), &row);
	txn_end(&txn);
	return row;
}

static inline uint64_t fx_entries(struct fx *fx, enum items_table table)
{
	struct txn txn;
	uint64_t n;

	txn_begin(&txn, items_db(fx->items), TXN_READ);
	n = txn_entries(&txn, table);
	txn_end(&txn);
	return n;
}

static inline enum settle_how fx_verdict(struct fx *fx, uint64_t sequence, bool all)
{
	struct record record = fx_head(fx, sequence);
	enum settle_how how;
	struct txn txn;

	txn_begin(&txn, items_db(fx->items), TXN_READ);
	how = story_verdict(&txn, &record, all);
	txn_end(&txn);
	return how;
}
