#include "client/arrival.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* more than any exchange takes: what it took must not fail here */
static const struct story_limits limits = {
	.document_max = 64 << 20,
	.depth_max = 2000,
	.values_max = 1 << 20,
	.parts_max = PARTS_CEILING,
};

static int read_octets(struct arrival *a, struct why *why)
{
	int r = envelope_read(a->envelope_octets, PARTS_CEILING, &a->envelope, why);

	if (r < 0)
		return r;
	r = story_read(a->document, &limits, &a->story, why);
	a->has_story = r == 0;
	return r;
}

static int want_parts(struct arrival *a, struct fetches *fetches, struct why *why)
{
	unsigned n = a->envelope.parts_n;

	a->fetches = calloc(n + 1, sizeof(struct fetch *));
	if (a->fetches == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	for (unsigned i = 0; i < n; i++) {
		int r = fetch_want(fetches, &a->envelope.parts[i], a->head.lane == LANE_FLASH,
				   &a->fetches[i], why);

		if (r < 0)
			return r;
		a->fetches_n = i + 1;
	}
	return 0;
}

int arrival_new(const struct inbox *inbox, struct fetches *fetches, const struct item_head *head,
		uint8_t *octets, struct arrival **ret, struct why *why)
{
	struct arrival *a = calloc(1, sizeof(*a));
	uint8_t content[32];
	int r;

	*ret = a;
	if (a == NULL) {
		free(octets);
		return why_set(why, NX_ENOMEM, "out of memory");
	}
	a->item.folder = -1;
	a->head = *head;
	a->octets = octets;
	a->envelope_octets = slice_of(octets, head->envelope_len);
	a->document = slice_of(octets + head->envelope_len, head->document_len);
	r = read_octets(a, why);
	if (r < 0)
		return r;
	r = inbox_content(a->document, &a->envelope, content);
	if (r == 0)
		r = inbox_name(slice_str(a->envelope.origin), a->story.facts.uri,
			       a->story.facts.version, content, a->folder);
	if (r < 0)
		return why_set(why, r, "out of memory");
	r = inbox_find(inbox, a->folder, why);
	a->found = r == 1;
	if (r == 0)
		r = want_parts(a, fetches, why);
	return r < 0 ? r : 0;
}

static void drop_parts(struct arrival *a, struct fetches *fetches, struct session *session,
		       bool used)
{
	for (unsigned i = 0; i < a->fetches_n; i++)
		fetch_drop(fetches, session, &a->fetches[i], used);
	a->fetches_n = 0;
}

void arrival_free(struct arrival **arrival, const struct inbox *inbox, struct fetches *fetches,
		  struct session *session)
{
	struct arrival *a = *arrival;

	*arrival = NULL;
	if (a == NULL)
		return;
	inbox_drop(inbox, &a->item);
	drop_parts(a, fetches, session, false);
	free(a->fetches);
	envelope_done(&a->envelope);
	if (a->has_story)
		story_done(&a->story);
	free(a->octets);
	free(a);
}

int arrival_parts(const struct arrival *a, struct why *why)
{
	int r = 1;

	for (unsigned i = 0; i < a->fetches_n; i++) {
		enum fetch_state state = fetch_state(a->fetches[i]);

		if (state == FETCH_FAILED)
			return fetch_error(a->fetches[i], why);
		if (state != FETCH_DONE)
			r = 0;
	}
	return r;
}

int arrival_fill(struct arrival *a, const struct inbox *inbox, bool flush, struct why *why)
{
	struct inbox_part *parts;
	int r;

	if (a->found)
		return 0;
	parts = calloc(a->fetches_n + 1, sizeof(*parts));
	if (parts == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	for (unsigned i = 0; i < a->fetches_n; i++)
		parts[i] = (struct inbox_part){
			.name = a->envelope.parts[i].name,
			.file = fetch_file(a->fetches[i]),
			.share = !fetch_shared(a->fetches[i]),
		};
	a->item = (struct inbox_item){
		.name = a->folder,
		.document = a->document,
		.envelope = a->envelope_octets,
		.parts = parts,
		.parts_n = a->fetches_n,
	};
	r = inbox_fill(inbox, &a->item, flush, why);
	a->item.parts = NULL;
	free(parts);
	return r;
}

int arrival_appear(struct arrival *a, const struct inbox *inbox, struct fetches *fetches,
		   struct session *session, struct why *why)
{
	int r = a->found ? NX_EEXIST : inbox_appear(inbox, &a->item, why);

	if (r < 0 && r != NX_EEXIST)
		return r;
	a->found = r == NX_EEXIST;
	drop_parts(a, fetches, session, true);
	return r;
}

int arrival_exec(const struct arrival *a, const char *command, const char *path, int64_t now_ms,
		 struct exec *ret, struct why *why)
{
	static const char *const statuses[] = { "usable", "withheld", "canceled" };
	const struct facts *facts = &a->story.facts;
	char sequence[24], urgency[12] = "";

	snprintf(sequence, sizeof(sequence), "%" PRIu64, a->head.sequence);
	if (facts->urgency > 0)
		snprintf(urgency, sizeof(urgency), "%d", facts->urgency);
	return exec_start(command, path,
			  (const struct exec_fact[]){
				  { "NEWSX_ORIGIN", slice_str(a->envelope.origin) },
				  { "NEWSX_URI", facts->uri },
				  { "NEWSX_VERSION", facts->version },
				  { "NEWSX_CHANNEL", slice_str(a->envelope.channel) },
				  { "NEWSX_LANGUAGE", facts->language },
				  { "NEWSX_STATUS", slice_str(statuses[facts->status]) },
				  { "NEWSX_URGENCY", slice_str(urgency) },
				  { "NEWSX_FOLDER", slice_str(path) },
				  { "NEWSX_SEQUENCE", slice_str(sequence) },
			  },
			  9, now_ms, ret, why);
}
