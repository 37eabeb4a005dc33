#include "proto/json.h"
#include "proto/msg_priv.h"

const struct limits limits_floor = {
	.frame = FRAME_FLOOR,
	.document = 256 << 10,
	.envelope = 16 << 10,
	.parts = 64,
	.part = 32 << 20,
};

/* a promise of at least floor; more than we can count is as good as the most we can */
static uint32_t least(struct js_in *in, const char *key, uint32_t floor)
{
	uint64_t n = js_count(in, key, floor, floor, JS_COUNT_MAX);

	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static void read_max(struct js_in *in, struct limits *max)
{
	const struct js *object = js_object(in, "max");
	struct js_in at = { .object = object, .bad = in->bad, .why = in->why };

	*max = limits_floor;
	if (object == NULL)
		return;
	max->frame = least(&at, "frame", max->frame);
	max->document = least(&at, "document", max->document);
	max->envelope = least(&at, "envelope", max->envelope);
	max->parts = least(&at, "parts", max->parts);
	max->part = js_count(&at, "part", max->part, max->part, JS_COUNT_MAX);
	in->bad = at.bad;
}

static bool hex_only(const char *text)
{
	return text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
}

/* an (epoch, sequence) of HELLO. false: it is not there */
static bool read_given(struct js_in *in, const char *key, uint64_t *ret_epoch,
		       uint64_t *ret_sequence)
{
	const struct js *object = js_object(in, key);
	struct js_in at = { .object = object, .bad = in->bad, .why = in->why };
	bool there;

	if (object == NULL)
		return false;
	there = js_epoch(&at, "epoch", ret_epoch);
	*ret_sequence = js_count(&at, "sequence", 0, 0, JS_COUNT_MAX);
	in->bad = at.bad || !there || !js_has(&at, "sequence");
	return there;
}

bool rights_add(char list[RIGHTS_SIZE], struct slice name)
{
	const size_t mark = strlen(RIGHTS_CUT);
	size_t n = strlen(list);
	bool fits;

	if (n >= mark && strcmp(list + n - mark, RIGHTS_CUT) == 0 &&
	    (n == mark || list[n - mark - 1] == ' '))
		return false;
	/* behind it the mark must have room, with a blank before it and a NUL at the end */
	fits = !slice_is(name, RIGHTS_CUT) && n + 1 + name.n + 1 + mark + 1 <= RIGHTS_SIZE;
	if (!fits)
		name = slice_str(RIGHTS_CUT);
	if (n > 0)
		list[n++] = ' ';
	memcpy(list + n, name.p, name.n);
	list[n + name.n] = '\0';
	return fits;
}

/* names that would read as two, or act on a terminal, are none */
static bool right_ok(struct slice name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 0x7f)
			return false;
	return name.n > 0 && name.n <= NAME_MAX_ + 1;
}

static void read_names(struct js_in *in, const char *key, char list[RIGHTS_SIZE])
{
	const struct js *names = js_list(in, key), *at;
	bool more = true;

	for (at = js_first(names); at != NULL && more && !in->bad; at = js_next(names, at)) {
		struct slice name = js_string(at);

		if (right_ok(name))
			more = rights_add(list, name);
		else
			in->bad = true;
	}
}

static void read_rights(struct js_in *in, struct hello *hello)
{
	const struct js *object = js_object(in, "rights");
	struct js_in at = { .object = object, .bad = in->bad, .why = in->why };

	hello->has_rights = object != NULL;
	if (object == NULL)
		return;
	read_names(&at, "publish", hello->publish);
	read_names(&at, "subscriptions", hello->subscriptions);
	in->bad = at.bad;
}

static void read_hello(struct js_in *in, struct hello *hello)
{
	js_text(in, "node", 1, hello->node, sizeof(hello->node));
	js_words(in, "agent", hello->agent, sizeof(hello->agent));
	js_text(in, "boot", 0, hello->boot, sizeof(hello->boot));
	if (!hex_only(hello->boot) || !js_epoch(in, "epoch", &hello->epoch))
		in->bad = true;
	hello->has_held = read_given(in, "held", &hello->held_epoch, &hello->held_sequence);
	hello->has_last = js_has(in, "last");
	hello->last = js_count(in, "last", 0, 0, JS_COUNT_MAX);
	hello->has_restored =
		read_given(in, "restored", &hello->restored_epoch, &hello->restored_sequence);
	read_max(in, &hello->max);
	read_rights(in, hello);
	(void)js_list(in, "features");
}

