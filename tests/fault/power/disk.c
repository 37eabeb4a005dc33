/*
 * The model of a disk: files by number under folder/images, names in two lists, and what is not yet
 * synced on hold. Names go to disk in the order in which they were made, as a journal does it;
 * octets in any order and by halves.
 */
#include "power.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR    512
#define NAMES_MAX 32
#define FILES_MAX 16
#define PATH_MOST 100

struct name {
	char path[PATH_MOST];
	int file; /* -1: a folder */
};
struct names {
	struct name v[NAMES_MAX];
	unsigned n;
};
struct file {
	int fd;
	uint64_t size; /* on disk */
	const struct step **held;
	size_t held_n, held_cap;
};
struct undo {
	int file;
	uint64_t offset;
	uint32_t n;
	uint8_t *octets;
};
struct disk {
	char folder[300];
	bool deaf;
	const struct step **steps;
	size_t steps_n, at;
	struct names safe, now, shown;
	bool shown_ok;
	const struct step *names_held[64];
	unsigned names_held_n;
	struct file files[FILES_MAX];
	int files_n;
	struct promise *marks;
	size_t marks_n;
	struct undo *undo;
	size_t undo_n, undo_cap;
};

static const uint8_t *octets_of(const struct step *step)
{
	return (const uint8_t *)(step + 1) + step->path_n;
}

static void path_of(const struct step *step, char to[PATH_MOST])
{
	if (step->path_n >= PATH_MOST)
		abort();
	memcpy(to, step + 1, step->path_n);
	to[step->path_n] = '\0';
}

/* ---- names */

static struct name *name_find(struct names *names, const char *path)
{
	for (unsigned i = 0; i < names->n; i++)
		if (strcmp(names->v[i].path, path) == 0)
			return &names->v[i];
	return NULL;
}

static void name_add(struct names *names, const char *path, int file)
{
	if (names->n == NAMES_MAX)
		abort();
	snprintf(names->v[names->n].path, PATH_MOST, "%s", path);
	names->v[names->n++].file = file;
}

static void name_remove(struct names *names, const char *path)
{
	struct name *name = name_find(names, path);

	if (name != NULL)
		*name = names->v[--names->n];
}

/* from and all that lies below it */
static void name_move(struct names *names, const char *from, const char *to)
{
	size_t n = strlen(from);
	char rest[PATH_MOST];

	name_remove(names, to);
	for (unsigned i = 0; i < names->n; i++) {
		char *path = names->v[i].path;

		if (strncmp(path, from, n) != 0 || (path[n] != '\0' && path[n] != '/'))
			continue;
		snprintf(rest, sizeof(rest), "%s", path + n);
		snprintf(path, PATH_MOST, "%.60s%.39s", to, rest);
	}
}

/* file: of a STEP_CREATE */
static void names_apply(struct names *names, const struct step *step, int file)
{
	char path[PATH_MOST], to[PATH_MOST];

	path_of(step, path);
	if (step->kind == STEP_CREATE || step->kind == STEP_MKDIR) {
		name_add(names, path, file);
	} else if (step->kind == STEP_REMOVE) {
		name_remove(names, path);
	} else {
		snprintf(to, sizeof(to), "%.*s", (int)step->n, (const char *)octets_of(step));
		name_move(names, path, to);
	}
}

static bool is_name(const struct step *step)
{
	return step->kind == STEP_CREATE || step->kind == STEP_MKDIR || step->kind == STEP_RENAME ||
	       step->kind == STEP_REMOVE;
}

/* the number under which the file was or will be made */
static int file_made(const struct disk *disk, const struct step *step)
{
	int n = 0;

	if (step->kind != STEP_CREATE)
		return -1;
	for (size_t i = 0; disk->steps[i] != step; i++)
		n += disk->steps[i]->kind == STEP_CREATE;
	return n;
}

static void names_settle(struct disk *disk, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		names_apply(&disk->safe, disk->names_held[i], file_made(disk, disk->names_held[i]));
	disk->names_held_n -= n;
	memmove(disk->names_held, disk->names_held + n,
		disk->names_held_n * sizeof(disk->names_held[0]));
}

