#include "news/story.h"
#include "news/arena.h"
#include "news/light.h"
#include "news/parts.h"
#include "news/scan.h"
#include "proto/utf8.h"
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define MEMORY_MAX   (32u << 20) /* a document that story_scan() let pass never comes near it */
#define VERSION_NONE "0"

void story_init(void)
{
	json_set_alloc_funcs(arena_alloc, arena_free);
	json_object_seed(0);
}

/* a property; NULL when it is left out or null */
static const json_t *property(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

static const json_t *either(const json_t *object, const char *name, const char *other)
{
	const json_t *value = property(object, name);

	return value == NULL ? property(object, other) : value;
}

static struct slice text_of(const json_t *value)
{
	if (!json_is_string(value))
		return (struct slice){ .n = 0 };
	return slice_of(json_string_value(value), json_string_length(value));
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

static int read_uri(const json_t *item, struct facts *facts, struct why *why)
{
	const json_t *value = either(item, "uri", "guid");

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

static int read_version(const json_t *item, struct facts *facts, char digits[24], struct why *why)
{
	const json_t *value = property(item, "version");

	if (value == NULL) {
		facts->version = slice_str(VERSION_NONE);
	} else if (json_is_integer(value) && json_integer_value(value) >= 0) {
		snprintf(digits, 24, "%lld", (long long)json_integer_value(value));
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

static int read_status(const json_t *item, struct facts *facts, struct why *why)
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
		const json_t *value = property(item, names[i]);
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

static int read_version_created(const json_t *item, struct facts *facts, struct why *why)
{
	static const char *const names[] = { "versionCreated", "versioncreated" };

	facts->version_created_ms = TIME_NONE;
	for (size_t i = 0; i < 2; i++) {
		const json_t *value = property(item, names[i]);

		if (value != NULL && !story_time(text_of(value), &facts->version_created_ms))
			return why_set(why, NX_EDATE,
				       "%s must be a time with its zone, as 2026-11-22T10:00:00Z",
				       names[i]);
	}
	return 0;
}

static int read_embargo(const json_t *item, struct facts *facts, struct why *why)
{
	static const char *const names[] = { "embargoed", "embargoedUntil", "embargo" };

	facts->embargo_ms = TIME_NONE;
	for (size_t i = 0; i < 3; i++) {
		const json_t *value = property(item, names[i]);
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

static int read_urgency(const json_t *item, struct facts *facts, struct why *why)
{
	const json_t *value = property(item, "urgency");
	json_int_t n = json_integer_value(value);

	facts->urgency = 0;
	if (value == NULL)
		return 0;
	if (!json_is_integer(value) || n < 1 || n > 9)
		return why_set(why, NX_EURGENCY, "urgency must be a whole number from 1 to 9");
	facts->urgency = (int)n;
	return 0;
}

/* ---- what filters and the log look at */

static int read_text(const json_t *item, const char *name, struct slice *ret, struct why *why)
{
	const json_t *value = property(item, name);

	if (value != NULL && !json_is_string(value))
		return why_set(why, NX_EFIELD, "%s must be a string", name);
	*ret = utf8_cut(text_of(value), FACT_MAX);
	return 0;
}

/* name, or the first value of the list that newer documents have instead */
static struct slice text_or_first(const json_t *item, const char *name, const char *list)
{
	const json_t *value = property(item, name);

	if (!json_is_string(value)) {
		value = json_array_get(property(item, list), 0);
		if (json_is_object(value))
			value = property(value, "value");
	}
	return utf8_cut(text_of(value), FACT_MAX);
}

static void read_subjects(const json_t *list, struct facts *facts)
{
	static const char *const names[] = { "code", "qcode", "uri", "literal", "name" };
	const json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
	{
		struct slice s = text_of(entry);

		for (size_t j = 0; j < 5 && s.n == 0; j++)
			s = text_of(property(entry, names[j]));
		if (s.n > 0 && facts->subjects_n < SUBJECTS_MAX)
			facts->subjects[facts->subjects_n++] = utf8_cut(s, FACT_MAX);
	}
}

static int read_fields(const json_t *item, struct facts *facts, char digits[24], struct why *why)
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

typedef int member_fn(const json_t *member, struct parts *parts, struct why *why);

/* each member of an object or an array */
static int each(const json_t *value, member_fn *fn, struct parts *parts, struct why *why)
{
	const json_t *member;
	const char *name;
	size_t i;
	int r = 0;

	if (json_is_array(value)) {
		for (i = 0; i < json_array_size(value) && r == 0; i++)
			r = fn(json_array_get(value, i), parts, why);
		return r;
	}
	/* iterators want the object writable, but do not write */
	json_object_foreach((json_t *)value, name, member)
	{
		r = fn(member, parts, why);
		if (r < 0)
			break;
	}
	return r;
}

static int rendition(const json_t *member, struct parts *parts, struct why *why)
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

static int item_parts(const json_t *item, struct parts *parts, struct why *why)
{
	int r = each(property(item, "renditions"), rendition, parts, why);

	return r < 0 ? r : each(property(item, "associations"), item_parts, parts, why);
}

/* ---- the whole */

static int from_jansson(const json_error_t *error, struct why *why)
{
	int r;

	switch (json_error_code(error)) {
	case json_error_out_of_memory:
		r = NX_ENOMEM;
		break;
	case json_error_stack_overflow:
		r = NX_EDEPTH;
		break;
	case json_error_invalid_utf8:
		r = NX_EUTF8;
		break;
	case json_error_null_character:
	case json_error_null_byte_in_key:
		r = NX_ENUL;
		break;
	case json_error_duplicate_key:
		r = NX_EDUPKEY;
		break;
	default:
		/* half a surrogate pair in \u escapes: a letter that UTF-8 cannot hold */
		r = strncmp(error->text, "invalid Unicode", 15) == 0 ? NX_EUTF8 : NX_EDOCUMENT;
		break;
	}
	if (arena_refused())
		r = NX_ENOMEM;
	return why_set(why, r, "line %d: %s", error->line, error->text);
}

static int parse_tamed(struct slice document, json_t **ret, struct why *why)
{
	char *text = arena_alloc(document.n + 1);
	json_error_t error = { .line = 0 };
	int r;

	if (text == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	memcpy(text, document.p, document.n);
	text[document.n] = '\0';
	r = scan_tame_numbers(text, document.n);
	if (r < 0)
		return why_set(why, r, "a number is too large");
	*ret = json_loadb(text, document.n, JSON_REJECT_DUPLICATES, &error);
	return *ret == NULL ? from_jansson(&error, why) : 0;
}

static int parse(struct slice document, json_t **ret, struct why *why)
{
	json_error_t error = { .line = 0 };
	char *light = arena_alloc(document.n);

	if (light == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	*ret = json_loadb(light, light_copy(document, light), JSON_REJECT_DUPLICATES, &error);
	if (*ret != NULL)
		return 0;
	if (!arena_refused() && json_error_code(&error) == json_error_numeric_overflow)
		return parse_tamed(document, ret, why);
	return from_jansson(&error, why);
}

static int read_item(const json_t *item, const struct story_limits *limits, struct story *ret,
		     struct why *why)
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

static bool jansson_is_ours(void)
{
	json_malloc_t alloc;

	json_get_alloc_funcs(&alloc, NULL);
	return alloc == arena_alloc;
}

int story_read(struct slice document, const struct story_limits *limits, struct story *ret,
	       struct why *why)
{
	struct story story = { .parts_n = 0 };
	json_t *item;
	int r = story_scan(document, limits, why);

	if (r < 0)
		return r;
	assert(jansson_is_ours()); /* story_init() comes first */
	arena_begin(MEMORY_MAX);
	r = parse(document, &item, why);
	if (r == 0)
		r = read_item(item, limits, &story, why);
	/* jansson's lexer loses octets without a word when an allocation fails */
	if (arena_end() && r != NX_ENOMEM)
		r = why_set(why, NX_ENOMEM, "out of memory");
	/* the tree went with the arena, which spares us walking it */
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
