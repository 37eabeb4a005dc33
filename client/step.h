/*
 * step.h - the steps from a name to an exchange that takes our items: what each is called, the exit
 * status of one that failed, and what was found out on the way.
 */
#pragma once
#include "proto/err.h"

enum step {
	STEP_NONE,
	STEP_NAME,
	STEP_PORT,
	STEP_TLS,
	STEP_ALPN,
	STEP_PIN,
	STEP_KEY,
	STEP_CLOCK,
	STEP_RIGHTS,
	STEP_ROUND_TRIP,
	STEP_EXPIRED,
	STEP_CONNECTIONS,
	STEP_HELLO,
	STEP_RATE,
	STEP_REVOKED,
	STEP_CERTIFICATE,
};
/* filled while a link is opened, until the exchange has said HELLO */
struct found {
	enum step failed;   /* STEP_NONE: none so far */
	char address[64];   /* that was connected to */
	unsigned addresses; /* of the name */
	int64_t connect_us; /* what the connecting took */
	char cipher[64];    /* of TLS 1.3 */
	char server[64];    /* the pin that the exchange showed */
	char self[64];      /* ours */
};
const char *step_word(enum step step);
/* 10 and up, one for each; see newsxctl(1) */
int step_status(enum step step);
/* does somebody have to do something before another try can succeed? */
bool step_mends(enum step step);
/* note the step that failed, if it is the first. returns code, which why_set() gave */
int step_fail(struct found *found, enum step step, int code);
int64_t step_us(void); /* a stopwatch */
