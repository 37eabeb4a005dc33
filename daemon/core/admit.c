#include "core/admit.h"
#include "base/clock.h"
#include "base/log.h"
#include "net/trust.h"

#include <stdio.h>

#define WARN_MS (24 * 3600 * 1000LL)

/* the words name one of two files: where it stands in the configuration goes before them */
static int placed(int r, const struct conf *conf, const char *first, const char *second,
		  struct why *why)
{
	struct why bare = *why;
	const char *path = strstr(bare.words, first) != NULL ? first : second;

	if (r != NX_ECONF)
		return r;
	return why_set(why, r, "%s: %s", conf_place(conf, path), bare.words);
}

static int trust(const struct exchange *exchange, const struct conf *conf, struct tls *tls,
		 struct why *why)
{
	struct trusts *trusts = trusts_new(&exchange->clock_suspect);
	int r = trusts == NULL ? NX_ENOMEM : 0;

	for (unsigned i = 0; r == 0 && i < conf->partners_n; i++) {
		const struct conf_partner *partner = &conf->partners[i];
		struct trust_conf tc = { .partner = partner->name,
					 .ca_file = partner->ca,
					 .crl_file = partner->crl,
					 .names = (const char *const *)partner->san.v,
					 .names_n = partner->san.n };

		if (*partner->ca != '\0')
			r = placed(trusts_add(trusts, &tc, why), conf, partner->ca, partner->crl,
				   why);
	}
	if (r == 0)
		tls_trust(tls, &trusts);
	trusts_free(&trusts);
	return r;
}

int admit_tls(const struct exchange *exchange, const struct conf *conf, tls_admit_fn *fn, void *arg,
	      struct tls **ret, struct why *why)
{
	struct tls *tls = NULL;
	bool some = false;
	int r = placed(tls_new(conf->node_key, conf->node_certificate, fn, arg, &tls, why), conf,
		       conf->node_key, conf->node_certificate, why);

	for (unsigned i = 0; i < conf->partners_n; i++)
		some = some || *conf->partners[i].ca != '\0';
	if (r == 0 && some)
		r = trust(exchange, conf, tls, why);
	if (r == 0) {
		*ret = tls;
		tls = NULL;
	}
	tls_free(&tls);
	return r;
}

int admit_check(const struct conf *conf, struct why *why)
{
	const struct exchange none = { .clock_suspect = false };
	struct tls *tls = NULL;
	int r = admit_tls(&none, conf, NULL, NULL, &tls, why);

	tls_free(&tls);
	return r;
}

static struct partner *by_pin(const struct exchange *exchange, const uint8_t pin[32])
{
	const struct conf *all = exchange->conf;

	for (unsigned i = 0; i < all->partners_n; i++)
		for (unsigned p = 0; p < all->partners[i].pins_n; p++)
			if (memcmp(all->partners[i].pins[p], pin, 32) == 0)
				return exchange_partner(exchange, all->partners[i].name);
	return NULL;
}

int admit_partner(const struct exchange *exchange, const struct tls_peer *peer, bool in,
		  struct partner **ret)
{
	struct partner *partner = peer->known_as ? exchange_partner(exchange, peer->known_as)
						 : by_pin(exchange, peer->pin);
	int64_t wall = clock_wall_ms();

	if (partner == NULL || partner->conf == NULL)
		return NX_EUNKNOWNKEY;
	if (partner->conf->enforce_expiry && !exchange->clock_suspect &&
	    (wall > peer->not_after_ms || wall < peer->not_before_ms))
		return NX_EEXPIRED;
	if (!in && partner->links >= partner->conf->connections_max)
		return NX_ETOOMANY;
	*ret = partner;
	return 0;
}

int admit_over(const struct exchange *exchange, const struct partner *partner,
	       const struct tls_peer *peer, int64_t wall_ms)
{
	if (exchange->clock_suspect)
		return 0;
	if (peer->ends_ms != 0 && wall_ms > peer->ends_ms)
		return peer->ends_code;
	if (partner->conf != NULL && partner->conf->enforce_expiry && peer->not_after_ms != 0 &&
	    wall_ms > peer->not_after_ms)
		return NX_EEXPIRED;
	return 0;
}

void admit_warn(const struct tls *tls, const struct conf *conf, int64_t wall_ms)
{
	const char *partner;
	int64_t ends_ms;
	bool some = false;

	for (unsigned i = 0; i < conf->partners_n; i++)
		some = some || *conf->partners[i].crl != '\0';
	for (unsigned i = 0; some && (partner = tls_trusted(tls, i, &ends_ms)) != NULL; i++)
		if (ends_ms != 0 && ends_ms - wall_ms < WARN_MS)
			log_warn("crl.expires", kv_str("peer", partner),
				 kv_time("expires", ends_ms));
}
