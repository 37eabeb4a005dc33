/*
 * actor.h - who stands at the other end: a partner that does what the scene tells it to.
 *
 * It speaks with our own session machine (the system tests have another one). What it hears it
 * keeps: items, answers, words. Left alone it answers nothing; with `answers` it takes and
 * acknowledges whatever comes, parts first.
 */
#pragma once
#include "proto/session.h"
#include "stage.h"

struct photo {
	uint8_t *octets;
	size_t n;
	uint8_t sha256[32];
};
struct photo photo_of(struct stage *stage, uint64_t seed, size_t n); /* octets: the stage's */

struct story {
	const char *uri, *version, *channel, *words;
	int urgency;
	bool kill;
	int64_t embargo_ms;        /* wall; 0 = none */
	size_t pad;                /* so many octets more */
	const struct photo *photo; /* one, as p.jpg */
	bool routine;              /* say that it is routine, whatever the document says */
};

enum answer { NO_ANSWER_YET, ACKED, REFUSED };
struct offer { /* an item of the actor's own */
	char uri[64], version[32];
	uint8_t *octets;
	uint32_t envelope_n, document_n;
	enum lane lane;
	bool sent;
	uint64_t id;
	unsigned answers; /* how many came */
	enum answer answer;
	struct ack ack;
	struct refuse refuse;
	struct photo photo;  /* octets are the scene's */
	uint64_t tag, again; /* the scene's */
};
struct got { /* an item from the hub */
	uint64_t id, position, sequence;
	uint32_t subscription;
	enum lane lane;
	uint8_t *octets;
	uint32_t envelope_n, document_n;
	char uri[64], version[32];
	bool kill;
	bool answered, withdrawn;
	bool acked, later; /* how it was answered */
	bool final;        /* the scene's */
	char withdrawn_code[33];
	bool has_photo; /* the envelope names one */
	uint8_t sha256[32];
	uint64_t photo_n, photo_got;
	uint8_t *photo;
	uint64_t handle;
	unsigned link; /* of the actor's links, the which-th */
	int64_t at_ms; /* boot */
};
struct actor {
	struct actor *next;
	struct stage *stage;
	char name[32];
	struct conn *line;
	struct session *session;
	unsigned links;
	char boot[33];
	/* what it does */
	bool answers;          /* ACKs all that comes */
	bool deaf;             /* reads nothing */
	bool mute;             /* writes nothing */
	bool stingy;           /* gives no more routine credit when the first is spent */
	uint64_t part_end;     /* gives parts up to this offset */
	bool lies;             /* gives other octets */
	uint64_t credit_items; /* that it gives, in both lanes */
	unsigned ahead;        /* so many unanswered; 0: as everybody */
	unsigned frames_left;  /* heard and said, then its line is cut; 0: never */
	bool loses;            /* the last one that it says does not arrive */
	/* what it has */
	struct offer **offers;
	unsigned offers_n;
	struct got **gots;
	unsigned gots_n;
	/* what it heard on this link */
	bool hello, bye;
	char bye_code[33];
	unsigned subscribed_n, unsubscribed_n, needs_n, gones_n;
	struct subscribed subscribed; /* the last */
	struct unsubscribed unsubscribed;
	struct need need; /* the last */
	uint64_t data_out;
};

struct actor *actor_new(struct stage *stage, const char *name); /* not yet connected */
void actor_free(struct actor **actor);
int actor_dial(struct actor *actor); /* 0, or why it was not let in */
/* made, dialled and settled */
struct actor *actor_enter(struct stage *stage, const char *name);
void actor_claim(struct actor *actor, const char *subscription); /* subscribed and settled */
struct actor *actor_reader(struct stage *stage, const char *name, const char *subscription);
void actor_back(struct actor *actor, const char *subscription); /* the same on a new link */
void actor_cut(struct actor *actor);
bool actor_turn(struct actor *actor);         /* by stage.c */
bool actor_is_out(const struct actor *actor); /* the hub closed the line */

/* put into its queue; sent when credit allows */
struct offer *actor_offer(struct actor *actor, const struct story *story);
#define actor_publish(actor, ...) actor_offer((actor), &(struct story){ __VA_ARGS__ })
void actor_again(struct actor *actor, struct offer *offer); /* the same octets under a new id */
void actor_withdraw(struct actor *actor, struct offer *offer);
void actor_subscribe(struct actor *actor, const char *name);
void actor_ack(struct actor *actor, struct got *got);
void actor_refuse(struct actor *actor, struct got *got, int code, enum nx_retry retry,
		  int64_t after_ms);
void actor_pull(struct actor *actor, struct got *got); /* asks for the whole photo */
void actor_credit(struct actor *actor, uint64_t items);
/* the next item that came and was not looked at, or NULL */
struct got *actor_got(struct actor *actor, const char *uri, const char *version);
unsigned actor_count(const struct actor *actor, const char *uri, const char *version);
/* octets that say this anywhere in what ever came: headline, hash in hex ... */
bool actor_saw(const struct actor *actor, const char *words);

#define expect_ack(offer)                                                                          \
	do {                                                                                       \
		if ((offer)->answer == REFUSED)                                                    \
			fail_msg("refused %s: %s", (offer)->refuse.code, (offer)->refuse.words);   \
		assert_int_equal((offer)->answer, ACKED);                                          \
	} while (0)
#define expect_result(offer, r)                                                                    \
	do {                                                                                       \
		expect_ack(offer);                                                                 \
		assert_int_equal((offer)->ack.result, (r));                                        \
	} while (0)
#define expect_refusal(offer, word, again)                                                         \
	do {                                                                                       \
		assert_int_equal((offer)->answer, REFUSED);                                        \
		assert_string_equal((offer)->refuse.code, (word));                                 \
		assert_int_equal((offer)->refuse.retry, (again));                                  \
	} while (0)
#define expect_nothing(offer) assert_int_equal((offer)->answer, NO_ANSWER_YET)
