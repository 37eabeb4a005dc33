/*
 * fill.c - from libconfuse's strings to struct conf, driven by the table.
 *
 * Sections are filled in the order of enum conf_section, settings in the order of the table: so
 * store.size is known before a share of it, and the limits before the ceilings that follow them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "config/reading.h"
#include "config/value.h"

/* one section that is being filled */
struct into {
	struct reading *reading;
	const struct seen_section *seen; /* NULL when the file has no such section */
	struct parsed_section *parsed;
	void *base; /* struct conf, conf_partner or conf_subscription */
};

static int named(struct reading *reading, const char *path, struct where where)
{
	struct conf *conf = reading->conf;
	char place[PLACE_SIZE];

	if (!one_more((void **)&conf->named, conf->named_n, sizeof(*conf->named)))
		return NX_ENOMEM;
	place_text(reading, where, place);
	conf->named[conf->named_n] = (struct conf_named){ .path = path, .place = strdup(place) };
	return conf->named[conf->named_n++].place ? 0 : NX_ENOMEM;
}

static int path(struct into *into, const char *text, struct where where, char **ret)
{
	const char *folder = into->reading->files[where.file].folder;

	if (*text == '/')
		*ret = strdup(text);
	else if (asprintf(ret, "%s/%s", folder, text) < 0)
		*ret = NULL;
	return *ret ? named(into->reading, *ret, where) : NX_ENOMEM;
}

static int text_value(const struct setting *setting, const char *text, struct why *why)
{
	size_t n = strlen(text);

	if (n < setting->least)
		return why_set(why, NX_ECONF, "'%s' may not be empty", setting->name);
	if (n > setting->most)
		return why_set(why, NX_ECONF, "'%s' is longer than %u octets", setting->name,
			       (unsigned)setting->most);
	if (setting->kind == SET_NAME && n > 0)
		return value_name(text, why);
	if (setting->kind == SET_FILTER && n > 0)
		return why_set(
			why, NX_ECONF,
			"the filter language comes later: in this version filter must be \"\"");
	return 0;
}

static int number_value(const struct setting *setting, const char *text, uint64_t store_size,
			uint64_t *ret, struct why *why)
{
	int64_t ms;
	int r;

	switch (setting->kind) {
	case SET_TIME:
		r = value_time(text, &ms, why);
		*ret = r < 0 ? 0 : (uint64_t)ms;
		break;
	case SET_PERCENT:
		r = value_percent(text, ret, why);
		break;
	case SET_COUNT:
		r = value_count(text, ret, why);
		break;
	case SET_SHARE:
		if (strchr(text, '%')) {
			r = value_percent(text, ret, why);
			*ret = r < 0 ? 0 : store_size * *ret / 100;
			break;
		} /* else fall through */
	default:
		r = value_size(text, ret, why);
	}
	return r < 0 ? r : value_range(setting, *ret, why);
}

static int word_value(const struct setting *setting, const char *text, void *field, struct why *why)
{
	static const int levels[] = { LOG_ERR_, LOG_WARN_, LOG_INFO_, LOG_DEBUG_ };
	unsigned i;
	int r;

	if (setting->kind == SET_BOOL)
		return value_bool(text, field, why);
	r = value_choice(text, setting->choices, &i, why);
	if (r < 0)
		return r;
	if (setting->kind == SET_EITHER)
		*(bool *)field = i == 1;
	else
		*(int *)field = setting->kind == SET_LEVEL ? levels[i] : (int)i;
	return 0;
}

/* one value of its own, not a list */
static int scalar(struct into *into, const struct setting *setting, const char *text,
		  struct where where, struct why *why)
{
	void *field = (char *)into->base + setting->at;
	uint64_t number;
	int r;

