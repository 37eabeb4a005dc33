/* the other side lies about every length, offset, count and state: one rule a row, each with its
 * code. Every row is fed all at once and one octet at a time, and must end the same way. */
#include "wire.h"

static const char *const document = "{\"id\":1,\"code\":\"busy\",\"retry\":\"later\"}";

static bool one_item(void *arg, enum session_class class, uint64_t id, struct session_out *out)
{
	unsigned *left = arg;

	static const char longer[5000];

	(void)id;
	if (*left == 0)
		return false;
	--*left;
	out->envelope = slice_str("{}");
	out->document =
		class == CLASS_BACKLOG ? slice_of(longer, sizeof(longer)) : slice_str(document);
	return true;
}

static int octets_of_part(void *arg, uint64_t handle, uint64_t offset, uint8_t *to, size_t n)
{
	(void)arg, (void)handle;
	memset(to, (int)offset, n);
	return (int)n;
}

/* what the session has done before the lie: two routine items sent of 1, credit given, a claim
 * held, parts asked */
static void sends_items(struct session *session)
{
	static struct said said;
	static struct heard heard;
	struct wire wire = { 0 };

	w_credit(&wire, 0, 10, 1000);
	heard.n = 0;
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	session_item_ready(session, CLASS_ROUTINE);
	(void)listen_to(session, &said, SAID_MAX);
	assert_int_equal(session_open_out(session), 2);
	wire_done(&wire);
}

/* a routine item of which only the first frame is out */
static void half_sends(struct session *session)
{
	static uint8_t frame[FRAME_HEADER + FRAME_FLOOR];
	static struct heard heard;
	struct wire wire = { 0 };

	w_credit(&wire, 0, 1, 1000);
	heard.n = 0;
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	session_item_ready(session, CLASS_BACKLOG);
	assert_true(session_frame(session, frame, sizeof(frame), 1024, 0, 0) > 0);
	assert_int_equal(session_open_out(session), 1);
	wire_done(&wire);
}

static void cuts_off(struct session *session)
{
	half_sends(session);
	session_withdraw(session, 1, NX_EKILLED);
}

static void needs_part(struct session *session)
{
	static struct said said;
	uint8_t sha256[32] = { 1 };

	assert_int_equal(session_need(session, sha256, 10, 100), 1);
	(void)listen_to(session, &said, SAID_MAX);
}

static void stopped_part(struct session *session)
{
	needs_part(session);
	session_stop(session, 1);
}

static void claims(struct session *session)
{
	assert_int_equal(session_subscribe(session, "ours", false, 0, 0), 0);
}

static void gives_claim(struct session *session)
{
	struct subscribed subscribed = { .name = "theirs", .number = 3 };

	assert_int_equal(session_subscribed(session, &subscribed), 0);
}

static void wide(struct session *session)
{
	static struct said said;

	session_window(session, LANE_ROUTINE, 100, 1 << 20);
	(void)listen_to(session, &said, SAID_MAX);
}

