/* who is let in, and the word for each who is not */
#include "rig.h"

#include "net/listen_priv.h"

#include <malloc.h>
#include <sys/resource.h>

static void refused_with(struct rig *rig, struct client *client, int code)
{
	unsigned before = rig->refusals;

	until(rig, rig->refusals > before, client_shake(client));
	if (rig->code != code)
		fail_msg("refused with %s (%s), not %s", nx_word(rig->code), rig->words,
			 nx_word(code));
	assert_true(rig->words[0] != '\0');
	assert_int_equal(strncmp(rig->address, "127.0.0.1:", 10), 0);
}

/* what the client reads: the alert, not a reset */
static void alert_arrives(struct rig *rig, struct client *client, int alert)
{
	until(rig, client->failed || client->eof, (client_shake(client), client_read(client, -1)));
	assert_int_equal(client->alert, alert);
	until(rig, listen_connections(rig->listen) == 0, client_free(&client));
}

static void no_certificate(void **state)
{
	struct rig *rig = *state;
	struct client *client;

	rig_open(rig);
	client = client_new(rig, NULL, "newsxd/1", TLS1_3_VERSION, 0);
	refused_with(rig, client, NX_ENOCERT);
	assert_false(rig->peer_seen);
	alert_arrives(rig, client, SSL_AD_CERTIFICATE_REQUIRED);
}

static void unknown_key(void **state)
{
	struct rig *rig = *state;
	struct client *client;
	uint8_t pin[32];

	rig_open(rig);
	client = client_new(rig, "stranger", "newsxd/1", TLS1_3_VERSION, 0);
	refused_with(rig, client, NX_EUNKNOWNKEY);
	assert_true(rig->peer_seen);
	pin_of(rig->dir, "stranger", pin);
	assert_memory_equal(rig->peer.pin, pin, 32);
	assert_string_equal(rig->peer.name, "stranger");
	assert_int_equal(strncmp(rig->peer.pin_text, "sha256:", 7), 0);
	assert_int_equal(strlen(rig->peer.pin_text), 7 + 44);
	assert_int_equal(strlen(rig->peer.spoken), 12 * 5 + 11);
	alert_arrives(rig, client, SSL_AD_BAD_CERTIFICATE);
}

static void expired(void **state)
{
	struct rig *rig = *state;
	struct client *client;

	make_identity(rig->dir, "old", "EC", -86400 * 9, -86400);
	pin_of(rig->dir, "old", rig->known);
	rig_open(rig);
	/* expiry is admit()'s affair alone: it may let a certificate in that is over its time */
	client = client_new(rig, "old", "newsxd/1", TLS1_3_VERSION, 0);
	until(rig, rig->opened == 1, client_shake(client));
	assert_true(conn_peer(rig->sides[0].conn)->not_after_ms < clock_wall_ms());
	conn_close(&rig->sides[0].conn);
	client_free(&client);
	rig->verdict = NX_EEXPIRED;
	client = client_new(rig, "old", "newsxd/1", TLS1_3_VERSION, 0);
	refused_with(rig, client, NX_EEXPIRED);
	alert_arrives(rig, client, SSL_AD_CERTIFICATE_EXPIRED);
}

static void partner_has_too_many(void **state)
{
	struct rig *rig = *state;
	struct client *client;

	rig_open(rig);
	rig->verdict = NX_ETOOMANY;
	client = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, 0);
	refused_with(rig, client, NX_ETOOMANY);
	client_free(&client);
}

static void alpn(void **state)
{
	static const char *const wrong[] = { NULL, "h2", "newsxd/11", "newsxd/" };
	struct rig *rig = *state;

	rig_open(rig);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct client *client = client_new(rig, "kpl", wrong[i], TLS1_3_VERSION, 0);

		refused_with(rig, client, NX_EALPN);
		alert_arrives(rig, client, SSL_AD_NO_APPLICATION_PROTOCOL);
	}
	assert_int_equal(rig->admits, 0);
}

static void old_tls(void **state)
{
	struct rig *rig = *state;
	struct client *client;

	rig_open(rig);
	client = client_new(rig, "kpl", "newsxd/1", TLS1_2_VERSION, 0);
	refused_with(rig, client, NX_EOLDTLS);
	alert_arrives(rig, client, SSL_AD_PROTOCOL_VERSION);
}

