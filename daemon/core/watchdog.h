/*
 * watchdog.h - tell the service manager that we live, for as long as loop and writers do.
 *
 * The loop shows itself by running this timer; a writer by having nothing to do, or by getting on
 * within commit-stall. Does nothing where no watchdog is wanted. Thread: loop.
 */
#pragma once
#include "core/exchange.h"

struct watchdog;
/* exchange: with its store, and conf from the first turn of the loop on */
int watchdog_new(const struct exchange *exchange, struct watchdog **ret);
void watchdog_free(struct watchdog **watchdog);
