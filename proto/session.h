/*
 * session.h - the rules of the talk, for either side: bytes in, events out; calls in, bytes out.
 *
 * Does no I/O, owns no clock (now_ms is handed in, monotonic), knows neither TLS nor stores. One
 * machine for daemon, newsxctl, scenes and fuzzers. Both directions are live at once: after HELLO
 * each side may publish, subscribe and serve subscriptions. Feed it one octet at a time and
 * nothing changes.
 *
 * In:   session_feed() takes octets and gives one event at a time. It refuses (and queues a BYE
 *       with the code) whatever breaks a rule: no HELLO first, over credit, MORE out of order, an
 *       ACK for an id never sent or already answered, DATA never asked for ... The upper room
 *       only sees what is legal.
 * Out:  session_frame() makes the next frame just in time, in this order: control and answers;
 *       flash items; then in turn (each that waits gets at least one frame in four) routine
 *       items, part data (of flash items first), backlog. Items and part octets are pulled
 *       through struct session_source, nothing is queued.
 * Answers have reserved room: no inbound frame needs output space to be processed.
 * Memory: two half-received items (one a lane), one partial frame, the open ids. All bounded by
 * limits and credit.
 */
#pragma once
#include "proto/msg.h"

struct session;

enum session_class { CLASS_FLASH = 0, CLASS_ROUTINE = 1, CLASS_BACKLOG = 2, CLASSES = 3 };

/* an item to send; its octets stay the source's and stand still until sent() is called for it */
struct session_out {
	uint32_t subscription; /* the peer's claim that it answers; 0 = published */
	uint64_t position, sequence;
	enum lane lane; /* set by the session: CLASS_FLASH spends the flash lane's credit */
	struct slice envelope, document;
};
struct session_source {
	/* the next item of this class, if there is one: fill *out, return true; it then has this id
	 * and is open until ANSWER or REFUSED. Called only when credit and send-ahead allow one.
	 * After false it is not asked again before session_item_ready(). No octets of envelope or
	 * document above 64 MiB. */
	bool (*item)(void *arg, enum session_class class, uint64_t id, struct session_out *out);
	/* the last octet of the item is framed (or the item ended early): its slices are no longer
	 * looked at */
	void (*sent)(void *arg, uint64_t id);
	/* octets of the part the peer NEEDs under handle: copy at most n to `to`; returns how many
	 * (at least 1); 0 = not at hand, session_need_ready() will follow; negative NX_E... = GONE
	 * with that word. Callbacks may call session_withdraw(), session_gone(),
	 * session_item_ready(); not feed, frame, free. */
	int (*part)(void *arg, uint64_t handle, uint64_t offset, uint8_t *to, size_t n);
};

struct session_conf {
	struct hello hello; /* what we say; hello.max is what we accept */
	/* 0 in any of these means what stands behind it */
	unsigned ahead_items; /* unanswered items that we keep open at most (1,024; the last 8 are
				 for flash) */
	size_t ahead_octets;  /* and their octets (16 MiB; the last 64 KiB are for flash) */
	int64_t hello_ms, ping_ms, idle_ms, bye_ms; /* 10 s, 30 s, 90 s, 5 s */
	struct session_source source;
	void *arg;
};

