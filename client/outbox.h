/*
 * outbox.h - one item to publish: the document, the envelope, and where its parts lie.
 *
 * Parts are read and hashed before the item is offered; later their octets come straight from the
 * file, and a file that was changed meanwhile is noticed. A document that the story reader cannot
 * read is offered all the same, without parts: the exchange is the judge.
 */
#pragma once
#include "client/file.h"
#include "proto/envelope.h"

#define OUTBOX_DOCUMENT_MAX (1000 << 10)

struct outbox {
	char *file;          /* as the user gave it; "-:LINE" for a line of standard input */
	char *uri, *version; /* "" = could not be read */
	bool flash;
	uint8_t *document, *envelope; /* malloc'ed */
	size_t document_n, envelope_n;
	unsigned parts_n;
	struct file *parts;
};
/*
 * outbox_file - read a ninjs file, or make an item around a picture, or take a folder that
 * subscribe wrote: document, envelope and parts as they came, but for the channel if one is given.
 * outbox_line - one line of standard input; parts are looked up in the current folder.
 * channel  or NULL
 * returns  0 and a new outbox; NX_ENOENT: the file or a part cannot be read; NX_EBIGDOC,
 * NX_EBIGENV, NX_EDOCUMENT, and what envelope_read() says: not to be offered; NX_ENOMEM; all with
 * words
 */
int outbox_file(const char *file, const char *channel, struct outbox **ret, struct why *why);
int outbox_line(struct slice line, unsigned number, const char *channel, struct outbox **ret,
		struct why *why);
void outbox_free(struct outbox **outbox);
/* is it within what the other side takes? returns 0 or NX_EBIGDOC, NX_EBIGENV, NX_EPARTS,
 * NX_EBIGPART with words */
int outbox_check(const struct outbox *outbox, const struct limits *limits, struct why *why);
struct file *outbox_part(struct outbox *outbox, const uint8_t sha256[32]);
