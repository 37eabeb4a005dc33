/*
 * records.c - a partner with a valid certificate who makes its TLS 1.3 records by hand.
 *
 *     records IDENTITY PORT ATTACK [SECONDS]
 *
 * OpenSSL shakes hands and reads; what is sent is sealed here, with the secret that OpenSSL logs
 * for whoever wants to look into a talk: no library sends an empty record, or a key update after
 * the other. An attack goes on until the daemon ends the link, or for SECONDS (3); with SECONDS
 * given it dials again for as long. Its last line says what came of it: links, how many of them the
 * daemon ended, records sent, PINGs sent, and the last of them that was answered.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/bench/wire.h"
#include "tests/system/seal.h"

enum { HELLO = 1, PING = 16, PONG = 17, FRAME_HEADER = 8 }; /* of frames */

struct liar {
	struct wire wire;
	struct seal seal;
	int64_t until_ns;
	bool ended; /* the daemon closed it */
	uint8_t out[256 << 10];
	size_t out_n;
	uint8_t in[4 * SEAL_OCTETS_MOST]; /* half a frame, and what is behind it */
	size_t in_n;
};
static struct {
	unsigned links, ended;
	uint64_t records, pings, heard; /* the token of a PING is its number */
} sum;

static void keylog(const SSL *ssl, const char *line)
{
	struct liar *liar = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

	seal_begin(&liar->seal, line);
}

/* ---- in and out */

static uint64_t token_of(const uint8_t *p)
{
	uint64_t token = 0;

	for (unsigned i = 0; i < 8; i++)
		token = token << 8 | p[i];
	return token;
}

/* what the daemon says: which PING it has answered last. Of some that come together it answers one
 */
static void listen_to(struct liar *liar)
{
	int n;

	while ((n = wire_read(&liar->wire, liar->in + liar->in_n, sizeof(liar->in) - liar->in_n)) >
	       0) {
		size_t at = 0, frame;

		liar->in_n += (size_t)n;
		for (; liar->in_n - at >= FRAME_HEADER; at += frame) {
			const uint8_t *p = liar->in + at;

			frame = FRAME_HEADER + ((size_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3]);
			if (liar->in_n - at < frame)
				break;
			if (p[4] == PONG)
				sum.heard = token_of(p + FRAME_HEADER);
		}
		liar->in_n -= at;
		memmove(liar->in, liar->in + at, liar->in_n);
	}
	if (n < 0)
		liar->ended = true;
}

static bool goes_on(struct liar *liar)
{
	return !liar->ended && now_ns() < liar->until_ns;
}

static void wait_for(struct liar *liar, short what)
{
	struct pollfd fd = { .fd = liar->wire.fd, .events = what };

	poll(&fd, 1, 50);
	listen_to(liar);
}

static void flush(struct liar *liar)
{
	size_t at = 0;

	while (at < liar->out_n && goes_on(liar)) {
		ssize_t n = send(liar->wire.fd, liar->out + at, liar->out_n - at, MSG_NOSIGNAL);

		if (n > 0)
			at += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			wait_for(liar, POLLIN | POLLOUT);
		else
			liar->ended = true;
	}
	liar->out_n = 0;
	if (!liar->ended)
		listen_to(liar);
}

static uint8_t *room_for(struct liar *liar, size_t n)
{
	if (sizeof(liar->out) - liar->out_n < n)
		flush(liar);
	return liar->out + liar->out_n;
}

static void plain(struct liar *liar, const void *octets, size_t n)
{
	memcpy(room_for(liar, n), octets, n);
	liar->out_n += n;
	sum.records++;
}

static void record(struct liar *liar, uint8_t type, const void *octets, size_t n, size_t zeros)
{
	uint8_t *to = room_for(liar, SEAL_MOST);

	liar->out_n += seal_record(&liar->seal, to, type, octets, n, zeros);
	sum.records++;
}

/* ---- the attacks */

static void key_update(struct liar *liar, uint8_t requested)
{
	const uint8_t message[] = { 24, 0, 0, 1, requested };

	record(liar, SEAL_HANDSHAKE, message, sizeof(message), 0);
	seal_next_key(&liar->seal);
}

static size_t ping(uint8_t frame[FRAME_HEADER + 16])
{
	memset(frame, 0, FRAME_HEADER + 16);
	frame[3] = 16;
	frame[4] = PING;
	sum.pings++;
	for (unsigned i = 0; i < 8; i++)
		frame[FRAME_HEADER + i] = (uint8_t)(sum.pings >> (56 - 8 * i));
	return FRAME_HEADER + 16;
}

static void key_updates(struct liar *liar)
{
	while (goes_on(liar))
		key_update(liar, 1);
}

