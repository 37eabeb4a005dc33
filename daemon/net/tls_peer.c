/* tls_peer.c - a certificate as struct tls_peer. */
#include <openssl/x509.h>
#include <stdio.h>
#include <time.h>

#include "base/hash.h"
#include "net/tls_priv.h"

int64_t tls_wall_ms(const ASN1_TIME *time)
{
	struct tm tm;

	if (time == NULL || ASN1_TIME_to_tm(time, &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm) * 1000;
}

static void common_name(X509 *certificate, char *to, size_t size)
{
	X509_NAME *name = X509_get_subject_name(certificate);
	int i = name ? X509_NAME_get_index_by_NID(name, NID_commonName, -1) : -1;
	unsigned char *utf8 = NULL;
	int n = -1;

	to[0] = '\0';
	if (i >= 0)
		n = ASN1_STRING_to_UTF8(&utf8,
					X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i)));
	if (n < 0)
		return;
	if ((size_t)n >= size) {
		n = (int)size - 1;
		while (n > 0 && (utf8[n] & 0xc0) == 0x80) /* not in the middle of a character */
			n--;
	}
	for (i = 0; i < n; i++)
		to[i] = (char)(utf8[i] < 0x20 || utf8[i] == 0x7f ? '?' : utf8[i]);
	to[n] = '\0';
	OPENSSL_free(utf8);
}

int tls_peer_of(X509 *certificate, struct tls_peer *ret)
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
	char base64[45];

	*ret = (struct tls_peer){ 0 };
	if (n <= 0)
		return NX_ENOMEM;
	sha256_of(der, (size_t)n, ret->pin);
	spoken_of(der, (size_t)n, ret->spoken);
	OPENSSL_free(der);
	base64_of(ret->pin, sizeof(ret->pin), base64);
	snprintf(ret->pin_text, sizeof(ret->pin_text), "sha256:%s", base64);
	common_name(certificate, ret->name, sizeof(ret->name));
	ret->not_before_ms = tls_wall_ms(X509_get0_notBefore(certificate));
	ret->not_after_ms = tls_wall_ms(X509_get0_notAfter(certificate));
	return 0;
}
