/*
 * hash.h - SHA-256, SHA-512 (the one user of OpenSSL's digests), CRC32C, base64, hex.
 */
#pragma once
#include "proto/err.h"

#define SHA256_LEN 32
struct sha256;                                        /* a running digest */
struct sha256 *sha256_new(void);                      /* NULL when out of memory */
struct sha256 *sha256_copy(const struct sha256 *sha); /* that goes its own way; NULL likewise */
void sha256_add(struct sha256 *sha, const void *p, size_t n);
void sha256_end(struct sha256 *sha, uint8_t digest[SHA256_LEN]); /* and starts anew */
void sha256_free(struct sha256 **sha);
void sha256_of(const void *p, size_t n, uint8_t digest[SHA256_LEN]);
void sha512_of(const void *p, size_t n, uint8_t digest[64]);
/* Castagnoli, as in RFC 3720; crc of nothing is 0; chain by passing the last value */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* the same without the help of the CPU */
uint32_t crc32c_table(uint32_t crc, const void *p, size_t n);

/* lower-case hex with a NUL; to has 2n+1 octets */
void hex_of(const void *p, size_t n, char *to);
bool hex_to(struct slice hex, uint8_t *to, size_t n); /* exactly n octets, either case */
/* RFC 4648 with padding; to has 4*((n+2)/3)+1 octets */
void base64_of(const void *p, size_t n, char *to);
bool base64_to(struct slice text, uint8_t *to, size_t n); /* exactly n octets */
/* the twelve groups of five digits that are read out over a telephone: the first 60 octets of
 * SHA-512 over a DER SubjectPublicKeyInfo, five octets a group as a big-endian number modulo
 * 100,000; to has 72 octets ("12345 67890 ... ") */
void spoken_of(const void *spki, size_t n, char *to);
/* random octets from the kernel; never fails (aborts) */
void random_octets(void *to, size_t n);
