/*
 * newsxd - options, wiring, exit status. See newsxd(8).
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/std.h"
#include "config/settings.h"
#include "core/ask.h"
#include "core/hub.h"
#include "daemon/checking.h"
#include "daemon/copying.h"
#include "store/store.h"
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* what is asked for on the command line; arg and json are of those that take them */
struct asked {
	const char *file, *arg;
	bool json, rate; /* were they given? */
	unsigned long rate_mib;
};

static const char usage_words[] =
	"usage: newsxd --config FILE [--check | --owed [--json] | --verify-store |\n"
	"              --clock-ok | --forget-subscription NAME |\n"
	"              --backup DIR [--rate MIB] | --restore DIR | --convert]\n"
	"       newsxd --defaults | --version | --help\n";

static int complain(const char *what, const struct why *why, int status)
{
	fprintf(stderr, "newsxd: %s: %s\n", what,
		why->words[0] != '\0' ? why->words : nx_word(why->code));
	return status;
}

/* a disk that cannot be read under a mapped page is a SIGBUS, not an error code */
static void on_bus(int number)
{
	static const char line[] =
		"<3>level=err event=store.fatal reason=io-error "
		"words=\"SIGBUS: a mapped page could not be read; is the disk failing?\"\n";

	(void)number;
	log_last_words(line);
	_exit(EX_IOERR);
}

static int run(struct conf **conf, const struct asked *asked)
{
	struct sigaction bus = { .sa_handler = on_bus };
	struct hub *hub = NULL;
	struct why why = { 0 };
	int status, r;

	(void)asked;
	sigaction(SIGBUS, &bus, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(0027);
	log_open(STDERR_FILENO, (enum log_level)(*conf)->log_level);
	fault_from_environment();
	r = hub_open(conf, &hub, &why);
	if (r < 0) {
		log_err("daemon.fail", kv_str("reason", nx_word(r)), kv_str("words", why.words));
		status = r == NX_ECONF ? EX_CONFIG : r == NX_ELOCKED ? EX_TEMPFAIL : EX_UNAVAILABLE;
	} else {
		status = hub_run(hub);
		log_info("daemon.exit", kv_i64("status", status));
	}
	if (status != EX_IOERR) /* else the threads may hang in a disk that does not answer */
		hub_close(&hub);
	log_close();
	if (status == EX_IOERR)
		_exit(status);
	return status;
}

static int check(struct conf **conf, const struct asked *asked)
{
	return checking(asked->file, conf);
}

static void print_time(const char *key, int64_t wall_ms, bool json)
{
	char text[40];

	clock_rfc3339(wall_ms, text);
	if (json && wall_ms == TIME_NONE)
		printf(",\"%s\":null", key);
	else if (json)
		printf(",\"%s\":\"%s\"", key, text);
	else
		printf("  %-24s", wall_ms == TIME_NONE ? "-" : text);
}

static void print_owed(const struct owed_line *line, void *arg)
{
	bool json = *(bool *)arg;

	if (json) /* names are letters, digits, . _ - : nothing to escape */
		printf("{\"subscription\":\"%s\",\"partner\":\"%s\",\"items\":%llu,\"octets\":%llu",
		       line->subscription, line->partner, (unsigned long long)line->items,
		       (unsigned long long)line->octets);
	else
		printf("%-24s %-16s %10llu %14llu", line->subscription, line->partner,
		       (unsigned long long)line->items, (unsigned long long)line->octets);
	print_time("oldest", line->oldest_ms, json);
	print_time("acked", line->acked_ms, json);
	if (!json && line->vanished_ms != TIME_NONE)
		printf("  not in the configuration since");
	if (json || line->vanished_ms != TIME_NONE)
		print_time("vanished", line->vanished_ms, json);
	printf(json ? "}\n" : "\n");
}

static int owed(struct conf **conf, const struct asked *asked)
{
	struct why why = { 0 };
	bool json = asked->json;

	if (!json)
		printf("%-24s %-16s %10s %14s  %-24s  %s\n", "subscription", "partner", "items",
		       "octets", "oldest", "last acknowledgement");
	if (store_owed((*conf)->store_directory, print_owed, &json, &why) < 0)
		return complain((*conf)->store_directory, &why, 1);
	return 0;
}

static void print_fault(const char *words, void *arg)
{
	(void)arg;
	printf("%s\n", words);
}

static int verify(struct conf **conf, const struct asked *asked)
{
	struct why why = { 0 };
	int faults = store_verify((*conf)->store_directory, print_fault, NULL, &why);

	(void)asked;
	if (faults < 0)
		return complain((*conf)->store_directory, &why, 2);
	printf("%d faults\n", faults);
	return faults > 0;
}

static int leave(const struct conf *conf, const char *verb, const char *name)
{
	struct why why = { 0 };
	char as[160] = "";

	/* else root leaves what the service cannot take */
	if (checking_become_owner(conf->store_directory, as) < 0) {
		fprintf(stderr, "newsxd: cannot become the owner of the store%s\n", as);
		return 1;
	}
	if (ask_leave(conf->store_directory, verb, name, &why) < 0)
		return complain(verb, &why, 1);
	printf("left for the daemon: it answers in its log within 5 s (event=ask.taken)\n");
	return 0;
}

static int clock_ok(struct conf **conf, const struct asked *asked)
{
	(void)asked;
	return leave(*conf, "clock-ok", NULL);
}

static int forget(struct conf **conf, const struct asked *asked)
{
	return leave(*conf, "forget", asked->arg);
}

static int backup(struct conf **conf, const struct asked *asked)
{
	return copying_backup(*conf, asked->arg, asked->rate_mib);
}

static int restore(struct conf **conf, const struct asked *asked)
{
	return copying_restore(*conf, asked->arg);
}

static int convert(struct conf **conf, const struct asked *asked)
{
	(void)asked;
	return copying_convert(*conf);
}

static const struct verb {
	const char *option;
	bool takes_arg;
	int (*fn)(struct conf **conf, const struct asked *asked); /* returns the exit status */
} verbs[] = {
	{ "run", false, run }, /* when nothing else is asked for */
	{ "check", false, check },
	{ "owed", false, owed },
	{ "verify-store", false, verify },
	{ "clock-ok", false, clock_ok },
	{ "forget-subscription", true, forget },
	{ "backup", true, backup },
	{ "restore", true, restore },
	{ "convert", false, convert },
};
enum { VERBS = sizeof(verbs) / sizeof(*verbs), OPTIONS = VERBS + 7 };

static void options_make(struct option options[OPTIONS])
{
	static const struct option others[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "defaults", no_argument, NULL, 'd' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ "rate", required_argument, NULL, 'r' },
	};

	for (int i = 1; i < VERBS; i++)
		options[i - 1] =
			(struct option){ verbs[i].option,
					 verbs[i].takes_arg ? required_argument : no_argument, NULL,
					 256 + i };
	memcpy(options + VERBS - 1, others, sizeof(others));
	options[OPTIONS - 2] = (struct option){ 0 };
}

