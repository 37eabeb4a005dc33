#include "store/marks.h"

#define MIB (UINT64_C(1) << 20)

static uint64_t percent_or(uint64_t size, unsigned percent, uint64_t least)
{
	uint64_t n = size / 100 * percent;

	return n < least ? least : n;
}

struct marks marks_of(uint64_t size_octets, uint64_t page)
{
	uint64_t settle = size_octets + percent_or(size_octets, 4, 16 * MIB);
	uint64_t map = size_octets + percent_or(size_octets, 8, 32 * MIB);

	return (struct marks){
		.page = page,
		.size = size_octets / page,
		.settle = settle / page,
		.map = (map + page - 1) / page,
	};
}

struct marks marks_standing(uint64_t size_octets, uint64_t page, uint64_t file, bool *ret_kept)
{
	struct marks marks = marks_of(size_octets, page);
	uint64_t size = file / 108 * 100; /* the other way round: it was made with about so much */

	*ret_kept = file > marks.map * page;
	if (!*ret_kept)
		return marks;
	if (file / 108 * 8 < 32 * MIB)
		size = file - 32 * MIB;
	while (marks_of(size + page, page).map * page <= file)
		size += page;
	return marks_of(size, page);
}

uint64_t marks_pages(const struct marks *marks, enum mark mark)
{
	switch (mark) {
	case MARK_PARTS:
		return marks->size * 90 / 100;
	case MARK_ROUTINE:
		return marks->size * 95 / 100;
	case MARK_FLASH:
		return marks->size * 99 / 100;
	default:
		return marks->settle;
	}
}

bool marks_room(const struct marks *marks, enum mark mark, uint64_t used, uint64_t pages)
{
	uint64_t most = marks_pages(marks, mark);

	return used <= most && pages <= most - used;
}

uint64_t marks_above(const struct marks *marks, unsigned percent, uint64_t used)
{
	uint64_t mark = marks->size * percent / 100;

	return used > mark ? used - mark : 0;
}

unsigned marks_percent(const struct marks *marks, uint64_t used)
{
	return marks->size == 0 ? 0 : (unsigned)(used * 100 / marks->size);
}
