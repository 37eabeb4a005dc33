#include "client/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static bool port_ok(const char *port)
{
	size_t n = strspn(port, "0123456789");
	unsigned value = 0;

	if (n == 0 || n > 5 || port[n] != '\0')
		return false;
	for (size_t i = 0; i < n; i++)
		value = value * 10 + (unsigned)(port[i] - '0');
	return value > 0 && value < 65536;
}

int dial_parse(const char *server, struct dial_to *ret, struct why *why)
{
	const char *host = server, *end, *port = DIAL_PORT;

	if (*server == '[') {
		host = server + 1;
		end = strchr(host, ']');
		if (end == NULL || (end[1] != ':' && end[1] != '\0'))
			return why_set(why, NX_EARG, "'%s' is not [ADDRESS]:PORT", server);
		if (end[1] == ':')
			port = end + 2;
	} else {
		end = strrchr(server, ':');
		if (end != NULL && memchr(server, ':', (size_t)(end - server)) != NULL)
			return why_set(why, NX_EARG,
				       "'%s': write an IPv6 address as [ADDRESS]:PORT", server);
		if (end != NULL)
			port = end + 1;
		else
			end = server + strlen(server);
	}
	if (end == host || (size_t)(end - host) >= sizeof(ret->host) || !port_ok(port))
		return why_set(why, NX_EARG, "'%s' is not HOST:PORT, as exchange.example:%s",
			       server, DIAL_PORT);
	memcpy(ret->host, host, (size_t)(end - host));
	ret->host[end - host] = '\0';
	snprintf(ret->port, sizeof(ret->port), "%s", port);
	snprintf(ret->text, sizeof(ret->text), *server == '[' ? "[%s]:%s" : "%s:%s", ret->host,
		 ret->port);
	return 0;
}

/* returns the connected socket, or -1 and errno */
static int connect_one(const struct addrinfo *address, int each_ms)
{
	int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
			address->ai_protocol);
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	int error = 0;
	socklen_t n = sizeof(error);

	if (fd < 0)
		return -1;
	if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
		return fd;
	if (errno != EINPROGRESS) {
		error = errno;
	} else {
		int r;

		do
			r = poll(&ready, 1, each_ms);
		while (r < 0 && errno == EINTR);
		if (r <= 0)
			error = r == 0 ? ETIMEDOUT : errno;
		else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0)
			error = errno;
	}
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

static int cannot_connect(const struct dial_to *to, int error, struct why *why)
{
	if (error == ECONNREFUSED)
		return why_set(why, NX_ECLOSED,
			       "nothing listens at %s: is the exchange running, is the port right?",
			       to->text);
	if (error == ETIMEDOUT)
		return why_set(
			why, NX_ECLOSED,
			"no answer from %s: is the line up, does a firewall let this through?",
			to->text);
	return why_set(why, NX_ECLOSED, "cannot connect to %s: %s", to->text, strerror(error));
}

static int cannot_find(const struct dial_to *to, int r, struct why *why)
{
	return why_set(why, NX_ECLOSED,
		       "cannot find %s: %s; is the name right, does this machine's name "
		       "service work?",
		       to->host, r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r));
}

int dial_connect(const struct dial_to *to, int each_ms, int *ret_fd, struct found *found,
		 struct why *why)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int error = ECONNREFUSED, r = getaddrinfo(to->host, to->port, &hints, &list);

	if (r != 0)
		return step_fail(found, STEP_NAME, cannot_find(to, r, why));
	*ret_fd = -1;
	for (struct addrinfo *at = list; at != NULL; at = at->ai_next) {
		int64_t began_us = step_us();

		found->addresses++;
		if (*ret_fd >= 0)
			continue;
		*ret_fd = connect_one(at, each_ms);
		error = errno;
		found->connect_us = step_us() - began_us;
		getnameinfo(at->ai_addr, at->ai_addrlen, found->address, sizeof(found->address),
			    NULL, 0, NI_NUMERICHOST);
	}
	freeaddrinfo(list);
	if (*ret_fd >= 0)
		return 0;
	return step_fail(found, STEP_PORT, cannot_connect(to, error, why));
}
