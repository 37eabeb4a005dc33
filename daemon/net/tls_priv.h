/*
 * tls_priv.h - what conn and listen know of tls: how a talk begins, what came of it, and OpenSSL's
 * words in ours.
 */
#pragma once
#include <openssl/ssl.h>

#include "net/tls.h"

#define KEY_UPDATES_A_MINUTE 4
#define EMPTY_RECORDS        64
/* of AES-GCM under one key, with room to spare (RFC 8446, 5.5); OpenSSL does not count for us */
#define RECORDS_A_KEY (1u << 23)

/* the talk with one peer; OpenSSL's callbacks write it, conn reads it */
struct tls_talk {
	struct tls *tls;
	int refused; /* NX_E..., set by a callback that said no: it is truer than what OpenSSL says
			after */
	bool seen;   /* peer is filled */
	struct tls_peer peer;
	void *partner;
	/* guards; conn sets now_ms before each call into OpenSSL, and takes empty back to 0 when
	 * octets came */
	int64_t now_ms, minute_ms;
	unsigned key_updates, empty;
	bool flood;
	uint64_t records_in, records_out; /* records_out counts from our last key */
};

/* an SSL in accept state on fd; talk stays where it is until SSL_free(). NULL: no memory */
SSL *tls_begin(struct tls *tls, int fd, struct tls_talk *talk);
/* ask admit(). returns 0 and talk->partner, or the refusal */
int tls_ask(struct tls *tls, const struct tls_peer *peer, void **ret_partner);
/* everything of a certificate that we look at; returns 0, NX_ENOMEM */
int tls_peer_of(X509 *certificate, struct tls_peer *ret);
/* the code and words of an SSL_get_error() that is neither WANT_READ nor WANT_WRITE; empties
 * OpenSSL's queue. sys is errno as it was after the call */
int tls_why(const struct tls_talk *talk, int ssl_error, int sys, struct why *why);
const char *tls_words(void); /* the first of OpenSSL's errors, in its words */
