#include "client/outbox.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "client/beside.h"
#include "client/inbox.h"
#include "client/picture.h"
#include "client/text.h"
#include "news/story.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct story_limits limits = {
	.document_max = OUTBOX_DOCUMENT_MAX,
	.depth_max = 64,
	.values_max = 100000,
	.parts_max = PARTS_CEILING,
};

/* ---- parts */

/* path is the part's now, also when this fails */
static int part_read(struct file *part, char *path, size_t given, struct envelope_part *told,
		     struct why *why)
{
	uint8_t head[FILE_HEAD];
	size_t head_n = 0;
	int r = file_look(part, path, given, head, &head_n, why);

	if (r < 0)
		return r;
	told->size = part->size;
	memcpy(told->sha256, part->sha256, 32);
	snprintf(told->content_type, sizeof(told->content_type), "%s",
		 picture_content_type(slice_of(head, head_n)));
	return 0;
}

struct file *outbox_part(struct outbox *outbox, const uint8_t sha256[32])
{
	for (unsigned i = 0; i < outbox->parts_n; i++)
		if (memcmp(outbox->parts[i].sha256, sha256, 32) == 0)
			return &outbox->parts[i];
	return NULL;
}

/* ---- making one */

void outbox_free(struct outbox **outbox)
{
	struct outbox *o = *outbox;

	if (o == NULL)
		return;
	for (unsigned i = 0; i < o->parts_n; i++)
		file_done(&o->parts[i]);
	free(o->parts);
	free(o->file);
	free(o->uri);
	free(o->version);
	free(o->document);
	free(o->envelope);
	free(o);
	*outbox = NULL;
}

static struct outbox *outbox_new(const char *file, unsigned parts)
{
	struct outbox *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return NULL;
	o->file = strdup(file);
	o->parts = calloc(parts + 1, sizeof(*o->parts));
	if (o->file == NULL || o->parts == NULL)
		outbox_free(&o);
	return o;
}

static int read_parts(struct outbox *o, const char *file, const struct story *story,
		      struct envelope_part *told, struct why *why)
{
	for (unsigned i = 0; i < story->parts_n; i++) {
		const char *href = story->parts[i];
		char *path;
		int r = beside_find(file, href, &path, why);

		if (r < 0)
			return r;
		snprintf(told[i].name, sizeof(told[i].name), "%s", href);
		o->parts_n = i + 1;
		r = part_read(&o->parts[i], path, beside_folder(file), &told[i], why);
		if (r < 0)
			return r;
	}
	return 0;
}

/* how its making ended: handed over, or freed with words */
static int outcome(struct outbox *o, int r, struct outbox **ret, struct why *why)
{
	if (r >= 0) {
		*ret = o;
		return 0;
	}
	if (r == NX_ENOMEM)
		why_set(why, r, "out of memory");
	outbox_free(&o);
	return r;
}

static char *copy_of(struct slice s)
{
	return strndup(s.n == 0 ? "" : (const char *)s.p, s.n);
}

static int seal(struct outbox *o, const char *channel, const struct envelope_part *told,
		struct why *why)
{
	char sent[32];
	int r;

	clock_rfc3339(clock_wall_ms(), sent);
	r = envelope_make(channel, sent, told, o->parts_n, &o->envelope, &o->envelope_n);
	return r < 0 ? why_set(why, r, "the envelope cannot be made: %s", nx_word(r)) : 0;
}

/* story: NULL when the document cannot be read; the exchange is the judge */
static int name_it(struct outbox *o, const struct story *story)
{
	o->uri = copy_of(story != NULL ? story->facts.uri : slice_str(""));
	o->version = copy_of(story != NULL ? story->facts.version : slice_str(""));
	o->flash = story != NULL && facts_lane(&story->facts) == LANE_FLASH;
	return o->uri == NULL || o->version == NULL ? NX_ENOMEM : 0;
}

