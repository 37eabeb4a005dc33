/*
 * ask.h - what the operator asks for until there is a socket: files in DIRECTORY/ask/, taken within
 * five seconds.
 *
 *   clock-ok         the clock is right: embargo releases go on
 *   forget-NAME      the subscription NAME, no longer in the configuration, is forgotten now
 */
#pragma once
#include "proto/err.h"

typedef void ask_fn(void *arg, const char *verb, const char *name);
/* for newsxd --clock-ok and --forget-subscription. returns 0, NX_ESYS with words, NX_EARG */
int ask_leave(const char *directory, const char *verb, const char *name, struct why *why);
/* take what is there: each file is removed, then fn is called. Small and rare, so the loop may do
 * it. returns 0, or NX_ESYS with words: the folder is there and cannot be read or written */
int ask_take(const char *directory, ask_fn *fn, void *arg, struct why *why);
