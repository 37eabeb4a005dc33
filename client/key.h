/*
 * key.h - a key and its self-signed certificate; the pin by which others know it.
 */
#pragma once
#include "proto/err.h"
#include <openssl/x509.h>

struct pin {
	uint8_t octets[32];
	char text[64];   /* "sha256:BASE64" */
	char spoken[72]; /* twelve groups of five digits */
};
/* of a certificate's DER SubjectPublicKeyInfo. returns 0 or NX_ENOMEM */
int key_pin(const X509 *certificate, struct pin *ret);
/* of a PEM file, or of FILE.crt when there is no FILE. returns 0; NX_ENOENT with words when it
 * cannot be read or holds no certificate */
int key_pin_of_file(const char *file, struct pin *ret, struct why *why);
/* "sha256:BASE64". false: it is none */
bool key_pin_read(const char *text, uint8_t pin[32]);

/*
 * key_new - make DIR/NAME.key (P-256, mode 0600) and DIR/NAME.crt (self-signed, from a day ago for
 * ten years), both on disk when this returns. The folder is made when it is not there. returns  0;
 * NX_EEXIST: one of the files is there, nothing is touched; NX_EARG: a name that cannot be one;
 *          NX_ESYS, NX_ETLS, all with words
 */
int key_new(const char *name, const char *dir, struct pin *ret, struct why *why);
