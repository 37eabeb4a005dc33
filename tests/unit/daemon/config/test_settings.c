/*
 * test_settings.c - what a configuration that is taken means: defaults, values, includes, rights,
 * key files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "config/rights.h"
#include "config/settings.h"
#include "config/table.h"
#include "config/value.h"

#define PIN_A "sha256:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
#define PIN_B "sha256:YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI="

static struct conf *taken(const char *text)
{
	struct conf *conf = NULL;
	struct why why = { 0 };

	if (conf_read_octets("/etc/newsxd/newsxd.conf", slice_str(text), &conf, &why) < 0)
		fail_msg("%s\n%s", why.words, text);
	return conf;
}

/* a folder of our own, with files in it */
struct folder {
	char path[64];
};
static void folder_make(struct folder *folder)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(folder->path, sizeof(folder->path), "%.40s/newsxd.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(folder->path));
}

static void folder_put(const struct folder *folder, const char *name, const char *text)
{
	char path[128];
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	out = fopen(path, "w");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static void folder_drop(struct folder *folder)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder->path);
	assert_int_equal(system(command), 0);
}

static int folder_read(const struct folder *folder, const char *name, struct conf **ret,
		       struct why *why)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder->path, name);
	return conf_read(path, ret, why);
}

static void defaults(void **state)
{
	struct conf *conf = taken("");

	(void)state;
	assert_string_equal(conf->file, "/etc/newsxd/newsxd.conf");
	assert_string_equal(conf->node_name, "exchange");
	assert_int_equal(conf->listen_address.n, 1);
	assert_string_equal(conf->listen_address.v[0], "0.0.0.0:7417");
	assert_int_equal(conf->store_size, 2ULL << 30);
	assert_int_equal(conf->items_share_pct, 25);
	assert_int_equal(conf->keep_ms, 7LL * 86400000);
	assert_int_equal(conf->orphan_keep_ms, 7LL * 86400000);
	assert_int_equal(conf->history_keep_ms, 400LL * 86400000);
	assert_int_equal(conf->embargo_ahead_ms, 400LL * 86400000);
	assert_int_equal(conf->clock_jump_ms, 60000);
	assert_int_equal(conf->held_size, (2ULL << 30) * 10 / 100);
	assert_false(conf->clock_ntp);
	assert_int_equal(conf->hot_memory, 64 << 20);
	assert_int_equal(conf->connections_per_address, 64);
	assert_int_equal(conf->handshakes_max, 64);
	assert_int_equal(conf->send_ahead_items, 1024);
	assert_int_equal(conf->send_ahead_octets, 16 << 20);
	assert_int_equal(conf->inbound_memory, 256 << 20);
	assert_int_equal(conf->handshake_ms, 5000);
	assert_int_equal(conf->hello_ms, 10000);
	assert_int_equal(conf->ping_ms, 30000);
	assert_int_equal(conf->idle_ms, 90000);
	assert_int_equal(conf->stall_ms, 60000);
	assert_int_equal(conf->bye_ms, 5000);
	assert_int_equal(conf->part_wait_ms, 120000);
	assert_int_equal(conf->ack_wait_ms, 600000);
	assert_int_equal(conf->document_max, 256 << 10);
	assert_int_equal(conf->envelope_max, 16 << 10);
	assert_int_equal(conf->part_max, 64 << 20);
	assert_int_equal(conf->parts_max, 64);
	assert_int_equal(conf->log_level, LOG_INFO_);
	assert_int_equal(conf->partners_n + conf->subscriptions_n, 0);
	conf_free(&conf);
	assert_null(conf);
	conf_free(&conf);
}

