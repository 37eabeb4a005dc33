/* octets both ways, whole; asked for just in time; every way a conn can end */
#include "rig.h"

#include <malloc.h>

#include "base/fault.h"
#include "tests/system/seal.h"

#define MANY (4u << 20)

static uint64_t random_below(uint64_t *seed, uint64_t n)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (*seed >> 33) % n;
}

static void same_digest(struct sha256 *a, struct sha256 *b)
{
	uint8_t digest_a[32], digest_b[32];

	sha256_end(a, digest_a);
	sha256_end(b, digest_b);
	assert_memory_equal(digest_a, digest_b, 32);
}

/* the client says `all` octets in pieces of random size; false while more is to be said */
struct mouth {
	uint64_t seed, all, said;
	size_t most, piece;
	struct sha256 *sha;
};
static void client_say(struct client *client, struct mouth *mouth)
{
	uint8_t room[40000];

	for (int turns = 0; turns < 8 && mouth->said < mouth->all; turns++) {
		int n;

		/* OpenSSL wants the same octets again, at least as many */
		if (mouth->piece == 0)
			mouth->piece = 1 + random_below(&mouth->seed, mouth->most);
		if (mouth->piece > mouth->all - mouth->said)
			mouth->piece = mouth->all - mouth->said;
		for (size_t i = 0; i < mouth->piece; i++)
			room[i] = octet_at(7, mouth->said + i);
		n = client_write(client, room, mouth->piece);
		if (n <= 0)
			return;
		sha256_add(mouth->sha, room, (size_t)n);
		mouth->said += (uint64_t)n;
		mouth->piece -= (size_t)n;
	}
}

static void both_ways(void **state)
{
	struct rig *rig = *state;

	rig_open(rig);
	for (uint64_t seed = 1; seed <= 3; seed++) {
		struct side *side;
		struct client *client = client_in(rig, seed == 2 ? 4096 : 0, &side);
		struct mouth mouth = { .seed = seed, .all = MANY, .most = 39999 };

		mouth.sha = sha256_new();
		side->out_sha = sha256_new();
		side->to_say = MANY + seed;
		side->take = seed == 3 ? 777 : 0;
		conn_want(side->conn);
		until(rig, client->in == side->to_say && side->in == MANY,
		      (client_say(client, &mouth),
		       client_read(client, (int)random_below(&mouth.seed, 60000))));
		same_digest(client->in_sha, side->out_sha);
		same_digest(side->in_sha, mouth.sha);
		assert_int_equal(conn_octets_in(side->conn), MANY);
		assert_int_equal(conn_octets_out(side->conn), MANY + seed);
		assert_int_equal(conn_peek(side->conn).n, 0);
		assert_int_equal(conn_stalled_ms(side->conn), 0);
		sha256_free(&mouth.sha);
		client_free(&client);
		until(rig, side->error || side->eof, (void)0);
	}
}

static void one_octet_at_a_time(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;
	struct mouth mouth = { .seed = 1, .all = 5000, .most = 1 };

	rig_open(rig);
	client = client_in(rig, 0, &side);
	mouth.sha = sha256_new();
	until(rig, side->in == 5000, client_say(client, &mouth));
	same_digest(side->in_sha, mouth.sha);
	sha256_free(&mouth.sha);
	for (side->to_say = 1; side->to_say <= 300; side->to_say++) {
		conn_want(side->conn);
		until(rig, client->in == side->to_say, client_read(client, 1));
	}
	client_free(&client);
}

/* what is not taken stays, up to a ceiling; then we do not read; taking it starts us again */
static void not_taken(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;
	struct mouth mouth = { .seed = 1, .all = 8u << 20, .most = 39999 };
	uint64_t said = 1;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	side->keep = true;
	mouth.sha = sha256_new();
	until(rig, conn_peek(side->conn).n >= CONN_IN_MAX, client_say(client, &mouth));
	while (said != mouth.said) { /* until nothing moves */
		said = mouth.said;
		for (int i = 0; i < 20; i++) {
			client_say(client, &mouth);
			rig_turn(rig);
		}
	}
	assert_true(conn_peek(side->conn).n < CONN_IN_MAX + LOOP_IN_ROOM);
	assert_true(mouth.said < mouth.all);
	side->keep = false;
	side_data(side);
	until(rig, side->in == mouth.all, client_say(client, &mouth));
	same_digest(side->in_sha, mouth.sha);
	sha256_free(&mouth.sha);
	client_free(&client);
}

/* nothing is asked ahead of room: what waits here and in the kernel is little, whatever there is to
 * say */
