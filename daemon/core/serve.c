#include "core/serve.h"
#include "base/log.h"
#include <stdlib.h>

enum { BLOCK = 64 * 1024 };

struct block {
	uint8_t *octets;
	uint64_t offset;
	size_t n;
};

struct serve {
	struct map_node node;
	struct link *link; /* NULL: over, waits for its read to come back */
	uint64_t handle, id, part, size;
	uint8_t sha256[32];
	uint64_t upto; /* asked for so far */
	struct block now, ahead;
	struct store_read_part read;
	bool reading;
	int code; /* a read failed */
};

static struct serve *serve_find(struct link *link, uint64_t handle)
{
	struct map_node *node = map_first(&link->serves, map_hash_u64(handle));

	for (; node != NULL; node = map_next(node)) {
		struct serve *serve = container_of(node, struct serve, node);

		if (serve->handle == handle)
			return serve;
	}
	return NULL;
}

static void serve_free(struct serve *serve)
{
	free(serve->now.octets);
	free(serve->ahead.octets);
	free(serve);
}

static void serve_close(struct serve *serve)
{
	map_del(&serve->link->serves, &serve->node);
	serve->link = NULL;
	atomic_store(&serve->read.req.unwanted, true);
	if (!serve->reading)
		serve_free(serve);
}

int serve_open(struct link *link, const struct need *need, const struct store_part *part,
	       uint64_t id, bool flash)
{
	struct serve *serve = serve_find(link, need->handle);

	if (serve == NULL) {
		serve = calloc(1, sizeof(*serve));
		if (serve == NULL)
			return NX_ENOMEM;
		*serve = (struct serve){ .link = link,
					 .handle = need->handle,
					 .id = id,
					 .part = part->number,
					 .size = part->size };
		memcpy(serve->sha256, need->sha256, sizeof(serve->sha256));
		map_add(&link->serves, &serve->node, map_hash_u64(need->handle));
	}
	serve->upto = need->offset + need->length;
	session_need_accept(link->session, need->handle, flash);
	link_want(link);
	return 0;
}

static void read_done(struct store_req *req, void *arg)
{
	struct serve *serve = arg;

	serve->reading = false;
	if (serve->link == NULL) {
		free(serve->read.octets);
		serve_free(serve);
		return;
	}
	if (req->code < 0 || serve->read.got == 0) {
		serve->code = req->code < 0 ? req->code : NX_ENOENT;
		free(serve->read.octets);
	} else {
		free(serve->ahead.octets);
		serve->ahead = (struct block){ .octets = serve->read.octets,
					       .offset = serve->read.offset,
					       .n = serve->read.got };
	}
	serve->read.octets = NULL;
	session_need_ready(serve->link->session, serve->handle);
	link_want(serve->link);
}

static void read_at(struct serve *serve, uint64_t offset)
{
	uint64_t left = serve->size - offset;

	if (serve->reading || serve->code < 0 || left == 0)
		return;
	serve->read = (struct store_read_part){
		.req = { .kind = REQ_READ_PART,
			 .done = read_done,
			 .arg = serve,
			 .partner = serve->link->partner->number },
		.number = serve->part,
		.offset = offset,
		.n = left < BLOCK ? (size_t)left : BLOCK,
	};
	serve->reading = true;
	store_submit(serve->link->exchange->store, &serve->read.req);
}

static bool holds(const struct block *block, uint64_t offset)
{
	return block->octets != NULL && offset >= block->offset &&
	       offset < block->offset + block->n;
}

int serve_part(struct link *link, uint64_t handle, uint64_t offset, uint8_t *to, size_t n)
{
	struct serve *serve = serve_find(link, handle);
	size_t have;

	if (serve == NULL || offset >= serve->size)
		return NX_ENOTOPEN;
	if (!holds(&serve->now, offset) && holds(&serve->ahead, offset)) {
		free(serve->now.octets);
		serve->now = serve->ahead;
		serve->ahead = (struct block){ 0 };
	}
	if (!holds(&serve->now, offset)) {
		if (serve->code < 0) {
			int code = serve->code;

			serve_close(serve); /* GONE: the handle is closed */
			return code;
		}
		read_at(serve, offset);
		return 0;
	}
	have = (size_t)(serve->now.offset + serve->now.n - offset);
	if (have > n)
		have = n;
	memcpy(to, serve->now.octets + (offset - serve->now.offset), have);
	link->data_out_ms = loop_now_ms(link->exchange->loop);
	if (offset + have >= serve->upto) { /* if it asks for more it is opened anew */
		serve_close(serve);
	} else if (serve->ahead.octets == NULL && serve->now.offset + serve->now.n < serve->upto) {
		read_at(serve, serve->now.offset + serve->now.n);
	}
	return (int)have;
}

void serve_stop(struct link *link, uint64_t handle)
{
	struct serve *serve = serve_find(link, handle);

	if (serve != NULL)
		serve_close(serve);
}

static void serve_each(struct link *link, uint64_t id, serve_heir_fn *heir)
{
	for (size_t i = 0; i < link->serves.cap && link->serves.n > 0; i++) {
		struct map_node *node = link->serves.slots[i], *next;

		for (; node != NULL; node = next) {
			struct serve *serve = container_of(node, struct serve, node);

			next = node->next;
			if (heir != NULL && serve->id != id)
				continue;
			serve->id = heir == NULL ? 0 : heir(link, serve->sha256);
			if (serve->id != 0)
				continue;
			if (heir != NULL)
				session_gone(link->session, serve->handle, NX_ENOTOPEN);
			serve_close(serve);
		}
	}
}

void serve_delivery_over(struct link *link, uint64_t id, serve_heir_fn *heir)
{
	serve_each(link, id, heir);
}

void serve_link_over(struct link *link)
{
	serve_each(link, 0, NULL);
}
