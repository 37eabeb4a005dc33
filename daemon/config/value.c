/*
 * value.c - sizes, times, names, pins and addresses, out of the text that stands in the file.
 */
#include "config/value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

#define PORT 7417

struct unit {
	const char *name;
	uint64_t of;
};
static const struct unit sizes[] = {
	{ "TiB", (uint64_t)1 << 40 },
	{ "GiB", (uint64_t)1 << 30 },
	{ "MiB", (uint64_t)1 << 20 },
	{ "KiB", (uint64_t)1 << 10 },
	{ "", 1 },
	{ NULL, 0 },
};
static const struct unit times[] = {
	{ "d", 86400000 }, { "h", 3600000 }, { "min", 60000 },
	{ "s", 1000 },     { "ms", 1 },      { NULL, 0 },
};
static const struct unit percents[] = { { "%", 1 }, { "", 1 }, { NULL, 0 } };
static const struct unit counts[] = { { "", 1 }, { NULL, 0 } };

/* digits and one of the units; false for anything else, too large included */
static bool number(const char *text, const struct unit *units, uint64_t *ret)
{
	const char *p = text;
	uint64_t n = 0;

	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10u, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return false;
	if (p == text)
		return false;
	for (; units->name; units++)
		if (strcmp(p, units->name) == 0)
			return !__builtin_mul_overflow(n, units->of, ret) && *ret <= INT64_MAX;
	return false;
}

int value_size(const char *text, uint64_t *ret, struct why *why)
{
	if (number(text, sizes, ret))
		return 0;
	return why_set(why, NX_ECONF,
		       "'%.60s' is no size: octets, or a whole number with KiB, MiB, GiB or TiB",
		       text);
}

int value_time(const char *text, int64_t *ret_ms, struct why *why)
{
	uint64_t ms;

	if (!number(text, times, &ms))
		return why_set(why, NX_ECONF,
			       "'%.60s' is no time: a whole number with ms, s, min, h or d", text);
	*ret_ms = (int64_t)ms;
	return 0;
}

int value_count(const char *text, uint64_t *ret, struct why *why)
{
	if (number(text, counts, ret))
		return 0;
	return why_set(why, NX_ECONF, "'%.60s' is no whole number", text);
}

int value_percent(const char *text, uint64_t *ret, struct why *why)
{
	if (number(text, percents, ret) && *ret <= 100)
		return 0;
	return why_set(why, NX_ECONF, "'%.60s' is no percentage: \"0%%\" to \"100%%\"", text);
}

int value_bool(const char *text, bool *ret, struct why *why)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on" };

	for (unsigned i = 0; i < 6; i++) {
		if (strcmp(text, words[i]) != 0)
			continue;
		*ret = i % 2 == 1;
		return 0;
	}
	return why_set(why, NX_ECONF, "'%.60s' is neither yes nor no", text);
}

int value_choice(const char *text, const char *choices, unsigned *ret, struct why *why)
{
	size_t n = strlen(text);
	unsigned i = 0;

	for (const char *p = choices; p; i++) {
		const char *end = strchr(p, '|');
		size_t len = end ? (size_t)(end - p) : strlen(p);

		if (len == n && memcmp(p, text, n) == 0) {
			*ret = i;
			return 0;
		}
		p = end ? end + 1 : NULL;
	}
	return why_set(why, NX_ECONF, "'%.60s' is none of %s", text, choices);
}

