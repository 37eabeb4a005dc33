#include "client/key.h"
#include "base/hash.h"
#include "proto/channel.h"
#include "proto/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_S (24L * 60 * 60)
/* a day for clocks that differ; ten years with their leap days */
#define FROM_S (-DAY_S)
#define TO_S   (3652 * DAY_S)

int key_pin(const X509 *certificate, struct pin *ret)
{
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);

	if (n <= 0)
		return NX_ENOMEM;
	sha256_of(der, (size_t)n, ret->octets);
	spoken_of(der, (size_t)n, ret->spoken);
	OPENSSL_free(der);
	memcpy(ret->text, "sha256:", 7);
	base64_of(ret->octets, sizeof(ret->octets), ret->text + 7);
	return 0;
}

/* NULL with errno as fopen() left it for file itself */
static FILE *open_certificate(const char *file)
{
	FILE *in = fopen(file, "re");
	int saved = errno;
	char *named;

	if (in != NULL || saved != ENOENT || asprintf(&named, "%s.crt", file) < 0)
		return in;
	in = fopen(named, "re");
	free(named);
	errno = saved;
	return in;
}

int key_pin_of_file(const char *file, struct pin *ret, struct why *why)
{
	FILE *in = open_certificate(file);
	X509 *certificate = NULL;
	int r;

	if (in == NULL)
		return why_set(why, NX_ENOENT, "cannot read %s: %s", file, strerror(errno));
	certificate = PEM_read_X509(in, NULL, NULL, NULL);
	fclose(in);
	if (certificate == NULL)
		return why_set(why, NX_ENOENT,
			       "%s holds no certificate: give the .crt file, not the .key", file);
	r = key_pin(certificate, ret);
	X509_free(certificate);
	if (r < 0)
		return why_set(why, r, "%s: its public key cannot be read", file);
	return 0;
}

bool key_pin_read(const char *text, uint8_t pin[32])
{
	return strncmp(text, "sha256:", 7) == 0 && base64_to(slice_str(text + 7), pin, 32);
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return ok;
}

static bool set_serial(X509 *certificate)
{
	uint8_t octets[16];
	BIGNUM *number;
	bool ok;

	random_octets(octets, sizeof(octets));
	octets[0] = (uint8_t)((octets[0] & 0x7f) | 0x40); /* positive, and always of one length */
	number = BN_bin2bn(octets, sizeof(octets), NULL);
	ok = number != NULL &&
	     BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
	BN_free(number);
	return ok;
}

static X509 *certificate_of(EVP_PKEY *key, const char *name)
{
	X509 *certificate = X509_new();
	X509_NAME *who = certificate == NULL ? NULL : X509_get_subject_name(certificate);

	if (who != NULL && X509_set_version(certificate, X509_VERSION_3) == 1 &&
	    set_serial(certificate) &&
	    X509_gmtime_adj(X509_getm_notBefore(certificate), FROM_S) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(certificate), TO_S) != NULL &&
	    X509_set_pubkey(certificate, key) == 1 &&
	    X509_NAME_add_entry_by_txt(who, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
				       -1, 0) == 1 &&
	    X509_set_issuer_name(certificate, who) == 1 &&
	    add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(certificate, NID_key_usage, "critical,digitalSignature") &&
	    add_extension(certificate, NID_ext_key_usage, "clientAuth,serverAuth") &&
	    X509_sign(certificate, key, EVP_sha256()) > 0)
		return certificate;
	X509_free(certificate);
	return NULL;
}

/* a new file that nobody else can have put there; on disk when it returns 0 */
static int write_new(int dir, const char *name, mode_t mode, BIO *octets, struct why *why)
{
	char *p;
	long n = BIO_get_mem_data(octets, &p);
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0)
		return why_set(why, errno == EEXIST ? NX_EEXIST : NX_ESYS, "cannot write %s: %s",
			       name, strerror(errno));
	if (fchmod(fd, mode) == 0 && write(fd, p, (size_t)n) == n && fsync(fd) == 0) {
		close(fd);
		return 0;
	}
	why_set(why, NX_ESYS, "cannot write %s: %s", name, strerror(errno));
	close(fd);
	unlinkat(dir, name, 0);
	return NX_ESYS;
}

static int write_both(int dir, const char *name, BIO *key, BIO *certificate, struct why *why)
{
	char key_file[NAME_MAX_ + 8], certificate_file[NAME_MAX_ + 8];
	struct stat st;
	int r;

	snprintf(key_file, sizeof(key_file), "%s.key", name);
	snprintf(certificate_file, sizeof(certificate_file), "%s.crt", name);
	if (fstatat(dir, key_file, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	    fstatat(dir, certificate_file, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return why_set(why, NX_EEXIST,
			       "%s or %s is there already; a key is never overwritten: choose "
			       "another name or folder, or move the old files away",
			       key_file, certificate_file);
	r = write_new(dir, key_file, 0600, key, why);
	if (r < 0)
		return r;
	r = write_new(dir, certificate_file, 0644, certificate, why);
	if (r < 0)
		unlinkat(dir, key_file, 0);
	else if (fsync(dir) < 0)
		r = why_set(why, NX_ESYS, "cannot flush the folder: %s", strerror(errno));
	return r;
}

static int key_folder(const char *dir, struct why *why)
{
	int fd;

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return why_set(why, NX_ESYS, "cannot make the folder %s: %s", dir, strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return why_set(why, NX_ESYS, "cannot open the folder %s: %s", dir, strerror(errno));
	return fd;
}

int key_new(const char *name, const char *dir, struct pin *ret, struct why *why)
{
	EVP_PKEY *key = NULL;
	X509 *certificate = NULL;
	BIO *key_pem = BIO_new(BIO_s_secmem()), *certificate_pem = BIO_new(BIO_s_mem());
	int fd = -1, r;

	if (!channel_name_ok(slice_str(name)) || name[0] == '.') {
		r = why_set(why, NX_EARG,
			    "'%s' cannot be a name: 1 to 64 letters, digits, . _ - please", name);
		goto out;
	}
	r = why_set(why, NX_ETLS, "OpenSSL could not make a key");
	key = EVP_EC_gen("P-256");
	certificate = key == NULL ? NULL : certificate_of(key, name);
	if (certificate == NULL || key_pem == NULL || certificate_pem == NULL ||
	    PEM_write_bio_PKCS8PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    PEM_write_bio_X509(certificate_pem, certificate) != 1 || key_pin(certificate, ret) < 0)
		goto out;
	r = fd = key_folder(dir, why);
	if (fd >= 0)
		r = write_both(fd, name, key_pem, certificate_pem, why);
out:
	if (fd >= 0)
		close(fd);
	BIO_free(key_pem);
	BIO_free(certificate_pem);
	X509_free(certificate);
	EVP_PKEY_free(key);
	return r;
}
