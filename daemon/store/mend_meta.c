/*
 * At open, and for a running daemon: rows of meta that cannot be right.
 *
 * Most say again what their copy says (items_meta.h). Without a copy the counters are found in the
 * tables, but those do not know what was retired: so they go on far above, and under a new epoch,
 * for a sequence is unique only together with its epoch. An epoch that nobody knows is a new one
 * too. Either way partners learn it as they do from a restored store, and offer again what may be
 * missing.
 */
#include "store/format.h"
#include "store/items_meta.h"
#include "store/put.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define SKIP_SEQUENCES (UINT64_C(1) << 20)

struct looking {
	struct txn *txn;
	const char *node;
	struct meta_look *to;
	struct meta_facts copy;
	bool copied; /* copy can be trusted */
	bool running;
	bool copy_strayed; /* a row has nearly its name */
};

static void fault(struct looking *look, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void fault(struct looking *look, const char *key, const char *format, ...)
{
	struct meta_look *to = look->to;
	va_list args;

	to->anew = true;
	if (to->faults_n == META_FAULTS)
		return; /* those that are told are enough to act upon */
	snprintf(to->faults[to->faults_n].key, sizeof(to->faults[0].key), "%s", key);
	va_start(args, format);
	vsnprintf(to->faults[to->faults_n++].words, sizeof(to->faults[0].words), format, args);
	va_end(args);
}

static struct slice value_of(struct looking *look, const char *name)
{
	return meta_row_value(meta_rows_find(&look->to->rows, name));
}

static uint64_t new_epoch(uint64_t old)
{
	uint64_t epoch = 0;

	while (epoch == 0 || epoch == old)
		random_octets(&epoch, sizeof(epoch));
	return epoch;
}

/* ---- each row */

/* what a running daemon knows is as good as a copy that can be read */
static void look_copy(struct looking *look, const struct meta_facts *now)
{
	struct meta_row *row = meta_rows_find(&look->to->rows, META_COPY);
	struct meta_facts found;
	enum meta_state state = meta_copy_parse(meta_row_value(row), &found);

	look->copied = state != META_BAD;
	look->copy = found;
	if (row == NULL || state != META_WELL)
		look->to->anew = true;
	if ((row != NULL && state == META_BAD) || look->copy_strayed)
		fault(look, META_COPY, "the copy of the other rows was damaged: made again");
	if (now != NULL) {
		look->copied = true;
		look->copy = *now;
	}
}

static int look_format(struct looking *look, struct why *why)
{
	struct slice value = value_of(look, "format");
	uint32_t format = value.n == 4 ? unpack_u32(value.p) : 0;

	look->to->facts.format = ITEMS_FORMAT;
	if (format == ITEMS_FORMAT)
		return 0;
	if (!look->copied || look->copy.format != ITEMS_FORMAT)
		return value.n != 4 ? why_set(why, NX_ECORRUPT, "the store has no format row")
				    : format_check("the store", format, ITEMS_FORMAT, false, why);
	fault(look, "format", "the number of the format was damaged: it is %d, as its copy says",
	      ITEMS_FORMAT);
	return 0;
}

/* an older newsxd that restored this store wrote no copy: then "restored" names the epoch that the
 * copy has */
static void look_epoch(struct looking *look)
{
	struct meta_facts *facts = &look->to->facts;
	struct slice value = value_of(look, "epoch"), restored = value_of(look, "restored");
	uint64_t epoch = value.n == 8 ? unpack_u64(value.p) : 0, from = 0, upto = 0;
	bool known = restored.n == 16;

	if (known) {
		from = unpack_u64(restored.p);
		upto = unpack_u64(restored.p + 8);
	}
	if (look->copied &&
	    !(epoch != 0 && epoch != look->copy.epoch && known && from == look->copy.epoch)) {
		facts->epoch = look->copy.epoch;
		facts->restored_epoch = look->copy.restored_epoch;
		facts->restored_sequence = look->copy.restored_sequence;
		if (epoch != facts->epoch)
			fault(look, "epoch", "the epoch was damaged: it is as its copy says");
		if (from != facts->restored_epoch || upto != facts->restored_sequence)
			fault(look, "restored",
			      "what the store was restored from was damaged: it is as its copy "
			      "says");
		return;
	}
	facts->epoch = epoch != 0 ? epoch : new_epoch(0);
	facts->restored_epoch = epoch != 0 ? from : 0;
	facts->restored_sequence = epoch != 0 ? upto : 0;
	if (epoch == 0)
		fault(look, "epoch",
		      "the epoch was damaged, and has no copy: a new one, as after a restore; "
		      "partners offer again what they hold");
	if (!known && meta_rows_find(&look->to->rows, "restored") != NULL)
		fault(look, "restored", "what the store was restored from is not known any more");
}

static void look_node(struct looking *look)
{
	char *node = look->to->facts.node;
	struct slice value = value_of(look, "node");
	const size_t size = sizeof(look->to->facts.node);

	if (look->copied)
		snprintf(node, size, "%s", look->copy.node);
	else if (value.p != NULL && value.n < size)
		snprintf(node, size, "%.*s", (int)value.n, (const char *)value.p);
	else
		snprintf(node, size, "%s", look->node);
	if (value.p == NULL || !slice_is(value, node))
		fault(look, "node", "the name of the node was damaged: it is %s", node);
}

/* ---- counters */

static void raise_to(uint64_t *most, uint64_t u)
{
	*most = u > *most ? u : *most;
}

/* at least: by the last row of each table that has one */
static struct items_count count_least(struct txn *txn)
{
	struct items_count count = { .sequence_last = table_last(txn, T_ITEMS),
				     .position_last = table_last(txn, T_FEED),
				     .held = txn_entries(txn, T_HELD) };
	struct feed_row last;

	raise_to(&count.sequence_last, table_last(txn, T_FRESH));
	raise_to(&count.position_last, table_last(txn, T_FLASH));
	if (feed_get(txn, count.position_last, &last)) {
		raise_to(&count.sequence_last, last.sequence);
		count.total_items = last.total_items;
		count.total_octets = last.total_octets;
	}
	return count;
}

/* what is settled lies before the last row of its subscription */
static void raise_by_owed(struct txn *txn, struct items_count *count)
{
	struct owed_row row;
	struct cur cur;

	cur_open(&cur, txn, T_OWED);
	for (bool more = cur_first(&cur); more; more = cur_next(&cur))
		if (owed_row(cur.key, cur.value, &row))
			raise_to(&count->position_last,
				 row.last == UINT64_MAX ? row.first - 1 : row.last);
	cur_close(&cur);
}

static void raise_by_stories(struct txn *txn, struct items_count *count)
{
	struct identity_row identity;
	struct story_row story;
	struct cur cur;

	cur_open(&cur, txn, T_STORIES);
	for (bool more = cur_first(&cur); more; more = cur_next(&cur)) {
		if (identity_parse(cur.value, &identity)) {
			raise_to(&count->sequence_last, identity.sequence);
			raise_to(&count->position_last, identity.position);
		} else if (story_parse(cur.value, &story)) {
			raise_to(&count->sequence_last, story.newest);
			raise_to(&count->sequence_last, story.kill);
		}
	}
	cur_close(&cur);
}

static bool below(const struct items_count *count, const struct items_count *least)
{
	return count->sequence_last < least->sequence_last ||
	       count->position_last < least->position_last;
}

static void count_anew(struct looking *look, const struct items_count *least)
{
	struct meta_facts *facts = &look->to->facts;

	facts->count = *least;
	raise_by_owed(look->txn, &facts->count);
	raise_by_stories(look->txn, &facts->count);
	if (look->copied) /* not of the last moment, but true once */
		raise_to(&facts->count.sequence_last, look->copy.count.sequence_last);
	facts->restored_epoch = facts->epoch;
	facts->restored_sequence = facts->count.sequence_last;
	facts->epoch = new_epoch(facts->epoch);
	facts->count.sequence_last += SKIP_SEQUENCES;
	fault(look, "counters",
	      "the counters were damaged, and have no copy: sequences go on from %" PRIu64
	      ", positions from %" PRIu64 ", under a new epoch, as after a restore",
	      facts->count.sequence_last, facts->count.position_last);
}

static void look_counters(struct looking *look)
{
	struct meta_facts *facts = &look->to->facts;
	struct slice value = value_of(look, "counters");
	struct items_count found, least = count_least(look->txn);
	enum meta_state state = value.n == 0 ? META_BAD : count_parse(value, &found);

	if (look->running) {
		facts->count = look->copy.count;
		if (state != META_WELL || memcmp(&found, &facts->count, sizeof(found)) != 0)
			fault(look, "counters", "the counters were damaged: they are as before");
		return;
	}
	if (state != META_BAD && !below(&found, &least)) {
		facts->count = found;
		look->to->anew = look->to->anew || state == META_ODD;
	} else if (look->copied && !below(&look->copy.count, &least)) {
		facts->count = look->copy.count;
		fault(look, "counters", "the counters were damaged: they are as their copy says");
	} else {
		count_anew(look, &least);
	}
	if (facts->count.held != least.held) {
		facts->count.held = least.held;
		look->to->anew = true;
	}
}

/* ---- the rest */

/* the time of the last item: the clock was once there at least */
static int64_t wall_least(struct looking *look)
{
	struct record record;
	uint64_t last = table_last(look->txn, T_ITEMS);

	return last != 0 && record_head(look->txn, last, &record) == 0 ? record.stored_ms
								       : TIME_NONE;
}

/* an older newsxd may have written a later one; but no time that is one bit away */
static void look_wall(struct looking *look)
{
	struct meta_facts *facts = &look->to->facts;
	struct meta_row *row = meta_rows_find(&look->to->rows, "wall");
	struct slice value = meta_row_value(row);
	bool there = value.n == 8;

	facts->wall_ms = there ? (int64_t)unpack_u64(value.p) : TIME_NONE;
	if (look->copied &&
	    (!there || __builtin_popcountll((uint64_t)(facts->wall_ms ^ look->copy.wall_ms)) == 1))
		facts->wall_ms = look->copy.wall_ms;
	else if (!there && row != NULL)
		facts->wall_ms = wall_least(look);
	else
		return;
	if (facts->wall_ms != TIME_NONE || row != NULL)
		fault(look, "wall", "the last time of the clock was damaged: %s",
		      look->copied ? "it is as its copy says" : "it is the last item's");
}

static int look_fresh(struct looking *look)
{
	struct meta_row *row = meta_rows_find(&look->to->rows, "fresh");
	struct fresh_marks *fresh = &look->to->fresh;
	uint64_t end = look->to->facts.count.sequence_last + 1;
	enum meta_state state =
		row == NULL ? META_NONE : fresh_marks_parse(meta_row_value(row), fresh);

	if (row == NULL && !look->copied)
		return 0; /* an older newsxd wrote none before it merged */
	if (state == META_ODD)
		look->to->anew = true;
	if ((state == META_WELL || state == META_ODD) && fresh->first <= end && fresh->split <= end)
		return 0;
	if (look->running)
		return NX_ECORRUPT; /* it may stand in the middle of a merge */
	*fresh = fresh_marks_find(look->txn);
	fault(look, "fresh",
	      "how far late stories were merged was damaged: found again, from %" PRIu64 " on",
	      fresh->first);
	return 0;
}

/* rows of which there is one for each partner */
static void look_of_partner(struct looking *look, struct meta_row *row)
{
	struct slice name = slice_of(row->name, row->name_n), value = meta_row_value(row);
	bool held = meta_row_is_kind(row, HELD_KIND);
	enum meta_state state = value.n == 0 ? META_BAD
				: held       ? held_sum_state(name, value)
					     : kills_state(name, value);

	if (state == META_ODD)
		look->to->anew = true;
	if (held)
		look->to->held = look->to->held || state != META_WELL;
	if (state != META_BAD)
		return;
	row->gone = true;
	if (held)
		fault(look, row->name, "what a partner has held was damaged: counted anew");
	else
		fault(look, row->name,
		      "how many kills a partner sent today was damaged: counted from none");
}

static const char *const ours[] = { "format", "epoch",    "node",  "restored",
				    "wall",   "counters", "fresh", META_COPY };

static bool is_ours(const struct meta_row *row, bool near)
{
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (near ? meta_row_near(row, ours[i])
			 : slice_is(slice_of(row->name, row->name_n), ours[i]))
			return true;
	return false;
}

/* a later newsxd may have rows that we do not know; but none of them has nearly the name of ours */
static void look_names(struct looking *look)
{
	bool held = false;

	for (size_t i = 0; i < look->to->rows.n; i++) {
		struct meta_row *row = &look->to->rows.p[i];

		if (is_ours(row, false))
			continue;
		if (meta_row_is_kind(row, HELD_KIND) || meta_row_is_kind(row, KILLS_KIND)) {
			look_of_partner(look, row);
			continue;
		}
		look->copy_strayed = look->copy_strayed || meta_row_near(row, META_COPY);
		held = held || meta_row_near_kind(row, HELD_KIND);
		row->gone = is_ours(row, true) || meta_row_near_kind(row, HELD_KIND) ||
			    meta_row_near_kind(row, KILLS_KIND);
		if (meta_row_near_kind(row, KILLS_KIND))
			fault(look, "kills",
			      "how many kills a partner sent today was damaged: "
			      "counted from none");
		look->to->anew = look->to->anew || row->gone;
	}
	look->to->held = look->to->held || held;
	if (held)
		fault(look, "held", "what a partner has held was damaged: counted anew");
}

int meta_look(struct txn *txn, const struct meta_facts *now, const char *node,
	      struct meta_look *ret, struct why *why)
{
	struct looking look = { .txn = txn, .node = node, .to = ret, .running = now != NULL };
	int r;

	*ret = (struct meta_look){ 0 };
	r = meta_rows_read(txn, T_META, &ret->rows);
	if (r < 0)
		return r;
	look_names(&look);
	look_copy(&look, now);
	r = look_format(&look, why);
	if (r < 0)
		return r;
	look_epoch(&look);
	look_node(&look);
	look_counters(&look);
	look_wall(&look);
	r = look_fresh(&look);
	if (!look.copied || !meta_copy_is(&look.copy, &ret->facts))
		ret->anew = true;
	if (ret->rows.disorder && ret->faults_n == 0)
		fault(&look, "", "rows stood in a wrong order: put in order");
	return r < 0 ? r : txn->r;
}

void meta_look_done(struct meta_look *look)
{
	meta_rows_free(&look->rows);
}

/* ---- what is done about it */

static void write_anew(struct txn *txn, struct meta_look *look)
{
	for (size_t i = 0; i < look->rows.n; i++) {
		struct meta_row *row = &look->rows.p[i];

		if (is_ours(row, false) || (look->held && meta_row_is_kind(row, HELD_KIND)))
			row->gone = true;
	}
	meta_rewrite(txn, T_META, &look->rows);
	meta_facts_put(txn, &look->facts);
	fresh_marks_put(txn, &look->fresh);
	if (look->held)
		held_sums_anew(txn);
}

static void mend(struct items *items, struct txn *txn, struct meta_look *look)
{
	write_anew(txn, look);
	for (unsigned i = 0; i < look->faults_n; i++)
		items_note_mended(items, txn, "meta", look->faults[i].key, "%s",
				  look->faults[i].words);
}

void items_mend_meta(struct items *items, struct txn *txn)
{
	const struct meta_facts now = items_meta_facts(items);
	struct meta_look look;
	int r = meta_look(txn, &now, items->node, &look, NULL);

	if (r == 0 && look.anew)
		mend(items, txn, &look);
	else if (r < 0 && txn->r == 0)
		txn->r = r;
	meta_look_done(&look);
}

static void take(struct items *items, const struct meta_look *look)
{
	items->epoch = look->facts.epoch;
	items->restored_epoch = look->facts.restored_epoch;
	items->restored_sequence = look->facts.restored_sequence;
	items->count = look->facts.count;
	items->wall_stored_ms = look->facts.wall_ms;
	memcpy(items->node, look->facts.node, sizeof(items->node));
}

int items_meta_open(struct items *items, struct why *why)
{
	struct meta_look look;
	struct txn txn;
	int r;

	txn_begin(&txn, items->db, TXN_READ);
	r = meta_look(&txn, NULL, items->node, &look, why);
	txn_abort(&txn);
	if (r == 0) {
		take(items, &look);
		if (look.anew) {
			items_begin(items, &txn);
			mend(items, &txn, &look);
			r = items_end(items, &txn);
		}
	}
	meta_look_done(&look);
	return r;
}
