/* keys: their files, and the pin that both commands and others agree on */
#include "fixture.h"

#include "client/key.h"
#include "client/trust.h"

#include <openssl/pem.h>

static void two_files_with_the_right_modes(void **state)
{
	struct pin pin;
	struct stat st;

	(void)state;
	umask(0);
	assert_int_equal(key_new("kpl", "keys", &pin, NULL), 0);
	assert_int_equal(stat("keys/kpl.key", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat("keys/kpl.crt", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
}

static void pin_of_new_and_of_the_file_are_one(void **state)
{
	struct why why = { 0 };
	struct pin made, read;
	uint8_t octets[32];

	(void)state;
	assert_int_equal(key_new("kpl", "keys", &made, NULL), 0);
	assert_int_equal(key_pin_of_file("keys/kpl.crt", &read, NULL), 0);
	assert_string_equal(made.text, read.text);
	assert_string_equal(made.spoken, read.spoken);
	/* as --identity takes it */
	memset(&read, 0, sizeof(read));
	assert_int_equal(key_pin_of_file("keys/kpl", &read, NULL), 0);
	assert_string_equal(made.text, read.text);
	assert_int_equal(key_pin_of_file("keys/other", &read, &why), NX_ENOENT);
	assert_string_equal(why.words, "cannot read keys/other: No such file or directory");
	assert_true(key_pin_read(made.text, octets));
	assert_memory_equal(octets, read.octets, 32);
	assert_int_equal(strlen(made.text), 7 + 44);
	assert_int_equal(strlen(made.spoken), 12 * 6 - 1);
	for (int i = 0; i < 71; i++)
		assert_true(i % 6 == 5 ? made.spoken[i] == ' '
				       : made.spoken[i] >= '0' && made.spoken[i] <= '9');
}

/* a certificate that OpenSSL's own command made, and what it and Python say of it */
static void a_certificate_of_others(void **state)
{
	static const char pem[] =
		"-----BEGIN CERTIFICATE-----\n"
		"MIIBdzCCAR2gAwIBAgIUeztbQBZDTBmtbXuOgaQ+eVfAmw4wCgYIKoZIzj0EAwIw\n"
		"EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIyMjM0NjEwWhgPMjEyNjEwMjkyMzQ2\n"
		"MTBaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n"
		"tEkij8VSxP/IshQzR4mNgH43rBT1Uhhq3goHDay4jh/zKMLnMb5tBq6cx6OqwYmL\n"
		"K5P643oAhXEjhR2kLlHd6qNTMFEwHQYDVR0OBBYEFMYX7YSvllfSLqoQcLodD5wK\n"
		"Gyj8MB8GA1UdIwQYMBaAFMYX7YSvllfSLqoQcLodD5wKGyj8MA8GA1UdEwEB/wQF\n"
		"MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAPg7i0yzIapYIYdnfRPUsBohLqCTgDTc\n"
		"30gW3fCYTfsZAiBGQMDtVWR4Z4G0n//QWTbQ7GDOg+I/D4la08wz0e6ilQ==\n"
		"-----END CERTIFICATE-----\n";
	struct pin pin;

	(void)state;
	write_text("other.crt", pem);
	assert_int_equal(key_pin_of_file("other.crt", &pin, NULL), 0);
	assert_string_equal(pin.text, "sha256:W74TxN00fsrXsQi56g8wzn4LvSIbyAjBc0tWTnUlWgw=");
	assert_string_equal(
		pin.spoken,
		"25373 09502 20323 09351 09861 33863 13981 37210 34567 65962 43056 66711");
}

static void nothing_is_overwritten(void **state)
{
	struct why why = { 0 };
	struct pin pin;

	(void)state;
	mkdir("keys", 0755);
	write_text("keys/a.crt", "mine");
	assert_int_equal(key_new("a", "keys", &pin, &why), NX_EEXIST);
	assert_file("keys/a.crt", "mine", 4);
	assert_false(is_there("keys/a.key"));
	assert_int_equal(symlink("nowhere", "keys/b.key"), 0);
	assert_int_equal(key_new("b", "keys", &pin, &why), NX_EEXIST);
	assert_false(is_there("keys/nowhere"));
}

static void names_that_are_none(void **state)
{
	static const char *const names[] = { "", "../x", "a/b", ".hidden", "a b", "\xe1\xba\xa3" };
	struct pin pin;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(key_new(names[i], "keys", &pin, NULL), NX_EARG);
	assert_false(is_there("keys"));
}

static void valid_from_a_day_ago_for_ten_years(void **state)
{
	struct pin pin;
	FILE *in;
	X509 *certificate;
	int days, seconds;

	(void)state;
	assert_int_equal(key_new("kpl", ".", &pin, NULL), 0);
	in = fopen("kpl.crt", "r");
	certificate = PEM_read_X509(in, NULL, NULL, NULL);
	fclose(in);
	assert_non_null(certificate);
	assert_true(X509_cmp_current_time(X509_get0_notBefore(certificate)) < 0);
	assert_true(ASN1_TIME_diff(&days, &seconds, X509_get0_notBefore(certificate), NULL));
	assert_in_range(days, 0, 1);
	assert_true(ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)));
	assert_in_range(days, 3651, 3652);
	X509_free(certificate);
}

static void an_identity_must_be_ours_alone(void **state)
{
	const char *pins[1];
	struct why why = { 0 };
	struct trust *trust = NULL;
	struct pin pin, other;

	(void)state;
	assert_int_equal(key_new("kpl", ".", &pin, NULL), 0);
	assert_int_equal(key_new("vna", ".", &other, NULL), 0);
	pins[0] = other.text;
	assert_int_equal(trust_new("./kpl", pins, 1, &trust, &why), 0);
	assert_string_equal(trust_self(trust)->text, pin.text);
	trust_free(&trust);
	assert_int_equal(trust_new("./nobody", pins, 1, &trust, &why), NX_EARG);
	chmod("kpl.key", 0644);
	assert_int_equal(trust_new("./kpl", pins, 1, &trust, &why), NX_EARG);
	assert_non_null(strstr(why.words, "chmod 0600"));
	chmod("kpl.key", 0600);
	assert_int_equal(rename("vna.key", "kpl.key"), 0); /* of another certificate */
	assert_int_equal(trust_new("./kpl", pins, 1, &trust, &why), NX_EARG);
	pins[0] = "sha256:AAAA";
	assert_int_equal(trust_new("./kpl", pins, 1, &trust, &why), NX_EARG);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, make_folder, drop_folder)
	const struct CMUnitTest tests[] = {
		TEST(two_files_with_the_right_modes),
		TEST(pin_of_new_and_of_the_file_are_one),
		TEST(a_certificate_of_others),
		TEST(nothing_is_overwritten),
		TEST(names_that_are_none),
		TEST(valid_from_a_day_ago_for_ten_years),
		TEST(an_identity_must_be_ours_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
