#include "client/picture.h"
#include "base/hash.h"
#include "client/text.h"

#include <inttypes.h>
#include <unistd.h>

#define SEGMENTS_MAX 10000 /* of a JPEG, before its frame header */

static bool begins(struct slice s, const char *with, size_t n)
{
	return s.n >= n && memcmp(s.p, with, n) == 0;
}

enum picture_type picture_sniff(struct slice head)
{
	if (begins(head, "\xff\xd8\xff", 3))
		return PICTURE_JPEG;
	return begins(head, "\x89PNG\r\n\x1a\n", 8) ? PICTURE_PNG : PICTURE_NONE;
}

const char *picture_content_type(struct slice head)
{
	/* clang-format off */
	static const struct { const char *type; unsigned at, n; const char *octets; } rows[] = {
		{ "image/jpeg",      0, 3, "\xff\xd8\xff" },
		{ "image/png",       0, 8, "\x89PNG\r\n\x1a\n" },
		{ "image/gif",       0, 4, "GIF8" },
		{ "image/webp",      8, 4, "WEBP" },
		{ "image/tiff",      0, 4, "II*\0" },
		{ "image/tiff",      0, 4, "MM\0*" },
		{ "application/pdf", 0, 5, "%PDF-" },
		{ "video/mp4",       4, 4, "ftyp" },
		{ "audio/mpeg",      0, 3, "ID3" },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (head.n >= rows[i].at &&
		    begins(slice_of(head.p + rows[i].at, head.n - rows[i].at), rows[i].octets,
			   rows[i].n))
			return rows[i].type;
	return "application/octet-stream";
}

static unsigned big16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static bool is_frame_header(uint8_t marker)
{
	return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 &&
	       marker != 0xcc;
}

/* from segment to segment until the frame header, which has the size */
static void read_jpeg(int fd, struct picture *ret)
{
	off_t at = 2;

	for (int i = 0; i < SEGMENTS_MAX; i++) {
		uint8_t head[9];
		ssize_t n = pread(fd, head, sizeof(head), at);

		if (n < 4 || head[0] != 0xff)
			return;
		if (head[1] == 0xff) { /* filling */
			at++;
			continue;
		}
		if (head[1] == 0x01 || (head[1] >= 0xd0 && head[1] <= 0xd7)) { /* no length */
			at += 2;
			continue;
		}
		if (head[1] == 0xd9 || head[1] == 0xda || big16(head + 2) < 2)
			return;
		if (is_frame_header(head[1])) {
			if (n == sizeof(head)) {
				ret->height = big16(head + 5);
				ret->width = big16(head + 7);
			}
			return;
		}
		at += 2 + (off_t)big16(head + 2);
	}
}

static void read_png(int fd, struct picture *ret)
{
	uint8_t head[16];

	if (pread(fd, head, sizeof(head), 8) != sizeof(head) || memcmp(head + 4, "IHDR", 4) != 0)
		return;
	/* more than 2^31 is no PNG */
	if ((head[8] | head[12]) < 0x80) {
		ret->width = big16(head + 8) << 16 | big16(head + 10);
		ret->height = big16(head + 12) << 16 | big16(head + 14);
	}
}

void picture_read(int fd, struct picture *ret)
{
	uint8_t head[8];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	*ret = (struct picture){ .type = PICTURE_NONE };
	if (n <= 0)
		return;
	ret->type = picture_sniff(slice_of(head, (size_t)n));
	if (ret->type == PICTURE_JPEG)
		read_jpeg(fd, ret);
	else if (ret->type == PICTURE_PNG)
		read_png(fd, ret);
}

int picture_document(struct buf *to, const struct picture *picture, const uint8_t sha256[32],
		     uint64_t size, const char *name)
{
	char hex[65];

	hex_of(sha256, 32, hex);
	buf_addf(to,
		 "{\"standard\":{\"name\":\"ninjs\",\"version\":\"3.0\",\"schema\":"
		 "\"https://www.iptc.org/std/ninjs/ninjs-schema_3.0.json\"},"
		 "\"uri\":\"urn:newsx:picture:sha256:%s\",\"version\":\"1\",\"type\":\"picture\","
		 "\"renditions\":[{\"name\":\"original\",\"href\":",
		 hex);
	text_json(to, slice_str(name));
	buf_addf(to, ",\"contentType\":\"%s\"",
		 picture->type == PICTURE_PNG ? "image/png" : "image/jpeg");
	if (picture->width > 0 && picture->height > 0)
		buf_addf(to, ",\"width\":%u,\"height\":%u", picture->width, picture->height);
	return buf_addf(to, ",\"sizeInBytes\":%" PRIu64 "}]}", size);
}
