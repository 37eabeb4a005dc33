/*
 * files.c - do the files that the configuration names exist, and are they kept from strangers?
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/settings.h"

#define KEY_MODE  0640
#define FILE_MOST (8 << 20) /* octets; more is no key, and no list of a partner */

/* not the words of OpenSSL, and never a wait for who writes into a pipe */
static int look(const char *place, const char *what, const char *path, struct stat *ret,
		struct why *why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r = 0;

	if (fd < 0 && errno == ENOENT)
		return why_set(why, NX_ECONF, "%s: %s %s does not exist; %s", place, what, path,
			       *what == 'C'
				       ? "the partner's CA gives it"
				       : "newsxctl key new --name NAME --out DIR makes key and "
					 "certificate");
	if (fd < 0 && errno == EACCES)
		return why_set(why, NX_ECONF,
			       "%s: %s %s cannot be read: Permission denied; the service reads it "
			       "as user newsxd: chgrp newsxd, chmod 0640",
			       place, what, path);
	if (fd < 0)
		return why_set(why, NX_ECONF, "%s: %s %s cannot be read: %s", place, what, path,
			       strerror(errno));
	if (fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode))
		r = why_set(why, NX_ECONF, "%s: %s %s is no file", place, what, path);
	else if (ret->st_size == 0)
		r = why_set(why, NX_ECONF, "%s: %s %s is empty", place, what, path);
	else if (ret->st_size > FILE_MOST)
		r = why_set(why, NX_ECONF, "%s: %s %s is larger than %d octets", place, what, path,
			    FILE_MOST);
	close(fd);
	return r;
}

static int look_key(const struct conf *conf, struct why *why)
{
	const char *place = conf_place(conf, conf->node_key);
	struct stat st = { 0 };
	int r = look(place, "key", conf->node_key, &st, why);

	if (r < 0)
		return r;
	if (st.st_mode & 07777 & ~(mode_t)KEY_MODE)
		return why_set(why, NX_ECONF,
			       "%s: key has mode %04o, wider than %04o: chmod %04o %s", place,
			       st.st_mode & 07777, KEY_MODE, KEY_MODE, conf->node_key);
	return 0;
}

int conf_check_files(const struct conf *conf, struct why *why)
{
	struct stat st;
	int r = look_key(conf, why);

	if (r == 0)
		r = look(conf_place(conf, conf->node_certificate), "certificate",
			 conf->node_certificate, &st, why);
	for (unsigned i = 0; r == 0 && i < conf->partners_n; i++) {
		const struct conf_partner *partner = &conf->partners[i];

		if (*partner->ca != '\0')
			r = look(conf_place(conf, partner->ca), "CA", partner->ca, &st, why);
		if (r == 0 && *partner->crl != '\0')
			r = look(conf_place(conf, partner->crl), "CRL", partner->crl, &st, why);
	}
	return r;
}