static void read_subscribe(struct js_in *in, struct subscribe *subscribe)
{
	js_text(in, "name", 1, subscribe->name, sizeof(subscribe->name));
	subscribe->has_position = js_epoch(in, "epoch", &subscribe->epoch);
	subscribe->position = js_count(in, "position", 0, 0, JS_COUNT_MAX);
	if (subscribe->has_position != js_has(in, "position"))
		in->bad = true;
}

static void read_subscribed(struct js_in *in, struct subscribed *subscribed)
{
	js_text(in, "name", 1, subscribed->name, sizeof(subscribed->name));
	subscribed->number = (uint32_t)js_count(in, "number", 0, 1, UINT32_MAX);
	if (!js_epoch(in, "epoch", &subscribed->epoch) || !js_has(in, "number"))
		in->bad = true;
	subscribed->position = js_count(in, "position", 0, 0, JS_COUNT_MAX);
	subscribed->owed = js_count(in, "owed", 0, 0, JS_COUNT_MAX);
	subscribed->expired = js_count(in, "expired", 0, 0, JS_COUNT_MAX);
}

static void read_unsubscribed(struct js_in *in, struct unsubscribed *unsubscribed)
{
	js_text(in, "name", 1, unsubscribed->name, sizeof(unsubscribed->name));
	unsubscribed->number = (uint32_t)js_count(in, "number", 0, 0, UINT32_MAX);
	js_code(in, "code", unsubscribed->code);
	js_words(in, "words", unsubscribed->words, sizeof(unsubscribed->words));
}

static void read_refuse(struct js_in *in, struct refuse *refuse)
{
	char retry[8];

	refuse->id = js_count(in, "id", 0, 1, JS_COUNT_MAX);
	js_code(in, "code", refuse->code);
	js_text(in, "retry", 1, retry, sizeof(retry));
	refuse->retry = strcmp(retry, "later") == 0 ? NX_LATER : NX_NEVER;
	refuse->after_ms = (int64_t)js_count(in, "after_ms", 0, 0, JS_COUNT_MAX);
	js_words(in, "words", refuse->words, sizeof(refuse->words));
	if (!js_has(in, "id") || (refuse->retry == NX_NEVER && strcmp(retry, "never") != 0))
		in->bad = true;
}

static void read_bye(struct js_in *in, struct bye *bye)
{
	js_code(in, "code", bye->code);
	js_words(in, "words", bye->words, sizeof(bye->words));
}

int msg_json_read(const struct frame *frame, struct msg *msg, struct why *why)
{
	static const struct js_limits limits = { JSON_PAYLOAD_MAX, 8, 5000 };
	struct js *root = NULL;
	struct why mine = { 0 };
	struct js_in in = { .why = &mine };
	int r = js_read(frame->payload, &limits, &root, &mine);

	if (r < 0)
		return why_set(why, r == NX_ENOMEM ? r : NX_EJSON, "%s: %.200s",
			       frame_name(frame->type), mine.words);
	in.object = root;
	switch (frame->type) {
	case FRAME_HELLO:
		read_hello(&in, &msg->hello);
		break;
	case FRAME_SUBSCRIBE:
		read_subscribe(&in, &msg->subscribe);
		break;
	case FRAME_SUBSCRIBED:
		read_subscribed(&in, &msg->subscribed);
		break;
	case FRAME_UNSUBSCRIBED:
		read_unsubscribed(&in, &msg->unsubscribed);
		break;
	case FRAME_REFUSE:
		read_refuse(&in, &msg->refuse);
		break;
	default:
		read_bye(&in, &msg->bye);
		break;
	}
	js_free(&root);
	if (!in.bad)
		return 0;
	return why_set(why, frame->type == FRAME_HELLO ? NX_EHELLO : NX_EJSON, "%s: %.200s",
		       frame_name(frame->type),
		       *mine.words ? mine.words : "a value that is needed");
}

