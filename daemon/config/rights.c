/*
 * rights.c - who may do what: patterns of channels, and the table that --check prints.
 */
#include "config/rights.h"

#include "base/buf.h"
#include "config/grid.h"
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

/* the n-th of a list; in the first row "-" when there is none */
static const char *nth(const struct conf_strings *strings, unsigned n)
{
	if (n < strings->n)
		return strings->v[n];
	return n == 0 ? "-" : "";
}

/* a number stands in a partner's first row only */
static void add_number(struct grid *grid, bool first, unsigned number)
{
	if (first)
		grid_add(grid, "%u", number);
	else
		grid_add(grid, "%s", "");
}

static unsigned longest(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static void add_partner(struct grid *grid, const struct conf_partner *partner)
{
	unsigned rows = longest(longest(partner->publish.n, partner->read.n),
				longest(partner->speaks_for.n, 1));
	char document[32], part[32];

	value_show_size(partner->document_max, document);
	value_show_size(partner->part_max, part);
	for (unsigned i = 0; i < rows; i++) {
		bool first = i == 0;

		grid_add(grid, "%s", first ? partner->name : "");
		grid_add(grid, "%s", nth(&partner->publish, i));
		grid_add(grid, "%s", nth(&partner->read, i));
		grid_add(grid, "%s", nth(&partner->speaks_for, i));
		grid_add(grid, "%s", !first ? "" : partner->node ? "yes" : "no");
		if (first && *partner->ca != '\0')
			grid_add(grid, "%u+CA", partner->pins_n);
		else
			add_number(grid, first, partner->pins_n);
		grid_add(grid, "%s", first ? document : "");
		grid_add(grid, "%s", first ? part : "");
		add_number(grid, first, partner->parts_max);
		add_number(grid, first, partner->connections_max);
	}
}

static int add_partners(struct buf *out, const struct conf *conf)
{
	static const char *const heads[] = { "PARTNER", "PUBLISHES",  "READS",    "SPEAKS-FOR",
					     "NODE",    "PINS",       "DOCUMENT", "PART",
					     "PARTS",   "CONNECTIONS" };
	struct grid grid;
	int r;

	grid_init(&grid, sizeof(heads) / sizeof(heads[0]));
	for (unsigned i = 0; i < grid.columns; i++)
		grid_add(&grid, "%s", heads[i]);
	for (unsigned i = 0; i < conf->partners_n; i++)
		add_partner(&grid, &conf->partners[i]);
	r = grid_write(&grid, out);
	grid_done(&grid);
	return r;
}

/* what one row of a subscription gets; the rest of the row in the first only */
static void add_gets(struct grid *grid, const struct conf_subscription *subscription, bool *first,
		     const char *gets, const char *note)
{
	char age[32], size[32];

	value_show_time((uint64_t)subscription->backlog_age_ms, age);
	value_show_size(subscription->backlog_size, size);
	grid_add(grid, "%s", *first ? subscription->name : "");
	grid_add(grid, "%s", *first ? subscription->partner : "");
	grid_add(grid, "%s%s", gets, note);
	grid_add(grid, "%s", !*first ? "" : subscription->start_all ? "all" : "now");
	grid_add(grid, "%s",
		 !*first                                  ? ""
		 : subscription->versions == VERSIONS_ALL ? "all"
							  : "latest");
	grid_add(grid, "%s", *first ? age : "");
	grid_add(grid, "%s", *first ? size : "");
	*first = false;
}

/* its channels, each cut to what its partner may read */
static void add_subscription(struct grid *grid, const struct conf *conf,
			     const struct conf_subscription *subscription)
{
	const struct conf_strings *read = &conf_partner(conf, subscription->partner)->read;
	bool first = true;

	for (unsigned i = 0; i < subscription->channels.n; i++) {
		const char *wanted = subscription->channels.v[i];
		bool some = rights_cover(read, wanted);

		if (some)
			add_gets(grid, subscription, &first, wanted, "");
		for (unsigned j = 0; !rights_cover(read, wanted) && j < read->n; j++) {
			if (!pattern_overlap(wanted, read->v[j]))
				continue;
			add_gets(grid, subscription, &first, read->v[j], "");
			some = true;
		}
		if (!some)
			add_gets(grid, subscription, &first, wanted, " (never: may not be read)");
	}
}

static int add_subscriptions(struct buf *out, const struct conf *conf)
{
	static const char *const heads[] = { "SUBSCRIPTION", "PARTNER",     "GETS",        "START",
					     "VERSIONS",     "BACKLOG-AGE", "BACKLOG-SIZE" };
	struct grid grid;
	int r;

	grid_init(&grid, sizeof(heads) / sizeof(heads[0]));
	for (unsigned i = 0; i < grid.columns; i++)
		grid_add(&grid, "%s", heads[i]);
	for (unsigned i = 0; i < conf->subscriptions_n; i++)
		add_subscription(&grid, conf, &conf->subscriptions[i]);
	r = grid_write(&grid, out);
	grid_done(&grid);
	return r;
}

int conf_print_rights(const struct conf *conf, int fd)
{
	struct buf out;
	int r;

	buf_init(&out, (size_t)64 << 20);
	r = add_partners(&out, conf);
	if (r == 0 && conf->subscriptions_n > 0) {
		buf_addf(&out, "\n");
		r = add_subscriptions(&out, conf);
	}
	if (r == 0)
		r = output(fd, buf_slice(&out));
	buf_done(&out);
	return r;
}