/* ---- the lies */
#define LIE(name) static void name(struct wire *w)
// clang-format off
LIE(unknown_type)        { w_raw(w, 19, 0, 0, "", 0); }
LIE(type_zero)           { w_raw(w, 0, 0, 0, "", 0); }
LIE(critical_flag)       { w_raw(w, FRAME_PING, 1, 16, "0123456789abcdef", 16); }
LIE(huge_frame)          { w_raw(w, FRAME_PING, 0, FRAME_FLOOR + 1, "", 0); }
LIE(huge_skippable)      { w_raw(w, 200, 0, FRAME_FLOOR + 1, "", 0); }
LIE(huge_item)           { w_raw(w, FRAME_ITEM, 0, FRAME_SMALL + 1, "", 0); }
LIE(huge_more)           { w_raw(w, FRAME_MORE, 0, FRAME_SMALL + 1, "", 0); }
LIE(huge_data)           { w_raw(w, FRAME_DATA, 0, FRAME_SMALL + 1, "", 0); }
LIE(huge_json)           { w_raw(w, FRAME_SUBSCRIBE, 0, 16385, "", 0); }
LIE(second_hello)        { w_hello(w); }
LIE(short_ping)          { w_raw(w, FRAME_PING, 0, 15, "0123456789abcde", 15); }
LIE(short_credit)        { w_raw(w, FRAME_CREDIT, 0, 4, "\0\0\0\0", 4); }
LIE(short_item)          { w_raw(w, FRAME_ITEM, 0, 8, "01234567", 8); }
LIE(short_more)          { w_raw(w, FRAME_MORE, 0, 8, "01234567", 8); }
LIE(short_need)          { w_raw(w, FRAME_NEED, 0, 8, "01234567", 8); }
LIE(short_data)          { w_raw(w, FRAME_DATA, 0, 8, "01234567", 8); }
LIE(short_stop)          { w_raw(w, FRAME_STOP, 0, 0, "", 0); }
LIE(short_ack)           { w_raw(w, FRAME_ACK, 0, 0, "", 0); }
LIE(short_ack_entry)     { w_raw(w, FRAME_ACK, 0, 26, "\x19" "xxxxxxxxxxxxxxxxxxxxxxxxx", 26); }
LIE(code_longer)         { w_raw(w, FRAME_GONE, 0, 10, "01234567" "\x02" "x", 10); }
LIE(code_empty)          { w_raw(w, FRAME_GONE, 0, 9, "01234567", 9); }
LIE(code_shouts)         { w_coded(w, FRAME_WITHDRAW, 1, "LOUD"); }
LIE(code_too_long)       { w_coded(w, FRAME_WITHDRAW, 1, "a-code-of-thirty-three-characters"); }
LIE(credit_other_lane)   { w_credit(w, 2, 1, 1); }
LIE(credit_falls)        { w_credit(w, 0, 5, 5); w_credit(w, 0, 4, 6); }
LIE(credit_octets_fall)  { w_credit(w, 1, 5, 5); w_credit(w, 1, 6, 4); }
LIE(json_broken)         { w_json(w, FRAME_BYE, "{\"code\":"); }
LIE(json_list)           { w_json(w, FRAME_BYE, "[]"); }
LIE(json_twice)          { w_json(w, FRAME_BYE, "{\"code\":\"a\",\"code\":\"a\"}"); }
LIE(json_deep)           { w_json(w, FRAME_BYE, "{\"code\":\"a\",\"x\":[[[[[[[[1]]]]]]]]}"); }
LIE(json_type)           { w_json(w, FRAME_BYE, "{\"code\":1}"); }
LIE(json_missing)        { w_json(w, FRAME_BYE, "{}"); }
LIE(json_latin1)         { w_json(w, FRAME_BYE, "{\"code\":\"bye\",\"words\":\"\xe9\"}"); }
LIE(refuse_no_retry)     { w_json(w, FRAME_REFUSE, "{\"id\":1,\"code\":\"busy\"}"); }
LIE(refuse_maybe)        { w_json(w, FRAME_REFUSE, "{\"id\":1,\"code\":\"busy\",\"retry\":\"maybe\"}"); }
LIE(position_alone)      { w_json(w, FRAME_SUBSCRIBE, "{\"name\":\"n\",\"position\":4}"); }
LIE(name_empty)          { w_json(w, FRAME_SUBSCRIBE, "{\"name\":\"\"}"); }
LIE(name_control)        { w_json(w, FRAME_SUBSCRIBE, "{\"name\":\"a\\nb\"}"); }
LIE(name_long)           { w_json(w, FRAME_SUBSCRIBE, "{\"name\":\"nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
				   "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn\"}"); }
