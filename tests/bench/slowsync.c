/* slowsync.c - LD_PRELOAD: every flush takes SLOWSYNC_MS (5) longer, as on a disk without a cache
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slowly(const char *name, int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
	const char *ms = getenv("SLOWSYNC_MS");
	long wait = ms != NULL ? atol(ms) : 5;
	struct timespec t = { .tv_sec = wait / 1000, .tv_nsec = wait % 1000 * 1000000 };

	nanosleep(&t, NULL);
	return real(fd);
}

int fdatasync(int fd)
{
	return slowly("fdatasync", fd);
}

int fsync(int fd)
{
	return slowly("fsync", fd);
}