	switch (setting->kind) {
	case SET_NAME:
	case SET_FILTER:
	case SET_PATH:
		r = text_value(setting, text, why);
		if (r < 0)
			return r;
		if (setting->kind == SET_PATH && *text != '\0')
			return path(into, text, where, field);
		*(char **)field = strdup(text);
		return *(char **)field ? 0 : NX_ENOMEM;
	case SET_BOOL:
	case SET_EITHER:
	case SET_ONE_OF:
	case SET_LEVEL:
		return word_value(setting, text, field, why);
	default:
		r = number_value(setting, text, into->reading->conf->store_size, &number, why);
		if (r < 0)
			return r;
		if (setting->kind == SET_COUNT || setting->kind == SET_PERCENT)
			*(unsigned *)field = (unsigned)number;
		else
			*(uint64_t *)field = number; /* or int64_t: never above INT64_MAX */
		return 0;
	}
}

static int element(const struct setting *setting, const char *text, char **ret, struct why *why)
{
	uint8_t pin[32];
	int r;

	if (setting->kind == SET_ADDRESSES)
		return value_address(text, ret, why);
	if (setting->kind == SET_SANS)
		r = value_san(text, why);
	else if (setting->kind == SET_PATTERNS)
		r = value_pattern(text, why);
	else if (setting->kind == SET_NAMES)
		r = value_name(text, why);
	else
		r = value_pin(text, pin, why);
	if (r < 0)
		return r;
	*ret = strdup(text);
	return *ret ? 0 : NX_ENOMEM;
}

static int list_value(struct into *into, const struct setting *setting, const char *text,
		      struct why *why)
{
	struct conf_strings *strings = (void *)((char *)into->base + setting->at);
	char *one = NULL;
	int r;

	if (strings->n >= setting->most)
		return why_set(why, NX_ECONF, "'%s' has more than %u values", setting->name,
			       (unsigned)setting->most);
	if (!one_more((void **)&strings->v, strings->n, sizeof(char *)))
		return NX_ENOMEM;
	r = element(setting, text, &one, why);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < strings->n; i++) {
		if (strcmp(strings->v[i], one) == 0)
			r = why_set(why, NX_ECONF, "'%.80s' stands twice in '%s'", one,
				    setting->name);
		else if (setting->kind == SET_ADDRESSES)
			r = value_addresses(one, strings->v[i], why);
		if (r < 0) {
			free(one);
			return r;
		}
	}
	strings->v[strings->n++] = one;
	return 0;
}

static int give(struct into *into, const struct setting *setting, const char *text,
		struct where where)
{
	struct why inner = { 0 };
	int r = setting_is_list(setting) ? list_value(into, setting, text, &inner)
					 : scalar(into, setting, text, where, &inner);

	return r == NX_ECONF ? refuse(into->reading, where, "%s", inner.words) : r;
}

static uint64_t number_of(const struct setting *setting, const void *base)
{
	const void *field = (const char *)base + setting->at;

	return setting->kind == SET_COUNT ? *(const unsigned *)field : *(const uint64_t *)field;
}

/* what a partner's section leaves out is as the limit of that name; what it says is never more */
static int ceiling(struct into *into, const struct setting *setting, bool given)
{
	const struct setting *limit = table_find(SEC_LIMITS, slice_str(setting->fallback + 1));
	uint64_t most = number_of(limit, into->reading->conf);
	void *field = (char *)into->base + setting->at;
	char shown[32];

	if (!given && setting->kind == SET_COUNT)
		*(unsigned *)field = (unsigned)most;
	else if (!given)
		*(uint64_t *)field = most;
	if (number_of(setting, into->base) <= most)
		return 0;
	value_show_size(most, shown);
	return refuse(into->reading, where_of(into->reading, into->seen, setting->name, 0),
		      "'%s' is more than limits allows everybody (%s)", setting->name, shown);
}

