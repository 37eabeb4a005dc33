/*
 * session_priv.h - private to session*.c: the state of one link, and what its files say to each
 * other.
 *
 * on_x() functions handle one frame of the peer: 1 = *ev is an event, 0 = none, negative =
 * broken() was called.
 */
#pragma once
#include "proto/ids.h"
#include "proto/msg_priv.h"
#include "proto/session.h"

#define NEEDS_MAX    16 /* open NEEDs of one side */
#define NEEDS_KEPT   64 /* of each side: handles we remember, open ones among them */
#define GONES_MAX    64 /* unread GONEs */
#define CLAIMS_MAX   64
#define LENGTH_MAX   (64u << 20) /* envelope, document: beyond it is a lie */
#define COUNT_LIMIT  (UINT64_C(1) << 53)
#define FLASH_ITEMS  8 /* unspent flash credit, and what of send-ahead is kept for flash */
#define FLASH_OCTETS 65536

struct in_item { /* half-received */
	bool active, drop;
	int drop_code; /* 0 = the upper room's wish */
	struct item_head head;
	uint8_t *octets;
	size_t cap, at, total;
	int64_t moved_ms; /* when the last of them came */
};
struct out_item { /* half-sent */
	bool active;
	uint64_t id;
	enum session_class class;
	struct session_out out;
	size_t at, total;
};
struct window {                 /* credit that we give in a lane */
	uint64_t items, octets; /* to keep unspent */
	uint64_t told_items, told_octets, spent_items, spent_octets;
};
struct purse { /* credit that we were given in a lane */
	uint64_t items, octets, begun_items, begun_octets;
};
struct answer { /* to an item of the peer, until it is framed */
	uint64_t id;
	int code; /* 0 = ACK */
	uint8_t result;
	enum nx_retry retry;
	union {
		struct {
			uint64_t sequence, stored_at_ms;
		};
		struct {
			int64_t after_ms;
			char *words; /* malloc'ed or NULL */
		};
	};
};
struct answers {
	struct answer *ring;
	size_t cap, at, n;
};
enum handle_state { HANDLE_FREE = 0, HANDLE_OPEN, HANDLE_SERVED, HANDLE_STOPPED, HANDLE_GONE };
struct handle { /* one NEED, of either side */
	uint64_t handle;
	uint64_t next;     /* offset of the next octet */
	uint64_t accepted; /* the peer's: up to where the upper room agreed */
	uint64_t end;      /* up to where it was asked for */
	uint8_t sha256[32];
	enum handle_state state;
	bool flash, ready; /* the peer's */
};
struct handles {
	struct handle *kept; /* NEEDS_KEPT, made with the first */
	uint64_t last;       /* the highest handle given */
	unsigned open;
	uint64_t late; /* octets that forgotten handles may still bring */
};
struct claim {
	uint32_t number; /* 0 = asked for, not answered */
	bool leaving;
	char name[NAME_MAX_ + 1]; /* ours only */
};
struct claims {
	struct claim *list;
	unsigned n, cap;
	uint32_t highest;
};

struct session_rules { /* of struct session_conf, with what stands behind 0 */
	unsigned ahead_items;
	size_t ahead_octets;
	int64_t hello_ms, ping_ms, idle_ms, bye_ms;
	struct session_source source;
	void *arg;
};

struct session {
	struct session_rules rules;
	struct limits max;  /* what we receive */
	struct hello *peer; /* without its lists of rights when it has none */
	bool greeted;       /* the peer's HELLO is here */
	int64_t now_ms, wall_ms, started_ms, heard_ms, pinged_ms;
	struct session_stats stats;

	/* end */
	int failed;
	bool said_bye, heard_bye, bye_due;
	int64_t bye_ms; /* when the first of them was said */
	struct why bye;

	/* in: the octets of a frame that is not whole yet */
	uint8_t *wire;
	size_t wire_n, wire_cap;
	bool wire_spent;
	struct slice acks; /* entries of an ACK not yet told */
	uint8_t acks_len;

	/* items of the peer */
	uint64_t in_last;
	struct ids open_in;
	struct in_item in_item[LANES];
	struct in_item *due; /* whole, its event comes next */
	struct answers answers;
	struct window window[LANES];

	/* items of ours */
	uint64_t out_last;
	struct ids open_out;
	size_t open_octets;
	struct out_item out_item[LANES];
	struct purse purse[LANES];
	bool ready[CLASSES];
	int balance;       /* frames of routine less those of backlog, while both waited */
	unsigned lane_run; /* frames of items since the last of a part, while a part waited */

	/* control frames, made and waiting */
	uint8_t *ctl;
	size_t ctl_at, ctl_end, ctl_cap;
	unsigned gones;         /* GONEs among them */
	unsigned claim_answers; /* SUBSCRIBED, UNSUBSCRIBED among them */
	bool pong_due, ping_open;
	unsigned pings_due;
	size_t ping_octets; /* behind each of them */
	uint64_t pong_token, ping_token;

	struct handles asked;          /* NEEDs of the peer */
	struct handles wanted;         /* ours */
	struct claims given;           /* to the peer */
	struct claims held;            /* by us */
	unsigned subscribes, releases; /* SUBSCRIBE, UNSUBSCRIBE of the peer not answered */
};

/* session_say.c */
int broken(struct session *session, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* queue a control frame; breaks the link when there is no memory */
int say(struct session *session, const struct msg *msg);
void ctl_drop(struct session *session);
/* keep n octets at p until the next frame is taken */
int wire_keep(struct session *session, const uint8_t *p, size_t n);

/* session_items.c: the peer's */
int on_item(struct session *session, const struct msg *msg, struct session_event *ev);
int on_more(struct session *session, const struct msg *msg, struct session_event *ev);
int on_withdraw(struct session *session, const struct msg *msg, struct session_event *ev);
int item_due(struct session *session, struct session_event *ev);
bool credit_due(const struct session *session, enum lane lane);
/* session_answers.c */
int answers_reserve(struct session *session);
size_t answer_frame(struct session *session, uint8_t *to, size_t room, size_t payload_max);
void answers_done(struct answers *answers);
int on_ack(struct session *session, const struct msg *msg, struct session_event *ev);
int next_ack(struct session *session, struct session_event *ev);
int on_refuse(struct session *session, const struct msg *msg, struct session_event *ev);
int on_credit(struct session *session, const struct msg *msg, struct session_event *ev);

/* session_out.c */
bool items_wait(const struct session *session, enum lane lane);
void item_ended(struct session *session, struct out_item *item);

/* session_parts.c */
int on_need(struct session *session, const struct msg *msg, struct session_event *ev);
int on_stop(struct session *session, const struct msg *msg, struct session_event *ev);
int on_data(struct session *session, const struct msg *msg, struct session_event *ev);
int on_gone(struct session *session, const struct msg *msg, struct session_event *ev);
bool parts_wait(const struct session *session);
size_t part_frame(struct session *session, uint8_t *to, size_t payload_max);

/* session_claims.c */
int on_subscribe(struct session *session, const struct msg *msg, struct session_event *ev);
int on_subscribed(struct session *session, const struct msg *msg, struct session_event *ev);
int on_unsubscribe(struct session *session, const struct msg *msg, struct session_event *ev);
int on_unsubscribed(struct session *session, const struct msg *msg, struct session_event *ev);
