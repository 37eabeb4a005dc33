/* newsxctl: the command of partners and operators. Options, dispatch, exit status; see newsxctl(1).
 */
#include "base/std.h"
#include "client/key.h"
#include "client/ping.h"
#include "client/publish.h"
#include "client/report.h"
#include "client/subscribe.h"
#include "client/trust.h"
#include "news/story.h"
#include "proto/channel.h"

#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage_text[] =
	"usage: newsxctl key new --name NAME --out DIR\n"
	"       newsxctl key pin FILE.crt | DIR/NAME\n"
	"       newsxctl publish --server HOST:PORT --server-pin PIN --identity DIR/NAME\n"
	"                        [--channel CHANNEL] [--state FILE] [--json]\n"
	"                        FILE...\n"
	"       newsxctl subscribe --server HOST:PORT --server-pin PIN --identity DIR/NAME\n"
	"                          --subscription NAME --out DIR [--exec COMMAND]\n"
	"                          [--count N] [--idle-exit SECONDS] [--json]\n"
	"       newsxctl ping --server HOST:PORT --server-pin PIN --identity DIR/NAME\n"
	"                     [--channel CHANNEL] [--subscription NAME] [--json]\n"
	"       newsxctl --help | --version\n"
	"A lone - as FILE reads ninjs from standard input, one document a line. See newsxctl(1).\n";

enum option_id {
	OPT_SERVER = 256,
	OPT_PIN,
	OPT_IDENTITY,
	OPT_CHANNEL,
	OPT_JSON,
	OPT_SUBSCRIPTION,
	OPT_OUT,
	OPT_EXEC,
	OPT_COUNT,
	OPT_IDLE_EXIT,
	OPT_NAME,
	OPT_STATE,
};

struct arguments {
	const char *pins[TRUST_PINS_MAX];
	struct link_conf link;
	const char *channel, *subscription, *out, *exec, *name, *state;
	uint64_t count, idle_exit_s;
	bool json, has_idle_exit;
	char **rest;
	unsigned rest_n;
};

static int usage_error(const char *format, const char *what)
{
	char words[512];

	snprintf(words, sizeof(words), "%s%s", format, what);
	report_words("%s", words);
	fputs(usage_text, stderr);
	return 2;
}

static bool read_number(const char *text, uint64_t least, uint64_t *ret)
{
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > 9 || text[n] != '\0')
		return false;
	*ret = strtoull(text, NULL, 10);
	return *ret >= least;
}

/* returns 0 or the exit status */
static int take_option(struct arguments *a, int id, char *value)
{
	switch (id) {
	case OPT_SERVER:
		a->link.server = value;
		return 0;
	case OPT_PIN:
		if (a->link.pins_n == TRUST_PINS_MAX)
			return usage_error("too many --server-pin", "");
		a->pins[a->link.pins_n++] = value;
		return 0;
	case OPT_IDENTITY:
		a->link.identity = value;
		return 0;
	case OPT_CHANNEL:
		a->channel = value;
		if (channel_name_ok(slice_str(value)))
			return 0;
		return usage_error("not a channel: ", value);
	case OPT_JSON:
		a->json = true;
		return 0;
	case OPT_SUBSCRIPTION:
		a->subscription = value;
		return 0;
	case OPT_OUT:
		a->out = value;
		return 0;
	case OPT_EXEC:
		a->exec = value;
		return 0;
	case OPT_COUNT:
		return read_number(value, 1, &a->count)
			       ? 0
			       : usage_error("--count wants a number from 1, not ", value);
	case OPT_IDLE_EXIT:
		a->has_idle_exit = true;
		return read_number(value, 0, &a->idle_exit_s)
			       ? 0
			       : usage_error("--idle-exit wants whole seconds, not ", value);
	case OPT_STATE:
		a->state = value;
		return 0;
	case OPT_NAME:
		a->name = value;
		return 0;
	default:
		fputs(usage_text, stderr);
		return 2;
	}
}

static int read_arguments(int argc, char **argv, const struct option *options, struct arguments *a)
{
	int id, r = 0;

	optind = 1;
	while (r == 0 && (id = getopt_long(argc, argv, "", options, NULL)) != -1)
		r = take_option(a, id, optarg);
	a->link.pins = a->pins;
	a->rest = argv + optind;
	a->rest_n = (unsigned)(argc - optind);
	return r;
}

/* what each option is called that must be there */
struct required {
	const char *value, *name;
};
static int check_required(const struct required *list)
{
	for (; list->name != NULL; list++)
		if (list->value == NULL || *list->value == '\0')
			return usage_error("missing: ", list->name);
	return 0;
}

static int key_new_command(int argc, char **argv)
{
	static const struct option options[] = { { "name", required_argument, NULL, OPT_NAME },
						 { "out", required_argument, NULL, OPT_OUT },
						 { 0 } };
	struct arguments a = { 0 };
	struct why why = { 0 };
	struct pin pin;
	int r = read_arguments(argc, argv, options, &a);

	if (r == 0)
		r = check_required((struct required[]){
			{ a.name, "--name NAME" }, { a.out, "--out DIR" }, { 0 } });
	if (r == 0 && a.rest_n > 0)
		r = usage_error("not understood: ", a.rest[0]);
	if (r != 0)
		return r;
	if (key_new(a.name, a.out, &pin, &why) < 0) {
		report_words("%s", why.words);
		return 2;
	}
	printf("pin %s\nspoken %s\n", pin.text, pin.spoken);
	return 0;
}

