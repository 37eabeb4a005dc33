/*
 * tls.c - see tls.h. One SSL_CTX and its callbacks.
 *
 * What a callback refuses is remembered in the struct tls_talk of the SSL, because the error that
 * OpenSSL reports afterwards says only that a callback failed.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/tls_priv.h"
#include "net/trust.h"

static const unsigned char alpn[] = "newsxd/1";
#define ALPN_LEN (sizeof(alpn) - 1)

/* -- callbacks */

/* an extension of the hello holds this octet string in a list whose entries have a length octet
 * each */
static bool list_has(const unsigned char *p, size_t n, const void *what, size_t what_len)
{
	while (n > 0 && p[0] < n) {
		if (p[0] == what_len && memcmp(p + 1, what, what_len) == 0)
			return true;
		n -= 1u + p[0];
		p += 1u + p[0];
	}
	return false;
}

static bool offers_tls13(SSL *ssl)
{
	const unsigned char *p;
	size_t n;

	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &p, &n))
		return false;
	for (size_t i = 1; i + 1 < n; i += 2)
		if (p[i] == 3 && p[i + 1] == 4)
			return true;
	return false;
}

/* before anything else is made of the hello: an old version, or no word of our protocol */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls_talk *talk = SSL_get_app_data(ssl);
	const unsigned char *p;
	size_t n;

	(void)arg;
	if (!offers_tls13(ssl)) {
		talk->refused = NX_EOLDTLS;
		*alert = SSL_AD_PROTOCOL_VERSION;
		return SSL_CLIENT_HELLO_ERROR;
	}
	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p,
				       &n) ||
	    n < 2 || !list_has(p + 2, n - 2, alpn, ALPN_LEN)) {
		talk->refused = NX_EALPN;
		*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* on_hello() has found our name in the list */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
		   const unsigned char *offered, unsigned int n, void *arg)
{
	(void)ssl, (void)arg;
	*ret = alpn;
	*ret_len = ALPN_LEN;
	return list_has(offered, n, alpn, ALPN_LEN) ? SSL_TLSEXT_ERR_OK
						    : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* what we give as error becomes the alert that the peer reads */
static int on_certificate(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_talk *talk = SSL_get_app_data(ssl);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);
	int r = leaf ? tls_peer_of(leaf, &talk->peer) : NX_ENOCERT;

	talk->seen = r == 0;
	if (r == 0)
		r = tls_ask(arg, leaf, X509_STORE_CTX_get0_untrusted(store), talk);
	talk->refused = r;
	X509_STORE_CTX_set_error(store, r == 0                ? X509_V_OK
					: r == NX_EUNKNOWNKEY ? X509_V_ERR_CERT_UNTRUSTED
							      : tls_verdict_of(r));
	return r == 0;
}

/* a key update costs us 1,500 times its 27 octets, and OpenSSL 3.0 sets no limit */
static void on_message(int sent, int version, int type, const void *p, size_t n, SSL *ssl,
		       void *arg)
{
	struct tls_talk *talk = SSL_get_app_data(ssl);

	(void)version, (void)arg;
	if (type == SSL3_RT_HEADER && sent)
		talk->records_out++;
	if (type == SSL3_RT_HEADER && !sent && n >= SSL3_RT_HEADER_LENGTH) {
		const uint8_t *header = p;

		talk->records_in++;
		talk->octets_in += n + (size_t)(header[3] << 8 | header[4]);
		talk->empty++;
	}
	if (type == SSL3_RT_HANDSHAKE && !sent && n > 0 &&
	    *(const uint8_t *)p == SSL3_MT_KEY_UPDATE) {
		if (talk->now_ms - talk->minute_ms >= 60000)
			talk->key_updates = 0;
		if (talk->key_updates++ == 0)
			talk->minute_ms = talk->now_ms;
	}
	if (talk->key_updates > KEY_UPDATES_A_MINUTE || talk->empty > EMPTY_RECORDS) {
		/* SSL_read() goes on by itself while it has records; this ends it at the next one
		 */
		talk->flood = true;
		SSL_set_shutdown(ssl, SSL_RECEIVED_SHUTDOWN);
	}
}

/* -- making one */

/* the key belongs to its owner and group, to nobody else */
static BIO *open_key(const char *path, struct why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	BIO *bio = NULL;

	if (fd < 0 || fstat(fd, &st) < 0) {
		why_set(why, NX_ECONF, "cannot read the key %s: %s", path, strerror(errno));
		goto out;
	}
	if (st.st_mode & 07777 & ~0640u) {
		why_set(why, NX_ECONF,
			"the key %s has mode %04o, which is too open; mend it: chmod 0640 %s", path,
			(unsigned)st.st_mode & 07777, path);
		goto out;
	}
	bio = BIO_new_fd(fd, BIO_CLOSE);
	if (bio != NULL)
		fd = -1;
	else
		why_set(why, NX_ENOMEM, "out of memory");
out:
	if (fd >= 0)
		close(fd);
	return bio;
}

