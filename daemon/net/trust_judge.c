/* trust_judge.c - is that certificate one that a partner's CA vouches for, and if not, why? */
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <strings.h>

#include "net/trust_priv.h"

/* clang-format off */
static const struct {
	int theirs, ours;
} rows[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED,			NX_EEXPIRED },
	{ X509_V_ERR_CERT_NOT_YET_VALID,		NX_EEXPIRED },
	{ X509_V_ERR_CERT_REVOKED,			NX_EREVOKED },
	{ X509_V_ERR_UNABLE_TO_GET_CRL,			NX_ECRLMISSING },
	{ X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER,		NX_ECRLMISSING },
	{ X509_V_ERR_CRL_SIGNATURE_FAILURE,		NX_ECRLMISSING },
	{ X509_V_ERR_KEYUSAGE_NO_CRL_SIGN,		NX_ECRLMISSING },
	{ X509_V_ERR_DIFFERENT_CRL_SCOPE,		NX_ECRLMISSING },
	{ X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION,	NX_ECRLMISSING },
	{ X509_V_ERR_CRL_HAS_EXPIRED,			NX_ECRLEXPIRED },
	{ X509_V_ERR_CRL_NOT_YET_VALID,			NX_ECRLEXPIRED },
	{ X509_V_ERR_INVALID_PURPOSE,			NX_EWRONGPURPOSE },
	{ X509_V_ERR_EE_KEY_TOO_SMALL,			NX_EWEAKCERT },
	{ X509_V_ERR_CA_KEY_TOO_SMALL,			NX_EWEAKCERT },
	{ X509_V_ERR_CA_MD_TOO_WEAK,			NX_EWEAKCERT },
	{ X509_V_ERR_CERT_SIGNATURE_FAILURE,		NX_EBADSIGNATURE },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,		NX_EUNTRUSTED },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, NX_EUNTRUSTED },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,	NX_EUNTRUSTED },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,	NX_EUNTRUSTED },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,		NX_EUNTRUSTED },
	{ X509_V_ERR_CERT_UNTRUSTED,			NX_EUNTRUSTED },
	{ X509_V_ERR_OUT_OF_MEM,			NX_ENOMEM },
};
/* clang-format on */
#define ROWS (sizeof(rows) / sizeof(rows[0]))
/* OpenSSL has no alert of its own for it, and says certificate_unknown */
#define VERDICT_OTHER X509_V_ERR_PERMITTED_VIOLATION

static int code_of(int theirs)
{
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].theirs == theirs)
			return rows[i].ours;
	return NX_EBADCHAIN;
}

int tls_verdict_of(int code)
{
	if (code == NX_ETOOMANY)
		return X509_V_ERR_APPLICATION_VERIFICATION;
	if (code == NX_ECRLMISSING || code == NX_ECRLEXPIRED) /* not the partner's to mend */
		return VERDICT_OTHER;
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].ours == code)
			return rows[i].theirs;
	return VERDICT_OTHER;
}

/* -- names */

/* of DNS and after the @ of a mail address letters are letters, large or small */
static bool same_name(int kind, const char *name, const ASN1_STRING *is)
{
	size_t n = (size_t)ASN1_STRING_length(is), exact = 0;
	const char *p = (const char *)ASN1_STRING_get0_data(is);
	const char *at = strrchr(name, '@');

	if (n != strlen(name)) /* a NUL in the middle makes it longer than it looks */
		return false;
	if (kind == GEN_URI)
		exact = n;
	else if (kind == GEN_EMAIL && at != NULL)
		exact = (size_t)(at - name);
	return memcmp(p, name, exact) == 0 && strncasecmp(p + exact, name + exact, n - exact) == 0;
}

static int kind_of(const char *name)
{
	return strchr(name, ':') ? GEN_URI : strchr(name, '@') ? GEN_EMAIL : GEN_DNS;
}

static bool is_named(const struct trust *trust, X509 *leaf)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	bool found = false;

	for (int i = 0; !found && i < sk_GENERAL_NAME_num(all); i++) {
		int kind;
		const ASN1_STRING *is =
			GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &kind);

		if (kind != GEN_DNS && kind != GEN_EMAIL && kind != GEN_URI)
			continue;
		for (unsigned k = 0; !found && k < trust->names_n; k++)
			found = kind_of(trust->names[k]) == kind &&
				same_name(kind, trust->names[k], is);
	}
	GENERAL_NAMES_free(all);
	return found;
}

