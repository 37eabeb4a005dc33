#include "core/link.h"

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