/* a daemon has nobody to ask for a pass phrase */
static int no_phrase(char *to, int size, int writing, void *arg)
{
	(void)to, (void)size, (void)writing, (void)arg;
	return -1;
}

static int not_its_key(const char *key_file, const char *certificate_file, struct why *why)
{
	return why_set(why, NX_ECONF, "the key %s does not belong to the certificate %s", key_file,
		       certificate_file);
}

static int load_key(SSL_CTX *ctx, const char *path, const char *certificate_file, struct why *why)
{
	BIO *bio = open_key(path, why);
	EVP_PKEY *key;
	int r = 0;

	if (bio == NULL)
		return NX_ECONF;
	key = PEM_read_bio_PrivateKey(bio, NULL, no_phrase, NULL);
	if (key != NULL && X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1)
		r = not_its_key(path, certificate_file, why);
	else if (key == NULL || SSL_CTX_use_PrivateKey(ctx, key) != 1)
		r = why_set(why, NX_ECONF, "%s is no private key that can be used (%s)", path,
			    tls_words());
	EVP_PKEY_free(key);
	BIO_free(bio);
	return r;
}

static int load(struct tls *tls, const char *key_file, const char *certificate_file,
		struct why *why)
{
	int r;

	if (access(certificate_file, R_OK) < 0)
		return why_set(why, NX_ECONF, "cannot read the certificate %s: %s",
			       certificate_file, strerror(errno));
	if (SSL_CTX_use_certificate_chain_file(tls->ctx, certificate_file) != 1)
		return why_set(why, NX_ECONF, "%s is no certificate that can be used (%s)",
			       certificate_file, tls_words());
	ERR_clear_error();
	r = load_key(tls->ctx, key_file, certificate_file, why);
	if (r < 0)
		return r;
	return tls_peer_of(SSL_CTX_get0_certificate(tls->ctx), &tls->self);
}

static bool set_up(SSL_CTX *ctx, struct tls *tls)
{
	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) ||
	    !SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
					   "TLS_CHACHA20_POLY1305_SHA256") ||
	    !SSL_CTX_set1_groups_list(ctx, "X25519:P-256") || !SSL_CTX_set_num_tickets(ctx, 0) ||
	    !SSL_CTX_set_session_id_context(ctx, alpn, ALPN_LEN))
		return false;
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_max_cert_list(ctx, 32 << 10);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_clear_mode(ctx,
			   SSL_MODE_AUTO_RETRY); /* one record a call, so that guards are asked */
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, 64 << 10); /* a tenth less work a GB */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_certificate, tls);
	SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_msg_callback(ctx, on_message);
	return true;
}

int tls_new(const char *key_file, const char *certificate_file, tls_admit_fn *admit, void *arg,
	    struct tls **ret, struct why *why)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	int r;

	ERR_clear_error();
	if (tls == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	*tls = (struct tls){ .refs = 1, .admit = admit, .arg = arg };
	tls->ctx = SSL_CTX_new(TLS_server_method());
	if (tls->ctx == NULL || !set_up(tls->ctx, tls))
		r = why_set(why, NX_ENOMEM, "OpenSSL cannot be set up (%s)", tls_words());
	else
		r = load(tls, key_file, certificate_file, why);
	if (r == 0) {
		*ret = tls;
		tls = NULL;
	}
	tls_free(&tls);
	ERR_clear_error();
	return r;
}

struct tls *tls_ref(struct tls *tls)
{
	tls->refs++;
	return tls;
}

void tls_free(struct tls **tls)
{
	if (*tls != NULL && --(*tls)->refs == 0) {
		SSL_CTX_free((*tls)->ctx);
		trusts_free(&(*tls)->trusts);
		free(*tls);
	}
	*tls = NULL;
}

const struct tls_peer *tls_self(const struct tls *tls)
{
	return &tls->self;
}

/* -- for conn */

SSL *tls_begin(struct tls *tls, int fd, struct tls_talk *talk)
{
	SSL *ssl;

	ERR_clear_error();
	ssl = SSL_new(tls->ctx);
	if (ssl == NULL)
		return NULL;
	/* its callbacks take `talk` for granted */
	if (SSL_set_fd(ssl, fd) != 1 || SSL_set_app_data(ssl, talk) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_accept_state(ssl);
	return ssl;
}

int tls_ask(struct tls *tls, X509 *leaf, STACK_OF(X509) * others, struct tls_talk *talk)
{
	void *partner = NULL;
	int r;

	talk->peer.known_as = NULL;
	talk->peer.ends_ms = 0;
	talk->judged = (struct why){ 0 };
	r = tls->admit(tls->arg, &talk->peer, &partner);
	if (r == NX_EUNKNOWNKEY && tls->trusts != NULL) {
		r = trusts_judge(tls->trusts, leaf, others, &talk->peer, &talk->judged);
		if (r == 0)
			r = tls->admit(tls->arg, &talk->peer, &partner);
	}
	if (r == 0)
		talk->partner = partner;
	return r;
}