static void asked_just_in_time(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;
	uint64_t before;
	unsigned asked;

	rig_open(rig);
	client = client_in(rig, 4096, &side);
	assert_int_equal(side->asked, 0);
	side->to_say = UINT64_MAX / 2;
	conn_want(side->conn);
	for (int i = 0; i < 200; i++)
		rig_turn(rig);
	before = side->said;
	asked = side->asked;
	for (int i = 0; i < 200; i++) {
		conn_want(side->conn);
		rig_turn(rig);
	}
	assert_int_equal(side->asked, asked); /* a full line asks for nothing */
	assert_true(conn_stalled_ms(side->conn) >= 0);
	until(rig, client->in >= before, client_read(client, 4096));
	/* what was said when the line was full has now arrived; ahead of it is at most a batch and
	 * the kernel */
	assert_true(side->said - client->in < 256u << 10);
	assert_true(side->said > before);
	client_free(&client);
}

/* a peer that reads 250 kB/s: the rate is found, frames get small, and a flash waits for about two
 * of them */
static void slow_reader(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;
	int64_t began_ms = clock_boot_ms(), now_ms = began_ms, knew_ms = 0;
	const uint64_t rate = 250000;
	uint64_t ahead_most = 0;

	rig_open(rig);
	client = client_in(rig, 4096, &side);
	side->to_say = UINT64_MAX / 2;
	conn_want(side->conn);
	while (now_ms - began_ms < 2500) {
		uint64_t due = (uint64_t)(now_ms - began_ms) * rate / 1000;

		if (due > client->in)
			client_read(client, (int)(due - client->in));
		rig_turn(rig);
		now_ms = clock_boot_ms();
		if (conn_rate(side->conn) < rate * 3 / 2 && conn_rate(side->conn) > rate / 2) {
			if (knew_ms == 0)
				knew_ms = now_ms - began_ms;
		} else {
			knew_ms = 0;
		}
		if (now_ms - began_ms > 1800 && side->said - client->in > ahead_most)
			ahead_most = side->said - client->in;
	}
	print_message("rate %llu after %lld ms, frames of %zu, %llu octets under way (%llu ms)\n",
		      (unsigned long long)conn_rate(side->conn), (long long)knew_ms,
		      side->last_small_max, (unsigned long long)ahead_most,
		      (unsigned long long)(ahead_most * 1000 / rate));
	assert_true(knew_ms > 0 && knew_ms < 1900);
	assert_true(ahead_most < 48 << 10); /* the peer's own buffer included */
	assert_true(side->last_small_max <= 12000 && side->last_small_max >= 3500);
	client_free(&client);
}

static void close_in_callback(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	side->close_on_data = true;
	assert_int_equal(client_write(client, "x", 1), 1);
	until(rig, side->closed && client->eof, client_read(client, -1));
	assert_int_equal(listen_connections(rig->listen), 0);
	client_free(&client);
}

static size_t close_in_produce(void *arg, uint8_t *to, size_t room, size_t small_max)
{
	struct side *side = arg;

	(void)room, (void)small_max;
	memset(to, 1, 100);
	conn_close(&side->conn);
	side->closed = true;
	return 100;
}

static void close_while_asked(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	conn_handlers(side->conn, side_event, close_in_produce, side);
	conn_want(side->conn);
	until(rig, side->closed && (client->eof || client->failed), client_read(client, -1));
	assert_int_equal(client->in, 0);
	client_free(&client);
}

static void proper_end(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	assert_int_equal(client_write(client, "last words", 10), 10);
	SSL_shutdown(client->ssl);
	until(rig, side->eof, (void)0);
	assert_int_equal(side->code, NX_EEOF);
	assert_int_equal(side->in, 10);
	/* half closed: our answers still go */
	side->to_say = 300000;
	side->eof = false;
	conn_finish(side->conn, 5000);
	until(rig, side->eof && client->eof, client_read(client, -1));
	assert_int_equal(client->in, 300000);
	assert_false(side->error);
	client_free(&client);
}

static void dies_mid_record(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	assert_int_equal(client_write(client, "whole", 5), 5);
	assert_int_equal(write(client->fd, "\x17\x03\x03\x40\x00half", 9), 9);
	until(rig, side->in == 5, (void)0);
	close(client->fd);
	client->fd = -1;
	until(rig, side->error, (void)0);
	assert_false(side->eof);
	assert_int_equal(side->code, NX_EEOF);
	client_free(&client);
}

static void reset(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 },
		   sizeof(struct linger));
	side->to_say = UINT64_MAX / 2;
	conn_want(side->conn);
	close(client->fd);
	client->fd = -1;
	until(rig, side->error, (void)0);
	assert_int_equal(side->code, NX_EEOF);
	client_free(&client);
}

static void a_bad_record(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;
	uint8_t record[5 + 40] = "\x17\x03\x03\x00\x28";

	rig_open(rig);
	client = client_in(rig, 0, &side);
	assert_int_equal(write(client->fd, record, sizeof(record)), sizeof(record));
	until(rig, side->error, (void)0);
	assert_int_equal(side->code, NX_ETLS);
	client_free(&client);
}

