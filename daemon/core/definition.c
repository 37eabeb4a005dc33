#include "core/definition.h"
#include <stdlib.h>

static char *join(const struct conf_strings *list)
{
	size_t n = 1;
	char *all, *to;

	for (unsigned i = 0; i < list->n; i++)
		n += strlen(list->v[i]) + 1;
	all = to = malloc(n);
	if (all == NULL)
		return NULL;
	for (unsigned i = 0; i < list->n; i++) {
		size_t len = strlen(list->v[i]);

		if (i > 0)
			*to++ = '\n';
		memcpy(to, list->v[i], len);
		to += len;
	}
	*to = '\0';
	return all;
}

static int subscription_make(const struct conf *conf, const struct conf_subscription *from,
			     struct store_sub_def *to)
{
	const struct conf_partner *partner = conf_partner(conf, from->partner);

	*to = (struct store_sub_def){
		.name = from->name,
		.partner = from->partner,
		.renamed_from = from->renamed_from,
		.channels = join(&from->channels),
		.filter = from->filter,
		.rights = join(&partner->read),
		.start_all = from->start_all,
		.versions_all = from->versions == VERSIONS_ALL,
		.backlog_age_ms = from->backlog_age_ms,
		.backlog_size = from->backlog_size,
	};
	return to->channels == NULL || to->rights == NULL ? NX_ENOMEM : 0;
}

int definition_make(const struct conf *conf, struct store_define *ret)
{
	int r = 0;

	*ret = (struct store_define){ .req = { .kind = REQ_DEFINE } };
	ret->partners = calloc(conf->partners_n + 1, sizeof(*ret->partners));
	ret->subscriptions = calloc(conf->subscriptions_n + 1, sizeof(*ret->subscriptions));
	if (ret->partners == NULL || ret->subscriptions == NULL)
		r = NX_ENOMEM;
	for (unsigned i = 0; r == 0 && i < conf->partners_n; i++, ret->partners_n++)
		ret->partners[i] = (struct store_partner_def){
			.name = conf->partners[i].name,
			.renamed_from = conf->partners[i].renamed_from,
		};
	for (unsigned i = 0; r == 0 && i < conf->subscriptions_n; i++, ret->subscriptions_n = i)
		r = subscription_make(conf, &conf->subscriptions[i], &ret->subscriptions[i]);
	if (r < 0)
		definition_done(ret);
	return r;
}

void definition_done(struct store_define *define)
{
	for (unsigned i = 0; define->subscriptions != NULL && i < define->subscriptions_n; i++) {
		free((char *)define->subscriptions[i].channels);
		free((char *)define->subscriptions[i].rights);
	}
	free(define->subscriptions);
	free(define->partners);
	*define = (struct store_define){ 0 };
}

void definition_store_conf(const struct conf *conf, struct store_conf *ret)
{
	*ret = (struct store_conf){
		.directory = conf->store_directory,
		.node = conf->node_name,
		.size = conf->store_size,
		.items_share_pct = conf->items_share_pct,
		.times = {
			.keep_ms = conf->keep_ms,
			.orphan_keep_ms = conf->orphan_keep_ms,
			.history_keep_ms = conf->history_keep_ms,
			.embargo_ahead_ms = conf->embargo_ahead_ms,
			.clock_jump_ms = conf->clock_jump_ms,
			.held_size = conf->held_size,
			.clock_ntp = conf->clock_ntp,
		},
	};
}
