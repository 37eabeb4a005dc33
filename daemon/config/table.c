/*
 * table.c - the table itself, and looking things up in it.
 */
#include "config/table.h"

#define KIB      ((uint64_t)1 << 10)
#define MIB      ((uint64_t)1 << 20)
#define GIB      ((uint64_t)1 << 30)
#define TIB      ((uint64_t)1 << 40)
#define SEC      ((uint64_t)1000)
#define MIN      (60 * SEC)
#define DAY      (86400 * SEC)

#define F(field) offsetof(struct conf, field)
#define P(field) offsetof(struct conf_partner, field)
#define S(field) offsetof(struct conf_subscription, field)

/* clang-format off */
const struct section_form conf_sections[SECTIONS] = {
	[SEC_NODE]	   = { "node",	       false, "who this exchange is" },
	[SEC_LISTEN]	   = { "listen",       false, "where partners connect" },
	[SEC_STORE]	   = { "store",	       false, "what is kept, where, and for how long" },
	[SEC_LIMITS]	   = { "limits",       false, "ceilings for everybody: what one partner can make grow ends here" },
	[SEC_LOG]	   = { "log",	       false, "the log on standard error" },
	[SEC_PARTNER]	   = { "partner",      true,  "one identity and its rights" },
	[SEC_SUBSCRIPTION] = { "subscription", true,  "one durable claim of a partner" },
};