static void one_partner(void **state)
{
	struct conf *conf = taken("limits { document = 512KiB }\n"
				  "\npartner kpl { pin = {\"" PIN_A "\", \"" PIN_B "\"}\n"
				  " publish = {\"kpl.*\", all} speaks-for = { kpl-hanoi }\n"
				  " node = yes renamed-from = lao part = 32MiB }\n");
	const struct conf_partner *kpl = conf_partner(conf, "kpl");

	(void)state;
	assert_non_null(kpl);
	assert_null(conf_partner(conf, "kp"));
	assert_int_equal(kpl->line, 3);
	assert_int_equal(kpl->pins_n, 2);
	for (int i = 0; i < 32; i++) {
		assert_int_equal(kpl->pins[0][i], 'a');
		assert_int_equal(kpl->pins[1][i], 'b');
	}
	assert_string_equal(kpl->pins_text.v[1], PIN_B);
	assert_int_equal(kpl->read.n, 0);
	assert_int_equal(kpl->publish.n, 2);
	assert_string_equal(kpl->speaks_for.v[0], "kpl-hanoi");
	assert_true(kpl->node);
	assert_false(kpl->enforce_expiry);
	assert_string_equal(kpl->renamed_from, "lao");
	assert_int_equal(kpl->document_max, 512 << 10);
	assert_int_equal(kpl->part_max, 32 << 20);
	assert_int_equal(kpl->parts_max, 64);
	assert_int_equal(kpl->partials_n_max, 32);
	assert_int_equal(kpl->partials_max, 512 << 20);
	assert_int_equal(kpl->credit_items, 64);
	assert_int_equal(kpl->credit_octets, 4 << 20);
	assert_int_equal(kpl->connections_max, 8);
	assert_int_equal(kpl->kills_per_day, 1000);
	assert_true(conf_channel_match(&kpl->publish, slice_str("kpl.lo")));
	assert_true(conf_channel_match(&kpl->publish, slice_str("all")));
	assert_false(conf_channel_match(&kpl->publish, slice_str("al")));
	assert_false(conf_channel_match(&kpl->publish, slice_str("kpl")));
	assert_false(conf_channel_match(&kpl->read, slice_str("all")));
	conf_free(&conf);
}

static void one_subscription(void **state)
{
	/* the store's size stands below what is a share of it */
	struct conf *conf =
		taken("subscription s { partner = vna start = all versions = all\n"
		      " backlog-size = \"50%\" backlog-age = 36h }\n"
		      "subscription t { partner = vna backlog-size = 1MiB }\n"
		      "partner vna { pin = \"" PIN_A "\" read = \"*\" }\n"
		      "store { size = 100MiB held-size = 5MiB clock = ntp directory = \"/s\" }\n"
		      "listen { address = {\"127.0.0.1:0\", \"[::1]\", \"10.0.0.1\"} }\n"
		      "node { key = \"../k\" } log { level = debug }");
	const struct conf_subscription *s = conf_subscription(conf, "s");
	const struct conf_subscription *t = conf_subscription(conf, "t");

	(void)state;
	assert_non_null(s);
	assert_true(s->start_all);
	assert_int_equal(s->versions, VERSIONS_ALL);
	assert_int_equal(s->backlog_size, 50 << 20);
	assert_int_equal(s->backlog_age_ms, 36 * 3600000);
	assert_string_equal(s->channels.v[0], "*");
	assert_string_equal(s->filter, "");
	assert_int_equal(t->line, 3);
	assert_false(t->start_all);
	assert_int_equal(t->versions, VERSIONS_LATEST);
	assert_int_equal(t->backlog_size, 1 << 20);
	assert_int_equal(conf->held_size, 5 << 20);
	assert_true(conf->clock_ntp);
	assert_string_equal(conf->store_directory, "/s");
	assert_string_equal(conf->listen_address.v[0], "127.0.0.1:0");
	assert_string_equal(conf->listen_address.v[1], "[::1]:7417");
	assert_string_equal(conf->listen_address.v[2], "10.0.0.1:7417");
	assert_int_equal(conf->log_level, LOG_DEBUG_);
	conf_free(&conf);
}

static void numbers(void **state)
{
	uint64_t octets;
	int64_t ms;
	char shown[32];

	(void)state;
	assert_int_equal(value_size("100", &octets, NULL), 0);
	assert_int_equal(octets, 100);
	assert_int_equal(value_size("3TiB", &octets, NULL), 0);
	assert_int_equal(octets, 3ULL << 40);
	assert_int_equal(value_size("8388607TiB", &octets, NULL), 0);
	assert_int_equal(value_size("8388608TiB", &octets, NULL), NX_ECONF); /* above INT64_MAX */
	assert_int_equal(value_size("18446744073709551616", &octets, NULL), NX_ECONF);
	assert_int_equal(value_size("", &octets, NULL), NX_ECONF);
	assert_int_equal(value_size("KiB", &octets, NULL), NX_ECONF);
	assert_int_equal(value_size("1 KiB", &octets, NULL), NX_ECONF);
	assert_int_equal(value_time("500ms", &ms, NULL), 0);
	assert_int_equal(ms, 500);
	assert_int_equal(value_time("2h", &ms, NULL), 0);
	assert_int_equal(ms, 7200000);
	value_show_size(1 << 20, shown);
	assert_string_equal(shown, "1MiB");
	value_show_size(1000, shown);
	assert_string_equal(shown, "1000");
	value_show_size(0, shown);
	assert_string_equal(shown, "0");
	value_show_time(90000, shown);
	assert_string_equal(shown, "90s");
	value_show_time(172800000, shown);
	assert_string_equal(shown, "2d");
}

