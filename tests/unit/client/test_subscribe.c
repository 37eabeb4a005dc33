/* newsxctl subscribe against a fake exchange: folders, resuming, --exec, refusals, exit statuses */
#include "fixture.h"

#include "base/clock.h"

#include <errno.h>
#include <openssl/sha.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>

#define PHOTO_N      (3u << 20)
#define EPOCH        0xabcd
#define HANDLES_MOST 64

struct served { /* an item that the fake exchange holds */
	const char *document;
	char *envelope;
	enum session_class class;
	uint64_t position, id;
	const uint8_t *part;
	uint64_t part_n;
	uint8_t sha256[32];
	struct refuse refuse;
	bool answered, acked;
	uint8_t result;
};
struct exchange {
	struct talk talk;
	struct served items[64];
	unsigned n, next;
	struct subscribe asked; /* what the program claimed */
	uint64_t first_need;    /* offset of its first NEED */
	uint64_t data_most;     /* serve no more octets of parts than this, but to flashes */
	uint64_t data;
	unsigned answers;
	struct {
		uint64_t handle;
		struct served *item;
	} handles[HANDLES_MOST]; /* the last ones */
	unsigned handles_n;
};

/* the memory of a digest, and of nothing else, is not to be had */
static bool no_digest;
#ifndef __SANITIZE_ADDRESS__
extern void *__libc_calloc(size_t n, size_t size);
void *calloc(size_t n, size_t size);
void *calloc(size_t n, size_t size)
{
	return no_digest && n == 1 && size == sizeof(SHA256_CTX) ? NULL : __libc_calloc(n, size);
}
#endif

/* what the program flushes, and how it stood then; one of these calls may fail. Shared with it */
struct disk {
	struct stat flushed[128];
	unsigned n, fails_at; /* counted from 1; 0: none */
	int64_t all_at_ns;    /* the whole file system was flushed */
	unsigned writes, write_fails_at;
	bool falls_short; /* by all but one octet; else there is no room */
};
static struct disk *disk;

static int64_t ns_of(struct timespec t)
{
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* false: this one fails */
static bool flush(int fd)
{
	if (disk == NULL || disk->n == sizeof(disk->flushed) / sizeof(disk->flushed[0]))
		return true;
	fstat(fd, &disk->flushed[disk->n++]);
	errno = EIO;
	return disk->n != disk->fails_at;
}

int fsync(int fd)
{
	return flush(fd) ? (int)syscall(SYS_fsync, fd) : -1;
}

int syncfs(int fd)
{
	struct timespec now;

	if (!flush(fd))
		return -1;
	if (disk != NULL) {
		clock_gettime(CLOCK_REALTIME, &now);
		disk->all_at_ns = ns_of(now);
	}
	return (int)syscall(SYS_syncfs, fd);
}

/* to a file, but for .position: an item that comes again is the worst of that. Gives how much may
 * be written, or -1 */
static ssize_t room_for(int fd, size_t n)
{
	char link[40], path[400] = "";
	struct stat st;

	if (disk == NULL || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return (ssize_t)n;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof(path) - 1) < 0 || strstr(path, "/in/") == NULL ||
	    strstr(path, "/.position") != NULL || ++disk->writes != disk->write_fails_at)
		return (ssize_t)n;
	errno = ENOSPC;
	return disk->falls_short ? n > 0 : -1;
}

ssize_t write(int fd, const void *p, size_t n)
{
	ssize_t room = room_for(fd, n);

	return room < 0 ? -1 : syscall(SYS_write, fd, p, (size_t)room);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	ssize_t room = room_for(fd, n);

	return room < 0 ? -1 : syscall(SYS_pwrite64, fd, p, (size_t)room, at);
}

static struct subscribe_options options = { .subscription = "from-kpl",
					    .out = "in",
					    .idle_exit_ms = -1 };

static rlim_t files_most; /* that the program may have open; 0: as many as we */

static int subscribe(int fd, void *arg)
{
	struct session_conf conf;
	struct link *link;
	int status;

	if (files_most > 0)
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){ files_most, files_most });
	subscribe_conf(&conf, "keys/vna");
	if (link_open_plain(fd, &conf, &link) < 0)
		return 99;
	status = subscribe_talk(arg, link);
	link_close(&link);
	return status;
}

static bool give_item(void *arg, enum session_class class, uint64_t id, struct session_out *out)
{
	struct exchange *x = arg;

	if (x->next == x->n || x->items[x->next].class != class)
		return false;
	x->items[x->next].id = id;
	*out = (struct session_out){ .subscription = 1,
				     .position = x->items[x->next].position,
				     .sequence = 100 + x->items[x->next].position,
				     .envelope = slice_str(x->items[x->next].envelope),
				     .document = slice_str(x->items[x->next].document) };
	x->next++;
	for (int i = 0; i < CLASSES; i++)
		session_item_ready(link_session(x->talk.link), (enum session_class)i);
	return true;
}

static void sent(void *arg, uint64_t id)
{
	(void)arg;
	(void)id;
}

static int give_part(void *arg, uint64_t handle, uint64_t offset, uint8_t *to, size_t n)
{
	struct exchange *x = arg;

	for (unsigned i = 0; i < x->handles_n && i < HANDLES_MOST; i++)
		if (x->handles[i].handle == handle) {
			if (x->data >= x->data_most && x->handles[i].item->class != CLASS_FLASH)
				return 0;
			x->data += n;
			memcpy(to, x->handles[i].item->part + offset, n);
			return (int)n;
		}
	return NX_ENOTOPEN;
}

