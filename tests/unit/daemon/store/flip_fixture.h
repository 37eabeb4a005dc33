/*
 * flip_fixture.h - bits of a closed store's file, turned one by one: where rows lie in it, and the
 * file as it was.
 */
#pragma once
#include "store/db.h"
#include "store/meta.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_MAX (4 << 20) /* more than a test ever uses */

struct image {
	int fd;
	uint8_t *octets;
	size_t n;
};

static inline void image_take(struct image *image, const char *dir, const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s/data.mdb", dir, name);
	image->fd = open(path, O_RDWR | O_CLOEXEC);
	image->octets = malloc(IMAGE_MAX);
	assert_int_equal(pread(image->fd, image->octets, IMAGE_MAX, 0), IMAGE_MAX);
	for (image->n = IMAGE_MAX; image->octets[image->n - 1] == 0;)
		image->n--;
	assert_true(image->n < IMAGE_MAX / 2);
}

static inline void image_back(const struct image *image)
{
	assert_int_equal(pwrite(image->fd, image->octets, image->n, 0), image->n);
}

static inline void image_done(struct image *image)
{
	close(image->fd);
	free(image->octets);
}

static inline void image_flip(const struct image *image, off_t at, unsigned bit)
{
	uint8_t octet = image->octets[at] ^ (uint8_t)(1u << bit);

	assert_int_equal(pwrite(image->fd, &octet, 1, at), 1);
}

struct row_place {
	char name[META_NAME_MAX + 1];
	off_t at;
	size_t n; /* name and value, one behind the other; the length of the value is a u16 at -8 */
};

/* where in the file it lies that LMDB shows there */
static inline off_t place_of(const uint8_t *p)
{
	unsigned long from, to, off = 0;
	char line[600];
	off_t at = -1;
	FILE *maps = fopen("/proc/self/maps", "re");

	while (at < 0 && fgets(line, sizeof(line), maps) != NULL)
		if (strstr(line, "/data.mdb") != NULL &&
		    sscanf(line, "%lx-%lx %*s %lx", &from, &to, &off) == 3 &&
		    (unsigned long)p >= from && (unsigned long)p < to)
			at = (off_t)((unsigned long)p - from + off);
	fclose(maps);
	assert_true(at >= 0);
	return at;
}

static inline struct db *open_alone(const char *dir, const char *name,
				    const struct db_table *tables, unsigned tables_n)
{
	struct db_conf conf = { .tables = tables, .tables_n = tables_n, .read_only = true };
	struct db *db = NULL;
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(db_open(path, &conf, &db, NULL), 0);
	return db;
}

/* all rows of a table */
static inline unsigned row_places(struct db *db, unsigned table, struct row_place *ret,
				  unsigned most)
{
	unsigned n = 0;
	struct txn txn;
	struct cur cur;

	txn_begin(&txn, db, TXN_READ);
	cur_open(&cur, &txn, table);
	for (bool more = cur_first(&cur); more && n < most; more = cur_next(&cur)) {
		struct row_place *row = &ret[n++];

		memset(row, 0, sizeof(*row));
		memcpy(row->name, cur.key.p, cur.key.n);
		row->at = place_of(cur.key.p);
		row->n = cur.key.n + cur.value.n;
		assert_ptr_equal(cur.value.p, cur.key.p + cur.key.n);
	}
	cur_close(&cur);
	txn_abort(&txn);
	return n;
}
