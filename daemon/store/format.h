/*
 * format.h - which formats of a store this newsxd reads. Pure; private to the store room.
 */
#pragma once
#include "proto/err.h"

/* a format that we read: 0, else NX_EFORMAT (or NX_ECORRUPT: none is told) and words. what: whose;
 * older_ok: one that --convert could take will do */
int format_check(const char *what, uint32_t format, uint32_t ours, bool older_ok, struct why *why);
