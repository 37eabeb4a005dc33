/*
 * judge.h - what jansson says of JSON that tape.h did not take: which fault it is, and words.
 *
 * The only user of jansson. Hides it, and its tree: nothing is read out of that. It takes up to
 * eighty octets of memory for one of text, so whoever asks has counted values before.
 */
#pragma once
#include "proto/err.h"

struct judgement {
	int line, octet; /* where the fault is */
	bool large;      /* the fault is a number that fits neither 64 bits nor a double */
	char words[160];
};
/* returns 0, NX_EJSON, NX_EDUPKEY, NX_EUTF8 (half a surrogate pair, too), NX_ENUL, NX_EDEPTH,
 * NX_ENOMEM. It takes an outermost list, too */
int judge(struct slice json, struct judgement *ret);

/* whose memory it takes, for all of the process: once, at start, before threads */
typedef void *judge_alloc_fn(size_t n);
typedef void judge_free_fn(void *p);
void judge_memory(judge_alloc_fn *alloc, judge_free_fn *release);
bool judge_memory_is(judge_alloc_fn *alloc);
