/*
 * envelope.h - the facts of transport: JSON in, a struct out, and the exchange's own put in.
 *
 * Names from the NewsML-G2 newsMessage header: origin, sender, channel, priority, sent, received,
 * signal, hops, parts. Unknown keys are kept.
 */
#pragma once
#include "proto/msg.h"

#define PART_NAME_MAX 255
#define PARTS_CEILING 1024
#define HOPS_MAX      32

struct envelope_part {
	char name[PART_NAME_MAX + 1]; /* as the document's rendition href names it */
	char content_type[128];
	uint64_t size;
	uint8_t sha256[32];
};
struct envelope {
	char origin[NAME_MAX_ + 1], sender[NAME_MAX_ + 1]; /* "" = not given */
	char channel[NAME_MAX_ + 1];
	char signal[NAME_MAX_ + 1];
	char sent[40], received[40];
	int priority; /* 0 = not given, else 1-9 */
	unsigned hops;
	unsigned parts_n;
	struct envelope_part *parts; /* malloc'ed */
	void *json;                  /* the whole, for envelope_write() */
	size_t json_n;               /* octets that it was read from */
};
/*
 * returns  0; NX_EENVELOPE (not an object, wrong types, a bad name or hash, a name twice, hops
 *          beyond HOPS_MAX), NX_EDUPKEY, NX_EDEPTH, NX_EVALUES, NX_EPARTS (above parts_max),
 *          NX_ENOMEM; then *ret is empty.
 * thread   any, one at a time for one envelope
 */
int envelope_read(struct slice json, unsigned parts_max, struct envelope *ret, struct why *why);
void envelope_done(struct envelope *envelope);
/* a relative path of plain segments, without control octets, backslash or marks that turn the
 * writing round */
bool part_name_ok(const char *name);

/* what the exchange writes into an envelope that it passes on */
struct envelope_stamp {
	const char *origin, *sender; /* set */
	const char *node;            /* a hop {"party": node, "time": received} is appended */
	char received[40];           /* RFC 3339 */
	bool trust_transport;        /* node = yes: hops and signal from outside are kept */
};
/*
 * Once for each envelope: its struct says afterwards what was written.
 * returns  0 with malloc'ed octets in *ret; NX_EBIGENV above ceiling, NX_EENVELOPE with HOPS_MAX
 *          hops, NX_ENOMEM
 */
int envelope_write(struct envelope *envelope, const struct envelope_stamp *stamp, size_t ceiling,
		   uint8_t **ret, size_t *ret_n);
/* for a publisher: an envelope from nothing. channel may be NULL. As envelope_write(). */
int envelope_make(const char *channel, const char *sent, const struct envelope_part *parts,
		  unsigned parts_n, uint8_t **ret, size_t *ret_n);
/* for a publisher who passes an item on: all as it came, unknown keys too, but for the channel when
 * one is given. Before envelope_write(). returns 0 with malloc'ed octets in *ret; NX_ENOMEM */
int envelope_relay(const struct envelope *envelope, const char *channel, uint8_t **ret,
		   size_t *ret_n);
