/*
 * table.h - every setting once: where it stands, what it may be, what it is when nobody says.
 *
 * The table drives the check before libconfuse, libconfuse's own option arrays, the filling of
 * struct conf, `newsxd --defaults`, and the lint test against newsxd.conf(5). Constant; knows
 * nothing of files.
 */
#pragma once
#include "config/settings.h"

enum conf_section {
	SEC_NODE,
	SEC_LISTEN,
	SEC_STORE,
	SEC_LIMITS,
	SEC_LOG,
	SEC_PARTNER,
	SEC_SUBSCRIPTION,
	SECTIONS
};
struct section_form {
	const char *name;
	bool titled; /* "partner kpl { ... }", any number of them, each title once */
	const char *help;
};
extern const struct section_form conf_sections[SECTIONS];

enum setting_kind {                /* field in struct conf   least and most */
		    SET_NAME,      /* char *		  octets */
		    SET_PATH,      /* char *, absolute	  octets */
		    SET_FILTER,    /* char *		  octets */
		    SET_ADDRESSES, /* struct conf_strings	  how many; so the next four */
		    SET_PATTERNS,  /* struct conf_strings */
		    SET_NAMES,     /* struct conf_strings */
		    SET_SANS,      /* struct conf_strings: DNS names, URIs, mail addresses */
		    SET_PINS,      /* struct conf_strings; fill.c sees to pins[] */
		    SET_COUNT,     /* unsigned */
		    SET_PERCENT,   /* unsigned */
		    SET_SIZE,      /* uint64_t, octets */
		    SET_SHARE, /* uint64_t, octets, or a percentage of store.size (least and most in
				  octets) */
		    SET_TIME,  /* int64_t, ms */
		    SET_BOOL,  /* bool */
		    SET_EITHER, /* bool: false and true each have a word in choices */
		    SET_ONE_OF, /* int or enum: the n-th word of choices */
		    SET_LEVEL,  /* int: enum log_level */
};
enum setting_when { AT_START, AT_RELOAD };

struct setting {
	enum conf_section section;
	const char *name;
	enum setting_kind kind;
	size_t at;            /* offset in struct conf, conf_partner or conf_subscription */
	const char *fallback; /* NULL: must be set; "=name": as that setting of limits, and never
				 more */
	uint64_t least, most;
	const char *choices; /* "now|all" */
	enum setting_when when;
	const char *help;
};
extern const struct setting conf_settings[];
extern const unsigned conf_settings_n;

/* SECTIONS when there is none of that name */
enum conf_section table_section(struct slice name);
const struct setting *table_find(enum conf_section section, struct slice name);
bool setting_is_list(const struct setting *setting);
/* the known name nearest to what was written, or NULL when none is near */
const char *table_near_section(struct slice name);
const char *table_near_setting(enum conf_section section, struct slice name);
/* the section that has a setting of that name, or SECTIONS */
enum conf_section table_elsewhere(struct slice name);
