/*
 * conf.c - struct conf once it is read: freeing it, finding in it, comparing two.
 */
#include <stdlib.h>

#include "config/table.h"

static void free_strings(struct conf_strings *strings)
{
	for (unsigned i = 0; i < strings->n; i++)
		free(strings->v[i]);
	free(strings->v);
}

/* what the table put into one struct */
static void free_fields(void *base, enum conf_section from, enum conf_section to)
{
	for (unsigned i = 0; i < conf_settings_n; i++) {
		const struct setting *setting = &conf_settings[i];
		char *field = (char *)base + setting->at;

		if (setting->section < from || setting->section > to)
			continue;
		if (setting_is_list(setting))
			free_strings((struct conf_strings *)(void *)field);
		else if (setting->kind == SET_NAME || setting->kind == SET_PATH ||
			 setting->kind == SET_FILTER)
			free(*(char **)(void *)field);
	}
}

void conf_free(struct conf **conf)
{
	struct conf *c = *conf;

	if (c == NULL)
		return;
	for (unsigned i = 0; i < c->partners_n; i++) {
		free(c->partners[i].name);
		free_fields(&c->partners[i], SEC_PARTNER, SEC_PARTNER);
	}
	for (unsigned i = 0; i < c->subscriptions_n; i++) {
		free(c->subscriptions[i].name);
		free_fields(&c->subscriptions[i], SEC_SUBSCRIPTION, SEC_SUBSCRIPTION);
	}
	free_fields(c, SEC_NODE, SEC_LOG);
	for (unsigned i = 0; i < c->named_n; i++)
		free(c->named[i].place);
	free(c->named);
	free(c->partners);
	free(c->subscriptions);
	free(c->file);
	free(c);
	*conf = NULL;
}

const char *conf_place(const struct conf *conf, const char *path)
{
	for (unsigned i = 0; i < conf->named_n; i++)
		if (conf->named[i].path == path)
			return conf->named[i].place;
	return conf->file;
}

const struct conf_partner *conf_partner(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->partners_n; i++)
		if (strcmp(conf->partners[i].name, name) == 0)
			return &conf->partners[i];
	return NULL;
}

const struct conf_subscription *conf_subscription(const struct conf *conf, const char *name)
{
	for (unsigned i = 0; i < conf->subscriptions_n; i++)
		if (strcmp(conf->subscriptions[i].name, name) == 0)
			return &conf->subscriptions[i];
	return NULL;
}

static bool same_strings(const struct conf_strings *a, const struct conf_strings *b)
{
	bool same = a->n == b->n;

	for (unsigned i = 0; same && i < a->n; i++)
		same = strcmp(a->v[i], b->v[i]) == 0;
	return same;
}

static bool same_field(const struct setting *setting, const struct conf *a, const struct conf *b)
{
	const void *left = (const char *)a + setting->at, *right = (const char *)b + setting->at;

	if (setting_is_list(setting))
		return same_strings(left, right);
	if (setting->kind == SET_NAME || setting->kind == SET_PATH)
		return strcmp(*(char *const *)left, *(char *const *)right) == 0;
	if (setting->kind == SET_SIZE)
		return *(const uint64_t *)left == *(const uint64_t *)right;
	return *(const unsigned *)left == *(const unsigned *)right; /* SET_PERCENT, SET_COUNT */
}

bool conf_needs_restart(const struct conf *now, const struct conf *next, struct why *why)
{
	for (unsigned i = 0; i < conf_settings_n; i++) {
		const struct setting *setting = &conf_settings[i];

		if (setting->when == AT_START && !same_field(setting, now, next)) {
			why_set(why, NX_ECONF,
				"'%s' in section %s changed: taken at the next start",
				setting->name, conf_sections[setting->section].name);
			return true;
		}
	}
	return false;
}
