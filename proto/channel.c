#include "proto/channel.h"

bool channel_name_ok(struct slice name)
{
	if (name.n == 0 || name.n > 64)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return false;
	}
	return true;
}

bool channel_match(struct slice pattern, struct slice channel)
{
	if (pattern.n > 0 && pattern.p[pattern.n - 1] == '*')
		return channel.n >= pattern.n - 1 &&
		       memcmp(channel.p, pattern.p, pattern.n - 1) == 0;
	return slice_eq(pattern, channel);
}

bool channel_match_any(struct slice patterns, struct slice channel)
{
	while (patterns.n > 0) {
		const uint8_t *end = memchr(patterns.p, '\n', patterns.n);
		struct slice one =
			slice_of(patterns.p, end ? (size_t)(end - patterns.p) : patterns.n);

		if (one.n > 0 && channel_match(one, channel))
			return true;
		patterns.p += one.n + (end != NULL);
		patterns.n -= one.n + (end != NULL);
	}
	return false;
}
