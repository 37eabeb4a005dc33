/*
 * check.c - the sections held against each other: what no single value can be wrong in.
 */
#include <stdlib.h>

#include "config/reading.h"
#include "config/rights.h"
#include "config/value.h"

/* the line of a setting of a section that stands there once */
static struct where line_of(const struct reading *reading, enum conf_section kind, const char *name)
{
	const struct seen_section *seen = seen_nth(reading, kind, 0);

	return seen ? where_of(reading, seen, name, 0) : (struct where){ .line = 1 };
}

static int check_limits(struct reading *reading)
{
	const struct conf *conf = reading->conf;

	if (conf->document_max + conf->envelope_max > (uint64_t)1000 << 10)
		return refuse(reading, line_of(reading, SEC_LIMITS, "document"),
			      "'document' and 'envelope' together are more than 1000KiB");
	if (conf->idle_ms <= conf->ping_ms)
		return refuse(reading, line_of(reading, SEC_LIMITS, "idle"),
			      "'idle' must be more than 'ping'");
	return 0;
}

/* one pin and whose it is, to be sorted */
struct owned_pin {
	const uint8_t *pin;
	unsigned partner, nth;
};

static int by_pin(const void *a, const void *b)
{
	const struct owned_pin *left = a, *right = b;
	int r = memcmp(left->pin, right->pin, 32);

	if (r == 0 && left->partner != right->partner)
		r = left->partner < right->partner ? -1 : 1;
	return r ? r : (left->nth < right->nth ? -1 : left->nth > right->nth);
}

static int twice(struct reading *reading, const struct owned_pin *first,
		 const struct owned_pin *second)
{
	const struct conf_partner *partners = reading->conf->partners;
	const struct seen_section *seen = seen_nth(reading, SEC_PARTNER, second->partner);

	return refuse(reading, where_of(reading, seen, "pin", second->nth),
		      "partners %s (line %u) and %s have the same pin %.16s...: "
		      "a key belongs to one",
		      partners[first->partner].name, partners[first->partner].line,
		      partners[second->partner].name,
		      partners[second->partner].pins_text.v[second->nth]);
}

static int check_pins(struct reading *reading)
{
	const struct conf *conf = reading->conf;
	struct owned_pin *pins = calloc(conf->partners_n * CONF_PINS + 1, sizeof(*pins));
	unsigned n = 0;
	int r = 0;

	if (pins == NULL)
		return NX_ENOMEM;
	for (unsigned i = 0; i < conf->partners_n; i++)
		for (unsigned j = 0; j < conf->partners[i].pins_n; j++)
			pins[n++] = (struct owned_pin){ conf->partners[i].pins[j], i, j };
	qsort(pins, n, sizeof(*pins), by_pin);
	for (unsigned i = 1; i < n && r == 0; i++)
		if (memcmp(pins[i - 1].pin, pins[i].pin, 32) == 0)
			r = twice(reading, &pins[i - 1], &pins[i]);
	free(pins);
	return r;
}

/* by a pin, or by a CA with names; a name is one partner's alone */
static int check_known(struct reading *reading, unsigned n)
{
	const struct conf *conf = reading->conf;
	const struct conf_partner *partner = &conf->partners[n];
	const struct seen_section *seen = seen_nth(reading, SEC_PARTNER, n);
	bool ca = *partner->ca != '\0';

	if (partner->pins_n == 0 && !ca)
		return refuse(reading, seen->where, "partner %s has no 'pin', and no 'ca' either",
			      partner->name);
	if (ca != (partner->san.n > 0))
		return refuse(reading, where_of(reading, seen, ca ? "ca" : "san", 0),
			      "partner %s has '%s' without '%s'", partner->name, ca ? "ca" : "san",
			      ca ? "san" : "ca");
	if (!ca && *partner->crl != '\0')
		return refuse(reading, where_of(reading, seen, "crl", 0),
			      "partner %s has 'crl' without 'ca'", partner->name);
	for (unsigned i = 0; i < n; i++)
		for (unsigned a = 0; a < conf->partners[i].san.n; a++)
			for (unsigned b = 0; b < partner->san.n; b++)
				if (strcasecmp(conf->partners[i].san.v[a], partner->san.v[b]) == 0)
					return refuse(reading, where_of(reading, seen, "san", b),
						      "partners %s and %s have the same san '%s'",
						      conf->partners[i].name, partner->name,
						      partner->san.v[b]);
	return 0;
}

static int check_partner_renamed(struct reading *reading, unsigned n)
{
	const struct conf *conf = reading->conf;
	const struct seen_section *seen = seen_nth(reading, SEC_PARTNER, n);
	const char *former = conf->partners[n].renamed_from;

	if (*former == '\0')
		return 0;
	if (conf_partner(conf, former))
		return refuse(reading, where_of(reading, seen, "renamed-from", 0),
			      "partner %s still stands here; %s cannot have its debts", former,
			      conf->partners[n].name);
	for (unsigned i = 0; i < n; i++)
		if (strcmp(conf->partners[i].renamed_from, former) == 0)
			return refuse(reading, where_of(reading, seen, "renamed-from", 0),
				      "%s is already what %s was", former, conf->partners[i].name);
	return 0;
}

static int check_subscription_renamed(struct reading *reading, unsigned n)
{
	const struct conf *conf = reading->conf;
	const struct seen_section *seen = seen_nth(reading, SEC_SUBSCRIPTION, n);
	const char *former = conf->subscriptions[n].renamed_from;

	if (*former == '\0')
		return 0;
	if (conf_subscription(conf, former))
		return refuse(reading, where_of(reading, seen, "renamed-from", 0),
			      "subscription %s still stands here; %s cannot have its debts", former,
			      conf->subscriptions[n].name);
	for (unsigned i = 0; i < n; i++)
		if (strcmp(conf->subscriptions[i].renamed_from, former) == 0)
			return refuse(reading, where_of(reading, seen, "renamed-from", 0),
				      "%s is already what %s was", former,
				      conf->subscriptions[i].name);
	return 0;
}

static int check_subscription(struct reading *reading, unsigned n)
{
	const struct conf_subscription *subscription = &reading->conf->subscriptions[n];
	const struct conf_partner *partner = conf_partner(reading->conf, subscription->partner);
	const struct seen_section *seen = seen_nth(reading, SEC_SUBSCRIPTION, n);

	if (partner == NULL)
		return refuse(reading, where_of(reading, seen, "partner", 0),
			      "subscription %s: there is no partner %s", subscription->name,
			      subscription->partner);
	if (!rights_overlap(&subscription->channels, &partner->read))
		return refuse(reading, where_of(reading, seen, "channels", 0),
			      "subscription %s could never get anything: partner %s %s",
			      subscription->name, partner->name,
			      partner->read.n ? "may read none of these channels"
					      : "has no 'read'");
	return 0;
}

int check(struct reading *reading)
{
	int r = check_limits(reading);

	if (r == 0)
		r = check_pins(reading);
	for (unsigned n = 0; r == 0 && n < reading->conf->partners_n; n++)
		r = check_known(reading, n);
	for (unsigned n = 0; r == 0 && n < reading->conf->partners_n; n++)
		r = check_partner_renamed(reading, n);
	for (unsigned n = 0; r == 0 && n < reading->conf->subscriptions_n; n++)
		r = check_subscription_renamed(reading, n);
	for (unsigned n = 0; r == 0 && n < reading->conf->subscriptions_n; n++)
		r = check_subscription(reading, n);
	return r;
}
