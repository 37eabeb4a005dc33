/*
 * rights.c - who may do what: patterns of channels, and the table that --check prints.
 */
#include "config/rights.h"

#include <errno.h>
#include <unistd.h>

#include "base/buf.h"
#include "config/output.h"
#include "config/value.h"
#include "proto/channel.h"

/* octets before the '*', or all of a whole name */
static size_t stem(const char *pattern, bool *open)
{
	size_t n = strlen(pattern);

	*open = n > 0 && pattern[n - 1] == '*';
	return *open ? n - 1 : n;
}

bool pattern_overlap(const char *a, const char *b)
{
	bool a_open, b_open;
	size_t a_n = stem(a, &a_open), b_n = stem(b, &b_open);

	if (a_n == b_n)
		return memcmp(a, b, a_n) == 0;
	if (a_n < b_n)
		return a_open && memcmp(a, b, a_n) == 0;
	return b_open && memcmp(a, b, b_n) == 0;
}

bool rights_overlap(const struct conf_strings *a, const struct conf_strings *b)
{
	for (unsigned i = 0; i < a->n; i++)
		for (unsigned j = 0; j < b->n; j++)
			if (pattern_overlap(a->v[i], b->v[j]))
				return true;
	return false;
}

bool rights_cover(const struct conf_strings *list, const char *pattern)
{
	bool open, wide_open;
	size_t n = stem(pattern, &open);

	for (unsigned i = 0; i < list->n; i++) {
		size_t wide = stem(list->v[i], &wide_open);

		if (wide_open ? wide <= n && memcmp(list->v[i], pattern, wide) == 0
			      : !open && wide == n && memcmp(list->v[i], pattern, n) == 0)
			return true;
	}
	return false;
}

bool conf_channel_match(const struct conf_strings *patterns, struct slice channel)
{
	for (unsigned i = 0; i < patterns->n; i++)
		if (channel_match(slice_str(patterns->v[i]), channel))
			return true;
	return false;
}

static void add_list(struct buf *out, const char *label, const struct conf_strings *strings)
{
	buf_addf(out, "  %-12s", label);
	for (unsigned i = 0; i < strings->n; i++)
		buf_addf(out, " %s", strings->v[i]);
	buf_addf(out, "%s\n", strings->n ? "" : " nothing");
}

static void add_partner(struct buf *out, const struct conf_partner *partner)
{
	char document[32], part[32], partials[32], credit[32];

	value_show_size(partner->document_max, document);
	value_show_size(partner->part_max, part);
	value_show_size(partner->partials_max, partials);
	value_show_size(partner->credit_octets, credit);
	buf_addf(out, "partner %s%s%s\n", partner->name, partner->node ? ", another exchange" : "",
		 partner->enforce_expiry ? ", refused when its certificate is expired" : "");
	add_list(out, "publishes", &partner->publish);
	add_list(out, "reads", &partner->read);
	if (partner->speaks_for.n)
		add_list(out, "speaks for", &partner->speaks_for);
	if (*partner->renamed_from)
		buf_addf(out, "  %-12s %s\n", "was", partner->renamed_from);
	buf_addf(out, "  %-12s", "known by");
	for (unsigned i = 0; i < partner->pins_text.n; i++)
		buf_addf(out, "%s%s\n", i ? "               " : " ", partner->pins_text.v[i]);
	buf_addf(out, "  %-12s document %s, part %s, %u parts, %u partials of %s together\n",
		 "at most", document, part, partner->parts_max, partner->partials_n_max, partials);
	buf_addf(out, "  %-12s %u items and %s on their way, %u connections, %u kills a day\n", "",
		 partner->credit_items, credit, partner->connections_max, partner->kills_per_day);
}

/* a pattern of the subscription against what its partner may read */
static void add_wanted(struct buf *out, const struct conf_strings *read, const char *pattern)
{
	bool some = false;

	if (rights_cover(read, pattern)) {
		buf_addf(out, "  %-12s %s\n", "gets", pattern);
		return;
	}
	for (unsigned i = 0; i < read->n; i++) {
		if (!pattern_overlap(pattern, read->v[i]))
			continue;
		buf_addf(out, "  %-12s %s (of %s)\n", "gets", read->v[i], pattern);
		some = true;
	}
	if (!some)
		buf_addf(out, "  %-12s %s: its partner may not read it\n", "never gets", pattern);
}

static void add_subscription(struct buf *out, const struct conf *conf,
			     const struct conf_subscription *subscription)
{
	const struct conf_partner *partner = conf_partner(conf, subscription->partner);
	char age[32], size[32];

	value_show_time((uint64_t)subscription->backlog_age_ms, age);
	value_show_size(subscription->backlog_size, size);
	buf_addf(out, "subscription %s\n  %-12s %s\n", subscription->name, "of partner",
		 subscription->partner);
	for (unsigned i = 0; i < subscription->channels.n; i++)
		add_wanted(out, &partner->read, subscription->channels.v[i]);
	if (*subscription->renamed_from)
		buf_addf(out, "  %-12s %s\n", "was", subscription->renamed_from);
	buf_addf(out, "  %-12s %s\n", "begins with",
		 subscription->start_all ? "all that is kept" : "now");
	buf_addf(out, "  %-12s %s\n", "versions",
		 subscription->versions == VERSIONS_ALL ? "all, in order" : "latest");
	buf_addf(out, "  %-12s %s, %s\n", "owed at most", age, size);
}

int conf_print_rights(const struct conf *conf, int fd)
{
	struct buf out;
	int r;

	buf_init(&out, (size_t)64 << 20);
	buf_addf(&out, "node %s\n", conf->node_name);
	add_list(&out, "listens on", &conf->listen_address);
	for (unsigned i = 0; i < conf->partners_n; i++)
		add_partner(&out, &conf->partners[i]);
	for (unsigned i = 0; i < conf->subscriptions_n; i++)
		add_subscription(&out, conf, &conf->subscriptions[i]);
	r = out.r < 0 ? out.r : output(fd, buf_slice(&out));
	buf_done(&out);
	return r;
}
