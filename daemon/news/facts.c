#include "news/facts.h"
#include "base/hash.h"
#include <stdlib.h>

#define FORMAT    1
#define FIXED_LEN 20 /* format, status, urgency, subjects, two times */

/* the slices in the order of the binary form; the subjects come after them */
// clang-format off
static const struct {
	size_t at, most;
} fields[] = {
	{ offsetof(struct facts, origin),   NAME_MAX_ },
	{ offsetof(struct facts, uri),      URI_MAX },
	{ offsetof(struct facts, version),  VERSION_MAX },
	{ offsetof(struct facts, channel),  NAME_MAX_ },
	{ offsetof(struct facts, language), FACT_MAX },
	{ offsetof(struct facts, type),     FACT_MAX },
	{ offsetof(struct facts, slugline), FACT_MAX },
	{ offsetof(struct facts, headline), FACT_MAX },
};
// clang-format on
#define FIELDS (sizeof(fields) / sizeof(fields[0]))

/* the n-th slice: the fields, then the subjects */
static struct slice *nth(struct facts *facts, size_t n)
{
	if (n >= FIELDS)
		return &facts->subjects[n - FIELDS];
	return (struct slice *)(void *)((char *)facts + fields[n].at);
}

static struct slice value(const struct facts *facts, size_t n)
{
	if (n >= FIELDS)
		return facts->subjects[n - FIELDS];
	return *(const struct slice *)(const void *)((const char *)facts + fields[n].at);
}

static size_t most(size_t n)
{
	return n < FIELDS ? fields[n].most : FACT_MAX;
}

void facts_done(struct facts *facts)
{
	free(facts->block);
	*facts = (struct facts){ .version_created_ms = TIME_NONE, .embargo_ms = TIME_NONE };
}

int facts_copy(const struct facts *from, struct facts *ret)
{
	size_t n = FIELDS + from->subjects_n, len = 1;
	struct facts facts = *from;
	uint8_t *to;

	for (size_t i = 0; i < n; i++)
		len += value(from, i).n;
	to = facts.block = malloc(len);
	if (to == NULL)
		return NX_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct slice *s = nth(&facts, i);

		if (s->n > 0)
			memcpy(to, s->p, s->n);
		s->p = to;
		to += s->n;
	}
	*ret = facts;
	return 0;
}

enum lane facts_lane(const struct facts *facts)
{
	return facts_kill(facts) || facts->urgency == 1 || facts->urgency == 2 ? LANE_FLASH
									       : LANE_ROUTINE;
}

/* ---- the binary form, in network order:
 * u8 format, u8 status, u8 urgency, u8 subjects, i64 version created, i64 embargo,
 * then each slice: u16 length, octets */

int facts_write(const struct facts *facts, uint8_t **ret, size_t *ret_n)
{
	size_t n = FIELDS + facts->subjects_n, len = FIXED_LEN;
	uint8_t *p, *to;

	if (facts->subjects_n > SUBJECTS_MAX || facts->urgency < 0 || facts->urgency > 9)
		return NX_EARG;
	for (size_t i = 0; i < n; i++) {
		if (value(facts, i).n > most(i))
			return NX_EARG;
		len += 2 + value(facts, i).n;
	}
	p = to = malloc(len);
	if (p == NULL)
		return NX_ENOMEM;
	*to++ = FORMAT;
	*to++ = (uint8_t)facts->status;
	*to++ = (uint8_t)facts->urgency;
	*to++ = (uint8_t)facts->subjects_n;
	put_u64(&to, (uint64_t)facts->version_created_ms);
	put_u64(&to, (uint64_t)facts->embargo_ms);
	for (size_t i = 0; i < n; i++) {
		struct slice s = value(facts, i);

		put_u16(&to, (uint16_t)s.n);
		if (s.n > 0)
			memcpy(to, s.p, s.n);
		to += s.n;
	}
	*ret = p;
	*ret_n = len;
	return 0;
}

static int read_slice(struct slice *from, size_t longest, struct slice *ret)
{
	bool bad = false;
	size_t n = get_u16(from, &bad);

	if (bad || n > longest || n > from->n)
		return NX_ECORRUPT;
	*ret = slice_of(from->p, n);
	*from = slice_of(from->p + n, from->n - n);
	return 0;
}

int facts_read(struct slice from, struct facts *ret)
{
	struct facts facts = { .block = NULL };
	bool bad = false;

	if (from.n < FIXED_LEN || from.p[0] != FORMAT || from.p[1] > STATUS_CANCELED ||
	    from.p[2] > 9 || from.p[3] > SUBJECTS_MAX)
		return NX_ECORRUPT;
	facts.status = (enum news_status)from.p[1];
	facts.urgency = from.p[2];
	facts.subjects_n = from.p[3];
	from = slice_of(from.p + 4, from.n - 4);
	facts.version_created_ms = (int64_t)get_u64(&from, &bad);
	facts.embargo_ms = (int64_t)get_u64(&from, &bad);
	for (size_t i = 0; i < FIELDS + facts.subjects_n; i++)
		if (read_slice(&from, most(i), nth(&facts, i)) < 0)
			return NX_ECORRUPT;
	/* what is left was added by a later version */
	if (facts.uri.n == 0 || facts.version.n == 0)
		return NX_ECORRUPT;
	return facts_copy(&facts, ret);
}
