/*
 * story.h - reading the few fields that the exchange needs out of a ninjs document (1.x, 2.x, 3.x, or one that
 * carries guid instead of uri). The document itself is never changed. jansson is used in story.c alone.
 *
 * Before jansson sees an octet, one pass of ours counts depth and values and checks the ceiling, so that no input
 * costs more memory than a known factor. Unknown properties are never fatal.
 *   uri            uri, else guid          version        version (string or number), else "0"
 *   headline       headline, headlines[0].value           type, language, slugline (or sluglines[0].value), urgency
 *   status         pubstatus, pubStatus: usable, withheld, canceled, cancelled; left out or null = usable
 *   version time   versioncreated, versionCreated, versioncreated_timestamp is ignored
 *   embargo        embargoed, embargoedUntil, embargo: the latest wins; one that is there, not null, and cannot be
 *                  read is NX_EEMBARGO (no time zone too)
 *   subjects       subject[], subjects[]: code, else qcode, uri, literal, name
 *   renditions     every href in renditions (object or array), of the item and of its associations (object or
 *                  array, nested), that is a relative path: parts
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
	char **parts; /* relative hrefs as they stand in the document, each once */
};
/*
 * returns  0; NX_EBIGDOC, NX_EDEPTH, NX_EVALUES, NX_EDUPKEY, NX_EUTF8, NX_ENUL, NX_EDOCUMENT (not one JSON object),
 *          NX_ENOURI, NX_EVERSION, NX_ESTATUS, NX_EDATE, NX_EURGENCY, NX_EEMBARGO, NX_EFIELD, NX_EPARTS, NX_ENOMEM
 */
int story_read(struct slice document, const struct story_limits *limits, struct story *ret,
	       struct why *why);
void story_done(struct story *story);
/* the one pass: depth, values, ceiling, a NUL octet; 0 or NX_EBIGDOC, NX_EDEPTH, NX_EVALUES, NX_ENUL, NX_EDOCUMENT */
int story_scan(struct slice document, const struct story_limits *limits, struct why *why);
/* RFC 3339 / ISO 8601 instant with a zone ("2026-11-22T10:00:00Z", "+07:00", "+0700", fractions); date alone or no
 * zone: false. Day and month are checked against the calendar. */
bool story_time(struct slice text, int64_t *ret_wall_ms);
/* give facts their origin and channel (copied into a new block). returns 0 or NX_ENOMEM */
int story_place(struct story *story, struct slice origin, struct slice channel);
/* allocation functions of jansson with a ceiling (32 MiB a document), hash seed; once, at start */
void story_init(void);
