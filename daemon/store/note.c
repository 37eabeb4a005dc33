/* backup.txt: a line for each fact, "name value"; names that are not known are passed by */
#include "store/copies.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOTE_FORMAT 1
#define NOTE_MAX    4096

static int print(char *to, size_t room, const struct copy_facts *facts)
{
	char taken[40], items[65], photos[65];

	clock_rfc3339(facts->taken_ms, taken);
	hex_of(facts->sha256[COPY_ITEMS], SHA256_LEN, items);
	hex_of(facts->sha256[COPY_PHOTOS], SHA256_LEN, photos);
	return snprintf(to, room,
			"newsxd-backup %d\n"
			"taken %s\n"
			"taken-ms %" PRId64 "\n"
			"node %s\n"
			"epoch %016" PRIx64 "\n"
			"sequence %" PRIu64 "\n"
			"position %" PRIu64 "\n"
			"items-format %" PRIu32 "\n"
			"items-octets %" PRIu64 "\n"
			"items-sha256 %s\n"
			"photos-format %" PRIu32 "\n"
			"photos-octets %" PRIu64 "\n"
			"photos-sha256 %s\n"
			"faults %d\n",
			NOTE_FORMAT, taken, facts->taken_ms, facts->node, facts->epoch,
			facts->sequence, facts->position, facts->items_format,
			facts->octets[COPY_ITEMS], items, facts->photos_format,
			facts->octets[COPY_PHOTOS], photos, facts->faults);
}

int note_write(const char *dir, const struct copy_facts *facts, struct why *why)
{
	char path[COPY_PATH], text[NOTE_MAX];
	int n = print(text, sizeof(text), facts), fd;
	int r = path_join(path, dir, "/", "backup.txt", why);

	if (r < 0)
		return r;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return copies_failed(why, "creating", path);
	errno = ENOSPC; /* of a short write */
	if (write(fd, text, (size_t)n) != n || fsync(fd) < 0)
		r = copies_failed(why, "writing", path);
	close(fd);
	return r;
}

static bool number(const char *text, int base, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, base);
	return errno == 0 && end != text && *end == '\0' && *text != '-';
}

/* which facts were there: each is needed */
enum { N_FORMAT = 1, N_EPOCH = 2, N_SEQUENCE = 4, N_TAKEN = 8, N_SHA = 16, N_SHA_2 = 32 };

static unsigned take(const char *name, const char *value, struct copy_facts *ret, uint64_t *format)
{
	uint64_t u = 0;

	if (strcmp(name, "newsxd-backup") == 0)
		return number(value, 10, format) ? N_FORMAT : 0;
	if (strcmp(name, "epoch") == 0)
		return number(value, 16, &ret->epoch) ? N_EPOCH : 0;
	if (strcmp(name, "sequence") == 0)
		return number(value, 10, &ret->sequence) ? N_SEQUENCE : 0;
	if (strcmp(name, "items-sha256") == 0)
		return hex_to(slice_str(value), ret->sha256[COPY_ITEMS], SHA256_LEN) ? N_SHA : 0;
	if (strcmp(name, "photos-sha256") == 0)
		return hex_to(slice_str(value), ret->sha256[COPY_PHOTOS], SHA256_LEN) ? N_SHA_2 : 0;
	if (strcmp(name, "node") == 0)
		snprintf(ret->node, sizeof(ret->node), "%.*s", NAME_MAX_, value);
	else if (!number(value, 10, &u))
		return 0;
	else if (strcmp(name, "taken-ms") == 0)
		return ret->taken_ms = (int64_t)u, N_TAKEN;
	else if (strcmp(name, "position") == 0)
		ret->position = u;
	else if (strcmp(name, "items-format") == 0)
		ret->items_format = (uint32_t)u;
	else if (strcmp(name, "photos-format") == 0)
		ret->photos_format = (uint32_t)u;
	else if (strcmp(name, "items-octets") == 0)
		ret->octets[COPY_ITEMS] = u;
	else if (strcmp(name, "photos-octets") == 0)
		ret->octets[COPY_PHOTOS] = u;
	else if (strcmp(name, "faults") == 0)
		ret->faults = (int)u;
	return 0;
}

static unsigned parse(char *text, struct copy_facts *ret, uint64_t *format)
{
	unsigned there = 0;
	char *rest = NULL;

	for (char *line = strtok_r(text, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *blank = strchr(line, ' ');

		if (blank == NULL)
			continue;
		*blank = '\0';
		there |= take(line, blank + 1, ret, format);
	}
	return there;
}

int note_read(const char *dir, struct copy_facts *ret, struct why *why)
{
	char path[COPY_PATH], text[NOTE_MAX + 1];
	uint64_t format = 0;
	unsigned there;
	ssize_t n;
	int r = path_join(path, dir, "/", "backup.txt", why), fd;

	if (r < 0)
		return r;
	*ret = (struct copy_facts){ 0 };
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? why_set(why, NX_ENOENT,
						 "%s is no backup: it has no backup.txt", dir)
				       : copies_failed(why, "opening", path);
	n = read(fd, text, NOTE_MAX);
	close(fd);
	if (n < 0)
		return copies_failed(why, "reading", path);
	text[n] = '\0';
	there = parse(text, ret, &format);
	if (format > NOTE_FORMAT)
		return why_set(why, NX_EFORMAT,
			       "%s has format %" PRIu64
			       ", this newsxd knows %d: it was made by a newer one, use that",
			       path, format, NOTE_FORMAT);
	if (there != (N_FORMAT | N_EPOCH | N_SEQUENCE | N_TAKEN | N_SHA | N_SHA_2))
		return why_set(why, NX_ECORRUPT, "%s cannot be understood", path);
	return 0;
}
