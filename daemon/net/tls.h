/*
 * tls.h - who are we, and who may come in: one SSL_CTX with our key, and a question upwards for
 * each certificate.
 *
 * TLS 1.3 only, client certificate required, ALPN newsxd/1 required, no tickets, no resumption, no
 * 0-RTT. The key is asked for first; only for a key that nobody knows the chain is looked at, where
 * partners have a CA of their own (trust.h). A reload makes a new struct tls.
 */
#pragma once
#include "proto/err.h"

struct tls;
struct tls_peer {          /* what a certificate says of who shows it; good during the call */
	uint8_t pin[32];   /* SHA-256 of the DER SubjectPublicKeyInfo */
	char pin_text[64]; /* "sha256:BASE64" */
	char spoken[72];   /* twelve groups of five digits */
	char name[128];    /* common name, control octets replaced */
	int64_t not_before_ms, not_after_ms; /* wall */
	/* the partner for whom its CA and name vouch (trust.h); NULL: none, or not asked yet */
	const char *known_as;
	int64_t ends_ms; /* wall: when the first of chain and revocation lists is over; 0: never */
	int ends_code;   /* and what that is then: NX_EEXPIRED, NX_ECRLEXPIRED */
};
/*
 * May the holder of this key come in? Called in the handshake, before any octet of the peer is
 * looked at; asked again with known_as set when a CA vouches for it. returns  0 and *ret_partner
 * (an opaque pointer that conn_partner() gives back), or NX_EUNKNOWNKEY, NX_EEXPIRED, NX_ETOOMANY
 */
typedef int tls_admit_fn(void *arg, const struct tls_peer *peer, void **ret_partner);

/* returns 0; NX_ECONF with words (unreadable, key and certificate do not match ...); NX_ENOMEM */
int tls_new(const char *key_file, const char *certificate_file, tls_admit_fn *admit, void *arg,
	    struct tls **ret, struct why *why);
struct tls *tls_ref(struct tls *tls);
void tls_free(struct tls **tls);                        /* the last reference frees */
const struct tls_peer *tls_self(const struct tls *tls); /* our own key, for event=key.serving */
