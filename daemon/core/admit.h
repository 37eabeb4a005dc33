/*
 * admit.h - whose certificate is this, and may it come in, or stay?
 *
 * By its pin, or by a CA of the partner's own and a name that it vouches for (net/trust.h). Time is
 * not acted upon while the clock is suspect. Thread: loop.
 */
#pragma once
#include "core/exchange.h"
#include "net/tls.h"

/* key, certificate, CAs and revocation lists of a configuration; asks fn. exchange: for its clock.
 * returns 0; NX_ECONF with words; NX_ENOMEM */
int admit_tls(const struct exchange *exchange, const struct conf *conf, tls_admit_fn *fn, void *arg,
	      struct tls **ret, struct why *why);
/* could admit_tls() read it all? the same answers, nothing kept: newsxd --check */
int admit_check(const struct conf *conf, struct why *why);
/* returns 0 and the partner; NX_EUNKNOWNKEY, NX_EEXPIRED; NX_ETOOMANY when it has all its
 * connections, unless this one is already in */
int admit_partner(const struct exchange *exchange, const struct tls_peer *peer, bool in,
		  struct partner **ret);
/* a link that is in: 0, or why it has to end now that its certificate, a CA or a list is over */
int admit_over(const struct exchange *exchange, const struct partner *partner,
	       const struct tls_peer *peer, int64_t wall_ms);
/* event=crl.expires for every list that ends within a day */
void admit_warn(const struct tls *tls, const struct conf *conf, int64_t wall_ms);