const struct setting conf_settings[] = {
/* section, name, kind, field, fallback, least, most, choices, when, help */
{ SEC_NODE, "name", SET_NAME, F(node_name), "exchange", 1, NAME_MAX_, NULL, AT_START,
	"name of this exchange, as its partners see it" },
{ SEC_NODE, "key", SET_PATH, F(node_key), "keys/exchange.key", 1, 4095, NULL, AT_RELOAD,
	"private key, PEM, mode 0640 or narrower" },
{ SEC_NODE, "certificate", SET_PATH, F(node_certificate), "keys/exchange.crt", 1, 4095, NULL, AT_RELOAD,
	"certificate of that key, PEM" },

{ SEC_LISTEN, "address", SET_ADDRESSES, F(listen_address), "0.0.0.0:7417", 1, 16, NULL, AT_START,
	"IPv4:port or [IPv6]:port; port 0 takes a free one" },

{ SEC_STORE, "directory", SET_PATH, F(store_directory), "store", 1, 4095, NULL, AT_START,
	"folder of the store, made when missing; never on a network file system" },
{ SEC_STORE, "size", SET_SIZE, F(store_size), "2GiB", 16 * MIB, 16 * TIB, NULL, AT_START,
	"octets of stories and photos together; may grow at a restart" },
{ SEC_STORE, "items-share", SET_PERCENT, F(items_share_pct), "25%", 5, 95, NULL, AT_START,
	"share of size that stories get; photos get the rest" },
{ SEC_STORE, "keep", SET_TIME, F(keep_ms), "7d", SEC, 3660 * DAY, NULL, AT_RELOAD,
	"how long an item is kept that nobody is owed" },
{ SEC_STORE, "orphan-keep", SET_TIME, F(orphan_keep_ms), "7d", SEC, 3660 * DAY, NULL, AT_RELOAD,
	"how long the debts of a partner or subscription outlive its section here" },
{ SEC_STORE, "history-keep", SET_TIME, F(history_keep_ms), "400d", MIN, 36600 * DAY, NULL, AT_RELOAD,
	"how long receipts and identities are kept; tombstones stay for ever" },
{ SEC_STORE, "embargo-ahead", SET_TIME, F(embargo_ahead_ms), "400d", MIN, 36600 * DAY, NULL, AT_RELOAD,
	"an embargo further off than this is held and warned about" },
{ SEC_STORE, "clock-jump", SET_TIME, F(clock_jump_ms), "60s", SEC, DAY, NULL, AT_RELOAD,
	"a wall clock further from the boot clock than this releases no embargo" },
{ SEC_STORE, "clock", SET_EITHER, F(clock_ntp), "operator", 0, 0, "operator|ntp", AT_RELOAD,
	"who may say that a suspect clock is right again: the operator, or also the kernel (ntp)" },
{ SEC_STORE, "held-size", SET_SHARE, F(held_size), "10%", 0, 16 * TIB, NULL, AT_RELOAD,
	"octets of held items (embargo, desk) of one partner" },
{ SEC_STORE, "hot-memory", SET_SIZE, F(hot_memory), "64MiB", MIB, 64 * GIB, NULL, AT_START,
	"memory for items on their way out, shared by all subscribers" },
{ SEC_STORE, "commit-stall", SET_TIME, F(commit_stall_ms), "120s", SEC, 60 * MIN, NULL, AT_RELOAD,
	"a commit that takes longer than this keeps the service manager's watchdog unfed" },

{ SEC_LIMITS, "connections", SET_COUNT, F(connections_max), "4096", 1, 65536, NULL, AT_RELOAD,
	"connections at once" },
{ SEC_LIMITS, "connections-per-address", SET_COUNT, F(connections_per_address), "64", 1, 65536, NULL, AT_RELOAD,
	"connections at once from one address" },
{ SEC_LIMITS, "handshakes", SET_COUNT, F(handshakes_max), "64", 1, 4096, NULL, AT_RELOAD,
	"TLS handshakes in flight" },
{ SEC_LIMITS, "handshake", SET_TIME, F(handshake_ms), "5s", 100, 5 * MIN, NULL, AT_RELOAD,
	"time for a TLS handshake" },
{ SEC_LIMITS, "hello", SET_TIME, F(hello_ms), "10s", 100, 5 * MIN, NULL, AT_RELOAD,
	"time for the HELLO after it" },
{ SEC_LIMITS, "ping", SET_TIME, F(ping_ms), "30s", 100, 60 * MIN, NULL, AT_RELOAD,
	"silence after which we ask" },
{ SEC_LIMITS, "idle", SET_TIME, F(idle_ms), "90s", 200, 180 * MIN, NULL, AT_RELOAD,
	"silence after which we close; more than ping" },
{ SEC_LIMITS, "stall", SET_TIME, F(stall_ms), "60s", 200, 180 * MIN, NULL, AT_RELOAD,
	"how long a partner may not read what we send" },
{ SEC_LIMITS, "bye", SET_TIME, F(bye_ms), "5s", 10, MIN, NULL, AT_RELOAD,
	"how long answers still flow after BYE" },
{ SEC_LIMITS, "part-wait", SET_TIME, F(part_wait_ms), "120s", 200, 1440 * MIN, NULL, AT_RELOAD,
	"how long an item waits for the next octet of a part" },
{ SEC_LIMITS, "ack-wait", SET_TIME, F(ack_wait_ms), "10min", 200, 1440 * MIN, NULL, AT_RELOAD,
	"how long a subscriber may leave an item without an answer" },
{ SEC_LIMITS, "send-ahead-items", SET_COUNT, F(send_ahead_items), "1024", 1, 65536, NULL, AT_RELOAD,
	"unanswered items on one link, whatever credit we are given" },
{ SEC_LIMITS, "send-ahead-octets", SET_SIZE, F(send_ahead_octets), "16MiB", 64 * KIB, GIB, NULL, AT_RELOAD,
	"and their octets" },
{ SEC_LIMITS, "inbound-memory", SET_SIZE, F(inbound_memory), "256MiB", 4 * MIB, 64 * GIB, NULL, AT_RELOAD,
	"octets held of items on their way in, all partners together" },
{ SEC_LIMITS, "inbound-share", SET_PERCENT, F(inbound_share_pct), "25%", 1, 100, NULL, AT_RELOAD,
	"share of it that one partner may take" },
{ SEC_LIMITS, "document", SET_SIZE, F(document_max), "256KiB", 256 * KIB, 984 * KIB, NULL, AT_RELOAD,
	"largest document; with envelope at most 1000KiB" },
{ SEC_LIMITS, "envelope", SET_SIZE, F(envelope_max), "16KiB", 16 * KIB, 256 * KIB, NULL, AT_RELOAD,
	"largest envelope" },
{ SEC_LIMITS, "part", SET_SIZE, F(part_max), "64MiB", 32 * MIB, 256 * MIB, NULL, AT_RELOAD,
	"largest part (a photo or other file of an item)" },
{ SEC_LIMITS, "parts", SET_COUNT, F(parts_max), "64", 64, 1024, NULL, AT_RELOAD,
	"parts of one item" },

{ SEC_LOG, "level", SET_LEVEL, F(log_level), "info", 0, 0, "err|warn|info|debug", AT_RELOAD,
	"the most that is logged" },
{ SEC_LOG, "item-lines", SET_COUNT, F(log_item_lines), "500", 0, 1000000, NULL, AT_RELOAD,
	"lines about single items in a second, summed up beyond; 0 = all" },

{ SEC_PARTNER, "pin", SET_PINS, P(pins_text), "", 0, CONF_PINS, NULL, AT_RELOAD,
	"sha256:BASE64 of its public key, as newsxctl key pin prints it; several while keys change" },
{ SEC_PARTNER, "ca", SET_PATH, P(ca), "", 0, 4095, NULL, AT_RELOAD,
	"or, beside pins: certificates, PEM, of a CA of its own" },
{ SEC_PARTNER, "san", SET_SANS, P(san), "", 0, 16, NULL, AT_RELOAD,
	"and the names (DNS, URI, mail) of which its certificate has one as subjectAltName" },
{ SEC_PARTNER, "crl", SET_PATH, P(crl), "", 0, 4095, NULL, AT_RELOAD,
	"revocation lists, PEM, one in its time for each CA of the chain" },
{ SEC_PARTNER, "publish", SET_PATTERNS, P(publish), "", 0, CONF_CHANNELS, NULL, AT_RELOAD,
	"channels it may publish to; none when left out" },
{ SEC_PARTNER, "read", SET_PATTERNS, P(read), "", 0, CONF_CHANNELS, NULL, AT_RELOAD,
	"channels it may read; none when left out" },
{ SEC_PARTNER, "speaks-for", SET_NAMES, P(speaks_for), "", 0, 64, NULL, AT_RELOAD,
	"other origins whose items it may bring: a bureau, another node" },
{ SEC_PARTNER, "node", SET_BOOL, P(node), "no", 0, 0, NULL, AT_RELOAD,
	"it is another exchange: its hops, received and signal count" },
{ SEC_PARTNER, "enforce-expiry", SET_BOOL, P(enforce_expiry), "no", 0, 0, NULL, AT_RELOAD,
	"refuse its certificate when expired, though it is known by its pin" },
{ SEC_PARTNER, "renamed-from", SET_NAME, P(renamed_from), "", 0, NAME_MAX_, NULL, AT_RELOAD,
	"its former name: what it is owed moves along" },
{ SEC_PARTNER, "document", SET_SIZE, P(document_max), "=document", KIB, 984 * KIB, NULL, AT_RELOAD,
	"largest document from it" },
{ SEC_PARTNER, "part", SET_SIZE, P(part_max), "=part", KIB, 256 * MIB, NULL, AT_RELOAD,
	"largest part from it" },
{ SEC_PARTNER, "parts", SET_COUNT, P(parts_max), "=parts", 0, 1024, NULL, AT_RELOAD,
	"parts of one item from it" },
{ SEC_PARTNER, "partials", SET_COUNT, P(partials_n_max), "32", 1, 65536, NULL, AT_RELOAD,
	"parts from it that are begun and not yet whole" },
{ SEC_PARTNER, "partials-size", SET_SIZE, P(partials_max), "512MiB", KIB, TIB, NULL, AT_RELOAD,
	"and their octets" },
{ SEC_PARTNER, "credit-items", SET_COUNT, P(credit_items), "64", 4, 65536, NULL, AT_RELOAD,
	"routine items it may have on their way to us, on one link" },
{ SEC_PARTNER, "credit-octets", SET_SIZE, P(credit_octets), "4MiB", 256 * KIB, GIB, NULL, AT_RELOAD,
	"and their octets" },
{ SEC_PARTNER, "connections", SET_COUNT, P(connections_max), "8", 1, 65536, NULL, AT_RELOAD,
	"connections at once from it" },
{ SEC_PARTNER, "kills-per-day", SET_COUNT, P(kills_per_day), "1000", 1, 1000000, NULL, AT_RELOAD,
	"tombstones it may set in a day" },
{ SEC_PARTNER, "items-per-minute", SET_COUNT, P(items_per_minute), "0", 0, 100000000, NULL, AT_RELOAD,
	"items that are taken from it in a minute; 0 = as many as it likes" },
{ SEC_PARTNER, "octets-per-minute", SET_SIZE, P(octets_per_minute), "0", 0, 1ULL << 40, NULL, AT_RELOAD,
	"octets of documents and parts that are taken from it in a minute; 0 = as many as it likes" },

{ SEC_SUBSCRIPTION, "partner", SET_NAME, S(partner), NULL, 1, NAME_MAX_, NULL, AT_RELOAD,
	"whose claim it is" },
{ SEC_SUBSCRIPTION, "channels", SET_PATTERNS, S(channels), "*", 1, CONF_CHANNELS, NULL, AT_RELOAD,
	"channels it wants, among those its partner may read" },
{ SEC_SUBSCRIPTION, "start", SET_EITHER, S(start_all), "now", 0, 0, "now|all", AT_RELOAD,
	"a new subscription begins with what comes now, or with all that is kept" },
{ SEC_SUBSCRIPTION, "filter", SET_FILTER, S(filter), "", 0, 4096, NULL, AT_RELOAD,
	"must be empty in this version" },
{ SEC_SUBSCRIPTION, "versions", SET_ONE_OF, S(versions), "latest", 0, 0, "latest|all", AT_RELOAD,
	"of a story that changed while it waited: the newest version only, or every one in order" },
{ SEC_SUBSCRIPTION, "backlog-age", SET_TIME, S(backlog_age_ms), "30d", SEC, 3660 * DAY, NULL, AT_RELOAD,
	"what is owed longer than this expires, oldest first" },
{ SEC_SUBSCRIPTION, "backlog-size", SET_SHARE, S(backlog_size), "25%", 0, 16 * TIB, NULL, AT_RELOAD,
	"what is owed beyond this expires, oldest first" },
{ SEC_SUBSCRIPTION, "renamed-from", SET_NAME, S(renamed_from), "", 0, NAME_MAX_, NULL, AT_RELOAD,
	"its former name: what it is owed moves along" },
};
/* clang-format on */
const unsigned conf_settings_n = sizeof(conf_settings) / sizeof(conf_settings[0]);

