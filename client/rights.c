#include "client/rights.h"
#include "proto/channel.h"

/* is what on the list (of patterns, when match)? */
static bool listed(const char *list, const char *what, bool match)
{
	while (*list != '\0') {
		struct slice one = slice_of(list, strcspn(list, " "));

		if (match ? channel_match(one, slice_str(what)) : slice_is(one, what))
			return true;
		if (slice_is(one, RIGHTS_CUT))
			return true;
		list += one.n + (list[one.n] == ' ');
	}
	return false;
}

bool rights_to_publish(const struct hello *hello, const char *channel)
{
	return listed(hello->publish, channel, true);
}

bool rights_to_subscribe(const struct hello *hello, const char *subscription)
{
	return listed(hello->subscriptions, subscription, false);
}

const char *rights_words(const char list[RIGHTS_SIZE])
{
	return list[0] == '\0' ? "nothing" : list;
}
