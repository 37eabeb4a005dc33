#include "tests/bench/wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FRAME_NS      30000000 /* a frame holds a slow line for about this long */
#define PACE_EVERY_NS 100000000
#define SMALL_MOST    16384

static const unsigned char alpn[] = "\x08newsxd/1";

static int any_certificate(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_OK);
	return 1;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
		       const unsigned char *in, unsigned in_n, void *arg)
{
	(void)ssl;
	(void)arg;
	if (in_n < sizeof(alpn) - 1 || memcmp(in, alpn, sizeof(alpn) - 1) != 0)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = alpn + 1;
	*out_n = alpn[0];
	return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *wire_context(const char *identity, bool server)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	char key[4096], certificate[4096];

	snprintf(key, sizeof(key), "%s.key", identity);
	snprintf(certificate, sizeof(certificate), "%s.crt", identity);
	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
		fprintf(stderr, "cannot use the identity %s\n", identity);
		return NULL;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, any_certificate, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (server)
		SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
	else
		SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1);
	return ctx;
}

static int start(struct wire *wire, SSL_CTX *ctx, int fd, bool server)
{
	int on = 1, unsent = SMALL_MOST;

	memset(wire, 0, sizeof(*wire));
	wire->fd = fd;
	wire->small_max = SMALL_MOST;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!server)
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	wire->ssl = SSL_new(ctx);
	if (wire->ssl == NULL || SSL_set_fd(wire->ssl, fd) != 1)
		return -1;
	if (server)
		SSL_set_accept_state(wire->ssl);
	else
		SSL_set_connect_state(wire->ssl);
	return 0;
}

int wire_listen(int *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 1024) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &n) < 0)
		return -1;
	*ret_port = ntohs(at.sin_port);
	return fd;
}

int wire_dial(struct wire *wire, SSL_CTX *ctx, int port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -1;
	return start(wire, ctx, fd, false);
}

int wire_take(struct wire *wire, SSL_CTX *ctx, int fd)
{
	return start(wire, ctx, fd, true);
}

/* what OpenSSL says: 0 to wait, -1 when lost */
static int outcome(struct wire *wire, int r, bool writing)
{
	int error = SSL_get_error(wire->ssl, r);

	if (error == SSL_ERROR_WANT_READ && !writing)
		return 0;
	if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
		wire->blocked = true;
		return 0;
	}
	return -1;
}

int wire_shake(struct wire *wire)
{
	int r;

	ERR_clear_error();
	wire->blocked = false;
	r = SSL_do_handshake(wire->ssl);
	if (r != 1)
		return outcome(wire, r, false);
	wire->shaken = true;
	return 1;
}

int wire_read(struct wire *wire, void *to, size_t n)
{
	int r;

	ERR_clear_error();
	r = SSL_read(wire->ssl, to, (int)n);
	return r > 0 ? r : outcome(wire, r, false);
}

int wire_flush(struct wire *wire)
{
	wire->blocked = false;
	while (wire->out_start < wire->out_end) {
		int r;

		ERR_clear_error();
		r = SSL_write(wire->ssl, wire->out + wire->out_start,
			      (int)(wire->out_end - wire->out_start));
		if (r <= 0)
			return outcome(wire, r, true);
		wire->out_start += (size_t)r;
	}
	wire->out_start = wire->out_end = 0;
	return 0;
}

size_t wire_room(struct wire *wire)
{
	if (wire->out == NULL)
		wire->out = malloc(WIRE_OUT);
	if (wire->out_start > 0) {
		memmove(wire->out, wire->out + wire->out_start, wire->out_end - wire->out_start);
		wire->out_end -= wire->out_start;
		wire->out_start = 0;
	}
	return wire->out == NULL ? 0 : WIRE_OUT - wire->out_end;
}

void wire_pace(struct wire *wire, int64_t now)
{
	struct tcp_info info;
	socklen_t n = sizeof(info);
	uint64_t most;
	int unsent;

	if (now - wire->rate_ns < PACE_EVERY_NS)
		return;
	wire->rate_ns = now;
	memset(&info, 0, sizeof(info));
	if (getsockopt(wire->fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 ||
	    info.tcpi_delivery_rate == 0 || info.tcpi_delivery_rate_app_limited)
		return;
	most = info.tcpi_delivery_rate * (FRAME_NS / 1000) / 1000000;
	wire->small_max = most < 1024 ? 1024 : most > SMALL_MOST ? SMALL_MOST : (size_t)most;
	/* what waits in the kernel cannot be overtaken */
	unsent = wire->small_max < 4096 ? 4096 : (int)wire->small_max;
	if (unsent != wire->unsent)
		setsockopt(wire->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	wire->unsent = unsent;
}

void wire_close(struct wire *wire)
{
	SSL_free(wire->ssl);
	if (wire->fd >= 0)
		close(wire->fd);
	free(wire->out);
	memset(wire, 0, sizeof(*wire));
	wire->fd = -1;
}

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

void tally_add(struct tally *tally, int64_t ns)
{
	if (tally->n == tally->room) {
		size_t room = tally->room == 0 ? 1 << 16 : tally->room * 2;
		uint32_t *us = realloc(tally->us, room * sizeof(*us));

		if (us == NULL)
			return;
		tally->us = us;
		tally->room = room;
	}
	tally->us[tally->n++] = (uint32_t)(ns / 1000);
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

double tally_ms(struct tally *tally, double share)
{
	size_t at = (size_t)(share * (double)tally->n);

	if (tally->n == 0)
		return 0;
	qsort(tally->us, tally->n, sizeof(*tally->us), by_size);
	return tally->us[at < tally->n ? at : tally->n - 1] / 1000.0;
}

void tally_print(struct tally *tally, const char *prefix)
{
	printf("\"%sp50\":%.3f,\"%sp99\":%.3f,\"%smax\":%.3f", prefix, tally_ms(tally, 0.5), prefix,
	       tally_ms(tally, 0.99), prefix, tally_ms(tally, 1));
}
