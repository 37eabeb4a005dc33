/*
 * files.c - do the files that the configuration names exist, and are they kept from strangers?
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/settings.h"

#define KEY_MODE 0640

static int look(const char *what, const char *path, struct stat *ret, struct why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r = 0;

	if (fd < 0 && errno == ENOENT)
		return why_set(why, NX_ECONF, "%s %s does not exist; %s", what, path,
			       *what == 'C'
				       ? "the partner's CA gives it"
				       : "newsxctl key new --name NAME --out DIR makes key and "
					 "certificate");
	if (fd < 0)
		return why_set(why, NX_ECONF, "%s %s cannot be read: %s", what, path,
			       strerror(errno));
	if (fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode))
		r = why_set(why, NX_ECONF, "%s %s is no file", what, path);
	close(fd);
	return r;
}

int conf_check_files(const struct conf *conf, struct why *why)
{
	struct stat st;
	int r = look("key", conf->node_key, &st, why);

	if (r < 0)
		return r;
	if (st.st_mode & 07777 & ~(mode_t)KEY_MODE)
		return why_set(why, NX_ECONF, "key has mode %04o, wider than %04o: chmod %04o %s",
			       st.st_mode & 07777, KEY_MODE, KEY_MODE, conf->node_key);
	r = look("certificate", conf->node_certificate, &st, why);
	for (unsigned i = 0; r == 0 && i < conf->partners_n; i++) {
		const struct conf_partner *partner = &conf->partners[i];

		if (*partner->ca != '\0')
			r = look("CA", partner->ca, &st, why);
		if (r == 0 && *partner->crl != '\0')
			r = look("CRL", partner->crl, &st, why);
	}
	return r;
}
