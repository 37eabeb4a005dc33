/*
 * seal.h - TLS 1.3 records made by hand (AES-128-GCM): what no library would send.
 *
 * Shakes no hands: the secret is the one that OpenSSL logs for whoever wants to look into a talk
 * (CLIENT_TRAFFIC_SECRET_0). Once something was sealed here, SSL_write() has lost count.
 */
#pragma once
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { SEAL_ALERT = 21, SEAL_HANDSHAKE = 22, SEAL_DATA = 23 }; /* types of records */
enum { SEAL_SECRET = 32, SEAL_KEY = 16, SEAL_IV = 12, SEAL_TAG = 16 };
#define SEAL_OCTETS_MOST 16384
#define SEAL_MOST        (5 + SEAL_OCTETS_MOST + 1 + SEAL_TAG) /* a whole record */

struct seal {
	uint8_t secret[SEAL_SECRET], iv[SEAL_IV];
	EVP_CIPHER_CTX *cipher;
	uint64_t n; /* records under this key */
};

/* HKDF-Expand-Label of RFC 8446, 7.1, without a context; one block is enough for all of it */
static inline void seal_expand(const struct seal *seal, const char *label, uint8_t *to, uint8_t n)
{
	uint8_t info[64] = { 0, n, (uint8_t)(6 + strlen(label)) }, block[SEAL_SECRET];
	int at = 3 + snprintf((char *)info + 3, sizeof(info) - 5, "tls13 %s", label);

	info[at++] = 0; /* no context */
	info[at++] = 1; /* the first block */
	HMAC(EVP_sha256(), seal->secret, SEAL_SECRET, info, (size_t)at, block, NULL);
	memcpy(to, block, n);
}

static inline void seal_use(struct seal *seal)
{
	uint8_t key[SEAL_KEY];

	seal_expand(seal, "key", key, SEAL_KEY);
	seal_expand(seal, "iv", seal->iv, SEAL_IV);
	EVP_EncryptInit_ex(seal->cipher, EVP_aes_128_gcm(), NULL, key, NULL);
	seal->n = 0;
}

/* line: of the keylog. false: it is another one */
static inline bool seal_begin(struct seal *seal, const char *line)
{
	const char *hex = strrchr(line, ' ');

	if (strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) != 0 ||
	    strlen(++hex) != (size_t)2 * SEAL_SECRET)
		return false;
	for (unsigned i = 0; i < SEAL_SECRET; i++)
		if (sscanf(hex + (size_t)2 * i, "%2hhx", &seal->secret[i]) != 1)
			return false;
	if (seal->cipher == NULL)
		seal->cipher = EVP_CIPHER_CTX_new();
	seal_use(seal);
	return true;
}

/* a key update was said: all that follows is under the next key */
static inline void seal_next_key(struct seal *seal)
{
	uint8_t next[SEAL_SECRET];

	seal_expand(seal, "traffic upd", next, SEAL_SECRET);
	memcpy(seal->secret, next, SEAL_SECRET);
	seal_use(seal);
}

/* one record at `to`: its type is sealed with it, and so many zeros behind. returns its octets */
static inline size_t seal_record(struct seal *seal, uint8_t *to, uint8_t type, const void *octets,
				 size_t n, size_t zeros)
{
	size_t inner = n + 1 + zeros, sealed = inner + SEAL_TAG;
	uint8_t nonce[SEAL_IV];
	int len;

	to[0] = SEAL_DATA;
	to[1] = to[2] = 3;
	to[3] = (uint8_t)(sealed >> 8);
	to[4] = (uint8_t)sealed;
	memcpy(nonce, seal->iv, SEAL_IV);
	for (unsigned i = 0; i < 8; i++)
		nonce[SEAL_IV - 1 - i] ^= (uint8_t)(seal->n >> (8 * i));
	seal->n++;
	if (n > 0)
		memcpy(to + 5, octets, n);
	to[5 + n] = type;
	memset(to + 6 + n, 0, zeros);
	EVP_EncryptInit_ex(seal->cipher, NULL, NULL, NULL, nonce);
	EVP_EncryptUpdate(seal->cipher, NULL, &len, to, 5);
	EVP_EncryptUpdate(seal->cipher, to + 5, &len, to + 5, (int)inner);
	EVP_EncryptFinal_ex(seal->cipher, to + 5 + len, &len);
	EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG, to + 5 + inner);
	return 5 + sealed;
}

static inline void seal_end(struct seal *seal)
{
	EVP_CIPHER_CTX_free(seal->cipher);
	seal->cipher = NULL;
}
