/* kept.c - see kept.h. */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/gate.h"
#include "net/kept.h"
#include "net/notify_priv.h"

#define FIRST_FD 3
#define MOST     64
#define OUR_NAME "listener-"

struct one {
	char name[64];
	int fd; /* -1: it is taken, or was no listening socket */
};
struct kept {
	unsigned n, made;
	struct one v[MOST];
};

static bool is_listening(int fd)
{
	int type = 0, listening = 0;
	socklen_t n = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 && listening;
}

/* the n-th of names, which stand between colons */
static void nth_name(const char *names, unsigned nth, char *to, size_t size)
{
	size_t n;

	while (nth-- > 0 && *names != '\0') {
		names += strcspn(names, ":");
		names += *names == ':';
	}
	n = strcspn(names, ":");
	snprintf(to, size, "%.*s", (int)(n < size ? n : size - 1), names);
}

static bool is_ours(const struct one *one)
{
	return strncmp(one->name, OUR_NAME, sizeof(OUR_NAME) - 1) == 0;
}

static void forget(const struct one *one)
{
	char what[128];

	snprintf(what, sizeof(what), "FDSTOREREMOVE=1\nFDNAME=%s", one->name);
	notify_say(what, -1);
}

int kept_take(struct kept **ret)
{
	const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	const char *names = getenv("LISTEN_FDNAMES");
	struct kept *kept = calloc(1, sizeof(*kept));
	int n = count != NULL && pid != NULL && strtoll(pid, NULL, 10) == getpid()
			? (int)strtol(count, NULL, 10)
			: 0;

	if (kept == NULL)
		return NX_ENOMEM;
	for (int i = 0; i < n && i < MOST; i++) {
		struct one *one = &kept->v[kept->n++];

		one->fd = FIRST_FD + i;
		nth_name(names ? names : "", (unsigned)i, one->name, sizeof(one->name));
		fcntl(one->fd, F_SETFD, FD_CLOEXEC);
		if (is_listening(one->fd)) {
			fcntl(one->fd, F_SETFL, fcntl(one->fd, F_GETFL) | O_NONBLOCK);
		} else {
			if (is_ours(one)) /* it had made way for one that was not opened then */
				forget(one);
			close(one->fd);
			one->fd = -1;
		}
	}
	*ret = kept;
	return 0;
}

static bool same(const struct sockaddr *is, const struct sockaddr *wanted)
{
	const struct sockaddr_in *is4 = (const void *)is, *wanted4 = (const void *)wanted;
	const struct sockaddr_in6 *is6 = (const void *)is, *wanted6 = (const void *)wanted;

	if (is->sa_family != wanted->sa_family)
		return false;
	if (is->sa_family == AF_INET)
		return (wanted4->sin_port == 0 || wanted4->sin_port == is4->sin_port) &&
		       wanted4->sin_addr.s_addr == is4->sin_addr.s_addr;
	return is->sa_family == AF_INET6 &&
	       (wanted6->sin6_port == 0 || wanted6->sin6_port == is6->sin6_port) &&
	       wanted6->sin6_scope_id == is6->sin6_scope_id &&
	       memcmp(&wanted6->sin6_addr, &is6->sin6_addr, sizeof(is6->sin6_addr)) == 0;
}

int kept_find(struct kept *kept, const struct sockaddr *wanted)
{
	for (unsigned i = 0; i < kept->n; i++) {
		struct sockaddr_storage is = { 0 };
		socklen_t n = sizeof(is);
		int fd = kept->v[i].fd;

		if (fd < 0 || getsockname(fd, (struct sockaddr *)&is, &n) < 0 ||
		    !same((struct sockaddr *)&is, wanted))
			continue;
		kept->v[i].fd = -1;
		return fd;
	}
	return -1;
}

static bool is_any(const struct sockaddr *at)
{
	const struct sockaddr_in *at4 = (const void *)at;
	const struct sockaddr_in6 *at6 = (const void *)at;

	return at->sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&at6->sin6_addr)
					 : at4->sin_addr.s_addr == htonl(INADDR_ANY);
}

/* the port stands at the same place in both families */
static bool in_the_way(const struct sockaddr *is, const struct sockaddr *wanted)
{
	return ((const struct sockaddr_in *)is)->sin_port ==
		       ((const struct sockaddr_in *)wanted)->sin_port &&
	       (is_any(is) || is_any(wanted));
}

static int strange(const struct sockaddr *is, struct why *why)
{
	char address[64];

	gate_address_text(is, address, sizeof(address));
	return why_set(why, NX_ECONF,
		       "a socket unit gives us %s, which listen address does not have", address);
}

int kept_make_way(struct kept *kept, const struct sockaddr *wanted, struct why *why)
{
	int r = 0;

	for (unsigned i = 0; i < kept->n; i++) {
		struct sockaddr_storage is;
		socklen_t n = sizeof(is);
		int fd = kept->v[i].fd;

		memset(&is, 0, sizeof(is));
		if (fd < 0 || getsockname(fd, (struct sockaddr *)&is, &n) < 0 ||
		    !in_the_way((struct sockaddr *)&is, wanted))
			continue;
		if (!is_ours(&kept->v[i]))
			return strange((struct sockaddr *)&is, why);
		/* systemd has it too, so to close it is not enough */
		if (is.ss_family == wanted->sa_family && shutdown(fd, SHUT_RD) == 0)
			r = 1;
	}
	return r;
}

static bool has_name(const struct kept *kept, const char *name)
{
	for (unsigned i = 0; i < kept->n; i++)
		if (strcmp(kept->v[i].name, name) == 0)
			return true;
	return false;
}

void kept_add(struct kept *kept, int fd)
{
	char name[64], what[128];

	do
		snprintf(name, sizeof(name), OUR_NAME "%u", kept->made++);
	while (has_name(kept, name));
	snprintf(what, sizeof(what), "FDSTORE=1\nFDNAME=%s", name);
	notify_say(what, fd); /* one that is lost costs a refused connection at the next kill */
}

int kept_drop_rest(struct kept *kept, struct why *why)
{
	int r = 0;

	for (unsigned i = 0; i < kept->n; i++) {
		struct one *one = &kept->v[i];
		struct sockaddr_storage is = { 0 };
		socklen_t n = sizeof(is);

		if (one->fd < 0)
			continue;
		if (is_ours(one))
			forget(one);
		else if (getsockname(one->fd, (struct sockaddr *)&is, &n) == 0)
			r = strange((struct sockaddr *)&is, why);
		close(one->fd);
		one->fd = -1;
	}
	return r;
}

void kept_free(struct kept **kept)
{
	for (unsigned i = 0; *kept != NULL && i < (*kept)->n; i++)
		if ((*kept)->v[i].fd >= 0)
			close((*kept)->v[i].fd);
	free(*kept);
	*kept = NULL;
}