static void overlaps(void **state)
{
	(void)state;
	assert_true(pattern_overlap("kpl.*", "kpl.lo"));
	assert_true(pattern_overlap("kpl.lo", "kpl.*"));
	assert_true(pattern_overlap("k*", "kpl.*"));
	assert_true(pattern_overlap("*", "x"));
	assert_true(pattern_overlap("x", "x"));
	assert_false(pattern_overlap("x", "xy"));
	assert_false(pattern_overlap("kpl.*", "kpl"));
	assert_false(pattern_overlap("kpl.*", "vna.*"));
	assert_false(pattern_overlap("ab*", "ac"));
}

static void includes(void **state)
{
	struct folder folder;
	struct conf *conf = NULL;
	struct why why = { 0 };
	char path[128];

	(void)state;
	folder_make(&folder);
	snprintf(path, sizeof(path), "%s/conf.d", folder.path);
	assert_int_equal(mkdir(path, 0700), 0);
	folder_put(&folder, "main.conf",
		   "include(\"conf.d/*.conf\")\ninclude(\"none/*.conf\")\n"
		   "include(\"none-[ab].conf\")\nnode { name = hub }\n");
	folder_put(&folder, "conf.d/20-vna.conf",
		   "partner vna { pin = \"" PIN_B "\" read = \"*\" }");
	folder_put(&folder, "conf.d/10-kpl.conf",
		   "partner kpl { pin = \"" PIN_A "\" }\ninclude(\"../node.inc\")");
	folder_put(&folder, "conf.d/30.off", "this is not read");
	folder_put(&folder, "node.inc", "store { directory = \"here\" }");
	if (folder_read(&folder, "main.conf", &conf, &why) < 0)
		fail_msg("%s", why.words);
	assert_int_equal(conf->partners_n, 2);
	assert_string_equal(conf->partners[0].name, "kpl");
	assert_string_equal(conf->partners[1].name, "vna");
	assert_non_null(strstr(conf->store_directory, "/here"));
	assert_int_equal(conf->store_directory[0], '/');
	assert_int_equal(conf->node_key[0], '/');
	assert_non_null(strstr(conf->node_key, "/keys/exchange.key"));
	conf_free(&conf);

	folder_put(&folder, "node.inc", "\n\npartner vna { pin = \"" PIN_B "\" }");
	assert_int_equal(folder_read(&folder, "main.conf", &conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, "node.inc:3: section partner vna stands there twice"));
	assert_non_null(strstr(why.words, "20-vna.conf, line 1"));

	folder_put(&folder, "node.inc", "include(\"node.inc\")");
	assert_int_equal(folder_read(&folder, "main.conf", &conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, "node.inc:1: included more than 8 files deep"));

	folder_put(&folder, "node.inc", "\ninclude(\"none.conf\")");
	assert_int_equal(folder_read(&folder, "main.conf", &conf, &why), NX_ECONF);
	assert_non_null(
		strstr(why.words, "node.inc:2: 'none.conf' does not exist; only a pattern"));

	folder_put(&folder, "node.inc", "include(\"conf.d\")");
	assert_int_equal(folder_read(&folder, "main.conf", &conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, "conf.d:1: cannot be read: Is a directory"));
	folder_drop(&folder);
}

static void missing_files(void **state)
{
	struct folder folder;
	struct conf *conf = NULL;
	struct why why = { 0 };

	(void)state;
	folder_make(&folder);
	assert_int_equal(folder_read(&folder, "none.conf", &conf, &why), NX_ENOENT);
	assert_non_null(strstr(why.words, "none.conf does not exist"));
	assert_int_equal(conf_read(folder.path, &conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, ":1: cannot be read: Is a directory"));
	assert_null(conf);
	folder_drop(&folder);
}

static void key_files(void **state)
{
	struct folder folder;
	struct conf *conf = NULL;
	struct why why = { 0 };
	char words[160];

	(void)state;
	folder_make(&folder);
	folder_put(&folder, "c", "node { key = \"k\" certificate = \"crt\" }");
	assert_int_equal(folder_read(&folder, "c", &conf, &why), 0);
	assert_int_equal(conf_check_files(conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, "/k does not exist; newsxctl key new"));
	folder_put(&folder, "k", "x");
	assert_int_equal(chmod(conf->node_key, 0644), 0);
	assert_int_equal(conf_check_files(conf, &why), NX_ECONF);
	snprintf(words, sizeof(words), "%s:1: key has mode 0644, wider than 0640: chmod 0640 %s",
		 conf->file, conf->node_key);
	assert_string_equal(why.words, words);
	assert_int_equal(chmod(conf->node_key, 0640), 0);
	assert_int_equal(conf_check_files(conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, "certificate "));
	folder_put(&folder, "crt", "x");
	assert_int_equal(conf_check_files(conf, &why), 0);
	assert_int_equal(chmod(conf->node_key, 0400), 0);
	assert_int_equal(conf_check_files(conf, &why), 0);
	assert_int_equal(unlink(conf->node_key), 0);
	assert_int_equal(mkdir(conf->node_key, 0600), 0);
	assert_int_equal(conf_check_files(conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, "/k is no file"));
	assert_int_equal(rmdir(conf->node_key), 0);
	assert_int_equal(mkfifo(conf->node_key, 0600), 0);
	assert_int_equal(conf_check_files(conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, "/k is no file"));
	assert_int_equal(unlink(conf->node_key), 0);
	folder_put(&folder, "k", "");
	assert_int_equal(chmod(conf->node_key, 0600), 0);
	assert_int_equal(conf_check_files(conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, "/k is empty"));
	assert_int_equal(truncate(conf->node_key, 9 << 20), 0);
	assert_int_equal(conf_check_files(conf, &why), NX_ECONF);
	assert_non_null(strstr(why.words, "/k is larger than 8388608 octets"));
	conf_free(&conf);
	folder_drop(&folder);
}