LIE(item_from_two)       { w_item(w, 2, 1, 0, 1, 1, 2); }
LIE(item_zero)           { w_item(w, 0, 1, 0, 1, 1, 2); }
LIE(item_again)          { w_item(w, 1, 1, 0, 1, 1, 2); w_item(w, 1, 1, 0, 1, 1, 2); }
LIE(item_third_lane)     { w_item(w, 1, 2, 0, 1, 1, 2); }
LIE(item_inside)         { w_item(w, 1, 1, 0, 1, 9, 2); w_item(w, 2, 1, 0, 1, 1, 2); }
LIE(item_overfull)       { w_item(w, 1, 1, 0, 1, 1, 3); }
LIE(item_gigantic)       { w_item(w, 1, 1, 0, 1, (64 << 20) + 1, 0); }
LIE(envelope_gigantic)   { w_item(w, 1, 1, 0, (64 << 20) + 1, 1, 0); }
LIE(item_unclaimed)      { w_item(w, 1, 1, 1, 1, 1, 2); }
LIE(item_no_credit)      { w_item(w, 1, 0, 0, 1, 1, 2); }
LIE(item_ninth_flash)    { for (unsigned i = 1; i <= 9; i++) w_item(w, i, 1, 0, 1, 1, 2); }
LIE(item_octets_spent)   { w_item(w, 1, 1, 0, 0, 65536, 0);
			   for (uint32_t at = 0; at < 65536; at += 16368) w_more(w, 1, at, at == 65472 ? 64 : 16368);
			   w_item(w, 2, 1, 0, 0, 0, 0); }
