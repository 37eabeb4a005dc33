/* trust.c - see trust.h: CA and revocation lists from their files. Certificates: trust_judge.c. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/trust_priv.h"

#define FILE_MOST  (8L << 20) /* octets of CA or lists */
#define CHAIN_MOST 4          /* CAs between the partner's own and its certificate */
#define BITS_LEVEL 2          /* OpenSSL's word for 112 bits */

struct trusts *trusts_new(const bool *suspect)
{
	struct trusts *trusts = calloc(1, sizeof(*trusts));

	if (trusts != NULL)
		trusts->suspect = suspect;
	return trusts;
}

static void trust_done(struct trust *trust)
{
	for (unsigned i = 0; i < trust->names_n; i++)
		free(trust->names[i]);
	free(trust->names);
	free(trust->partner);
	X509_STORE_free(trust->store);
	sk_X509_CRL_pop_free(trust->lists, X509_CRL_free);
}

void trusts_free(struct trusts **trusts)
{
	for (unsigned i = 0; *trusts != NULL && i < (*trusts)->n; i++)
		trust_done(&(*trusts)->v[i]);
	if (*trusts != NULL)
		free((*trusts)->v);
	free(*trusts);
	*trusts = NULL;
}

/* the whole file as OpenSSL reads it: every PEM block, whatever it is */
static int blocks(const char *what, const char *path, STACK_OF(X509_INFO) * *ret, struct why *why)
{
	FILE *file = fopen(path, "re");
	BIO *bio = NULL;
	int r = 0;

	ERR_clear_error();
	if (file == NULL)
		return why_set(why, NX_ECONF, "cannot read the %s %s: %s", what, path,
			       strerror(errno));
	if (fseek(file, 0, SEEK_END) != 0 || ftell(file) > FILE_MOST ||
	    fseek(file, 0, SEEK_SET) != 0)
		r = why_set(why, NX_ECONF, "the %s %s is larger than %ld octets, or no file", what,
			    path, FILE_MOST);
	else
		bio = BIO_new_fp(file, BIO_NOCLOSE);
	if (r == 0 && bio != NULL)
		*ret = PEM_X509_INFO_read_bio(bio, NULL, NULL, NULL);
	if (r == 0 && (bio == NULL || *ret == NULL))
		r = why_set(why, NX_ECONF, "the %s %s cannot be read as PEM (%s)", what, path,
			    tls_words());
	BIO_free(bio);
	fclose(file);
	ERR_clear_error();
	return r;
}

static int load_ca(struct trust *trust, const char *path, struct why *why)
{
	STACK_OF(X509_INFO) *all = NULL;
	int r = blocks("CA", path, &all, why), n = 0;

	for (int i = 0; r == 0 && i < sk_X509_INFO_num(all); i++) {
		X509 *ca = sk_X509_INFO_value(all, i)->x509;

		if (ca == NULL)
			continue;
		if (X509_check_ca(ca) != 1)
			r = why_set(why, NX_ECONF, "certificate %d of %s is not that of a CA",
				    i + 1, path);
		else if (X509_STORE_add_cert(trust->store, ca) != 1)
			r = why_set(why, NX_ENOMEM, "out of memory");
		n++;
	}
	if (r == 0 && n == 0)
		r = why_set(why, NX_ECONF, "no certificate is in the CA %s", path);
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	return r;
}

static int load_lists(struct trust *trust, const char *path, struct why *why)
{
	STACK_OF(X509_INFO) *all = NULL;
	int r = blocks("CRL", path, &all, why);

	trust->lists = sk_X509_CRL_new_null();
	if (r == 0 && trust->lists == NULL)
		r = why_set(why, NX_ENOMEM, "out of memory");
	for (int i = 0; r == 0 && i < sk_X509_INFO_num(all); i++) {
		X509_CRL *list = sk_X509_INFO_value(all, i)->crl;

		if (list == NULL)
			continue;
		if (X509_STORE_add_crl(trust->store, list) != 1 ||
		    sk_X509_CRL_push(trust->lists, list) <= 0)
			r = why_set(why, NX_ENOMEM, "out of memory");
		else
			X509_CRL_up_ref(list);
	}
	if (r == 0 && sk_X509_CRL_num(trust->lists) == 0)
		r = why_set(why, NX_ECONF, "no revocation list is in the CRL %s", path);
	sk_X509_INFO_pop_free(all, X509_INFO_free);
	return r;
}

