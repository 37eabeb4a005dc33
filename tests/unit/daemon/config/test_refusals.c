/*
 * test_refusals.c - every way in which a configuration is refused, with the line and the words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/settings.h"

/* pins of 32 octets 'a', 'b' and 'c' */
#define PIN_A "sha256:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="
#define PIN_B "sha256:YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI="
#define KPL   "partner kpl {\n pin = {\"" PIN_A "\"}\n publish = {\"kpl.*\"} }\n"
#define VNA   "partner vna {\n pin = {\"" PIN_B "\"}\n read = {\"kpl.*\"} }\n"

struct refusal {
	const char *text, *words; /* words NULL: taken */
};

static void refused(const struct refusal *row)
{
	struct conf *conf = NULL;
	struct why why = { 0 };
	int r = conf_read_octets("x.conf", slice_str(row->text), &conf, &why);

	if (row->words == NULL) {
		if (r != 0)
			fail_msg("refused: %s\n%s", row->text, why.words);
		assert_non_null(conf);
		conf_free(&conf);
		return;
	}
	if (r != NX_ECONF || why.code != NX_ECONF)
		fail_msg("not refused: %s", row->text);
	assert_null(conf);
	assert_string_equal(why.words, row->words);
}

#define ALL_REFUSED(rows)                                                                          \
	for (size_t i = 0; i < sizeof(rows) / sizeof((rows)[0]); i++)                              \
	refused(&(rows)[i])

/* clang-format off */
static void words_and_quotes(void **state)
{
	static const struct refusal rows[] = {
		{ "", NULL },
		{ "# nothing\n// at all\n/* here\n */ node { }", NULL },
		{ "node { name = plain-1.x_y }", NULL },
		{ "# 345678901234567890123456789012\nnode # x\n{ name /* y */ = // z\n a }#", NULL },
		{ "listen { address = { # one\n \"[::1]\", # two\n /* three\n */ \"1.2.3.4\" # four\n } }", NULL },
		{ "listen { address = { # one\n \"[::1]\", # two\n /* three\n */ \"1.2.3.\" # four\n } }", "x.conf:4: '1.2.3.' is no address: 192.0.2.1:7417 or [2001:db8::1]:7417" },
		{ "node {\r\n name = 'x'\r\n}\r\n", NULL },
		{ "store {\n size = 10%\n}", "x.conf:2: '10%' is no plain word or number: put it in quotes" },
		{ "store {\n directory = /var/lib\n}", "x.conf:2: '/var/lib' is no plain word or number: put it in quotes" },
		{ "\n\nlisten { address = 127.0.0.1:1 }", "x.conf:3: '127.0.0.1:1' is no plain word or number: put it in quotes" },
		{ "node { name = a+b }", "x.conf:1: 'a+b' is no plain word or number: put it in quotes" },
		{ "node { name = a;\n }", "x.conf:1: 'a;' is no plain word or number: put it in quotes" },
		{ "node { name = a#b\n }", "x.conf:1: 'a#b' is no plain word or number: put it in quotes" },
		{ "node { name = a//b\n }", "x.conf:1: 'a//b' is no plain word or number: put it in quotes" },
		{ "node { name = a\"b\" }", "x.conf:1: 'a\"b\"' is no plain word or number: put it in quotes" },
		{ "node { name = \"a\"b }", "x.conf:1: something stands right behind the closing quote: put a space between" },
		{ "node { name = a b }", "x.conf:1: no setting 'b' in section node" },
		{ "node {\n name = ${HOME}\n}", "x.conf:2: '${HOME}': '${' is refused: nothing is taken from the environment" },
		{ "node {\n name = \"${HOME}\"\n}", "x.conf:2: '${' is refused: nothing is taken from the environment" },
		{ "node {\n name = '${HOME}'\n}", "x.conf:2: '${' is refused: nothing is taken from the environment" },
		{ "store {\n directory = \"a\\n\"\n}", "x.conf:2: a backslash in quotes: only \\\\ and \\\" in double quotes are known" },
		{ "store {\n directory = 'a\\\\'\n}", "x.conf:2: a backslash in quotes: only \\\\ and \\\" in double quotes are known" },
		{ "store { directory = \"a\\\\b\\\"c$\" }", NULL },
		{ "\nnode { name = \"x\n\" }", "x.conf:2: the quote does not end on its line" },
		{ "\nnode { name = \"x", "x.conf:2: the quote does not end on its line" },
		{ "\nnode { name = \"x\001\" }", "x.conf:2: a control character inside quotes" },
		{ "\n/* one\ntwo\nnode {", "x.conf:2: the comment that begins here does not end" },
		{ "node {\r name = x }", "x.conf:1: a carriage return without a line feed" },
		{ "\xef\xbb\xbfnode { }", "x.conf:1: the file begins with a byte order mark: save it as UTF-8 without one" },
		{ "node { name = \xe0\xba\x81 }", "x.conf:1: '?\?\?' is no plain word or number: put it in quotes" },
	};

	(void)state;
	ALL_REFUSED(rows);
}