static bool name_octet(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

static int plain(const char *text, size_t n, const char *what, struct why *why)
{
	if (strlen(text) > NAME_MAX_)
		return why_set(why, NX_ECONF, "'%.30s...' is longer than %d octets", text,
			       NAME_MAX_);
	for (size_t i = 0; i < n; i++)
		if (!name_octet(text[i]))
			return why_set(why, NX_ECONF, "'%s' is no %s: letters, digits, . _ - %s",
				       text, what, *what == 'c' ? "and one * at the end" : "only");
	return 0;
}

int value_name(const char *text, struct why *why)
{
	if (*text == '\0')
		return why_set(why, NX_ECONF, "a name may not be empty");
	return plain(text, strlen(text), "name", why);
}

int value_pattern(const char *text, struct why *why)
{
	size_t n = strlen(text);

	if (n == 0)
		return why_set(why, NX_ECONF, "a channel may not be empty");
	return plain(text, text[n - 1] == '*' ? n - 1 : n, "channel", why);
}

int value_san(const char *text, struct why *why)
{
	size_t n = strlen(text);
	bool host = strchr(text, ':') == NULL;

	for (size_t i = 0; i < n; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '*' || (host && text[i] == '/'))
			n = 0;
	if (n == 0 || n > 255)
		return why_set(why, NX_ECONF,
			       "'%.60s' is no name of a certificate: news.example.org, "
			       "desk@example.org or urn:...; written out, without *",
			       text);
	return 0;
}

int value_pin(const char *text, uint8_t pin[32], struct why *why)
{
	if (strncmp(text, "sha256:", 7) != 0 || strlen(text) != 7 + 44 ||
	    !base64_to(slice_str(text + 7), pin, 32))
		return why_set(why, NX_ECONF,
			       "'%.80s' is no pin: sha256: and 44 characters of base64, as "
			       "newsxctl key pin FILE.crt prints it",
			       text);
	return 0;
}

/* an address has many spellings: ret is the one, in brackets where those were. false: it is none */
static bool host_of(const char *text, size_t n, char ret[64])
{
	char host[INET6_ADDRSTRLEN], plain[INET6_ADDRSTRLEN];
	struct in6_addr addr;
	bool six = n >= 2 && text[0] == '[' && text[n - 1] == ']';

	if (six) {
		text++;
		n -= 2;
	}
	if (n == 0 || n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	if (inet_pton(six ? AF_INET6 : AF_INET, host, &addr) != 1)
		return false;
	inet_ntop(six ? AF_INET6 : AF_INET, &addr, plain, sizeof(plain));
	snprintf(ret, 64, six ? "[%s]" : "%s", plain);
	return true;
}

int value_address(const char *text, char **ret, struct why *why)
{
	const char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
	uint64_t port = PORT;
	char host[64];
	size_t n;

	if (bracket && colon && colon < bracket)
		colon = NULL; /* it is one inside the brackets */
	n = colon ? (size_t)(colon - text) : strlen(text);
	if (!host_of(text, n, host) ||
	    (colon && (!number(colon + 1, counts, &port) || port > 65535)))
		return why_set(why, NX_ECONF,
			       "'%.60s' is no address: 192.0.2.1:7417 or [2001:db8::1]:7417", text);
	if (asprintf(ret, "%s:%u", host, (unsigned)port) < 0) {
		*ret = NULL;
		return NX_ENOMEM;
	}
	return 0;
}

/* all addresses of a family beside one of them, at one port: the kernel gives both to nobody */
int value_addresses(const char *a, const char *b, struct why *why)
{
	const char *a_port = strrchr(a, ':'), *b_port = strrchr(b, ':');
	const char *any = a[0] == '[' ? "[::]:" : "0.0.0.0:";

	if ((a[0] == '[') != (b[0] == '[') || strcmp(a_port, b_port) != 0 ||
	    strcmp(a_port, ":0") == 0 ||
	    (strncmp(a, any, strlen(any)) != 0 && strncmp(b, any, strlen(any)) != 0))
		return 0;
	return why_set(why, NX_ECONF,
		       "'%s' and '%s' cannot both be listened on: the one is part of the other", a,
		       b);
}

static void show(uint64_t value, const struct unit *units, char *to)
{
	while (units[1].name && (value < units->of || value % units->of != 0))
		units++;
	snprintf(to, 32, "%" PRIu64 "%s", value / units->of, units->name);
}

void value_show_size(uint64_t octets, char *to)
{
	show(octets, sizes, to);
}

void value_show_time(uint64_t ms, char *to)
{
	show(ms, times, to);
}

int value_range(const struct setting *setting, uint64_t value, struct why *why)
{
	char least[32], most[32], is[32];
	const struct unit *units = counts;

	if (value >= setting->least && value <= setting->most)
		return 0;
	if (setting->kind == SET_SIZE || setting->kind == SET_SHARE)
		units = sizes;
	else if (setting->kind == SET_TIME)
		units = times;
	else if (setting->kind == SET_PERCENT)
		units = percents;
	show(setting->least, units, least);
	show(setting->most, units, most);
	show(value, units, is);
	return why_set(why, NX_ECONF, "'%s' is %s; it may be %s to %s", setting->name, is, least,
		       most);
}