static void silent_key_updates(struct liar *liar)
{
	while (goes_on(liar))
		key_update(liar, 0);
}

/* an octet of it in each record */
static void key_updates_in_pieces(struct liar *liar)
{
	const uint8_t message[] = { 24, 0, 0, 1, 1 };

	while (goes_on(liar)) {
		for (unsigned i = 0; i < sizeof(message); i++)
			record(liar, SEAL_HANDSHAKE, &message[i], 1, 0);
		seal_next_key(&liar->seal);
	}
}

/* as many as are allowed, each before a PING */
static void few_key_updates(struct liar *liar)
{
	uint8_t frame[FRAME_HEADER + 16];

	for (unsigned i = 0; i < 4; i++) {
		key_update(liar, 1);
		record(liar, SEAL_DATA, frame, ping(frame), 0);
	}
}

static void key_updates_among_pings(struct liar *liar)
{
	uint8_t frame[FRAME_HEADER + 16];

	while (goes_on(liar)) {
		key_update(liar, 0);
		record(liar, SEAL_DATA, frame, ping(frame), 0);
	}
}

static void empty_records(struct liar *liar)
{
	while (goes_on(liar))
		record(liar, SEAL_DATA, NULL, 0, 0);
}

static void padded_records(struct liar *liar)
{
	while (goes_on(liar))
		record(liar, SEAL_DATA, NULL, 0, SEAL_OCTETS_MOST);
}

/* PINGs, an octet a record, and before each so many empty ones of full length as are let pass */
static void octets_among_padding(struct liar *liar)
{
	uint8_t frame[FRAME_HEADER + 16];

	while (goes_on(liar)) {
		ping(frame);
		for (unsigned i = 0; i < sizeof(frame); i++) {
			for (unsigned n = 0; n < 31; n++)
				record(liar, SEAL_DATA, NULL, 0, SEAL_OCTETS_MOST);
			record(liar, SEAL_DATA, frame + i, 1, 0);
		}
	}
}

static void octet_a_record(struct liar *liar)
{
	uint8_t frame[FRAME_HEADER + 16];

	for (unsigned n = 0; n < 2000; n++) {
		ping(frame);
		for (unsigned i = 0; i < sizeof(frame); i++)
			record(liar, SEAL_DATA, frame + i, 1, 0);
	}
}

static void octets_without_end(struct liar *liar)
{
	while (goes_on(liar))
		octet_a_record(liar);
}

static void half_a_header(struct liar *liar)
{
	plain(liar, "\x17\x03\x03", 3);
}

static void half_a_record(struct liar *liar)
{
	uint8_t *at = room_for(liar, 1024);

	record(liar, SEAL_DATA, "0123456789", 10, 500);
	liar->out_n = (size_t)(at + 100 - liar->out);
}

static void message(struct liar *liar, const void *octets, size_t n)
{
	record(liar, SEAL_HANDSHAKE, octets, n, 0);
}

#define MESSAGE(name, ...)                                                                         \
	static void name(struct liar *liar)                                                        \
	{                                                                                          \
		const uint8_t octets[] = { __VA_ARGS__ };                                          \
		message(liar, octets, sizeof(octets));                                             \
	}
