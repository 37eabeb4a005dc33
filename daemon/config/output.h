/*
 * output.h - all of a text to a descriptor that may wait.
 */
#pragma once
#include "proto/err.h"

/* returns 0 or NX_EIO */
int output(int fd, struct slice text);
