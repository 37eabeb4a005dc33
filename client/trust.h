/*
 * trust.h - who we are and which exchange we believe: our key, the pins we were told, and words
 * when it does not fit.
 *
 * TLS 1.3 only, ALPN newsxd/1. The exchange is known by its key alone; names and chains are not
 * consulted.
 */
#pragma once
#include "client/key.h"
#include "client/step.h"
#include <openssl/ssl.h>

#define TRUST_PINS_MAX 16

struct trust;
/*
 * identity  DIR/NAME: DIR/NAME.key and DIR/NAME.crt are read
 * pins      "sha256:BASE64", 1 to TRUST_PINS_MAX
 * returns   0; NX_EARG with words; NX_ENOMEM
 */
int trust_new(const char *identity, const char *const *pins, unsigned pins_n, struct trust **ret,
	      struct why *why);
void trust_free(struct trust **trust);
/* a client's end of TLS on fd, which stays the caller's; NULL when out of memory. One at a time:
 * trust outlives it */
SSL *trust_begin(struct trust *trust, int fd);
const struct pin *trust_self(const struct trust *trust);
const struct pin *trust_seen(const struct trust *trust); /* of the exchange; text "" = none yet */
/*
 * trust_explain - a handshake, or the first reading after it, failed with SSL_get_error() = error:
 * what happened, why, and what to do. Empties OpenSSL's queue of errors. server   as words name it
 * returns  NX_E... of it (NX_EUNKNOWNKEY, NX_EALPN, NX_EEXPIRED, NX_ETOOMANY, NX_EOLDTLS,
 *          NX_EHANDSHAKE, NX_ECLOSED ...), and the step that failed in found
 */
int trust_explain(struct trust *trust, const char *server, int error, struct found *found,
		  struct why *why);
/* the handshake is done, but the other side does not speak newsxd/1: the same for that */
int trust_explain_alpn(const char *server, struct found *found, struct why *why);
/* did the handshake choose newsxd/1? */
bool trust_alpn_ok(const SSL *ssl);
