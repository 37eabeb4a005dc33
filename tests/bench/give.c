/* give.c - stories and photos to publish, each with a uri and a time of its own */
#include "tests/bench/load.h"

#include "base/hash.h"
#include "proto/envelope.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

static struct {
	uint8_t *story, *flash; /* templates */
	size_t story_n, flash_n, uri_at, flash_uri_at, time_at, flash_time_at;
	uint8_t *photo; /* the octets of every photo but for the last 16 */
	size_t photo_n;
	EVP_MD_CTX *prefix;
	uint8_t envelope[128];
	size_t envelope_n;
	char run[17];
} mould;

static const char words[] =
	"ວຽງຈັນ: ລັດຖະບານ ສປປ ລາວ ແລະ ຫວຽດນາມ ໄດ້ເຊັນບົດບັນທຶກການຮ່ວມມືດ້ານຂ່າວສານ. "
	"Hà Nội: Thông tấn xã Việt Nam và Thông tấn xã Pathet Lào ký thỏa thuận "
	"trao đổi tin, ảnh hằng ngày giữa hai nước. ";

/* one ninjs story of n octets; where its uri's number and its time stand */
static uint8_t *make_story(size_t n, int urgency, bool photo, size_t *ret_n, size_t *ret_uri,
			   size_t *ret_time)
{
	char *text = malloc(n + 4096);
	size_t at, unit = strlen(words);

	if (text == NULL)
		return NULL;
	at = (size_t)sprintf(
		text,
		"{\"uri\":\"urn:bench:%s:%012d\",\"bench_ns\":\"%020d\",\"type\":\"%s\","
		"\"version\":\"1\",\"language\":\"lo\",\"pubstatus\":\"usable\",\"urgency\":%d,"
		"\"versioncreated\":\"2026-11-22T10:00:00+07:00\",\"headline\":\"Ký kết hợp tác "
		"ລາວ "
		"- ຫວຽດນາມ\",\"slugline\":\"LAO-VN-AGREEMENT\",\"byline\":\"TTXVN / KPL\","
		"\"subject\":[{\"code\":\"medtop:11000000\",\"name\":\"politics\"}],"
		"\"place\":[{\"name\":\"Vientiane\"},{\"name\":\"Hà Nội\"}],",
		mould.run, 0, 0, photo ? "picture" : "text", urgency);
	*ret_uri = (size_t)(strstr(text, ":000000000000\"") + 1 - text);
	*ret_time = (size_t)(strstr(text, "bench_ns") + 11 - text);
	if (photo)
		at += (size_t)sprintf(text + at,
				      "\"renditions\":{\"web\":{\"href\":\"photo.jpg\"}},");
	at += (size_t)sprintf(text + at, "\"body_text\":\"");
	while (at + unit + 2 <= n) {
		memcpy(text + at, words, unit);
		at += unit;
	}
	while (at + 2 < n)
		text[at++] = '.';
	text[at++] = '"';
	text[at++] = '}';
	*ret_n = at;
	return (uint8_t *)text;
}

static int make_photo(size_t n)
{
	uint32_t x = 2463534242u;

	if (n < 32)
		n = 32;
	mould.photo = malloc(n);
	mould.prefix = EVP_MD_CTX_new();
	if (mould.photo == NULL || mould.prefix == NULL)
		return -1;
	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		mould.photo[i] = (uint8_t)x;
	}
	mould.photo_n = n;
	EVP_DigestInit_ex(mould.prefix, EVP_sha256(), NULL);
	EVP_DigestUpdate(mould.prefix, mould.photo, n - 16);
	return 0;
}

int give_start(struct load *load)
{
	const struct options *o = &load->options;
	uint8_t run[8];

	random_octets(run, sizeof(run));
	hex_of(run, sizeof(run), mould.run);
	mould.envelope_n = (size_t)snprintf((char *)mould.envelope, sizeof(mould.envelope),
					    "{\"channel\":\"%s\"}", o->channel);
	mould.story = make_story(o->role == ROLE_PHOTOS ? 1024 : o->size, 5, o->role == ROLE_PHOTOS,
				 &mould.story_n, &mould.uri_at, &mould.time_at);
	mould.flash = make_story(1024, 1, false, &mould.flash_n, &mould.flash_uri_at,
				 &mould.flash_time_at);
	if (mould.story == NULL || mould.flash == NULL)
		return -1;
	return o->role == ROLE_PHOTOS ? make_photo(o->size) : 0;
}

/* may one more routine item begin now? */
bool give_may(struct load *load, int64_t now)
{
	const struct options *o = &load->options;

	if (load->begin_ns == 0 || load->over || o->quiet_flash)
		return false;
	if ((o->count > 0 && load->begun >= o->count) ||
	    (o->count == 0 && now >= load->begin_ns + (int64_t)(o->seconds * 1e9)))
		return false;
	return o->rate == 0 || now >= load->due_ns;
}

static void digits(uint8_t *to, unsigned n, uint64_t v)
{
	while (n-- > 0) {
		to[n] = (uint8_t)('0' + v % 10);
		v /= 10;
	}
}

static bool room_for(struct slot *slot, size_t n)
{
	if (slot->document == NULL || slot->document_n < n) {
		free(slot->document);
		slot->document = malloc(n);
	}
	slot->document_n = slot->document == NULL ? 0 : n;
	return slot->document != NULL;
}

