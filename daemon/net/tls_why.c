/* tls_why.c - what went wrong in OpenSSL, as our codes and as words for a person. */
#include <errno.h>
#include <openssl/err.h>

#include "net/tls_priv.h"

static int refusal(int code, struct why *why)
{
	static const struct {
		int code;
		const char *words;
	} rows[] = {
		{ NX_EOLDTLS, "the peer does not offer TLS 1.3" },
		{ NX_EALPN, "the peer does not ask for newsxd/1 (ALPN)" },
		{ NX_EUNKNOWNKEY, "no partner has this key" },
		{ NX_EEXPIRED, "the certificate is out of its time" },
		{ NX_ETOOMANY, "this partner has too many connections" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == code)
			return why_set(why, code, "%s", rows[i].words);
	return why_set(why, code, "%s", nx_word(code));
}

static int ssl_why(struct why *why)
{
	unsigned long e = ERR_peek_error();

	switch (ERR_GET_REASON(e)) {
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return why_set(why, NX_EEOF, "the peer went away without a word");
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return why_set(why, NX_ENOCERT, "the peer showed no certificate");
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_VERSION_TOO_LOW:
		return refusal(NX_EOLDTLS, why);
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
		return why_set(
			why, NX_ETLS,
			"the peer does not take our key (%s): has it the pin that key.serving "
			"says?",
			tls_words());
	case SSL_R_RECORD_TOO_SMALL: /* OpenSSL's own count of empty records, 32 */
		return why_set(why, NX_EKEYUPDATE, "too many empty records");
	default:
		return why_set(why, NX_ETLS, "TLS: %s", tls_words());
	}
}

int tls_why(const struct tls_talk *talk, int ssl_error, int sys, struct why *why)
{
	int r;

	if (talk->flood)
		r = why_set(why, NX_EKEYUPDATE, "too many key updates or empty records");
	else if (talk->refused < 0 && talk->refused == talk->judged.code)
		r = why_set(why, talk->refused, "%s", talk->judged.words);
	else if (talk->refused < 0)
		r = refusal(talk->refused, why);
	else if (ssl_error == SSL_ERROR_ZERO_RETURN)
		r = why_set(why, NX_EEOF, "the peer closed");
	else if (ssl_error == SSL_ERROR_SYSCALL)
		r = why_set(why, NX_EEOF, "%s", sys ? strerror(sys) : "the peer went away");
	else
		r = ssl_why(why);
	ERR_clear_error();
	return r;
}

const char *tls_words(void)
{
	const char *words = ERR_reason_error_string(ERR_peek_error());

	return words ? words : "no reason given";
}
