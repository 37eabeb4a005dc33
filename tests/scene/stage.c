#include "stage.h"
#include "actor.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/store_priv.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS_MOST = 200000, STEP_MS = 1000 };
/* 2026-11-22T10:00:00Z */
#define BEGIN_WALL_MS INT64_C(1795341600000)

const char stage_usual[] =
	"partner kpl { pin = {@kpl} publish = {\"kpl.*\"} read = {\"*\"} }\n"
	"partner afp { pin = {@afp} publish = {\"afp.*\"} }\n"
	"partner vna { pin = {@vna} read = {\"*\"} }\n"
	"partner web { pin = {@web} read = {\"*\"} }\n"
	"subscription all { partner = \"vna\" channels = {\"*\"} start = \"all\" }\n"
	"subscription every { partner = \"web\" channels = {\"*\"} start = \"all\" "
	"versions = \"all\" }\n";

int64_t stage_wall(void)
{
	return clock_wall_ms();
}

/* ---- log */

static void heard(const char *line, void *arg)
{
	struct stage *stage = arg;
	size_t n = strlen(line);

	if (getenv("SCENE_LOG") != NULL)
		fprintf(stderr, "        %s\n", line);
	if (stage->log_n + n + 2 > stage->log_cap) {
		stage->log_cap = (stage->log_n + n + 2) * 2;
		stage->log = realloc(stage->log, stage->log_cap);
	}
	memcpy(stage->log + stage->log_n, line, n);
	stage->log_n += n;
	stage->log[stage->log_n++] = '\n';
	stage->log[stage->log_n] = '\0';
}

static bool holds_words(const char *line, size_t n, const char *words)
{
	char word[128];

	while (*words != '\0') {
		size_t len = strcspn(words, " ");
		const char *found;

		snprintf(word, sizeof(word), "%.*s", (int)len, words);
		found = memmem(line, n, word, strlen(word));
		if (found == NULL)
			return false;
		n -= (size_t)(found + strlen(word) - line);
		line = found + strlen(word);
		words += len + (words[len] == ' ');
	}
	return true;
}

bool stage_logged(const struct stage *stage, const char *words)
{
	const char *line = stage->log;

	while (line != NULL && *line != '\0') {
		size_t n = strcspn(line, "\n");

		if (holds_words(line, n, words))
			return true;
		line += n + 1;
	}
	return false;
}

void stage_forget_log(struct stage *stage)
{
	stage->log_n = 0;
	if (stage->log != NULL)
		stage->log[0] = '\0';
}

/* ---- folders */

static void remove_tree(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[1024];

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		if (unlink(name) < 0)
			remove_tree(name);
	}
	if (dir != NULL)
		closedir(dir);
	rmdir(path);
}

/* what was written, not what was only set aside */
static void copy_file(const char *from, const char *to)
{
	static char block[1 << 16];
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	off_t end = lseek(in, 0, SEEK_END), at = 0;

	assert_true(in >= 0 && out >= 0);
	while (at < end && (at = lseek(in, at, SEEK_DATA)) >= 0) {
		off_t hole = lseek(in, at, SEEK_HOLE);

		while (at < hole) {
			size_t most = hole - at < (off_t)sizeof(block) ? (size_t)(hole - at)
								       : sizeof(block);
			ssize_t n = pread(in, block, most, at);

			assert_true(n > 0 && pwrite(out, block, (size_t)n, at) == n);
			at += n;
		}
	}
	assert_int_equal(ftruncate(out, end), 0);
	close(in);
	close(out);
}

static void copy_environment(const char *from, const char *to, const char *name)
{
	char a[512], b[512];

	snprintf(a, sizeof(a), "%s/%s", from, name);
	snprintf(b, sizeof(b), "%s/%s", to, name);
	assert_int_equal(mkdir(b, 0700), 0);
	snprintf(a, sizeof(a), "%s/%s/data.mdb", from, name);
	snprintf(b, sizeof(b), "%s/%s/data.mdb", to, name);
	copy_file(a, b);
}

static void next_store(struct stage *stage)
{
	snprintf(stage->store_dir, sizeof(stage->store_dir), "%s/store%u", stage->dir,
		 ++stage->stores);
}

/* ---- configuration */

static void put_text(struct stage *stage, const char *text)
{
	size_t have = stage->text == NULL ? 0 : strlen(stage->text);

	stage->text = realloc(stage->text, have + strlen(text) + 1);
	assert_non_null(stage->text);
	strcpy(stage->text + have, text);
}

static void put_pins(struct stage *stage, const char *text)
{
	while (*text != '\0') {
		size_t n = strcspn(text, "@");
		char piece[1024], name[64], b64[64];
		uint8_t pin[32];

		while (n > 0) {
			int most = n < sizeof(piece) - 1 ? (int)n : (int)sizeof(piece) - 1;

			snprintf(piece, sizeof(piece), "%.*s", most, text);
			put_text(stage, piece);
			text += most;
			n -= (size_t)most;
		}
		if (*text != '@')
			continue;
		n = strcspn(++text, "} ,");
		snprintf(name, sizeof(name), "%.*s", (int)n, text);
		text += n;
		fake_pin(name, pin);
		base64_of(pin, 32, b64);
		snprintf(piece, sizeof(piece), "\"sha256:%s\"", b64);
		put_text(stage, piece);
	}
}