/* part may be NULL; name as the envelope has it, already escaped for JSON */
static struct served *serve(struct exchange *x, const char *document, const char *name,
			    const uint8_t *part, size_t part_n)
{
	struct served *item = &x->items[x->n++];
	char hex[65];

	*item = (struct served){ .document = document,
				 .class = CLASS_ROUTINE,
				 .position = x->n,
				 .part = part,
				 .part_n = part_n };
	if (part == NULL) {
		item->envelope = strdup("{\"origin\":\"kpl\",\"channel\":\"kpl.news\"}");
		return item;
	}
	sha256_of(part, part_n, item->sha256);
	hex_of(item->sha256, 32, hex);
	assert_true(asprintf(&item->envelope,
			     "{\"origin\":\"kpl\",\"channel\":\"kpl.news\",\"parts\":[{\"name\":"
			     "\"%s\",\"size\":%zu,\"sha256\":\"%s\"}]}",
			     name, part_n, hex) > 0);
	return item;
}

static void begin(struct exchange *x)
{
	struct session_conf conf;

	link_session_conf(&conf, "exchange");
	conf.source.item = give_item;
	conf.source.sent = sent;
	conf.source.part = give_part;
	conf.arg = x;
	x->data_most = UINT64_MAX;
	talk_begin(&x->talk, subscribe, &options, &conf);
}

static struct served *by_id(struct exchange *x, uint64_t id)
{
	for (unsigned i = 0; i < x->n; i++)
		if (x->items[i].id == id)
			return &x->items[i];
	fail_msg("no item %llu", (unsigned long long)id);
	return NULL;
}

static void need(struct exchange *x, const struct need *need)
{
	if (x->handles_n == 0)
		x->first_need = need->offset;
	for (unsigned i = 0; i < x->n; i++)
		if (memcmp(x->items[i].sha256, need->sha256, 32) == 0) {
			x->handles[x->handles_n % HANDLES_MOST].handle = need->handle;
			x->handles[x->handles_n++ % HANDLES_MOST].item = &x->items[i];
			session_need_accept(link_session(x->talk.link), need->handle, false);
			return;
		}
	fail_msg("NEED of what was not offered");
}

static void on_event(struct exchange *x, const struct session_event *event)
{
	struct session *session = link_session(x->talk.link);
	struct subscribed yes = { .number = 1, .epoch = EPOCH, .owed = x->n };

	if (event->kind == SESSION_SUBSCRIBE) {
		x->asked = event->subscribe;
		snprintf(yes.name, sizeof(yes.name), "%s", event->subscribe.name);
		if (strcmp(yes.name, "from-kpl") != 0)
			session_unsubscribed(session, yes.name, 0, NX_ENOSUB, "no such");
		else
			session_subscribed(session, &yes);
		for (int i = 0; i < CLASSES; i++)
			session_item_ready(session, (enum session_class)i);
	} else if (event->kind == SESSION_NEED) {
		need(x, &event->need);
	} else if (event->kind == SESSION_ANSWER) {
		by_id(x, event->ack.id)->answered = by_id(x, event->ack.id)->acked = true;
		by_id(x, event->ack.id)->result = event->ack.result;
		x->answers++;
	} else if (event->kind == SESSION_REFUSED) {
		by_id(x, event->refuse.id)->answered = true;
		by_id(x, event->refuse.id)->refuse = event->refuse;
		x->answers++;
	}
}

/* until the program goes, or so many items are answered */
static void play(struct exchange *x, unsigned answers)
{
	struct session_event event;

	while (x->answers < answers && talk_event(&x->talk, &event))
		on_event(x, &event);
}

/* what is there now, without waiting long */
static void play_once(struct exchange *x)
{
	struct session_event event;

	if (link_event(x->talk.link, &event, NULL) == 1)
		on_event(x, &event);
	else
		link_turn(x->talk.link, NULL, 0, clock_boot_ms() + 1, NULL);
}

static int end(struct exchange *x)
{
	int status = talk_end(&x->talk);

	for (unsigned i = 0; i < x->n; i++)
		free(x->items[i].envelope);
	memset(x, 0, sizeof(*x));
	return status;
}

/* the one folder under in/ that is an item's; of a second one the test knows nothing */
static char item_folder[300];
static void look(int dir, const char *name, void *arg)
{
	unsigned *n = arg;

	(void)dir;
	if (name[0] == '.')
		return;
	snprintf(item_folder, sizeof(item_folder), "in/%s", name);
	(*n)++;
}

static unsigned folders(void)
{
	int dir = open("in", O_RDONLY | O_DIRECTORY);
	unsigned n = 0;

	folder_each(dir, look, &n);
	close(dir);
	return n;
}

static void assert_in_folder(const char *name, const void *p, size_t n)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", item_folder, name);
	assert_file(path, p, n);
}

static void reset(void)
{
	options = (struct subscribe_options){
		.subscription = "from-kpl", .out = "in", .count = 1, .idle_exit_ms = -1
	};
}

/* does standard error say this? */
static bool complains(const char *words)
{
	char *err = read_file("err", NULL);
	bool found = strstr(err, words) != NULL;

	free(err);
	return found;
}