LIE(more_of_nothing)     { w_more(w, 1, 0, 1); }
LIE(more_of_whole)       { w_item(w, 1, 1, 0, 1, 1, 2); w_more(w, 1, 2, 1); }
LIE(more_gap)            { w_item(w, 1, 1, 0, 1, 9, 2); w_more(w, 1, 3, 1); }
LIE(more_back)           { w_item(w, 1, 1, 0, 1, 9, 2); w_more(w, 1, 1, 1); }
LIE(more_nothing)        { w_item(w, 1, 1, 0, 1, 9, 2); w_more(w, 1, 2, 0); }
LIE(more_too_much)       { w_item(w, 1, 1, 0, 1, 9, 2); w_more(w, 1, 2, 9); }
LIE(more_withdrawn)      { w_item(w, 1, 1, 0, 1, 9, 2); w_coded(w, FRAME_WITHDRAW, 1, "killed"); w_more(w, 1, 2, 8); }
LIE(withdraw_unsent)     { w_coded(w, FRAME_WITHDRAW, 1, "killed"); }
LIE(withdraw_zero)       { w_coded(w, FRAME_WITHDRAW, 0, "killed"); }
LIE(item_after_bye)      { w_json(w, FRAME_BYE, "{\"code\":\"bye\"}"); w_item(w, 1, 1, 0, 1, 1, 2); }
LIE(claim_after_bye)     { w_json(w, FRAME_BYE, "{\"code\":\"bye\"}"); w_json(w, FRAME_SUBSCRIBE, "{\"name\":\"n\"}"); }
LIE(ack_unsent)          { w_ack(w, 1, 0, 2); }
LIE(ack_zero)            { w_ack(w, 0, 0, 2); }
LIE(ack_beyond)          { w_ack(w, 3, 0, 2); }
LIE(ack_twice)           { w_ack(w, 1, 0, 2); w_ack(w, 1, 0, 2); }
LIE(refuse_unsent)       { w_json(w, FRAME_REFUSE, document); }
LIE(refuse_after_ack)    { w_ack(w, 1, 0, 2); w_json(w, FRAME_REFUSE, document); }
LIE(need_zero)           { w_need(w, 0, 0, 1); }
LIE(need_nothing)        { w_need(w, 1, 0, 0); }
LIE(need_endless)        { w_need(w, 1, UINT64_MAX - 1, 5); }
LIE(need_endless_length) { w_need(w, 1, 5, UINT64_MAX - 1); }
LIE(need_seventeen)      { for (unsigned i = 1; i <= 17; i++) w_need(w, i, 0, 1); }
LIE(need_elsewhere)      { w_need(w, 1, 0, 10); w_need(w, 1, 11, 10); }
LIE(ack_half)            { w_ack(w, 1, 0, 2); }
LIE(refuse_half)         { w_json(w, FRAME_REFUSE, document); }
LIE(refuse_cut_twice)    { refuse_half(w); refuse_half(w); }
LIE(need_overlaps)       { w_need(w, 1, 0, 10); w_need(w, 1, 9, 10); }
LIE(need_other_hash)     { w_need(w, 1, 0, 10); w_need(w, 1, 10, 10); w->p[w->n - 1] = 'y'; }
LIE(need_stopped)        { w_need(w, 1, 0, 10); w_number(w, FRAME_STOP, 1); w_need(w, 1, 10, 10); }
LIE(stop_unknown)        { w_number(w, FRAME_STOP, 1); }
LIE(stop_zero)           { w_number(w, FRAME_STOP, 0); }
LIE(data_unasked)        { w_data(w, 1, 0, 1); }
LIE(data_zero)           { w_data(w, 0, 0, 1); }
LIE(data_second)         { w_data(w, 2, 0, 1); }
LIE(data_before)         { w_data(w, 1, 9, 1); }
LIE(data_gap)            { w_data(w, 1, 10, 5); w_data(w, 1, 16, 1); }
LIE(data_again)          { w_data(w, 1, 10, 5); w_data(w, 1, 10, 5); }
LIE(data_beyond)         { w_data(w, 1, 10, 101); }
LIE(data_after_end)      { w_data(w, 1, 10, 100); w_data(w, 1, 110, 1); }
LIE(data_nothing)        { w_data(w, 1, 10, 0); }
LIE(data_stopped)        { w_data(w, 1, 10, 60); w_data(w, 1, 70, 41); }
LIE(data_gone)           { w_coded(w, FRAME_GONE, 1, "not-open"); w_data(w, 1, 10, 1); }
LIE(gone_unasked)        { w_coded(w, FRAME_GONE, 1, "not-open"); }
LIE(subscribed_unasked)  { w_json(w, FRAME_SUBSCRIBED, "{\"name\":\"ours\",\"number\":1,\"epoch\":\"1\"}"); }
LIE(subscribed_other)    { w_json(w, FRAME_SUBSCRIBED, "{\"name\":\"hers\",\"number\":1,\"epoch\":\"1\"}"); }
LIE(subscribed_zero)     { w_json(w, FRAME_SUBSCRIBED, "{\"name\":\"ours\",\"number\":0,\"epoch\":\"1\"}"); }
LIE(subscribed_twice)    { subscribed_unasked(w); subscribed_unasked(w); }
LIE(unsubscribed_unheld) { w_json(w, FRAME_UNSUBSCRIBED, "{\"name\":\"ours\",\"number\":1,\"code\":\"released\"}"); }
LIE(unsubscribed_no_ask) { w_json(w, FRAME_UNSUBSCRIBED, "{\"name\":\"ours\",\"number\":0,\"code\":\"busy\"}"); }
LIE(unsubscribe_zero)    { w_unsubscribe(w, 0); }
LIE(unsubscribe_four)    { w_unsubscribe(w, 4); }
LIE(subscribe_65)        { for (int i = 0; i < 65; i++) w_json(w, FRAME_SUBSCRIBE, "{\"name\":\"n\"}"); }

