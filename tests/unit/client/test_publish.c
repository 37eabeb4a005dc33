/* newsxctl publish against a fake exchange: what arrives, what is printed, what the exit status is
 */
#include "fixture.h"

#define PHOTO_N (3u << 20)

static const char story[] = "{\"uri\":\"urn:x:1\",\"version\":\"2\",\"headline\":\"Mekong\",\n"
			    "\"renditions\":{\"web\":{\"href\":\"p%20q.jpg\"}}}";
static const char plain[] = "{\"uri\":\"urn:x:2\"}";
static const char urgent[] = "{\"uri\":\"urn:x:3\",\"version\":\"1\",\"urgency\":1}";

struct exchange {
	struct talk talk;
	uint8_t *part;
	uint64_t handle, size, have, asked;
	struct item_head waiting; /* for its part */
	struct envelope envelope; /* of the last item */
	char *document;
	size_t document_n;
	uint64_t sequence;
	uint64_t first_id_answered;
};

struct run {
	char *files[8];
	unsigned n;
	const char *channel;
	bool json;
	const char *input; /* what stands on standard input */
};

static int publish(int fd, void *arg)
{
	const struct run *run = arg;
	struct publish_options options = {
		.channel = run->channel, .json = run->json, .files = run->files, .files_n = run->n
	};
	struct publish *p = publish_new(&options);
	struct session_conf conf;
	struct link *link;
	int status;

	if (run->input != NULL && freopen(run->input, "r", stdin) == NULL)
		return 99;
	link_session_conf(&conf, "keys/kpl");
	publish_source(p, &conf);
	if (link_open_plain(fd, &conf, &link) < 0)
		return 99;
	status = publish_talk(p, link);
	link_close(&link);
	publish_free(&p);
	return status;
}

static struct session *begin(struct exchange *x, struct run *run)
{
	struct session_conf conf;

	memset(x, 0, sizeof(*x));
	link_session_conf(&conf, "exchange");
	talk_begin(&x->talk, publish, run, &conf);
	session_window(link_session(x->talk.link), LANE_ROUTINE, 64, 4 << 20);
	return link_session(x->talk.link);
}

/* the next whole item */
static bool next_item(struct exchange *x)
{
	struct session_event event;
	struct slice envelope;

	do {
		if (!talk_event(&x->talk, &event))
			return false;
	} while (event.kind != SESSION_ITEM);
	x->waiting = event.item.head;
	envelope_done(&x->envelope);
	envelope = slice_of(event.item.octets, x->waiting.envelope_len);
	assert_int_equal(envelope_read(envelope, 64, &x->envelope, NULL), 0);
	free(x->document);
	x->document_n = x->waiting.document_len;
	x->document = malloc(x->document_n + 1);
	memcpy(x->document, event.item.octets + envelope.n, x->document_n);
	x->document[x->document_n] = '\0';
	free(event.item.octets);
	return true;
}

static void get_part(struct exchange *x)
{
	struct session *session = link_session(x->talk.link);
	struct session_event event;
	uint64_t size = x->envelope.parts[0].size, piece = 1 << 20, have = 0;
	uint64_t asked = size < piece ? size : piece;
	uint64_t handle = session_need(session, x->envelope.parts[0].sha256, 0, asked);
	uint8_t digest[32];

	assert_true(handle > 0);
	free(x->part);
	x->part = malloc(size);
	while (have < size) {
		assert_true(talk_event(&x->talk, &event));
		assert_int_not_equal(event.kind, SESSION_GONE);
		if (event.kind != SESSION_DATA)
			continue;
		assert_int_equal(event.data.offset, have);
		memcpy(x->part + have, event.data.octets.p, event.data.octets.n);
		have += event.data.octets.n;
		if (asked < size && asked - have < piece / 2) {
			uint64_t more = size - asked < piece ? size - asked : piece;

			assert_true(session_need_more(session, handle, more));
			asked += more;
		}
	}
	sha256_of(x->part, size, digest);
	assert_memory_equal(digest, x->envelope.parts[0].sha256, 32);
}

