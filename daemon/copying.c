#include "daemon/copying.h"

#include "base/clock.h"
#include "base/fault.h"
#include "store/backup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

static int complain(const char *what, const struct why *why, int status)
{
	fprintf(stderr, "newsxd: %s: %s\n", what,
		why->words[0] != '\0' ? why->words : nx_word(why->code));
	return status;
}

static void print_copy_fault(const char *words, void *arg)
{
	(void)arg;
	printf("fault in the copy: %s\n", words);
}

static const char *time_text(int64_t wall_ms, char text[40])
{
	clock_rfc3339(wall_ms, text);
	return text;
}

bool copying_rate(const char *text, unsigned long *ret)
{
	size_t n = strspn(text, "0123456789");

	if (n == 0 || n > 6 || text[n] != '\0')
		return false;
	*ret = strtoul(text, NULL, 10);
	return true;
}

int copying_backup(const struct conf *conf, const char *to, unsigned long rate_mib)
{
	const struct backup_conf backup = { .directory = conf->store_directory,
					    .to = to,
					    .rate = (uint64_t)rate_mib << 20,
					    .wall_ms = clock_wall_ms(),
					    .fault = print_copy_fault };
	struct copy_facts copy;
	struct why why = { 0 };
	char taken[40];

	fault_from_environment();
	if (nice(10) == -1)
		errno = 0; /* not politely, then */
	if (store_backup(&backup, &copy, &why) < 0)
		return complain("no backup was made", &why, 1);
	printf("%s: the store as it was at %s, verified\n"
	       "sequence %llu, epoch %016llx, %llu octets of items, %llu of photos\n",
	       to, time_text(copy.taken_ms, taken), (unsigned long long)copy.sequence,
	       (unsigned long long)copy.epoch, (unsigned long long)copy.octets[0],
	       (unsigned long long)copy.octets[1]);
	if (copy.faults > 0)
		printf("%d faults, which are very likely the store's own: see --verify-store. The "
		       "copy was kept\n",
		       copy.faults);
	return copy.faults > 0;
}

#define DAY_MS (24ll * 3600 * 1000)

static void say_what_to_expect(const struct restored *restored, const char *directory)
{
	char taken[40];

	time_text(restored->copy.taken_ms, taken);
	printf("%s is again as it was at %s: sequence %llu\n"
	       "its epoch was %016llx and is now %016llx\n",
	       directory, taken, (unsigned long long)restored->copy.sequence,
	       (unsigned long long)restored->copy.epoch, (unsigned long long)restored->epoch);
	if (restored->before[0] != '\0')
		printf("the store that was here is kept as %s; remove it when it is not needed\n",
		       restored->before);
	printf("what was acknowledged after %s is not in it: publishers that remember are told "
	       "when\n"
	       "they connect (event=store.rewound says how many items are gone at most); ask the\n"
	       "others to publish again what they sent since then, what is here is a duplicate\n"
	       "subscribers may get again what they acknowledged after %s\n",
	       taken, taken);
	if (clock_wall_ms() - restored->copy.taken_ms > DAY_MS)
		printf("the copy is more than a day old: embargoes wait until newsxd --config FILE "
		       "--clock-ok\n");
}

int copying_restore(const struct conf *conf, const char *from)
{
	const struct restore_conf restore = { .directory = conf->store_directory,
					      .from = from,
					      .wall_ms = clock_wall_ms() };
	struct restored restored;
	struct why why = { 0 };
	int r;

	fault_from_environment();
	r = store_restore(&restore, &restored, &why);

	if (r < 0)
		return complain("nothing was restored", &why, r == NX_ELOCKED ? EX_TEMPFAIL : 1);
	say_what_to_expect(&restored, conf->store_directory);
	return r == 0 ? 0 : complain("it was restored, but what comes after failed", &why, 1);
}

int copying_convert(const struct conf *conf)
{
	struct converted converted;
	struct why why = { 0 };
	int r = store_convert(conf->store_directory, clock_wall_ms(), &converted, &why);

	if (r < 0)
		return complain("nothing was converted", &why, r == NX_ELOCKED ? EX_TEMPFAIL : 1);
	if (r == 0)
		printf("%s has format %u, the newest that this newsxd knows: nothing to do\n",
		       conf->store_directory, converted.facts.items_format);
	if (r == 0 && converted.before[0] != '\0')
		printf("the old files that an interrupted one left are kept as %s; remove them "
		       "when they are not needed\n",
		       converted.before);
	if (r > 0)
		printf("%s has format %u now (was %u)\n"
		       "the old files are kept as %s: to go back, stop the daemon and move them "
		       "back; else remove them\n",
		       conf->store_directory, converted.facts.items_format, converted.items_from,
		       converted.before);
	return r < 2 ? 0 : complain("it was converted, but what comes after failed", &why, 1);
}
