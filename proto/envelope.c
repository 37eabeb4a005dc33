#include "proto/envelope.h"
#include "proto/utf8.h"

#include <stdlib.h>

#include "proto/json.h"

static const struct js_limits limits = { .octets = 64 << 20, .depth = 32, .values = 5000 };

static int hex_nibble(char c)
{
	const char *digits = "0123456789abcdef", *at;

	at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c | 0x20 : c);
	return at == NULL ? -1 : (int)(at - digits);
}

static bool read_hash(const char *hex, uint8_t sha256[32])
{
	for (size_t i = 0; i < 32; i++) {
		int high = hex_nibble(hex[2 * i]);
		int low = high < 0 ? -1 : hex_nibble(hex[2 * i + 1]);

		if (low < 0)
			return false;
		sha256[i] = (uint8_t)(high << 4 | low);
	}
	return hex[64] == '\0';
}

/* letters that a terminal or an editor obeys instead of showing: controls, marks of direction */
static bool letter_hidden(uint32_t u)
{
	return u < 0x20 || (u >= 0x7f && u < 0xa0) || u == 0x200e || u == 0x200f ||
	       (u >= 0x2028 && u <= 0x202e) || (u >= 0x2066 && u <= 0x2069);
}

static bool segment_ok(const char *p, size_t n)
{
	return n > 0 && !(n == 1 && p[0] == '.') && !(n == 2 && p[0] == '.' && p[1] == '.');
}

bool part_name_ok(const char *name)
{
	struct slice rest = slice_str(name);
	uint32_t letter;
	size_t n;

	if (rest.n == 0 || rest.n > PART_NAME_MAX || strchr(name, '\\') != NULL)
		return false;
	for (; rest.n > 0; rest = slice_of(rest.p + n, rest.n - n)) {
		n = utf8_letter(rest, &letter);
		if (n == 0 || letter_hidden(letter))
			return false;
	}
	for (;; name += n + 1) {
		n = strcspn(name, "/");
		if (!segment_ok(name, n))
			return false;
		if (name[n] == '\0')
			return true;
	}
}

static int read_part(const struct js *object, struct envelope_part *part, struct why *why)
{
	struct js_in in = { .object = object, .why = why };
	char hex[65];

	if (object == NULL)
		return why_set(why, NX_EENVELOPE, "parts: not a list of objects");
	js_text(&in, "name", 1, part->name, sizeof(part->name));
	js_text(&in, "contentType", 0, part->content_type, sizeof(part->content_type));
	js_text(&in, "sha256", 64, hex, sizeof(hex));
	part->size = js_count(&in, "size", 0, 1, JS_COUNT_MAX);
	if (in.bad)
		return NX_EENVELOPE;
	if (part->size == 0)
		return why_set(why, NX_EENVELOPE, "parts: size: missing");
	if (!part_name_ok(part->name))
		return why_set(why, NX_EENVELOPE, "parts: not a plain relative name");
	if (!read_hash(hex, part->sha256))
		return why_set(why, NX_EENVELOPE, "parts: sha256 is not 64 hex digits");
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct envelope_part *const *one = a, *const *other = b;

	return strcmp((*one)->name, (*other)->name);
}

/* each name once: two files cannot lie in one place */
static int check_names(const struct envelope *envelope, struct why *why)
{
	const struct envelope_part **sorted;
	int r = 0;

	if (envelope->parts_n < 2)
		return 0;
	sorted = calloc(envelope->parts_n, sizeof(*sorted));
	if (sorted == NULL)
		return why_set(why, NX_ENOMEM, "out of memory");
	for (unsigned i = 0; i < envelope->parts_n; i++)
		sorted[i] = &envelope->parts[i];
	qsort(sorted, envelope->parts_n, sizeof(const struct envelope_part *), by_name);
	for (unsigned i = 1; i < envelope->parts_n && r == 0; i++)
		if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
			r = why_set(why, NX_EENVELOPE, "parts: '%.100s' twice", sorted[i]->name);
	free(sorted);
	return r;
}

static int read_parts(struct js_in *in, unsigned parts_max, struct envelope *envelope)
{
	const struct js *list = js_list(in, "parts");
	size_t n = js_list_n(list);
	int r = 0;

	if (n == 0)
		return 0;
	if (n > parts_max || n > PARTS_CEILING)
		return why_set(in->why, NX_EPARTS, "%zu parts, at most %u are taken", n, parts_max);
	envelope->parts = calloc(n, sizeof(*envelope->parts));
	if (envelope->parts == NULL)
		return why_set(in->why, NX_ENOMEM, "out of memory");
	envelope->parts_n = (unsigned)n;
	for (size_t i = 0; i < n && r == 0; i++)
		r = read_part(js_list_at(list, i), &envelope->parts[i], in->why);
	return r < 0 ? r : check_names(envelope, in->why);
}