static void answer(struct exchange *x, enum result result)
{
	struct ack ack = { .id = x->waiting.id,
			   .sequence = ++x->sequence,
			   .stored_at_ms = 1,
			   .result = (uint8_t)result,
			   .stage = STAGE_COMPLETE };

	assert_int_equal(session_ack(link_session(x->talk.link), &ack), 0);
}

static int end(struct exchange *x)
{
	struct session_event event;

	while (talk_event(&x->talk, &event))
		if (event.kind == SESSION_ITEM)
			free(event.item.octets);
	envelope_done(&x->envelope);
	free(x->document);
	free(x->part);
	return talk_end(&x->talk);
}

static void assert_output(const char *expected) /* with every ms=N as ms=0 */
{
	char *got = read_file("out", NULL), *to = got;

	for (const char *at = got; *at != '\0';) {
		*to++ = *at++;
		if (to - got >= 3 && (memcmp(to - 3, "ms=", 3) == 0 ||
				      (to - got >= 4 && memcmp(to - 4, "ms\":", 4) == 0))) {
			*to++ = '0';
			at += strspn(at, "0123456789");
		}
	}
	*to = '\0';
	assert_string_equal(got, expected);
	free(got);
}

/* ---- */

/* the one part of the story, and its answer */
static void take_photo(struct exchange *x, const uint8_t *photo)
{
	get_part(x);
	assert_memory_equal(x->part, photo, PHOTO_N);
	answer(x, RESULT_STORED);
	assert_int_equal(end(x), 0);
	assert_output("stored urn:x:1 2 seq=1 ms=0\n");
}

static void a_story_and_its_photo_arrive(void **state)
{
	uint8_t *photo = malloc(PHOTO_N);
	struct run run = { .files = { "sub/story.json" }, .n = 1, .channel = "kpl.news" };
	struct exchange x;

	(void)state;
	fill(photo, PHOTO_N, 1);
	mkdir("sub", 0755);
	write_file("sub/p q.jpg", photo, PHOTO_N);
	write_text("sub/story.json", story);
	begin(&x, &run);
	assert_true(next_item(&x));
	assert_string_equal(x.document, story);
	assert_string_equal(x.envelope.channel, "kpl.news");
	assert_int_equal(x.envelope.parts_n, 1);
	assert_string_equal(x.envelope.parts[0].name, "p%20q.jpg");
	take_photo(&x, photo);
	free(photo);
}