static const char plain[] =
	"{\"uri\":\"urn:x:1\",\"version\":\"3\",\"language\":\"lo\",\n\"urgency\":5}";

/* ---- */

static void an_item_appears_whole_and_again_is_a_duplicate(void **state)
{
	struct exchange x = { 0 };
	char *out;

	(void)state;
	reset();
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 99);
	assert_false(x.asked.has_position);
	assert_true(x.items[0].acked);
	assert_int_equal(x.items[0].result, RESULT_STORED);
	assert_int_equal(folders(), 1);
	assert_in_folder("document.json", plain, strlen(plain));
	assert_in_folder("envelope.json", x.items[0].envelope, strlen(x.items[0].envelope));
	assert_int_equal(end(&x), 0);
	/* SHA-256("kpl" NUL "urn:x:1") and SHA-256 of the document, reckoned by hand */
	assert_non_null(strstr(item_folder, "-3-"));
	out = read_file("out", NULL);
	assert_memory_equal(out, "stored urn:x:1 3 seq=101 folder=", 32);
	free(out);

	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 99);
	assert_true(x.asked.has_position);
	assert_int_equal(x.asked.epoch, EPOCH);
	assert_int_equal(x.asked.position, 1);
	assert_int_equal(x.items[0].result, RESULT_DUPLICATE);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 1);
}

static void a_mistyped_name_leaves_nothing(void **state)
{
	struct exchange x = { 0 };

	(void)state;
	reset();
	options.subscription = "from-klp";
	for (int there = 0; there < 2; there++) {
		if (there)
			assert_int_equal(mkdir("in", 0755), 0);
		begin(&x);
		play(&x, 99);
		assert_int_equal(end(&x), 1);
		assert_int_equal(is_there("in"), there);
		assert_false(is_there("in/.position-from-klp"));
	}
}

/* it was there when it was tried, and is not when the exchange has said yes */
static void a_folder_that_cannot_be_made_ends_it(void **state)
{
	struct exchange x = { 0 };

	(void)state;
	reset();
	options.out = "none/in";
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 99);
	assert_false(x.items[0].acked);
	assert_int_equal(end(&x), 2);
	assert_true(complains("newsxctl: cannot make the folder none/in: "));
}

static void a_photo_resumes_at_the_octet(void **state)
{
	static const char doc[] = "{\"uri\":\"urn:x:2\"}";
	uint8_t *photo = malloc(PHOTO_N);
	struct exchange x = { 0 };
	char hex[65], partial[128];
	struct stat st;

	(void)state;
	reset();
	fill(photo, PHOTO_N, 2);
	serve(&x, doc, "a/p.jpg", photo, PHOTO_N);
	hex_of(x.items[0].sha256, 32, hex);
	snprintf(partial, sizeof(partial), "in/.partial/%s", hex);
	begin(&x);
	x.data_most = PHOTO_N / 2;
	/* until it has on disk what was let through, then the cable is cut */
	do
		play_once(&x);
	while (stat(partial, &st) < 0 || (uint64_t)st.st_size < x.data_most);
	assert_int_equal(x.first_need, 0);
	assert_int_equal(folders(), 0);
	assert_int_equal(end(&x), 75);

	assert_int_equal(stat(partial, &st), 0);
	serve(&x, doc, "a/p.jpg", photo, PHOTO_N);
	begin(&x);
	play(&x, 99);
	assert_int_equal(x.first_need, st.st_size);
	assert_true(x.items[0].acked);
	assert_int_equal(x.data, PHOTO_N - (uint64_t)st.st_size);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 1);
	assert_in_folder("parts/01-p.jpg", photo, PHOTO_N);
	assert_false(is_there(partial));
	free(photo);
}

static void a_damaged_partial_is_begun_anew(void **state)
{
	uint8_t photo[5000];
	struct exchange x = { 0 };
	char hex[65], partial[128];

	(void)state;
	reset();
	fill(photo, sizeof(photo), 3);
	serve(&x, plain, "p.jpg", photo, sizeof(photo));
	hex_of(x.items[0].sha256, 32, hex);
	mkdir("in", 0755);
	mkdir("in/.partial", 0755);
	snprintf(partial, sizeof(partial), "in/.partial/%s", hex);
	write_text(partial, "power cut");
	begin(&x);
	play(&x, 99);
	assert_int_equal(x.first_need, 9);
	assert_true(x.items[0].acked);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 1);
	assert_in_folder("parts/01-p.jpg", photo, sizeof(photo));
}

static void wrong_octets_are_thrown_away(void **state)
{
	uint8_t photo[5000], wrong[5000];
	struct exchange x = { 0 };

	(void)state;
	reset();
	fill(photo, sizeof(photo), 3);
	fill(wrong, sizeof(wrong), 4);
	serve(&x, plain, "p.jpg", photo, sizeof(photo));
	x.items[0].part = wrong;
	begin(&x);
	play(&x, 1);
	assert_false(x.items[0].acked);
	assert_string_equal(x.items[0].refuse.code, "part-mismatch");
	assert_int_equal(x.items[0].refuse.retry, NX_LATER);
	assert_int_equal(end(&x), 75);
	assert_int_equal(folders(), 0);
}

