/*
 * precheck.c - the check that runs before libconfuse sees a file, and the outline that it leaves.
 *
 *	file    := { section | include "(" text ")" }
 *	section := word [ title ] "{" { word "=" value } "}"
 *	value   := text | "{" [ text { "," text } [ "," ] ] "}"
 */
#include <stdio.h>
#include <stdlib.h>

#include "config/reading.h"
#include "config/value.h"

#define SETTINGS_MAX 128
struct walk {
	struct reading *reading;
	unsigned file;
	struct lex lex;
	struct seen_section *section; /* good until the next section */
};

static struct where here(const struct walk *walk)
{
	return (struct where){ .file = walk->file, .line = walk->lex.at };
}

/* what stands here is not what the grammar wants */
static int unexpected(struct walk *walk, const char *wanted)
{
	const struct lex *lex = &walk->lex;
	int n = (int)(lex->text.n > 60 ? 60 : lex->text.n);

	if (lex->kind == LEX_BAD)
		return refuse(walk->reading, here(walk), "%s", lex->words);
	if (lex->kind == LEX_END)
		return refuse(walk->reading, here(walk), "the file ends; %s is missing", wanted);
	return refuse(walk->reading, here(walk), "'%.*s' stands where %s should", n,
		      (const char *)lex->text.p, wanted);
}

static int punct(struct walk *walk, char c)
{
	char wanted[4] = { '\'', c, '\'', '\0' };

	if (!lex_punct(&walk->lex, c))
		return unexpected(walk, wanted);
	lex_next(&walk->lex);
	return 0;
}

static bool is_text(const struct lex *lex)
{
	return lex->kind == LEX_WORD || lex->kind == LEX_QUOTED;
}

static int one_value(struct walk *walk, const struct setting *setting)
{
	struct reading *reading = walk->reading;

	if (!is_text(&walk->lex))
		return unexpected(walk, "a value");
	if (!one_more((void **)&reading->values, reading->values_n, sizeof(*reading->values)))
		return NX_ENOMEM;
	reading->values[reading->values_n++] =
		(struct seen_value){ .setting = setting, .where = here(walk) };
	walk->section->values_n++;
	lex_next(&walk->lex);
	return 0;
}

static int list(struct walk *walk, const struct setting *setting)
{
	struct where where = here(walk);
	unsigned before = walk->section->values_n;
	int r;

	if (!setting_is_list(setting))
		return refuse(walk->reading, where, "'%s' takes one value, not a list",
			      setting->name);
	lex_next(&walk->lex);
	while (!lex_punct(&walk->lex, '}')) {
		r = one_value(walk, setting);
		if (r < 0)
			return r;
		if (lex_punct(&walk->lex, ','))
			lex_next(&walk->lex);
		else if (!lex_punct(&walk->lex, '}'))
			return unexpected(walk, "',' or '}'");
	}
	if (walk->section->values_n - before < setting->least)
		return refuse(walk->reading, where, "'%s' is empty; it needs %u at least",
			      setting->name, (unsigned)setting->least);
	lex_next(&walk->lex);
	return 0;
}

static int unknown_setting(struct walk *walk)
{
	const struct lex *lex = &walk->lex;
	const char *in = conf_sections[walk->section->kind].name;
	const char *near = table_near_setting(walk->section->kind, lex->text);
	enum conf_section elsewhere = table_elsewhere(lex->text);
	int n = (int)(lex->text.n > 60 ? 60 : lex->text.n);
	const char *name = (const char *)lex->text.p;

	if (elsewhere != SECTIONS)
		return refuse(walk->reading, here(walk),
			      "no setting '%.*s' in section %s; it belongs in section %s", n, name,
			      in, conf_sections[elsewhere].name);
	if (near)
		return refuse(walk->reading, here(walk),
			      "no setting '%.*s' in section %s; did you mean '%s'?", n, name, in,
			      near);
	return refuse(walk->reading, here(walk), "no setting '%.*s' in section %s", n, name, in);
}

static int setting(struct walk *walk, unsigned lines[SETTINGS_MAX])
{
	const struct setting *setting;
	struct where where = here(walk);
	unsigned *line;
	int r;

	if (walk->lex.kind != LEX_WORD)
		return unexpected(walk, "a setting or '}'");
	setting = table_find(walk->section->kind, walk->lex.text);
	if (setting == NULL)
		return unknown_setting(walk);
	line = &lines[setting - conf_settings];
	if (*line)
		return refuse(walk->reading, where, "'%s' is set twice; first in line %u",
			      setting->name, *line);
	*line = where.line;
	lex_next(&walk->lex);
	r = punct(walk, '=');
	if (r < 0)
		return r;
	return lex_punct(&walk->lex, '{') ? list(walk, setting) : one_value(walk, setting);
}

/* a section once, a title once */
static int only_once(struct walk *walk, enum conf_section kind, struct slice title,
		     struct where where)
{
	struct reading *reading = walk->reading;

	for (unsigned i = 0; i < reading->sections_n; i++) {
		const struct seen_section *seen = &reading->sections[i];
		bool same = seen->where.file == where.file;

		if (seen->kind == kind && slice_is(title, seen->title))
			return refuse(
				reading, where,
				"section %s%s%s stands there twice; first in %s%.70s%sline %u",
				conf_sections[kind].name, title.n ? " " : "", seen->title,
				same ? "" : reading->files[seen->where.file].shown,
				same ? "" : ", ", "", seen->where.line);
	}
	return 0;
}

