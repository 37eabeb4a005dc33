/*
 * trust.h - partners who are known by a CA of their own and a name that it vouches for.
 *
 * Each has a store of its own, so that the CA of one can never vouch for another. A chain is whole,
 * in its time (also when the clock of pins is not looked at), made for clients (extended key usage
 * clientAuth, said outright), of keys and hashes of at least 112 bits, and its leaf carries one of
 * the partner's names as subjectAltName, octet for octet: no wildcards, the common name does not
 * count. With a file of revocation lists every CA of the chain must have a current one there.
 * No public CA is ever consulted. Made anew at each reload. Thread: loop.
 */
#pragma once
#include "net/tls.h"

struct trusts;
struct trust_conf {
	const char *partner;
	const char *ca_file;
	const char *crl_file; /* NULL or "": revocation is not looked at */
	const char *const
		*names; /* "mail@example.org", "urn:...", "https://...", "dns.example.org" */
	unsigned names_n;
};

/* suspect: is this machine's clock not to be believed? then no time is acted upon */
struct trusts *trusts_new(const bool *suspect); /* NULL: no memory */
/* returns 0; NX_ECONF with words (unreadable, no CA in it, a list that is no list); NX_ENOMEM */
int trusts_add(struct trusts *trusts, const struct trust_conf *conf, struct why *why);
void trusts_free(struct trusts **trusts);
/* those whose key admit() does not know are judged by these; tls takes them */
void tls_trust(struct tls *tls, struct trusts **trusts);
/* the i-th partner and when its lists are over, wall ms; 0 it has none. NULL past the end */
const char *tls_trusted(const struct tls *tls, unsigned i, int64_t *ret_crl_ends_ms);
