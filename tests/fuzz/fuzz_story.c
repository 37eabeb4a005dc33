/* uses: daemon/news */
/* Any octets as a document, as the binary form of facts, and as a time: nothing breaks, and what is
 * accepted keeps to the ceilings and survives being written and read. */
#include "news/parts.h"
#include "news/story.h"
#include <stdlib.h>

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	story_init();
	return 0;
}

static void there_and_back(const struct facts *facts)
{
	struct facts back;
	uint8_t *p, *again;
	size_t n, m;

	MUST(facts->uri.n > 0 && facts->uri.n <= URI_MAX);
	MUST(facts->version.n > 0 && facts->version.n <= VERSION_MAX);
	MUST(facts->urgency >= 0 && facts->urgency <= 9 && facts->subjects_n <= SUBJECTS_MAX);
	MUST(facts_write(facts, &p, &n) == 0);
	MUST(n <= 24 << 10);
	MUST(facts_read(slice_of(p, n), &back) == 0);
	MUST(facts_write(&back, &again, &m) == 0);
	MUST(n == m && memcmp(p, again, n) == 0);
	facts_done(&back);
	free(again);
	free(p);
}

static void as_document(struct slice document)
{
	const struct story_limits limits = {
		.document_max = 8192, .depth_max = 8, .values_max = 200, .parts_max = 8
	};
	struct why why = { .code = 0 };
	struct story story;
	int r = story_read(document, &limits, &story, &why);

	if (r < 0) {
		MUST(why.code == r && why.words[0] != '\0' && r != NX_ENOMEM);
		return;
	}
	MUST(story.parts_n <= limits.parts_max);
	for (unsigned i = 0; i < story.parts_n; i++)
		MUST(parts_is_relative(slice_str(story.parts[i])));
	MUST(story_place(&story, slice_str("origin"), slice_str("channel")) == 0);
	there_and_back(&story.facts);
	story_done(&story);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct facts facts;
	int64_t ms = 0;
	int sign;

	as_document(slice_of(p, n));
	if (facts_read(slice_of(p, n), &facts) == 0) {
		there_and_back(&facts);
		facts_done(&facts);
	}
	if (story_time(slice_of(p, n), &ms))
		MUST(ms > INT64_C(-62167400000000) && ms < INT64_C(253402500000000));
	if (version_compare(slice_of(p, n / 2), 1, slice_of(p + n / 2, n - n / 2), 2, &sign) == 0)
		MUST(n > 0 || sign == 0);
	return 0;
}
