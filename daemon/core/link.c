#include "core/link.h"

int link_init(struct link *link)
{
	struct map *maps[] = { &link->inbounds, &link->handles, &link->deliveries, &link->serves };

	for (unsigned i = 0; i < sizeof(maps) / sizeof(*maps); i++)
		if (map_init(maps[i]) < 0)
			return NX_ENOMEM;
	return 0;
}

void link_done(struct link *link)
{
	map_done(&link->inbounds);
	map_done(&link->handles);
	map_done(&link->deliveries);
	map_done(&link->serves);
}

void link_want(struct link *link)
{
	if (!link->over)
		conn_want(link->conn);
}
