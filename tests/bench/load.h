/*
 * load.h - what the files of the load generator share. load.c has the loop, give.c what is
 * published, take.c what is received; proto/session speaks.
 */
#pragma once
#include "proto/session.h"
#include "tests/bench/wire.h"

enum role { ROLE_PUBLISH, ROLE_PHOTOS, ROLE_SUBSCRIBE, ROLE_IDLE };

struct options {
	enum role role;
	const char *identity, *channel, *subscription;
	int port, pid;
	unsigned links, window;
	uint64_t count; /* items in all (0: as many as fit into the time) */
	double seconds; /* of publishing; of waiting for the last answers there are 20 more */
	double rate;    /* items a second, 0 = as fast as it goes */
	size_t size;    /* of a story, or of a photo */
	unsigned flashes, flash_gap_ms; /* beside it, on the first link */
	bool quiet_flash;               /* flashes alone */
};

#define SLOTS 1024
struct slot { /* an item of ours that is open, or a photo that comes */
	uint64_t id;
	bool used, flash;
	int64_t made_ns;
	uint8_t *document, *envelope;
	size_t document_n, envelope_n;
	uint8_t sha256[32], tail[16];
	unsigned waits; /* parts that are not here yet (take.c) */
};
struct hand { /* handle of a NEED -> whose part */
	uint64_t handle, id, size, offset;
};
#define HANDS 64

struct member {
	struct load *load;
	struct wire wire;
	struct session *session;
	bool greeted, ready, dead;
	unsigned index, open;
	struct slot slots[SLOTS];
	struct hand hands[HANDS];
	unsigned hands_next;
};

struct load {
	struct options options;
	SSL_CTX *ctx;
	int epoll;
	struct member **members;
	unsigned ready, lost, shaking;
	int64_t begin_ns, first_ns, last_ns, due_ns; /* due: of a paced publisher */
	uint64_t begun, done, refused, octets, flashes_begun, flashes_done;
	int64_t flash_due_ns;
	bool over; /* nothing new is begun */
	char why[80];
	struct tally tally, flash;
};

/* -- give.c */
int give_start(struct load *load); /* the template; 0 or -1 */
extern const struct session_source give_source;
void give_event(struct member *member, struct session_event *event);
bool give_may(struct load *load, int64_t now);
/* -- take.c */
void take_event(struct member *member, struct session_event *event);
void take_ready(struct member *member);
