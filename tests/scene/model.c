#include "model.h"

#include "base/clock.h"
#include "base/hash.h"
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

int64_t model_true_ms(const struct life *life)
{
	return life->wall_ms + clock_boot_ms() - life->boot_ms;
}

struct actor *model_reader(const struct life *life, unsigned i)
{
	return life->who[PUBLISHERS + i];
}

static const struct offer *offer_of(const struct life *life, const struct got *got,
				    unsigned *ret_publisher)
{
	for (unsigned p = 0; p < PUBLISHERS; p++)
		for (unsigned i = 0; i < life->who[p]->offers_n; i++) {
			const struct offer *offer = life->who[p]->offers[i];

			*ret_publisher = p;
			if (strcmp(offer->uri, got->uri) == 0 &&
			    strcmp(offer->version, got->version) == 0)
				return offer;
		}
	return NULL;
}

static bool all_versions(unsigned r)
{
	return r == WEB || r == OLD;
}

/* was it LAO's filter that let this position in? */
static bool lao_wants(const struct life *life, uint64_t position, unsigned publisher)
{
	const char *channels = "";

	for (unsigned i = 0; i < life->filters_n; i++)
		if (life->filters[i].first <= position)
			channels = life->filters[i].channels;
	return strcmp(channels, "*") == 0 || strncmp(channels, life->who[publisher]->name, 3) == 0;
}

/* ---- at every moment */

static void broken(const struct life *life, const struct actor *actor, const struct got *got,
		   const char *words)
{
	fail_msg("seed %lu: %s got %s %s at position %lu %s", life->number, actor->name, got->uri,
		 got->version, (unsigned long)got->position, words);
}

static bool later_before(const struct actor *actor, unsigned n, uint64_t position)
{
	for (unsigned i = 0; i < n; i++)
		if (actor->gots[i]->position == position && actor->gots[i]->later)
			return true;
	return false;
}

/* what it got before this one allows it */
static void check_pair(struct life *life, unsigned r, unsigned n, const struct got *before)
{
	struct actor *actor = model_reader(life, r);
	const struct got *got = actor->gots[n];
	bool same = strcmp(before->uri, got->uri) == 0;

	if (before->position == got->position && before->final)
		broken(life, actor, got, "again, though it was settled");
	if (before->position == got->position && before->sequence != got->sequence)
		broken(life, actor, got, "under another sequence");
	if (same && before->kill && !got->kill)
		broken(life, actor, got, "after its kill");
	if (!same || before->kill || got->kill)
		return;
	if (!all_versions(r) && atoi(before->version) > atoi(got->version))
		broken(life, actor, got, "after a newer one");
	if (all_versions(r) && before->link == got->link && before->position > got->position &&
	    !later_before(actor, n, got->position))
		broken(life, actor, got, "after one of the same story that was released later");
}

static void check_got(struct life *life, unsigned r, unsigned n)
{
	struct actor *actor = model_reader(life, r);
	struct got *got = actor->gots[n];
	unsigned publisher = 0;
	const struct offer *offer = offer_of(life, got, &publisher);

	if (offer == NULL) {
		broken(life, actor, got, "that nobody sent");
		return;
	}
	if ((int64_t)offer->tag > model_true_ms(life))
		broken(life, actor, got, "before its time");
	if (got->document_n != offer->document_n ||
	    memcmp(got->octets + got->envelope_n, offer->octets + offer->envelope_n,
		   got->document_n) != 0)
		broken(life, actor, got, "with other octets");
	if (r == LAO && !lao_wants(life, got->position, publisher))
		broken(life, actor, got, "that its filter does not want");
	for (unsigned i = 0; i < n; i++)
		check_pair(life, r, n, actor->gots[i]);
}

void model_check_now(struct life *life)
{
	for (unsigned r = 0; r < READERS; r++)
		for (; life->checked[r] < model_reader(life, r)->gots_n; life->checked[r]++)
			check_got(life, r, life->checked[r]);
	for (unsigned p = 0; p < PUBLISHERS; p++)
		for (unsigned i = 0; i < life->who[p]->offers_n; i++)
			if (life->who[p]->offers[i]->answers > 1)
				fail_msg("seed %lu: two answers", life->number);
}

void model_at_rest(struct life *life)
{
	for (unsigned r = 0; r < READERS; r++) {
		struct actor *actor = model_reader(life, r);

		if (actor_is_out(actor))
			continue;
		for (unsigned i = 0; i < actor->gots_n; i++)
			if (actor->gots[i]->acked && actor->gots[i]->link == actor->links)
				actor->gots[i]->final = true;
	}
}

/* ---- the end */

static bool is_kill(const struct offer *offer)
{
	return memmem(offer->octets, offer->envelope_n + offer->document_n, "canceled", 8) != NULL;
}

