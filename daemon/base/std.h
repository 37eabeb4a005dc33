/*
 * std.h - descriptors 0, 1 and 2 are always somebody's.
 *
 * One that is closed when a program begins is the next that open() or socket() gives: a line of the
 * log would then be written into the store, or into a partner's TLS.
 */
#pragma once

/* what of the three is closed becomes /dev/null. Before anything else is opened */
void std_hold(void);
