/* --restore: a copy becomes the store, under an epoch of its own */
#include "store/items_meta.h"
#include "store/stage.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* octet for octet, and what was written when the copy was made */
static int copy_back(const char *from, const char *to, int env, const struct copy_facts *facts,
		     struct why *why)
{
	char source[COPY_PATH], folder[COPY_PATH], path[COPY_PATH], part[32];
	struct pump pump = { .path = path };
	int r;

	snprintf(part, sizeof(part), "%s/data.mdb", copy_names[env]);
	r = path_join(source, from, "/", part, why);
	if (r == 0)
		r = path_join(folder, to, "/", copy_names[env], why);
	if (r == 0)
		r = path_join(path, to, "/", part, why);
	if (r == 0)
		r = folder_make(folder, why);
	if (r < 0)
		return r;
	pump.in = open(source, O_RDONLY | O_CLOEXEC);
	if (pump.in < 0)
		return copies_failed(why, "opening", source);
	r = pump_run(&pump, why);
	close(pump.in);
	if (r == 0 && (pump.octets != facts->octets[env] ||
		       memcmp(pump.sha256, facts->sha256[env], SHA256_LEN) != 0))
		r = why_set(why, NX_ECORRUPT,
			    "%s is not what the backup wrote: it is damaged or was changed",
			    source);
	return r < 0 ? r : folder_sync(folder, why);
}

/* what partners hold of the old epoch above that sequence is gone, and this is how they learn it */
static int new_epoch(const char *dir, uint64_t *ret_epoch, const struct copy_facts *facts,
		     struct why *why)
{
	struct db_conf conf = { .tables = items_tables, .tables_n = ITEMS_TABLES };
	uint8_t restored[16];
	char path[COPY_PATH];
	struct db *db = NULL;
	struct txn txn;
	int r = path_join(path, dir, "/", "items", why);

	do
		random_octets(ret_epoch, sizeof(*ret_epoch));
	while (*ret_epoch == 0 || *ret_epoch == facts->epoch);
	pack_u64(pack_u64(restored, facts->epoch), facts->sequence);
	if (r == 0)
		r = db_open(path, &conf, &db, why);
	if (r < 0)
		return r;
	txn_begin(&txn, db, TXN_WRITE);
	txn_del(&txn, T_META, slice_str(META_COPY)); /* the start makes it anew */
	meta_u64(&txn, "epoch", *ret_epoch);
	txn_put(&txn, T_META, slice_str("restored"), slice_of(restored, sizeof(restored)));
	r = txn_end(&txn);
	db_close(&db);
	return r < 0 ? why_set(why, r, "%s: the new epoch cannot be written: %s", path, nx_word(r))
		     : 0;
}

static int make_ready(const struct stage *stage, const char *from, struct restored *ret,
		      struct why *why)
{
	struct copy_facts facts;
	int r = 0;

	for (int env = 0; r == 0 && env < COPY_ENVS; env++) {
		(void)FAULT(env == COPY_ITEMS ? "copy.items" : "copy.photos");
		r = copy_back(from, stage->fresh, env, &ret->copy, why);
	}
	if (r == 0)
		r = copies_look(stage->fresh, true, &facts, why);
	if (r == 0 && (facts.epoch != ret->copy.epoch || facts.sequence != ret->copy.sequence))
		r = why_set(why, NX_ECORRUPT, "%s/backup.txt speaks of another store", from);
	if (r == 0)
		r = new_epoch(stage->fresh, &ret->epoch, &ret->copy, why);
	locks_remove(stage->fresh);
	return r;
}

int store_restore(const struct restore_conf *conf, struct restored *ret, struct why *why)
{
	struct stage stage;
	int r;

	*ret = (struct restored){ 0 };
	r = note_read(conf->from, &ret->copy, why);
	if (r == 0)
		r = format_check(conf->from, ret->copy.items_format, ITEMS_FORMAT, true, why);
	if (r < 0)
		return r;
	r = stage_begin(&stage, conf->directory, why);
	if (r < 0)
		return r;
	r = make_ready(&stage, conf->from, ret, why);
	if (r == 0)
		r = stage_swap(&stage, conf->wall_ms, ret->before, why);
	stage_end(&stage);
	return r;
}
