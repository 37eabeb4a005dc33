/*
 * settings.h - the configuration file: one table of settings over libconfuse, one struct.
 *
 * A reload fills a new struct, checks all of it, and the caller swaps one pointer: a bad file
 * changes nothing. Everyone else sees const struct conf *. Before libconfuse sees a file, a check
 * of ours refuses (with the line) what it would cut, expand or forget without a word. Sizes are
 * octets ("2GiB", "64KiB", "100"), times are ms ("90s", "10min", "30d", "500ms", "2h"). Knows
 * nothing of what the settings do.
 */
#pragma once
#include "proto/msg.h"

#define CONF_PINS     16
#define CONF_CHANNELS 64

struct conf_strings {
	unsigned n;
	char **v;
};
struct conf_partner {
	char *name; /* section title: letters, digits, . _ -; at most 64 */
	unsigned line;
	struct conf_strings pins_text;
	unsigned pins_n;
	uint8_t pins[CONF_PINS][32]; /* SHA-256 of the SubjectPublicKeyInfo */
	/* or a CA of its own ("" none), with names that it vouches for, and its revocation lists */
	char *ca, *crl;
	struct conf_strings san;
	/* channel patterns: a name, or a prefix and '*' at the end */
	struct conf_strings publish, read;
	struct conf_strings speaks_for;
	bool node; /* another exchange: its hops, received and signal count */
	bool enforce_expiry;
	char *renamed_from;                            /* or "" */
	uint64_t document_max, part_max, partials_max; /* octets */
	unsigned parts_max, partials_n_max;
	unsigned credit_items;
	uint64_t credit_octets;
	unsigned connections_max;
	unsigned kills_per_day;
	unsigned items_per_minute; /* 0 = no limit */
	uint64_t octets_per_minute;
};
enum conf_versions { VERSIONS_LATEST = 0, VERSIONS_ALL = 1 };
struct conf_subscription {
	char *name;
	unsigned line;
	char *partner;
	struct conf_strings channels;
	bool start_all; /* start = "all" | "now" */
	char *filter;   /* only "" in this version; anything else is refused by name */
	enum conf_versions versions;
	int64_t backlog_age_ms;
	uint64_t backlog_size; /* octets; "25%" is worked out from store.size */
	char *renamed_from;
};
/* a file that the configuration names, and where: "newsxd.conf:12" */
struct conf_named {
	const char *path; /* that of the setting */
	char *place;
};
struct conf {
	char *file;
	unsigned named_n;
	struct conf_named *named;
	/* node */
	char *node_name;
	/* paths are made absolute against the folder of the file they stand in */
	char *node_key, *node_certificate;
	/* listen */
	struct conf_strings listen_address;
	/* store */
	char *store_directory;
	uint64_t store_size;
	unsigned items_share_pct; /* 25 */
	int64_t keep_ms, orphan_keep_ms, history_keep_ms, embargo_ahead_ms, clock_jump_ms;
	uint64_t held_size;
	int64_t commit_stall_ms;
	bool clock_ntp; /* clock = "ntp" | "operator" */
	uint64_t hot_memory;
	/* limits */
	unsigned connections_max, connections_per_address, handshakes_max, send_ahead_items;
	uint64_t send_ahead_octets, inbound_memory;
	unsigned inbound_share_pct; /* of it, for one partner */
	int64_t handshake_ms, hello_ms, idle_ms, ping_ms, stall_ms, bye_ms, part_wait_ms,
		ack_wait_ms;
	uint64_t document_max, envelope_max, part_max;
	unsigned parts_max;
	/* log */
	int log_level;
	unsigned log_item_lines; /* in a second; 0 = no limit */

	unsigned partners_n;
	struct conf_partner *partners;
	unsigned subscriptions_n;
	struct conf_subscription *subscriptions;
};
/*
 * conf_read - read and check a whole file (and what it includes). It opens none
 * of the files that are named there.
 * returns  0 and a new conf; NX_ECONF with why "FILE:LINE: ..."; NX_ENOENT; NX_ENOMEM
 */
int conf_read(const char *file, struct conf **ret, struct why *why);
/* the same from memory: name stands in refusals and before relative paths; no include is followed
 */
int conf_read_octets(const char *name, struct slice text, struct conf **ret, struct why *why);
void conf_free(struct conf **conf);
/* what the configuration names: there, a file and no pipe (which would make its reader wait),
 * readable, not endless; the key's mode 0640 or narrower. NX_ECONF with place and words that mend
 * it */
int conf_check_files(const struct conf *conf, struct why *why);
/* where such a file is named: "FILE:LINE" */
const char *conf_place(const struct conf *conf, const char *path);
/* did a setting change that is taken at start only? why names the first */
bool conf_needs_restart(const struct conf *now, const struct conf *next, struct why *why);
const struct conf_partner *conf_partner(const struct conf *conf, const char *name);
const struct conf_subscription *conf_subscription(const struct conf *conf, const char *name);
/* does a channel name match a list of patterns? */
bool conf_channel_match(const struct conf_strings *patterns, struct slice channel);
/* the effective rights, as --check prints them */
int conf_print_rights(const struct conf *conf, int fd);
/* every setting with default, range and help: newsxd --defaults, and the lint test against
 * newsxd.conf(5) */
int conf_print_defaults(int fd);