static void keys_of_every_kind(void **state)
{
	static const char *const kinds[] = { "EC", "ED25519", "RSA" };
	struct rig *rig = *state;

	rig_open(rig);
	for (size_t i = 0; i < 3; i++) {
		struct client *client;

		make_identity(rig->dir, kinds[i], kinds[i], -86400, 86400);
		pin_of(rig->dir, kinds[i], rig->known);
		client = client_new(rig, kinds[i], "newsxd/1", TLS1_3_VERSION, 0);
		until(rig, rig->opened == i + 1 && client->ready, client_shake(client));
		client_free(&client);
	}
}

static void garbage(void **state)
{
	static const char *const words[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-x\r\n",
					     "\x16\x03\x01\xff\xff\x01" };
	struct rig *rig = *state;

	rig->limits.handshake_ms = 300;
	rig_open(rig);
	for (size_t i = 0; i < 3; i++) {
		int fd = dial(rig, 0);

		assert_true(write(fd, words[i], strlen(words[i])) > 0);
		until(rig, rig->refusals == i + 1, (void)0);
		assert_true(rig->code == NX_EHANDSHAKE || rig->code == NX_ESLOW ||
			    rig->code == NX_EOLDTLS);
		assert_false(rig->peer_seen);
		close(fd);
		until(rig, listen_connections(rig->listen) == 0, (void)0);
	}
}

static void too_slow(void **state)
{
	struct rig *rig = *state;
	int silent, halfway;

	rig->limits.handshake_ms = 60;
	rig_open(rig);
	silent = dial(rig, 0);
	until(rig, rig->refusals == 1, (void)0);
	assert_int_equal(rig->code, NX_ESLOW);
	halfway = dial(rig, 0);
	assert_int_equal(write(halfway, "\x16\x03\x01\x02", 4), 4);
	until(rig, rig->refusals == 2, (void)0);
	assert_int_equal(rig->code, NX_ESLOW);
	close(silent);
	close(halfway);
}

static void gone_before(void **state)
{
	struct rig *rig = *state;
	int fd;

	rig_open(rig);
	fd = dial(rig, 0);
	close(fd);
	until(rig, rig->refusals == 1, (void)0);
	assert_int_equal(rig->code, NX_EEOF);
	fd = dial(rig, 0);
	assert_int_equal(write(fd, "\x16\x03\x01", 3), 3);
	close(fd);
	until(rig, rig->refusals == 2, (void)0);
	assert_int_equal(rig->code, NX_EEOF);
	assert_int_equal(listen_connections(rig->listen), 0);
}

static void ceilings(void **state)
{
	struct rig *rig = *state;
	int fds[4];

	rig->limits.connections_per_address = 3;
	rig_open(rig);
	for (int i = 0; i < 3; i++)
		fds[i] = dial(rig, 0);
	until(rig, listen_connections(rig->listen) == 3, (void)0);
	fds[3] = dial(rig, 0);
	until(rig, rig->refusals == 1, (void)0);
	assert_int_equal(rig->code, NX_EADDRESS);
	rig->limits.connections_max = 3;
	listen_reload(rig->listen, rig->tls, &rig->limits);
	close(fds[3]);
	for (int i = 0; i < 3; i++)
		assert_int_equal(write(fds[i], "\x16", 1), 1);
	until(rig, rig->listen->handshakes == 3, (void)0);
	fds[3] = dial(rig, 0);
	until(rig, rig->refusals == 2, (void)0);
	assert_int_equal(rig->code, NX_ETOOMANY);
	close(fds[0]); /* one goes: there is room again */
	until(rig, listen_connections(rig->listen) == 2, (void)0);
	close(fds[3]);
	fds[3] = dial(rig, 0);
	until(rig, listen_connections(rig->listen) == 3, (void)0);
	for (int i = 1; i < 4; i++)
		close(fds[i]);
}

/* one handshake at a time: a second guest waits until the first is done, then is let in */
static void handshakes_wait(void **state)
{
	struct rig *rig = *state;
	struct client *client;
	int first;

	rig->limits.handshakes_max = 1;
	rig_open(rig);
	first = dial(rig, 0);
	assert_int_equal(write(first, "\x16", 1), 1);
	client = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, 0);
	for (int i = 0; i < 50; i++) {
		client_shake(client);
		rig_turn(rig);
	}
	assert_int_equal(rig->opened, 0);
	close(first);
	until(rig, rig->opened == 1, client_shake(client));
	client_free(&client);
}

/* and while it waits, the first has a second to get on */
static void who_holds_up_others_is_slow(void **state)
{
	struct rig *rig = *state;
	struct client *client;
	int first;

	rig->limits.handshakes_max = 1;
	rig_open(rig);
	first = dial(rig, 0);
	assert_int_equal(write(first, "\x16", 1), 1);
	until(rig, rig->listen->handshakes == 1, (void)0);
	client = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, 0);
	until(rig, rig->opened == 1, client_shake(client));
	assert_int_equal(rig->refusals, 1);
	assert_int_equal(rig->code, NX_ESLOW);
	client_free(&client);
	close(first);
}