static void hostile_names_stay_inside(void **state)
{
	static const char doc[] = "{\"uri\":\"../../etc/\\u200b\\\"x y\","
				  "\"version\":\"../../../v $(x) 1\"}";
	static const char bell[] = "{\"uri\":\"urn:x:\\u001b]0;x\\u0007\\n\"}";
	uint8_t photo[10] = "octets";
	struct exchange x = { 0 };
	char *out;

	(void)state;
	reset();
	serve(&x, bell, NULL, NULL, 0);
	serve(&x, doc, "-rf;$(x) \xe1\xba\xa3nh", photo, sizeof(photo));
	begin(&x);
	play(&x, 99);
	assert_string_equal(x.items[0].refuse.code, "bad-uri");
	assert_true(x.items[1].acked);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 1);
	assert_in_folder("document.json", doc, strlen(doc));
	assert_in_folder("parts/01--rf___x__\xe1\xba\xa3nh", photo, sizeof(photo));
	out = read_file("out", NULL);
	assert_null(strchr(out, '\x1b'));
	assert_non_null(strstr(out, "\nstored \"../../etc/"));
	assert_ptr_equal(strrchr(out, '\n'), out + strlen(out) - 1);
	assert_null(strstr(out, "$(x)-"));
	free(out);
}

static void an_envelope_that_lies_is_refused_later(void **state)
{
	struct exchange x = { 0 };

	(void)state;
	reset();
	serve(&x, plain, "p.jpg", (const uint8_t *)"octets", 6);
	free(x.items[0].envelope);
	x.items[0].envelope =
		strdup("{\"parts\":[{\"name\":\"../../x\",\"size\":6,\"sha256\":\"00\"}]}");
	begin(&x);
	play(&x, 1);
	assert_string_equal(x.items[0].refuse.code, "bad-envelope");
	assert_int_equal(x.items[0].refuse.retry, NX_LATER);
	assert_int_equal(end(&x), 75);
	assert_int_equal(folders(), 0);
}

static void two_items_share_a_photo(void **state)
{
	static const char other[] = "{\"uri\":\"urn:x:other\"}";
	uint8_t *photo = malloc(PHOTO_N);
	struct exchange x = { 0 };

	(void)state;
	reset();
	options.count = 2;
	fill(photo, PHOTO_N, 5);
	serve(&x, plain, "p.jpg", photo, PHOTO_N);
	serve(&x, other, "q.jpg", photo, PHOTO_N);
	begin(&x);
	play(&x, 99);
	assert_true(x.items[0].acked && x.items[1].acked);
	assert_int_equal(x.data, PHOTO_N);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 2);
	free(photo);
}

/* so many that they are flushed together; two are the same, one cannot be read */
static void many_come_together(void **state)
{
	static const char *const documents[] = {
		"{\"uri\":\"urn:1\"}", "{\"uri\":\"urn:2\"}", "{\"uri\":\"urn:3\"}",
		"{\"uri\":",           "{\"uri\":\"urn:4\"}", "{\"uri\":\"urn:5\"}",
		"{\"uri\":\"urn:1\"}", "{\"uri\":\"urn:6\"}",
	};
	uint8_t photo[40000];
	struct exchange x = { 0 };

	(void)state;
	reset();
	options.count = 7;
	fill(photo, sizeof(photo), 9);
	for (int i = 0; i < 8; i++)
		serve(&x, documents[i], "p.jpg", i == 2 || i == 4 ? photo : NULL, sizeof(photo));
	begin(&x);
	play(&x, 99);
	for (int i = 0; i < 8; i++)
		assert_int_equal(x.items[i].acked, i != 3);
	assert_int_equal(x.items[3].refuse.retry, NX_LATER);
	assert_int_equal(x.items[6].result, RESULT_DUPLICATE);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 6);
}

static const char *const seven[] = {
	plain,
	"{\"uri\":\"urn:1\"}",
	"{\"uri\":\"urn:2\"}",
	"{\"uri\":\"urn:3\"}",
	"{\"uri\":\"urn:4\"}",
	"{\"uri\":\"urn:5\"}",
	"{\"uri\":\"urn:6\"}",
};

static uint8_t seven_photo[40000];

static void disk_begin(void)
{
	disk = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(disk, MAP_FAILED);
}

/* the program takes n of them, all with one photo */
static void take(struct exchange *x, unsigned n, const char *exec)
{
	reset();
	options.count = n;
	options.exec = exec;
	fill(seven_photo, sizeof(seven_photo), 11);
	for (unsigned i = 0; i < n; i++)
		serve(x, seven[i], "p.jpg", seven_photo, sizeof(seven_photo));
	begin(x);
	play(x, n);
}

static void disk_end(void)
{
	munmap(disk, sizeof(*disk));
	disk = NULL;
}

static unsigned acked_of(const struct exchange *x)
{
	unsigned acked = 0;

	for (unsigned i = 0; i < x->n; i++)
		acked += x->items[i].acked;
	return acked;
}

/* as it stands now it was flushed: alone, or with the whole file system */
static void assert_flushed(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	for (unsigned i = 0; i < disk->n; i++)
		if (disk->flushed[i].st_dev == st.st_dev && disk->flushed[i].st_ino == st.st_ino &&
		    ns_of(disk->flushed[i].st_mtim) == ns_of(st.st_mtim))
			return;
	if (ns_of(st.st_mtim) >= disk->all_at_ns)
		fail_msg("%s was acknowledged and not flushed", path);
}

