/*
 * wire.h - TLS 1.3 streams for load generators: many, non-blocking, with an output buffer each.
 *
 * Knows nothing of what is said. Both sides show a certificate; neither judges the other's: it is a
 * measure, on loopback. Frames are kept short on a slow line, as the product's own client does.
 */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_OUT (192 << 10)

struct wire {
	int fd;
	SSL *ssl;
	bool shaken, blocked; /* blocked: output waits for the line */
	uint8_t *out;         /* WIRE_OUT octets, made when first used */
	size_t out_start, out_end;
	size_t small_max; /* the longest frame now */
	int64_t rate_ns;
	int unsent; /* what the kernel may hold of it */
};
/* identity: path without .key and .crt. NULL: a word on standard error */
SSL_CTX *wire_context(const char *identity, bool server);
int wire_listen(int *ret_port); /* loopback, a free port; -1 */
/* both return 0 or -1 */
int wire_dial(struct wire *wire, SSL_CTX *ctx, int port);
int wire_take(struct wire *wire, SSL_CTX *ctx, int fd);
/* 1 when done, 0 to wait, -1 when lost; wire->blocked says for what it waits */
int wire_shake(struct wire *wire);
/* octets, 0 to wait, -1 when lost */
int wire_read(struct wire *wire, void *to, size_t n);
/* write what is in out; 0 or -1. blocked says that some is left */
int wire_flush(struct wire *wire);
/* room at the end of out, after moving what waits to the front */
size_t wire_room(struct wire *wire);
/* look at the line and choose small_max (30 ms of it) */
void wire_pace(struct wire *wire, int64_t now_ns);
void wire_close(struct wire *wire);

int64_t now_ns(void);  /* monotonic, the same in all programs of this machine */
void many_files(void); /* as many descriptors as we may have */

/* how long things took, in microseconds */
struct tally {
	uint32_t *us;
	size_t n, room;
};
void tally_add(struct tally *tally, int64_t ns);
double tally_ms(struct tally *tally, double share); /* 0.5 = median, 1 = worst; sorts */
/* "p50":..,"p99":..,"max":.. with a prefix for the names */
void tally_print(struct tally *tally, const char *prefix);
