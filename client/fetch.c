#include "client/fetch.h"
#include "base/hash.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE      (1 << 20)   /* asked at a time */
#define AHEAD      (PIECE / 2) /* and the next when no more than this is missing */
#define NEEDS_OPEN 16          /* NEEDs that may be open */
#define FOR_FLASH  2           /* of them: for parts of flash items */

struct fetch {
	struct fetch *next;
	uint8_t sha256[32];
	uint64_t size;
	char file[96];
	int fd;
	struct sha256 *sha; /* of the first `have` octets */
	uint64_t have, asked;
	uint64_t handle; /* 0 = no NEED is open */
	unsigned users;
	bool flash, resumed;
	enum fetch_state state;
	struct why why; /* of a failure */
};
struct fetches {
	const struct inbox *inbox;
	struct fetch *first;
};

struct fetches *fetches_new(const struct inbox *inbox)
{
	struct fetches *fetches = calloc(1, sizeof(*fetches));

	if (fetches != NULL)
		fetches->inbox = inbox;
	return fetches;
}

static void fetch_free(struct fetch *fetch)
{
	if (fetch->fd >= 0)
		close(fetch->fd);
	sha256_free(&fetch->sha);
	free(fetch);
}

void fetches_free(struct fetches **fetches)
{
	if (*fetches == NULL)
		return;
	while ((*fetches)->first != NULL) {
		struct fetch *fetch = (*fetches)->first;

		(*fetches)->first = fetch->next;
		fetch_free(fetch);
	}
	free(*fetches);
	*fetches = NULL;
}

static void fail(struct fetch *fetch, int code, const char *words)
{
	fetch->state = FETCH_FAILED;
	fetch->handle = 0;
	why_set(&fetch->why, code, "%s", words);
}

/* from nothing */
static bool restart(struct fetch *fetch)
{
	uint8_t digest[32];

	sha256_end(fetch->sha, digest);
	fetch->have = 0;
	fetch->resumed = false;
	return ftruncate(fetch->fd, 0) == 0;
}

/* all octets are here: are they the right ones? */
static void finish(struct fetches *fetches, struct fetch *fetch)
{
	uint8_t digest[32];

	fetch->handle = 0;
	sha256_end(fetch->sha, digest);
	if (memcmp(digest, fetch->sha256, 32) == 0) {
		fetch->state = FETCH_DONE; /* flushed with the folder that takes it */
		return;
	}
	/* what an earlier run left may have been damaged by a power cut: once more, from the
	 * beginning */
	if (fetch->resumed && restart(fetch)) {
		fetch->state = FETCH_WAITING;
		return;
	}
	unlinkat(fetches->inbox->partial, fetch->file, 0);
	fail(fetch, NX_EMISMATCH,
	     "a part has other octets than its hash says; they were thrown away");
}

/* ---- what an earlier run left */