static void write_conf(struct stage *stage, const struct stage_conf *conf)
{
	put_text(stage, "node { name = \"exchange\" }\nstore { directory = \"%STORE%\"\n");
	put_text(stage, conf != NULL && conf->store != NULL ? conf->store : "size = 64MiB");
	put_text(stage, "\n}\nlimits {\n");
	put_text(stage, conf != NULL && conf->limits != NULL ? conf->limits : "");
	put_text(stage, "\n}\nlog {\n");
	put_text(stage, conf != NULL && conf->log != NULL ? conf->log : "");
	put_text(stage, "\n}\n");
	stage->rest_at = strlen(stage->text);
	put_pins(stage, conf != NULL && conf->rest != NULL ? conf->rest : stage_usual);
}

static void write_file(const char *path, const char *text, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	close(fd);
}

/* a reload looks whether they are there; nobody reads them */
static void put_keys(const struct stage *stage)
{
	static const char *const files[] = { "exchange.key", "exchange.crt" };
	char path[320];

	snprintf(path, sizeof(path), "%s/keys", stage->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/keys/%s", stage->dir, files[i]);
		write_file(path, "none\n", 5);
	}
}

static struct conf *read_conf(struct stage *stage)
{
	char *at = strstr(stage->text, "%STORE%"), *whole = NULL;
	struct conf *conf = NULL;
	struct why why = { 0 };
	int n = asprintf(&whole, "%.*s%s%s", (int)(at - stage->text), stage->text, stage->store_dir,
			 at + strlen("%STORE%"));

	assert_true(n > 0);
	write_file(stage->file, whole, (size_t)n);
	if (conf_read_octets(stage->file, slice_of(whole, (size_t)n), &conf, &why) < 0)
		fail_msg("%s", why.words);
	free(whole);
	return conf;
}

/* ---- a reader between whose reading and answering something may happen */

static int reads(void *arg, struct store_req *list, struct why *why)
{
	struct stage *stage = arg;

	(void)why;
	for (; list != NULL; list = list->next)
		reader_run(&stage->exchange->store->reader, list);
	return 0;
}

static void has_read(void *arg, struct store_req *list)
{
	struct stage *stage = arg;

	*stage->read_end = list;
	while (*stage->read_end != NULL)
		stage->read_end = &(*stage->read_end)->next;
	if (!stage->reader_late)
		stage_reader_answers(stage);
}

void stage_reader_answers(struct stage *stage)
{
	if (stage->read != NULL)
		outbox_post(stage->exchange->store->outbox, stage->read);
	stage->read = NULL;
	stage->read_end = &stage->read;
}

static void put_reader(struct stage *stage)
{
	struct store *store = stage->exchange->store;
	const struct worker_conf conf = { .name = "reader",
					  .batch = reads,
					  .pass = has_read,
					  .drop_at_stop = true,
					  .arg = stage,
					  .outbox = store->outbox };

	assert_int_equal(worker_waiting(store->reader_worker), 0);
	worker_free(&store->reader_worker);
	assert_int_equal(worker_new(&conf, &store->reader_worker), 0);
	stage->read_end = &stage->read;
}

/* ---- life */

void stage_open(struct stage *stage)
{
	struct conf *conf = read_conf(stage);
	struct why why = { 0 };
	int r;

	stage->conf = conf;
	r = hub_open_in_line(&conf, &stage->hub, &why);
	if (r < 0)
		fail_msg("%s: %s", nx_word(r), why.words);
	stage->exchange = hub_exchange(stage->hub);
	put_reader(stage);
	for (unsigned i = 0; i < 100 && !fake_listening(stage->exchange->loop); i++) {
		store_step(stage->exchange->store);
		fake_turn(stage->exchange->loop);
	}
	assert_true(fake_listening(stage->exchange->loop));
}

struct stage *stage_new(const struct stage_conf *conf)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	const char *tmp = getenv("TMPDIR");

	assert_non_null(stage);
	snprintf(stage->dir, sizeof(stage->dir), "%s/newsx-scene.XXXXXX",
		 tmp != NULL ? tmp : "/tmp");
	assert_non_null(mkdtemp(stage->dir));
	snprintf(stage->file, sizeof(stage->file), "%s/newsxd.conf", stage->dir);
	put_keys(stage);
	clock_fake(5000000, BEGIN_WALL_MS);
	fault_off();
	log_tap(heard, stage);
	write_conf(stage, conf);
	next_store(stage);
	stage_open(stage);
	return stage;
}

/* everything that was begun comes to its end, for nobody, so that no memory is left behind */
static void close_hub(struct stage *stage)
{
	for (struct actor *actor = stage->actors; actor != NULL; actor = actor->next)
		actor_cut(actor);
	stage->reader_late = false;
	stage_reader_answers(stage);
	for (unsigned i = 0; i < ROUNDS_MOST; i++) {
		bool any = stage->status == 0 && store_step(stage->exchange->store);

		if (!fake_turn(stage->exchange->loop) && !any)
			break;
	}
	hub_close(&stage->hub);
	stage->exchange = NULL;
	stage->conf = NULL;
}

