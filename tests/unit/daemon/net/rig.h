/*
 * rig.h - a listener of ours and clients made of plain OpenSSL in one thread, stepped in turn until
 * something holds. Certificates are made here; nothing outlives the folder. Each wait is bounded by
 * RIG_MS.
 */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hash.h"
#include "net/conn_priv.h"
#include "net/listen.h"

#define RIG_MS 20000
#define UNUSED __attribute__((unused))

struct side { /* what the daemon's side of a conn saw and has to say */
	struct rig *rig;
	struct conn *conn;
	bool ready, eof, error, closed;
	int code;
	uint64_t in; /* octets */
	struct sha256 *in_sha;
	size_t take; /* at most this many octets are taken at a time; 0 = all */
	size_t rest; /* and no more of them in one turn: the rest is told again */
	bool keep;   /* take nothing */
	bool close_on_data, echo;
	uint64_t to_say, said; /* produce() makes this many octets in all */
	uint64_t seed;
	struct sha256 *out_sha;
	unsigned asked;
	size_t last_small_max, last_room;
	int64_t flash_at, flash_said; /* test of lanes */
};
struct rig {
	char dir[128];
	struct loop *loop;
	struct tls *tls;
	struct listen *listen;
	struct listen_limits limits;
	uint8_t known[32]; /* the pin that is let in */
	int verdict;       /* what admit() says to it */
	unsigned refusals, opened, admits;
	int code;
	char words[240], address[64];
	bool peer_seen;
	struct tls_peer peer;
	struct side sides[8];
	unsigned from; /* clients dial from 127.0.0.1 and so many more */
	int64_t end_ms;
};
struct client {
	SSL_CTX *ctx;
	SSL *ssl;
	int fd;
	bool ready, failed, eof;
	int alert;
	uint64_t in;
	struct sha256 *in_sha;
	struct rig *rig;
};

/* -- keys and certificates */