MESSAGE(hello_request, 0, 0, 0, 0)
MESSAGE(client_hello, 1, 0, 0, 6, 3, 3, 0, 0, 0, 0)
MESSAGE(session_ticket, 4, 0, 0, 13, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
MESSAGE(end_of_early_data, 5, 0, 0, 0)
MESSAGE(certificate, 11, 0, 0, 4, 0, 0, 0, 0)
MESSAGE(certificate_request, 13, 0, 0, 3, 0, 0, 0)
MESSAGE(finished, 20, 0, 0, 2, 0, 0)
MESSAGE(message_of_16_mb, 1, 255, 255, 255)
MESSAGE(key_update_of_16_mb, 24, 255, 255, 255)
MESSAGE(key_update_of_another_kind, 24, 0, 0, 1, 2)
MESSAGE(unknown_message, 99, 0, 0, 1, 1)

static void empty_message(struct liar *liar)
{
	message(liar, NULL, 0);
}

static void half_a_message(struct liar *liar)
{
	message(liar, "\x18\0", 2);
	record(liar, SEAL_DATA, "x", 1, 0);
}

static void unknown_type(struct liar *liar)
{
	record(liar, 99, "x", 1, 0);
}

static void no_type(struct liar *liar)
{
	record(liar, 0, NULL, 0, 100);
}

static void warnings(struct liar *liar)
{
	while (goes_on(liar))
		record(liar, SEAL_ALERT, "\x01\x5a", 2, 0); /* user_canceled */
}

static void wrong_tag(struct liar *liar)
{
	record(liar, SEAL_DATA, "x", 1, 0);
	liar->out[liar->out_n - 1] ^= 1;
}

static void too_long(struct liar *liar)
{
	static const uint8_t octets[5] = { SEAL_DATA, 3, 3, 0x48, 0 };

	plain(liar, octets, sizeof(octets));
	room_for(liar, 1);
}

static void cipher_change(struct liar *liar)
{
	plain(liar, "\x14\x03\x03\0\x01\x01", 6);
}

static void plain_alert(struct liar *liar)
{
	plain(liar, "\x15\x03\x03\0\x02\x02\x28", 7);
}

static void http(struct liar *liar)
{
	plain(liar, "GET / HTTP/1.1\r\n\r\n", 18);
}

#define A(name)                                                                                    \
	{                                                                                          \
#name, name                                                                        \
	}
static const struct {
	const char *name;
	void (*send)(struct liar *);
} attacks[] = { A(key_updates),
		A(silent_key_updates),
		A(key_updates_in_pieces),
		A(key_updates_among_pings),
		A(few_key_updates),
		A(empty_records),
		A(padded_records),
		A(octets_among_padding),
		A(octet_a_record),
		A(octets_without_end),
		A(half_a_header),
		A(half_a_record),
		A(hello_request),
		A(client_hello),
		A(session_ticket),
		A(end_of_early_data),
		A(certificate),
		A(certificate_request),
		A(finished),
		A(message_of_16_mb),
		A(key_update_of_16_mb),
		A(key_update_of_another_kind),
		A(unknown_message),
		A(empty_message),
		A(half_a_message),
		A(unknown_type),
		A(no_type),
		A(warnings),
		A(wrong_tag),
		A(too_long),
		A(cipher_change),
		A(plain_alert),
		A(http) };

/* ---- a link */

static bool begin(struct liar *liar, SSL_CTX *ctx, int port)
{
	static const char hello[] = "{\"node\":\"liar\",\"agent\":\"records\",\"boot\":"
				    "\"0011223344556677\",\"epoch\":\"0\"}";
	uint8_t frame[FRAME_HEADER + sizeof(hello)] = { 0, 0, 0, sizeof(hello) - 1, HELLO };
	int r;

	memcpy(frame + FRAME_HEADER, hello, sizeof(hello) - 1);
	liar->ended = false;
	liar->in_n = liar->out_n = 0;
	if (wire_dial(&liar->wire, ctx, port) < 0)
		return false;
	sum.links++;
	while ((r = wire_shake(&liar->wire)) == 0 && now_ns() < liar->until_ns)
		poll(&(struct pollfd){ .fd = liar->wire.fd, .events = POLLIN }, 1, 50);
	if (r != 1 || liar->seal.cipher == NULL)
		return false;
	record(liar, SEAL_DATA, frame, sizeof(frame) - 1, 0);
	return true;
}

/* the attack, and then whatever comes of it */
static void attack(struct liar *liar, void (*send)(struct liar *))
{
	send(liar);
	flush(liar);
	while (goes_on(liar) && (sum.pings == 0 || sum.heard < sum.pings))
		wait_for(liar, POLLIN);
	sum.ended += liar->ended;
}

int main(int argc, char **argv)
{
	double seconds = argc > 4 ? atof(argv[4]) : 60;
	struct liar *liar = calloc(1, sizeof(*liar));
	void (*send)(struct liar *) = NULL;
	SSL_CTX *ctx;

	for (size_t i = 0; argc > 3 && i < sizeof(attacks) / sizeof(attacks[0]); i++)
		if (strcmp(attacks[i].name, argv[3]) == 0)
			send = attacks[i].send;
	if (liar == NULL || send == NULL || (ctx = wire_context(argv[1], false)) == NULL) {
		fprintf(stderr, "records IDENTITY PORT ATTACK [SECONDS]\n");
		return 2;
	}
	SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
	SSL_CTX_set_keylog_callback(ctx, keylog);
	/* it has what others leave of the processors: what is seen is the daemon's own */
	sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 });
	SSL_CTX_set_app_data(ctx, liar);
	liar->until_ns = now_ns() + (int64_t)(seconds * 1e9);
	do {
		if (begin(liar, ctx, atoi(argv[2])))
			attack(liar, send);
		wire_close(&liar->wire);
	} while (argc > 4 && now_ns() < liar->until_ns);
	printf("links=%u ended=%u records=%llu pings=%llu heard=%llu\n", sum.links, sum.ended,
	       (unsigned long long)sum.records, (unsigned long long)sum.pings,
	       (unsigned long long)sum.heard);
	seal_end(&liar->seal);
	SSL_CTX_free(ctx);
	free(liar);
	return 0;
}