static int key_pin_command(int argc, char **argv)
{
	struct why why = { 0 };
	struct pin pin;

	if (argc != 2)
		return usage_error("key pin wants one FILE.crt or DIR/NAME", "");
	if (key_pin_of_file(argv[1], &pin, &why) < 0) {
		report_words("%s", why.words);
		return 2;
	}
	printf("pin %s\nspoken %s\n", pin.text, pin.spoken);
	return 0;
}

static int key_command(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "new") == 0)
		return key_new_command(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "pin") == 0)
		return key_pin_command(argc - 1, argv + 1);
	return usage_error("key wants new or pin", "");
}

/* clang-format off */
#define LINK_OPTIONS                                               \
	{ "server",     required_argument, NULL, OPT_SERVER },     \
	{ "server-pin", required_argument, NULL, OPT_PIN },        \
	{ "identity",   required_argument, NULL, OPT_IDENTITY },   \
	{ "json",       no_argument,       NULL, OPT_JSON }
#define LINK_REQUIRED(a)                                                \
	{ (a).link.server, "--server HOST:PORT" },                      \
	{ (a).pins[0], "--server-pin PIN (ask the exchange's operator)" }, \
	{ (a).link.identity, "--identity DIR/NAME" }
/* clang-format on */

static int publish_command(int argc, char **argv)
{
	static const struct option options[] = {
		LINK_OPTIONS,
		{ "channel", required_argument, NULL, OPT_CHANNEL },
		{ "state", required_argument, NULL, OPT_STATE },
		{ 0 },
	};
	struct arguments a = { 0 };
	int r = read_arguments(argc, argv, options, &a);

	if (r == 0)
		r = check_required((struct required[]){ LINK_REQUIRED(a), { 0 } });
	if (r == 0 && a.rest_n == 0)
		r = usage_error("missing: FILE", "");
	if (r != 0)
		return r;
	return publish_run(&(struct publish_options){
		.link = a.link,
		.channel = a.channel,
		.state = a.state,
		.json = a.json,
		.files = a.rest,
		.files_n = a.rest_n,
	});
}

static int subscribe_command(int argc, char **argv)
{
	static const struct option options[] = {
		LINK_OPTIONS,
		{ "subscription", required_argument, NULL, OPT_SUBSCRIPTION },
		{ "out", required_argument, NULL, OPT_OUT },
		{ "exec", required_argument, NULL, OPT_EXEC },
		{ "count", required_argument, NULL, OPT_COUNT },
		{ "idle-exit", required_argument, NULL, OPT_IDLE_EXIT },
		{ 0 },
	};
	struct arguments a = { 0 };
	int r = read_arguments(argc, argv, options, &a);

	if (r == 0)
		r = check_required((struct required[]){ LINK_REQUIRED(a),
							{ a.subscription, "--subscription NAME" },
							{ a.out, "--out DIR" },
							{ 0 } });
	if (r == 0 && a.rest_n > 0)
		r = usage_error("not understood: ", a.rest[0]);
	if (r != 0)
		return r;
	return subscribe_run(&(struct subscribe_options){
		.link = a.link,
		.subscription = a.subscription,
		.out = a.out,
		.exec = a.exec,
		.count = a.count,
		.idle_exit_ms = a.has_idle_exit ? (int64_t)a.idle_exit_s * 1000 : -1,
		.json = a.json,
	});
}

static int ping_command(int argc, char **argv)
{
	static const struct option options[] = {
		LINK_OPTIONS,
		{ "channel", required_argument, NULL, OPT_CHANNEL },
		{ "subscription", required_argument, NULL, OPT_SUBSCRIPTION },
		{ 0 },
	};
	struct arguments a = { 0 };
	int r = read_arguments(argc, argv, options, &a);

	if (r == 0)
		r = check_required((struct required[]){ LINK_REQUIRED(a), { 0 } });
	if (r == 0 && a.rest_n > 0)
		r = usage_error("not understood: ", a.rest[0]);
	if (r != 0)
		return r;
	return ping_run(&(struct ping_options){
		.link = a.link,
		.channel = a.channel,
		.subscription = a.subscription,
		.json = a.json,
	});
}

int main(int argc, char **argv)
{
	std_hold();
	setlocale(LC_ALL, "C");
	signal(SIGPIPE, SIG_IGN);
	story_init();
	if (argc < 2)
		return usage_error("what shall I do?", "");
	if (strcmp(argv[1], "key") == 0)
		return key_command(argc - 1, argv + 1);
	if (strcmp(argv[1], "publish") == 0)
		return publish_command(argc - 1, argv + 1);
	if (strcmp(argv[1], "subscribe") == 0)
		return subscribe_command(argc - 1, argv + 1);
	if (strcmp(argv[1], "ping") == 0)
		return ping_command(argc - 1, argv + 1);
	if (strcmp(argv[1], "--help") == 0) {
		fputs(usage_text, stdout);
		return 0;
	}
	if (strcmp(argv[1], "--version") == 0) {
		printf("newsxctl %s\n", NEWSXD_VERSION);
		return 0;
	}
	return usage_error("no such command: ", argv[1]);
}
