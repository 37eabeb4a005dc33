/*
 * inbound.h - one item on its way in: checked, its parts fetched, stored, answered.
 *
 * check_... may refuse and changes nothing; what follows changes and is not refused for the
 * partner's sake. The answer comes from the store's receipt and from nothing else.
 */
#pragma once
#include "core/link.h"

void inbound_begin(struct link *link, const struct item_head *head);
void inbound_item(struct link *link, const struct item_head *head,
		  uint8_t *octets); /* takes octets */
/* code: why the session dropped it of itself; 0 = we asked it to */
void inbound_dropped(struct link *link, uint64_t id, int code);
void inbound_withdraw(struct link *link, uint64_t id, bool whole);
/* items that wait for parts are given up; what is on its way to disk goes on, unanswered */
void inbound_link_over(struct link *link);
