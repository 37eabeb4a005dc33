#include "proto/utf8.h"

unsigned utf8_letter(struct slice s, uint32_t *ret)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned n;
	uint32_t u;

	if (s.n == 0)
		return 0;
	u = s.p[0];
	if (u < 0x80) {
		if (ret != NULL)
			*ret = u;
		return 1;
	}
	n = u >= 0xf0 ? 4 : u >= 0xe0 ? 3 : 2;
	if (u < 0xc2 || u > 0xf4 || s.n < n)
		return 0;
	u &= 0x7fu >> n;
	for (unsigned i = 1; i < n; i++) {
		if ((s.p[i] & 0xc0) != 0x80)
			return 0;
		u = u << 6 | (s.p[i] & 0x3f);
	}
	if (u < least[n] || u > 0x10ffff || (u >= 0xd800 && u < 0xe000))
		return 0;
	if (ret != NULL)
		*ret = u;
	return n;
}

struct slice utf8_cut(struct slice s, size_t n)
{
	if (s.n <= n)
		return s;
	/* a letter has at most three octets after its first */
	for (unsigned back = 0; back < 4 && back < n; back++)
		if ((s.p[n - back] & 0xc0) != 0x80)
			return slice_of(s.p, n - back);
	return slice_of(s.p, n);
}
