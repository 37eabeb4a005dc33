/*
 * light.h - a document without the long texts that nobody reads, for jansson, which spends ten
 * times as long on each letter as a look at it takes. Pure.
 */
#pragma once
#include "proto/err.h"

/*
 * light_copy - copy a document; strings under a key "body..." or "description..." become empty, and
 * of those under "value" the front stays, longer than FACT_MAX when read. Only strings that jansson
 * would take are cut: no control octets, strict UTF-8, no \u and no unknown escape. Everything else
 * comes along as it stands, so that jansson says of the copy what it would say of the whole.
 *
 * to       room for document.n octets
 * returns  octets written
 */
size_t light_copy(struct slice document, char *to);
