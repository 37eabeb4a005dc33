/*
 * picture.h - a JPEG or PNG given alone, and the minimal ninjs 3 item that is made around it.
 *
 * What a file is follows from its octets, never from its name. Reads the size in pixels and nothing
 * else.
 */
#pragma once
#include "base/buf.h"

enum picture_type { PICTURE_NONE, PICTURE_JPEG, PICTURE_PNG };
struct picture {
	enum picture_type type;
	unsigned width, height; /* 0 = could not be read */
};
enum picture_type picture_sniff(struct slice head); /* the first octets, 8 are enough */
/* of an open file, read with pread(); type PICTURE_NONE when it is no picture */
void picture_read(int fd, struct picture *ret);
/* "image/jpeg", "application/pdf" ... by the first octets (16 are enough) */
const char *picture_content_type(struct slice head);
/*
 * picture_document - the item: uri urn:newsx:picture:sha256:HEX, version 1, one rendition whose
 * href is name. The same picture under the same name makes the same octets. name     already clean
 */
int picture_document(struct buf *to, const struct picture *picture, const uint8_t sha256[32],
		     uint64_t size, const char *name);