enum conf_section table_section(struct slice name)
{
	unsigned i = 0;

	while (i < SECTIONS && !slice_is(name, conf_sections[i].name))
		i++;
	return (enum conf_section)i;
}

const struct setting *table_find(enum conf_section section, struct slice name)
{
	for (unsigned i = 0; i < conf_settings_n; i++)
		if (conf_settings[i].section == section && slice_is(name, conf_settings[i].name))
			return &conf_settings[i];
	return NULL;
}

enum conf_section table_elsewhere(struct slice name)
{
	for (unsigned i = 0; i < conf_settings_n; i++)
		if (slice_is(name, conf_settings[i].name))
			return conf_settings[i].section;
	return SECTIONS;
}

bool setting_is_list(const struct setting *setting)
{
	return setting->kind == SET_ADDRESSES || setting->kind == SET_PATTERNS ||
	       setting->kind == SET_NAMES || setting->kind == SET_PINS || setting->kind == SET_SANS;
}

#define NEAR_MAX 32
static unsigned least_of(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* how many letters to add, drop or change until one is the other */
static unsigned distance(struct slice a, const char *b)
{
	unsigned row[NEAR_MAX + 1] = { 0 }, n = (unsigned)strlen(b);

	if (a.n > NEAR_MAX || n > NEAR_MAX)
		return NEAR_MAX;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.n; i++) {
		unsigned corner = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			unsigned change = corner + (a.p[i - 1] != (uint8_t)b[j - 1]);

			corner = row[j];
			row[j] = least_of(row[j] + 1, row[j - 1] + 1, change);
		}
	}
	return row[n];
}

static void nearer(struct slice name, const char *known, unsigned *best, const char **ret)
{
	unsigned d = distance(name, known);

	/* one letter in two at most, else it is a guess and no help */
	if (d < *best && d <= 1 + strlen(known) / 2) {
		*best = d;
		*ret = known;
	}
}

const char *table_near_section(struct slice name)
{
	unsigned best = NEAR_MAX;
	const char *ret = NULL;

	for (unsigned i = 0; i < SECTIONS; i++)
		nearer(name, conf_sections[i].name, &best, &ret);
	nearer(name, "include", &best, &ret);
	return ret;
}

const char *table_near_setting(enum conf_section section, struct slice name)
{
	unsigned best = NEAR_MAX;
	const char *ret = NULL;

	for (unsigned i = 0; i < conf_settings_n; i++)
		if (conf_settings[i].section == section)
			nearer(name, conf_settings[i].name, &best, &ret);
	return ret;
}
