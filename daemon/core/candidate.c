#include "core/candidate.h"
#include "proto/channel.h"

#include <stdio.h>

enum { DEPTH_MOST = 32, VALUES_MOST = 5000 };

void candidate_done(struct candidate *candidate)
{
	envelope_done(&candidate->envelope);
	story_done(&candidate->story);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t document_max(const struct candidate *candidate)
{
	return least(candidate->exchange->conf->document_max,
		     candidate->partner->conf->document_max);
}

/* what the head alone tells */
int candidate_check_head(const struct candidate *candidate)
{
	const struct conf *conf = candidate->exchange->conf;

	if (candidate->partner->conf == NULL || candidate->partner->conf->publish.n == 0)
		return NX_ENOTALLOWED;
	if (candidate->head.envelope_len > conf->envelope_max)
		return NX_EBIGENV;
	if (candidate->head.document_len > document_max(candidate))
		return NX_EBIGDOC;
	if (candidate->exchange->stopping)
		return NX_ESHUTDOWN;
	if (!inbound_room(candidate->exchange, candidate->partner,
			  candidate->head.lane == LANE_FLASH))
		return NX_EBUSY;
	return 0;
}

static bool listed(const struct conf_strings *list, const char *name)
{
	for (unsigned i = 0; i < list->n; i++)
		if (strcmp(list->v[i], name) == 0)
			return true;
	return false;
}

static int check_channel(struct candidate *candidate, struct why *why)
{
	const struct conf_strings *publish = &candidate->partner->conf->publish;
	char *channel = candidate->envelope.channel;

	if (channel[0] == '\0') {
		if (publish->n != 1 || strchr(publish->v[0], '*') != NULL)
			return why_set(why, NX_ECHANNEL,
				       "name a channel: you may publish to more than one");
		snprintf(channel, sizeof(candidate->envelope.channel), "%s", publish->v[0]);
	}
	if (!channel_name_ok(slice_str(channel)))
		return why_set(why, NX_ECHANNEL, "not a channel's name");
	if (!conf_channel_match(publish, slice_str(channel)))
		return why_set(why, NX_ENOTALLOWED, "you may not publish to channel %s", channel);
	return 0;
}

static int check_origin(struct candidate *candidate, struct why *why)
{
	char *origin = candidate->envelope.origin;

	if (origin[0] == '\0')
		snprintf(origin, sizeof(candidate->envelope.origin), "%s",
			 candidate->partner->name);
	if (strcmp(origin, candidate->partner->name) == 0 ||
	    listed(&candidate->partner->conf->speaks_for, origin))
		return 0;
	return why_set(why, NX_ENOTORIGIN, "you do not speak for this origin");
}

static const struct envelope_part *part_named(const struct envelope *envelope, const char *name)
{
	for (unsigned i = 0; i < envelope->parts_n; i++)
		if (strcmp(envelope->parts[i].name, name) == 0)
			return &envelope->parts[i];
	return NULL;
}

static int check_parts(struct candidate *candidate, struct why *why)
{
	uint64_t most =
		least(candidate->exchange->conf->part_max, candidate->partner->conf->part_max);

	for (unsigned i = 0; i < candidate->envelope.parts_n; i++)
		if (candidate->envelope.parts[i].size > most)
			return why_set(why, NX_EBIGPART,
				       "a part has %llu octets, %llu are the most",
				       (unsigned long long)candidate->envelope.parts[i].size,
				       (unsigned long long)most);
	for (unsigned i = 0; i < candidate->story.parts_n; i++)
		if (part_named(&candidate->envelope, candidate->story.parts[i]) == NULL)
			return why_set(
				why, NX_EPARTMISSING,
				"a rendition of the document names a file that the envelope lacks");
	return 0;
}

static enum rate_kind rate_kind(const struct facts *facts)
{
	if (facts_kill(facts))
		return RATE_KILL;
	return facts_lane(facts) == LANE_FLASH ? RATE_FLASH : RATE_ROUTINE;
}

static int check_rate(struct candidate *candidate, struct why *why)
{
	uint64_t octets = candidate->head.envelope_len + candidate->head.document_len;

	for (unsigned i = 0; i < candidate->envelope.parts_n; i++)
		octets += candidate->envelope.parts[i].size;
	if (partner_rate(candidate->partner, rate_kind(&candidate->story.facts), octets,
			 loop_now_ms(candidate->exchange->loop)))
		return 0;
	return why_set(why, NX_ERATE, "more in a minute than this exchange takes from you");
}

int candidate_check(struct candidate *candidate, struct why *why)
{
	const struct conf *conf = candidate->exchange->conf;
	unsigned parts_max = (unsigned)least(conf->parts_max, candidate->partner->conf->parts_max);
	struct story_limits limits = { .document_max = document_max(candidate),
				       .depth_max = DEPTH_MOST,
				       .values_max = VALUES_MOST,
				       .parts_max = parts_max };
	struct slice envelope = slice_of(candidate->octets, candidate->head.envelope_len);
	struct slice document = slice_of(candidate->octets + candidate->head.envelope_len,
					 candidate->head.document_len);
	int r;

	r = envelope_read(envelope, parts_max, &candidate->envelope, why);
	if (r == 0)
		r = check_origin(candidate, why);
	if (r == 0)
		r = check_channel(candidate, why);
	if (r == 0)
		r = story_read(document, &limits, &candidate->story, why);
	if (r == 0)
		r = check_parts(candidate, why);
	if (r == 0)
		r = check_rate(candidate, why);
	return r;
}