static int open_section(struct walk *walk, enum conf_section kind, struct slice title,
			struct where where)
{
	static const unsigned most[SECTIONS] = {
		[SEC_PARTNER] = PARTNERS_MAX, [SEC_SUBSCRIPTION] = SUBSCRIPTIONS_MAX
	};
	struct reading *reading = walk->reading;
	int r = only_once(walk, kind, title, where);

	if (r < 0)
		return r;
	if (most[kind] && reading->of_kind[kind] >= most[kind])
		return refuse(reading, where, "more than %u sections %s", most[kind],
			      conf_sections[kind].name);
	if (!one_more((void **)&reading->sections, reading->sections_n, sizeof(*reading->sections)))
		return NX_ENOMEM;
	walk->section = &reading->sections[reading->sections_n];
	*walk->section =
		(struct seen_section){ .kind = kind,
				       .where = where,
				       .title = strndup((const char *)title.p ?: "", title.n),
				       .values = reading->values_n };
	reading->sections_n++;
	reading->of_kind[kind]++;
	return walk->section->title ? 0 : NX_ENOMEM;
}

/* the title behind the section's name, where it has one */
static int title(struct walk *walk, enum conf_section kind, struct slice *ret)
{
	char name[NAME_MAX_ + 2];
	struct why inner = { 0 };

	*ret = slice_str("");
	if (!conf_sections[kind].titled) {
		if (is_text(&walk->lex))
			return refuse(walk->reading, here(walk), "section %s takes no name",
				      conf_sections[kind].name);
		return 0;
	}
	if (!is_text(&walk->lex))
		return refuse(walk->reading, here(walk), "section %s needs a name: %s NAME { ... }",
			      conf_sections[kind].name, conf_sections[kind].name);
	*ret = walk->lex.text;
	snprintf(name, sizeof(name), "%.*s", (int)(ret->n > NAME_MAX_ ? NAME_MAX_ + 1 : ret->n),
		 (const char *)ret->p);
	if (value_name(name, &inner) < 0)
		return refuse(walk->reading, here(walk), "%s", inner.words);
	lex_next(&walk->lex);
	return 0;
}

static int section(struct walk *walk, enum conf_section kind)
{
	unsigned lines[SETTINGS_MAX] = { 0 };
	struct where where = here(walk);
	struct slice name;
	int r;

	lex_next(&walk->lex);
	r = title(walk, kind, &name);
	if (r == 0)
		r = open_section(walk, kind, name, where);
	if (r == 0)
		r = punct(walk, '{');
	while (r == 0 && !lex_punct(&walk->lex, '}')) {
		if (walk->lex.kind == LEX_END)
			return refuse(walk->reading, where,
				      "section %s is not closed: '}' is missing",
				      conf_sections[kind].name);
		r = setting(walk, lines);
	}
	if (r == 0)
		lex_next(&walk->lex);
	return r;
}

static int include(struct walk *walk)
{
	struct reading *reading = walk->reading;
	struct seen_include seen = { .where = here(walk) };
	int r;

	lex_next(&walk->lex);
	if (lex_punct(&walk->lex, '=') || is_text(&walk->lex))
		return refuse(reading, here(walk), "write include(\"conf.d/*.conf\")");
	r = punct(walk, '(');
	if (r < 0)
		return r;
	if (!is_text(&walk->lex) || walk->lex.text.n == 0)
		return unexpected(walk, "a file name or pattern");
	if (memchr(walk->lex.text.p, '\\', walk->lex.text.n))
		return refuse(reading, here(walk), "no backslash in the name of an included file");
	if (!one_more((void **)&reading->includes, reading->includes_n, sizeof(seen)))
		return NX_ENOMEM;
	seen.pattern = strndup((const char *)walk->lex.text.p, walk->lex.text.n);
	if (seen.pattern == NULL)
		return NX_ENOMEM;
	reading->includes[reading->includes_n++] = seen;
	lex_next(&walk->lex);
	return punct(walk, ')');
}

static int statement(struct walk *walk)
{
	struct lex *lex = &walk->lex;
	int n = (int)(lex->text.n > 60 ? 60 : lex->text.n);
	enum conf_section kind;
	const char *near;

	if (lex->kind != LEX_WORD)
		return unexpected(walk, "a section");
	if (slice_is(lex->text, "include"))
		return include(walk);
	kind = table_section(lex->text);
	if (kind != SECTIONS)
		return section(walk, kind);
	near = table_near_section(lex->text);
	return refuse(walk->reading, here(walk), "no section '%.*s'%s%s%s", n,
		      (const char *)lex->text.p, near ? "; did you mean '" : "", near ? near : "",
		      near ? "'?" : "");
}

int precheck(struct reading *reading, unsigned file, char *text, size_t n)
{
	struct walk walk = { .reading = reading, .file = file };
	const char *nul = memchr(text, '\0', n);
	int r = 0;

	if (nul)
		n = (size_t)(nul - text); /* what stands before it may be wrong, too */
	lex_init(&walk.lex, text, n);
	lex_next(&walk.lex);
	while (r == 0 && walk.lex.kind != LEX_END)
		r = statement(&walk);
	if (r == 0 && nul)
		r = refuse(reading, here(&walk), "a NUL octet");
	return r;
}
