#include "client/beside.h"
#include "base/buf.h"
#include "base/hash.h"
#include "proto/envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

size_t beside_folder(const char *file)
{
	const char *slash = file == NULL ? NULL : strrchr(file, '/');

	return slash == NULL ? 0 : (size_t)(slash - file) + 1;
}

/* as the href has it, else with its %XX read */
static char *path_of(const char *file, const char *href)
{
	size_t folder_n = beside_folder(file);
	char *path = NULL, *to;

	if (asprintf(&path, "%.*s%s", (int)folder_n, folder_n ? file : "", href) < 0)
		return NULL;
	if (access(path, F_OK) == 0 || strchr(href, '%') == NULL)
		return path;
	to = path + folder_n;
	for (const char *at = href; *at != '\0'; at++) {
		uint8_t octet;

		if (*at == '%' && hex_to(slice_of(at + 1, strnlen(at + 1, 2)), &octet, 1) &&
		    octet != 0 && octet != '/') {
			*to++ = (char)octet;
			at += 2;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
	return path;
}

/* after %XX were read a path may climb although the href did not */
static bool climbs(const char *path)
{
	size_t n = strlen(path);

	return strncmp(path, "../", 3) == 0 || strstr(path, "/../") != NULL ||
	       strcmp(path, "..") == 0 || (n >= 3 && strcmp(path + n - 3, "/..") == 0);
}

/* the exchange would say the same: no envelope can hold a part of this name */
static int cannot_name(const char *href, struct why *why)
{
	if (strlen(href) > PART_NAME_MAX)
		return why_set(why, NX_EPARTMISSING, "the href %.40s... is longer than %d octets",
			       href, PART_NAME_MAX);
	return why_set(why, NX_EPARTMISSING,
		       "the href %.80s cannot be the name of a part: write it without . or empty "
		       "segments, backslashes and control characters (photo.jpg, not ./photo.jpg)",
		       href);
}

int beside_find(const char *file, const char *href, char **ret, struct why *why)
{
	char *path;

	if (!part_name_ok(href))
		return cannot_name(href, why);
	path = path_of(file, href);
	if (path == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	if (climbs(path + beside_folder(file))) {
		why_set(why, NX_ENOENT,
			"%s lies outside the folder of the document: only files beside or beneath "
			"it are sent",
			path);
		free(path);
		return NX_ENOENT;
	}
	*ret = path;
	return 0;
}
