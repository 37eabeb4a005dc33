/*
 * settings.c - reading a file with what it includes, and the life of struct conf.
 */
#include "config/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/reading.h"

/* the whole of a regular file, with a NUL behind it */
static int slurp(const char *path, char **ret, size_t *ret_n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL;
	struct stat st;
	ssize_t n = 1;
	size_t got = 0;

	if (fd < 0)
		return errno == ENOENT ? NX_ENOENT : NX_EIO;
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	else
		text = malloc(FILE_MAX + 2);
	while (text && n > 0 && got <= FILE_MAX) {
		n = read(fd, text + got, FILE_MAX + 1 - got);
		if (n > 0)
			got += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	close(fd);
	if (text == NULL || n < 0) {
		free(text);
		return NX_EIO;
	}
	text[got] = '\0';
	*ret = text;
	*ret_n = got;
	return 0;
}

/* the absolute folder of a file; the name alone when the folder cannot be resolved */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name =
		slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : strdup(".");
	char *real = name ? realpath(name, NULL) : NULL;

	if (real == NULL)
		return name;
	free(name);
	if (strcmp(real, "/") == 0)
		*real = '\0';
	return real;
}

static int add_file(struct reading *reading, const char *path, unsigned deep)
{
	struct source *source;

	if (!one_more((void **)&reading->files, reading->files_n, sizeof(*reading->files)))
		return NX_ENOMEM;
	source = &reading->files[reading->files_n++];
	*source = (struct source){ .shown = strdup(path), .folder = folder_of(path), .deep = deep };
	return source->shown && source->folder ? 0 : NX_ENOMEM;
}

/* our check, then libconfuse. text has a NUL behind it, and loses its comments on the way */
static int take_text(struct reading *reading, unsigned file, char *text, size_t n)
{
	unsigned sections = reading->sections_n, values = reading->values_n;
	int r;

	if (n > FILE_MAX)
		return refuse(reading, (struct where){ file, 1 },
			      "the file is larger than %zu octets", FILE_MAX);
	r = precheck(reading, file, text, n);
	if (r < 0)
		return r;
	r = parsed_add(reading->parsed, text, reading->sections_n - sections,
		       reading->values_n - values);
	if (r == NX_ECONF)
		return refuse(reading, (struct where){ file, 1 }, "libconfuse refuses this file");
	return r;
}

static int take_file(struct reading *reading, unsigned file)
{
	char *text = NULL;
	size_t n = 0;
	int r = slurp(reading->files[file].shown, &text, &n);

	if (r < 0 && file == 0 && r == NX_ENOENT)
		return why_set(reading->why, r, "%s does not exist", reading->files[0].shown);
	if (r < 0)
		return refuse(reading, (struct where){ file, 1 }, "cannot be read: %s",
			      strerror(errno));
	r = take_text(reading, file, text, n);
	free(text);
	return r;
}

static int include_all(struct reading *reading, struct where where, const glob_t *found)
{
	unsigned deep = reading->files[where.file].deep + 1;
	int r = 0;

	if (deep > INCLUDES_DEEP)
		return refuse(reading, where,
			      "included more than %d files deep: does it include itself?",
			      INCLUDES_DEEP);
	for (size_t i = 0; r == 0 && i < found->gl_pathc; i++) {
		if (reading->files_n >= FILES_MAX)
			return refuse(reading, where, "more than %d files", FILES_MAX);
		r = add_file(reading, found->gl_pathv[i], deep);
	}
	return r;
}

/* a folder that is not there has no match; one that we may not look into is an error */
static int glob_stop(const char *path, int err)
{
	(void)path;
	return err != ENOENT && err != ENOTDIR;
}

static int include(struct reading *reading, const struct seen_include *seen)
{
	char *pattern = NULL;
	glob_t found = { 0 };
	int r = 0, g;

	if (*seen->pattern == '/')
		pattern = strdup(seen->pattern);
	else if (asprintf(&pattern, "%s/%s", reading->files[seen->where.file].folder,
			  seen->pattern) < 0)
		pattern = NULL;
	if (pattern == NULL)
		return NX_ENOMEM;
	g = glob(pattern, 0, glob_stop, &found);
	if (g == GLOB_NOSPACE)
		r = NX_ENOMEM;
	else if (g == GLOB_ABORTED)
		r = refuse(reading, seen->where, "'%.100s' cannot be looked up: %s", seen->pattern,
			   strerror(errno));
	else if (g == 0)
		r = include_all(reading, seen->where, &found);
	else if (strpbrk(seen->pattern, "*?[") == NULL)
		r = refuse(reading, seen->where,
			   "'%.100s' does not exist; only a pattern (*, ?, [) may match nothing",
			   seen->pattern);
	globfree(&found);
	free(pattern);
	return r;
}

/* files are read one by one; what they include is read after them, in the order it was found */
static int take_files(struct reading *reading)
{
	unsigned file = 0, includes = 0;
	int r = 0;

	while (r == 0 && file < reading->files_n) {
		r = take_file(reading, file++);
		for (; r == 0 && includes < reading->includes_n; includes++)
			r = include(reading, &reading->includes[includes]);
	}
	return r;
}

static void reading_done(struct reading *reading)
{
	for (unsigned i = 0; i < reading->files_n; i++) {
		free(reading->files[i].shown);
		free(reading->files[i].folder);
	}
	for (unsigned i = 0; i < reading->sections_n; i++)
		free(reading->sections[i].title);
	for (unsigned i = 0; i < reading->includes_n; i++)
		free(reading->includes[i].pattern);
	free(reading->files);
	free(reading->sections);
	free(reading->includes);
	free(reading->values);
	parsed_free(&reading->parsed);
	conf_free(&reading->conf);
}

/* text NULL: the file is read from disk, and its includes are followed */
static int read_all(const char *name, const struct slice *text, struct conf **ret, struct why *why)
{
	struct reading reading = { .why = why };
	char *copy = NULL;
	int r = parsed_new(&reading.parsed);

	if (r < 0)
		goto out;
	r = NX_ENOMEM;
	reading.conf = calloc(1, sizeof(*reading.conf));
	copy = text ? calloc(1, text->n + 1) : NULL;
	if (reading.conf == NULL || (text && copy == NULL) || add_file(&reading, name, 0) < 0)
		goto out;
	reading.conf->file = strdup(name);
	if (reading.conf->file == NULL)
		goto out;
	if (text && text->n)
		memcpy(copy, text->p, text->n);
	r = text ? take_text(&reading, 0, copy, text->n) : take_files(&reading);
	if (r == 0)
		r = fill(&reading);
	if (r == 0)
		r = check(&reading);
	if (r < 0)
		goto out;
	*ret = reading.conf;
	reading.conf = NULL;
out:
	if (r == NX_ENOMEM)
		why_set(why, r, "%s: out of memory", name);
	free(copy);
	reading_done(&reading);
	return r;
}

int conf_read(const char *file, struct conf **ret, struct why *why)
{
	return read_all(file, NULL, ret, why);
}

int conf_read_octets(const char *name, struct slice text, struct conf **ret, struct why *why)
{
	return read_all(name, &text, ret, why);
}
