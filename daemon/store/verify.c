#include "store/verify.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static int open_one(const char *directory, const char *name, const struct db_table *tables,
		    unsigned n, struct db **ret, struct why *why)
{
	struct db_conf conf = { .tables = tables, .tables_n = n, .read_only = true };
	char dir[PATH_MAX];
	int len = snprintf(dir, sizeof(dir), "%s/%s", directory, name);

	if (len < 0 || (size_t)len >= sizeof(dir))
		return why_set(why, NX_EARG, "the directory's name is too long");
	return db_open(dir, &conf, ret, why);
}

int store_verify(const char *directory, void (*fn)(const char *words, void *), void *arg,
		 struct why *why)
{
	struct verify *verify = calloc(1, sizeof(*verify));
	int r;

	if (verify == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	verify->fn = fn;
	verify->arg = arg;
	verify->again = verify_part_of_item;
	r = open_one(directory, "items", items_tables, ITEMS_TABLES, &verify->items_db, why);
	if (r == 0)
		r = open_one(directory, "photos", photos_tables, PHOTOS_TABLES, &verify->photos_db,
			     why);
	if (r == 0) {
		verify_all_meta(verify);
		verify_all_items(verify);
		verify_all_owed(verify);
		verify_all_photos(verify);
		if (verify->r < 0)
			why_set(why, verify->r, "%s: cannot be read to its end: %s", directory,
				nx_word(verify->r));
		r = verify->r < 0 ? verify->r : verify->faults;
	}
	db_close(&verify->items_db);
	db_close(&verify->photos_db);
	free(verify);
	return r;
}