static int set_up(struct trust *trust, bool lists)
{
	X509_VERIFY_PARAM *rules = X509_VERIFY_PARAM_new();
	int well;

	if (rules == NULL)
		return NX_ENOMEM;
	X509_VERIFY_PARAM_set_depth(rules, CHAIN_MOST);
	X509_VERIFY_PARAM_set_auth_level(rules, BITS_LEVEL);
	/* a CA in the file is trusted as it is, root or not; with lists the chain goes to its root,
	 * since each issuer has to have one */
	well = X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_CLIENT) &&
	       X509_VERIFY_PARAM_set_flags(rules,
					   lists ? X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL
						 : X509_V_FLAG_PARTIAL_CHAIN) &&
	       X509_STORE_set1_param(trust->store, rules);
	X509_VERIFY_PARAM_free(rules);
	return well ? 0 : NX_ENOMEM;
}

static int copy_names(struct trust *trust, const struct trust_conf *conf)
{
	trust->partner = strdup(conf->partner);
	trust->names = calloc(conf->names_n + 1, sizeof(*trust->names));
	if (trust->partner == NULL || trust->names == NULL)
		return NX_ENOMEM;
	for (; trust->names_n < conf->names_n; trust->names_n++)
		if ((trust->names[trust->names_n] = strdup(conf->names[trust->names_n])) == NULL)
			return NX_ENOMEM;
	return 0;
}

int trusts_add(struct trusts *trusts, const struct trust_conf *conf, struct why *why)
{
	bool lists = conf->crl_file != NULL && *conf->crl_file != '\0';
	struct trust *grown = realloc(trusts->v, (trusts->n + 1) * sizeof(*grown)), *trust;
	int r;

	if (grown == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	trusts->v = grown;
	trust = &trusts->v[trusts->n++];
	*trust = (struct trust){ .store = X509_STORE_new() };
	if (trust->store == NULL || copy_names(trust, conf) < 0 || set_up(trust, lists) < 0)
		return why_set(why, NX_ENOMEM, "out of memory");
	r = load_ca(trust, conf->ca_file, why);
	if (r == 0 && lists)
		r = load_lists(trust, conf->crl_file, why);
	return r;
}

void tls_trust(struct tls *tls, struct trusts **trusts)
{
	trusts_free(&tls->trusts);
	tls->trusts = *trusts;
	*trusts = NULL;
}

int64_t trust_list_ends(const struct trust *trust, const X509_NAME *issuer)
{
	int64_t ends_ms = 0;

	for (int i = 0; i < sk_X509_CRL_num(trust->lists); i++) {
		const X509_CRL *list = sk_X509_CRL_value(trust->lists, i);
		int64_t ms = tls_wall_ms(X509_CRL_get0_nextUpdate(list));

		if (X509_NAME_cmp(X509_CRL_get_issuer(list), issuer) == 0 && ms > ends_ms)
			ends_ms = ms;
	}
	return ends_ms;
}

const char *tls_trusted(const struct tls *tls, unsigned i, int64_t *ret_crl_ends_ms)
{
	const struct trust *trust;

	*ret_crl_ends_ms = 0;
	if (tls->trusts == NULL || i >= tls->trusts->n)
		return NULL;
	trust = &tls->trusts->v[i];
	for (int at = 0; at < sk_X509_CRL_num(trust->lists); at++) {
		X509_CRL *list = sk_X509_CRL_value(trust->lists, at);
		int64_t ms = trust_list_ends(trust, X509_CRL_get_issuer(list));

		if (ms != 0 && (*ret_crl_ends_ms == 0 || ms < *ret_crl_ends_ms))
			*ret_crl_ends_ms = ms;
	}
	return trust->partner;
}
