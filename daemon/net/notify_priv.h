/*
 * notify_priv.h - the datagram under notify.h, for the files of this room that speak to systemd.
 */
#pragma once
#include "net/notify.h"

/* with: a descriptor to hand over, -1 none. returns 1 said, 0 nobody listens, NX_ESYS */
int notify_say(const char *what, int with);