static const struct lie {
	const char *name;
	void (*before)(struct session *session);
	void (*lie)(struct wire *wire);
	int code;
} lies[] = {
#define ROW(before, lie, code) { #lie, before, lie, code },
	ROW(NULL, unknown_type, NX_EUNKNOWN)            ROW(NULL, type_zero, NX_EUNKNOWN)
	ROW(NULL, critical_flag, NX_EFLAG)              ROW(NULL, huge_frame, NX_EBIGFRAME)
	ROW(NULL, huge_skippable, NX_EBIGFRAME)         ROW(NULL, huge_item, NX_EBIGFRAME)
	ROW(NULL, huge_more, NX_EBIGFRAME)              ROW(NULL, huge_data, NX_EBIGFRAME)
	ROW(NULL, huge_json, NX_EJSON)                  ROW(NULL, second_hello, NX_ESTATE)
	ROW(NULL, short_ping, NX_EFRAME)                ROW(NULL, short_credit, NX_EFRAME)
	ROW(NULL, short_item, NX_EFRAME)                ROW(NULL, short_more, NX_EFRAME)
	ROW(NULL, short_need, NX_EFRAME)                ROW(NULL, short_data, NX_EFRAME)
	ROW(NULL, short_stop, NX_EFRAME)                ROW(NULL, short_ack, NX_EFRAME)
	ROW(NULL, short_ack_entry, NX_EFRAME)           ROW(NULL, code_longer, NX_EFRAME)
	ROW(NULL, code_empty, NX_EFRAME)                ROW(NULL, code_shouts, NX_EFRAME)
	ROW(NULL, code_too_long, NX_EFRAME)             ROW(NULL, credit_other_lane, NX_EFRAME)
	ROW(NULL, credit_falls, NX_EFRAME)              ROW(NULL, credit_octets_fall, NX_EFRAME)
	ROW(NULL, json_broken, NX_EJSON)                ROW(NULL, json_list, NX_EJSON)
	ROW(NULL, json_twice, NX_EJSON)                 ROW(NULL, json_deep, NX_EJSON)
	ROW(NULL, json_type, NX_EJSON)                  ROW(NULL, json_missing, NX_EJSON)
	ROW(NULL, json_latin1, NX_EJSON)                ROW(NULL, refuse_no_retry, NX_EJSON)
	ROW(NULL, refuse_maybe, NX_EJSON)               ROW(NULL, position_alone, NX_EJSON)
	ROW(NULL, name_empty, NX_EJSON)                 ROW(NULL, name_control, NX_EJSON)
	ROW(NULL, name_long, NX_EJSON)
	ROW(NULL, item_from_two, NX_EITEM)              ROW(NULL, item_zero, NX_EITEM)
	ROW(NULL, item_again, NX_EITEM)                 ROW(NULL, item_third_lane, NX_EITEM)
	ROW(NULL, item_inside, NX_EITEM)                ROW(NULL, item_overfull, NX_EITEM)
	ROW(NULL, item_gigantic, NX_EITEM)              ROW(NULL, envelope_gigantic, NX_EITEM)
	ROW(NULL, item_unclaimed, NX_EITEM)             ROW(NULL, item_no_credit, NX_ECREDIT)
	ROW(wide, item_third_lane, NX_EITEM)
	ROW(NULL, item_ninth_flash, NX_ECREDIT)         ROW(NULL, item_octets_spent, NX_ECREDIT)
	ROW(NULL, more_of_nothing, NX_EITEM)            ROW(NULL, more_of_whole, NX_EITEM)
	ROW(NULL, more_gap, NX_EITEM)                   ROW(NULL, more_back, NX_EITEM)
	ROW(NULL, more_nothing, NX_EITEM)               ROW(NULL, more_too_much, NX_EITEM)
	ROW(NULL, more_withdrawn, NX_EITEM)             ROW(NULL, withdraw_unsent, NX_EITEM)
	ROW(NULL, withdraw_zero, NX_EITEM)              ROW(NULL, item_after_bye, NX_ESTATE)
	ROW(NULL, claim_after_bye, NX_ESTATE)           ROW(NULL, ack_unsent, NX_EACK)
	ROW(sends_items, ack_zero, NX_EACK)             ROW(sends_items, ack_beyond, NX_EACK)
	ROW(sends_items, ack_twice, NX_EACK)            ROW(NULL, refuse_unsent, NX_EACK)
	ROW(sends_items, refuse_after_ack, NX_EACK)     ROW(NULL, need_zero, NX_ENEED)
	ROW(NULL, need_nothing, NX_ENEED)               ROW(NULL, need_endless, NX_ENEED)
	ROW(NULL, need_endless_length, NX_ENEED)        ROW(NULL, need_seventeen, NX_ENEED)
	ROW(NULL, need_elsewhere, NX_ENEED)             ROW(NULL, need_other_hash, NX_ENEED)
	ROW(NULL, need_stopped, NX_ENEED)               ROW(NULL, stop_unknown, NX_ENEED)
	ROW(NULL, stop_zero, NX_ENEED)                  ROW(NULL, data_unasked, NX_EDATA)
	ROW(needs_part, data_zero, NX_EDATA)            ROW(needs_part, data_second, NX_EDATA)
	ROW(needs_part, data_before, NX_EDATA)          ROW(needs_part, data_gap, NX_EDATA)
	ROW(needs_part, data_again, NX_EDATA)           ROW(needs_part, data_beyond, NX_EDATA)
	ROW(needs_part, data_after_end, NX_EDATA)       ROW(needs_part, data_nothing, NX_EDATA)
	ROW(stopped_part, data_stopped, NX_EDATA)       ROW(needs_part, data_gone, NX_EDATA)
	ROW(NULL, gone_unasked, NX_EDATA)               ROW(NULL, subscribed_unasked, NX_ECLAIM)
	ROW(claims, subscribed_other, NX_ECLAIM)        ROW(claims, subscribed_zero, NX_EJSON)
	ROW(claims, subscribed_twice, NX_ECLAIM)        ROW(claims, unsubscribed_unheld, NX_ECLAIM)
	ROW(NULL, unsubscribed_no_ask, NX_ECLAIM)       ROW(NULL, unsubscribe_zero, NX_ECLAIM)
	ROW(gives_claim, unsubscribe_four, NX_ECLAIM)   ROW(NULL, subscribe_65, NX_ECLAIMFLOOD)
	ROW(half_sends, ack_half, NX_EACK)              ROW(half_sends, refuse_half, NX_EACK)
	ROW(cuts_off, ack_half, NX_EACK)                ROW(cuts_off, refuse_cut_twice, NX_EACK)
	ROW(NULL, need_overlaps, NX_ENEED)
#undef ROW
};
// clang-format on

