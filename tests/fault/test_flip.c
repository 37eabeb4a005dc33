/* uses: daemon/store */
/*
 * One bit of a closed store turns round, at FLIPS random places one after the other: nothing is
 * ever delivered altered, and what is not delivered is told. SEED=... plays them again.
 */
#include "tests/unit/daemon/store/store_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#define STORIES      300
#define PHOTO        60000
#define PHOTOS       6
#define DOCUMENT_MAX 5000

enum end { END_WHOLE, END_TOLD, END_REFUSED, END_SILENT, END_ALTERED, END_DIED, ENDS };
static const char *const end_words[ENDS] = {
	"nothing is missing", "missing, and told", "does not start, in words",
	"MISSING IN SILENCE", "ALTERED",           "died in LMDB"
};

static size_t document_of(unsigned n, char to[DOCUMENT_MAX])
{
	size_t len = 40 + (n * 37) % (DOCUMENT_MAX - 50);

	for (size_t i = 0; i < len; i++)
		to[i] = (char)('a' + (n * 7 + i * 11 + i / 26) % 26);
	return len;
}

static void build(struct sx *sx)
{
	struct store_part part;
	struct sx_put put;
	char document[DOCUMENT_MAX];

	assert_int_equal(sx_open(sx), 0);
	for (unsigned n = 1; n <= STORIES; n++) {
		bool photo = n <= PHOTOS;
		uint8_t *octets = photo ? sx_octets(n, PHOTO) : NULL;

		if (photo)
			assert_int_equal(sx_upload(sx, sx->afp, octets, PHOTO, PHOTO, &part), 0);
		sx_put_make(&put, sx->afp, n, photo ? &part : NULL, photo ? 1 : 0);
		put.put.document = slice_of(document, document_of(n, document));
		assert_int_equal(sx_put(sx, &put), 0);
		assert_int_equal(put.position, n);
		if (photo)
			store_unlease(sx->store, part.number);
		free(octets);
	}
	store_close(&sx->store);
}

/* ---- what a daemon would deliver after it */

struct seen {
	unsigned items, whole_photos, altered, told, answered;
	unsigned there[STORIES + 1];
};

static void look_photo(struct sx *sx, struct seen *seen, unsigned n, uint64_t number)
{
	uint8_t *octets = sx_octets(n, PHOTO);
	struct store_read_part read;
	int r = sx_read(sx, number, 0, PHOTO, &read);

	if (r < 0)
		seen->told++;
	else if (read.got != PHOTO || memcmp(read.octets, octets, PHOTO) != 0)
		seen->altered++;
	else
		seen->whole_photos++;
	free(read.octets);
	free(octets);
}

static void look_item(struct sx *sx, struct seen *seen, const struct fetched *it)
{
	char document[DOCUMENT_MAX];
	size_t n;

	if (it->verdict != SETTLE_ACKED) {
		seen->told++;
		return;
	}
	if (it->position == 0 || it->position > STORIES) {
		seen->altered++;
		return;
	}
	n = document_of((unsigned)it->position, document);
	if (it->document_n != n || memcmp(it->octets + it->envelope_n, document, n) != 0)
		seen->altered++;
	else if (seen->there[it->position]++ == 0)
		seen->items++;
	if (it->parts_n > 0)
		look_photo(sx, seen, (unsigned)it->position, it->parts[0].number);
}

static int fetch(struct sx *sx, struct seen *seen, enum lane lane)
{
	struct store_fetch *fetch = calloc(1, sizeof(*fetch));
	uint64_t from = 1;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 100; i++) {
		*fetch = (struct store_fetch){ .req.kind = REQ_FETCH,
					       .subscription = sx->sub,
					       .lane = lane,
					       .from = from,
					       .items_max = FETCH_MAX,
					       .octets_max = 1 << 20,
					       .wall_ms = clock_wall_ms() };
		r = sx_run(sx, &fetch->req);
		for (unsigned k = 0; r == 0 && k < fetch->n; k++)
			look_item(sx, seen, &fetch->items[k]);
		from = fetch->next;
		store_fetch_done(fetch);
		if (fetch->end)
			break;
	}
	free(fetch);
	return r;
}

static enum end look(struct sx *sx, unsigned *ret_items)
{
	struct seen seen = { 0 };
	int r = sx_open(sx), faults;