static void finish_says_all(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 4096, &side);
	side->out_sha = sha256_new();
	side->to_say = 2 << 20;
	conn_finish(side->conn, RIG_MS);
	until(rig, client->eof, client_read(client, 8192));
	assert_int_equal(client->in, 2 << 20);
	same_digest(client->in_sha, side->out_sha);
	assert_false(side->eof); /* the peer has not hung up yet */
	SSL_shutdown(client->ssl);
	until(rig, side->eof, (void)0);
	conn_close(&side->conn);
	until(rig, listen_connections(rig->listen) == 0, (void)0);
	client_free(&client);
}

static void finish_is_bounded(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 4096, &side);
	side->to_say = UINT64_MAX / 2; /* more than it will ever read */
	conn_finish(side->conn, 50);
	until(rig, side->error, (void)0);
	assert_int_equal(side->code, NX_ESTALL);
	client_free(&client);
	conn_close(&side->conn);
	/* all said, but the peer never hangs up: that is well enough */
	client = client_in(rig, 0, &side);
	side->to_say = 10;
	conn_finish(side->conn, 50);
	until(rig, side->eof, (void)0);
	assert_false(side->error);
	client_free(&client);
}

static void stalled(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;
	int64_t most = 0;

	rig_open(rig);
	client = client_in(rig, 4096, &side);
	assert_int_equal(conn_stalled_ms(side->conn), 0);
	side->to_say = UINT64_MAX / 2;
	conn_want(side->conn);
	until(rig, (most = conn_stalled_ms(side->conn)) >= 100, (void)0);
	/* it reads again: the count begins anew */
	until(rig, conn_stalled_ms(side->conn) < 50, client_read(client, 4096));
	side->to_say = side->said;
	until(rig, client->in == side->said, client_read(client, -1));
	until(rig, conn_stalled_ms(side->conn) == 0, (void)0);
	client_free(&client);
}

static void key_updates(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	for (int i = 0; i < KEY_UPDATES_A_MINUTE; i++) { /* a few are well, and are answered */
		SSL_key_update(client->ssl, SSL_KEY_UPDATE_REQUESTED);
		assert_int_equal(client_write(client, "x", 1), 1);
		until(rig, side->in == (uint64_t)i + 1, client_read(client, -1));
	}
	side->to_say = 1000;
	conn_want(side->conn);
	until(rig, client->in == 1000, client_read(client, -1));
	assert_false(side->error);
	SSL_key_update(client->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
	assert_int_equal(client_write(client, "x", 1), 1);
	until(rig, side->error, (void)0);
	assert_int_equal(side->code, NX_EKEYUPDATE);
	client_free(&client);
}

/* thousands of them in one piece: no more than the first few are worked on */
static void key_update_flood(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	for (int i = 0; i < 2000 && !client->failed; i++) {
		SSL_key_update(client->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		ERR_clear_error();
		client_result(client, SSL_do_handshake(client->ssl));
	}
	until(rig, side->error, (void)0);
	assert_int_equal(side->code, NX_EKEYUPDATE);
	assert_true(side->conn->talk.key_updates <= KEY_UPDATES_A_MINUTE + 2);
	client_free(&client);
}

/* our own key is renewed after so many records; the stream does not notice */
static void renews_its_key(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;

	rig_open(rig);
	client = client_in(rig, 0, &side);
	side->conn->records_a_key = 5;
	side->out_sha = sha256_new();
	side->to_say = 1 << 20;
	conn_want(side->conn);
	until(rig, client->in == side->to_say, client_read(client, -1));
	same_digest(client->in_sha, side->out_sha);
	assert_true(side->conn->talk.records_out <= 6);
	client_free(&client);
}

/* one who sends without pause does not keep the others from being heard */
static void fair(void **state)
{
	struct rig *rig = *state;
	struct side *loud, *quiet;
	struct client *a, *b;
	struct mouth mouth = { .seed = 1, .all = UINT64_MAX / 2, .most = 39999 };
	uint64_t before;

	rig_open(rig);
	a = client_in(rig, 0, &loud);
	b = client_in(rig, 0, &quiet);
	mouth.sha = sha256_new();
	for (int i = 0; i < 40; i++)
		client_say(a, &mouth);
	before = loud->in;
	assert_int_equal(client_write(b, "now", 3), 3);
	rig_turn(rig);
	rig_turn(rig);
	assert_int_equal(quiet->in, 3);
	assert_true(loud->in - before <= 2 * CONN_TURN_OCTETS);
	sha256_free(&mouth.sha);
	client_free(&a);
	client_free(&b);
}

static void keylog(const SSL *ssl, const char *line)
{
	seal_begin(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)), line);
}

