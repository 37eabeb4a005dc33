/* notify_say.c - one datagram to systemd, with a descriptor or without. */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/notify_priv.h"

/* where systemd listens. returns 1; 0: nowhere; NX_ESYS: that is no name of a socket */
static int ear(struct sockaddr_un *to, socklen_t *ret_n)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;

	if (n == 0)
		return 0;
	if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof(to->sun_path))
		return NX_ESYS;
	*to = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(to->sun_path, path, n);
	if (path[0] == '@')
		to->sun_path[0] = '\0'; /* an abstract name: its length ends it, no NUL does */
	*ret_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return 1;
}

int notify_say(const char *what, int with)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct sockaddr_un to;
	struct iovec octets = { (void *)what, strlen(what) };
	struct msghdr message = { .msg_name = &to, .msg_iov = &octets, .msg_iovlen = 1 };
	int r = ear(&to, &message.msg_namelen), fd;
	ssize_t sent;

	if (r <= 0)
		return r;
	if (with >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
						 .cmsg_type = SCM_RIGHTS,
						 .cmsg_len = CMSG_LEN(sizeof(int)) };
		memcpy(CMSG_DATA(&control.head), &with, sizeof(int));
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return NX_ESYS;
	sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	close(fd);
	return sent == (ssize_t)octets.iov_len ? 1 : NX_ESYS;
}