static int one_setting(struct into *into, const struct setting *setting)
{
	struct reading *reading = into->reading;
	unsigned n = into->seen ? seen_count(reading, into->seen, setting) : 0;
	struct where where =
		into->seen ? into->seen->where : (struct where){ .file = 0, .line = 1 };
	int r = 0;

	if (n != (into->seen ? parsed_count(into->parsed, setting->name) : 0))
		return refuse(reading, where, "libconfuse reads '%s' otherwise than we do",
			      setting->name);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = give(into, setting, parsed_value(into->parsed, setting->name, i),
			 where_of(reading, into->seen, setting->name, i));
	if (r < 0)
		return r;
	if (setting->fallback && *setting->fallback == '=')
		return ceiling(into, setting, n > 0);
	if (n > 0)
		return 0;
	if (setting->fallback == NULL)
		return refuse(reading, where, "%s %s has no '%s'",
			      conf_sections[setting->section].name,
			      into->seen ? into->seen->title : "", setting->name);
	if (*setting->fallback == '\0' && setting_is_list(setting))
		return 0;
	where.file = 0; /* a path that nobody gave begins where the first file lies */
	return give(into, setting, setting->fallback, where);
}

static int one_section(struct reading *reading, enum conf_section kind, unsigned n, void *base)
{
	struct into into = { .reading = reading, .base = base };
	int r = 0;

	into.seen = seen_nth(reading, kind, n);
	if (into.seen) {
		into.parsed = parsed_section(reading->parsed, kind, n);
		if (into.parsed == NULL || strcmp(parsed_title(into.parsed), into.seen->title) != 0)
			return refuse(reading, into.seen->where,
				      "libconfuse reads section %s otherwise than we do",
				      conf_sections[kind].name);
	}
	for (unsigned i = 0; i < conf_settings_n && r == 0; i++)
		if (conf_settings[i].section == kind)
			r = one_setting(&into, &conf_settings[i]);
	return r;
}

static int partner(struct reading *reading, unsigned n)
{
	const struct seen_section *seen = seen_nth(reading, SEC_PARTNER, n);
	struct conf_partner *partner = &reading->conf->partners[n];
	struct why inner;
	int r;

	reading->conf->partners_n = n + 1;
	partner->line = seen->where.line;
	partner->name = strdup(seen->title);
	if (partner->name == NULL)
		return NX_ENOMEM;
	r = one_section(reading, SEC_PARTNER, n, partner);
	for (unsigned i = 0; r == 0 && i < partner->pins_text.n; i++)
		r = value_pin(partner->pins_text.v[i], partner->pins[partner->pins_n++], &inner);
	return r;
}

static int subscription(struct reading *reading, unsigned n)
{
	const struct seen_section *seen = seen_nth(reading, SEC_SUBSCRIPTION, n);
	struct conf_subscription *subscription = &reading->conf->subscriptions[n];

	reading->conf->subscriptions_n = n + 1;
	subscription->line = seen->where.line;
	subscription->name = strdup(seen->title);
	if (subscription->name == NULL)
		return NX_ENOMEM;
	return one_section(reading, SEC_SUBSCRIPTION, n, subscription);
}

int fill(struct reading *reading)
{
	struct conf *conf = reading->conf;
	unsigned partners = reading->of_kind[SEC_PARTNER];
	unsigned subscriptions = reading->of_kind[SEC_SUBSCRIPTION];
	int r = 0;

	/* one more than needed: calloc(0) may be NULL */
	conf->partners = calloc(partners + 1, sizeof(*conf->partners));
	conf->subscriptions = calloc(subscriptions + 1, sizeof(*conf->subscriptions));
	if (conf->partners == NULL || conf->subscriptions == NULL)
		return NX_ENOMEM;
	for (unsigned kind = 0; r == 0 && kind < SEC_PARTNER; kind++)
		r = one_section(reading, (enum conf_section)kind, 0, conf);
	for (unsigned n = 0; r == 0 && n < partners; n++)
		r = partner(reading, n);
	for (unsigned n = 0; r == 0 && n < subscriptions; n++)
		r = subscription(reading, n);
	return r;
}