/* document is malloc'ed and this function's now */
static int from_document(const char *file, const char *folder_of, uint8_t *document, size_t n,
			 const char *channel, struct outbox **ret, struct why *why)
{
	struct story story = { 0 };
	bool known = story_read(slice_of(document, n), &limits, &story, NULL) == 0;
	struct outbox *o = outbox_new(file, known ? story.parts_n : 0);
	struct envelope_part *told = calloc(story.parts_n + 1, sizeof(*told));
	int r = NX_ENOMEM;

	if (o == NULL || told == NULL) {
		free(document);
		goto out;
	}
	o->document = document;
	o->document_n = n;
	r = name_it(o, known ? &story : NULL);
	if (r == 0 && known)
		r = read_parts(o, folder_of, &story, told, why);
	if (r == 0)
		r = seal(o, channel, told, why);
out:
	free(told);
	if (known)
		story_done(&story);
	return outcome(o, r, ret, why);
}

static int from_picture(const char *file, const struct picture *picture, const char *channel,
			struct outbox **ret, struct why *why)
{
	const char *slash = strrchr(file, '/');
	struct outbox *o = outbox_new(file, 1);
	struct envelope_part told = { 0 };
	struct buf document;
	char name[FILE_NAME_MAX_], *path = strdup(file), hex[65], uri[96];
	int r = NX_ENOMEM;

	buf_init(&document, 64 << 10);
	if (o == NULL || path == NULL) {
		free(path);
		goto out;
	}
	text_clean(name, sizeof(name), slice_str(slash == NULL ? file : slash + 1));
	snprintf(told.name, sizeof(told.name), "%s", name);
	o->parts_n = 1;
	r = part_read(&o->parts[0], path, FILE_GIVEN, &told, why);
	if (r < 0)
		goto out;
	hex_of(told.sha256, 32, hex);
	snprintf(uri, sizeof(uri), "urn:newsx:picture:sha256:%s", hex);
	if (picture_document(&document, picture, told.sha256, told.size, name) < 0 ||
	    (o->uri = strdup(uri)) == NULL || (o->version = strdup("1")) == NULL) {
		r = NX_ENOMEM;
		goto out;
	}
	o->document_n = buf_steal(&document, &o->document);
	r = seal(o, channel, &told, why);
out:
	buf_done(&document);
	return outcome(o, r, ret, why);
}

/* ---- a folder that subscribe wrote */

static int read_in(const char *folder, const char *name, uint8_t **ret, size_t *ret_n,
		   struct why *why)
{
	char *path;
	int r;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return NX_ENOMEM;
	r = file_all(path, strlen(folder) + 1, OUTBOX_DOCUMENT_MAX, ret, ret_n, why);
	free(path);
	return r;
}

static int read_envelope(const char *folder, struct envelope *ret, struct why *why)
{
	uint8_t *octets = NULL;
	size_t n = 0;
	int r = read_in(folder, "envelope.json", &octets, &n, why);

	if (r == 0)
		r = envelope_read(slice_of(octets, n), PARTS_CEILING, ret, why);
	free(octets);
	return r == NX_EBIGDOC ? NX_EBIGENV : r;
}

static int read_document(struct outbox *o, const char *folder, struct why *why)
{
	struct story story;
	int r = read_in(folder, "document.json", &o->document, &o->document_n, why);

	if (r < 0)
		return r;
	if (o->document_n == 0)
		return why_set(why, NX_EDOCUMENT, "document.json is empty");
	if (story_read(slice_of(o->document, o->document_n), &limits, &story, NULL) < 0)
		return name_it(o, NULL);
	r = name_it(o, &story);
	story_done(&story);
	return r;
}

