/*
 * newsxd - options, wiring, exit status. See newsxd(8).
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "config/settings.h"
#include "core/ask.h"
#include "core/hub.h"
#include "store/store.h"
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum verb { RUN, CHECK, OWED, VERIFY, DEFAULTS, CLOCK_OK, FORGET };

static const char usage_words[] =
	"usage: newsxd --config FILE [--check | --owed [--json] | --verify-store |\n"
	"              --clock-ok | --forget-subscription NAME]\n"
	"       newsxd --defaults | --version\n";

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
	ssize_t done = write(STDERR_FILENO, line, sizeof(line) - 1);

	(void)number;
	(void)done;
	_exit(EX_IOERR);
}

static int run(struct conf **conf)
{
	struct sigaction bus = { .sa_handler = on_bus };
	struct hub *hub = NULL;
	struct why why = { 0 };
	int status, r;

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

static int check(const struct conf *conf)
{
	struct why why = { 0 };

	if (conf_check_files(conf, &why) < 0)
		return complain(conf->file, &why, 1);
	conf_print_rights(conf, STDOUT_FILENO);
	return 0;
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
	printf(json ? "}\n" : "\n");
}

static int owed(const struct conf *conf, bool json)
{
	struct why why = { 0 };

	if (!json)
		printf("%-24s %-16s %10s %14s  %-24s  %s\n", "subscription", "partner", "items",
		       "octets", "oldest", "last acknowledgement");
	if (store_owed(conf->store_directory, print_owed, &json, &why) < 0)
		return complain(conf->store_directory, &why, 1);
	return 0;
}

static void print_fault(const char *words, void *arg)
{
	(void)arg;
	printf("%s\n", words);
}

static int verify(const struct conf *conf)
{
	struct why why = { 0 };
	int faults = store_verify(conf->store_directory, print_fault, NULL, &why);

	if (faults < 0)
		return complain(conf->store_directory, &why, 2);
	printf("%d faults\n", faults);
	return faults > 0;
}

static int leave(const struct conf *conf, const char *verb, const char *name)
{
	struct why why = { 0 };

	if (ask_leave(conf->store_directory, verb, name, &why) < 0)
		return complain(verb, &why, 1);
	printf("left for the daemon: it answers in its log within 5 s (event=ask.taken)\n");
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'k' },
		{ "owed", no_argument, NULL, 'o' },
		{ "json", no_argument, NULL, 'j' },
		{ "verify-store", no_argument, NULL, 'v' },
		{ "defaults", no_argument, NULL, 'd' },
		{ "clock-ok", no_argument, NULL, 'l' },
		{ "forget-subscription", required_argument, NULL, 'f' },
		{ "version", no_argument, NULL, 'V' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *file = NULL, *name = NULL;
	enum verb verb = RUN;
	bool json = false;
	struct conf *conf = NULL;
	struct why why = { 0 };
	int c, status = 0;

	setlocale(LC_ALL, "C");
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			file = optarg;
			break;
		case 'k':
			verb = CHECK;
			break;
		case 'o':
			verb = OWED;
			break;
		case 'j':
			json = true;
			break;
		case 'v':
			verb = VERIFY;
			break;
		case 'd':
			verb = DEFAULTS;
			break;
		case 'l':
			verb = CLOCK_OK;
			break;
		case 'f':
			verb = FORGET;
			name = optarg;
			break;
		case 'V':
			printf("newsxd %s\n", NEWSXD_VERSION);
			return 0;
		case 'h':
			fputs(usage_words, stdout);
			return 0;
		default:
			fputs(usage_words, stderr);
			return EX_USAGE;
		}
	}
	if (verb == DEFAULTS)
		return conf_print_defaults(STDOUT_FILENO) < 0;
	if (file == NULL || optind != argc) {
		fputs(usage_words, stderr);
		return EX_USAGE;
	}
	if (conf_read(file, &conf, &why) < 0)
		return complain("configuration", &why, verb == RUN ? EX_CONFIG : 1);
	switch (verb) {
	case CHECK:
		status = check(conf);
		break;
	case OWED:
		status = owed(conf, json);
		break;
	case VERIFY:
		status = verify(conf);
		break;
	case CLOCK_OK:
		status = leave(conf, "clock-ok", NULL);
		break;
	case FORGET:
		status = leave(conf, "forget", name);
		break;
	default:
		status = run(&conf);
		break;
	}
	conf_free(&conf);
	return status;
}
