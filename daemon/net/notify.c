/* notify.c - see notify.h. */
#include <stdio.h>
#include <time.h>

#include "net/notify_priv.h"

/* one STATUS line: a newline in words would begin another variable */
static int say_status(const char *before, const char *words)
{
	char what[512];

	snprintf(what, sizeof(what), "%sSTATUS=%s", before, words);
	for (char *p = what + strlen(before); *p != '\0'; p++)
		if (*p == '\n')
			*p = ' ';
	return notify_say(what, -1);
}

int notify_ready(const char *words)
{
	return words ? say_status("READY=1\n", words) : notify_say("READY=1", -1);
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
	return notify_say(what, -1);
}

int notify_more_time(int64_t ms)
{
	char what[60];

	snprintf(what, sizeof(what), "EXTEND_TIMEOUT_USEC=%lld", (long long)ms * 1000);
	return notify_say(what, -1);
}

int notify_stopping(void)
{
	return notify_say("STOPPING=1", -1);
}