/* one address has a quarter of the handshakes: others do not wait for it */
static void an_address_leaves_room(void **state)
{
	struct rig *rig = *state;
	struct client *client;
	int fds[8];

	rig->limits.handshakes_max = 8;
	rig_open(rig);
	for (int i = 0; i < 8; i++) {
		fds[i] = dial(rig, 0);
		assert_int_equal(write(fds[i], "\x16", 1), 1);
	}
	until(rig, listen_connections(rig->listen) == 8 && rig->listen->first_waiting != NULL,
	      (void)0);
	rig->from = 1;
	client = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, 0);
	until(rig, rig->opened == 1, client_shake(client));
	assert_int_equal(rig->refusals, 0);
	assert_int_equal(rig->listen->handshakes, 2);
	client_free(&client);
	for (int i = 0; i < 8; i++)
		close(fds[i]);
}

/* nobody who speaks is kept out by those who do not */
static void the_silent_give_way(void **state)
{
	struct rig *rig = *state;
	struct client *client;
	int fds[4];

	rig->limits.connections_max = 4;
	rig_open(rig);
	for (int i = 0; i < 4; i++)
		fds[i] = dial(rig, 0);
	until(rig, listen_connections(rig->listen) == 4, (void)0);
	client = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, 0);
	until(rig, rig->opened == 1, client_shake(client));
	assert_int_equal(rig->refusals, 1);
	assert_int_equal(rig->code, NX_ESLOW);
	assert_int_equal(listen_connections(rig->listen), 4);
	client_free(&client);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

static unsigned fds_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 4096; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void no_descriptors_left(void **state)
{
	struct rig *rig = *state;
	struct rlimit was, few;
	struct client *client;
	int fd, hold[64], n = 0;

	rig_open(rig);
	fd = dial(rig, 0);
	getrlimit(RLIMIT_NOFILE, &was);
	few = was;
	few.rlim_cur = fds_open() + 8;
	setrlimit(RLIMIT_NOFILE, &few);
	while (n < 64 && (hold[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	until(rig, rig->refusals == 1, (void)0);
	assert_int_equal(rig->code, NX_ETOOMANY);
	while (n > 0)
		close(hold[--n]);
	setrlimit(RLIMIT_NOFILE, &was);
	close(fd);
	client = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, 0);
	until(rig, rig->opened == 1, client_shake(client));
	client_free(&client);
}

#define SILENT 1000
static void silent_sockets_cost_nothing(void **state)
{
	struct rig *rig = *state;
	struct rlimit limit;
	int fds[SILENT];
	size_t before, after;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < 2 * SILENT + 100)
		skip();
	rig->limits.connections_max = rig->limits.connections_per_address = SILENT;
	rig_open(rig);
	before = mallinfo2().uordblks;
	for (int i = 0; i < SILENT; i++) {
		fds[i] = dial(rig, 0);
		rig_turn(rig);
	}
	until(rig, listen_connections(rig->listen) == SILENT, (void)0);
	after = mallinfo2().uordblks;
	print_message("a silent socket: %zu octets\n", (after - before) / SILENT);
	assert_true(after - before < 2 << 20);
	for (int i = 0; i < SILENT; i++)
		close(fds[i]);
	until(rig, listen_connections(rig->listen) == 0, (void)0);
}

static void close_with_guests(void **state)
{
	struct rig *rig = *state;
	struct client *client, *live;
	struct side *side;
	int silent;

	rig_open(rig);
	live = client_in(rig, 0, &side);
	silent = dial(rig, 0);
	client = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, 0);
	until(rig, listen_connections(rig->listen) == 3, client_shake(client));
	listen_close(&rig->listen);
	assert_int_equal(rig->refusals, 0);
	/* the live one stays */
	side->to_say = 5;
	conn_want(side->conn);
	until(rig, live->in == 5, client_read(live, -1));
	client_free(&client);
	client_free(&live);
	close(silent);
}

/* the key changes under the listener: new guests see it, a live conn asks the new table */
static void reload(void **state)
{
	struct rig *rig = *state;
	struct client *client;
	struct tls *tls = NULL;
	struct side *side;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	make_identity(rig->dir, "server", "EC", -86400, 86400);
	rig_tls(rig, &tls);
	assert_memory_not_equal(tls_self(tls)->pin, tls_self(rig->tls)->pin, 32);
	listen_reload(rig->listen, tls, &rig->limits);
	assert_int_equal(conn_admit_again(side->conn, tls), 0);
	memset(rig->known, 0, 32);
	assert_int_equal(conn_admit_again(side->conn, tls), NX_EUNKNOWNKEY);
	tls_free(&rig->tls);
	rig->tls = tls;
	client_free(&client);
}

