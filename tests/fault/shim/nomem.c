/*
 * nomem.c - preloaded: malloc, calloc and realloc that fail now and then.
 *
 * NOMEM names a file that holds "FIRST EACH": the FIRST-th allocation after the file was written
 * fails, and then every EACH-th one (0: no more). Without the file nothing fails. It is looked at
 * when a signal SIGUSR2 comes, so that the start is spared.
 */
#undef _FORTIFY_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);

static atomic_long left, each, failed;

static long number(const char **p)
{
	long n = 0;

	while (**p == ' ')
		++*p;
	while (**p >= '0' && **p <= '9')
		n = n * 10 + *(*p)++ - '0';
	return n;
}

static void arm(int signal)
{
	const char *path = getenv("NOMEM"), *p;
	char words[80] = "";
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC), before = errno;
	long first;

	(void)signal;
	if (fd < 0)
		return;
	if (read(fd, words, sizeof(words) - 1) > 0) {
		p = words;
		first = number(&p);
		atomic_store(&each, number(&p));
		atomic_store(&left, first);
	}
	close(fd);
	errno = before;
}

__attribute__((constructor)) static void begin(void)
{
	struct sigaction action = { .sa_handler = arm, .sa_flags = SA_RESTART };

	if (getenv("NOMEM") != NULL)
		sigaction(SIGUSR2, &action, NULL);
}

static int fails(void)
{
	if (atomic_load(&left) <= 0 || atomic_fetch_sub(&left, 1) != 1)
		return 0;
	atomic_store(&left, atomic_load(&each));
	atomic_fetch_add(&failed, 1);
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t n)
{
	return fails() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails() ? NULL : __libc_realloc(p, n);
}
