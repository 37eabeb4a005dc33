/*
 * checking.h - newsxd --check: is it all there, and may the daemon read it? And being the service.
 *
 * Run by root it looks with the eyes of the service: as the owner of the store's folder (or of the
 * folder that the store would be made in), who has to read configuration, keys and lists.
 */
#pragma once
#include "config/settings.h"

/* file: as given on the command line; *conf is read anew. returns the exit status */
int checking(const char *file, struct conf **conf);
/* root becomes the owner of that folder, or of the nearest above it that is there; for good. words:
 * who that is. returns 1 when we are somebody else now, 0 when not, -1 */
int checking_become_owner(const char *directory, char words[160]);
