#include "daemon/checking.h"

#include "core/admit.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* the folder of the store, or the nearest above it that is there */
static bool look_up(const char *directory, char path[4096], struct stat *ret)
{
	snprintf(path, 4096, "%s", directory);
	while (stat(path, ret) < 0) {
		char *slash = strrchr(path, '/');

		if (slash == NULL || slash == path)
			return false;
		*slash = '\0';
	}
	return true;
}

int checking_become_owner(const char *directory, char words[160])
{
	const struct passwd *passwd;
	char path[4096];
	struct stat st;
	bool well;

	if (geteuid() != 0 || !look_up(directory, path, &st) || st.st_uid == 0)
		return 0;
	passwd = getpwuid(st.st_uid);
	well = passwd ? initgroups(passwd->pw_name, passwd->pw_gid) == 0 &&
				setgid(passwd->pw_gid) == 0
		      : setgroups(1, &st.st_gid) == 0 && setgid(st.st_gid) == 0;
	snprintf(words, 160, " (looked at as %.32s, who owns %.100s)",
		 passwd ? passwd->pw_name : "the user", path);
	return well && setuid(st.st_uid) == 0 ? 1 : -1;
}

int checking(const char *file, struct conf **conf)
{
	char as[160] = "";
	struct why why = { 0 };
	int become = checking_become_owner((*conf)->store_directory, as), r = 0;

	if (become < 0) {
		fprintf(stderr, "newsxd: cannot become the owner of the store%s\n", as);
		return 1;
	}
	if (become > 0) {
		conf_free(conf);
		r = conf_read(file, conf, &why);
	}
	if (r == 0)
		r = conf_check_files(*conf, &why);
	if (r == 0)
		r = admit_check(*conf, &why);
	if (r < 0) {
		fprintf(stderr, "newsxd: %s%s\n", why.words[0] ? why.words : nx_word(r), as);
		return 1;
	}
	conf_print_rights(*conf, STDOUT_FILENO);
	return 0;
}