static int read_hops(struct js_in *in, struct envelope *envelope)
{
	const struct js *list = js_list(in, "hops");
	size_t n = js_list_n(list);

	if (n > HOPS_MAX)
		return why_set(in->why, NX_EENVELOPE, "hops: more than %d", HOPS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct js_in at = { .object = js_list_at(list, i), .why = in->why };
		char party[NAME_MAX_ + 1], time[40];

		if (at.object == NULL)
			return why_set(in->why, NX_EENVELOPE, "hops: not a list of objects");
		js_text(&at, "party", 1, party, sizeof(party));
		js_text(&at, "time", 0, time, sizeof(time));
		if (at.bad)
			return NX_EENVELOPE;
	}
	envelope->hops = (unsigned)n;
	return 0;
}

static int read_all(struct js_in *in, unsigned parts_max, struct envelope *envelope)
{
	int r;

	js_text(in, "origin", 0, envelope->origin, sizeof(envelope->origin));
	js_text(in, "sender", 0, envelope->sender, sizeof(envelope->sender));
	js_text(in, "channel", 0, envelope->channel, sizeof(envelope->channel));
	js_text(in, "signal", 0, envelope->signal, sizeof(envelope->signal));
	js_text(in, "sent", 0, envelope->sent, sizeof(envelope->sent));
	js_text(in, "received", 0, envelope->received, sizeof(envelope->received));
	envelope->priority = (int)js_count(in, "priority", 0, 1, 9);
	r = read_hops(in, envelope);
	if (r == 0)
		r = read_parts(in, parts_max, envelope);
	return r == 0 && in->bad ? NX_EENVELOPE : r;
}

int envelope_read(struct slice json, unsigned parts_max, struct envelope *ret, struct why *why)
{
	struct why mine = { 0 };
	struct js_in in = { .why = why == NULL ? &mine : why };
	struct js *root = NULL;
	int r;

	memset(ret, 0, sizeof(*ret));
	r = js_read(json, &limits, &root, in.why);
	if (r == 0) {
		ret->json = root;
		in.object = root;
		r = read_all(&in, parts_max, ret);
	}
	if (r < 0) {
		r = r == NX_EJSON ? NX_EENVELOPE : r;
		in.why->code = r;
		envelope_done(ret);
	}
	return r;
}

void envelope_done(struct envelope *envelope)
{
	struct js *root = envelope->json;

	js_free(&root);
	free(envelope->parts);
	memset(envelope, 0, sizeof(*envelope));
}

static int set_name(struct js *root, const char *key, const char *name, char *copy, size_t size)
{
	size_t n = strnlen(name, size - 1);

	memmove(copy, name, n);
	copy[n] = '\0';
	return js_set_text(root, key, copy);
}

int envelope_write(struct envelope *envelope, const struct envelope_stamp *stamp, size_t ceiling,
		   uint8_t **ret, size_t *ret_n)
{
	struct js *root = envelope->json;
	int r = 0;

	*ret = NULL;
	if (!stamp->trust_transport) {
		js_drop(root, "hops");
		js_drop(root, "signal");
		envelope->hops = 0;
		envelope->signal[0] = '\0';
	}
	if (envelope->hops >= HOPS_MAX)
		return NX_EENVELOPE;
	if (stamp->origin != NULL)
		r |= set_name(root, "origin", stamp->origin, envelope->origin,
			      sizeof(envelope->origin));
	if (stamp->sender != NULL)
		r |= set_name(root, "sender", stamp->sender, envelope->sender,
			      sizeof(envelope->sender));
	r |= set_name(root, "received", stamp->received, envelope->received,
		      sizeof(envelope->received));
	r |= js_add_hop(root, "hops", stamp->node, envelope->received);
	if (r != 0)
		return NX_ENOMEM;
	envelope->hops++;
	r = js_write(root, ceiling, ret, ret_n);
	js_free(&root); /* several times as large as what was written, and the item may wait for
			   long */
	envelope->json = NULL;
	return r == NX_EFULL ? NX_EBIGENV : r;
}

static void out_part(struct js_out *out, const struct envelope_part *part)
{
	out_raw(out, out->p[out->n - 1] == '[' ? "{" : ",{");
	out_text(out, "name", part->name);
	if (*part->content_type != '\0')
		out_text(out, "contentType", part->content_type);
	out_count(out, "size", part->size);
	out_hex(out, "sha256", part->sha256, sizeof(part->sha256));
	out_raw(out, "}");
}

int envelope_make(const char *channel, const char *sent, const struct envelope_part *parts,
		  unsigned parts_n, uint8_t **ret, size_t *ret_n)
{
	/* a letter takes at most six octets when it is escaped */
	size_t room = 1024 + (size_t)parts_n * (6 * (PART_NAME_MAX + 128) + 256);
	struct js_out out = { .p = malloc(room), .room = room };

	*ret = NULL;
	if (out.p == NULL)
		return NX_ENOMEM;
	out_raw(&out, "{");
	if (channel != NULL)
		out_text(&out, "channel", channel);
	if (sent != NULL)
		out_text(&out, "sent", sent);
	if (parts_n > 0) {
		out_key(&out, "parts");
		out_raw(&out, "[");
		for (unsigned i = 0; i < parts_n; i++)
			out_part(&out, &parts[i]);
		out_raw(&out, "]");
	}
	out_raw(&out, "}");
	if (out.full) {
		free(out.p);
		return NX_EBIGENV;
	}
	*ret = out.p;
	*ret_n = out.n;
	return 0;
}