/* conf NULL: the defaults, else its rights */
static char *printed(const struct conf *conf)
{
	FILE *file = tmpfile();
	char *text = calloc(1, 65536);

	assert_non_null(file);
	assert_int_equal(conf ? conf_print_rights(conf, fileno(file))
			      : conf_print_defaults(fileno(file)),
			 0);
	rewind(file);
	assert_true(fread(text, 1, 65535, file) < 65535);
	fclose(file);
	return text;
}

/* what --defaults prints is a configuration, and the same as an empty one */
static void printed_defaults(void **state)
{
	char *text = printed(NULL);
	struct conf *conf = taken(text), *empty = taken("");
	struct why why = { 0 };

	(void)state;
	for (unsigned i = 0; i < conf_settings_n; i++) {
		const struct setting *setting = &conf_settings[i];
		const char *at = (const char *)conf + setting->at;
		const char *other = (const char *)empty + setting->at;

		assert_non_null(strstr(text, setting->help));
		if (setting->section >= SEC_PARTNER)
			continue;
		if (setting->kind == SET_SIZE || setting->kind == SET_TIME ||
		    setting->kind == SET_SHARE)
			assert_memory_equal(at, other, sizeof(uint64_t));
		else if (setting->kind == SET_COUNT || setting->kind == SET_LEVEL)
			assert_memory_equal(at, other, sizeof(unsigned));
	}
	assert_false(conf_needs_restart(conf, empty, &why));
	conf_free(&conf);
	conf_free(&empty);
	free(text);
}

static void printed_rights(void **state)
{
	struct conf *conf =
		taken("partner vna { pin = \"" PIN_A "\" read = {\"kpl.*\", x} }\n"
		      "subscription s { partner = vna channels = {\"kpl.lo\", \"*\", \"q\"} }");
	char *text = printed(conf);

	(void)state;
	/* clang-format off */
	assert_string_equal(text,
		"PARTNER  PUBLISHES  READS  SPEAKS-FOR  NODE  PINS  DOCUMENT  PART   PARTS  CONNECTIONS\n"
		"vna      -          kpl.*  -           no    1     256KiB    64MiB  64     8\n"
		"                    x\n"
		"\n"
		"SUBSCRIPTION  PARTNER  GETS                        START  VERSIONS  BACKLOG-AGE  BACKLOG-SIZE\n"
		"s             vna      kpl.lo                      now    latest    30d          512MiB\n"
		"                       kpl.*\n"
		"                       x\n"
		"                       q (never: may not be read)\n");
	/* clang-format on */
	free(text);
	conf_free(&conf);
}

static void restart_or_reload(void **state)
{
	struct conf *now = taken("store { size = 1GiB } limits { idle = 100s }");
	struct conf *next = taken("store { size = 1GiB } limits { idle = 200s }");
	struct conf *other = taken("store { size = 2GiB } listen { address = \"[::1]\" }");
	struct why why = { 0 };

	(void)state;
	assert_false(conf_needs_restart(now, next, &why));
	assert_true(conf_needs_restart(now, other, &why));
	assert_string_equal(why.words,
			    "'address' in section listen changed: taken at the next start");
	conf_free(&now);
	conf_free(&next);
	conf_free(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),          cmocka_unit_test(one_partner),
		cmocka_unit_test(one_subscription),  cmocka_unit_test(numbers),
		cmocka_unit_test(overlaps),          cmocka_unit_test(includes),
		cmocka_unit_test(missing_files),     cmocka_unit_test(key_files),
		cmocka_unit_test(printed_defaults),  cmocka_unit_test(printed_rights),
		cmocka_unit_test(restart_or_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