/* nor does one whose records are filled up: they cost as much as they are long */
static void fair_with_filling(void **state)
{
	static uint8_t records[256 * SEAL_MOST];
	struct rig *rig = *state;
	struct seal seal = { 0 };
	struct side *side;
	struct client *client;
	size_t n = 0, said = 0;
	uint64_t before;

	rig_open(rig);
	client = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, 0);
	SSL_CTX_set_app_data(client->ctx, &seal);
	SSL_CTX_set_keylog_callback(client->ctx, keylog);
	assert_int_equal(SSL_set_ciphersuites(client->ssl, "TLS_AES_128_GCM_SHA256"), 1);
	side = &rig->sides[rig->opened % 8];
	until(rig, client->ready && side->ready, client_shake(client));
	for (unsigned i = 0; i < 256; i++) /* 31 that are only filling before each octet */
		n += seal_record(&seal, records + n, SEAL_DATA, "x", i % 32 == 31,
				 SEAL_OCTETS_MOST - 1);
	for (unsigned round = 0; side->in < 8; round++) {
		ssize_t took = send(client->fd, records + said, n - said, MSG_NOSIGNAL);

		said += took > 0 ? (size_t)took : 0;
		before = side->conn->talk.octets_in;
		rig_turn(rig);
		assert_true(side->conn->talk.octets_in - before <=
			    CONN_TURN_OCTETS + 33 * SEAL_MOST);
		assert_true(round < 100000 && !side->error);
	}
	seal_end(&seal);
	client_free(&client);
}

/* a reader that takes a little a turn gets all of it, and the end after it */
static void what_rests_is_told_again(void **state)
{
	struct rig *rig = *state;
	struct side *side;
	struct client *client;
	struct mouth mouth = { .seed = 7, .all = 400000, .most = 39999 };

	rig_open(rig);
	client = client_in(rig, 0, &side);
	side->take = 900;
	side->rest = 5000;
	mouth.sha = sha256_new();
	until(rig, mouth.said == mouth.all, client_say(client, &mouth));
	SSL_shutdown(client->ssl);
	assert_false(side->eof);
	until(rig, side->eof, (void)0);
	assert_int_equal(side->in, mouth.all);
	same_digest(mouth.sha, side->in_sha);
	sha256_free(&mouth.sha);
	client_free(&client);
}

#define IDLE 200
static struct conn *idle_conns[IDLE];
static unsigned idle_n;

static void idle_opened(void *arg, struct conn *conn)
{
	(void)arg;
	idle_conns[idle_n++] = conn;
}

/* what an idle link costs on the heap: all conns are made, some octets move, then they rest */
static void idle_memory(void **state)
{
	struct rig *rig = *state;
	struct listen_ops ops = { .opened = idle_opened, .refused = rig_refused };
	const char *const addresses[] = { "127.0.0.1:0" };
	struct client *clients[IDLE];
	size_t before, with_clients, cost;

	rig->limits.connections_max = rig->limits.connections_per_address = IDLE;
	assert_int_equal(listen_open(rig->loop, addresses, 1, rig->tls, &rig->limits, &ops, rig,
				     &rig->listen, NULL),
			 0);
	for (idle_n = 0; idle_n < IDLE;) {
		unsigned n = idle_n;

		clients[n] = client_new(rig, "kpl", "newsxd/1", TLS1_3_VERSION, 0);
		until(rig, idle_n > n && clients[n]->ready, client_shake(clients[n]));
		client_write(clients[n], "hello", 5);
		rig_turn(rig);
		rig_turn(rig);
	}
	with_clients = mallinfo2().uordblks + mallinfo2().hblkhd;
	for (unsigned i = 0; i < IDLE; i++)
		conn_close(&idle_conns[i]);
	rig_turn(rig);
	rig_turn(rig);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	cost = (with_clients - before) / IDLE;
	print_message("an idle link: %zu octets on the heap\n", cost);
#ifndef FAULTS /* the sanitizers have a heap of their own */
	assert_true(cost > 0 && cost <= 22 << 10);
#endif
	for (unsigned i = 0; i < IDLE; i++)
		client_free(&clients[i]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(both_ways),         T(one_octet_at_a_time),
		T(not_taken),         T(asked_just_in_time),
		T(slow_reader),       T(close_in_callback),
		T(close_while_asked), T(proper_end),
		T(dies_mid_record),   T(reset),
		T(a_bad_record),      T(finish_says_all),
		T(finish_is_bounded), T(stalled),
		T(key_updates),       T(key_update_flood),
		T(renews_its_key),    T(fair),
		T(fair_with_filling), T(what_rests_is_told_again),
		T(idle_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