static void addresses(void **state)
{
	static const char *const bad[] = { "",         "127.0.0.1",      ":7417",
					   "::1:7417", "localhost:7417", "127.0.0.1:port",
					   "[::1]",    "300.1.1.1:1" };
	struct rig *rig = *state;
	struct why why;
	const char *both[] = { "127.0.0.1:0", "[::1]:0" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(listen_open(rig->loop, &bad[i], 1, rig->tls, &rig->limits,
					     &rig_ops, rig, &rig->listen, &why),
				 NX_ECONF);
		assert_null(rig->listen);
	}
	rig_open(rig);
	both[1] = listen_address(rig->listen, 0); /* taken */
	struct listen *second = NULL;
	assert_int_equal(listen_open(rig->loop, both, 2, rig->tls, &rig->limits, &rig_ops, rig,
				     &second, &why),
			 NX_ESYS);
	assert_non_null(strstr(why.words, both[1]));
	assert_null(listen_address(rig->listen, 1));
}

/* 192.0.2.0/24 and 2001:db8::/32 are for documents: no machine has them */
static void an_address_that_is_not_there_yet(void **state)
{
	const char *const some[] = { "127.0.0.1:0", "192.0.2.1:0", "[::1]:0", "[2001:db8::1]:0",
				     "0.0.0.0:0" };
	struct rig *rig = *state;
	struct why why = { 0 };

	rig_open(rig);
	listen_close(&rig->listen);
	if (listen_open(rig->loop, some, 5, rig->tls, &rig->limits, &rig_ops, rig, &rig->listen,
			&why) < 0)
		fail_msg("%s", why.words);
	for (unsigned i = 0; i < 5; i++) {
		assert_non_null(listen_address(rig->listen, i));
		assert_int_equal(listen_absent(rig->listen, i), i == 1 || i == 3);
	}
	assert_false(listen_absent(rig->listen, 5));
	assert_null(listen_address(rig->listen, 5));
}

static struct sockaddr_in6 at_6(const char *address)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(50412) };

	assert_int_equal(inet_pton(AF_INET6, address, &at.sin6_addr), 1);
	return at;
}

/* a socket unit's listener takes both families, and gives IPv4 addresses inside IPv6 ones */
static void addresses_inside_others(void **state)
{
	const struct sockaddr_in plain = { .sin_family = AF_INET,
					   .sin_port = htons(50412),
					   .sin_addr.s_addr = htonl(0xc0000207) };
	const struct sockaddr_in6 mapped = at_6("::ffff:192.0.2.7"),
				  other = at_6("::ffff:198.51.100.1"), a = at_6("2001:db8::1"),
				  b = at_6("2001:db8::ff:1");
	struct gate *gate = gate_new();
	struct place *places[3] = { NULL };
	char text[64];

	(void)state;
	gate_address_text((const void *)&mapped, text, sizeof(text));
	assert_string_equal(text, "192.0.2.7:50412");
	gate_address_text((const void *)&a, text, sizeof(text));
	assert_string_equal(text, "[2001:db8::1]:50412");
	assert_int_equal(gate_enter(gate, (const void *)&mapped, 9, 1, &places[0]), 0);
	assert_int_equal(gate_enter(gate, (const void *)&plain, 9, 1, &places[1]), NX_EADDRESS);
	assert_int_equal(gate_enter(gate, (const void *)&other, 9, 1, &places[1]), 0);
	assert_int_equal(gate_enter(gate, (const void *)&a, 9, 1, &places[2]), 0);
	assert_int_equal(gate_enter(gate, (const void *)&b, 9, 1, &places[2]), NX_EADDRESS);
	for (unsigned i = 0; i < 3; i++)
		gate_leave(&places[i]);
	gate_free(&gate);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(no_certificate),
		T(unknown_key),
		T(expired),
		T(partner_has_too_many),
		T(alpn),
		T(old_tls),
		T(keys_of_every_kind),
		T(garbage),
		T(too_slow),
		T(gone_before),
		T(ceilings),
		T(handshakes_wait),
		T(who_holds_up_others_is_slow),
		T(an_address_leaves_room),
		T(the_silent_give_way),
		T(no_descriptors_left),
		T(silent_sockets_cost_nothing),
		T(close_with_guests),
		T(reload),
		T(addresses),
		T(an_address_that_is_not_there_yet),
		T(addresses_inside_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
