/*
 * power.h - what the power-cut test is made of: a recorder of everything that goes to a folder, a
 * load that is recorded, and a disk that is put together again from the recording.
 *
 * The recording is a row of steps as they happened, with marks between them: what the load had been
 * told was safe. A state is what a disk may hold when the power goes in the middle of a step: all
 * that was synced before, and any part, torn at 512 octets, of what was not.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum step_kind {
	STEP_CREATE, /* a file came into being */
	STEP_MKDIR,
	STEP_WRITE, /* .octets at .offset */
	STEP_SIZE,  /* truncated or stretched to .offset */
	STEP_ALLOC, /* .offset is its end */
	STEP_SYNC,  /* data and size of a file */
	STEP_SYNC_DIR,
	STEP_RENAME, /* .octets: the new name */
	STEP_REMOVE, /* file or folder */
	STEP_MARK,   /* .octets: the load's own words */
	STEP_STRANGE /* something this model does not know: msync of a file here */
};
struct step {
	uint8_t kind;
	bool dsync;      /* a write that returns when it is on disk */
	uint16_t path_n; /* below the folder; stands behind this head, then the octets */
	uint32_t n;
	uint64_t offset;
};

/* -- record.c: from now on what this process does below the folder is written down in log */
void record_begin(const char *folder, int log);
void record_mark(const void *octets, size_t n);

/* -- load.c: runs a store in a folder of its own, recorded; returns 0 when all went as it should */
int load_run(int log, unsigned rounds, uint64_t seed);

enum promise_kind {
	TOLD_READY,   /* the store was opened, the subscription .a defined */
	TOLD_ITEM,    /* .a sequence, .b position, .c which document */
	TOLD_LOOSE,   /* .a sequence: from now on it may be retired */
	TOLD_PARTIAL, /* .a part, .b octets committed */
	TOLD_PART,    /* .a part, .b size, .c seed of its octets: whole */
	TOLD_PART_LOOSE,
	TOLD_SETTLED,  /* .a position */
	TOLD_RELEASED, /* .a the last position given */
	TOLD_END,      /* the load came to its end */
};
struct promise {
	uint64_t kind, a, b, c;
};
/* the documents and photos of the load: known by a number */
#define DOCUMENT_MOST 9000
size_t load_document(uint64_t which, char to[DOCUMENT_MOST]);
void load_photo(uint64_t seed, uint8_t *to, size_t n);

/* -- disk.c: the recording played on to a folder */
struct disk;
/* deaf: a disk that lies about every sync, to see that the test would notice */
struct disk *disk_new(const char *folder, const uint8_t *recording, size_t n, bool deaf);
void disk_free(struct disk **disk);
size_t disk_steps(const struct disk *disk);
/* all steps before `at` happened (at only rises); returns NULL, or what it cannot model */
const char *disk_go(struct disk *disk, size_t at);
/* the power goes within step `at`: folder/state is one of the things that may be left */
void disk_cut(struct disk *disk, uint64_t *seed);
void disk_mend(struct disk *disk); /* takes the cut back */
/* marks before `at`, in order; *ret_n of them */
const struct promise *disk_marks(const struct disk *disk, size_t *ret_n);

/* -- check.c: returns 0, or -1 and words. whole: opens a copy as a daemon would, and uses it */
int check_state(const char *folder, const struct promise *marks, size_t n, bool whole,
		char words[400]);

static inline uint64_t power_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}