/* and all that is in it; arg: the path of the folder that it is in */
static void assert_all_flushed(int dir, const char *name, void *arg)
{
	char path[600];
	int fd;

	if (name[0] == '.') /* .partial and .position: what is lost of them comes again */
		return;
	snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name);
	assert_flushed(path);
	fd = folder_open(dir, name);
	if (fd < 0)
		return;
	folder_each(fd, assert_all_flushed, path);
	close(fd);
}

/* alone, and so many that they are flushed together; found again, by one that knows nothing of the
 * flush before */
static void what_is_acknowledged_is_on_disk(void **state)
{
	static const struct {
		unsigned n;
		const char *exec;
		bool again;
	} rounds[] = {
		{ 1, NULL, false }, { 1, NULL, true }, { 1, "true", true },
		{ 7, NULL, false }, { 7, NULL, true }, { 7, "true", true },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
		struct exchange x = { 0 };

		if (!rounds[i].again)
			folder_remove(AT_FDCWD, "in");
		disk_begin();
		take(&x, rounds[i].n, rounds[i].exec);
		for (unsigned at = 0; at < rounds[i].n; at++) {
			assert_true(x.items[at].acked);
			assert_int_equal(x.items[at].result,
					 rounds[i].again ? RESULT_DUPLICATE : RESULT_STORED);
		}
		assert_int_equal(end(&x), 0);
		assert_int_equal(folders(), rounds[i].n);
		assert_flushed("in");
		if (!rounds[i].again)
			assert_all_flushed(AT_FDCWD, "in", ".");
		if (rounds[i].exec != NULL) /* the name of .done */
			assert_flushed(item_folder);
		disk_end();
	}
}

static void each_flush_fails_in_turn(void **state)
{
	static const struct {
		unsigned n;
		const char *exec;
		unsigned flushes; /* no fewer than these */
	} rounds[] = { { 1, NULL, 7 }, { 1, "true", 9 }, { 7, NULL, 3 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
		unsigned fired = 0;

		for (bool again = true; again; fired += again) {
			struct exchange x = { 0 };
			unsigned acked;

			folder_remove(AT_FDCWD, "in");
			disk_begin();
			disk->fails_at = fired + 1;
			take(&x, rounds[i].n, rounds[i].exec);
			again = disk->n > fired;
			acked = acked_of(&x);
			if (again)
				assert_true(acked < rounds[i].n);
			else
				assert_int_equal(acked, rounds[i].n);
			end(&x);
			disk_end();
		}
		assert_true(fired >= rounds[i].flushes);
	}
}

/* what falls short goes on; where there is no room nothing is acknowledged, and the next try finds
 * no half of it */
static void each_write_falls_short_or_fails_in_turn(void **state)
{
	(void)state;
	for (unsigned short_one = 0; short_one < 2; short_one++) {
		unsigned fired = 0;

		for (bool again = true; again; fired += again) {
			struct exchange x = { 0 };

			folder_remove(AT_FDCWD, "in");
			disk_begin();
			disk->falls_short = short_one;
			disk->write_fails_at = fired + 1;
			take(&x, 1, NULL);
			again = disk->writes > fired;
			assert_int_equal(acked_of(&x), !again || short_one);
			end(&x);
			disk_end();
			if (again && !short_one) {
				assert_int_equal(folders(), 0);
				take(&x, 1, NULL);
				assert_int_equal(acked_of(&x), 1);
				end(&x);
			}
			assert_int_equal(folders(), 1);
			assert_in_folder("document.json", plain, strlen(plain));
			assert_in_folder("parts/01-p.jpg", seven_photo, sizeof(seven_photo));
		}
		assert_true(fired >= 4); /* document, envelope, and the photo as it comes */
	}
}

static void exec_sees_the_facts_and_done_is_kept(void **state)
{
	struct exchange x = { 0 };
	char *seen, expected[1400];

	(void)state;
	reset();
	options.exec =
		"printf '%s|' \"$1\" \"$NEWSX_ORIGIN\" \"$NEWSX_URI\" \"$NEWSX_VERSION\" "
		"\"$NEWSX_CHANNEL\" \"$NEWSX_LANGUAGE\" \"$NEWSX_STATUS\" \"$NEWSX_URGENCY\" "
		"\"$NEWSX_FOLDER\" \"$NEWSX_SEQUENCE\" > seen; test -f \"$1/document.json\"";
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 99);
	assert_true(x.items[0].acked);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 1);
	assert_in_folder(".done", "", 0);
	seen = read_file("seen", NULL);
	snprintf(expected, sizeof(expected), "%s/%s|kpl|urn:x:1|3|kpl.news|lo|usable|5|%s/%s|101|",
		 folder, item_folder, folder, item_folder);
	assert_string_equal(seen, expected);
	free(seen);

	/* a copy: the command is not run again */
	remove("seen");
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 99);
	assert_int_equal(x.items[0].result, RESULT_DUPLICATE);
	assert_int_equal(end(&x), 0);
	assert_false(is_there("seen"));
}