static void write_given(struct js_out *out, const char *key, uint64_t epoch, uint64_t sequence)
{
	out_name(out, key);
	out_raw(out, "{");
	out_epoch(out, "epoch", epoch);
	out_count(out, "sequence", sequence);
	out_raw(out, "}");
}

static void write_names(struct js_out *out, const char *key, const char *list)
{
	out_name(out, key);
	out_raw(out, "[");
	while (*list != '\0') {
		size_t n = strcspn(list, " ");
		char name[NAME_MAX_ + 2] = "";

		memcpy(name, list, n < sizeof(name) ? n : sizeof(name) - 1);
		out_word(out, name);
		list += n + (list[n] == ' ');
	}
	out_raw(out, "]");
}

static void write_hello(struct js_out *out, const struct hello *hello)
{
	out_text(out, "node", hello->node);
	out_text(out, "agent", hello->agent);
	out_text(out, "boot", hello->boot);
	out_epoch(out, "epoch", hello->epoch);
	if (hello->has_held)
		write_given(out, "held", hello->held_epoch, hello->held_sequence);
	if (hello->has_last)
		out_count(out, "last", hello->last);
	if (hello->has_restored)
		write_given(out, "restored", hello->restored_epoch, hello->restored_sequence);
	out_name(out, "max");
	out_raw(out, "{");
	out_count(out, "frame", hello->max.frame);
	out_count(out, "document", hello->max.document);
	out_count(out, "envelope", hello->max.envelope);
	out_count(out, "parts", hello->max.parts);
	out_count(out, "part", hello->max.part);
	out_raw(out, "}");
	if (hello->has_rights) {
		out_name(out, "rights");
		out_raw(out, "{");
		write_names(out, "publish", hello->publish);
		write_names(out, "subscriptions", hello->subscriptions);
		out_raw(out, "}");
	}
	out_name(out, "features");
	out_raw(out, "[]");
}

static void write_subscribe(struct js_out *out, const struct subscribe *subscribe)
{
	out_text(out, "name", subscribe->name);
	if (subscribe->has_position) {
		out_epoch(out, "epoch", subscribe->epoch);
		out_count(out, "position", subscribe->position);
	}
}

static void write_subscribed(struct js_out *out, const struct subscribed *subscribed)
{
	out_text(out, "name", subscribed->name);
	out_count(out, "number", subscribed->number);
	out_epoch(out, "epoch", subscribed->epoch);
	out_count(out, "position", subscribed->position);
	out_count(out, "owed", subscribed->owed);
	out_count(out, "expired", subscribed->expired);
}

static void write_unsubscribed(struct js_out *out, const struct unsubscribed *unsubscribed)
{
	out_text(out, "name", unsubscribed->name);
	out_count(out, "number", unsubscribed->number);
	out_text(out, "code", unsubscribed->code);
	out_text(out, "words", unsubscribed->words);
}

static void write_refuse(struct js_out *out, const struct refuse *refuse)
{
	out_count(out, "id", refuse->id);
	out_text(out, "code", refuse->code);
	out_text(out, "retry", refuse->retry == NX_LATER ? "later" : "never");
	out_count(out, "after_ms", refuse->after_ms < 0 ? 0 : (uint64_t)refuse->after_ms);
	out_text(out, "words", refuse->words);
}

int msg_json_write(const struct msg *msg, uint8_t *to, size_t room)
{
	struct js_out out = { .p = to, .room = room };

	out_raw(&out, "{");
	switch ((int)msg->type) {
	case FRAME_HELLO:
		write_hello(&out, &msg->hello);
		break;
	case FRAME_SUBSCRIBE:
		write_subscribe(&out, &msg->subscribe);
		break;
	case FRAME_SUBSCRIBED:
		write_subscribed(&out, &msg->subscribed);
		break;
	case FRAME_UNSUBSCRIBED:
		write_unsubscribed(&out, &msg->unsubscribed);
		break;
	case FRAME_REFUSE:
		write_refuse(&out, &msg->refuse);
		break;
	default:
		out_text(&out, "code", msg->bye.code);
		out_text(&out, "words", msg->bye.words);
		break;
	}
	out_raw(&out, "}");
	return out.full ? NX_EFULL : (int)out.n;
}
