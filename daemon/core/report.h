/*
 * report.h - the lines that say how things stand: each minute when something changed, and on
 * demand.
 */
#pragma once
#include "core/exchange.h"

void report_state(struct exchange *exchange,
		  bool all); /* event=store.state, subscription.state, refusals.state */
/* each second: what was left out or added up meanwhile (item.summary, store.retired and the like)
 */
void report_sums(struct exchange *exchange);
void report_event(struct exchange *exchange,
		  const struct store_event *event); /* what the store tells */