/* whatever it fails with, by a signal too */
static void exec_that_fails_is_refused_later_and_run_again(void **state)
{
	static const char *const commands[] = {
		"test -f ready || exit 75",
		"test -f ready || exit 1",
		"test -f ready || exit 255",
		"test -f ready || kill -9 $$",
	};
	struct exchange x = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		reset();
		options.exec = commands[i];
		serve(&x, plain, NULL, NULL, 0);
		begin(&x);
		play(&x, 1);
		assert_false(x.items[0].acked);
		assert_string_equal(x.items[0].refuse.code, "consumer-busy");
		assert_int_equal(x.items[0].refuse.retry, NX_LATER);
		assert_int_equal(end(&x), 75);
		assert_int_equal(folders(), 1);
	}

	write_text("ready", "");
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 99);
	assert_true(x.items[0].acked);
	assert_int_equal(end(&x), 0);
	assert_in_folder(".done", "", 0);
}

static void exec_may_take_the_folder_away(void **state)
{
	struct exchange x = { 0 };

	(void)state;
	reset();
	options.exec = "mv \"$1\" taken";
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 99);
	assert_true(x.items[0].acked);
	assert_int_equal(end(&x), 0);
	assert_true(is_there("taken/document.json"));
}

/* plays until the file is there, or until it holds words */
static void play_until(struct exchange *x, const char *file, const char *words)
{
	for (bool there = false; !there; play_once(x)) {
		char *text = is_there(file) ? read_file(file, NULL) : NULL;

		there = text != NULL && (words == NULL || strstr(text, words) != NULL);
		free(text);
	}
}

/* begins one that writes its number, and looks at it: readable when it has ended */
static int begin_command(struct exchange *x, const char *command)
{
	char *number;
	int fd;

	reset();
	remove("pid");
	options.exec = command;
	serve(x, plain, NULL, NULL, 0);
	begin(x);
	play_until(x, "pid", NULL);
	number = read_file("pid", NULL);
	fd = pidfd_open(atoi(number), 0);
	assert_true(fd >= 0);
	free(number);
	return fd;
}

static void assert_ends(int pidfd)
{
	struct pollfd ready = { .fd = pidfd, .events = POLLIN };

	assert_int_equal(poll(&ready, 1, 20000), 1);
	close(pidfd);
}

static void a_command_dies_with_who_started_it(void **state)
{
	static const char *const commands[] = {
		"echo $$ > new; mv new pid; exec sleep 1000",
		/* and so does what it has started, in whatever way */
		"sleep 1000 & echo $! > new; mv new pid; wait",
		"(sh -c 'echo $$ > new; mv new pid; exec sleep 1000 3</dev/null'; true) | cat",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		struct exchange x = { 0 };
		int command = begin_command(&x, commands[i]), status;

		kill(x.talk.pid, SIGKILL);
		assert_int_equal(waitpid(x.talk.pid, &status, 0), x.talk.pid);
		assert_ends(command);
		link_close(&x.talk.link);
		free(x.items[0].envelope);
	}
}

static void what_a_command_leaves_behind_goes_on(void **state)
{
	struct exchange x = { 0 };
	struct pollfd left = { .events = POLLIN };

	(void)state;
	left.fd = begin_command(&x, "sleep 1000 & echo $! > new; mv new pid");
	play(&x, 99);
	assert_true(x.items[0].acked);
	assert_int_equal(end(&x), 0);
	assert_int_equal(poll(&left, 1, 0), 0);
	assert_int_equal(pidfd_send_signal(left.fd, SIGKILL, NULL, 0), 0);
	close(left.fd);
}

static void a_second_signal_kills_the_command_and_what_it_started(void **state)
{
	struct exchange x = { 0 };
	int command;

	(void)state;
	command = begin_command(&x, "sleep 1000 & echo $! > new; mv new pid; wait");
	kill(x.talk.pid, SIGTERM);
	play_until(&x, "err", "waiting for the command");
	kill(x.talk.pid, SIGTERM);
	play(&x, 99);
	assert_ends(command);
	assert_false(x.items[0].acked);
	assert_int_equal(end(&x), 75);
}

static void a_withdrawn_item_leaves_no_trace(void **state)
{
	uint8_t *photo = malloc(PHOTO_N);
	struct exchange x = { 0 };

	(void)state;
	reset();
	fill(photo, PHOTO_N, 6);
	serve(&x, plain, "p.jpg", photo, PHOTO_N);
	begin(&x);
	x.data_most = 100000;
	while (x.data < x.data_most)
		play_once(&x);
	session_withdraw(link_session(x.talk.link), x.items[0].id, NX_EKILLED);
	play(&x, 1);
	assert_string_equal(x.items[0].refuse.code, "withdrawn");
	assert_int_equal(end(&x), 75);
	assert_int_equal(folders(), 0);
	free(photo);
}

static void flash_is_settled_while_a_photo_waits(void **state)
{
	static const char flash[] = "{\"uri\":\"urn:x:f\",\"urgency\":1}";
	uint8_t *photo = malloc(PHOTO_N);
	struct exchange x = { 0 };

	(void)state;
	reset();
	fill(photo, PHOTO_N, 6);
	serve(&x, plain, "p.jpg", photo, PHOTO_N);
	serve(&x, flash, NULL, NULL, 0)->class = CLASS_FLASH;
	begin(&x);
	x.data_most = 100000;
	play(&x, 1);
	assert_true(x.items[1].acked);
	assert_false(x.items[0].answered);
	assert_int_equal(end(&x), 0); /* --count 1 */
	free(photo);
}