void stage_die(struct stage *stage)
{
	char old[sizeof(stage->store_dir)];

	snprintf(old, sizeof(old), "%s", stage->store_dir);
	next_store(stage);
	assert_int_equal(mkdir(stage->store_dir, 0700), 0);
	copy_environment(old, stage->store_dir, "items");
	copy_environment(old, stage->store_dir, "photos");
	if (stage->hub != NULL)
		close_hub(stage);
	stage->status = 0;
	remove_tree(old);
}

void stage_crash(struct stage *stage)
{
	stage_die(stage);
	stage_open(stage);
}

void stage_rewrite(struct stage *stage, const char *rest)
{
	struct conf *conf;

	stage->text[stage->rest_at] = '\0';
	put_pins(stage, rest);
	conf = read_conf(stage); /* says what is wrong with it; leaves the file */
	conf_free(&conf);
}

void stage_reload(struct stage *stage, const char *rest)
{
	bool by_hand = stage->by_hand;

	stage->by_hand = false;
	stage_settle(stage);
	stage_rewrite(stage, rest);
	fake_signal(stage->exchange->loop, SIGHUP);
	stage_settle(stage);
	if (stage->exchange->conf == stage->conf)
		fail_msg("not reloaded: %s", stage->log);
	stage->conf = (struct conf *)stage->exchange->conf;
	stage->by_hand = by_hand;
}

void stage_stop(struct stage *stage)
{
	hub_stop(stage->hub);
	stage_settle(stage);
	for (unsigned i = 0; i < 60 && !fake_stopped(stage->exchange->loop); i++)
		stage_later(stage, STEP_MS);
	assert_true(fake_stopped(stage->exchange->loop));
	stage->status = hub_run(stage->hub);
	close_hub(stage);
}

bool stage_failed(struct stage *stage)
{
	if (stage->hub != NULL && fake_stopped(stage->exchange->loop))
		stage->status = hub_run(stage->hub);
	return stage->status != 0;
}

void stage_free(struct stage **at)
{
	struct stage *stage = *at;

	*at = NULL;
	if (stage == NULL)
		return;
	if (stage->hub != NULL)
		close_hub(stage);
	while (stage->actors != NULL) {
		struct actor *actor = stage->actors;

		actor_free(&actor);
	}
	log_tap(NULL, NULL);
	clock_real();
	fault_off();
	remove_tree(stage->dir);
	for (size_t i = 0; i < stage->kept_n; i++)
		free(stage->kept[i]);
	free(stage->kept);
	free(stage->text);
	free(stage->log);
	free(stage);
}

void *stage_alloc(struct stage *stage, size_t n)
{
	void **kept = reallocarray(stage->kept, stage->kept_n + 1, sizeof(*kept));

	assert_non_null(kept);
	stage->kept = kept;
	kept[stage->kept_n] = malloc(n);
	assert_non_null(kept[stage->kept_n]);
	return kept[stage->kept_n++];
}

int scene_end(void **state)
{
	struct stage *stage = *state;

	stage_free(&stage);
	*state = NULL;
	return 0;
}

struct stage *scene_begin(void **state, const struct stage_conf *conf)
{
	scene_end(state); /* one after the other */
	return *state = stage_new(conf);
}

/* ---- time and disk */

bool stage_disk_step(struct stage *stage)
{
	struct store *store = stage->exchange->store;
	bool items = worker_turn(store->items_worker);

	while (worker_turn(store->digest_worker))
		; /* not the disk's work */
	return worker_turn(store->photos_worker) || items;
}

static bool turn(struct stage *stage)
{
	struct store *store = stage->exchange->store;
	bool any = fake_turn(stage->exchange->loop);

	for (struct actor *actor = stage->actors; actor != NULL; actor = actor->next)
		any = actor_turn(actor) || any;
	return worker_turn(store->reader_worker) || any;
}

static void go_on(struct stage *stage, bool disk)
{
	unsigned i = 0;
	bool any = true;

	for (; any && i < ROUNDS_MOST && !stage_failed(stage); i++) {
		any = turn(stage);
		if (disk)
			any = stage_disk_step(stage) || any;
	}
	assert_true(i < ROUNDS_MOST); /* it must come to rest */
}

void stage_settle(struct stage *stage)
{
	go_on(stage, !stage->by_hand);
}

void stage_disk_commits(struct stage *stage)
{
	go_on(stage, true);
}

void stage_later(struct stage *stage, int64_t ms)
{
	while (ms > 0) {
		int64_t next = fake_next_timer(stage->exchange->loop) - clock_boot_ms();
		int64_t step = ms < STEP_MS ? ms : STEP_MS;

		if (next > 0 && next < step)
			step = next;
		clock_advance(step);
		ms -= step;
		stage_settle(stage);
		if (stage->status != 0)
			return;
	}
}
