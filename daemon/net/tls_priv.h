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

struct trusts;
struct tls {
	unsigned refs;
	SSL_CTX *ctx;
	tls_admit_fn *admit;
	void *arg;
	struct tls_peer self;
	struct trusts *trusts; /* NULL: no partner has a CA */
};

/* the talk with one peer; OpenSSL's callbacks write it, conn reads it */
struct tls_talk {
	struct tls *tls;
	int refused; /* NX_E..., set by a callback that said no: it is truer than what OpenSSL says
			after */
	bool seen;   /* peer is filled */
	struct why judged; /* why no CA of ours vouches for it */
	struct tls_peer peer;
	void *partner;
	/* guards; conn sets now_ms before each call into OpenSSL, and takes empty back to 0 when
	 * octets came */
	int64_t now_ms, minute_ms;
	unsigned key_updates, empty;
	bool flood;
	uint64_t records_in, records_out; /* records_out counts from our last key */
	uint64_t octets_in;               /* as they came on the line, with what only fills */
};

/* an SSL in accept state on fd; talk stays where it is until SSL_free(). NULL: no memory */
SSL *tls_begin(struct tls *tls, int fd, struct tls_talk *talk);
/* ask admit(), and the partners' CAs when it does not know the key. returns 0 and talk->partner, or
 * the refusal (its words may be in talk->judged) */
int tls_ask(struct tls *tls, X509 *leaf, STACK_OF(X509) * others, struct tls_talk *talk);
/* trust_judge.c: returns 0 and known_as, ends_ms; or why not */
int trusts_judge(const struct trusts *trusts, X509 *leaf, STACK_OF(X509) * others,
		 struct tls_peer *peer, struct why *why);
int tls_verdict_of(int code); /* as X509_V_ERR_..., which becomes the alert that the peer reads */
int64_t tls_wall_ms(const ASN1_TIME *time); /* 0: none, or it cannot be read */
/* everything of a certificate that we look at; returns 0, NX_ENOMEM */
int tls_peer_of(X509 *certificate, struct tls_peer *ret);
/* the code and words of an SSL_get_error() that is neither WANT_READ nor WANT_WRITE; empties
 * OpenSSL's queue. sys is errno as it was after the call */
int tls_why(const struct tls_talk *talk, int ssl_error, int sys, struct why *why);
const char *tls_words(void); /* the first of OpenSSL's errors, in its words */
