/*
 * beside.h - where a part lies that a document names: beside it or beneath, never above.
 */
#pragma once
#include "proto/err.h"

/* the path of href, beside file (NULL: the working folder); *ret is malloc'ed. Whether it is there,
 * file.h says. returns 0, NX_EPARTMISSING (no envelope can hold its name), NX_ENOENT (it climbs) or
 * NX_ENOMEM, with words */
int beside_find(const char *file, const char *href, char **ret, struct why *why);
/* how much of that path is the folder of file */
size_t beside_folder(const char *file);
