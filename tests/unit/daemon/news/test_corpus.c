/* Runs over a folder of stories and hostile documents that NEWSX_CORPUS names; skipped without it.
 */
#include "news/story.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct story_limits limits = {
	.document_max = 256 << 10,
	.depth_max = 32,
	.values_max = 5000,
	.parts_max = 64,
};
static const char *corpus;

struct file {
	uint8_t *p;
	size_t n;
};

static struct file load(const char *folder, const char *name)
{
	struct file file = { .p = NULL };
	char path[1024];
	FILE *from;
	long size;

	snprintf(path, sizeof(path), "%s/%s/%s", corpus, folder, name);
	from = fopen(path, "rb");
	if (from == NULL)
		fail_msg("cannot open %s", path);
	fseek(from, 0, SEEK_END);
	size = ftell(from);
	rewind(from);
	file.n = (size_t)size;
	file.p = malloc(file.n + 1);
	assert_non_null(file.p);
	assert_int_equal(fread(file.p, 1, file.n, from), file.n);
	fclose(from);
	return file;
}

static int verdict(struct file file, struct why *why)
{
	struct story story;
	int r = story_read(slice_of(file.p, file.n), &limits, &story, why);

	if (r == 0)
		story_done(&story);
	return r;
}

/* ---- JSONTestSuite: y_ is JSON, n_ is not, i_ is the parser's choice */

static bool is_json_verdict(int r)
{
	return r != NX_EDOCUMENT && r != NX_EUTF8 && r != NX_EDEPTH && r != NX_EVALUES;
}

/* what of good JSON this exchange refuses before it looks at fields */
static bool refused_on_purpose(const char *name, int r)
{
	if (strstr(name, "duplicated_key") != NULL)
		return r == NX_EDUPKEY;
	if (strstr(name, "null_escape") != NULL || strstr(name, "escaped_null") != NULL ||
	    strstr(name, "u+0000") != NULL)
		return r == NX_ENUL;
	return false;
}

/* the same text as the value of a property nobody knows */
static struct file wrapped(struct file file)
{
	static const char front[] = "{\"uri\":\"u\",\"x\":";
	struct file ret = { .n = sizeof(front) - 1 + file.n + 1 };

	ret.p = malloc(ret.n);
	assert_non_null(ret.p);
	memcpy(ret.p, front, sizeof(front) - 1);
	if (file.n > 0)
		memcpy(ret.p + sizeof(front) - 1, file.p, file.n);
	ret.p[ret.n - 1] = '}';
	return ret;
}

static void check_wrapped(const char *name, struct file file)
{
	struct file whole = wrapped(file);
	struct why why = { .code = 0 };
	int r = verdict(whole, &why);

	free(whole.p);
	if (name[0] == 'y' && r != 0 && !refused_on_purpose(name, r))
		fail_msg("%s as a property: %s (%s)", name, nx_word(r), why.words);
	if (name[0] == 'n' && (r == 0 || (is_json_verdict(r) && r != NX_ENUL)))
		fail_msg("%s as a property: %s", name, nx_word(r));
}

static void check_alone(const char *name, struct file file)
{
	struct why why = { .code = 0 };
	int r = verdict(file, &why);
	size_t i = 0;

	while (i < file.n && strchr(" \t\r\n", file.p[i]) != NULL)
		i++;
	if (name[0] == 'n' && is_json_verdict(r) && r != NX_ENUL)
		fail_msg("%s: %s", name, nx_word(r));
	if (name[0] != 'y')
		return;
	if (i < file.n && file.p[i] == '{') {
		if (r != NX_ENOURI && !refused_on_purpose(name, r))
			fail_msg("%s: %s (%s)", name, nx_word(r), why.words);
	} else if (r != NX_EDOCUMENT) {
		fail_msg("%s: %s (%s)", name, nx_word(r), why.words);
	}
}

static void json_and_what_is_none(void **state)
{
	static const char folder[] = "json-torture/test_parsing";
	unsigned seen = 0;
	char path[1024];
	struct dirent *entry;
	DIR *dir;

	(void)state;
	if (corpus == NULL)
		skip();
	snprintf(path, sizeof(path), "%s/%s", corpus, folder);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		struct file file;

		if (strstr(entry->d_name, ".json") == NULL)
			continue;
		file = load(folder, entry->d_name);
		check_alone(entry->d_name, file);
		check_wrapped(entry->d_name, file);
		free(file.p);
		seen++;
	}
	closedir(dir);
	assert_int_equal(seen, 318);
}

/* ---- hostile stories: what this exchange says to each */