static bool fill_photo(struct load *load, struct slot *slot)
{
	struct envelope_part part = { .size = mould.photo_n };
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	bool ok;

	snprintf(part.name, sizeof(part.name), "photo.jpg");
	snprintf(part.content_type, sizeof(part.content_type), "image/jpeg");
	random_octets(slot->tail, sizeof(slot->tail));
	ok = sha != NULL && EVP_MD_CTX_copy_ex(sha, mould.prefix) == 1 &&
	     EVP_DigestUpdate(sha, slot->tail, 16) == 1 &&
	     EVP_DigestFinal_ex(sha, slot->sha256, NULL) == 1;
	EVP_MD_CTX_free(sha);
	memcpy(part.sha256, slot->sha256, 32);
	free(slot->envelope);
	slot->envelope = NULL;
	return ok && envelope_make(load->options.channel, NULL, &part, 1, &slot->envelope,
				   &slot->envelope_n) == 0;
}

static void fill(struct load *load, struct slot *slot, bool flash, int64_t now)
{
	const uint8_t *from = flash ? mould.flash : mould.story;

	memcpy(slot->document, from, slot->document_n);
	digits(slot->document + (flash ? mould.flash_uri_at : mould.uri_at), 12,
	       load->begun + ((uint64_t)flash << 38) + load->flashes_begun);
	digits(slot->document + (flash ? mould.flash_time_at : mould.time_at), 20, (uint64_t)now);
	slot->flash = flash;
	slot->made_ns = now;
	slot->used = true;
}

static bool flash_is_due(struct member *member, int64_t now)
{
	struct load *load = member->load;

	return member->index == 0 && load->begin_ns != 0 &&
	       load->flashes_begun < load->options.flashes && now >= load->flash_due_ns;
}

static bool next_item(void *arg, enum session_class class, uint64_t id, struct session_out *out)
{
	struct member *member = arg;
	struct load *load = member->load;
	struct slot *slot = &member->slots[id % SLOTS];
	int64_t now = now_ns();
	bool flash = class == CLASS_FLASH, photo = !flash && load->options.role == ROLE_PHOTOS;

	if (class == CLASS_BACKLOG || slot->used ||
	    (flash ? !flash_is_due(member, now)
		   : !give_may(load, now) || member->open >= load->options.window))
		return false;
	if (!room_for(slot, flash ? mould.flash_n : mould.story_n) ||
	    (photo && !fill_photo(load, slot)))
		return false;
	slot->id = id;
	if (flash) {
		load->flashes_begun++;
		load->flash_due_ns = now + (int64_t)load->options.flash_gap_ms * 1000000;
	} else {
		load->begun++;
		member->open++;
		if (load->options.rate > 0)
			load->due_ns += (int64_t)(1e9 / load->options.rate);
	}
	fill(load, slot, flash, now);
	*out = (struct session_out){
		.envelope = photo ? slice_of(slot->envelope, slot->envelope_n)
				  : slice_of(mould.envelope, mould.envelope_n),
		.document = slice_of(slot->document, slot->document_n),
	};
	return true;
}

static void sent(void *arg, uint64_t id)
{
	(void)arg;
	(void)id;
}

static int part(void *arg, uint64_t handle, uint64_t offset, uint8_t *to, size_t n)
{
	struct member *member = arg;
	const struct hand *hand = &member->hands[handle % HANDS];
	const struct slot *slot = &member->slots[hand->id % SLOTS];
	size_t body = mould.photo_n - 16, head;

	if (hand->handle != handle || offset >= mould.photo_n)
		return NX_ENOENT;
	if (n > mould.photo_n - offset)
		n = mould.photo_n - offset;
	head = offset >= body ? 0 : body - offset < n ? body - offset : n;
	memcpy(to, mould.photo + offset, head);
	if (head < n)
		memcpy(to + head, slot->tail + (offset + head - body), n - head);
	return (int)n;
}
const struct session_source give_source = { .item = next_item, .sent = sent, .part = part };

static void on_need(struct member *member, const struct need *need)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *slot = &member->slots[i];

		if (slot->used && memcmp(slot->sha256, need->sha256, 32) == 0) {
			member->hands[need->handle % HANDS] =
				(struct hand){ .handle = need->handle, .id = slot->id };
			session_need_accept(member->session, need->handle, false);
			return;
		}
	}
	session_gone(member->session, need->handle, NX_ENOENT);
}

static void answered(struct member *member, uint64_t id, bool stored)
{
	struct load *load = member->load;
	struct slot *slot = &member->slots[id % SLOTS];

	if (!slot->used || slot->id != id)
		return;
	slot->used = false;
	load->last_ns = now_ns();
	if (slot->flash) {
		load->flashes_done += stored;
		tally_add(&load->flash, load->last_ns - slot->made_ns);
		return;
	}
	member->open--;
	load->done += stored;
	load->refused += !stored;
	if (!stored)
		return;
	load->octets += load->options.role == ROLE_PHOTOS ? mould.photo_n : slot->document_n;
	tally_add(&load->tally, load->last_ns - slot->made_ns);
}

void give_event(struct member *member, struct session_event *event)
{
	if (event->kind == SESSION_ANSWER) {
		answered(member, event->ack.id, true);
	} else if (event->kind == SESSION_REFUSED) {
		snprintf(member->load->why, sizeof(member->load->why), "%s", event->refuse.code);
		answered(member, event->refuse.id, false);
	} else if (event->kind == SESSION_NEED) {
		on_need(member, &event->need);
	}
}
