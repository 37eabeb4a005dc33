/* notify.c - see notify.h. */
#include "net/notify.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int say(const char *what)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0, len = strlen(what);
	ssize_t sent;
	int fd;

	if (n == 0)
		return 0;
	if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof(to.sun_path))
		return NX_ESYS;
	memcpy(to.sun_path, path, n);
	if (path[0] == '@')
		to.sun_path[0] = '\0'; /* an abstract name: its length ends it, no NUL does */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return NX_ESYS;
	sent = sendto(fd, what, len, MSG_NOSIGNAL, (struct sockaddr *)&to,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
	return sent == (ssize_t)len ? 1 : NX_ESYS;
}

/* one STATUS line: a newline in words would begin another variable */
static int say_status(const char *before, const char *words)
{
	char what[512];

	snprintf(what, sizeof(what), "%sSTATUS=%s", before, words);
	for (char *p = what + strlen(before); *p != '\0'; p++)
		if (*p == '\n')
			*p = ' ';
	return say(what);
}

int notify_ready(const char *words)
{
	return words ? say_status("READY=1\n", words) : say("READY=1");
}

int notify_status(const char *words)
{
	return say_status("", words);
}

int notify_reloading(void)
{
	struct timespec now;
	char what[80];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(what, sizeof(what), "RELOADING=1\nMONOTONIC_USEC=%lld",
		 (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	return say(what);
}

int notify_stopping(void)
{
	return say("STOPPING=1");
}
