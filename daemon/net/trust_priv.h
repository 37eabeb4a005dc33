/*
 * trust_priv.h - the inside of trust.h, for trust.c (files) and trust_judge.c (certificates).
 */
#pragma once
#include <openssl/x509.h>

#include "net/tls_priv.h"
#include "net/trust.h"

struct trust {
	char *partner;
	char **names;
	unsigned names_n;
	X509_STORE *store;
	STACK_OF(X509_CRL) * lists; /* NULL: revocation is not looked at */
};
struct trusts {
	const bool *suspect;
	unsigned n;
	struct trust *v;
};

/* wall ms of nextUpdate of the newest list of that issuer; 0 there is none, or it does not say */
int64_t trust_list_ends(const struct trust *trust, const X509_NAME *issuer);