static void the_photos_of_a_flash_do_not_wait_for_a_row_of_others(void **state)
{
	static const char flash[] = "{\"uri\":\"urn:x:f\",\"urgency\":1}";
	static char documents[20][40];
	static uint8_t photos[21][64];
	struct exchange x = { 0 };

	(void)state;
	reset();
	for (unsigned i = 0; i < 20; i++) {
		snprintf(documents[i], sizeof(documents[i]), "{\"uri\":\"urn:x:%u\"}", i);
		fill(photos[i], sizeof(photos[i]), i);
		serve(&x, documents[i], "p.jpg", photos[i], sizeof(photos[i]));
	}
	begin(&x);
	x.data_most = 0;
	while (x.handles_n < 14)
		play_once(&x);
	fill(photos[20], sizeof(photos[20]), 20);
	serve(&x, flash, "p.jpg", photos[20], sizeof(photos[20]))->class = CLASS_FLASH;
	session_item_ready(link_session(x.talk.link), CLASS_FLASH);
	play(&x, 1);
	assert_true(x.items[20].acked);
	assert_false(x.items[0].answered);
	assert_int_equal(end(&x), 0); /* --count 1 */
}

static void claims_that_fail_are_1(void **state)
{
	struct exchange x = { 0 };
	struct session_event event;

	(void)state;
	reset();
	options.subscription = "of-others";
	begin(&x);
	play(&x, 1);
	assert_int_equal(end(&x), 1);

	reset();
	begin(&x);
	do {
		assert_true(talk_event(&x.talk, &event));
		on_event(&x, &event);
	} while (event.kind != SESSION_SUBSCRIBE);
	session_unsubscribed(link_session(x.talk.link), "from-kpl", 1, NX_ETAKENOVER, NULL);
	play(&x, 1);
	assert_int_equal(end(&x), 1);
}

static void idle_exit_and_goodbye(void **state)
{
	struct exchange x = { 0 };

	(void)state;
	reset();
	options.idle_exit_ms = 0;
	options.count = 0;
	begin(&x);
	play(&x, 1);
	assert_int_equal(end(&x), 0);

	reset();
	options.count = 0;
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 1);
	session_bye(link_session(x.talk.link), NX_ESHUTDOWN, "restarting");
	play(&x, 9);
	assert_int_equal(end(&x), 75);
}

static const char cannot_be_read[] = "{\"uri\":";

static void drains_the_queue(void)
{
	reset();
	options.idle_exit_ms = 500;
	options.count = 0;
}

/* what was refused later is still owed: who drains a queue is told so */
static void idle_exit_after_a_refusal_is_75(void **state)
{
	struct exchange x = { 0 };

	(void)state;
	drains_the_queue();
	serve(&x, cannot_be_read, NULL, NULL, 0);
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 99);
	assert_true(x.items[1].acked);
	assert_int_equal(end(&x), 75);
	assert_true(complains("newsxctl: refused later, and still owed: 1;"));
}

/* it came again and was taken: nothing is owed any more */
static void idle_exit_after_a_refusal_that_was_mended_is_0(void **state)
{
	struct exchange x = { 0 };

	(void)state;
	drains_the_queue();
	options.exec = "test -f ready || { touch ready; exit 75; }";
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 1);
	assert_string_equal(x.items[0].refuse.code, "consumer-busy");
	serve(&x, plain, NULL, NULL, 0)->position = 1; /* as before */
	for (int i = 0; i < CLASSES; i++)
		session_item_ready(link_session(x.talk.link), (enum session_class)i);
	play(&x, 99);
	assert_true(x.items[1].acked);
	assert_int_equal(end(&x), 0);
	assert_false(complains("still owed"));
}

static void a_signal_ends_it_in_order(void **state)
{
	struct exchange x = { 0 };

	(void)state;
	reset();
	options.count = 0;
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 1);
	kill(x.talk.pid, SIGTERM);
	play(&x, 9);
	assert_true(x.talk.lost);
	assert_int_equal(end(&x), 0);
}

static void what_stands_in_the_way_is_not_followed(void **state)
{
	struct exchange x = { 0 };
	char path[400];

	(void)state;
	reset();
	mkdir("in", 0755);
	mkdir("victim", 0755);
	assert_int_equal(symlink("../victim", "in/.partial"), 0);
	begin(&x);
	play(&x, 1);
	assert_int_equal(end(&x), 2);
	remove("in/.partial");

	/* the folder's name is known beforehand: a link lies there */
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 99);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 1);
	snprintf(path, sizeof(path), "%s", item_folder);
	assert_int_equal(rename(path, "elsewhere"), 0);
	assert_int_equal(symlink("../victim", path), 0);
	serve(&x, plain, NULL, NULL, 0);
	begin(&x);
	play(&x, 1);
	assert_string_equal(x.items[0].refuse.code, "io-error");
	assert_int_equal(end(&x), 75);
	assert_false(is_there("victim/document.json"));
}

/*
 * killed after the folder appeared and before .partial was tidied: the photo has two names. Another
 * item with the same photo gets octets of its own, whatever was done to the first meanwhile.
 */