static bool take_up(struct fetch *fetch)
{
	struct stat st;
	uint8_t block[16384];
	ssize_t n;

	if (fstat(fetch->fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	if ((uint64_t)st.st_size > fetch->size)
		return ftruncate(fetch->fd, 0) == 0;
	while ((n = pread(fetch->fd, block, sizeof(block), (off_t)fetch->have)) > 0) {
		sha256_add(fetch->sha, block, (size_t)n);
		fetch->have += (uint64_t)n;
	}
	fetch->resumed = fetch->have > 0;
	return n == 0;
}

/* a kill came after its folder had appeared: the octets are that item's, and not ours to write */
static bool is_given(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_nlink > 1;
}

static int partial_open(const struct fetches *fetches, struct fetch *fetch)
{
	char hex[65], more[17];
	uint8_t octets[8];
	bool ours;
	int fd;

	hex_of(fetch->sha256, 32, hex);
	snprintf(fetch->file, sizeof(fetch->file), "%s", hex);
	fd = openat(fetches->inbox->partial, fetch->file,
		    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0644);
	if (fd < 0)
		return fd;
	ours = flock(fd, LOCK_EX | LOCK_NB) == 0;
	if (ours && !is_given(fd))
		return fd;
	if (ours)
		unlinkat(fetches->inbox->partial, fetch->file, 0);
	/* or another newsxctl is at it: a file of our own, that nobody resumes */
	close(fd);
	random_octets(octets, sizeof(octets));
	hex_of(octets, sizeof(octets), more);
	snprintf(fetch->file, sizeof(fetch->file), "%s-%s", hex, more);
	return openat(fetches->inbox->partial, fetch->file,
		      O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
}

static int begin(struct fetches *fetches, const struct envelope_part *part, struct fetch **ret,
		 struct why *why)
{
	struct fetch *fetch = calloc(1, sizeof(*fetch)), **at = &fetches->first;

	if (fetch == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	fetch->fd = -1;
	fetch->size = part->size;
	memcpy(fetch->sha256, part->sha256, 32);
	fetch->sha = sha256_new();
	if (fetch->sha == NULL) {
		fetch_free(fetch);
		return why_set(why, NX_ENOMEM, "out of memory");
	}
	while (*at != NULL)
		at = &(*at)->next;
	*at = fetch;
	*ret = fetch;
	return 0;
}

/* ---- users */

int fetch_want(struct fetches *fetches, const struct envelope_part *part, bool flash,
	       struct fetch **ret, struct why *why)
{
	struct fetch *fetch = fetches->first;
	int r = 0;

	while (fetch != NULL && (memcmp(fetch->sha256, part->sha256, 32) != 0 ||
				 fetch->size != part->size || fetch->state == FETCH_FAILED))
		fetch = fetch->next;
	if (fetch == NULL)
		r = begin(fetches, part, &fetch, why);
	if (r < 0)
		return r;
	assert(fetch != NULL);
	fetch->users++;
	fetch->flash = fetch->flash || flash;
	*ret = fetch;
	return 0;
}

void fetch_drop(struct fetches *fetches, struct session *session, struct fetch **which, bool used)
{
	struct fetch *fetch = *which, **at = &fetches->first;

	*which = NULL;
	if (fetch == NULL || --fetch->users > 0)
		return;
	if (fetch->handle != 0 && session != NULL)
		session_stop(session, fetch->handle);
	if (used)
		unlinkat(fetches->inbox->partial, fetch->file, 0);
	while (*at != fetch)
		at = &(*at)->next;
	*at = fetch->next;
	fetch_free(fetch);
}

enum fetch_state fetch_state(const struct fetch *fetch)
{
	return fetch->state;
}

int fetch_error(const struct fetch *fetch, struct why *why)
{
	return why_set(why, fetch->why.code, "%s", fetch->why.words);
}

const char *fetch_file(const struct fetch *fetch)
{
	return fetch->file;
}

bool fetch_shared(const struct fetch *fetch)
{
	return fetch->users > 1;
}

/* ---- on the link */

static uint64_t piece_of(const struct fetch *fetch, uint64_t from)
{
	return fetch->size - from < PIECE ? fetch->size - from : PIECE;
}

/* as late as may be: parts that wait are many more than a program may have files open. Returns
 * false when it is not its turn yet */
static bool open_late(struct fetches *fetches, struct fetch *fetch, unsigned open)
{
	struct why why;

	fetch->fd = partial_open(fetches, fetch);
	if (fetch->fd < 0 && (errno == EMFILE || errno == ENFILE) && open > 0)
		return false;
	if (fetch->fd < 0 || !take_up(fetch)) {
		why_set(&why, NX_EIO, "cannot keep the part %s: %s", fetch->file, strerror(errno));
		fail(fetch, NX_EIO, why.words);
	} else if (fetch->have == fetch->size) {
		finish(fetches, fetch);
	}
	return true;
}

static unsigned open_now(const struct fetches *fetches)
{
	unsigned n = 0;

	for (const struct fetch *fetch = fetches->first; fetch != NULL; fetch = fetch->next)
		n += fetch->state == FETCH_OPEN;
	return n;
}

static bool start_some(struct fetches *fetches, struct session *session, bool flash)
{
	unsigned open = open_now(fetches), most = flash ? NEEDS_OPEN : NEEDS_OPEN - FOR_FLASH;
	bool ended = false;

	for (struct fetch *fetch = fetches->first; fetch != NULL; fetch = fetch->next) {
		uint64_t n;

		if (fetch->state != FETCH_WAITING || fetch->flash != flash)
			continue;
		if (open >= most || (fetch->fd < 0 && !open_late(fetches, fetch, open)))
			break;
		if (fetch->state != FETCH_WAITING) {
			ended = true;
			continue;
		}
		n = piece_of(fetch, fetch->have);
		fetch->handle = session_need(session, fetch->sha256, fetch->have, n);
		if (fetch->handle == 0)
			break;
		fetch->asked = fetch->have + n;
		fetch->state = FETCH_OPEN;
		open++;
	}
	return ended;
}

bool fetches_start(struct fetches *fetches, struct session *session)
{
	bool flash = start_some(fetches, session, true);

	return start_some(fetches, session, false) || flash;
}

static struct fetch *by_handle(struct fetches *fetches, uint64_t handle)
{
	struct fetch *fetch = fetches->first;

	while (fetch != NULL && fetch->handle != handle)
		fetch = fetch->next;
	return fetch;
}

static bool keep(struct fetch *fetch, struct slice octets)
{
	while (octets.n > 0) {
		ssize_t n = pwrite(fetch->fd, octets.p, octets.n, (off_t)fetch->have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		sha256_add(fetch->sha, octets.p, (size_t)n);
		fetch->have += (uint64_t)n;
		octets.p += n;
		octets.n -= (size_t)n;
	}
	return true;
}

void fetches_data(struct fetches *fetches, struct session *session,
		  const struct session_event *event)
{
	struct fetch *fetch = by_handle(fetches, event->data.handle);
	struct why why;

	if (fetch == NULL)
		return;
	if (!keep(fetch, event->data.octets)) {
		why_set(&why, NX_EIO, "cannot write a part: %s", strerror(errno));
		if (!event->data.done)
			session_stop(session, fetch->handle);
		fail(fetch, NX_EIO, why.words);
	} else if (fetch->have == fetch->size) {
		finish(fetches, fetch);
	} else if (fetch->asked < fetch->size && fetch->asked - fetch->have <= AHEAD &&
		   session_need_more(session, fetch->handle, piece_of(fetch, fetch->asked))) {
		fetch->asked += piece_of(fetch, fetch->asked);
	} else if (event->data.done) {
		fetch->handle = 0;
		fetch->state = FETCH_WAITING;
	}
}

void fetches_gone(struct fetches *fetches, const struct session_event *event)
{
	struct fetch *fetch = by_handle(fetches, event->gone.handle);

	if (fetch != NULL)
		fail(fetch, NX_EPARTSGONE, "the exchange no longer has a part of it");
}
