/*
 * dial.h - HOST:PORT to a connected socket, or words that say why not.
 */
#pragma once
#include "client/step.h"

#define DIAL_PORT "7417"

struct dial_to {
	char host[256], port[16];
	char text[280]; /* as words name it */
};
/* "host", "host:port", "[::1]:port". returns 0 or NX_EARG with words */
int dial_parse(const char *server, struct dial_to *ret, struct why *why);
/*
 * dial_connect - try every address of the host, each for at most each_ms.
 * returns  0 and a non-blocking, close-on-exec socket in *ret_fd; NX_ECLOSED with words and the
 * step that failed, STEP_NAME or STEP_PORT
 */
int dial_connect(const struct dial_to *to, int each_ms, int *ret_fd, struct found *found,
		 struct why *why);
