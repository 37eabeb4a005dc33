#include "proto/letters.h"

/*
 * The table has a word for each octet, in which each state has six bits for the state that follows:
 * how far the next look-up is to be shifted. What no row names ends the run (0).
 */
enum {
	END = 0,
	TEXT = 6,   /* between two letters */
	ONE = 12,   /* so many octets are missing */
	TWO = 18,   /* */
	THREE = 24, /* */
	E0 = 30,
	ED = 36,
	F0 = 42,
	F4 = 48, /* after these not every second octet may stand */
	BITS = 63,
};
#define IN(state, next) ((uint64_t)(next) << (state))
#define PLAIN           IN(TEXT, TEXT)
#define REST            IN(ONE, TEXT) | IN(TWO, ONE) | IN(THREE, TWO)

static const uint64_t table[256] = {
	[0x20 ... 0x21] = PLAIN,
	[0x23 ... 0x5b] = PLAIN, /* not the quote */
	[0x5d ... 0x7f] = PLAIN, /* nor the backslash */
	[0x80 ... 0x8f] = REST | IN(ED, ONE) | IN(F4, TWO),
	[0x90 ... 0x9f] = REST | IN(ED, ONE) | IN(F0, TWO),
	[0xa0 ... 0xbf] = REST | IN(E0, ONE) | IN(F0, TWO),
	[0xc2 ... 0xdf] = IN(TEXT, ONE),
	[0xe0] = IN(TEXT, E0),
	[0xe1 ... 0xec] = IN(TEXT, TWO),
	[0xed] = IN(TEXT, ED),
	[0xee ... 0xef] = IN(TEXT, TWO),
	[0xf0] = IN(TEXT, F0),
	[0xf1 ... 0xf3] = IN(TEXT, THREE),
	[0xf4] = IN(TEXT, F4),
};

static uint64_t step(uint64_t state, uint8_t octet)
{
	return table[octet] >> (state & BITS);
}

#define ONES  0x0101010101010101u
#define HIGHS 0x8080808080808080u

/* is there an octet of w that is under n (at most 0x80)? Right for words without high bits */
static bool has_less(uint64_t w, uint8_t n)
{
	return ((w - ONES * n) & ~w & HIGHS) != 0;
}

/* are the next eight octets letters of ASCII that mean themselves? */
static bool eight_plain(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return (w & HIGHS) == 0 && !has_less(w, 0x20) && !has_less(w ^ ONES * '"', 1) &&
	       !has_less(w ^ ONES * '\\', 1);
}

static uint64_t eight_steps(uint64_t state, const uint8_t *p)
{
	state = step(state, p[0]);
	state = step(state, p[1]);
	state = step(state, p[2]);
	state = step(state, p[3]);
	state = step(state, p[4]);
	state = step(state, p[5]);
	state = step(state, p[6]);
	return step(state, p[7]) & BITS;
}

const uint8_t *letters_end(const uint8_t *p, const uint8_t *end)
{
	uint64_t state = TEXT, next;

	while (end - p >= 8) {
		if (state == TEXT && eight_plain(p)) {
			p += 8;
			continue;
		}
		next = eight_steps(state, p);
		if (next == END)
			break;
		state = next;
		p += 8;
	}
	for (; p < end; p++) {
		next = step(state, *p) & BITS;
		if (next == END)
			return state == TEXT ? p : NULL;
		state = next;
	}
	return NULL;
}
