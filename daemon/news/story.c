#include "news/story.h"
#include "news/arena.h"
#include "news/parts.h"
#include "proto/escape.h"
#include "proto/judge.h"
#include "proto/tape.h"
#include "proto/utf8.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY_MAX   (32u << 20) /* a document that story_scan() let pass never comes near it */
#define VERSION_NONE "0"

void story_init(void)
{
	judge_memory(arena_alloc, arena_free);
}

/* a property; NULL when it is left out or null */
static const struct tape_node *property(const struct tape_node *object, const char *name)
{
	const struct tape_node *value = tape_get(object, name);

	return value == NULL || value->kind == TAPE_NULL ? NULL : value;
}

static const struct tape_node *either(const struct tape_node *object, const char *name,
				      const char *other)
{
	const struct tape_node *value = property(object, name);

	return value == NULL ? property(object, other) : value;
}

/* empty when it is no string. Without memory too: arena_end() tells */
static struct slice text_of(const struct tape_node *value)
{
	uint8_t *text;

	if (value == NULL || value->kind != TAPE_STRING)
		return (struct slice){ .n = 0 };
	if (!value->text_escaped)
		return value->text;
	text = arena_alloc(value->text.n);
	return slice_of(text, text == NULL ? 0 : escape_read(value->text, text));
}

/* C0, C1 and DEL */
static bool has_control(struct slice s)
{
	while (s.n > 0) {
		uint32_t u = 0;
		unsigned n = utf8_letter(s, &u);

		if (n == 0 || u < 0x20 || (u >= 0x7f && u <= 0x9f))
			return true;
		s = slice_of(s.p + n, s.n - n);
	}
	return false;
}

/* ---- identity */

static int read_uri(const struct tape_node *item, struct facts *facts, struct why *why)
{
	const struct tape_node *value = either(item, "uri", "guid");

	if (value == NULL)
		return why_set(why, NX_ENOURI, "there is neither uri nor guid");
	facts->uri = text_of(value);
	if (facts->uri.n == 0)
		return why_set(why, NX_ENOURI, "the uri is empty or no string");
	if (facts->uri.n > URI_MAX)
		return why_set(why, NX_ENOURI, "the uri has %zu octets, %d are allowed",
			       facts->uri.n, URI_MAX);
	if (has_control(facts->uri))
		return why_set(why, NX_ENOURI, "there are control characters in the uri");
	return 0;
}

static int read_version(const struct tape_node *item, struct facts *facts, char digits[24],
			struct why *why)
{
	const struct tape_node *value = property(item, "version");
	int64_t n;

	if (value == NULL) {
		facts->version = slice_str(VERSION_NONE);
	} else if (tape_integer(value, &n) && n >= 0) {
		snprintf(digits, 24, "%lld", (long long)n);
		facts->version = slice_str(digits);
	} else {
		facts->version = text_of(value);
	}
	if (facts->version.n == 0 || facts->version.n > VERSION_MAX || has_control(facts->version))
		return why_set(why, NX_EVERSION,
			       "version must be a string of 1 to %d octets without control "
			       "characters, or a whole number",
			       VERSION_MAX);
	return 0;
}

/* ---- what the exchange acts on */

static int read_status(const struct tape_node *item, struct facts *facts, struct why *why)
{
	static const struct {
		const char *word;
		enum news_status status;
	} words[] = {
		{ "usable", STATUS_USABLE },
		{ "withheld", STATUS_WITHHELD },
		{ "canceled", STATUS_CANCELED },
		{ "cancelled", STATUS_CANCELED },
	};
	static const char *const names[] = { "pubstatus", "pubStatus" };

	facts->status = STATUS_USABLE;
	for (size_t i = 0; i < 2; i++) {
		const struct tape_node *value = property(item, names[i]);
		bool known = value == NULL;

		for (size_t j = 0; j < 4 && !known; j++) {
			known = slice_is(text_of(value), words[j].word);
			if (known && words[j].status > facts->status)
				facts->status = words[j].status;
		}
		if (!known)
			return why_set(why, NX_ESTATUS, "%s must be usable, withheld or canceled",
				       names[i]);
	}
	return 0;
}