static EVP_PKEY *make_key(const char *kind)
{
	if (strcmp(kind, "ED25519") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	if (strcmp(kind, "RSA") == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

static void make_identity(const char *dir, const char *name, const char *kind, long from_s,
			  long to_s)
{
	EVP_PKEY *key = make_key(kind);
	X509 *crt = X509_new();
	char path[256];
	FILE *f;

	X509_set_version(crt, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(crt), 1);
	X509_gmtime_adj(X509_getm_notBefore(crt), from_s);
	X509_gmtime_adj(X509_getm_notAfter(crt), to_s);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(crt), "CN", MBSTRING_UTF8,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(crt, X509_get_subject_name(crt));
	X509_set_pubkey(crt, key);
	assert_true(X509_sign(crt, key, strcmp(kind, "ED25519") ? EVP_sha256() : NULL) > 0);
	snprintf(path, sizeof(path), "%s/%s.key", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
	fchmod(fileno(f), 0600);
	fclose(f);
	snprintf(path, sizeof(path), "%s/%s.crt", dir, name);
	f = fopen(path, "w");
	PEM_write_X509(f, crt);
	fclose(f);
	X509_free(crt);
	EVP_PKEY_free(key);
}

static void pin_of(const char *dir, const char *name, uint8_t pin[32])
{
	char path[256];
	FILE *f;
	X509 *crt;
	struct tls_peer peer;

	snprintf(path, sizeof(path), "%s/%s.crt", dir, name);
	f = fopen(path, "r");
	crt = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	assert_int_equal(tls_peer_of(crt, &peer), 0);
	memcpy(pin, peer.pin, 32);
	X509_free(crt);
}

/* -- the daemon's side */

/* octets that both ends can make from their place in the stream */
UNUSED static uint8_t octet_at(uint64_t seed, uint64_t at)
{
	uint64_t x = (at >> 3) * UINT64_C(0x9e3779b97f4a7c15) + seed;

	x ^= x >> 29;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	return (uint8_t)(x >> (8 * (at & 7)));
}

static void side_data(struct side *side)
{
	while (conn_peek(side->conn).n > 0) {
		struct slice in = conn_peek(side->conn);

		if (side->take > 0 && in.n > side->take)
			in.n = side->take;
		sha256_add(side->in_sha, in.p, in.n);
		side->in += in.n;
		conn_take(side->conn, in.n);
		if (side->rest > 0 && side->in / side->rest != (side->in - in.n) / side->rest) {
			conn_rest(side->conn);
			return;
		}
	}
}

static void side_event(struct conn *conn, enum conn_event event, void *arg)
{
	struct side *side = arg;

	assert_ptr_equal(conn, side->conn);
	assert_false(side->closed);
	if (event == CONN_READY)
		side->ready = true;
	if (event == CONN_DATA && side->close_on_data) {
		side->closed = true;
		conn_close(&side->conn);
		return;
	}
	if (event == CONN_DATA && !side->keep)
		side_data(side);
	if (event == CONN_EOF)
		side->eof = true;
	if (event == CONN_ERROR)
		side->error = true;
	if (event == CONN_EOF || event == CONN_ERROR)
		side->code = conn_reason(conn)->code;
}

static size_t side_produce(void *arg, uint8_t *to, size_t room, size_t small_max)
{
	struct side *side = arg;
	size_t n = 0;

	side->asked++;
	side->last_small_max = small_max;
	side->last_room = room;
	assert_true(room >= 65536 + 8);
	/* like session_frame(): frames while the largest one would still fit */
	while (room - n >= 65536 + 8 && side->said < side->to_say) {
		size_t len = small_max + 8;

		if (len > side->to_say - side->said)
			len = side->to_say - side->said;
		for (size_t i = 0; i < len; i++)
			to[n + i] = octet_at(side->seed, side->said + i);
		if (side->out_sha)
			sha256_add(side->out_sha, to + n, len);
		side->said += len;
		n += len;
	}
	return n;
}

static int rig_admit(void *arg, const struct tls_peer *peer, void **ret_partner)
{
	struct rig *rig = arg;

	rig->admits++;
	if (memcmp(peer->pin, rig->known, 32) != 0)
		return NX_EUNKNOWNKEY;
	*ret_partner = rig;
	return rig->verdict;
}

static void rig_opened(void *arg, struct conn *conn)
{
	struct rig *rig = arg;
	struct side *side = &rig->sides[rig->opened++ % 8];

	side->rig = rig;
	side->conn = conn;
	side->in_sha = sha256_new();
	assert_ptr_equal(conn_partner(conn), rig);
	conn_handlers(conn, side_event, side_produce, side);
}

static void rig_refused(void *arg, const char *address, int code, const char *words,
			const struct tls_peer *peer)
{
	struct rig *rig = arg;

	rig->refusals++;
	rig->code = code;
	snprintf(rig->words, sizeof(rig->words), "%s", words);
	snprintf(rig->address, sizeof(rig->address), "%s", address);
	rig->peer_seen = peer != NULL;
	if (peer)
		rig->peer = *peer;
}

static const struct listen_ops rig_ops = { .opened = rig_opened, .refused = rig_refused };

UNUSED static void rig_tls(struct rig *rig, struct tls **ret)
{
	char key[256], crt[256];
	struct why why = { 0 };

	snprintf(key, sizeof(key), "%s/server.key", rig->dir);
	snprintf(crt, sizeof(crt), "%s/server.crt", rig->dir);
	if (tls_new(key, crt, rig_admit, rig, ret, &why) < 0)
		fail_msg("%s", why.words);
}

UNUSED static int rig_setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	const char *tmp = getenv("TMPDIR");

	signal(SIGPIPE, SIG_IGN);
	snprintf(rig->dir, sizeof(rig->dir), "%s/net.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(rig->dir));
	make_identity(rig->dir, "server", "EC", -86400, 86400);
	make_identity(rig->dir, "kpl", "EC", -86400, 86400);
	make_identity(rig->dir, "stranger", "EC", -86400, 86400);
	pin_of(rig->dir, "kpl", rig->known);
	assert_int_equal(loop_new(&rig->loop), 0);
	rig_tls(rig, &rig->tls);
	rig->limits = (struct listen_limits){ .connections_max = 100,
					      .connections_per_address = 100,
					      .handshakes_max = 64,
					      .handshake_ms = 5000 };
	*state = rig;
	return 0;
}

UNUSED static void rig_open(struct rig *rig)
{
	const char *const addresses[] = { "127.0.0.1:0" };
	struct why why = { 0 };

	if (listen_open(rig->loop, addresses, 1, rig->tls, &rig->limits, &rig_ops, rig,
			&rig->listen, &why) < 0)
		fail_msg("%s", why.words);
}

UNUSED static int rig_teardown(void **state)
{
	struct rig *rig = *state;
	char command[256];

	for (size_t i = 0; i < 8; i++) {
		conn_close(&rig->sides[i].conn);
		sha256_free(&rig->sides[i].in_sha);
		sha256_free(&rig->sides[i].out_sha);
	}
	listen_close(&rig->listen);
	tls_free(&rig->tls);
	loop_free(&rig->loop);
	snprintf(command, sizeof(command), "rm -rf '%s'", rig->dir);
	assert_int_equal(system(command), 0);
	free(rig);
	return 0;
}

static void stop_loop(void *arg)
{
	loop_stop(arg);
}

/* one turn that does not wait */
static void rig_turn(struct rig *rig)
{
	assert_int_equal(loop_later(rig->loop, stop_loop, rig->loop), 0);
	assert_int_equal(loop_run(rig->loop), 0);
}

/* turns, and `also` between them, until it holds */
#define until(rig, holds, also)                                                                    \
	do {                                                                                       \
		int64_t end_ms = clock_boot_ms() + RIG_MS;                                         \
		while (!(holds)) {                                                                 \
			also;                                                                      \
			rig_turn(rig);                                                             \
			if (clock_boot_ms() > end_ms)                                              \
				fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #holds);          \
		}                                                                                  \
	} while (0)

/* -- clients */

static int dial(struct rig *rig, int rcvbuf)
{
	struct sockaddr_in to = { .sin_family = AF_INET }, from = to;
	const char *address = listen_address(rig->listen, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (rcvbuf)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + rig->from);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	return fd;
}

/* identity NULL: shows no certificate; alpn NULL: says none */
UNUSED static struct client *client_new(struct rig *rig, const char *identity, const char *alpn,
					int version, int rcvbuf)
{
	struct client *client = calloc(1, sizeof(*client));
	char path[256];

	client->rig = rig;
	client->in_sha = sha256_new();
	client->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_max_proto_version(client->ctx, version);
	SSL_CTX_set_mode(client->ctx,
			 SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (identity) {
		snprintf(path, sizeof(path), "%s/%s.crt", rig->dir, identity);
		assert_int_equal(SSL_CTX_use_certificate_chain_file(client->ctx, path), 1);
		snprintf(path, sizeof(path), "%s/%s.key", rig->dir, identity);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(client->ctx, path, SSL_FILETYPE_PEM),
				 1);
	}
	client->ssl = SSL_new(client->ctx);
	if (alpn) {
		unsigned char list[64];

		list[0] = (unsigned char)strlen(alpn);
		memcpy(list + 1, alpn, list[0]);
		SSL_set_alpn_protos(client->ssl, list, list[0] + 1u);
	}
	client->fd = dial(rig, rcvbuf);
	SSL_set_fd(client->ssl, client->fd);
	SSL_set_connect_state(client->ssl);
	return client;
}

UNUSED static void client_free(struct client **client)
{
	if (*client == NULL)
		return;
	SSL_free((*client)->ssl);
	SSL_CTX_free((*client)->ctx);
	if ((*client)->fd >= 0)
		close((*client)->fd);
	sha256_free(&(*client)->in_sha);
	free(*client);
	*client = NULL;
}

/* the result of an SSL call: >0 octets, 0 not now, -1 over (eof or failed is set) */
static int client_result(struct client *client, int n)
{
	int error = n > 0 ? 0 : SSL_get_error(client->ssl, n);

	if (n > 0)
		return n;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
		return 0;
	if (error == SSL_ERROR_ZERO_RETURN)
		client->eof = true;
	else
		client->failed = true;
	if (ERR_GET_REASON(ERR_peek_error()) > SSL_AD_REASON_OFFSET)
		client->alert = ERR_GET_REASON(ERR_peek_error()) - SSL_AD_REASON_OFFSET;
	ERR_clear_error();
	return -1;
}

UNUSED static void client_shake(struct client *client)
{
	ERR_clear_error();
	if (!client->ready && !client->failed)
		client->ready = client_result(client, SSL_do_handshake(client->ssl)) > 0;
}

/* at most n octets; -1 all that is there */
UNUSED static int client_read(struct client *client, int most)
{
	uint8_t room[32768];
	int n, all = 0;

	while (!client->eof && !client->failed && most != 0) {
		ERR_clear_error();
		n = client_result(client, SSL_read(client->ssl, room,
						   most > 0 && most < 32768 ? most : 32768));
		if (n <= 0)
			break;
		sha256_add(client->in_sha, room, (size_t)n);
		client->in += (uint64_t)n;
		all += n;
		if (most > 0)
			most -= n;
	}
	return all;
}

UNUSED static int client_write(struct client *client, const void *p, size_t n)
{
	ERR_clear_error();
	return client->failed ? -1 : client_result(client, SSL_write(client->ssl, p, (int)n));
}

/* a client that is let in, and its conn */
UNUSED static struct client *client_in(struct rig *rig, int rcvbuf, struct side **ret_side)
{
	struct client *client = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, rcvbuf);
	unsigned before = rig->opened;

	*ret_side = &rig->sides[before % 8];
	until(rig, rig->opened > before && client->ready && (*ret_side)->ready,
	      client_shake(client));
	return client;
}
