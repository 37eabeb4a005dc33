#include "client/step.h"

#include <time.h>

/* clang-format off */
static const struct {
	const char *word;
	int status;
	bool mends;
} rows[] = {
	[STEP_NONE]        = { "",             0, false },
	[STEP_NAME]        = { "name",        10, false },
	[STEP_PORT]        = { "port",        11, false },
	[STEP_TLS]         = { "tls",         12, true  },
	[STEP_ALPN]        = { "alpn",        13, true  },
	[STEP_PIN]         = { "server-pin",  14, true  },
	[STEP_KEY]         = { "key",         15, true  },
	[STEP_CLOCK]       = { "clock",       16, false },
	[STEP_RIGHTS]      = { "rights",      17, true  },
	[STEP_ROUND_TRIP]  = { "round-trip",  18, false },
	[STEP_EXPIRED]     = { "expired",     19, true  },
	[STEP_CONNECTIONS] = { "connections", 20, false },
	[STEP_HELLO]       = { "hello",       21, false },
	[STEP_RATE]        = { "rate",        22, false },
	[STEP_REVOKED]     = { "revoked",     23, true  },
	[STEP_CERTIFICATE] = { "certificate", 24, true  },
};
/* clang-format on */

const char *step_word(enum step step)
{
	return rows[step].word;
}

int step_status(enum step step)
{
	return rows[step].status;
}

bool step_mends(enum step step)
{
	return rows[step].mends;
}

int step_fail(struct found *found, enum step step, int code)
{
	if (found->failed == STEP_NONE)
		found->failed = step;
	return code;
}

int64_t step_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
