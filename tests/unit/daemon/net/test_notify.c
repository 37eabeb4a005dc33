/* the words that systemd hears */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/notify.h"

static int ear(const char *name, size_t n)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(at.sun_path, name, n);
	assert_int_equal(bind(fd, (struct sockaddr *)&at,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
			 0);
	return fd;
}

static void hears(int fd, const char *words)
{
	char heard[1024] = "";
	ssize_t n = recv(fd, heard, sizeof(heard) - 1, 0);

	assert_int_equal(n, strlen(words));
	assert_string_equal(heard, words);
}

static void all_words(int fd)
{
	char heard[256] = "";

	assert_int_equal(notify_ready(NULL), 1);
	hears(fd, "READY=1");
	assert_int_equal(notify_ready("3 partners"), 1);
	hears(fd, "READY=1\nSTATUS=3 partners");
	assert_int_equal(notify_status("two\nWATCHDOG=trigger"), 1);
	hears(fd, "STATUS=two WATCHDOG=trigger");
	assert_int_equal(notify_stopping(), 1);
	hears(fd, "STOPPING=1");
	assert_int_equal(notify_more_time(600000), 1);
	hears(fd, "EXTEND_TIMEOUT_USEC=600000000");
	assert_int_equal(notify_reloading(), 1);
	assert_true(recv(fd, heard, sizeof(heard) - 1, 0) > 0);
	assert_int_equal(strncmp(heard, "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
	assert_true(atoll(heard + 27) > 0);
}

static void a_path(void **state)
{
	char dir[] = "/tmp/net-notify.XXXXXX", path[64];
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	fd = ear(path, strlen(path) + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	all_words(fd);
	close(fd);
	assert_int_equal(notify_ready(NULL), NX_ESYS); /* nobody there any more */
	unlink(path);
	rmdir(dir);
}

static void an_abstract_name(void **state)
{
	char name[64], env[64];
	int fd;

	(void)state;
	snprintf(name + 1, sizeof(name) - 1, "newsxd-test-%d", getpid());
	name[0] = '\0';
	snprintf(env, sizeof(env), "@%s", name + 1);
	fd = ear(name, strlen(env));
	setenv("NOTIFY_SOCKET", env, 1);
	all_words(fd);
	close(fd);
}

static void nobody(void **state)
{
	char path[200];

	(void)state;
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_ready("x"), 0);
	setenv("NOTIFY_SOCKET", "", 1);
	assert_int_equal(notify_stopping(), 0);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_stopping(), NX_ESYS);
	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(notify_stopping(), NX_ESYS);
	unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_path),
					    cmocka_unit_test(an_abstract_name),
					    cmocka_unit_test(nobody) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
