/* --convert: a store of an older format becomes one of ours; the old files are kept beside it */
#include "store/convert.h"

#include "store/items_priv.h"
#include "store/meta.h"
#include "store/photos.h"
#include "store/stage.h"
#include <assert.h>

#include <inttypes.h>

static const struct convert_step *step_from(const struct convert_formats *formats, int env,
					    uint32_t from)
{
	for (unsigned i = 0; i < formats->steps_n; i++)
		if (formats->steps[i].env == env && formats->steps[i].from == from)
			return &formats->steps[i];
	return NULL;
}

/* each step commits with its number, so a crash in the middle would be seen; but a crash throws the
 * copy away anyhow */
static int run_step(struct db *db, const struct convert_step *step, struct why *why)
{
	uint8_t format[4];
	struct txn txn;
	unsigned meta;

	assert(step != NULL); /* all_steps_known() came first */
	meta = step->env == COPY_ITEMS ? (unsigned)T_META : (unsigned)P_META;
	pack_u32(format, step->from + 1);
	txn_begin(&txn, db, TXN_WRITE);
	if (txn.r == 0)
		step->run(&txn);
	txn_del(&txn, meta, slice_str(META_COPY)); /* the start makes it anew */
	txn_put(&txn, meta, slice_str("format"), slice_of(format, sizeof(format)));
	return txn_end(&txn) < 0
		       ? why_set(why, txn.r, "the step from format %" PRIu32 " of %s failed: %s",
				 step->from, copy_names[step->env], nx_word(txn.r))
		       : 0;
}

static int convert_env(const char *dir, const struct convert_formats *formats, int env,
		       uint32_t from, uint32_t to, struct why *why)
{
	struct db_conf conf = { .tables = env == COPY_ITEMS ? items_tables : photos_tables,
				.tables_n = env == COPY_ITEMS ? ITEMS_TABLES : PHOTOS_TABLES };
	char path[COPY_PATH];
	struct db *db = NULL;
	int r = path_join(path, dir, "/", copy_names[env], why);

	if (r == 0)
		r = db_open(path, &conf, &db, why);
	for (; r == 0 && from < to; from++)
		r = run_step(db, step_from(formats, env, from), why);
	db_close(&db);
	return r;
}

static int all_steps_known(const struct convert_formats *formats, int env, uint32_t from,
			   uint32_t to, struct why *why)
{
	for (; from < to; from++)
		if (step_from(formats, env, from) == NULL)
			return why_set(why, NX_EFORMAT,
				       "%s of format %" PRIu32
				       ": too old for this newsxd; convert with one in between",
				       copy_names[env], from);
	return 0;
}

static int make_ready(const struct stage *stage, const struct convert_formats *formats,
		      struct converted *ret, struct why *why)
{
	int r = copies_take(stage->directory, stage->fresh, 0, &ret->facts, why);

	if (r == 0)
		r = convert_env(stage->fresh, formats, COPY_ITEMS, ret->items_from, formats->items,
				why);
	if (r == 0)
		r = convert_env(stage->fresh, formats, COPY_PHOTOS, ret->photos_from,
				formats->photos, why);
	locks_remove(stage->fresh);
	return r;
}

static int convert_now(const char *directory, const struct convert_formats *formats,
		       int64_t wall_ms, struct converted *ret, struct why *why)
{
	struct stage stage;
	int r = stage_begin(&stage, directory, why);

	if (r < 0)
		return r;
	r = make_ready(&stage, formats, ret, why);
	if (r == 0)
		r = stage_swap(&stage, wall_ms, ret->before, why);
	stage_end(&stage);
	ret->facts.items_format = formats->items;
	ret->facts.photos_format = formats->photos;
	return r < 0 ? r : r == STAGE_UNTIDY ? 2 : 1;
}

int convert_with(const char *directory, const struct convert_formats *formats, int64_t wall_ms,
		 struct converted *ret, struct why *why)
{
	int r;

	*ret = (struct converted){ 0 };
	r = copies_look(directory, true, &ret->facts, why);
	if (r < 0)
		return r;
	ret->items_from = ret->facts.items_format;
	ret->photos_from = ret->facts.photos_format;
	if (ret->items_from == formats->items && ret->photos_from == formats->photos)
		return stage_clear(directory, ret->before, why);
	r = all_steps_known(formats, COPY_ITEMS, ret->items_from, formats->items, why);
	if (r == 0)
		r = all_steps_known(formats, COPY_PHOTOS, ret->photos_from, formats->photos, why);
	return r < 0 ? r : convert_now(directory, formats, wall_ms, ret, why);
}

/* 2 has the table `fresh`, which is empty; and an older daemon must not open it, for it would not
 * look there */
static void fresh_begins(struct txn *txn)
{
	const struct fresh_marks none = { 0 };

	fresh_marks_put(txn, &none);
}

int store_convert(const char *directory, int64_t wall_ms, struct converted *ret, struct why *why)
{
	static const struct convert_step steps[] = { { COPY_ITEMS, 1, fresh_begins } };
	static const struct convert_formats formats = { ITEMS_FORMAT, PHOTOS_FORMAT, steps,
							sizeof(steps) / sizeof(steps[0]) };

	return convert_with(directory, &formats, wall_ms, ret, why);
}
