#include "client/trust.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ALPN "newsxd/1"

struct trust {
	SSL_CTX *ctx;
	uint8_t pins[TRUST_PINS_MAX][32];
	unsigned pins_n;
	struct pin self;
	struct pin seen; /* of the exchange that answered; text "" = none seen */
	bool wrong;      /* it is none of ours */
	bool other_talk; /* it did not choose newsxd/1 */
	int alert;       /* the last one the other side sent; -1 = none */
};

static const unsigned char alpn[] = "\x08" ALPN;

/* instead of OpenSSL's chain: the key is one of those we were told, or it is not */
static int verify(X509_STORE_CTX *store, void *arg)
{
	struct trust *trust = arg;
	X509 *certificate = X509_STORE_CTX_get0_cert(store);

	/* a key that is not the exchange's is no news when it is no exchange */
	trust->other_talk = !trust_alpn_ok(
		X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
	if (trust->other_talk) {
		X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
		return 0;
	}
	if (certificate != NULL && key_pin(certificate, &trust->seen) == 0)
		for (unsigned i = 0; i < trust->pins_n; i++)
			if (memcmp(trust->pins[i], trust->seen.octets, 32) == 0)
				return 1;
	trust->wrong = true;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
	return 0;
}

static void note_alert(const SSL *ssl, int where, int value)
{
	struct trust *trust = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != 0)
		trust->alert = value & 0xff;
}

static int read_pins(struct trust *trust, const char *const *pins, unsigned n, struct why *why)
{
	if (n == 0 || n > TRUST_PINS_MAX)
		return why_set(why, NX_EARG, "give 1 to %d server pins", TRUST_PINS_MAX);
	for (unsigned i = 0; i < n; i++)
		if (!key_pin_read(pins[i], trust->pins[trust->pins_n++]))
			return why_set(why, NX_EARG,
				       "'%s' is not a pin: it looks like sha256:44 letters, as "
				       "'newsxctl key pin FILE.crt' prints it",
				       pins[i]);
	return 0;
}

/* a key that others on this machine can read is no key */
static int check_mode(const char *file, struct why *why)
{
	struct stat st;

	if (stat(file, &st) < 0)
		return why_set(why, NX_EARG,
			       "cannot read the key %s: %s; make one with 'newsxctl key new'", file,
			       strerror(errno));
	if ((st.st_mode & 0137) != 0)
		return why_set(why, NX_EARG,
			       "the key %s can be read or written by others: chmod 0600 %s", file,
			       file);
	return 0;
}

static int load_identity(struct trust *trust, const char *identity, struct why *why)
{
	char key[4096], certificate[4096];
	int r;

	if (snprintf(key, sizeof(key), "%s.key", identity) >= (int)sizeof(key))
		return why_set(why, NX_EARG, "the path of the identity is too long");
	snprintf(certificate, sizeof(certificate), "%s.crt", identity);
	r = check_mode(key, why);
	if (r < 0)
		return r;
	r = key_pin_of_file(certificate, &trust->self, why);
	if (r < 0)
		return r;
	if (SSL_CTX_use_certificate_chain_file(trust->ctx, certificate) != 1)
		r = why_set(why, NX_EARG, "%s cannot be used as a certificate", certificate);
	else if (SSL_CTX_use_PrivateKey_file(trust->ctx, key, SSL_FILETYPE_PEM) != 1 ||
		 SSL_CTX_check_private_key(trust->ctx) != 1)
		r = why_set(why, NX_EARG, "%s is not the key of the certificate %s", key,
			    certificate);
	ERR_clear_error();
	return r;
}

int trust_new(const char *identity, const char *const *pins, unsigned pins_n, struct trust **ret,
	      struct why *why)
{
	struct trust *trust = calloc(1, sizeof(*trust));
	int r = NX_ENOMEM;

