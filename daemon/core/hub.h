/*
 * hub.h - the whole daemon: store, listeners, peers, the configuration and its reload, the state
 * lines of the log.
 *
 * Life: hub_open(), hub_run() until hub_stop() or a fatal store, hub_close(). Thread: the loop's.
 */
#pragma once
#include "config/settings.h"

struct hub;
/* takes conf. returns 0; what conf, store, tls and listen return, with words */
int hub_open(struct conf **conf, struct hub **ret, struct why *why);
/* the same without threads: the scene steps the store and turns the loop itself */
int hub_open_in_line(struct conf **conf, struct hub **ret, struct why *why);
struct exchange;
struct exchange *hub_exchange(struct hub *hub);
void hub_close(struct hub **hub);
/* returns the exit status: 0 after hub_stop(), 74 (EX_IOERR) when the store failed */
int hub_run(struct hub *hub);
void hub_stop(struct hub *hub); /* BYE to all, answers flow, then hub_run() returns */