static bool lies_in(const char *path, size_t n, const char *dir)
{
	size_t dir_n = strlen(dir);
	const char *slash = memrchr(path, '/', n);

	return slash == NULL ? dir_n == 0
			     : (size_t)(slash - path) == dir_n && memcmp(path, dir, dir_n) == 0;
}

/* a folder was synced: its names are safe, and those that were made before them */
static void names_sync(struct disk *disk, const char *dir)
{
	unsigned n = 0;

	for (unsigned i = 0; i < disk->names_held_n; i++) {
		const struct step *step = disk->names_held[i];
		const char *to = (const char *)octets_of(step);

		if (lies_in((const char *)(step + 1), step->path_n, dir) ||
		    (step->kind == STEP_RENAME && lies_in(to, step->n, dir)))
			n = i + 1;
	}
	names_settle(disk, n);
}

/* ---- octets */

static void hold(struct file *file, const struct step *step)
{
	if (file->held_n == file->held_cap) {
		file->held_cap = file->held_cap * 2 + 64;
		file->held = realloc(file->held, file->held_cap * sizeof(file->held[0]));
	}
	file->held[file->held_n++] = step;
}

static void put(struct file *file, uint64_t at, const uint8_t *octets, size_t n)
{
	if (pwrite(file->fd, octets, n, (off_t)at) != (ssize_t)n)
		abort();
	if (at + n > file->size)
		file->size = at + n;
}

static void resize(struct file *file, uint64_t size)
{
	if (ftruncate(file->fd, (off_t)size) < 0)
		abort();
	file->size = size;
}

static void settle(struct file *file, const struct step *step)
{
	if (step->kind == STEP_WRITE)
		put(file, step->offset, octets_of(step), step->n);
	else if (step->kind == STEP_SIZE || step->offset > file->size)
		resize(file, step->offset);
}

static void sync_file(struct file *file)
{
	for (size_t i = 0; i < file->held_n; i++)
		settle(file, file->held[i]);
	file->held_n = 0;
}

/* a write that is safe when it returns; what was held in its sectors went with it */
static void write_through(struct file *file, const struct step *step)
{
	uint64_t first = step->offset / SECTOR, last = (step->offset + step->n - 1) / SECTOR;
	size_t kept = 0;

	for (size_t i = 0; i < file->held_n; i++) {
		const struct step *it = file->held[i];

		if (it->kind == STEP_WRITE && it->offset / SECTOR <= last &&
		    (it->offset + it->n - 1) / SECTOR >= first)
			settle(file, it);
		else
			file->held[kept++] = it;
	}
	file->held_n = kept;
	settle(file, step);
}

static struct file *file_of(struct disk *disk, const struct step *step)
{
	char path[PATH_MOST];
	struct name *name;

	path_of(step, path);
	name = name_find(&disk->now, path);
	return name == NULL || name->file < 0 ? NULL : &disk->files[name->file];
}

