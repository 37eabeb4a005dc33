#include "core/ask.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ASK_AT_ONCE = 64 };

static bool name_ok(const char *name)
{
	size_t n = strlen(name);

	return n > 0 && n <= 64 && strchr(name, '/') == NULL && name[0] != '.';
}

int ask_leave(const char *directory, const char *verb, const char *name, struct why *why)
{
	char path[4096];
	int fd;

	if (name != NULL && !name_ok(name))
		return why_set(why, NX_EARG, "'%s' is not a subscription's name", name);
	snprintf(path, sizeof(path), "%s/ask", directory);
	if (mkdir(path, 0770) < 0 && errno != EEXIST)
		return why_set(why, NX_ESYS, "cannot make %s: %s", path, strerror(errno));
	snprintf(path, sizeof(path), "%s/ask/%s%s%s", directory, verb, name == NULL ? "" : "-",
		 name == NULL ? "" : name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
	if (fd < 0)
		return why_set(why, NX_ESYS, "cannot write %s: %s", path, strerror(errno));
	close(fd);
	return 0;
}

int ask_take(const char *directory, ask_fn *fn, void *arg, struct why *why)
{
	char path[4096];
	struct dirent *entry;
	unsigned n = 0;
	int r = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/ask", directory);
	dir = opendir(path);
	if (dir == NULL && errno == ENOENT)
		return 0;
	if (dir == NULL)
		return why_set(why, NX_ESYS, "cannot read %s: %s", path, strerror(errno));
	while (n++ < ASK_AT_ONCE && (entry = readdir(dir)) != NULL) {
		const char *name = entry->d_name;

		if (name[0] == '.')
			continue;
		if (unlinkat(dirfd(dir), name, 0) < 0) {
			r = why_set(why, NX_ESYS, "cannot take %s/%.80s: %s", path, name,
				    strerror(errno));
			continue;
		}
		if (strcmp(name, "clock-ok") == 0)
			fn(arg, "clock-ok", NULL);
		else if (strncmp(name, "forget-", 7) == 0 && name_ok(name + 7))
			fn(arg, "forget", name + 7);
		else
			fn(arg, name, NULL);
	}
	closedir(dir);
	return r;
}
