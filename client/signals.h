/*
 * signals.h - SIGTERM and SIGINT as a descriptor to poll, so that a talk can end in order. SIGPIPE
 * is ignored.
 */
#pragma once

/* from now on they do not end the program; -1: they do as before */
int signals_open(void);
/* which one came, 0 = none */
int signals_take(int fd);
void signals_close(int *fd); /* they end the program again */
/* in a child, before exec: as the world had them */
void signals_default(void);
