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

/* what libconfuse takes at most: its scanner and its copy of our table; for each section, value and
 * octet of text; measured, and doubled */
#define ROOM_BASE    (256u << 10)
#define ROOM_SECTION (10u << 10)
#define ROOM_VALUE   256u
#define ROOM_OCTET   4u
#define ROOM_AT_ONCE (16u << 20) /* below M_MMAP_THRESHOLD: freed, it stays in the heap */

struct parsed {
	cfg_t *cfg;
	bool broken;
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

/*
 * An allocation that fails inside libconfuse 3.3 ends the process: its scanner gives up with
 * exit(2) or abort(), and sections that are half made are used, and freed twice. So all that it may
 * need is taken beforehand, and given back at once: it then lies in the heap of this thread, where
 * what is asked for next is found.
 */
static int make_room(size_t n)
{
	struct block {
		struct block *next;
	} *first = NULL;
	int r = 0;

	while (n > 0 && r == 0) {
		size_t some = n < ROOM_AT_ONCE ? n : ROOM_AT_ONCE;
		struct block *block = malloc(sizeof(*block) + some);

		if (block == NULL) {
			r = NX_ENOMEM;
			break;
		}
		block->next = first;
		first = block;
		n -= some;
	}
	while (first != NULL) {
		struct block *block = first;

		first = block->next;
		free(block);
	}
	return r;
}

int parsed_new(struct parsed **ret)
{
	struct parsed *parsed = calloc(1, sizeof(*parsed));

	if (parsed == NULL || make_room(ROOM_BASE) < 0) {
		free(parsed);
		return NX_ENOMEM;
	}
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
	if (*parsed && !(*parsed)->broken) /* else it is lost: better than freed twice */
		cfg_free((*parsed)->cfg);
	free(*parsed);
	*parsed = NULL;
}

int parsed_add(struct parsed *parsed, const char *text, unsigned sections, unsigned values)
{
	int r = make_room(ROOM_BASE + (size_t)sections * ROOM_SECTION +
			  (size_t)values * ROOM_VALUE + strlen(text) * ROOM_OCTET);

	if (r < 0)
		return r;
	parsed->broken = cfg_parse_buf(parsed->cfg, text) != CFG_SUCCESS;
	return parsed->broken ? NX_ECONF : 0;
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
