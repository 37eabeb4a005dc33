#include "core/link.h"

enum { FIRST_CREDIT_ITEMS = 4, FIRST_CREDIT_OCTETS = 256 * 1024 };

void link_init(struct link *link)
{
	map_init(&link->inbounds);
	map_init(&link->handles);
	map_init(&link->deliveries);
	map_init(&link->given);
	map_init(&link->serves);
}

void link_done(struct link *link)
{
	map_done(&link->inbounds);
	map_done(&link->handles);
	map_done(&link->deliveries);
	map_done(&link->given);
	map_done(&link->serves);
}

void link_want(struct link *link)
{
	if (!link->over)
		conn_want(link->conn);
}

void link_credit(struct link *link)
{
	const struct conf_partner *conf = link->partner->conf;

	if (conf == NULL || conf->publish.n == 0)
		session_window(link->session, LANE_ROUTINE, 0, 0);
	else if (!link->active) /* in any case: who hears why it is refused need not wait for it */
		session_window(link->session, LANE_ROUTINE, FIRST_CREDIT_ITEMS,
			       FIRST_CREDIT_OCTETS);
	else if (exchange_busy(link->exchange))
		session_window(link->session, LANE_ROUTINE, 0, 0);
	else
		session_window(link->session, LANE_ROUTINE, conf->credit_items,
			       conf->credit_octets);
}
