/*
 * copying.h - --backup, --restore and --convert as the operator sees them: words and exit status.
 * The work is done in store/backup.h. Part of main.
 */
#pragma once
#include "config/settings.h"

#define BACKUP_RATE_MIB 128
bool copying_rate(const char *text, unsigned long *ret); /* MiB a second; 0: no limit */
/* 0; 1: none was made, or it was made and has faults */
int copying_backup(const struct conf *conf, const char *to, unsigned long rate_mib);
/* 0; 1; 75: a daemon runs */
int copying_restore(const struct conf *conf, const char *from);
int copying_convert(const struct conf *conf);