static bool has_newer(const struct life *life, unsigned p, const struct offer *offer, bool kill)
{
	for (unsigned i = 0; i < life->who[p]->offers_n; i++) {
		const struct offer *other = life->who[p]->offers[i];

		if (strcmp(other->uri, offer->uri) != 0 || other == offer ||
		    other->answer == REFUSED)
			continue;
		if (kill ? is_kill(other) : atoi(other->version) > atoi(offer->version))
			return true;
	}
	return false;
}

/* a held one that a newer one replaced: it was told, unless the words were lost in a crash */
static bool overtaken(const struct life *life, const struct offer *offer)
{
	char words[64];

	if (offer->ack.result == RESULT_SUPERSEDED && offer->tag != 0)
		return true;
	snprintf(words, sizeof(words), "event=item.overtaken seq=%lu ",
		 (unsigned long)offer->ack.sequence);
	return offer->tag != 0 && (life->crashes > 0 || stage_logged(life->stage, words));
}

/* must this reader have it? */
static bool owed_to(const struct life *life, unsigned r, unsigned p, const struct offer *offer)
{
	const struct got *seen = actor_got(model_reader(life, WEB), offer->uri, offer->version);

	if (has_newer(life, p, offer, true) || (r == OLD && life->expires))
		return false;
	if (has_newer(life, p, offer, false) && (!all_versions(r) || overtaken(life, offer)))
		return false;
	return r != LAO || (seen != NULL && lao_wants(life, seen->position, p));
}

static void check_offer(struct life *life, unsigned p, const struct offer *offer)
{
	if (offer->answer == NO_ANSWER_YET)
		fail_msg("seed %lu: %s %s was never answered", life->number, offer->uri,
			 offer->version);
	if (offer->answer == REFUSED && !has_newer(life, p, offer, true))
		fail_msg("seed %lu: %s %s refused %s: %s", life->number, offer->uri, offer->version,
			 offer->refuse.code, offer->refuse.words);
	if (offer->answer == ACKED && offer->again != 0 && offer->again != offer->ack.sequence)
		fail_msg("seed %lu: %s %s was %lu, and is %lu", life->number, offer->uri,
			 offer->version, (unsigned long)offer->again,
			 (unsigned long)offer->ack.sequence);
	for (unsigned r = 0; offer->answer == ACKED && r < READERS; r++) {
		struct actor *actor = model_reader(life, r);

		if (owed_to(life, r, p, offer) &&
		    actor_count(actor, offer->uri, offer->version) == 0)
			fail_msg("seed %lu: %s never got %s %s", life->number, actor->name,
				 offer->uri, offer->version);
	}
}

static void check_photo(const struct life *life, const struct actor *actor, const struct got *got)
{
	uint8_t digest[32];

	if (!got->has_photo || got->photo_got < got->photo_n)
		return;
	sha256_of(got->photo, got->photo_n, digest);
	if (memcmp(digest, got->sha256, 32) != 0)
		broken(life, actor, got, "with another photo");
}

/* what OLD never got of all that was released: it expired, by count, or was killed */
static void check_expired(const struct life *life)
{
	struct actor *old = model_reader(life, OLD), *web = model_reader(life, WEB);
	uint64_t missing = 0;

	for (unsigned i = 0; i < web->gots_n; i++) {
		const struct got *got = web->gots[i];
		unsigned p = 0;
		const struct offer *offer = offer_of(life, got, &p);

		if (actor_got(web, got->uri, got->version) != got) /* count each once */
			continue;
		missing += actor_count(old, got->uri, got->version) == 0 &&
			   (got->kill || !has_newer(life, p, offer, true));
	}
	if (old->subscribed.expired < missing)
		fail_msg("seed %lu: %lu items expired, and %lu are missing", life->number,
			 (unsigned long)old->subscribed.expired, (unsigned long)missing);
	if (!life->expires && old->subscribed.expired != 0)
		fail_msg("seed %lu: expired before its time", life->number);
}

void model_check_end(struct life *life)
{
	for (unsigned p = 0; p < PUBLISHERS; p++)
		for (unsigned i = 0; i < life->who[p]->offers_n; i++)
			check_offer(life, p, life->who[p]->offers[i]);
	for (unsigned r = 0; r < READERS; r++) {
		struct actor *actor = model_reader(life, r);

		if (actor->subscribed.owed != 0)
			fail_msg("seed %lu: %s is still owed %lu", life->number, actor->name,
				 (unsigned long)actor->subscribed.owed);
		for (unsigned i = 0; i < actor->gots_n; i++)
			check_photo(life, actor, actor->gots[i]);
	}
	check_expired(life);
	assert_int_equal(life->stage->exchange->inbound_held, 0);
	assert_int_equal(life->stage->exchange->pulls.n, 0);
}