	if (r == 0) {
		r = fetch(sx, &seen, LANE_ROUTINE);
		if (r < 0)
			seen.told++;
	} else {
		*ret_items = 0;
		return END_REFUSED;
	}
	*ret_items = seen.items;
	seen.told += sx->events[STORE_CORRUPT] + sx->events[STORE_FATAL];
	if (seen.altered > 0)
		return END_ALTERED;
	if (seen.items == STORIES && seen.whole_photos == PHOTOS)
		return END_WHOLE;
	if (seen.told > 0)
		return END_TOLD;
	store_close(&sx->store);
	faults = sx_verify(sx); /* --verify-store, at least */
	return faults != 0 ? END_TOLD : END_SILENT;
}

static enum end in_a_child(struct sx *sx, unsigned *ret_items)
{
	int fds[2], status;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	child = fork();
	if (child == 0) {
		enum end end;
		unsigned items = 0;

		for (int i = 0; i < 5; i++)
			signal((int[]){ SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT }[i], SIG_DFL);
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(ENDS);
		end = look(sx, &items);
		if (write(fds[1], &items, sizeof(items)) != sizeof(items))
			_exit(ENDS);
		_exit((int)end);
	}
	close(fds[1]);
	*ret_items = 0;
	if (read(fds[0], ret_items, sizeof(*ret_items)) != sizeof(*ret_items))
		*ret_items = 0;
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) < ENDS ? (enum end)WEXITSTATUS(status)
							       : END_DIED;
}

/* ---- the file, as it was */

struct image {
	int fd;
	uint8_t *octets;
	size_t n;
};

static void image_take(struct image *image, const struct sx *sx, const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s/data.mdb", sx->dir, name);
	image->fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(image->fd >= 0);
	image->n = 8 << 20; /* more than it ever used */
	image->octets = malloc(image->n);
	assert_int_equal(pread(image->fd, image->octets, image->n, 0), image->n);
}

static void image_back(const struct image *image)
{
	assert_int_equal(pwrite(image->fd, image->octets, image->n, 0), image->n);
}

/* the last page that holds anything */
static size_t image_used(const struct image *image)
{
	size_t n = image->n;

	while (n > 0 && image->octets[n - 1] == 0)
		n--;
	return (n + 4095) / 4096 * 4096;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s == NULL || *s == '\0' ? otherwise : strtoull(s, NULL, 0);
}

static void one_bit(void **state)
{
	struct sx *sx = calloc(1, sizeof(*sx));
	unsigned flips = (unsigned)number("FLIPS", 100), count[ENDS] = { 0 }, items,
		 least = STORIES;
	unsigned harmed = 0;
	uint64_t seed = number("SEED", 0), z;
	struct image images[2];

	(void)state;
	if (seed == 0)
		random_octets(&seed, 4);
	z = seed;
	sx_init(sx, true);
	sx->conf.size = 8 << 20;
	sx->conf.items_share_pct = 50;
	build(sx);
	image_take(&images[0], sx, "items");
	image_take(&images[1], sx, "photos");
	for (unsigned i = 0; i < flips; i++) {
		const struct image *image = &images[i % 3 == 0];
		size_t at;
		uint8_t octet;
		enum end end;

		z = z * 6364136223846793005ull + 1442695040888963407ull;
		at = (size_t)((z >> 24) % image_used(image));
		octet = image->octets[at] ^ (uint8_t)(1u << (z >> 20 & 7));
		assert_int_equal(pwrite(image->fd, &octet, 1, (off_t)at), 1);
		end = in_a_child(sx, &items);
		count[end]++;
		if (end == END_TOLD && items + 1 < STORIES)
			harmed++;
		if (end == END_TOLD && items < least)
			least = items;
		if (end == END_SILENT || end == END_ALTERED)
			print_message("flip %u of SEED=%llu: %s: octet %zu of %s\n", i,
				      (unsigned long long)seed, end_words[end], at,
				      i % 3 == 0 ? "photos" : "items");
		image_back(&images[0]);
		image_back(&images[1]);
	}
	print_message("SEED=%llu: %u flips\n", (unsigned long long)seed, flips);
	for (int i = 0; i < ENDS; i++)
		print_message("%6u %s\n", count[i], end_words[i]);
	print_message("%6u took more than one story with them (a page of LMDB's tree); at worst "
		      "%u of %u were left\n",
		      harmed, least, STORIES);
	for (int i = 0; i < 2; i++) {
		close(images[i].fd);
		free(images[i].octets);
	}
	sx_end(sx);
	free(sx);
	assert_int_equal(count[END_ALTERED], 0);
	assert_int_equal(count[END_SILENT], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