static void a_picture_alone_becomes_an_item(void **state)
{
	/* a PNG of 5 x 7, and enough of it */
	static const uint8_t png[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\5\0\0\0\7\x08\2\0\0\0";
	struct run run = { .files = { "photo.jpg" }, .n = 1, .json = true };
	struct story_limits limits = { 1 << 20, 32, 5000, 64 };
	struct story read;
	struct exchange x;

	(void)state;
	write_file("photo.jpg", png, sizeof(png));
	begin(&x, &run);
	assert_true(next_item(&x));
	assert_string_equal(x.envelope.parts[0].content_type, "image/png");
	assert_string_equal(x.envelope.channel, "");
	assert_int_equal(story_read(slice_of(x.document, x.document_n), &limits, &read, NULL), 0);
	assert_int_equal(read.parts_n, 1);
	assert_string_equal(read.parts[0], "photo.jpg");
	assert_string_equal(x.envelope.parts[0].name, "photo.jpg");
	assert_memory_equal(read.facts.uri.p, "urn:newsx:picture:sha256:", 25);
	assert_non_null(strstr(x.document, "\"width\":5,\"height\":7"));
	story_done(&read);
	get_part(&x);
	assert_memory_equal(x.part, png, sizeof(png));
	answer(&x, RESULT_DUPLICATE);
	assert_int_equal(end(&x), 0);
}

static void every_answer_has_its_line_and_status(void **state)
{
	struct run run = { .files = { "-" }, .n = 1, .input = "in" };
	struct session *session;
	struct exchange x;

	(void)state;
	write_text("in", "{\"uri\":\"urn:x:1\"}\n\n{\"uri\":\"urn:x:2\"}\r\n"
			 "{\"uri\":\"urn:x:3\"}\n{\"uri\":\"urn:x:4\"}");
	session = begin(&x, &run);
	assert_true(next_item(&x));
	answer(&x, RESULT_HELD);
	assert_true(next_item(&x));
	answer(&x, RESULT_SUPERSEDED);
	assert_true(next_item(&x));
	session_refuse(session, x.waiting.id, NX_EBUSY, NX_LATER, 10, "come \x1b[2J again\nstored");
	assert_true(next_item(&x));
	assert_string_equal(x.document, "{\"uri\":\"urn:x:4\"}");
	answer(&x, RESULT_STORED);
	assert_int_equal(end(&x), 75);
	assert_output("held urn:x:1 0 seq=1 ms=0\n"
		      "superseded urn:x:2 0 seq=2 ms=0\n"
		      "refused urn:x:3 0 code=busy later: come  [2J again stored\n"
		      "stored urn:x:4 0 seq=3 ms=0\n");
}

static void never_is_1_and_json_says_all(void **state)
{
	struct run run = { .files = { "a.json" }, .n = 1, .json = true };
	struct session *session;
	struct exchange x;

	(void)state;
	write_text("a.json", plain);
	session = begin(&x, &run);
	assert_true(next_item(&x));
	session_refuse(session, x.waiting.id, NX_ECONFLICT, NX_NEVER, 0, "other \"content\"");
	assert_int_equal(end(&x), 1);
	assert_output(
		"{\"result\":\"refused\",\"uri\":\"urn:x:2\",\"version\":\"0\",\"ms\":0,"
		"\"code\":\"conflict\",\"retry\":\"never\",\"words\":\"other \\\"content\\\"\","
		"\"file\":\"a.json\"}\n");
}

static void a_document_nobody_can_read_is_the_exchanges_to_judge(void **state)
{
	struct run run = { .files = { "bad.json" }, .n = 1 };
	struct session *session;
	struct exchange x;

	(void)state;
	write_text("bad.json", "{\"uri\":");
	session = begin(&x, &run);
	assert_true(next_item(&x));
	assert_string_equal(x.document, "{\"uri\":");
	session_refuse(session, x.waiting.id, NX_EDOCUMENT, NX_NEVER, 0, "no JSON");
	assert_int_equal(end(&x), 1);
	assert_output("refused - - code=bad-document never: no JSON (bad.json)\n");
}

/* a folder as subscribe writes it, under the name got/ */
static void write_folder(const char *envelope, const uint8_t *photo, size_t n)
{
	mkdir("got", 0755);
	mkdir("got/parts", 0755);
	write_text("got/document.json", story);
	write_text("got/envelope.json", envelope);
	write_file("got/parts/01-p_20q.jpg", photo, n);
}

static const char *envelope_of(const char *name, const uint8_t *photo, size_t n)
{
	static char text[1000];
	uint8_t digest[32];
	char hex[65];

	sha256_of(photo, n, digest);
	hex_of(digest, 32, hex);
	snprintf(text, sizeof(text),
		 "{\"x\":[1],\"origin\":\"kpl\",\"channel\":\"kpl.news\",\"sent\":\"2026\","
		 "\"signal\":\"sig:update\",\"hops\":[{\"party\":\"far\"}],\"parts\":[{\"name\":"
		 "\"%s\",\"contentType\":\"image/x\",\"size\":%zu,\"sha256\":\"%s\"}]}",
		 name, n, hex);
	return text;
}

static void a_folder_is_passed_on_as_it_came(void **state)
{
	uint8_t *photo = malloc(PHOTO_N);
	struct run run = { .files = { "got/" }, .n = 1 };
	struct exchange x;

	(void)state;
	fill(photo, PHOTO_N, 1);
	write_folder(envelope_of("p%20q.jpg", photo, PHOTO_N), photo, PHOTO_N);
	for (int other_channel = 0; other_channel < 2; other_channel++) {
		run.channel = other_channel ? "ttxvn.news" : NULL;
		begin(&x, &run);
		assert_true(next_item(&x));
		assert_string_equal(x.document, story);
		assert_string_equal(x.envelope.channel, other_channel ? "ttxvn.news" : "kpl.news");
		assert_string_equal(x.envelope.origin, "kpl");
		assert_string_equal(x.envelope.sent, "2026");
		assert_string_equal(x.envelope.signal, "sig:update");
		assert_int_equal(x.envelope.hops, 1);
		assert_int_equal(x.envelope.parts_n, 1);
		assert_string_equal(x.envelope.parts[0].name, "p%20q.jpg");
		assert_string_equal(x.envelope.parts[0].content_type, "image/x");
		take_photo(&x, photo);
	}
	free(photo);
}

/* what is printed, and the exit status */
static void assert_folder_refused(const char *envelope, int status, const char *words)
{
	struct run run = { .files = { "got" }, .n = 1 };
	struct exchange x;

	write_folder(envelope, (const uint8_t *)"photo", 5);
	begin(&x, &run);
	assert_false(next_item(&x));
	assert_int_equal(end(&x), status);
	assert_output(words);
}

/* what lies elsewhere has the right octets: only the link is wrong */
static void assert_link_refused(const char *name)
{
	struct run run = { .files = { "got" }, .n = 1 };
	char words[200];
	struct exchange x;
	char *err;

	write_folder(envelope_of("p%20q.jpg", (const uint8_t *)"photo", 5),
		     (const uint8_t *)"photo", 5);
	assert_int_equal(rename(name, "elsewhere"), 0);
	assert_int_equal(symlink(strchr(strchr(name, '/') + 1, '/') != NULL ? "../../elsewhere"
									    : "../elsewhere",
				 name),
			 0);
	begin(&x, &run);
	assert_false(next_item(&x));
	assert_int_equal(end(&x), 2);
	snprintf(words, sizeof(words), "cannot read %s%s: a symbolic link leads there", name,
		 strcmp(name, "got/parts") == 0 ? "/01-p_20q.jpg" : "");
	err = read_file("err", NULL);
	assert_non_null(strstr(err, words));
	free(err);
	folder_remove(AT_FDCWD, "got");
	folder_remove(AT_FDCWD, "elsewhere");
}

static void links_in_folders_are_not_followed(void **state)
{
	(void)state;
	assert_link_refused("got/document.json");
	assert_link_refused("got/envelope.json");
	assert_link_refused("got/parts/01-p_20q.jpg");
	assert_link_refused("got/parts");
}

static void links_beside_a_document_are_not_followed(void **state)
{
	struct run run = { .files = { "in/a.json", "in/b.json", "in/c.json", "d.json" }, .n = 4 };
	struct exchange x;
	char *err;

	(void)state;
	mkdir("there", 0755);
	mkdir("there/pictures", 0755);
	write_text("there/pictures/p.jpg", "secret");
	assert_int_equal(symlink("pictures/p.jpg", "there/q.jpg"), 0);
	assert_int_equal(symlink("pictures", "there/more"), 0);
	write_text("there/a.json",
		   "{\"uri\":\"urn:x:1\",\"renditions\":{\"a\":{\"href\":\"q.jpg\"}}}");
	write_text("there/b.json",
		   "{\"uri\":\"urn:x:2\",\"renditions\":{\"a\":{\"href\":\"more/p.jpg\"}}}");
	write_text("there/c.json", "{\"uri\":\"urn:x:3\",\"renditions\":{\"a\":{\"href\":"
				   "\"pictures/p.jpg\"}}}");
	write_text("d.json.real", "{\"uri\":\"urn:x:4\",\"renditions\":{\"a\":{\"href\":"
				  "\"there/more/p.jpg\"}}}");
	/* what the user named may be links, and lead through some */
	assert_int_equal(symlink("there", "in"), 0);
	assert_int_equal(symlink("d.json.real", "d.json"), 0);
	begin(&x, &run);
	assert_true(next_item(&x));
	assert_non_null(strstr(x.document, "urn:x:3"));
	get_part(&x);
	answer(&x, RESULT_STORED);
	assert_int_equal(end(&x), 2);
	assert_output("stored urn:x:3 0 seq=1 ms=0\n");
	err = read_file("err", NULL);
	assert_non_null(strstr(err, "cannot read in/q.jpg: a symbolic link leads there"));
	assert_non_null(strstr(err, "cannot read in/more/p.jpg: a symbolic link leads there"));
	assert_non_null(strstr(err, "cannot read there/more/p.jpg: a symbolic link leads there"));
	free(err);
}

static void hostile_folders_are_refused_by_name(void **state)
{
	const uint8_t *photo = (const uint8_t *)"photo";

	(void)state;
	assert_folder_refused(
		"{", 1,
		"refused - - code=bad-envelope never: octet 1: string or '}' expected "
		"near end of file (got)\n");
	assert_folder_refused("", 1,
			      "refused - - code=bad-envelope never: octet 0: '[' or '{' expected "
			      "near end of file (got)\n");
	assert_folder_refused(envelope_of("../../secret", photo, 5), 1,
			      "refused - - code=bad-envelope never: parts: not a plain relative "
			      "name (got)\n");
	assert_folder_refused(envelope_of("p%20q.jpg", (const uint8_t *)"other", 5), 1,
			      "refused - - code=bad-envelope never: got/parts/01-p_20q.jpg has "
			      "other octets than envelope.json says (got)\n");
	/* a part that is not there is a file that cannot be read */
	assert_folder_refused(envelope_of("a/none.jpg", photo, 5), 2, "");
	unlink("got/envelope.json");
	assert_int_equal(mkfifo("got/envelope.json", 0600), 0);
	{
		struct run run = { .files = { "got" }, .n = 1 };
		struct exchange x;

		begin(&x, &run);
		assert_false(next_item(&x));
		assert_int_equal(end(&x), 2);
	}
}

static void unreadable_files_are_2_and_the_rest_goes(void **state)
{
	struct run run = { .files = { "none.json", "nophoto.json", "climb.json", "a.json" },
			   .n = 4 };
	struct exchange x;

	(void)state;
	write_text("nophoto.json", story);
	write_text("secret", "x");
	mkdir("deep", 0755);
	write_text(
		"climb.json",
		"{\"uri\":\"urn:x:9\",\"renditions\":{\"a\":{\"href\":\"deep/%2e%2e/secret\"}}}");
	write_text("a.json", plain);
	begin(&x, &run);
	assert_true(next_item(&x));
	assert_string_equal(x.document, plain);
	answer(&x, RESULT_STORED);
	assert_int_equal(end(&x), 2);
	assert_output("stored urn:x:2 0 seq=1 ms=0\n");
}

static void a_cut_leaves_nothing_unsaid(void **state)
{
	struct run run = { .files = { "a.json", "b.json" }, .n = 2 };
	struct exchange x;

	(void)state;
	write_text("a.json", plain);
	write_text("b.json", urgent);
	begin(&x, &run);
	assert_true(next_item(&x));
	assert_int_equal(x.waiting.lane, LANE_FLASH); /* the urgent one first */
	answer(&x, RESULT_STORED);
	assert_true(next_item(&x));
	/* the answer to the first is on its way, the second gets none */
	while (session_wants(link_session(x.talk.link)))
		link_turn(x.talk.link, NULL, 0, 0, NULL);
	envelope_done(&x.envelope);
	free(x.document);
	assert_int_equal(talk_end(&x.talk), 75);
	assert_output("stored urn:x:3 1 seq=1 ms=0\n"
		      "undelivered urn:x:2 0 code=eof later: no answer came; publish it again, "
		      "a copy is recognised\n");
}

static void a_photo_that_changes_is_gone(void **state)
{
	uint8_t *photo = malloc(PHOTO_N);
	struct run run = { .files = { "s.json" }, .n = 1 };
	struct session_event event;
	struct session *session;
	struct exchange x;

	(void)state;
	fill(photo, PHOTO_N, 1);
	write_file("p q.jpg", photo, PHOTO_N);
	write_text("s.json", story);
	session = begin(&x, &run);
	assert_true(next_item(&x));
	write_file("p q.jpg", photo, PHOTO_N - 1);
	assert_true(session_need(session, x.envelope.parts[0].sha256, 0, PHOTO_N) > 0);
	do
		assert_true(talk_event(&x.talk, &event));
	while (event.kind != SESSION_GONE);
	assert_string_equal(event.gone.code, "parts-gone");
	session_refuse(session, x.waiting.id, NX_EPARTSGONE, NX_LATER, 0, NULL);
	assert_int_equal(end(&x), 75);
	free(photo);
}

static void a_part_never_offered_is_not_open(void **state)
{
	struct run run = { .files = { "a.json" }, .n = 1 };
	struct session_event event;
	uint8_t other[32] = { 7 };
	struct exchange x;

	(void)state;
	write_text("a.json", plain);
	begin(&x, &run);
	assert_true(next_item(&x));
	assert_true(session_need(link_session(x.talk.link), other, 0, 100) > 0);
	do
		assert_true(talk_event(&x.talk, &event));
	while (event.kind != SESSION_GONE);
	assert_string_equal(event.gone.code, "not-open");
	answer(&x, RESULT_STORED);
	assert_int_equal(end(&x), 0);
}

static void thousands_are_pipelined(void **state)
{
	struct run run = { .files = { "-" }, .n = 1, .input = "in" };
	FILE *in = fopen("in", "w");
	unsigned n = 0, deepest = 0;
	struct session *session;
	struct exchange x;

	(void)state;
	for (int i = 0; i < 3000; i++)
		fprintf(in, "{\"uri\":\"urn:x:%d\"}\n", i);
	fclose(in);
	session = begin(&x, &run);
	for (; n < 3000; n++) {
		assert_true(next_item(&x));
		if (session_open_in(session) > deepest)
			deepest = session_open_in(session);
		answer(&x, RESULT_STORED);
	}
	assert_int_equal(end(&x), 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, make_folder, drop_folder)
	const struct CMUnitTest tests[] = {
		TEST(a_story_and_its_photo_arrive),
		TEST(a_picture_alone_becomes_an_item),
		TEST(every_answer_has_its_line_and_status),
		TEST(never_is_1_and_json_says_all),
		TEST(a_document_nobody_can_read_is_the_exchanges_to_judge),
		TEST(a_folder_is_passed_on_as_it_came),
		TEST(links_in_folders_are_not_followed),
		TEST(links_beside_a_document_are_not_followed),
		TEST(hostile_folders_are_refused_by_name),
		TEST(unreadable_files_are_2_and_the_rest_goes),
		TEST(a_cut_leaves_nothing_unsaid),
		TEST(a_photo_that_changes_is_gone),
		TEST(a_part_never_offered_is_not_open),
		TEST(thousands_are_pipelined),
	};

	signal(SIGPIPE, SIG_IGN);
	alarm(120);
	story_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
