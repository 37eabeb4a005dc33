#include "base/clock.h"
#include <stdatomic.h>
#include <stdio.h>
#include <sys/timex.h>
#include <time.h>

static struct {
	atomic_bool on;
	_Atomic int64_t boot_ms, wall_ms;
} fake;

static int64_t read_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_boot_ms(void)
{
	return fake.on ? fake.boot_ms : read_ms(CLOCK_BOOTTIME);
}

int64_t clock_wall_ms(void)
{
	return fake.on ? fake.wall_ms : read_ms(CLOCK_REALTIME);
}

void clock_fake(int64_t boot_ms, int64_t wall_ms)
{
	fake.boot_ms = boot_ms;
	fake.wall_ms = wall_ms;
	fake.on = true;
}

void clock_advance(int64_t ms)
{
	fake.boot_ms += ms;
	fake.wall_ms += ms;
}

void clock_jump_wall(int64_t ms)
{
	fake.wall_ms += ms;
}

void clock_real(void)
{
	fake.on = false;
}

bool clock_synchronised(void)
{
	struct timex t = { .modes = 0 };
	int state = adjtimex(&t);

	return state >= 0 && state != TIME_ERROR && (t.status & STA_UNSYNC) == 0;
}

#define FIRST_MS INT64_C(-62167219200000) /* 0000-01-01 */
#define LAST_MS  INT64_C(253402300799999) /* 9999-12-31T23:59:59.999 */

void clock_rfc3339(int64_t wall_ms, char *to)
{
	int64_t ms = wall_ms < FIRST_MS ? FIRST_MS : wall_ms > LAST_MS ? LAST_MS : wall_ms;
	int64_t left = ms % 1000;
	struct tm tm;
	time_t s;

	if (left < 0)
		left += 1000;
	s = (time_t)((ms - left) / 1000);
	gmtime_r(&s, &tm);
	snprintf(to, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
		 (unsigned)(tm.tm_year + 1900) % 10000, (unsigned)(tm.tm_mon + 1) % 100,
		 (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
		 (unsigned)tm.tm_sec % 100, (unsigned)left % 1000);
}