static void file_make(struct disk *disk)
{
	char path[400];

	if (disk->files_n == FILES_MAX)
		abort();
	snprintf(path, sizeof(path), "%s/images/%d", disk->folder, disk->files_n);
	disk->files[disk->files_n++].fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

/* ---- forward */

static const char *go_name(struct disk *disk, const struct step *step)
{
	int file = -1;

	if (step->kind == STEP_CREATE) {
		file = disk->files_n;
		file_make(disk);
	}
	if (disk->names_held_n == 64)
		return "too many names without a sync";
	disk->names_held[disk->names_held_n++] = step;
	names_apply(&disk->now, step, file);
	return NULL;
}

static const char *go(struct disk *disk, const struct step *step)
{
	struct file *file;
	char path[PATH_MOST];

	if (is_name(step))
		return go_name(disk, step);
	switch (step->kind) {
	case STEP_MARK:
		memcpy(&disk->marks[disk->marks_n++], octets_of(step), sizeof(struct promise));
		return NULL;
	case STEP_SYNC_DIR:
		path_of(step, path);
		names_sync(disk, path);
		return NULL;
	case STEP_STRANGE:
		return "something that this model does not know";
	default:
		break;
	}
	file = file_of(disk, step);
	if (file == NULL)
		return "a file without a name";
	if (step->kind == STEP_SYNC && !disk->deaf)
		sync_file(file);
	else if (step->kind == STEP_WRITE && step->dsync && !disk->deaf)
		write_through(file, step);
	else if (step->kind != STEP_SYNC)
		hold(file, step);
	return NULL;
}

const char *disk_go(struct disk *disk, size_t at)
{
	const char *words = NULL;

	for (; words == NULL && disk->at < at; disk->at++)
		words = go(disk, disk->steps[disk->at]);
	return words;
}

/* ---- the cut */

static void undo_keep(struct disk *disk, struct file *file, uint64_t at, uint32_t n)
{
	struct undo *undo;

	if (disk->undo_n == disk->undo_cap) {
		disk->undo_cap = disk->undo_cap * 2 + 256;
		disk->undo = realloc(disk->undo, disk->undo_cap * sizeof(*undo));
	}
	undo = &disk->undo[disk->undo_n++];
	*undo = (struct undo){ .file = (int)(file - disk->files), .offset = at, .n = n };
	undo->octets = calloc(1, n);
	if (pread(file->fd, undo->octets, n, (off_t)at) < 0)
		abort();
}

/* how much of what was held is there: of 256 */
struct chance {
	unsigned op, sector;
};

static bool luck(uint64_t *seed, unsigned of256)
{
	return power_random(seed) % 256 < of256;
}

static void tear(struct disk *disk, struct file *file, const struct step *step,
		 struct chance chance, uint64_t *seed)
{
	uint64_t end = step->offset + step->n, size;

	if (luck(seed, 128)) { /* whole, or not at all */
		if (!luck(seed, chance.op))
			return;
		chance.sector = 256;
	}
	undo_keep(disk, file, step->offset, step->n);
	size = file->size;
	for (uint64_t at = step->offset, next; at < end; at = next) {
		next = (at / SECTOR + 1) * SECTOR;
		next = next < end ? next : end;
		if (luck(seed, chance.sector))
			put(file, at, octets_of(step) + (at - step->offset), next - at);
	}
	if (file->size == size && end > size && luck(seed, 64))
		resize(file, end); /* longer, and nothing in it */
}

static void cut_file(struct disk *disk, struct file *file, struct chance chance, uint64_t *seed)
{
	for (size_t i = 0; i < file->held_n; i++) {
		const struct step *step = file->held[i];

		if (step->kind == STEP_WRITE)
			tear(disk, file, step, chance, seed);
		else if (luck(seed, chance.op))
			settle(file, step);
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void show(struct disk *disk, const struct names *names)
{
	char state[400], from[400], to[500];

	if (disk->shown_ok && names->n == disk->shown.n &&
	    memcmp(names->v, disk->shown.v, names->n * sizeof(names->v[0])) == 0)
		return;
	snprintf(state, sizeof(state), "%s/state", disk->folder);
	nftw(state, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	mkdir(state, 0700);
	/* folders before what lies in them: a name is longer than its folder's */
	for (size_t n = 0; n < PATH_MOST; n++)
		for (unsigned i = 0; i < names->n; i++) {
			if (strlen(names->v[i].path) != n)
				continue;
			snprintf(to, sizeof(to), "%s/%s", state, names->v[i].path);
			snprintf(from, sizeof(from), "%s/images/%d", disk->folder,
				 names->v[i].file);
			if ((names->v[i].file < 0 ? mkdir(to, 0700) : link(from, to)) < 0)
				abort();
		}
	disk->shown = *names;
	disk->shown_ok = true;
}

static void cut_names(struct disk *disk, const struct step *in_flight, uint64_t *seed)
{
	struct names *names = calloc(1, sizeof(*names));
	unsigned all = disk->names_held_n + (in_flight != NULL), n;

	*names = disk->safe;
	n = (unsigned)(power_random(seed) % (all + 1));
	for (unsigned i = 0; i < n; i++) {
		const struct step *step = i < disk->names_held_n ? disk->names_held[i] : in_flight;

		if (step == in_flight && step->kind == STEP_CREATE)
			continue; /* an empty file more or less */
		names_apply(names, step, file_made(disk, step));
	}
	show(disk, names);
	free(names);
}

static const struct chance chances[] = { { 0, 0 },    { 256, 256 }, { 26, 128 },  { 128, 128 },
					 { 128, 20 }, { 230, 230 }, { 128, 128 }, { 250, 128 } };

void disk_cut(struct disk *disk, uint64_t *seed)
{
	const struct step *step = disk->at < disk->steps_n ? disk->steps[disk->at] : NULL;
	struct chance chance = chances[power_random(seed) % 8];
	struct file *file = NULL;

	cut_names(disk, step != NULL && is_name(step) ? step : NULL, seed);
	if (step != NULL &&
	    (step->kind == STEP_WRITE || step->kind == STEP_SIZE || step->kind == STEP_ALLOC))
		file = file_of(disk, step);
	if (file != NULL)
		hold(file, step);
	for (int i = 0; i < disk->files_n; i++) {
		uint64_t size = disk->files[i].size;

		cut_file(disk, &disk->files[i], chance, seed);
		if (size != disk->files[i].size) { /* n = 0: only its length */
			undo_keep(disk, &disk->files[i], size, 0);
			/* taken back last */
		}
	}
	if (file != NULL)
		file->held_n--;
}

void disk_mend(struct disk *disk)
{
	struct undo *undo;

	for (size_t i = disk->undo_n; i-- > 0;) {
		undo = &disk->undo[i];
		if (undo->n > 0)
			put(&disk->files[undo->file], undo->offset, undo->octets, undo->n);
	}
	for (size_t i = 0; i < disk->undo_n; i++) {
		undo = &disk->undo[i];
		if (undo->n == 0)
			resize(&disk->files[undo->file], undo->offset);
		free(undo->octets);
	}
	disk->undo_n = 0;
}

/* ---- from end to end */

size_t disk_steps(const struct disk *disk)
{
	return disk->steps_n;
}

const struct promise *disk_marks(const struct disk *disk, size_t *ret_n)
{
	*ret_n = disk->marks_n;
	return disk->marks;
}

/* heads in a recording stand at any address: each step is copied to one of its own */
static void parse(struct disk *disk, const uint8_t *p, size_t n)
{
	size_t cap = 0, marks = 0;

	for (size_t len; n >= sizeof(struct step); p += len, n -= len) {
		struct step head, *step;

		memcpy(&head, p, sizeof(head));
		len = sizeof(head) + head.path_n + head.n;
		if (len > n)
			abort();
		if (disk->steps_n == cap) {
			cap = cap * 2 + 1024;
			disk->steps = realloc(disk->steps, cap * sizeof(disk->steps[0]));
		}
		step = malloc(len);
		memcpy(step, p, len);
		marks += step->kind == STEP_MARK;
		disk->steps[disk->steps_n++] = step;
	}
	disk->marks = calloc(marks + 1, sizeof(struct promise));
}

struct disk *disk_new(const char *folder, const uint8_t *recording, size_t n, bool deaf)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	char path[400];

	snprintf(disk->folder, sizeof(disk->folder), "%s", folder);
	disk->deaf = deaf;
	snprintf(path, sizeof(path), "%s/images", folder);
	if (mkdir(path, 0700) < 0)
		abort();
	parse(disk, recording, n);
	return disk;
}

void disk_free(struct disk **disk)
{
	struct disk *it = *disk;
	char path[400];

	disk_mend(it);
	for (int i = 0; i < it->files_n; i++) {
		close(it->files[i].fd);
		free(it->files[i].held);
	}
	for (size_t i = 0; i < it->steps_n; i++)
		free((void *)it->steps[i]);
	snprintf(path, sizeof(path), "%s/images", it->folder);
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	snprintf(path, sizeof(path), "%s/state", it->folder);
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(it->undo);
	free(it->marks);
	free(it->steps);
	free(it);
	*disk = NULL;
}
