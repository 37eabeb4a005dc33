/*
 * publisher.h - one run of newsxctl publish: what publish.c (the talk) and offer.c (the items
 * offered) share.
 */
#pragma once
#include "client/held.h"
#include "client/input.h"
#include "client/publish.h"

#define HANDLES 64

struct entry {
	struct entry *next;
	struct outbox *box;
	uint64_t id;
	int64_t offered_ms;
};
struct queue {
	struct entry *first, **end;
	unsigned n;
};
struct handle { /* a NEED of the exchange's */
	uint64_t handle;
	struct entry *entry; /* NULL: not open any more */
	uint8_t sha256[32];
};
struct publish {
	const struct publish_options *options;
	struct input input;
	struct queue waiting[LANES];
	struct queue open; /* offered, not answered */
	unsigned open_parts;
	struct handle handles[HANDLES];
	unsigned next_handle;
	const struct session *session; /* of the link while there is one */
	struct held held;              /* what the exchange acknowledged to this key */
	bool never, later, unreadable, ending, told_rights;
};

/* ---- offer.c */
void offer_add(struct queue *queue, struct entry *entry); /* at its end */
/* each prints its line and remembers what it means for the exit status */
void offer_undelivered(struct publish *p, const struct entry *entry, int code);
void offer_unusable(struct publish *p, const char *file, int code, const struct why *why);
void offer_forget_rest(struct publish *p, int code); /* all that was not offered */
/* what the exchange says of items that are open */
void offer_need(struct publish *p, struct link *link, const struct need *need);
void offer_acked(struct publish *p, struct link *link, const struct ack *ack);
void offer_refused(struct publish *p, struct link *link, const struct refuse *refuse);
