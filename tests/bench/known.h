/*
 * known.h - a store that knows stories: rows of `stories` as a put leaves them, for items that were
 * retired long ago.
 */
#pragma once
#include "store/items_priv.h"

/* n stories of one version each; sequences and positions go on behind them. 0 or NX_E... */
int known_fill(struct items *items, uint64_t n);