static void a_folder_that_appeared_is_never_written_again(void **state)
{
	static const char other[] = "{\"uri\":\"urn:x:other\"}";
	static const char edited[] = "edited in place by whoever took it over";
	uint8_t photo[5000];
	struct exchange x = { 0 };
	char hex[65], partial[128], first[400];
	struct stat st;

	(void)state;
	reset();
	fill(photo, sizeof(photo), 7);
	serve(&x, plain, "p.jpg", photo, sizeof(photo));
	hex_of(x.items[0].sha256, 32, hex);
	snprintf(partial, sizeof(partial), "in/.partial/%s", hex);
	begin(&x);
	play(&x, 99);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 1);
	snprintf(first, sizeof(first), "%s/parts/01-p.jpg", item_folder);
	assert_int_equal(link(first, partial), 0);

	serve(&x, other, "p.jpg", photo, sizeof(photo));
	begin(&x);
	play(&x, 99);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 2);
	assert_int_equal(stat(first, &st), 0);
	assert_int_equal(st.st_nlink, 1);

	assert_int_equal(link(first, partial), 0);
	write_text(first, edited);
	serve(&x, "{\"uri\":\"urn:x:third\"}", "p.jpg", photo, sizeof(photo));
	begin(&x);
	play(&x, 99);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 3);
	assert_file(first, edited, strlen(edited));
}

/* a backlog of photos waits for its turn, and not in open files */
static void many_photos_wait_without_files(void **state)
{
	static char documents[60][40];
	static uint8_t photos[60][64];
	struct exchange x = { 0 };

	(void)state;
	reset();
	options.count = 60;
	for (unsigned i = 0; i < 60; i++) {
		snprintf(documents[i], sizeof(documents[i]), "{\"uri\":\"urn:x:%u\"}", i);
		fill(photos[i], sizeof(photos[i]), i);
		serve(&x, documents[i], "p.jpg", photos[i], sizeof(photos[i]));
	}
	files_most = 48;
	begin(&x);
	files_most = 0;
	play(&x, 60);
	for (unsigned i = 0; i < 60; i++)
		assert_true(x.items[i].acked);
	assert_int_equal(end(&x), 0);
	assert_int_equal(folders(), 60);
}

/* without a digest no item can be told from another: refused later, never taken for one that is
 * here */
static void without_memory_for_a_digest_nothing_is_acknowledged(void **state)
{
	struct exchange x = { 0 };

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip();
#endif
	reset();
	options.count = 2;
	serve(&x, "{\"uri\":\"urn:x:1\"}", NULL, NULL, 0);
	serve(&x, "{\"uri\":\"urn:x:2\"}", NULL, NULL, 0);
	no_digest = true;
	begin(&x);
	no_digest = false;
	play(&x, 2);
	for (int i = 0; i < 2; i++) {
		assert_false(x.items[i].acked);
		assert_string_equal(x.items[i].refuse.code, "out-of-memory");
	}
	end(&x);
	assert_int_equal(folders(), 0);
}

static void what_a_crash_left_is_swept(void **state)
{
	struct exchange x = { 0 };

	(void)state;
	reset();
	mkdir("in", 0755);
	mkdir("in/.incoming-dead", 0755);
	mkdir("in/.incoming-dead/parts", 0755);
	write_text("in/.incoming-dead/parts/01-x", "x");
	options.idle_exit_ms = 0;
	begin(&x);
	play(&x, 1);
	assert_int_equal(end(&x), 0);
	assert_false(is_there("in/.incoming-dead"));
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, make_folder, drop_folder)
	const struct CMUnitTest tests[] = {
		TEST(an_item_appears_whole_and_again_is_a_duplicate),
		TEST(a_mistyped_name_leaves_nothing),
		TEST(a_folder_that_cannot_be_made_ends_it),
		TEST(a_photo_resumes_at_the_octet),
		TEST(a_damaged_partial_is_begun_anew),
		TEST(wrong_octets_are_thrown_away),
		TEST(hostile_names_stay_inside),
		TEST(an_envelope_that_lies_is_refused_later),
		TEST(two_items_share_a_photo),
		TEST(many_come_together),
		TEST(what_is_acknowledged_is_on_disk),
		TEST(each_flush_fails_in_turn),
		TEST(each_write_falls_short_or_fails_in_turn),
		TEST(exec_sees_the_facts_and_done_is_kept),
		TEST(exec_that_fails_is_refused_later_and_run_again),
		TEST(exec_may_take_the_folder_away),
		TEST(a_command_dies_with_who_started_it),
		TEST(what_a_command_leaves_behind_goes_on),
		TEST(a_second_signal_kills_the_command_and_what_it_started),
		TEST(a_withdrawn_item_leaves_no_trace),
		TEST(flash_is_settled_while_a_photo_waits),
		TEST(the_photos_of_a_flash_do_not_wait_for_a_row_of_others),
		TEST(claims_that_fail_are_1),
		TEST(idle_exit_and_goodbye),
		TEST(idle_exit_after_a_refusal_is_75),
		TEST(idle_exit_after_a_refusal_that_was_mended_is_0),
		TEST(a_signal_ends_it_in_order),
		TEST(what_stands_in_the_way_is_not_followed),
		TEST(a_folder_that_appeared_is_never_written_again),
		TEST(many_photos_wait_without_files),
		TEST(without_memory_for_a_digest_nothing_is_acknowledged),
		TEST(what_a_crash_left_is_swept),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	story_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
