/*
 * parse.c - libconfuse, kept behind five functions: the one file that includes <confuse.h>.
 *
 * Its option arrays are made from the table; every value is a string to it. precheck() has seen
 * every text before it comes here, so libconfuse refuses nothing that we let through (the fuzz
 * target holds us to it).
 */
#include <confuse.h>
#include <stdlib.h>

#include "config/reading.h"

#define OPTS_MAX 32 /* settings of one section */

struct parsed {
	cfg_t *cfg;
	cfg_opt_t root[SECTIONS + 2];
	cfg_opt_t opts[SECTIONS][OPTS_MAX];
};

static void silent(cfg_t *cfg, const char *format, va_list ap)
{
	(void)cfg, (void)format, (void)ap;
}

/* settings.c follows the includes, each file by itself */
static int included(cfg_t *cfg, cfg_opt_t *opt, int argc, const char **argv)
{
	(void)cfg, (void)opt, (void)argc, (void)argv;
	return 0;
}

static void make_opts(cfg_opt_t *opts, enum conf_section kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < conf_settings_n; i++) {
		const struct setting *setting = &conf_settings[i];
		cfg_opt_t one = CFG_STR(setting->name, NULL, CFGF_NODEFAULT);

		if (setting->section != kind || n + 1 >= OPTS_MAX)
			continue;
		if (setting_is_list(setting))
			one.flags |= CFGF_LIST;
		opts[n++] = one;
	}
	opts[n] = (cfg_opt_t)CFG_END();
}

int parsed_new(struct parsed **ret)
{
	struct parsed *parsed = calloc(1, sizeof(*parsed));

	if (parsed == NULL)
		return NX_ENOMEM;
	for (unsigned i = 0; i < SECTIONS; i++) {
		cfg_flag_t flags = conf_sections[i].titled
					   ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES
					   : CFGF_NONE;

		make_opts(parsed->opts[i], (enum conf_section)i);
		parsed->root[i] = (cfg_opt_t)CFG_SEC(conf_sections[i].name, parsed->opts[i], flags);
	}
	parsed->root[SECTIONS] = (cfg_opt_t)CFG_FUNC("include", included);
	parsed->root[SECTIONS + 1] = (cfg_opt_t)CFG_END();
	parsed->cfg = cfg_init(parsed->root, CFGF_NONE);
	if (parsed->cfg == NULL) {
		free(parsed);
		return NX_ENOMEM;
	}
	cfg_set_error_function(parsed->cfg, silent);
	*ret = parsed;
	return 0;
}

void parsed_free(struct parsed **parsed)
{
	if (*parsed)
		cfg_free((*parsed)->cfg);
	free(*parsed);
	*parsed = NULL;
}

int parsed_add(struct parsed *parsed, const char *text)
{
	return cfg_parse_buf(parsed->cfg, text) == CFG_SUCCESS ? 0 : NX_ECONF;
}

struct parsed_section *parsed_section(struct parsed *parsed, enum conf_section kind, unsigned n)
{
	return (struct parsed_section *)cfg_getnsec(parsed->cfg, conf_sections[kind].name, n);
}

const char *parsed_title(struct parsed_section *section)
{
	const char *title = cfg_title((cfg_t *)section);

	return title ? title : "";
}

unsigned parsed_count(struct parsed_section *section, const char *name)
{
	return cfg_size((cfg_t *)section, name);
}

const char *parsed_value(struct parsed_section *section, const char *name, unsigned n)
{
	return cfg_getnstr((cfg_t *)section, name, n);
}
