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

	if (!js_is_object(object))
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
	const struct js *list = js_list(in, "parts"), *at;
	size_t n = js_list_n(list);
	struct envelope_part *part;
	int r = 0;

	if (n == 0)
		return 0;
	if (n > parts_max || n > PARTS_CEILING)
		return why_set(in->why, NX_EPARTS, "%zu parts, at most %u are taken", n, parts_max);
	part = envelope->parts = calloc(n, sizeof(*envelope->parts));
	if (envelope->parts == NULL)
		return why_set(in->why, NX_ENOMEM, "out of memory");
	envelope->parts_n = (unsigned)n;
	for (at = js_first(list); at != NULL && r == 0; at = js_next(list, at))
		r = read_part(at, part++, in->why);
	return r < 0 ? r : check_names(envelope, in->why);
}

static int read_hops(struct js_in *in, struct envelope *envelope)
{
	const struct js *list = js_list(in, "hops"), *hop;
	size_t n = js_list_n(list);

	if (n > HOPS_MAX)
		return why_set(in->why, NX_EENVELOPE, "hops: more than %d", HOPS_MAX);
	for (hop = js_first(list); hop != NULL; hop = js_next(list, hop)) {
		struct js_in at = { .object = hop, .why = in->why };
		char party[NAME_MAX_ + 1], time[40];

		if (!js_is_object(hop))
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
		ret->json_n = json.n;
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

/* ---- what goes on */

enum { ORIGIN = 1, SENDER = 2, RECEIVED = 4, HOPS = 8 }; /* is said already */

struct stamping {
	struct js_out out;
	const struct envelope_stamp *stamp;
	const struct envelope *envelope;
	unsigned said;
};

static void say_name(struct stamping *say, unsigned which, const char *key, const char *name)
{
	say->said |= which;
	out_text(&say->out, key, name);
}

/* the hops that came, and ours; list may be NULL */
static void say_hops(struct stamping *say, const struct js *list)
{
	struct js_out *out = &say->out;

	say->said |= HOPS;
	out_name(out, "hops");
	out_raw(out, "[");
	for (const struct js *hop = js_first(list); hop != NULL; hop = js_next(list, hop)) {
		out_value(out, hop);
		out_raw(out, ",");
	}
	out_raw(out, "{");
	out_text(out, "party", say->stamp->node);
	out_text(out, "time", say->envelope->received);
	out_raw(out, "}]");
}

/* a member as it came, unless it is ours to say */
static void say_member(struct stamping *say, const struct js *member)
{
	const struct envelope_stamp *stamp = say->stamp;
	struct slice key = js_key(member);

	if (stamp->origin != NULL && slice_is(key, "origin")) {
		say_name(say, ORIGIN, "origin", say->envelope->origin);
	} else if (stamp->sender != NULL && slice_is(key, "sender")) {
		say_name(say, SENDER, "sender", say->envelope->sender);
	} else if (slice_is(key, "received")) {
		say_name(say, RECEIVED, "received", say->envelope->received);
	} else if (slice_is(key, "hops")) {
		if (stamp->trust_transport)
			say_hops(say, js_is_list(member) ? member : NULL);
	} else if (stamp->trust_transport || !slice_is(key, "signal")) {
		out_key(&say->out, key);
		out_value(&say->out, member);
	}
}

static void say_all(struct stamping *say)
{
	const struct js *root = say->envelope->json;

	out_raw(&say->out, "{");
	for (const struct js *at = js_first(root); at != NULL; at = js_next(root, at))
		say_member(say, at);
	if (say->stamp->origin != NULL && !(say->said & ORIGIN))
		say_name(say, ORIGIN, "origin", say->envelope->origin);
	if (say->stamp->sender != NULL && !(say->said & SENDER))
		say_name(say, SENDER, "sender", say->envelope->sender);
	if (!(say->said & RECEIVED))
		say_name(say, RECEIVED, "received", say->envelope->received);
	if (!(say->said & HOPS))
		say_hops(say, NULL);
	out_raw(&say->out, "}");
}

static void set_name(const char *name, char *copy, size_t size)
{
	size_t n = name == NULL ? 0 : strnlen(name, size - 1);

	if (name == NULL)
		return;
	memmove(copy, name, n);
	copy[n] = '\0';
}

/* in memory exactly as large as it is: an item may wait for long */
static int handed_over(const struct js_out *out, uint8_t *large, size_t ceiling, uint8_t **ret,
		       size_t *ret_n)
{
	int r = out->full || out->n > ceiling ? NX_EBIGENV : 0;

	if (r == 0)
		*ret = malloc(out->n);
	if (r == 0 && *ret == NULL)
		r = NX_ENOMEM;
	if (r == 0)
		memcpy(*ret, out->p, out->n);
	*ret_n = out->n;
	free(large);
	return r;
}

/* what comes along may need an escape where it had none before (DEL); ours are five short names */
static size_t room_for(const struct envelope *envelope)
{
	return 6 * envelope->json_n + 5 * 6 * (NAME_MAX_ + 1) + 256;
}

int envelope_write(struct envelope *envelope, const struct envelope_stamp *stamp, size_t ceiling,
		   uint8_t **ret, size_t *ret_n)
{
	struct stamping say = { .stamp = stamp, .envelope = envelope };
	uint8_t usual[4096], *large = NULL;
	struct js *root;

	*ret = NULL;
	if (!stamp->trust_transport) {
		envelope->hops = 0;
		envelope->signal[0] = '\0';
	}
	if (envelope->hops >= HOPS_MAX)
		return NX_EENVELOPE;
	set_name(stamp->origin, envelope->origin, sizeof(envelope->origin));
	set_name(stamp->sender, envelope->sender, sizeof(envelope->sender));
	set_name(stamp->received, envelope->received, sizeof(envelope->received));
	say.out.room = room_for(envelope);
	if (say.out.room > sizeof(usual)) {
		large = malloc(say.out.room);
		if (large == NULL)
			return NX_ENOMEM;
	}
	say.out.p = large == NULL ? usual : large;
	say_all(&say);
	root = envelope->json; /* several times as large as what was written, and the item may wait
				  for long */
	js_free(&root);
	envelope->json = NULL;
	envelope->hops++;
	return handed_over(&say.out, large, ceiling, ret, ret_n);
}

int envelope_relay(const struct envelope *envelope, const char *channel, uint8_t **ret,
		   size_t *ret_n)
{
	const struct js *root = envelope->json;
	size_t room = room_for(envelope);
	struct js_out out = { .p = malloc(room), .room = room };

	*ret = NULL;
	if (out.p == NULL)
		return NX_ENOMEM;
	out_raw(&out, "{");
	for (const struct js *at = js_first(root); at != NULL; at = js_next(root, at)) {
		if (channel != NULL && slice_is(js_key(at), "channel"))
			continue;
		out_key(&out, js_key(at));
		out_value(&out, at);
	}
	if (channel != NULL)
		out_text(&out, "channel", channel);
	out_raw(&out, "}");
	return handed_over(&out, out.p, room, ret, ret_n);
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
		out_name(&out, "parts");
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