static void grammar(void **state)
{
	static const struct refusal rows[] = {
		{ "node {\n\n", "x.conf:1: section node is not closed: '}' is missing" },
		{ "node\n\n", "x.conf:3: the file ends; '{' is missing" },
		{ "node {\n name\n}", "x.conf:3: '}' stands where '=' should" },
		{ "node {\n name =\n}", "x.conf:3: '}' stands where a value should" },
		{ "node { name = ", "x.conf:1: the file ends; a value is missing" },
		{ "node { = x }", "x.conf:1: '=' stands where a setting or '}' should" },
		{ "node { \"name\" = x }", "x.conf:1: 'name' stands where a setting or '}' should" },
		{ "node { name, x }", "x.conf:1: ',' stands where '=' should" },
		{ "}", "x.conf:1: '}' stands where a section should" },
		{ "node x { }", "x.conf:1: section node takes no name" },
		{ "partner { }", "x.conf:1: section partner needs a name: partner NAME { ... }" },
		{ "partner \"\" { }", "x.conf:1: a name may not be empty" },
		{ "\npartner \"a b\" { }", "x.conf:2: 'a b' is no name: letters, digits, . _ - only" },
		{ "listen { address = { \"[::]\" \"1.2.3.4\" } }", "x.conf:1: '1.2.3.4' stands where ',' or '}' should" },
		{ "listen { address = { \"[::]\",, } }", "x.conf:1: ',' stands where a value should" },
		{ "listen { address = { \"[::]\", } }", NULL },
		{ "listen { address = \"[::]\" }", NULL },
		{ "listen {\n address = {\n } }", "x.conf:2: 'address' is empty; it needs 1 at least" },
		{ "node { name = { a } }", "x.conf:1: 'name' takes one value, not a list" },
		{ "include = \"x\"", "x.conf:1: write include(\"conf.d/*.conf\")" },
		{ "include \"x\"", "x.conf:1: write include(\"conf.d/*.conf\")" },
		{ "include(", "x.conf:1: the file ends; a file name or pattern is missing" },
		{ "include(\"x\"", "x.conf:1: the file ends; ')' is missing" },
		{ "include(\"a\\\\b\")", "x.conf:1: no backslash in the name of an included file" },
		{ "include(\"not-followed-here\")", NULL },
	};

	(void)state;
	ALL_REFUSED(rows);
}

