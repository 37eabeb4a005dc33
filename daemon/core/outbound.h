/*
 * outbound.h - claims and deliveries: what a subscription is owed goes out on the link that claims
 * it.
 *
 * A claim walks the feed with two cursors, one a lane. What was owed before the claim comes from
 * the store, which alone knows which positions are still owed; what is released after it comes from
 * the ring. A delivery is open from its ITEM to its answer; the answer becomes a settling. Nothing
 * is copied per subscriber but a delivery of some 200 octets.
 */
#pragma once
#include "core/link.h"

void outbound_subscribe(struct link *link, const struct subscribe *subscribe);
void outbound_unsubscribe(struct link *link, uint32_t number);
/* session's source, as in session_source.item and .sent */
bool outbound_item(struct link *link, enum session_class class, uint64_t id,
		   struct session_out *out);
void outbound_sent(struct link *link, uint64_t id);
void outbound_answer(struct link *link, const struct ack *ack);
void outbound_refused(struct link *link, const struct refuse *refuse);
void outbound_wake(struct exchange *exchange, enum lane lane);
/* each second: NX_ENOANSWER when an item stands unanswered beyond ack-wait, else 0 */
int outbound_tick(struct link *link, int64_t now_ms, int64_t wall_ms);
/* the configuration changed: claims of vanished subscriptions end, others look at the feed anew */
void outbound_reload(struct exchange *exchange);
/* debts were given up: what waits in memory to be sent may be among them */
void outbound_expired(struct exchange *exchange, uint32_t subscription);
void outbound_link_over(struct link *link);