static int read_version_created(const struct tape_node *item, struct facts *facts, struct why *why)
{
	static const char *const names[] = { "versionCreated", "versioncreated" };

	facts->version_created_ms = TIME_NONE;
	for (size_t i = 0; i < 2; i++) {
		const struct tape_node *value = property(item, names[i]);

		if (value != NULL && !story_time(text_of(value), &facts->version_created_ms))
			return why_set(why, NX_EDATE,
				       "%s must be a time with its zone, as 2026-11-22T10:00:00Z",
				       names[i]);
	}
	return 0;
}

static int read_embargo(const struct tape_node *item, struct facts *facts, struct why *why)
{
	static const char *const names[] = { "embargoed", "embargoedUntil", "embargo" };

	facts->embargo_ms = TIME_NONE;
	for (size_t i = 0; i < 3; i++) {
		const struct tape_node *value = property(item, names[i]);
		int64_t ms;

		if (value == NULL)
			continue;
		if (!story_time(text_of(value), &ms))
			return why_set(why, NX_EEMBARGO,
				       "%s must be a time with its zone, as 2026-11-22T10:00:00Z",
				       names[i]);
		if (ms > facts->embargo_ms)
			facts->embargo_ms = ms;
	}
	return 0;
}

static int read_urgency(const struct tape_node *item, struct facts *facts, struct why *why)
{
	const struct tape_node *value = property(item, "urgency");
	int64_t n;

	facts->urgency = 0;
	if (value == NULL)
		return 0;
	if (!tape_integer(value, &n) || n < 1 || n > 9)
		return why_set(why, NX_EURGENCY, "urgency must be a whole number from 1 to 9");
	facts->urgency = (int)n;
	return 0;
}

/* ---- what filters and the log look at */

static int read_text(const struct tape_node *item, const char *name, struct slice *ret,
		     struct why *why)
{
	const struct tape_node *value = property(item, name);

	if (value != NULL && value->kind != TAPE_STRING)
		return why_set(why, NX_EFIELD, "%s must be a string", name);
	*ret = utf8_cut(text_of(value), FACT_MAX);
	return 0;
}

static const struct tape_node *first_of(const struct tape_node *list)
{
	return list != NULL && list->kind == TAPE_LIST && list->span > 1 ? tape_in(list) : NULL;
}

/* name, or the first value of the list that newer documents have instead */
static struct slice text_or_first(const struct tape_node *item, const char *name, const char *list)
{
	const struct tape_node *value = property(item, name);

	if (value == NULL || value->kind != TAPE_STRING) {
		value = first_of(property(item, list));
		if (value != NULL && value->kind == TAPE_OBJECT)
			value = property(value, "value");
	}
	return utf8_cut(text_of(value), FACT_MAX);
}

static void read_subjects(const struct tape_node *list, struct facts *facts)
{
	static const char *const names[] = { "code", "qcode", "uri", "literal", "name" };
	const struct tape_node *entry = first_of(list);

	for (; entry != NULL && entry < tape_behind(list); entry += entry->span) {
		struct slice s = text_of(entry);

		for (size_t j = 0; j < 5 && s.n == 0; j++)
			s = text_of(property(entry, names[j]));
		if (s.n > 0 && facts->subjects_n < SUBJECTS_MAX)
			facts->subjects[facts->subjects_n++] = utf8_cut(s, FACT_MAX);
	}
}

static int read_fields(const struct tape_node *item, struct facts *facts, char digits[24],
		       struct why *why)
{
	int r = read_uri(item, facts, why);

	if (r == 0)
		r = read_version(item, facts, digits, why);
	if (r == 0)
		r = read_status(item, facts, why);
	if (r == 0)
		r = read_embargo(item, facts, why);
	if (r == 0)
		r = read_version_created(item, facts, why);
	if (r == 0)
		r = read_urgency(item, facts, why);
	if (r == 0)
		r = read_text(item, "type", &facts->type, why);
	if (r == 0)
		r = read_text(item, "language", &facts->language, why);
	if (r < 0)
		return r;
	facts->slugline = text_or_first(item, "slugline", "sluglines");
	facts->headline = text_or_first(item, "headline", "headlines");
	read_subjects(property(item, "subject"), facts);
	read_subjects(property(item, "subjects"), facts);
	return 0;
}

/* ---- parts; story_scan() has seen to it that nothing is nested deeply */

typedef int member_fn(const struct tape_node *member, struct parts *parts, struct why *why);

/* each member of an object or a list */
static int each(const struct tape_node *value, member_fn *fn, struct parts *parts, struct why *why)
{
	const struct tape_node *member;
	int r = 0;

	if (value == NULL)
		return 0;
	for (member = tape_in(value); member < tape_behind(value) && r == 0; member += member->span)
		r = fn(member, parts, why);
	return r;
}

