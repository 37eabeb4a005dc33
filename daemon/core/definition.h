/*
 * definition.h - the configuration in the store's words: partners and subscriptions for REQ_DEFINE.
 */
#pragma once
#include "config/settings.h"
#include "store/store.h"

/* strings in it are its own or conf's: keep conf until it is done. returns 0 or NX_ENOMEM */
int definition_make(const struct conf *conf, struct store_define *ret);
void definition_done(struct store_define *define);
void definition_store_conf(const struct conf *conf,
			   struct store_conf *ret); /* all but the callbacks */
