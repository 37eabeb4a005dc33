/*
 * notify.h - tell systemd how we are: sd_notify(3) as one datagram, without its library.
 *
 * Nothing is said where NOTIFY_SOCKET is not set. Never blocks; a message that cannot be sent is
 * lost, as systemd's own time limits see to the rest. Thread: any, after main has read its
 * environment.
 */
#pragma once
#include "proto/err.h"

/* READY=1, with a STATUS= line when words is not NULL. returns 1 said, 0 nobody listens, NX_ESYS */
int notify_ready(const char *words);
int notify_status(const char *words);
/* before a reload, with the time that systemd 253 wants; notify_ready() ends it */
int notify_reloading(void);
int notify_stopping(void);
/* a start that goes on may last so much longer from now */
int notify_more_time(int64_t ms);
/* how often systemd wants to hear notify_watchdog(), in ms; 0: it does not (watchdog.c) */
int64_t notify_watchdog_ms(void);
int notify_watchdog(void);