static int with_conf(const struct verb *verb, const struct asked *asked)
{
	struct conf *conf = NULL;
	struct why why = { 0 };
	int status;

	if (conf_read(asked->file, &conf, &why) < 0)
		return complain("configuration", &why, verb->fn == check ? 1 : EX_CONFIG);
	status = verb->fn(&conf, asked);
	conf_free(&conf);
	return status;
}

static int usage(FILE *to, int status)
{
	fputs(usage_words, to);
	return status;
}

int main(int argc, char **argv)
{
	struct option options[OPTIONS];
	const struct verb *verb = verbs;
	struct asked asked = { .rate_mib = BACKUP_RATE_MIB };
	int c;

	std_hold();
	setlocale(LC_ALL, "C");
	options_make(options);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'c') {
			asked.file = optarg;
		} else if (c == 'j') {
			asked.json = true;
		} else if (c == 'r') {
			asked.rate = true;
			if (!copying_rate(optarg, &asked.rate_mib))
				return usage(stderr, EX_USAGE);
		} else if (c == 'd') {
			return conf_print_defaults(STDOUT_FILENO) < 0;
		} else if (c == 'V') {
			printf("newsxd %s\n", NEWSXD_VERSION);
			return 0;
		} else if (c == 'h') {
			return usage(stdout, 0);
		} else if (c < 256 || verb != verbs) { /* not an option, or two things at once */
			return usage(stderr, EX_USAGE);
		} else {
			verb = &verbs[c - 256];
			asked.arg = optarg;
		}
	}
	if (asked.file == NULL)
		fputs("newsxd: missing: --config FILE; the service reads "
		      "/etc/newsxd/newsxd.conf\n",
		      stderr);
	if (asked.file == NULL || optind != argc || (asked.json && verb->fn != owed) ||
	    (asked.rate && verb->fn != backup))
		return usage(stderr, EX_USAGE);
	return with_conf(verb, &asked);
}
