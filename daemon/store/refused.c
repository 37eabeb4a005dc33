/* PUT: what a rule that refused an item says to the person who sent it, and what they can do */
#include "store/put.h"

#include <inttypes.h>

int put_refused(const struct putting *p, int code, struct why *why)
{
	const char *version = p->story.version[0] != '\0' ? p->story.version : "0";

	switch (code) {
	case NX_ECONFLICT:
		return why_set(why, code,
			       "seq %" PRIu64
			       " here has this uri and version and another content: a "
			       "correction needs a higher version",
			       p->seen.sequence);
	case NX_EOTHERCHAN:
		return why_set(why, code, "this story lives on channel %s",
			       p->story_known ? p->story.channel : p->seen.channel);
	case NX_EORDER:
		return why_set(
			why, code,
			"it cannot be told whether this is newer than version %s, which is "
			"here: versions are compared as whole numbers, else by versioncreated",
			version);
	case NX_EKILLED:
		return why_set(why, code,
			       "the story was killed by seq %" PRIu64
			       "; one that is to come back needs a new uri",
			       p->story.kill);
	case NX_EKILLS:
		return why_set(why, code, "more kills today than kills-per-day allows (%u)",
			       p->put->kills_per_day);
	case NX_EHELDFULL:
		return why_set(why, code, "more is held for this partner than held-size allows");
	case NX_EPARTSGONE:
		return why_set(why, code, "a photo of it is just being deleted here");
	case NX_ECORRUPT:
		return why_set(why, code, "what is known here of this story cannot be read");
	default:
		return why_set(why, code, "it could not be stored: %s", nx_word(code));
	}
}
