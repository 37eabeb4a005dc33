/*
 * story.h - reading the few fields that the exchange needs out of a ninjs document (1.x, 2.x, 3.x,
 * or one that carries guid instead of uri). The document itself is never changed.
 *
 * One strict pass (proto/tape.h) reads it. What that does not take is refused in jansson's words;
 * before jansson sees an octet, a pass of ours counts depth and values and checks the ceiling, so
 * that no input costs more memory than a known factor. Unknown properties are never fatal.
 *   uri            uri, else guid: 1 to 1,024 octets without control characters
 *   version        string (1 to 64 octets, no control characters) or whole number from 0, which is
 *                  written in decimal; left out or null = "0"
 *   headline       headline, headlines[0].value; slugline likewise; of another type: as if left out
 *   type, language strings; of another type: NX_EFIELD, because filters stand on them
 *   urgency        whole number 1-9; a string, 3.0 or anything else: NX_EURGENCY
 *   status         pubstatus, pubStatus: usable, withheld, canceled, cancelled; left out or null =
 *                  usable; if both are there, the stricter one
 *   version time   versioncreated, versionCreated (the former if both); versioncreated_timestamp is
 *                  ignored
 *   embargo        embargoed, embargoedUntil, embargo: the latest wins; one that is there, not
 *                  null, and cannot be read is NX_EEMBARGO (no time zone too). An embargo inside an
 *                  association is not read
 *   subjects       subject[], subjects[]: code, else qcode, uri, literal, name, or a string; the
 *                  first 64
 *   parts          every href in renditions (object or array), of the item and of its associations
 *                  (object or array, nested), that is a plain relative path. No part, but a
 *                  reference to somewhere else, left alone: an href with a scheme ("https:",
 *                  "data:"), one that begins with / \ # or ?, an empty one, and one with a ".."
 *                  segment. Control characters in a relative one: NX_EFIELD
 * A property that is null is not given. A number too large for 64 bits or a double is NX_EVERSION
 * or NX_EURGENCY in those two and no matter elsewhere. Half a surrogate pair in \u escapes is
 * NX_EUTF8, \u0000 is NX_ENUL. A byte order mark and UTF-16 are NX_EDOCUMENT, and the words say so.
 * Thread: any, each with an arena of its own (arena.h); meant for the loop's.
 */
#pragma once
#include "news/facts.h"

struct story_limits {
	size_t document_max; /* octets */
	unsigned depth_max;  /* 32 */
	unsigned values_max; /* 5,000 */
	unsigned parts_max;
};
struct story {
	struct facts facts; /* origin and channel are left empty */
	unsigned parts_n;
	char **parts; /* relative hrefs as they stand in the document, each once; one block */
};
/*
 * returns  0; NX_EBIGDOC, NX_EDEPTH, NX_EVALUES, NX_EDUPKEY, NX_EUTF8, NX_ENUL, NX_EDOCUMENT (not
 *          one JSON object), NX_ENOURI, NX_EVERSION, NX_ESTATUS, NX_EDATE, NX_EURGENCY,
 *          NX_EEMBARGO, NX_EFIELD, NX_EPARTS, NX_ENOMEM
 */
int story_read(struct slice document, const struct story_limits *limits, struct story *ret,
	       struct why *why);
void story_done(struct story *story);
/* what jansson may see: depth, values (an object, an array, a string that is no key, a number, a
 * word: one each), ceiling, a NUL octet, an object at the outside. 0 or NX_EBIGDOC, NX_EDEPTH,
 * NX_EVALUES, NX_ENUL, NX_EDOCUMENT */
int story_scan(struct slice document, const struct story_limits *limits, struct why *why);
/* RFC 3339 / ISO 8601 instant with a zone ("2026-11-22T10:00:00Z", "+07:00", "+0700", fractions);
 * date alone or no zone: false. Day and month are checked against the calendar; seconds may be left
 * out, 60 is the next minute's 0; a fraction finer than a millisecond counts as the next one, so
 * that no embargo ends early. */
bool story_time(struct slice text, int64_t *ret_wall_ms);
/* give facts their origin and channel (copied into a new block). returns 0 or NX_ENOMEM */
int story_place(struct story *story, struct slice origin, struct slice channel);
/* allocation functions of jansson with a ceiling (32 MiB a document), hash seed; once, at start,
 * before threads and before anyone else in the process uses jansson. story_read() asserts it. */
void story_init(void);
