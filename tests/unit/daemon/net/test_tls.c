/* keys and certificates on disk, and what is read from a certificate */
#include "rig.h"

static int load(struct rig *rig, const char *key, const char *crt, struct why *why)
{
	struct tls *tls = NULL;
	char key_path[256], crt_path[256];
	int r;

	snprintf(key_path, sizeof(key_path), "%s/%s", rig->dir, key);
	snprintf(crt_path, sizeof(crt_path), "%s/%s", rig->dir, crt);
	*why = (struct why){ 0 };
	r = tls_new(key_path, crt_path, rig_admit, rig, &tls, why);
	assert_int_equal(tls != NULL, r == 0);
	tls_free(&tls);
	assert_int_equal(ERR_peek_error(), 0);
	return r;
}

static void key_modes(void **state)
{
	static const struct {
		mode_t mode;
		bool well;
	} rows[] = { { 0600, true },  { 0640, true },  { 0400, true },  { 0440, true },
		     { 0644, false }, { 0660, false }, { 0604, false }, { 0740, false },
		     { 0641, false }, { 04600, false } };
	struct rig *rig = *state;
	struct why why;
	char path[256];

	snprintf(path, sizeof(path), "%s/kpl.key", rig->dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		chmod(path, rows[i].mode);
		assert_int_equal(load(rig, "kpl.key", "kpl.crt", &why),
				 rows[i].well ? 0 : NX_ECONF);
		if (rows[i].well)
			continue;
		assert_non_null(strstr(why.words, "chmod 0640 "));
		assert_non_null(strstr(why.words, path));
	}
}

static void put(struct rig *rig, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", rig->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fchmod(fileno(f), 0600);
	fclose(f);
}

static void bad_files(void **state)
{
	struct rig *rig = *state;
	struct why why;

	put(rig, "empty", "");
	put(rig, "junk", "-----BEGIN PRIVATE KEY-----\nnot base64\n-----END PRIVATE KEY-----\n");
	assert_int_equal(load(rig, "none.key", "kpl.crt", &why), NX_ECONF);
	assert_non_null(strstr(why.words, "none.key"));
	assert_int_equal(load(rig, "kpl.key", "none.crt", &why), NX_ECONF);
	assert_non_null(strstr(why.words, "none.crt"));
	assert_int_equal(load(rig, "empty", "kpl.crt", &why), NX_ECONF);
	assert_int_equal(load(rig, "junk", "kpl.crt", &why), NX_ECONF);
	assert_int_equal(load(rig, "kpl.key", "empty", &why), NX_ECONF);
	assert_int_equal(load(rig, "kpl.key", "kpl.key", &why), NX_ECONF);
	assert_int_equal(load(rig, "kpl.key", "stranger.crt", &why), NX_ECONF);
	assert_non_null(strstr(why.words, "kpl.key"));
	assert_int_equal(load(rig, ".", "kpl.crt", &why), NX_ECONF);
}

static void a_locked_key_does_not_ask(void **state)
{
	struct rig *rig = *state;
	EVP_PKEY *key = make_key("EC");
	struct why why;
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/locked.key", rig->dir);
	f = fopen(path, "w");
	assert_int_equal(
		PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(), NULL, 0, NULL, (void *)"secret"),
		1);
	fchmod(fileno(f), 0600);
	fclose(f);
	EVP_PKEY_free(key);
	assert_int_equal(load(rig, "locked.key", "kpl.crt", &why), NX_ECONF);
	assert_non_null(strstr(why.words, "locked.key"));
}

/* a name with control octets, one that is too long, and the times */
static void what_is_read(void **state)
{
	struct rig *rig = *state;
	const struct tls_peer *self = tls_self(rig->tls);
	X509 *crt = X509_new();
	EVP_PKEY *key = make_key("EC");
	struct tls_peer peer;

	assert_string_equal(self->name, "server");
	assert_true(self->not_after_ms - self->not_before_ms == 2 * 86400 * 1000);
	assert_true(self->not_before_ms < clock_wall_ms() && self->not_after_ms > clock_wall_ms());
	X509_set_pubkey(crt, key);
	assert_int_equal(tls_peer_of(crt, &peer), 0);
	assert_string_equal(peer.name, "");
	X509_NAME_add_entry_by_txt(X509_get_subject_name(crt), "CN", MBSTRING_UTF8,
				   (const unsigned char *)"a\nb\x7f\x1b[2Jc", 9, -1, 0);
	assert_int_equal(tls_peer_of(crt, &peer), 0);
	assert_string_equal(peer.name, "a?b??[2Jc");
	/* 64 characters of three octets are cut between characters */
	X509_NAME *long_name = X509_NAME_new();
	unsigned char lao[64 * 3];
	for (int i = 0; i < 64; i++)
		memcpy(lao + 3 * i, "\xe0\xba\x81", 3);
	X509_NAME_add_entry_by_txt(long_name, "CN", MBSTRING_UTF8, lao, sizeof(lao), -1, 0);
	X509_set_subject_name(crt, long_name);
	assert_int_equal(tls_peer_of(crt, &peer), 0);
	assert_int_equal(strlen(peer.name), 126);
	X509_NAME_free(long_name);
	X509_free(crt);
	EVP_PKEY_free(key);
}

static void references(void **state)
{
	struct rig *rig = *state;
	struct tls *two = tls_ref(rig->tls), *none = NULL;

	tls_free(&two);
	assert_null(two);
	assert_string_equal(tls_self(rig->tls)->name, "server");
	tls_free(&none);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = { T(key_modes), T(bad_files),
					    T(a_locked_key_does_not_ask), T(what_is_read),
					    T(references) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