enum session_kind {
	SESSION_HELLO,     /* .hello: the peer's; from now on calls below may be made */
	SESSION_CREDIT,    /* more may be sent: ask session_frame() */
	SESSION_SUBSCRIBE, /* .subscribe: answer with session_subscribed() or session_unsubscribed()
			    */
	SESSION_SUBSCRIBED,   /* .subscribed: answer to ours */
	SESSION_UNSUBSCRIBE,  /* .number: a claim that the peer gives up; answer
				 session_unsubscribed() */
	SESSION_UNSUBSCRIBED, /* .unsubscribed: ours was refused, taken over or given up */
	SESSION_ITEM_BEGIN, /* .item (octets NULL): the head of an item; session_item_drop() may be
			       called */
	SESSION_ITEM, /* .item whole; .octets is malloc'ed and now the event taker's to free */
	SESSION_ITEM_DROPPED, /* .id: a dropped item has been read to its end: answer with
				 session_refuse() */
	SESSION_WITHDRAW, /* .withdraw: an open item that the peer takes back (if half-sent, it is
			     gone: .whole is false). Still to be answered:
			     session_refuse(NX_EWITHDRAWN), or an ACK if it is already on its way to
			     disk */
	SESSION_NEED, /* .need: the peer wants part octets: session_need_accept() or session_gone()
		       */
	SESSION_STOP, /* .handle: the peer wants no more of it */
	SESSION_DATA, /* .data: octets of a NEED of ours, in order; .data.done: the NEED is now
			 served */
	SESSION_GONE, /* .gone: the peer cannot serve our NEED; the handle is closed */
	SESSION_ANSWER,  /* .ack: the peer's ACK of an item of ours (id is closed now) */
	SESSION_REFUSED, /* .refuse: the peer's refusal (id is closed now) */
	SESSION_PONG,    /* .pong: round trip and clock difference */
	SESSION_BYE,     /* .bye: the peer will send no new items; finish answers and close */
};
struct session_event {
	enum session_kind kind;
	union {
		struct hello hello;
		struct subscribe subscribe;
		struct subscribed subscribed;
		struct unsubscribed unsubscribed;
		uint32_t number;
		struct {
			uint64_t id;
			int code; /* NX_EBIGDOC, NX_EBIGENV, NX_ENOMEM; 0 = session_item_drop() */
		};
		struct {
			struct item_head head;
			uint8_t *octets; /* envelope, then document */
		} item;
		struct {
			uint64_t id;
			bool whole;
			char code[33];
		} withdraw;
		struct need need;
		uint64_t handle;
		struct {
			uint64_t handle, offset;
			struct slice octets; /* good until the next call */
			bool done;
		} data;
		struct {
			uint64_t handle;
			char code[33];
		} gone;
		struct ack ack;
		struct refuse refuse;
		struct {
			int64_t round_trip_ms, clock_diff_ms; /* theirs minus ours */
			bool last; /* no PING of session_ping() is left to be sent */
		} pong;
		struct bye bye;
	};
};

/* conf is copied. HELLO is queued at once. returns NULL when out of memory */
struct session *session_new(const struct session_conf *conf, int64_t now_ms);
/* sent() is called for an item whose octets were still being looked at */
void session_free(struct session **session);

/*
 * session_feed - take octets from the peer.
 * in       consumed from the front, as far as needed for one event
 * wall_ms  for PONG and the clock difference
 * returns  1 and an event: call again until it gives 0, also when in is empty;
 *          0 when all is consumed and there is none (yet);
 *          negative: the rule that was broken. A BYE with that word is queued (session_frame()
 *          gives it), and every later call returns the same code. why has the words.
 */
int session_feed(struct session *session, struct slice *in, int64_t now_ms, int64_t wall_ms,
		 struct session_event *ret_event, struct why *why);
/*
 * session_frame - make the next frame, if there is anything to say.
 * to, room  at least FRAME_HEADER + FRAME_FLOOR octets of room
 * small_max the largest ITEM, MORE or DATA payload now (a slow line: less; 1,024 to FRAME_SMALL)
 * returns   octets written, 0 when there is nothing to say now
 */
size_t session_frame(struct session *session, uint8_t *to, size_t room, size_t small_max,
		     int64_t now_ms, int64_t wall_ms);
/* would session_frame() find something? (cheap; may ask the source) */
bool session_wants(const struct session *session);
/* the source has items of this class again */
void session_item_ready(struct session *session, enum session_class class);
/*
 * session_tick - deadlines. returns 0 and the time of the next one in *ret_next_ms;
 *          NX_ENOHELLO, NX_EIDLE, or NX_EBYE when 5 s after the first BYE are over: close the
 *          link. Of a link that broke a rule: that code, 5 s after. Gives memory of quiet links
 *          back.
 */
int session_tick(struct session *session, int64_t now_ms, int64_t *ret_next_ms);