static int rendition(const struct tape_node *member, struct parts *parts, struct why *why)
{
	struct slice href = text_of(property(member, "href"));

	if (!parts_is_relative(href))
		return 0;
	if (has_control(href))
		return why_set(why, NX_EFIELD, "there are control characters in an href");
	if (parts_add(parts, href) < 0)
		return why_set(why, NX_EPARTS, "the document names more than %u parts",
			       parts->most);
	return 0;
}

static int item_parts(const struct tape_node *item, struct parts *parts, struct why *why)
{
	int r = each(property(item, "renditions"), rendition, parts, why);

	return r < 0 ? r : each(property(item, "associations"), item_parts, parts, why);
}

/* ---- the whole */

/* what a tape did not take: jansson has the words. On its way there it may stumble over a large
 * number, which is no fault here */
static int say_fault(struct slice document, int fault, struct why *why)
{
	struct judgement judgement;
	int r;

	assert(judge_memory_is(arena_alloc)); /* story_init() comes first */
	r = judge(document, &judgement);
	if (arena_refused() || fault == NX_ENOMEM)
		return why_set(why, NX_ENOMEM, "out of memory");
	if (r == 0 || judgement.large) {
		r = fault == NX_EJSON ? NX_EDOCUMENT : fault;
		return why_set(why, r, "cannot be read: %s", nx_word(r));
	}
	return why_set(why, r == NX_EJSON ? NX_EDOCUMENT : r, "line %d: %s", judgement.line,
		       judgement.words);
}

static int parse(struct slice document, const struct story_limits *limits,
		 const struct tape_node **ret, struct why *why)
{
	size_t room = tape_room(document.n), most = MEMORY_MAX / 2 / sizeof(struct tape_node);
	struct tape tape = { .depth_max = limits->depth_max };
	int r, fault;

	room = room < most ? room : most;
	tape.cap = room < limits->values_max ? (unsigned)room : limits->values_max;
	tape.nodes = arena_alloc(tape.cap * sizeof(*tape.nodes));
	if (tape.nodes == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	*ret = tape.nodes;
	fault = document.n > limits->document_max ? NX_EJSON : tape_read(document, &tape);
	if (fault == 0)
		return 0;
	r = story_scan(document, limits, why);
	return r < 0 ? r : say_fault(document, fault, why);
}

static int read_item(const struct tape_node *item, const struct story_limits *limits,
		     struct story *ret, struct why *why)
{
	struct facts facts = { .block = NULL };
	struct parts parts = { .most = limits->parts_max };
	char digits[24];
	int r = read_fields(item, &facts, digits, why);

	if (r < 0)
		return r;
	parts.names = arena_alloc((parts.most + 1) * sizeof(*parts.names));
	if (parts.names == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	r = item_parts(item, &parts, why);
	if (r < 0)
		return r;
	ret->parts_n = parts.n;
	ret->parts = parts_copy(&parts);
	if (ret->parts == NULL || facts_copy(&facts, &ret->facts) < 0)
		return why_set(why, NX_ENOMEM, "out of memory");
	return 0;
}

int story_read(struct slice document, const struct story_limits *limits, struct story *ret,
	       struct why *why)
{
	struct story story = { .parts_n = 0 };
	const struct tape_node *item = NULL;
	int r;

	arena_begin(MEMORY_MAX);
	r = parse(document, limits, &item, why);
	if (r == 0)
		r = read_item(item, limits, &story, why);
	/* an allocation that failed may have left a text empty, or jansson without octets */
	if (arena_end() && r != NX_ENOMEM)
		r = why_set(why, NX_ENOMEM, "out of memory");
	if (r < 0)
		story_done(&story);
	else
		*ret = story;
	return r;
}

void story_done(struct story *story)
{
	facts_done(&story->facts);
	free(story->parts);
	story->parts = NULL;
	story->parts_n = 0;
}

int story_place(struct story *story, struct slice origin, struct slice channel)
{
	struct facts facts = story->facts;
	uint8_t *old = facts.block;
	int r;

	facts.origin = origin;
	facts.channel = channel;
	r = facts_copy(&facts, &facts);
	if (r < 0)
		return r;
	free(old);
	story->facts = facts;
	return 0;
}
