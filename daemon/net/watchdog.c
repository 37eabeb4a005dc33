/* watchdog.c - see notify.h: systemd wants to hear that we live. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/notify_priv.h"

static bool number_of(const char *name, long long *ret)
{
	const char *text = getenv(name);
	char *end;

	if (text == NULL || *text == '\0')
		return false;
	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && *ret > 0;
}

int64_t notify_watchdog_ms(void)
{
	long long usec, pid;

	if (!number_of("WATCHDOG_USEC", &usec))
		return 0;
	if (getenv("WATCHDOG_PID") != NULL && (!number_of("WATCHDOG_PID", &pid) || pid != getpid()))
		return 0; /* meant for another process */
	return usec / 1000 > 0 ? usec / 1000 : 1;
}

int notify_watchdog(void)
{
	return notify_say("WATCHDOG=1", -1);
}
