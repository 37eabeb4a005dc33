/*
 * test_example.c - conf/newsxd.conf, which `make install` puts in place, is a configuration that is
 * taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config/settings.h"

static void example(void **state)
{
	struct conf *conf = NULL;
	struct why why = { 0 };

	(void)state;
	if (conf_read("conf/newsxd.conf", &conf, &why) < 0)
		fail_msg("%s", why.words);
	assert_int_equal(conf->partners_n, 3);
	assert_int_equal(conf->subscriptions_n, 3);
	assert_non_null(conf_subscription(conf, "from-kpl"));
	assert_true(conf_subscription(conf, "from-kpl")->start_all);
	conf_free(&conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(example) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
