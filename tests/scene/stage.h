/*
 * stage.h - a whole hub without threads, sockets or real time, and a disk that is stepped by hand.
 *
 * The store is the real one, in a folder of its own; its writers run in line. Nothing happens by
 * itself: stage_settle() lets all that can happen now happen, stage_later() moves the clock. With
 * by_hand set the two writers stand still until stage_disk_commits(); the reader always reads. With
 * reader_late set it tells nobody until stage_reader_answers().
 */
#pragma once
#include "core/exchange.h"
#include "core/hub.h"
#include "fake_net.h"

struct actor;
struct stage {
	struct hub *hub;
	struct exchange *exchange; /* its inside */
	struct conf *conf;         /* the hub's */
	char dir[256], store_dir[320], file[320], *text;
	size_t rest_at; /* of text: where partners and subscriptions begin */
	bool by_hand, reader_late;
	struct store_req *read, **read_end; /* by a late reader */
	unsigned stores;                    /* so many folders there were */
	struct actor *actors;
	char *log; /* every line since the last stage_forget_log() */
	size_t log_n, log_cap;
	int status; /* of hub_run(), after stage_fails() or stage_stop() */
	void **kept;
	size_t kept_n;
};
struct stage_conf {
	const char *store, *limits, *log; /* inside these sections */
	const char *rest; /* partners and subscriptions; @NAME stands for the pin of NAME */
};

/* kpl publishes, vna reads, each with what most scenes need: see stage.c */
extern const char stage_usual[];
struct stage *stage_new(const struct stage_conf *conf);
void stage_free(struct stage **stage);
void *stage_alloc(struct stage *stage, size_t n); /* freed with it */

/* most scenes have one stage, which goes when they end, well or not: scene(fn) in their main() */
struct stage *scene_begin(void **state, const struct stage_conf *conf);
int scene_end(void **state);
#define scene(fn) cmocka_unit_test_teardown(fn, scene_end)
void stage_settle(struct stage *stage);
void stage_disk_commits(struct stage *stage);
/* one batch or step of both writers: true when there was one; nothing is told to anybody yet */
bool stage_disk_step(struct stage *stage);
/* what the reader has read so far goes back to who asked for it */
void stage_reader_answers(struct stage *stage);
void stage_later(struct stage *stage, int64_t ms);
/* the process dies: what is on disk is what was committed; lines are cut; then it is started anew
 */
void stage_crash(struct stage *stage);
/* the same in two acts */
void stage_die(struct stage *stage);
void stage_open(struct stage *stage);
/* the file alone, with other partners and subscriptions; nobody is told */
void stage_rewrite(struct stage *stage, const char *rest);
/* SIGHUP with other partners and subscriptions; comes to rest with the disk going on */
void stage_reload(struct stage *stage, const char *rest);
void stage_stop(struct stage *stage);   /* SIGTERM; ends when the hub says so */
bool stage_failed(struct stage *stage); /* the store was fatal: status is set */
/* a line of the log holds all these words, in this order, since the last time we forgot */
bool stage_logged(const struct stage *stage, const char *words);
void stage_forget_log(struct stage *stage);
int64_t stage_wall(void);