static void unknown_and_twice(void **state)
{
	static const struct refusal rows[] = {
		{ "listen {\n\n adress = x }", "x.conf:3: no setting 'adress' in section listen; did you mean 'address'?" },
		{ "limits { connection-per-adress = 1 }", "x.conf:1: no setting 'connection-per-adress' in section limits; did you mean 'connections-per-address'?" },
		{ "limits { keep = 7d }", "x.conf:1: no setting 'keep' in section limits; it belongs in section store" },
		{ "limits { zzzzzzzzzz = 7d }", "x.conf:1: no setting 'zzzzzzzzzz' in section limits" },
		{ "limit { }", "x.conf:1: no section 'limit'; did you mean 'limits'?" },
		{ "\nsubscripton x { }", "x.conf:2: no section 'subscripton'; did you mean 'subscription'?" },
		{ "xyzzyx { }", "x.conf:1: no section 'xyzzyx'" },
		{ "node {\n name = a\n name = b\n}", "x.conf:3: 'name' is set twice; first in line 2" },
		{ "listen {\n address = {\"[::]\"}\n address = {\"1.2.3.4\"}\n}", "x.conf:3: 'address' is set twice; first in line 2" },
		{ "node { }\nnode { }", "x.conf:2: section node stands there twice; first in line 1" },
		{ KPL VNA "\n" KPL, "x.conf:8: section partner kpl stands there twice; first in line 1" },
		{ KPL VNA "subscription kpl { partner = vna }", NULL },
		{ VNA "subscription s { partner = vna }\nsubscription s { partner = vna }", "x.conf:5: section subscription s stands there twice; first in line 4" },
	};

	(void)state;
	ALL_REFUSED(rows);
}

static void values(void **state)
{
	static const struct refusal rows[] = {
		{ "store {\n size = 2GB }", "x.conf:2: '2GB' is no size: octets, or a whole number with KiB, MiB, GiB or TiB" },
		{ "store { size = 1.5GiB }", "x.conf:1: '1.5GiB' is no size: octets, or a whole number with KiB, MiB, GiB or TiB" },
		{ "store { size = 99999999999999999999 }", "x.conf:1: '99999999999999999999' is no size: octets, or a whole number with KiB, MiB, GiB or TiB" },
		{ "store { size = 99999999999TiB }", "x.conf:1: '99999999999TiB' is no size: octets, or a whole number with KiB, MiB, GiB or TiB" },
		{ "store { size = -1 }", "x.conf:1: '-1' is no size: octets, or a whole number with KiB, MiB, GiB or TiB" },
		{ "store { size = 1 }", "x.conf:1: 'size' is 1; it may be 16MiB to 16TiB" },
		{ "store { keep = 7 }", "x.conf:1: '7' is no time: a whole number with ms, s, min, h or d" },
		{ "store { keep = 7m }", "x.conf:1: '7m' is no time: a whole number with ms, s, min, h or d" },
		{ "store { keep = 999ms }", "x.conf:1: 'keep' is 999ms; it may be 1s to 3660d" },
		{ "limits {\n connections = 0 }", "x.conf:2: 'connections' is 0; it may be 1 to 65536" },
		{ "limits { connections = many }", "x.conf:1: 'many' is no whole number" },
		{ "store { items-share = \"101%\" }", "x.conf:1: '101%' is no percentage: \"0%\" to \"100%\"" },
		{ "store { items-share = 1 }", "x.conf:1: 'items-share' is 1%; it may be 5% to 95%" },
		{ "store { held-size = \"101%\" }", "x.conf:1: '101%' is no percentage: \"0%\" to \"100%\"" },
		{ "store { clock = gps }", "x.conf:1: 'gps' is none of operator|ntp" },
		{ "log { level = inf }", "x.conf:1: 'inf' is none of err|warn|info|debug" },
		{ "node { name = \"\" }", "x.conf:1: 'name' may not be empty" },
		{ "node { name = \"a/b\" }", "x.conf:1: 'a/b' is no name: letters, digits, . _ - only" },
		{ "node { name = a1234567890123456789012345678901234567890123456789012345678901234 }", "x.conf:1: 'name' is longer than 64 octets" },
		{ "listen { address = {\n\"127.0.0.1:7417\",\n\"localhost:1\" } }", "x.conf:3: 'localhost:1' is no address: 192.0.2.1:7417 or [2001:db8::1]:7417" },
		{ "listen { address = \"1.2.3.4:65536\" }", "x.conf:1: '1.2.3.4:65536' is no address: 192.0.2.1:7417 or [2001:db8::1]:7417" },
		{ "listen { address = \"::1\" }", "x.conf:1: '::1' is no address: 192.0.2.1:7417 or [2001:db8::1]:7417" },
		{ "listen { address = \"[::1]:\" }", "x.conf:1: '[::1]:' is no address: 192.0.2.1:7417 or [2001:db8::1]:7417" },
		{ "listen { address = {\"1.2.3.4\",\n \"1.2.3.4:7417\"} }", "x.conf:2: '1.2.3.4:7417' stands twice in 'address'" },
		{ "listen { address = {\"[::1]\",\n \"[0:0::1]:07417\"} }", "x.conf:2: '[::1]:7417' stands twice in 'address'" },
		{ "listen { address = {\"0.0.0.0\",\n \"1.2.3.4\"} }", "x.conf:2: '1.2.3.4:7417' and '0.0.0.0:7417' cannot both be listened on: the one is part of the other" },
		{ "listen { address = {\"[2001:db8::1]:1\",\n \"[::]:1\"} }", "x.conf:2: '[::]:1' and '[2001:db8::1]:1' cannot both be listened on: the one is part of the other" },
		{ "listen { address = {\"[::]:7417\", \"0.0.0.0\", \"1.2.3.4:1\", \"[::1]:2\"} }", NULL },
		{ "listen { address = {\"127.0.0.1:0\", \"0.0.0.0:0\"} }", NULL },
		{ "partner a { pin = {\"" PIN_A "\"} node = 1 }", "x.conf:1: '1' is neither yes nor no" },
		{ "partner a { pin = {\"" PIN_A "\"} publish = {\"a*b\"} }", "x.conf:1: 'a*b' is no channel: letters, digits, . _ - and one * at the end" },
		{ "partner a { pin = {\"" PIN_A "\"} publish = {\"**\"} }", "x.conf:1: '**' is no channel: letters, digits, . _ - and one * at the end" },
		{ "partner a { pin = {\"" PIN_A "\"} read = {\"\"} }", "x.conf:1: a channel may not be empty" },
		{ "partner a { pin = {\"" PIN_A "\"} read = {\"a b\"} }", "x.conf:1: 'a b' is no channel: letters, digits, . _ - and one * at the end" },
		{ "partner a {\n pin = {\"sha256:short\"} }", "x.conf:2: 'sha256:short' is no pin: sha256: and 44 characters of base64, as newsxctl key pin FILE.crt prints it" },
		{ "partner a { pin = {\"sha512:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=\"} }", "x.conf:1: 'sha512:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=' is no pin: sha256: and 44 characters of base64, as newsxctl key pin FILE.crt prints it" },
	};

	(void)state;
	ALL_REFUSED(rows);
}

