/*
 * msg.h - frames to typed messages and back. Pure; slices in a message point into the payload.
 *
 * Binary payloads (network order, extra octets at the end are ignored):
 *   CREDIT       u32 lane (0 routine, 1 flash), u64 items, u64 octets: totals, they only rise
 *   UNSUBSCRIBE  u32 number
 *   ITEM         u64 id, u64 position, u64 sequence, u32 subscription, u32 envelope length,
 *                u32 document length, u8 lane, u8[3] zero, then the first octets of envelope +
 *                document (40 octets before them; payload at most 16,384)
 *   MORE         u64 id, u32 offset in envelope + document, octets
 *   NEED         u64 handle, u64 offset, u64 length, sha256[32]
 *   DATA         u64 handle, u64 offset, octets (1 to 16,384 with the 16 before them)
 *   STOP         u64 handle
 *   GONE         u64 handle, u8 n, n octets of code
 *   WITHDRAW     u64 id, u8 n, n octets of code
 *   ACK          u8 entry length (at least 26), then entries: u64 id, u64 sequence, u64 stored-at
 *                (ms UTC), u8 result (0 stored, 1 duplicate, 2 held, 3 superseded), u8 stage (2
 *                complete), rest skipped
 *   PING         u64 token, u64 my wall clock (ms UTC)
 *   PONG         u64 the same token, u64 my wall clock
 * JSON payloads (one object; unknown keys are ignored; strings at most 256 octets unless said):
 *   HELLO        {"node","agent","boot":"hex","epoch":"16 hex",
 *                 "held":{"epoch":"16 hex","sequence":n},"last":n,
 *                 "restored":{"epoch":"16 hex","sequence":n},
 *                 "max":{"frame","document","envelope","parts","part"},
 *                 "rights":{"publish":["..."],"subscriptions":["..."]},"features":["..."]}
 *                "held", "last", "restored", "rights" are left out when there is none; "max"
 *                members left out mean the floor
 *   SUBSCRIBE    {"name","epoch":"16 hex","position":n}
 *                epoch and position left out together = no statement
 *   SUBSCRIBED   {"name","number","epoch":"16 hex","position","owed","expired"}
 *   UNSUBSCRIBED {"name","number","code","words"}
 *   REFUSE       {"id","code","retry":"later"|"never","after_ms","words"}
 *   BYE          {"code","words"}
 * Epochs are u64, written as 16 hex digits because JSON numbers end at 2^53 for many. Numbers
 * that count (position, sequence, id, owed) stay below 2^53.
 */
#pragma once
#include "proto/frame.h"

enum lane { LANE_ROUTINE = 0, LANE_FLASH = 1, LANES = 2 };
enum result { RESULT_STORED = 0, RESULT_DUPLICATE = 1, RESULT_HELD = 2, RESULT_SUPERSEDED = 3 };
const char *result_word(enum result result);
#define STAGE_COMPLETE 2
#define ITEM_HEAD      40 /* octets before the first octets of an ITEM */
#define MORE_HEAD      12
#define DATA_HEAD      16
#define ACK_ENTRY      26 /* the shortest entry, and the one we write */

#define NAME_MAX_      64 /* node, partner, subscription, channel: octets */

struct limits { /* what a side receives at most */
	uint32_t frame, document, envelope, parts;
	uint64_t part;
};
extern const struct limits limits_floor; /* 64 KiB, 256 KiB, 16 KiB, 64, 32 MiB */

#define RIGHTS_SIZE 512
#define RIGHTS_CUT  "..." /* the last name of a list that was too long */

struct hello {
	char node[NAME_MAX_ + 1], agent[NAME_MAX_ + 1], boot[33];
	uint64_t epoch;
	bool has_held;
	uint64_t held_epoch, held_sequence;
	bool has_last;
	uint64_t last; /* the last sequence that this side's store gave, under epoch */
	/* the store was restored from a backup: what it gave under that epoch above that sequence
	 * is gone */
	bool has_restored;
	uint64_t restored_epoch, restored_sequence;
	/* what the reader of this HELLO may do here: patterns of channels, names of its
	 * subscriptions, with a blank between two */
	bool has_rights;
	struct limits max;
	/* features: none are named by this version; the list is read and ignored */
	char publish[RIGHTS_SIZE], subscriptions[RIGHTS_SIZE]; /* last; not there without has_rights
								*/
};
struct credit {
	uint32_t lane;
	uint64_t items, octets;
};
struct subscribe {
	char name[NAME_MAX_ + 1];
	bool has_position;
	uint64_t epoch, position;
};
struct subscribed {
	char name[NAME_MAX_ + 1];
	uint32_t number;
	uint64_t epoch, position, owed, expired;
};
struct unsubscribed {
	char name[NAME_MAX_ + 1];
	uint32_t number;
	char code[33];
	char words[257];
};
struct item_head {
	uint64_t id, position, sequence;
	uint32_t subscription, envelope_len, document_len;
	uint8_t lane;
};
struct need {
	uint64_t handle, offset, length;
	uint8_t sha256[32];
};
struct ack {
	uint64_t id, sequence, stored_at_ms;
	uint8_t result, stage;
};
struct refuse {
	uint64_t id;
	char code[33];
	enum nx_retry retry;
	int64_t after_ms;
	char words[257];
};
struct bye {
	char code[33];
	char words[257];
};
struct ping {
	uint64_t token, wall_ms;
};

/* one message of any kind: binary ones are decoded by msg_read(), JSON ones too (through json.h) */
struct msg {
	enum frame_type type;
	union {
		struct hello hello;
		struct credit credit;
		struct subscribe subscribe;
		struct subscribed subscribed;
		struct unsubscribed unsubscribed;
		uint32_t unsubscribe;
		struct {
			struct item_head head;
			struct slice octets;
		} item;
		struct {
			uint64_t id;
			uint32_t offset;
			struct slice octets;
		} more;
		struct need need;
		struct {
			uint64_t handle, offset;
			struct slice octets;
		} data;
		uint64_t stop;
		struct {
			uint64_t handle;
			char code[33];
		} gone;
		struct {
			uint64_t id;
			char code[33];
		} withdraw;
		struct {
			struct slice entries;
			uint8_t entry_len;
		} ack; /* walk with msg_ack_next() */
		struct refuse refuse;
		struct ping ping;
		struct bye bye;
	};
};
/* returns 0, NX_EFRAME (too short, a length that lies), NX_EJSON, NX_EHELLO, NX_ENOMEM */
int msg_read(const struct frame *frame, struct msg *ret_msg, struct why *why);
bool msg_ack_next(struct msg *msg, struct ack *ret_ack); /* false at the end */
/* put a name at the end of such a list; false when it is too long or was cut before: it ends with
 * RIGHTS_CUT then */
bool rights_add(char list[RIGHTS_SIZE], struct slice name);
/*
 * msg_write - make the whole frame (header and payload) of a message at to.
 * returns  octets written; NX_EFULL when room is too small; NX_ENOMEM
 * ITEM, MORE, DATA and ACK are made by the session, which copies octets straight in.
 */
int msg_write(const struct msg *msg, uint8_t *to, size_t room);