static int told(const struct lie *lie, size_t cut, struct heard *heard)
{
	static struct said said;
	unsigned items = 2;
	struct session_conf conf = plain;
	struct wire wire = { 0 };
	struct session *session;
	const struct msg *bye;
	struct session_event ev;
	struct slice none = { 0 };
	int r;

	conf.source.item = one_item;
	conf.source.part = octets_of_part;
	conf.arg = &items;
	session = greeted(&conf);
	if (lie->before != NULL)
		lie->before(session);
	lie->lie(&wire);
	heard->n = 0;
	heard->sum = heard->octets = 0;
	r = feed(session, slice_of(wire.p, wire.n), cut, heard);
	assert_true(*heard->why.words != '\0');
	/* the BYE with that word is the last thing said, and the code stays */
	(void)listen_to(session, &said, SAID_MAX);
	assert_int_equal(said.type[said.n - 1], FRAME_BYE);
	bye = said_last(&said, FRAME_BYE);
	assert_string_equal(bye->bye.code, nx_word(r));
	assert_int_equal(session_feed(session, &none, 0, 0, &ev, NULL), r);
	assert_int_equal(listen_to(session, &said, 1), 0);
	assert_false(session_wants(session));
	session_free(&session);
	wire_done(&wire);
	return r;
}

static void each_lie_has_its_code(void **state)
{
	static struct heard at_once, in_drops;

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		int r = told(&lies[i], SIZE_MAX, &at_once);

		if (r != lies[i].code)
			fail_msg("%s: %s, expected %s", lies[i].name, nx_word(r),
				 nx_word(lies[i].code));
		assert_int_equal(told(&lies[i], 1, &in_drops), r);
		assert_int_equal(at_once.n, in_drops.n);
		assert_true(at_once.sum == in_drops.sum);
	}
}

