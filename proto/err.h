/*
 * err.h - every error once: its code, its word, whether trying again may help.
 *
 * The word is what stands in the log as reason=, in a REFUSE, UNSUBSCRIBED, WITHDRAW, GONE or BYE
 * frame as code, and in the manual. NX_LATER: the same request may succeed later; NX_NEVER: the
 * same octets never will. Knows nothing of where an error happened: that is said in struct why.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum nx_retry { NX_NEVER = 0, NX_LATER = 1 };

/* clang-format off */
#define NX_ERRORS(X) /* name         code  word                    may the same be tried again? */ \
	/* ourselves */                                                                             \
	X(NX_ENOMEM,        -1, "out-of-memory",        NX_LATER)                                   \
	X(NX_EFULL,         -2, "store-full",           NX_LATER)                                   \
	X(NX_EUNSURE,       -3, "commit-unsure",        NX_LATER)                                   \
	X(NX_EIO,           -4, "io-error",             NX_LATER)                                   \
	X(NX_EEXIST,        -5, "exists",               NX_NEVER)                                   \
	X(NX_ENOENT,        -6, "not-found",            NX_NEVER)                                   \
	X(NX_ECONF,         -7, "bad-configuration",    NX_NEVER)                                   \
	X(NX_ELOCKED,       -8, "locked",               NX_LATER)                                   \
	X(NX_EFORMAT,       -9, "store-format",         NX_NEVER)                                   \
	X(NX_ECORRUPT,     -10, "corrupt",              NX_NEVER)                                   \
	X(NX_ECLOSED,      -11, "closed",               NX_LATER)                                   \
	X(NX_EARG,         -12, "bad-argument",         NX_NEVER)                                   \
	X(NX_ETLS,         -13, "tls-error",            NX_LATER)                                   \
	X(NX_ESYS,         -14, "system-error",         NX_LATER)                                   \
	/* closes of a link: the code of a BYE, the reason of conn.close */                         \
	X(NX_EFRAME,       -20, "bad-frame",            NX_NEVER)                                   \
	X(NX_EUNKNOWN,     -21, "unknown-frame",        NX_NEVER)                                   \
	X(NX_EFLAG,        -22, "unknown-flag",         NX_NEVER)                                   \
	X(NX_EBIGFRAME,    -23, "frame-too-large",      NX_NEVER)                                   \
	X(NX_EHELLO,       -24, "bad-hello",            NX_NEVER)                                   \
	X(NX_ESTATE,       -25, "out-of-state",         NX_NEVER)                                   \
	X(NX_ECREDIT,      -26, "over-credit",          NX_NEVER)                                   \
	X(NX_EITEM,        -27, "bad-item",             NX_NEVER)                                   \
	X(NX_EACK,         -28, "bad-ack",              NX_NEVER)                                   \
	X(NX_EDATA,        -29, "bad-data",             NX_NEVER)                                   \
	X(NX_ENEED,        -30, "bad-need",             NX_NEVER)                                   \
	X(NX_ECLAIMFLOOD,  -31, "claim-flood",          NX_LATER)                                   \
	X(NX_ENEEDFLOOD,   -32, "need-flood",           NX_LATER)                                   \
	X(NX_EJSON,        -33, "bad-json",             NX_NEVER)                                   \
	X(NX_EIDLE,        -34, "idle",                 NX_LATER)                                   \
	X(NX_ESTALL,       -35, "stall",                NX_LATER)                                   \
	X(NX_ENOHELLO,     -36, "no-hello",             NX_LATER)                                   \
	X(NX_ENOANSWER,    -37, "no-answer",            NX_LATER)                                   \
	X(NX_EBYE,         -38, "bye",                  NX_LATER)                                   \
	X(NX_EEOF,         -39, "eof",                  NX_LATER)                                   \
	X(NX_ESHUTDOWN,    -40, "shutdown",             NX_LATER)                                   \
	X(NX_ETWIN,        -41, "twin",                 NX_LATER)                                   \
	X(NX_ENOTENTITLED, -42, "not-entitled",         NX_NEVER)                                   \
	X(NX_ECLAIM,       -43, "bad-claim",            NX_NEVER)                                   \
	X(NX_ENOMORE,      -44, "no-more",              NX_LATER)                                   \
	/* refusals of a connection before HELLO: reason of conn.refuse */                          \
	X(NX_ENOCERT,      -50, "no-certificate",       NX_NEVER)                                   \
	X(NX_EUNKNOWNKEY,  -51, "unknown-key",          NX_NEVER)                                   \
	X(NX_EALPN,        -52, "wrong-alpn",           NX_NEVER)                                   \
	X(NX_EEXPIRED,     -53, "expired",              NX_NEVER)                                   \
	X(NX_ESLOW,        -54, "handshake-slow",       NX_LATER)                                   \
	X(NX_ETOOMANY,     -55, "too-many-connections", NX_LATER)                                   \
	X(NX_EHANDSHAKE,   -56, "handshake-failed",     NX_NEVER)                                   \
	X(NX_EOLDTLS,      -57, "old-tls",              NX_NEVER)                                   \
	X(NX_EKEYUPDATE,   -58, "key-update-flood",     NX_NEVER)                                   \
	X(NX_EADDRESS,     -59, "too-many-from-address", NX_LATER)                                  \
	X(NX_EREVOKED,    -110, "revoked",              NX_NEVER)                                   \
	X(NX_EUNTRUSTED,  -111, "untrusted-ca",         NX_NEVER)                                   \
	X(NX_EWRONGNAME,  -112, "wrong-name",           NX_NEVER)                                   \
	X(NX_EWRONGPURPOSE,-113,"wrong-purpose",        NX_NEVER)                                   \
	X(NX_ECRLMISSING, -114, "crl-missing",          NX_LATER)                                   \
	X(NX_ECRLEXPIRED, -115, "crl-expired",          NX_LATER)                                   \
	X(NX_EWEAKCERT,   -116, "weak-certificate",     NX_NEVER)                                   \
	X(NX_EBADSIGNATURE,-117,"bad-signature",        NX_NEVER)                                   \
	X(NX_EBADCHAIN,   -118, "bad-chain",            NX_NEVER)                                   \
	/* refusals of an item, a part, a claim: the code of a REFUSE, UNSUBSCRIBED, GONE, WITHDRAW */ \
	X(NX_ENOTALLOWED,  -60, "not-allowed",          NX_NEVER)                                   \
	X(NX_ENOTORIGIN,   -61, "not-your-origin",      NX_NEVER)                                   \
	X(NX_EENVELOPE,    -62, "bad-envelope",         NX_NEVER)                                   \
	X(NX_EDOCUMENT,    -63, "bad-document",         NX_NEVER)                                   \
	X(NX_EDUPKEY,      -64, "duplicate-key",        NX_NEVER)                                   \
	X(NX_EUTF8,        -65, "bad-utf8",             NX_NEVER)                                   \
	X(NX_ENUL,         -66, "nul-in-text",          NX_NEVER)                                   \
	X(NX_EDEPTH,       -67, "too-deep",             NX_NEVER)                                   \
	X(NX_EVALUES,      -68, "too-many-values",      NX_NEVER)                                   \
	X(NX_EBIGDOC,      -69, "document-too-large",   NX_NEVER)                                   \
	X(NX_EBIGENV,      -70, "envelope-too-large",   NX_NEVER)                                   \
	X(NX_ENOURI,       -71, "bad-uri",              NX_NEVER)                                   \
	X(NX_EVERSION,     -72, "bad-version",          NX_NEVER)                                   \
	X(NX_ESTATUS,      -73, "bad-status",           NX_NEVER)                                   \
	X(NX_EDATE,        -74, "bad-date",             NX_NEVER)                                   \
	X(NX_EURGENCY,     -75, "bad-urgency",          NX_NEVER)                                   \
	X(NX_EEMBARGO,     -76, "bad-embargo",          NX_NEVER)                                   \
	X(NX_EFIELD,       -77, "bad-field",            NX_NEVER)                                   \
	X(NX_EPARTMISSING, -78, "part-missing",         NX_NEVER)                                   \
	X(NX_EPARTS,       -79, "too-many-parts",       NX_NEVER)                                   \
	X(NX_EBIGPART,     -80, "part-too-large",       NX_NEVER)                                   \
	X(NX_EMISMATCH,    -81, "part-mismatch",        NX_LATER)                                   \
	X(NX_EPARTWAIT,    -82, "part-wait",            NX_LATER)                                   \
	X(NX_EPARTIALS,    -83, "too-many-partials",    NX_LATER)                                   \
	X(NX_EPARTSGONE,   -84, "parts-gone",           NX_LATER)                                   \
	X(NX_ECONFLICT,    -85, "conflict",             NX_NEVER)                                   \
	X(NX_EORDER,       -86, "version-order",        NX_NEVER)                                   \
	X(NX_EOTHERCHAN,   -87, "other-channel",        NX_NEVER)                                   \
	X(NX_EKILLED,      -88, "killed",               NX_NEVER)                                   \
	X(NX_EHELDFULL,    -89, "held-full",            NX_LATER)                                   \
	X(NX_EKILLS,       -90, "kills-per-day",        NX_LATER)                                   \
	X(NX_EBUSY,        -91, "busy",                 NX_LATER)                                   \
	X(NX_EWITHDRAWN,   -92, "withdrawn",            NX_NEVER)                                   \
	X(NX_ESUPERSEDED,  -93, "superseded",           NX_NEVER)                                   \
	X(NX_ENOTOPEN,     -94, "not-open",             NX_NEVER)                                   \
	X(NX_ENOSUB,       -95, "no-such-subscription", NX_NEVER)                                   \
	X(NX_ETAKENOVER,   -96, "taken-over",           NX_LATER)                                   \
	X(NX_ERELEASED,    -97, "released",             NX_LATER)                                   \
	X(NX_ECHANNEL,     -98, "bad-channel",          NX_NEVER)                                   \
	X(NX_EQUARANTINE,  -99, "quarantined",          NX_LATER)                                   \
	X(NX_ETORIGINLEN, -100, "bad-origin",           NX_NEVER)                                   \
	X(NX_EEXPIREDDEBT,-101, "debt-expired",         NX_NEVER)                                   \
	X(NX_ECLOCK,      -102, "clock-suspect",        NX_LATER)                                   \
	X(NX_ECONSUMER,   -103, "consumer-failed",      NX_NEVER)                                   \
	X(NX_ECONSUMERLATER,-104,"consumer-busy",       NX_LATER)                                  \
	X(NX_ERATE,       -105, "too-fast",             NX_LATER)
/* clang-format on */

enum nx_error {
#define X(name, code, word, retry) name = (code),
	NX_ERRORS(X)
#undef X
};

/* the word of a code: a static string; "ok" for 0 and up, "unknown" for a code that is not ours */
const char *nx_word(int code);
/* the code of a word that came from outside; 0 when we do not know it */
int nx_code(const char *word, size_t n);
enum nx_retry nx_retry(int code);

/*
 * struct why - the words for a person that ride beside a code, on the caller's stack.
 * why may be NULL everywhere. why_set() returns its code, so that one line says it all:
 *     return why_set(why, NX_ECONF, "line %u: no such setting '%s'", line, name);
 */
struct why {
	int code;
	char words[240];
};
int why_set(struct why *why, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* octets that we only look at: good until the call that was given them returns */
struct slice {
	const uint8_t *p;
	size_t n;
};
static inline struct slice slice_of(const void *p, size_t n)
{
	return (struct slice){ .p = p, .n = n };
}
static inline struct slice slice_str(const char *s)
{
	return (struct slice){ .p = (const uint8_t *)s, .n = s == NULL ? 0 : strlen(s) };
}
static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool slice_is(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}
