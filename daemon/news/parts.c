#include "news/parts.h"
#include <stdlib.h>

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool has_scheme(struct slice href)
{
	size_t i = 1;

	if (!is_letter(href.p[0]))
		return false;
	while (i < href.n && (is_letter(href.p[i]) || (href.p[i] >= '0' && href.p[i] <= '9') ||
			      (href.p[i] != '\0' && strchr("+.-", href.p[i]) != NULL)))
		i++;
	return i < href.n && href.p[i] == ':';
}

static bool climbs(struct slice href)
{
	size_t start = 0;

	for (size_t i = 0; i <= href.n; i++) {
		if (i < href.n && href.p[i] != '/' && href.p[i] != '\\')
			continue;
		if (slice_is(slice_of(href.p + start, i - start), ".."))
			return true;
		start = i + 1;
	}
	return false;
}

bool parts_is_relative(struct slice href)
{
	return href.n > 0 && href.p[0] != '/' && href.p[0] != '\\' && href.p[0] != '#' &&
	       href.p[0] != '?' && !has_scheme(href) && !climbs(href);
}

int parts_add(struct parts *parts, struct slice name)
{
	for (unsigned i = 0; i < parts->n; i++)
		if (slice_eq(parts->names[i], name))
			return 0;
	if (parts->n == parts->most)
		return NX_EPARTS;
	parts->names[parts->n++] = name;
	return 0;
}

char **parts_copy(const struct parts *parts)
{
	size_t len = (parts->n + 1) * sizeof(char *);
	char **ret, *to;

	for (unsigned i = 0; i < parts->n; i++)
		len += parts->names[i].n + 1;
	ret = malloc(len);
	if (ret == NULL)
		return NULL;
	to = (char *)(ret + parts->n + 1);
	for (unsigned i = 0; i < parts->n; i++) {
		ret[i] = to;
		memcpy(to, parts->names[i].p, parts->names[i].n);
		to[parts->names[i].n] = '\0';
		to += parts->names[i].n + 1;
	}
	ret[parts->n] = NULL;
	return ret;
}