static void the_first_frame_is_hello(void **state)
{
	static const struct {
		const char *hello;
		int code;
	} rows[] = {
		{ "{\"node\":\"n\",\"epoch\":\"1\"}", 0 },
		{ "{\"node\":\"n\",\"epoch\":\"0123456789abcdef\",\"max\":{},\"held\":null,\"x\":["
		  "1]}",
		  0 },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"max\":{\"document\":99999999999999}}", 0 },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"max\":{\"frame\":65535}}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"max\":{\"document\":262143}}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"max\":{\"envelope\":16383}}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"max\":{\"parts\":63}}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"max\":{\"part\":33554431}}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"max\":[]}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"features\":{}}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"held\":{\"epoch\":\"2\"}}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"held\":{\"sequence\":2}}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\",\"boot\":\"xyz\"}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"12345678901234567\"}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"\"}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":1}", NX_EHELLO },
		{ "{\"node\":\"n\"}", NX_EHELLO },
		{ "{\"epoch\":\"1\"}", NX_EHELLO },
		{ "{\"node\":\"n\",\"epoch\":\"1\"", NX_EJSON },
	};
	static struct heard heard;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct session *session = session_new(&plain, 0);
		struct wire wire = { 0 };

		w_json(&wire, FRAME_HELLO, rows[i].hello);
		heard.n = 0;
		if (feed_wire(session, &wire, &heard) != rows[i].code)
			fail_msg("%s: %s", rows[i].hello, nx_word(heard.r));
		assert_int_equal(session_peer(session) != NULL, rows[i].code == 0);
		session_free(&session);
		wire_done(&wire);
	}
	for (unsigned type = 0; type < 256; type++) { /* whatever else comes first */
		struct session *session = session_new(&plain, 0);
		struct wire wire = { 0 };

		w_raw(&wire, (uint8_t)type, 0, 0, "", 0);
		heard.n = 0;
		assert_int_equal(feed_wire(session, &wire, &heard),
				 type == FRAME_HELLO ? NX_EJSON : NX_EHELLO);
		session_free(&session);
		wire_done(&wire);
	}
}

static void gones_unread_end_in_need_flood(void **state)
{
	static struct heard heard;
	struct session *session = greeted(&plain);
	struct wire wire = { 0 };

	(void)state;
	heard.n = 0;
	for (uint64_t handle = 1; handle <= 65; handle++) {
		w_need(&wire, handle, 0, 1);
		assert_int_equal(feed_wire(session, &wire, &heard), 0);
		session_gone(session, handle, NX_ENOTOPEN);
	}
	assert_int_equal(feed_wire(session, &wire, &heard), NX_ENEEDFLOOD);
	session_free(&session);
	wire_done(&wire);
}

/* what the session says to one more claim */
static int one_more_claim(struct session *session, struct wire *wire, struct heard *heard)
{
	w_json(wire, FRAME_SUBSCRIBE, "{\"name\":\"n\"}");
	return feed_wire(session, wire, heard);
}

static void claims_unread_end_in_claim_flood(void **state)
{
	static struct heard heard;
	struct session *session = greeted(&plain);
	struct wire wire = { 0 };
	int r = 0;

	(void)state;
	heard.n = 0;
	for (unsigned i = 0; i < 64; i++) {
		assert_int_equal(one_more_claim(session, &wire, &heard), 0);
		assert_int_equal(session_unsubscribed(session, "n", 0, NX_ENOSUB, NULL), 0);
	}
	r = session_unsubscribed(session, "n", 0, NX_ENOSUB, NULL);
	assert_int_equal(r, NX_ECLAIMFLOOD);
	assert_int_equal(feed_wire(session, &wire, &heard), NX_ECLAIMFLOOD);
	session_free(&session);
	wire_done(&wire);
}

