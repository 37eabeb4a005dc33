/* which version is newer, and the keys of a story; see facts.h */
#include "base/hash.h"
#include "news/facts.h"

static bool all_digits(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

static struct slice without_zeros(struct slice s)
{
	while (s.n > 1 && *s.p == '0')
		s = slice_of(s.p + 1, s.n - 1);
	return s;
}

static int compare_numbers(struct slice a, struct slice b)
{
	a = without_zeros(a);
	b = without_zeros(b);
	if (a.n != b.n)
		return a.n < b.n ? -1 : 1;
	return memcmp(a.p, b.p, a.n);
}

int version_compare(struct slice a, int64_t a_created_ms, struct slice b, int64_t b_created_ms,
		    int *ret)
{
	if (slice_eq(a, b)) {
		*ret = 0;
		return 0;
	}
	if (all_digits(a) && all_digits(b)) {
		*ret = compare_numbers(a, b);
		return 0;
	}
	if (a_created_ms == TIME_NONE || b_created_ms == TIME_NONE || a_created_ms == b_created_ms)
		return NX_EORDER;
	*ret = a_created_ms < b_created_ms ? -1 : 1;
	return 0;
}

/* the parts with a NUL between them; none of them can hold one */
static void key_of(const struct slice *parts, unsigned n, uint8_t key[32])
{
	uint8_t text[NAME_MAX_ + URI_MAX + VERSION_MAX + 16];
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		if (i > 0)
			text[len++] = '\0';
		if (parts[i].n > 0)
			memcpy(text + len, parts[i].p, parts[i].n);
		len += parts[i].n;
	}
	sha256_of(text, len, key);
}

void facts_story_key(const struct facts *facts, uint8_t key[32])
{
	const struct slice parts[] = { facts->origin, facts->uri };

	key_of(parts, 2, key);
}

void facts_identity_key(const struct facts *facts, uint8_t key[32])
{
	const struct slice parts[] = { facts->origin, facts->uri, facts->version,
				       slice_str("kill") };

	key_of(parts, facts_kill(facts) ? 4 : 3, key);
}