static void sections_against_each_other(void **state)
{
	static const struct refusal rows[] = {
		{ "limits {\n document = 984KiB\n envelope = 17KiB }", "x.conf:2: 'document' and 'envelope' together are more than 1000KiB" },
		{ "limits { document = 984KiB envelope = 16KiB }", NULL },
		{ "limits {\n part = 257MiB }", "x.conf:2: 'part' is 257MiB; it may be 32MiB to 256MiB" },
		{ "limits {\n idle = 30s }", "x.conf:2: 'idle' must be more than 'ping'" },
		{ "\npartner a { }", "x.conf:2: partner a has no 'pin', and no 'ca' either" },
		{ "partner a {\n ca = \"a.pem\" }", "x.conf:2: partner a has 'ca' without 'san'" },
		{ "partner a { pin = {\"" PIN_A "\"}\n san = {\"a.org\"} }", "x.conf:2: partner a has 'san' without 'ca'" },
		{ "partner a { pin = {\"" PIN_A "\"}\n crl = \"a.crl\" }", "x.conf:2: partner a has 'crl' without 'ca'" },
		{ "partner a { ca = \"a.pem\" san = {\"A.org\"} }\npartner b { ca = \"a.pem\"\n san = {\"a.org\"} }",
		  "x.conf:3: partners a and b have the same san 'a.org'" },
		{ "partner a { ca = \"a.pem\"\n san = {\"*.a.org\"} }",
		  "x.conf:2: '*.a.org' is no name of a certificate: news.example.org, desk@example.org or urn:...; written out, without *" },
		{ KPL "partner b {\n pin = {\"" PIN_B "\",\n \"" PIN_A "\"} }", "x.conf:6: partners kpl (line 1) and b have the same pin sha256:YWFhYWFhY...: a key belongs to one" },
		{ "partner b { pin = {\"" PIN_B "\", \"" PIN_B "\"} }", "x.conf:1: '" PIN_B "' stands twice in 'pin'" },
		{ "partner b {\n pin = {\"" PIN_B "\"}\n part = 65MiB }", "x.conf:3: 'part' is more than limits allows everybody (64MiB)" },
		{ "limits { parts = 70 }\npartner b {\n pin = {\"" PIN_B "\"}\n parts = 71 }", "x.conf:4: 'parts' is more than limits allows everybody (70)" },
		{ VNA "subscription s {\n channels = {\"kpl.*\"} }", "x.conf:4: subscription s has no 'partner'" },
		{ VNA "subscription s {\n partner = vnx }", "x.conf:5: subscription s: there is no partner vnx" },
		{ KPL "subscription s {\n partner = kpl }", "x.conf:4: subscription s could never get anything: partner kpl has no 'read'" },
		{ VNA "subscription s {\n partner = vna\n channels = {\"kpl\", \"vna.*\"} }", "x.conf:6: subscription s could never get anything: partner vna may read none of these channels" },
		{ VNA "subscription s {\n partner = vna\n channels = {\"vna.*\", \"k*\"} }", NULL },
		{ VNA "subscription s {\n partner = vna\n filter = \"urgency < 3\" }", "x.conf:6: the filter language comes later: in this version filter must be \"\"" },
		{ KPL "partner b {\n pin = {\"" PIN_B "\"}\n renamed-from = kpl }", "x.conf:6: partner kpl still stands here; b cannot have its debts" },
		{ "partner a { pin = {\"" PIN_A "\"} renamed-from = x }\npartner b {\n pin = {\"" PIN_B "\"}\n renamed-from = x }", "x.conf:4: x is already what a was" },
		{ VNA "subscription s { partner = vna renamed-from = s }", "x.conf:4: subscription s still stands here; s cannot have its debts" },
		{ VNA "subscription s { partner = vna renamed-from = x }\nsubscription t { partner = vna renamed-from = x }", "x.conf:5: x is already what s was" },
	};

	(void)state;
	ALL_REFUSED(rows);
}
/* clang-format on */

