#include "store/format.h"

#include <inttypes.h>

int format_check(const char *what, uint32_t format, uint32_t ours, bool older_ok, struct why *why)
{
	if (format == 0)
		return why_set(why, NX_ECORRUPT, "%s says nothing of its format", what);
	if (format > ours)
		return why_set(why, NX_EFORMAT,
			       "%s has format %" PRIu32 ", this newsxd knows %" PRIu32
			       ": it was made by a newer one, use that",
			       what, format, ours);
	if (format < ours && !older_ok)
		return why_set(why, NX_EFORMAT,
			       "%s has format %" PRIu32 ", this newsxd writes %" PRIu32
			       ": convert it with newsxd --config FILE --convert",
			       what, format, ours);
	return 0;
}
