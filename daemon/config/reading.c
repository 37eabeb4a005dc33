/*
 * reading.c - the outline: where what stands, and the words that say so.
 */
#include "config/reading.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void place_text(const struct reading *reading, struct where where, char to[PLACE_SIZE])
{
	const char *file = reading->files[where.file].shown;
	size_t n = strlen(file);

	snprintf(to, PLACE_SIZE, "%s%s:%u", n > 60 ? "..." : "", n > 60 ? file + n - 60 : file,
		 where.line);
}

int refuse(struct reading *reading, struct where where, const char *format, ...)
{
	char place[PLACE_SIZE], words[200];
	va_list ap;

	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	place_text(reading, where, place);
	return why_set(reading->why, NX_ECONF, "%s: %s", place, words);
}

bool one_more(void **array, unsigned n, size_t size)
{
	void *larger;

	if (n > 0 && (n & (n - 1)) != 0)
		return true; /* grown at every power of two */
	larger = reallocarray(*array, n ? (size_t)n * 2 : 1, size);
	if (larger == NULL)
		return false;
	*array = larger;
	return true;
}

struct where where_of(const struct reading *reading, const struct seen_section *section,
		      const char *name, unsigned nth)
{
	for (unsigned i = section->values; i < section->values + section->values_n; i++) {
		const struct seen_value *value = &reading->values[i];

		if (strcmp(value->setting->name, name) == 0 && nth-- == 0)
			return value->where;
	}
	return section->where;
}

unsigned seen_count(const struct reading *reading, const struct seen_section *section,
		    const struct setting *setting)
{
	unsigned n = 0;

	for (unsigned i = section->values; i < section->values + section->values_n; i++)
		n += reading->values[i].setting == setting;
	return n;
}

const struct seen_section *seen_nth(const struct reading *reading, enum conf_section kind,
				    unsigned n)
{
	for (unsigned i = 0; i < reading->sections_n; i++)
		if (reading->sections[i].kind == kind && n-- == 0)
			return &reading->sections[i];
	return NULL;
}
