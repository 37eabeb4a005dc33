#include "base/fault.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
	pthread_mutex_t lock;
	char place[64]; /* empty = any */
	unsigned left;  /* passes until it fires; 0 = not armed */
	bool crash, fired;
} armed = { .lock = PTHREAD_MUTEX_INITIALIZER };

#ifdef FAULTS
bool fault_hit(const char *place)
{
	bool fire = false;

	pthread_mutex_lock(&armed.lock);
	if (armed.left > 0 && (armed.place[0] == '\0' || strcmp(armed.place, place) == 0))
		fire = --armed.left == 0;
	if (fire)
		armed.fired = true;
	if (fire && armed.crash)
		_exit(137);
	pthread_mutex_unlock(&armed.lock);
	return fire;
}
#endif

static void arm(const char *place, size_t len, unsigned n, bool crash)
{
	if (len >= sizeof(armed.place))
		len = sizeof(armed.place) - 1;
	pthread_mutex_lock(&armed.lock);
	memcpy(armed.place, place, len);
	armed.place[len] = '\0';
	armed.left = n;
	armed.crash = crash;
	armed.fired = false;
	pthread_mutex_unlock(&armed.lock);
}

void fault_arm(const char *place, unsigned n, bool crash)
{
	if (place == NULL)
		place = "";
	arm(place, strlen(place), n, crash);
}

bool fault_fired(void)
{
	bool fired;

	pthread_mutex_lock(&armed.lock);
	fired = armed.fired;
	pthread_mutex_unlock(&armed.lock);
	return fired;
}

void fault_off(void)
{
	arm("", 0, 0, false);
}

void fault_from_environment(void)
{
	const char *s = getenv("NEWSXD_FAULT");
	const char *colon = s == NULL ? NULL : strchr(s, ':');
	unsigned long n;
	size_t len;
	char *end;

	if (colon == NULL)
		return;
	n = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || n == 0 || n > 1000000000 || (*end != '\0' && *end != ':'))
		return;
	len = (size_t)(colon - s);
	if (len == 1 && *s == '*')
		len = 0;
	arm(s, len, (unsigned)n, strcmp(end, ":crash") == 0);
}
