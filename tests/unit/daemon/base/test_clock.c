#include "base/clock.h"
#include "base/fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void a_fake_clock_stands_still(void **state)
{
	(void)state;
	clock_fake(1000, 2000);
	assert_int_equal(clock_boot_ms(), 1000);
	assert_int_equal(clock_wall_ms(), 2000);
	clock_advance(5);
	clock_jump_wall(-100);
	assert_int_equal(clock_boot_ms(), 1005);
	assert_int_equal(clock_wall_ms(), 1905);
	clock_real();
	assert_true(clock_wall_ms() > 1000000000000);
	assert_true(llabs(clock_wall_ms() / 1000 - (int64_t)time(NULL)) <= 1);
	assert_true(clock_boot_ms() <= clock_boot_ms());
	(void)clock_synchronised();
}

static void times_are_written_in_utc(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ 951782400001, "2000-02-29T00:00:00.001Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
		{ 253402300800000, "9999-12-31T23:59:59.999Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999Z" },
		{ INT64_MIN, "0000-01-01T00:00:00.000Z" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		clock_rfc3339(rows[i].ms, text);
		assert_string_equal(text, rows[i].text);
	}
}

#ifdef FAULTS
static void a_fault_fires_once_at_its_pass(void **state)
{
	(void)state;
	fault_arm("here", 2, false);
	assert_false(FAULT("here"));
	assert_false(FAULT("there"));
	assert_false(fault_fired());
	assert_true(FAULT("here"));
	assert_true(fault_fired());
	assert_false(FAULT("here"));
	fault_arm(NULL, 3, false);
	assert_false(fault_fired());
	assert_false(FAULT("a"));
	assert_false(FAULT("b"));
	assert_true(FAULT("c"));
	fault_off();
	assert_false(fault_fired());
	assert_false(FAULT("a"));
}

static void a_fault_from_the_environment(void **state)
{
	static const char *const bad[] = { "", "here", "here:", "here:x", "here:0", "here:1x" };

	(void)state;
	fault_off();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("NEWSXD_FAULT", bad[i], 1);
		fault_from_environment();
		assert_false(FAULT("here"));
	}
	setenv("NEWSXD_FAULT", "here:2:error", 1);
	fault_from_environment();
	assert_false(FAULT("here"));
	assert_true(FAULT("here"));
	setenv("NEWSXD_FAULT", "*:1", 1);
	fault_from_environment();
	assert_true(FAULT("anywhere"));
	unsetenv("NEWSXD_FAULT");
	fault_off();
}

static void a_crash_is_a_crash(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		setenv("NEWSXD_FAULT", "here:1:crash", 1);
		fault_from_environment();
		_exit(FAULT("here") ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 137);
}
#else
static void a_release_has_no_faults(void **state)
{
	(void)state;
	fault_arm("here", 1, true);
	assert_false(FAULT("here"));
	assert_false(fault_fired());
	fault_off();
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fake_clock_stands_still),
		cmocka_unit_test(times_are_written_in_utc),
#ifdef FAULTS
		cmocka_unit_test(a_fault_fires_once_at_its_pass),
		cmocka_unit_test(a_fault_from_the_environment),
		cmocka_unit_test(a_crash_is_a_crash),
#else
		cmocka_unit_test(a_release_has_no_faults),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
