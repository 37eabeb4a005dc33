/*
 * pull_priv.h - what pull.c (who asks whom) and pull_octets.c (one pull on its link) share.
 */
#pragma once
#include "core/pull.h"

struct want {
	struct want *next, **at; /* at: what points to it */
	struct pull *pull;
	struct link *link;
	pull_done_fn *done;
	void *arg;
	unsigned index;
	bool flash;
};

enum pull_state {
	PULL_FINDING,   /* the store is asked what it has */
	PULL_BEGINNING, /* the partial is made */
	PULL_WAITING,   /* for a link, or for one of its 16 handles */
	PULL_NEEDING,   /* octets come */
	PULL_ENDING,    /* all octets are here; the store verifies */
};

struct pull {
	struct map_node node; /* in exchange->pulls */
	struct map_node by_handle;
	struct pull *next_waiting; /* on link->needs_wait */
	struct exchange *exchange;
	struct partner *partner;
	uint8_t sha256[32];
	uint64_t size, number;
	enum pull_state state;
	struct want *wants, **wants_end;
	unsigned wants_flash; /* of flash items, among them */
	struct link *link;    /* that serves it, or whose handles it waits for */
	unsigned wants_here;  /* of that link, among the wants: counted, for one partner's many */
	uint64_t handle;
	uint64_t got, asked, committed; /* offsets: received; asked for up to; on disk */
	uint64_t window;
	uint8_t *piece;
	size_t piece_n;
	uint64_t held; /* octets counted in inbound_held: asked for, not on disk */
	unsigned appends;
	int64_t moved_ms;
	bool failed;
	struct store_part_find find;
	struct store_part_begin begin;
	unsigned requests;
	bool over;
};

/* pull_octets.c */
struct pull *pull_by_handle(struct link *link, uint64_t handle);
bool pull_flash(const struct pull *pull); /* does a flash item wait for it? */
void pull_free(struct pull *pull);        /* when it is over and no request is out */
void pull_detach(struct pull *pull, bool stop);
void pull_needs_start(struct link *link);
void want_on(struct pull *pull, struct want *want);
void want_off(struct want *want);
void pull_drop_empty(const struct pull *pull);
void pull_over(struct pull *pull); /* nobody is left to tell */
/* tell all that wait on its link, later; others stay */
void pull_end_here(struct pull *pull, int code);
/* tell all that wait, and end. The pull may be gone after it */
void pull_end(struct pull *pull, int code, enum nx_retry retry, uint64_t number);
void pull_hold(struct pull *pull); /* count what is asked for and not on disk */
void pull_ask(struct pull *pull);  /* for as much as the window lets us */
/* what has come and does not fill a piece is written too: the partial keeps it */
void pull_append(struct pull *pull);