/* all answers were read: it is the number of claims that ends here */
static void the_65th_claim_is_one_too_many(void **state)
{
	static struct heard heard;
	static struct said said;
	struct session *session = greeted(&plain);
	struct subscribed subscribed = { .name = "n" };
	struct wire wire = { 0 };

	(void)state;
	for (subscribed.number = 1; subscribed.number <= 64; subscribed.number++) {
		heard.n = 0;
		assert_int_equal(one_more_claim(session, &wire, &heard), 0);
		assert_int_equal(session_subscribed(session, &subscribed), 0);
		assert_int_equal(listen_to(session, &said, SAID_MAX), 1);
	}
	assert_int_equal(one_more_claim(session, &wire, &heard), NX_ECLAIMFLOOD);
	session_free(&session);
	wire_done(&wire);
}

static void releases_unread_are_a_flood_too(void **state)
{
	static struct heard heard;
	static struct said said;
	struct session *session = greeted(&plain);
	struct subscribed subscribed = { .name = "n" };
	struct wire wire = { 0 };

	(void)state;
	for (subscribed.number = 1; subscribed.number <= 63; subscribed.number++) {
		assert_int_equal(session_subscribed(session, &subscribed), 0);
		(void)listen_to(session, &said, SAID_MAX);
		w_unsubscribe(&wire, subscribed.number);
	}
	heard.n = 0;
	assert_int_equal(one_more_claim(session, &wire, &heard), 0);
	assert_int_equal(heard_count(&heard, SESSION_UNSUBSCRIBE), 63);
	assert_int_equal(session_subscribed(session, &subscribed), 0);
	w_unsubscribe(&wire, subscribed.number);
	assert_int_equal(feed_wire(session, &wire, &heard), NX_ECLAIMFLOOD);
	session_free(&session);
	wire_done(&wire);
}

static void a_release_said_twice_is_told_once(void **state)
{
	static struct heard heard;
	struct session *session = greeted(&plain);
	struct wire wire = { 0 };

	(void)state;
	gives_claim(session);
	w_unsubscribe(&wire, 3);
	w_unsubscribe(&wire, 3);
	w_unsubscribe(&wire, 2); /* below the highest: may have ended */
	heard.n = 0;
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	assert_int_equal(heard.n, 1);
	session_free(&session);
	wire_done(&wire);
}

static void the_oldest_need_is_forgotten_never_an_open_one(void **state)
{
	static struct heard heard;
	static struct said said;
	uint8_t sha256[32] = { 5 };
	struct session *session = greeted(&plain);
	struct wire wire = { 0 };

	(void)state;
	heard.n = 0;
	assert_int_equal(session_need(session, sha256, 0, 100), 1); /* stays open */
	for (uint64_t handle = 2; handle <= 200; handle++) {
		assert_int_equal(session_need(session, sha256, 0, 10), handle);
		session_stop(session, handle);
		(void)listen_to(session, &said, SAID_MAX);
	}
	w_data(&wire, 1, 0, 100);
	w_data(&wire, 2, 0, 10); /* late, and forgotten: still within what was asked for */
	w_data(&wire, 200, 0, 10);
	assert_int_equal(feed_wire(session, &wire, &heard), 0);
	assert_int_equal(heard.n, 1);
	assert_false(session_need_more(session, 2, 10));
	assert_true(session_need_more(session, 1, 10));
	for (unsigned i = 0; i < 200; i++) /* more than all forgotten ones together */
		w_data(&wire, 3, 0, 10);
	assert_int_equal(feed_wire(session, &wire, &heard), NX_EDATA);
	session_free(&session);
	wire_done(&wire);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_lie_has_its_code),
		cmocka_unit_test(the_first_frame_is_hello),
		cmocka_unit_test(gones_unread_end_in_need_flood),
		cmocka_unit_test(claims_unread_end_in_claim_flood),
		cmocka_unit_test(the_65th_claim_is_one_too_many),
		cmocka_unit_test(releases_unread_are_a_flood_too),
		cmocka_unit_test(a_release_said_twice_is_told_once),
		cmocka_unit_test(the_oldest_need_is_forgotten_never_an_open_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
