/* gate.c - see gate.h. */
#include "net/gate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS 256

struct place { /* one for all connections of an address */
	struct gate *gate;
	struct place *next;
	uint64_t key[2];
	unsigned n, shaking;
};
struct gate {
	unsigned refs, n; /* the owner's and one for each connection */
	struct place *buckets[BUCKETS];
};

struct gate *gate_new(void)
{
	struct gate *gate = calloc(1, sizeof(*gate));

	if (gate != NULL)
		gate->refs = 1;
	return gate;
}

static void gate_unref(struct gate *gate)
{
	if (--gate->refs == 0)
		free(gate);
}

void gate_free(struct gate **gate)
{
	if (*gate != NULL)
		gate_unref(*gate);
	*gate = NULL;
}

/* an IPv4 address is one too when it came through a socket of both families (::ffff:192.0.2.7), as
 * socket units make them */
static const void *ipv4_of(const struct sockaddr *from)
{
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)from)->sin6_addr;

	if (from->sa_family == AF_INET)
		return &((const struct sockaddr_in *)from)->sin_addr;
	return from->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6) ? v6->s6_addr + 12 : NULL;
}

static void key_of(const struct sockaddr *from, uint64_t key[2])
{
	const void *ipv4 = ipv4_of(from);

	key[0] = ipv4 ? AF_INET : from->sa_family;
	key[1] = 0;
	if (ipv4)
		memcpy(&key[1], ipv4, sizeof(struct in_addr));
	else if (from->sa_family == AF_INET6)
		memcpy(&key[1], &((const struct sockaddr_in6 *)from)->sin6_addr, sizeof(key[1]));
}

static struct place **find(struct gate *gate, const uint64_t key[2])
{
	uint64_t hash = (key[0] ^ key[1]) * UINT64_C(0x9e3779b97f4a7c15);
	struct place **at = &gate->buckets[hash >> 56];

	while (*at != NULL && ((*at)->key[0] != key[0] || (*at)->key[1] != key[1]))
		at = &(*at)->next;
	return at;
}

int gate_enter(struct gate *gate, const struct sockaddr *from, unsigned max,
	       unsigned max_per_address, struct place **ret)
{
	struct place **at;
	uint64_t key[2];

	if (gate->n >= max)
		return NX_ETOOMANY;
	key_of(from, key);
	at = find(gate, key);
	if (*at != NULL && (*at)->n >= max_per_address)
		return NX_EADDRESS;
	if (*at == NULL) {
		*at = calloc(1, sizeof(**at));
		if (*at == NULL)
			return NX_ENOMEM;
		(*at)->gate = gate;
		memcpy((*at)->key, key, sizeof(key));
	}
	(*at)->n++;
	gate->n++;
	gate->refs++;
	*ret = *at;
	return 0;
}

void gate_leave(struct place **place)
{
	struct gate *gate;

	if (*place == NULL)
		return;
	gate = (*place)->gate;
	gate->n--;
	if (--(*place)->n == 0) {
		struct place **at = find(gate, (*place)->key);

		*at = (*place)->next;
		free(*place);
	}
	*place = NULL;
	gate_unref(gate);
}

bool gate_shake(struct place *place, unsigned max_per_address)
{
	if (place->shaking >= max_per_address)
		return false;
	place->shaking++;
	return true;
}

void gate_shaken(struct place *place)
{
	place->shaking--;
}

unsigned gate_count(const struct gate *gate)
{
	return gate->n;
}

void gate_address_text(const struct sockaddr *from, char *to, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
	bool six = from->sa_family == AF_INET6;
	const void *ipv4 = ipv4_of(from);

	if (ipv4)
		inet_ntop(AF_INET, ipv4, host, sizeof(host));
	else if (six)
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
	snprintf(to, size, six && !ipv4 ? "[%s]:%u" : "%s:%u", host,
		 ntohs(six ? v6->sin6_port : v4->sin_port));
}
