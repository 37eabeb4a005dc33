#define OPENSSL_SUPPRESS_DEPRECATED /* SHA256_Init() and its kin: see must() */
#include "base/hash.h"
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

/*
 * Nobody asks whether a digest could be made, so it may not need memory, as each EVP digest does
 * when it begins. These fail only when OpenSSL is broken; nothing can be proven then.
 */
static void must(int ok)
{
	if (ok == 1)
		return;
	fputs("newsxd: OpenSSL cannot compute a digest\n", stderr);
	abort();
}

struct sha256 {
	SHA256_CTX ctx;
};

struct sha256 *sha256_new(void)
{
	struct sha256 *sha = calloc(1, sizeof(*sha));

	if (sha != NULL)
		must(SHA256_Init(&sha->ctx));
	return sha;
}

struct sha256 *sha256_copy(const struct sha256 *sha)
{
	struct sha256 *copy = malloc(sizeof(*copy));

	if (copy != NULL)
		*copy = *sha;
	return copy;
}

void sha256_add(struct sha256 *sha, const void *p, size_t n)
{
	if (n > 0)
		must(SHA256_Update(&sha->ctx, p, n));
}

void sha256_end(struct sha256 *sha, uint8_t digest[SHA256_LEN])
{
	must(SHA256_Final(digest, &sha->ctx));
	must(SHA256_Init(&sha->ctx));
}

void sha256_free(struct sha256 **sha)
{
	free(*sha);
	*sha = NULL;
}

void sha256_of(const void *p, size_t n, uint8_t digest[SHA256_LEN])
{
	SHA256_CTX ctx;

	must(SHA256_Init(&ctx));
	must(SHA256_Update(&ctx, n > 0 ? p : "", n));
	must(SHA256_Final(digest, &ctx));
}

void sha512_of(const void *p, size_t n, uint8_t digest[64])
{
	SHA512_CTX ctx;

	must(SHA512_Init(&ctx));
	must(SHA512_Update(&ctx, n > 0 ? p : "", n));
	must(SHA512_Final(digest, &ctx));
}

void spoken_of(const void *spki, size_t n, char *to)
{
	uint8_t digest[64];

	sha512_of(spki, n, digest);
	for (unsigned i = 0; i < 12; i++) {
		uint64_t u = 0;

		for (unsigned j = 0; j < 5; j++)
			u = u << 8 | digest[i * 5 + j];
		snprintf(to + i * 6, 7, "%05u%s", (unsigned)(u % 100000), i < 11 ? " " : "");
	}
}

void random_octets(void *to, size_t n)
{
	uint8_t *p = to;

	while (n > 0) {
		ssize_t got = getrandom(p, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		p += got;
		n -= (size_t)got;
	}
}