/* -- claims. Ours: */
/* returns 0, NX_ESTATE (before HELLO, after BYE), NX_EARG (a name too long), NX_EFULL (64 claims),
 * NX_ENOMEM */
int session_subscribe(struct session *session, const char *name, bool has_position, uint64_t epoch,
		      uint64_t position);
/* returns 0 or NX_EARG: not ours, or given up already */
int session_unsubscribe(struct session *session, uint32_t number);
/* the peer's: number is ours to choose, from 1, unique on this link (NX_EARG if it is not). returns
 * 0 or NX_ECLAIMFLOOD (more than 64 answers to claims unread in our output: the link is then
 * closing). session_unsubscribed(): number 0 refuses a SUBSCRIBE; a number that has ended already
 * is a no-op. */
int session_subscribed(struct session *session, const struct subscribed *subscribed);
int session_unsubscribed(struct session *session, const char *name, uint32_t number, int code,
			 const char *words);

/* -- items of the peer. An id is answered exactly once, after SESSION_ITEM, _ITEM_DROPPED or
 * _WITHDRAW. An answer to an id that is not open, still being received, or (session_ack) was
 * withdrawn half-sent does nothing and returns NX_EACK. words are cut at 256 octets. */
void session_item_drop(struct session *session, uint64_t id); /* read to its end and throw away */
int session_ack(struct session *session, const struct ack *ack);
int session_refuse(struct session *session, uint64_t id, int code, enum nx_retry retry,
		   int64_t after_ms, const char *words);
/* credit is kept topped up to this many unspent items and octets in the lane, as far as the peer
 * spends it; 0 stops raising. Flash never goes below 8 items / 64 KiB. */
void session_window(struct session *session, enum lane lane, uint64_t items, uint64_t octets);

/* -- parts. Ours (of an item that the peer has open here): at most 16 open NEEDs.
 * returns the handle, or 0 when 16 are open */
uint64_t session_need(struct session *session, const uint8_t sha256[32], uint64_t offset,
		      uint64_t length);
/* ask for more of the same, from where the last request ended, also after .data.done (the last 64
 * handles are remembered). false: the handle is closed, or 16 are open */
bool session_need_more(struct session *session, uint64_t handle, uint64_t length);
void session_stop(struct session *session, uint64_t handle);
/* the peer's: flash = of a flash item. A NEED that goes on with a handle comes as SESSION_NEED too,
 * and is accepted anew: nothing beyond what was accepted is sent */
void session_need_accept(struct session *session, uint64_t handle, bool flash);
void session_gone(struct session *session, uint64_t handle, int code);
void session_need_ready(struct session *session, uint64_t handle);

/* -- items of ours */
/* take back an item that is not answered; what was not yet sent of it is not sent. It stays open
 * until the answer comes. A no-op for an id that is not open. */
void session_withdraw(struct session *session, uint64_t id, int code);
unsigned session_open_out(const struct session *session); /* unanswered items of ours */
unsigned
session_open_in(const struct session *session); /* items of the peer that we owe an answer */

/* send n PINGs soon, each with so many octets more behind it than it needs, which the peer reads
 * and ignores: that takes the line's time. At most PING_OCTETS_MAX; SESSION_PONG tells */
#define PING_OCTETS_MAX (FRAME_FLOOR - 16)
void session_ping(struct session *session, unsigned n, size_t octets);
/* say goodbye: no new items, answers still flow. code NX_E..., words may be NULL */
void session_bye(struct session *session, int code, const char *words);
bool session_said_bye(const struct session *session);
/* NULL before HELLO; its lists of rights are there only with has_rights */
const struct hello *session_peer(const struct session *session);
/* octets of items half received: at most one a lane, as large as hello.max takes */
size_t session_held(const struct session *session);
/* when the last octet came of that one among them which waits longest; INT64_MAX: there is none */
int64_t session_half_since_ms(const struct session *session);

struct session_stats { /* items begun; their octets of envelope and document; octets of parts */
	uint64_t in_items, out_items, in_octets, out_octets, in_data, out_data;
};
void session_stats(const struct session *session, struct session_stats *ret);