	if (trust == NULL)
		goto out;
	trust->ctx = SSL_CTX_new(TLS_client_method());
	if (trust->ctx == NULL || SSL_CTX_set_min_proto_version(trust->ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_alpn_protos(trust->ctx, alpn, sizeof(alpn) - 1) != 0)
		goto out;
	SSL_CTX_set_app_data(trust->ctx, trust);
	SSL_CTX_set_options(trust->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(trust->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(trust->ctx,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_verify(trust->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_cert_verify_callback(trust->ctx, verify, trust);
	SSL_CTX_set_info_callback(trust->ctx, note_alert);
	r = read_pins(trust, pins, pins_n, why);
	if (r == 0)
		r = load_identity(trust, identity, why);
	if (r < 0)
		goto out;
	*ret = trust;
	trust = NULL;
out:
	if (r == NX_ENOMEM)
		why_set(why, r, "out of memory");
	trust_free(&trust);
	return r;
}

void trust_free(struct trust **trust)
{
	if (*trust == NULL)
		return;
	SSL_CTX_free((*trust)->ctx);
	free(*trust);
	*trust = NULL;
}

SSL *trust_begin(struct trust *trust, int fd)
{
	SSL *ssl = SSL_new(trust->ctx);

	trust->alert = -1;
	trust->wrong = trust->other_talk = false;
	trust->seen.text[0] = '\0';
	if (ssl != NULL && SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	if (ssl != NULL)
		SSL_set_connect_state(ssl);
	return ssl;
}

const struct pin *trust_self(const struct trust *trust)
{
	return &trust->self;
}

const struct pin *trust_seen(const struct trust *trust)
{
	return &trust->seen;
}

bool trust_alpn_ok(const SSL *ssl)
{
	const unsigned char *p = NULL;
	unsigned n = 0;

	SSL_get0_alpn_selected(ssl, &p, &n);
	return slice_is(slice_of(p, n), ALPN);
}

static int refused(const struct trust *trust, const char *server, struct found *found,
		   struct why *why)
{
	switch (trust->alert) {
	case SSL_AD_BAD_CERTIFICATE:
	case SSL_AD_UNKNOWN_CA: /* nor who made it */
		return step_fail(found, STEP_KEY,
				 why_set(why, NX_EUNKNOWNKEY,
					 "the exchange at %s does not know this key; give its "
					 "operator this pin: %s",
					 server, trust->self.text));
	case SSL_AD_CERTIFICATE_EXPIRED:
		return step_fail(found, STEP_EXPIRED,
				 why_set(why, NX_EEXPIRED,
					 "the exchange at %s says that our certificate has "
					 "expired: make a new key with 'newsxctl key new' and give "
					 "its operator the new pin, or get a new one from your CA",
					 server));
	case SSL_AD_CERTIFICATE_REVOKED:
		return step_fail(found, STEP_REVOKED,
				 why_set(why, NX_EREVOKED,
					 "the exchange at %s says that our certificate is revoked: "
					 "ask who made it for a new one",
					 server));
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
	case SSL_AD_CERTIFICATE_UNKNOWN:
	case SSL_AD_CERTIFICATE_REQUIRED:
	case SSL_AD_DECRYPT_ERROR:
		return step_fail(found, STEP_CERTIFICATE,
				 why_set(why, NX_EHANDSHAKE,
					 "the exchange at %s cannot use our certificate (%s); its "
					 "log says why",
					 server, SSL_alert_desc_string_long(trust->alert)));
	case SSL_AD_HANDSHAKE_FAILURE:
		return step_fail(
			found, STEP_CONNECTIONS,
			why_set(why, NX_ETOOMANY,
				"the exchange at %s has no room for one more connection of "
				"this key: end one, or ask its operator for more",
				server));
	default:
		return step_fail(found, STEP_HELLO,
				 why_set(why, NX_EHANDSHAKE,
					 "the exchange at %s ended the connection (%s); its log "
					 "says why",
					 server, SSL_alert_desc_string_long(trust->alert)));
	}
}

/* the other side spoke an alert before it showed who it is */
static int not_tls13(const struct trust *trust, const char *server, struct found *found,
		     struct why *why)
{
	if (trust->alert == SSL_AD_NO_APPLICATION_PROTOCOL)
		return trust_explain_alpn(server, found, why);
	if (trust->alert == SSL_AD_PROTOCOL_VERSION)
		why_set(why, NX_EOLDTLS,
			"what answers at %s does not speak TLS 1.3: is the port right?", server);
	else
		why_set(why, NX_EHANDSHAKE,
			"what answers at %s does not speak TLS as an exchange does (%s): is the "
			"port right?",
			server, SSL_alert_desc_string_long(trust->alert));
	return step_fail(found, STEP_TLS,
			 trust->alert == SSL_AD_PROTOCOL_VERSION ? NX_EOLDTLS : NX_EHANDSHAKE);
}

static int wrong_pin(const struct trust *trust, const char *server, struct found *found,
		     struct why *why)
{
	return step_fail(
		found, STEP_PIN,
		why_set(why, NX_EHANDSHAKE,
			"what answers at %s shows the pin %s, which is none of those given; "
			"if the exchange's operator confirms it, use it as --server-pin",
			server, trust->seen.text[0] ? trust->seen.text : "(unreadable)"));
}

/* closed without an alert; it may be lost when the other side closes with our octets unread */
static int closed(const struct trust *trust, const char *server, int saved, struct found *found,
		  struct why *why)
{
	if (trust->seen.text[0] != '\0')
		return step_fail(
			found, STEP_HELLO,
			why_set(why, NX_ECLOSED,
				"the exchange at %s closed before it said HELLO: most likely "
				"it does not know this key (our pin: %s), or is stopping; "
				"its log says which",
				server, trust->self.text));
	return step_fail(
		found, STEP_TLS,
		why_set(why, NX_ECLOSED,
			"%s closed the connection before TLS began%s%s: it is no exchange, "
			"or one that has too many connections (of this address)",
			server, saved != 0 ? ": " : "", saved != 0 ? strerror(saved) : ""));
}

int trust_explain_alpn(const char *server, struct found *found, struct why *why)
{
	return step_fail(found, STEP_ALPN,
			 why_set(why, NX_EALPN,
				 "what answers at %s speaks TLS but not %s: is the port right?",
				 server, ALPN));
}

int trust_explain(struct trust *trust, const char *server, int error, struct found *found,
		  struct why *why)
{
	unsigned long code = ERR_peek_error();
	int saved = error == SSL_ERROR_SYSCALL ? errno : 0;

	ERR_clear_error();
	if (trust->other_talk)
		return trust_explain_alpn(server, found, why);
	if (trust->wrong)
		return wrong_pin(trust, server, found, why);
	if (trust->alert >= 0)
		return trust->seen.text[0] != '\0' ? refused(trust, server, found, why)
						   : not_tls13(trust, server, found, why);
	if (error == SSL_ERROR_SSL && ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    ERR_GET_REASON(code) != SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return step_fail(found, STEP_TLS,
				 why_set(why, NX_EHANDSHAKE,
					 "what answers at %s does not speak TLS 1.3 as an exchange "
					 "does (%s): is the port right?",
					 server, ERR_reason_error_string(code)));
	return closed(trust, server, saved, found, why);
}
