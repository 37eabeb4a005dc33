/*
 * fetch.h - getting parts: NEED, DATA into OUT/.partial/SHA256, verified at the end, resumed where
 * it stopped.
 *
 * One file and one NEED for each hash, however many items wait for it. At most 16 NEEDs are open, 1
 * MiB asked at a time.
 */
#pragma once
#include "client/inbox.h"
#include "proto/session.h"

enum fetch_state { FETCH_WAITING, FETCH_OPEN, FETCH_DONE, FETCH_FAILED };
struct fetch;
struct fetches;

struct fetches *fetches_new(const struct inbox *inbox);
void fetches_free(struct fetches **fetches);
/*
 * fetch_want - one user more of this part; begun by the next fetches_start().
 * returns  0; NX_ENOMEM with words
 */
int fetch_want(struct fetches *fetches, const struct envelope_part *part, bool flash,
	       struct fetch **ret, struct why *why);
/* one user less: the last one stops it. What came stays for another time, unless it was used. */
void fetch_drop(struct fetches *fetches, struct session *session, struct fetch **fetch, bool used);
enum fetch_state fetch_state(const struct fetch *fetch);
int fetch_error(const struct fetch *fetch, struct why *why); /* of a failed one */
const char *fetch_file(const struct fetch *fetch);           /* in .partial */
bool fetch_shared(const struct fetch *fetch);                /* has it more than one user? */

/* open as many NEEDs as may be. Returns whether a part was whole already, or could not be begun */
bool fetches_start(struct fetches *fetches, struct session *session);
void fetches_data(struct fetches *fetches, struct session *session,
		  const struct session_event *event);
void fetches_gone(struct fetches *fetches, const struct session_event *event);
