/*
 * reading.h - what is known while a configuration is read: its files, and the outline of what
 * stands where.
 *
 * One struct reading lives for one conf_read(). precheck.c writes the outline, parse.c gives each
 * file to libconfuse, fill.c makes struct conf of both, check.c holds the sections against each
 * other. The outline has every line that a refusal may name; libconfuse has the values.
 */
#pragma once
#include "config/lex.h"
#include "config/table.h"

#define FILES_MAX         1000
#define FILE_MAX          ((size_t)1 << 20)
#define INCLUDES_DEEP     8
#define PARTNERS_MAX      1000
#define SUBSCRIPTIONS_MAX 4000

struct where {
	unsigned file; /* in reading->files */
	unsigned line;
};
struct source {
	char *shown;   /* its name in refusals */
	char *folder;  /* absolute: what its relative paths begin at */
	unsigned deep; /* in how many includes */
};
struct seen_value {
	const struct setting *setting;
	struct where where;
};
struct seen_section {
	enum conf_section kind;
	char *title; /* "" for those that have none */
	struct where where;
	unsigned values, values_n; /* in reading->values */
};
struct seen_include {
	char *pattern;
	struct where where;
};
struct parsed; /* libconfuse's tree: parse.c */
struct reading {
	struct why *why;
	unsigned files_n, sections_n, values_n, includes_n;
	struct source *files;
	struct seen_section *sections;
	struct seen_value *values;
	struct seen_include *includes;
	unsigned of_kind[SECTIONS]; /* how many sections of each */
	struct parsed *parsed;
	struct conf *conf;
};

/* why "FILE:LINE: words"; returns NX_ECONF, or NX_ENOMEM when inner says so */
int refuse(struct reading *reading, struct where where, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "FILE:LINE"; the end of a long path says more than its beginning */
#define PLACE_SIZE 80
void place_text(const struct reading *reading, struct where where, char to[PLACE_SIZE]);
/* room for one more in an array that grows; false when out of memory */
bool one_more(void **array, unsigned n, size_t size);
/* where the n-th value of a setting stands; of the section itself when it was not given */
struct where where_of(const struct reading *reading, const struct seen_section *section,
		      const char *name, unsigned nth);
/* how many values the setting was given in that section */
unsigned seen_count(const struct reading *reading, const struct seen_section *section,
		    const struct setting *setting);
/* the n-th section of a kind, in the order of the files */
const struct seen_section *seen_nth(const struct reading *reading, enum conf_section kind,
				    unsigned n);

/* precheck.c: one file's text into the outline, or the first thing that is wrong with it. Blanks
 * comments. */
int precheck(struct reading *reading, unsigned file, char *text, size_t n);
/* fill.c, check.c: the outline and libconfuse's values into reading->conf, and held against each
 * other */
int fill(struct reading *reading);
int check(struct reading *reading);

/* parse.c: libconfuse, and nobody else's */
int parsed_new(struct parsed **ret);
void parsed_free(struct parsed **parsed);
/* one file, with so many sections and values. returns 0; NX_ENOMEM; NX_ECONF when libconfuse
 * refuses: then nothing more may be added */
int parsed_add(struct parsed *parsed, const char *text, unsigned sections, unsigned values);
/* the n-th section of a kind; NULL when libconfuse has not seen it */
struct parsed_section;
struct parsed_section *parsed_section(struct parsed *parsed, enum conf_section kind, unsigned n);
const char *parsed_title(struct parsed_section *section);
unsigned parsed_count(struct parsed_section *section, const char *name);
const char *parsed_value(struct parsed_section *section, const char *name, unsigned n);