/* under the names that subscribe gave them: those of the envelope lead nowhere */
static int read_received(struct outbox *o, const char *folder, const struct envelope *envelope,
			 struct why *why)
{
	for (unsigned i = 0; i < envelope->parts_n; i++) {
		const struct envelope_part *told = &envelope->parts[i];
		struct envelope_part now = { 0 };
		char name[INBOX_NAME], *path;
		int r;

		inbox_part_name(i + 1, told->name, name);
		if (asprintf(&path, "%s/parts/%s", folder, name) < 0)
			return NX_ENOMEM;
		o->parts_n = i + 1;
		r = part_read(&o->parts[i], path, strlen(folder) + 1, &now, why);
		if (r < 0)
			return r;
		if (now.size != told->size || memcmp(now.sha256, told->sha256, 32) != 0)
			return why_set(why, NX_EENVELOPE,
				       "%s has other octets than envelope.json says", path);
	}
	return 0;
}

static int from_folder(const char *folder, const char *channel, struct outbox **ret,
		       struct why *why)
{
	struct envelope envelope = { 0 };
	struct outbox *o = NULL;
	int r = read_envelope(folder, &envelope, why);

	if (r < 0)
		goto out;
	o = outbox_new(folder, envelope.parts_n);
	r = o == NULL ? NX_ENOMEM : read_document(o, folder, why);
	if (r == 0)
		r = read_received(o, folder, &envelope, why);
	if (r == 0)
		r = envelope_relay(&envelope, channel, &o->envelope, &o->envelope_n);
out:
	envelope_done(&envelope);
	return outcome(o, r, ret, why);
}

int outbox_file(const char *file, const char *channel, struct outbox **ret, struct why *why)
{
	struct picture picture;
	struct stat st;
	uint8_t *document = NULL;
	int fd, r;
	ssize_t n;

	if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
		return from_folder(file, channel, ret, why);
	fd = file_open(file, FILE_GIVEN, &st, why);
	if (fd < 0)
		return NX_ENOENT;
	picture_read(fd, &picture);
	if (picture.type != PICTURE_NONE) {
		close(fd);
		return from_picture(file, &picture, channel, ret, why);
	}
	if (st.st_size == 0)
		r = why_set(why, NX_EDOCUMENT, "the file is empty");
	else if (st.st_size > OUTBOX_DOCUMENT_MAX)
		r = why_set(why, NX_EBIGDOC,
			    "the file has %lld octets: neither a picture nor a ninjs document (at "
			    "most %d)",
			    (long long)st.st_size, OUTBOX_DOCUMENT_MAX);
	else
		r = (document = malloc((size_t)st.st_size)) == NULL ? NX_ENOMEM : 0;
	n = r < 0 ? -1 : pread(fd, document, (size_t)st.st_size, 0);
	close(fd);
	if (r == 0 && n > 0)
		return from_document(file, file, document, (size_t)n, channel, ret, why);
	free(document);
	return r < 0 ? r : why_set(why, NX_ENOENT, "cannot read %s: %s", file, strerror(errno));
}

int outbox_line(struct slice line, unsigned number, const char *channel, struct outbox **ret,
		struct why *why)
{
	char file[32];
	uint8_t *document = malloc(line.n + 1);

	if (document == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	snprintf(file, sizeof(file), "-:%u", number);
	memcpy(document, line.p, line.n);
	return from_document(file, NULL, document, line.n, channel, ret, why);
}

int outbox_check(const struct outbox *o, const struct limits *most, struct why *why)
{
	if (o->document_n > most->document)
		return why_set(why, NX_EBIGDOC,
			       "the document has %zu octets, the exchange takes %u", o->document_n,
			       most->document);
	if (o->envelope_n > most->envelope)
		return why_set(why, NX_EBIGENV,
			       "the envelope has %zu octets, the exchange takes %u", o->envelope_n,
			       most->envelope);
	if (o->parts_n > most->parts)
		return why_set(why, NX_EPARTS, "the item has %u parts, the exchange takes %u",
			       o->parts_n, most->parts);
	for (unsigned i = 0; i < o->parts_n; i++)
		if (o->parts[i].size > most->part)
			return why_set(why, NX_EBIGPART,
				       "%s has %llu octets, the exchange takes %llu",
				       o->parts[i].path, (unsigned long long)o->parts[i].size,
				       (unsigned long long)most->part);
	return 0;
}