/* -- one partner's chain */

static void sooner(struct tls_peer *peer, int64_t ms, int code)
{
	if (ms == 0 || (peer->ends_ms != 0 && peer->ends_ms <= ms))
		return;
	peer->ends_ms = ms;
	peer->ends_code = code;
}

static void find_end(const struct trust *trust, const STACK_OF(X509) * chain, struct tls_peer *peer)
{
	for (int i = 0; i < sk_X509_num(chain); i++) {
		const X509 *one = sk_X509_value(chain, i);

		sooner(peer, tls_wall_ms(X509_get0_notAfter(one)), NX_EEXPIRED);
		if (trust->lists != NULL)
			sooner(peer, trust_list_ends(trust, X509_get_issuer_name(one)),
			       NX_ECRLEXPIRED);
	}
}

/* it has to say that it is a client's, and be none of a CA */
static int client_purpose(X509 *leaf, struct why *why)
{
	if (X509_check_ca(leaf) != 0)
		return why_set(why, NX_EWRONGPURPOSE, "it is the certificate of a CA");
	if (!(X509_get_extension_flags(leaf) & EXFLAG_XKUSAGE) ||
	    !(X509_get_extended_key_usage(leaf) & XKU_SSL_CLIENT))
		return why_set(why, NX_EWRONGPURPOSE,
			       "its extended key usage does not say clientAuth");
	return 0;
}

static int verify(const struct trusts *trusts, const struct trust *trust, X509 *leaf,
		  STACK_OF(X509) * others, struct tls_peer *peer, struct why *why)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	char subject[80] = "";
	int r = NX_ENOMEM, error, depth;

	ERR_clear_error();
	if (ctx == NULL || X509_STORE_CTX_init(ctx, trust->store, leaf, others) != 1)
		goto out;
	if (*trusts->suspect)
		X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME);
	if (X509_verify_cert(ctx) != 1) {
		error = X509_STORE_CTX_get_error(ctx);
		depth = X509_STORE_CTX_get_error_depth(ctx);
		if (depth > 0 && X509_STORE_CTX_get_current_cert(ctx) != NULL)
			X509_NAME_oneline(
				X509_get_subject_name(X509_STORE_CTX_get_current_cert(ctx)),
				subject, sizeof(subject));
		r = why_set(why, code_of(error), "%s%s%s", X509_verify_cert_error_string(error),
			    *subject ? ": " : "", subject);
	} else {
		r = client_purpose(leaf, why);
		find_end(trust, X509_STORE_CTX_get0_chain(ctx), peer);
	}
out:
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return r;
}

/* -- all of them */

/* which refusal tells most, when no partner fits */
static unsigned weight(int code, bool named)
{
	if (code == NX_EUNTRUSTED)
		return 1;
	return code == NX_EWRONGNAME ? 3 : named ? 4 : 2;
}

int trusts_judge(const struct trusts *trusts, X509 *leaf, STACK_OF(X509) * others,
		 struct tls_peer *peer, struct why *why)
{
	unsigned heaviest = 0;
	struct tls_peer found = *peer;

	found.known_as = NULL;
	for (unsigned i = 0; i < trusts->n; i++) {
		const struct trust *trust = &trusts->v[i];
		struct tls_peer this = *peer;
		struct why words = { 0 };
		bool named = is_named(trust, leaf);
		int r = verify(trusts, trust, leaf, others, &this, &words);

		if (r == 0 && !named)
			r = why_set(&words, NX_EWRONGNAME, "none of its names is one of partner %s",
				    trust->partner);
		if (r == 0 && found.known_as != NULL)
			return why_set(why, NX_EWRONGNAME, "it could be partner %s or partner %s",
				       found.known_as, trust->partner);
		if (r == 0) {
			found = this;
			found.known_as = trust->partner;
		} else if (weight(r, named) > heaviest) {
			heaviest = weight(r, named);
			*why = words;
			why->code = r;
		}
	}
	if (found.known_as != NULL) {
		*peer = found;
		return 0;
	}
	/* who signs for himself is a stranger with a key, not one with a strange CA */
	if (why->code == NX_EUNTRUSTED && X509_self_signed(leaf, 0) == 1)
		return NX_EUNKNOWNKEY;
	return why->code < 0 ? why->code : NX_EUNKNOWNKEY;
}