/* clang-format off */
static const struct {
	const char *name;
	int r;
} hostile[] = {
	{ "01-duplicate-uri.json",               NX_EDUPKEY },
	{ "02-duplicate-pubstatus.json",         NX_EDUPKEY },
	{ "03-lone-surrogate.json",              NX_EUTF8 },
	{ "04-nul-escape.json",                  NX_ENUL },
	{ "05-raw-control.json",                 NX_EDOCUMENT },
	{ "06-invalid-utf8-cut-lao.json",        NX_EUTF8 },
	{ "07-overlong-utf8.json",               NX_EUTF8 },
	{ "08-bom.json",                         NX_EDOCUMENT },
	{ "09-utf16.json",                       NX_EDOCUMENT },
	{ "10-utf16le-no-bom.json",              NX_EDOCUMENT },
	{ "11-windows1258.json",                 NX_EUTF8 },
	{ "12-no-uri.json",                      NX_ENOURI },
	{ "13-uri-number.json",                  NX_ENOURI },
	{ "14-uri-path-traversal.json",          0 }, /* a uri is never a path here */
	{ "15-uri-64k.json",                     NX_ENOURI },
	{ "16-urgency-1e999.json",               NX_EURGENCY },
	{ "17-urgency-string.json",              NX_EURGENCY },
	{ "18-version-huge-integer.json",        NX_EVERSION },
	{ "19-pubstatus-unknown.json",           NX_ESTATUS },
	{ "20-date-impossible.json",             NX_EDATE },
	{ "21-embargo-local-time.json",          NX_EEMBARGO },
	{ "22-embargo-empty.json",               NX_EEMBARGO },
	{ "23-nested-associations-3000.json",    NX_EDEPTH },
	{ "24-array-at-top.json",                NX_EDOCUMENT },
	{ "25-two-objects.json",                 NX_EDOCUMENT },
	{ "26-truncated.json",                   NX_EDOCUMENT },
	{ "27-trailing-garbage.json",            NX_ENUL },
	{ "28-many-keys.json",                   NX_EBIGDOC },
	{ "29-empty.json",                       NX_EDOCUMENT },
	{ "30-self-association.json",            0 }, /* nothing is followed */
};
/* clang-format on */

static void hostile_stories(void **state)
{
	(void)state;
	if (corpus == NULL)
		skip();
	for (size_t i = 0; i < sizeof(hostile) / sizeof(hostile[0]); i++) {
		struct file file = load("json-torture/news", hostile[i].name);
		struct why why = { .code = 0 };
		int r = verdict(file, &why);

		free(file.p);
		if (r != hostile[i].r)
			fail_msg("%s: %s (%s)", hostile[i].name, nx_word(r), why.words);
	}
}

/* ---- good stories: facts against the table that came with them */

enum column {
	FILE_,
	BYTES,
	NINJS,
	VALID,
	TYPE,
	LANGUAGE,
	STATUS,
	VERSION,
	EMBARGO,
	URGENCY,
	COLUMNS
};

static bool split(char *line, char *columns[COLUMNS])
{
	for (unsigned i = 0; i < COLUMNS; i++)
		columns[i] = strsep(&line, "\t\n");
	return columns[COLUMNS - 1] != NULL;
}

static void same(const char *file, const char *what, struct slice got, const char *want)
{
	if (strcmp(want, "-") == 0)
		want = "";
	if (!slice_is(got, want))
		fail_msg("%s: %s is '%.*s', not '%s'", file, what, (int)got.n, (const char *)got.p,
			 want);
}

static void check_facts(const struct facts *facts, char *columns[COLUMNS])
{
	static const char *const words[] = { "usable", "withheld", "canceled" };
	const char *status = columns[STATUS], *name = columns[FILE_];
	bool urgency = strcmp(columns[URGENCY], "-") != 0;

	same(name, "language", facts->language, columns[LANGUAGE]);
	same(name, "type", facts->type, columns[TYPE]);
	same(name, "version", facts->version,
	     strcmp(columns[VERSION], "-") == 0 ? "0" : columns[VERSION]);
	same(name, "status", slice_str(words[facts->status]),
	     strcmp(status, "-") == 0 ? "usable" : status);
	assert_int_equal(facts->urgency, urgency ? atoi(columns[URGENCY]) : 0);
	assert_int_equal(facts->embargo_ms != TIME_NONE, strcmp(columns[EMBARGO], "-") != 0);
	assert_true(facts->uri.n > 0);
}

/* the one that is in the table as good and is not: two renditions of one association have one name
 */
static const char twice[] = "iptc-examples/ninjs1.4-businesswire-newsml-20130731006140.json";

static void check_story(char *columns[COLUMNS])
{
	struct file file = load("stories", columns[FILE_]);
	struct why why = { .code = 0 };
	struct story story;
	int r = story_read(slice_of(file.p, file.n), &limits, &story, &why);
	struct facts back;
	uint8_t *p;
	size_t n;

	free(file.p);
	if (strcmp(columns[FILE_], twice) == 0) {
		assert_int_equal(r, NX_EDUPKEY);
		return;
	}
	if (r < 0)
		fail_msg("%s: %s (%s)", columns[FILE_], nx_word(r), why.words);
	check_facts(&story.facts, columns);
	assert_int_equal(facts_write(&story.facts, &p, &n), 0);
	assert_int_equal(facts_read(slice_of(p, n), &back), 0);
	free(p);
	check_facts(&back, columns);
	facts_done(&back);
	story_done(&story);
}

static void good_stories(void **state)
{
	char path[1024], line[4096];
	unsigned seen = 0;
	FILE *table;

	(void)state;
	if (corpus == NULL)
		skip();
	snprintf(path, sizeof(path), "%s/stories/MANIFEST.tsv", corpus);
	table = fopen(path, "r");
	assert_non_null(table);
	assert_non_null(fgets(line, sizeof(line), table)); /* the heads of the columns */
	while (fgets(line, sizeof(line), table) != NULL) {
		char *columns[COLUMNS];

		assert_true(split(line, columns));
		check_story(columns);
		seen++;
	}
	fclose(table);
	assert_int_equal(seen, 220);
}

static int init(void **state)
{
	(void)state;
	story_init();
	corpus = getenv("NEWSX_CORPUS");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_and_what_is_none),
		cmocka_unit_test(hostile_stories),
		cmocka_unit_test(good_stories),
	};
	return cmocka_run_group_tests(tests, init, NULL);
}
