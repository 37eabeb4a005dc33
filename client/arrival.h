/*
 * arrival.h - one item on its way in: its octets, what is known of it, the parts it waits for, its
 * folder.
 */
#pragma once
#include "client/exec.h"
#include "client/fetch.h"
#include "news/story.h"

enum arrival_state { ARRIVAL_FETCHING, ARRIVAL_READY, ARRIVAL_RUNNING };
struct arrival {
	struct arrival *next;
	struct item_head head;
	uint8_t *octets;
	struct slice envelope_octets, document;
	struct envelope envelope;
	struct story story;
	bool has_story;
	char folder[INBOX_NAME];
	bool found;             /* the folder was here before */
	struct fetch **fetches; /* one a part; NULL when found */
	unsigned fetches_n;
	struct inbox_item item; /* while it is written */
	enum arrival_state state;
};
/*
 * arrival_new - read it and begin with its parts. octets (envelope, then document) are its own from
 * now on, also when this fails. *ret is set as far as it was understood, for the line that is
 * printed; arrival_free() it always. returns  0; negative with words: refuse it later
 */
int arrival_new(const struct inbox *inbox, struct fetches *fetches, const struct item_head *head,
		uint8_t *octets, struct arrival **ret, struct why *why);
void arrival_free(struct arrival **arrival, const struct inbox *inbox, struct fetches *fetches,
		  struct session *session);
/* are all parts here? returns 1, 0, or negative with words: one of them failed */
int arrival_parts(const struct arrival *arrival, struct why *why);
/*
 * arrival_fill, arrival_appear - let its folder come to be, see inbox.h; nothing to do when it was
 * found. returns  0, NX_EEXIST from arrival_appear() (it is here, as good; found is set), NX_EIO
 * with words
 */
int arrival_fill(struct arrival *arrival, const struct inbox *inbox, bool flush, struct why *why);
int arrival_appear(struct arrival *arrival, const struct inbox *inbox, struct fetches *fetches,
		   struct session *session, struct why *why);
/* run the command for it; the folder is there. path: OUT/FOLDER, absolute when it can be */
int arrival_exec(const struct arrival *arrival, const char *command, const char *path,
		 int64_t now_ms, struct exec *ret, struct why *why);
