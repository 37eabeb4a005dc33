/* the folder of newsxctl subscribe: what is on disk before anything is acknowledged */
#include "fixture.h"

#include "client/inbox.h"

#include <errno.h>
#include <sys/syscall.h>

static struct stat flushed[16];
static unsigned flushed_n;
static bool disk_fails;

int fsync(int fd)
{
	assert_true(flushed_n < 16);
	assert_int_equal(fstat(fd, &flushed[flushed_n++]), 0);
	if (!disk_fails)
		return (int)syscall(SYS_fsync, fd);
	errno = EIO;
	return -1;
}

static bool was_flushed(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	for (unsigned i = 0; i < flushed_n; i++)
		if (flushed[i].st_dev == st.st_dev && flushed[i].st_ino == st.st_ino)
			return true;
	return false;
}

static void its_own_name_is_on_disk(void **state)
{
	struct inbox inbox;
	struct why why = { 0 };

	(void)state;
	mkdir("above", 0755);
	/* made, and found: one that was killed may have made it and not flushed it */
	for (int i = 0; i < 2; i++) {
		flushed_n = 0;
		assert_int_equal(inbox_open("above/in", &inbox, &why), 0);
		assert_true(was_flushed("above"));
		inbox_close(&inbox);
	}
	disk_fails = true;
	assert_int_equal(inbox_open("above/in", &inbox, &why), NX_ESYS);
	disk_fails = false;
	assert_non_null(strstr(why.words, "above/in"));
	assert_int_equal(inbox.dir, -1);
	/* a folder above that may be written and not read; root may read it all the same */
	chmod("above", 0311);
	assert_int_equal(inbox_open("above/in", &inbox, &why), 0);
	inbox_close(&inbox);
	chmod("above", 0755);
}

static void a_try_makes_nothing(void **state)
{
	struct why why = { 0 };

	(void)state;
	mkdir("above", 0755);
	assert_int_equal(inbox_try("in", &why), 0);
	assert_int_equal(inbox_try("above/in//", &why), 0);
	assert_false(is_there("in"));
	assert_false(is_there("above/in"));
	assert_int_equal(inbox_try("none/in", &why), NX_ESYS);
	assert_string_equal(why.words, "cannot make the folder none/in: No such file or directory");
	write_text("file", "x");
	assert_int_equal(inbox_try("file", &why), NX_ESYS);
	assert_string_equal(why.words, "cannot open the folder file: Not a directory");
	/* nor in a folder that is there, where it says what is in the way */
	write_text("above/.incoming-1", "x");
	assert_int_equal(inbox_try("above", &why), 0);
	assert_false(is_there("above/.partial"));
	assert_true(is_there("above/.incoming-1"));
	assert_int_equal(symlink("..", "above/.partial"), 0);
	assert_int_equal(inbox_try("above", &why), NX_ESYS);
	assert_string_equal(why.words, "cannot use above/.partial: it is not a folder");
	unlink("above/.partial");
	chmod("above", 0555);
	/* root may write all the same */
	assert_int_equal(inbox_try("above", &why), geteuid() == 0 ? 0 : NX_ESYS);
	chmod("above", 0755);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(its_own_name_is_on_disk, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(a_try_makes_nothing, make_folder, drop_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