static void many_of_everything(void **state)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	struct refusal row = { .words = "x.conf:1: 'publish' has more than 64 values" };

	(void)state;
	fputs("partner a { pin = {\"" PIN_A "\"} publish = {", out);
	for (int i = 0; i < 65; i++)
		fprintf(out, "\"c%d\",", i);
	fputs("} }", out);
	fclose(out);
	row.text = text;
	refused(&row);
	free(text);
}

static void nul_and_size(void **state)
{
	static const char nul[] = "node { }\nlog { }\0 node";
	struct conf *conf = NULL;
	struct why why = { 0 };
	size_t n = ((size_t)1 << 20) + 1;
	char *large = malloc(n);

	(void)state;
	assert_int_equal(conf_read_octets("x.conf", slice_of(nul, sizeof(nul) - 1), &conf, &why),
			 NX_ECONF);
	assert_string_equal(why.words, "x.conf:2: a NUL octet");
	memset(large, ' ', n);
	assert_int_equal(conf_read_octets("x.conf", slice_of(large, n), &conf, &why), NX_ECONF);
	assert_string_equal(why.words, "x.conf:1: the file is larger than 1048576 octets");
	memset(large, 'a', n - 1);
	assert_int_equal(conf_read_octets("x.conf", slice_of(large, n - 1), &conf, &why), NX_ECONF);
	assert_string_equal(why.words, "x.conf:1: a word of 1048576 octets; at most 1024");
	assert_int_equal(conf_read_octets("x.conf", slice_of(large, 9), &conf, NULL), NX_ECONF);
	assert_null(conf);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_quotes),
		cmocka_unit_test(grammar),
		cmocka_unit_test(unknown_and_twice),
		cmocka_unit_test(values),
		cmocka_unit_test(sections_against_each_other),
		cmocka_unit_test(many_of_everything),
		cmocka_unit_test(nul_and_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
