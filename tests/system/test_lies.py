"""Every length, offset, count and state of newsxd/1, and a peer that lies about it.

Each case names the lie; it must end in the close, the refusal or the silence that PROTOCOL.md promises, and after each
of them two innocent partners exchange a story in the same daemon.
"""
import json
import os
import struct

from cases import alive, check, give, holds, octets, picture, run_cases, serve_until, sha
from kit import Failed
from newsx import FLASH, ROUTINE, SMALL, encode, part, story

ENV = {"channel": "lie.a"}
PARTNERS = {"liar": 'publish = {"lie.*"} read = {"lie.*"} part = 1MiB parts = 8',
            "other": 'read = {"lie.*"}'}
SUBS = {"of-other": 'partner = "other" channels = {"lie.*"} start = "all"'}
SUBS.update({"s%d" % n: 'partner = "liar" channels = {"lie.s%d"} start = "all"' % n for n in range(60)})
BIG = 1 << 26


def item(link, **lie):
    """an ITEM frame of two empty objects with any field changed"""
    head = {"id": link.last_id + 1, "position": 0, "sequence": 0, "subscription": 0, "envelope": 2, "document": 2,
            "lane": ROUTINE, "octets": b"{}{}", **lie}
    link.frame("ITEM", struct.pack(">QQQIIIB3x", *(head[k] for k in (
        "id", "position", "sequence", "subscription", "envelope", "document", "lane"))) + head["octets"])
    return head["id"]


def credited(w, **more):
    """a link that has read its first credit"""
    link = w.link(**more)
    while not (link.may(ROUTINE) and link.may(FLASH)):
        link.pump()
    return link


def closing(code, send, **more):
    """a case: credited link, send(link), BYE with this code"""
    def case(w):
        link = credited(w, **more)
        try:
            send(link)
        except OSError:  # it may have been closed while we still wrote
            pass
        w.closes(link, code)
    return case


def refusing(code, document=None, envelope=None, retry="never"):
    def case(w):
        link = credited(w)
        whole = octets(story("urn:lie:%s" % os.urandom(4).hex()) if document is None else document)
        w.refused(link, link.publish(whole, ENV if envelope is None else envelope), code, retry)
    return case


# -- frames

def eof_in_header(w):
    link = credited(w)
    link.raw(b"\0\0\0")
    link.close()
    w.x.log("conn.close", since=w.mark, peer="liar", reason="eof")


def eof_in_payload(w):
    link = credited(w)
    link.raw(encode(7, b"abc", length=1000))
    link.close()
    w.x.log("conn.close", since=w.mark, peer="liar", reason="eof")


def skipped_types(w):
    link = credited(w)
    for number in (128, 200, 255):
        link.frame(number, os.urandom(100))
    link.frame(255, b"")
    link.frame(128, bytes(65536))
    alive(link)


def skipped_type_too_large(w):
    link = credited(w)
    link.raw(encode(200, b"", length=65537))
    w.closes(link, "frame-too-large")


def high_flags(w):
    link = credited(w)
    link.frame("PING", struct.pack(">QQ", 5, 0), flags=0xf0)
    check(link.next("PONG").body["token"], 5, "PONG")
    link.raw(struct.pack(">IBBH", 16, 16, 0, 0xffff) + struct.pack(">QQ", 6, 0))
    check(link.next("PONG").body["token"], 6, "PONG")


def extra_octets(w):
    link = credited(w)
    link.frame("CREDIT", struct.pack(">IQQ", 0, 1, 1) + b"later versions")
    link.frame("PING", struct.pack(">QQ", 9, 0) + b"more")
    check(link.next("PONG").body["token"], 9, "PONG")


def half_entry(w):
    """what is left at the end of an ACK is no entry"""
    link = credited(w)
    link.frame("ACK", b"\x1a" + bytes(20))
    link.frame("ACK", b"\xff" + bytes(200))
    alive(link)


def one_by_one(w):
    """octet by octet nothing changes"""
    link = w.link(hello=False)
    whole = octets(story("urn:lie:slowly"))
    envelope = octets(ENV)
    hello = octets({"node": "liar", "epoch": "0"})
    stream = encode(1, hello)
    for octet in stream:
        link.raw(bytes([octet]))
    link.expect("HELLO")
    while not link.may(ROUTINE):
        link.pump()
    stream = encode(7, struct.pack(">QQQIIIB3x", 1, 0, 0, 0, len(envelope), len(whole), 0) + envelope)
    for at, octet in enumerate(whole):
        stream += encode(8, struct.pack(">QI", 1, len(envelope) + at) + bytes([octet]))
    for at in range(0, len(stream), 1):
        link.raw(stream[at:at + 1])
    check(link.answer(1), "stored", "octet by octet")


FRAMES = [("frame too large: %s" % name, closing("frame-too-large", lambda l, n=n, t=t: l.raw(encode(t, b"", length=n))))
          for name, t, n in (("65,537 octets", 18, 65537), ("4 GB", 7, 0xffffffff), ("2 GB", 200, 0x80000000),
                             ("ITEM of 16,385", 7, SMALL + 1), ("MORE of 16,385", 8, SMALL + 1),
                             ("DATA of 16,385", 10, SMALL + 1))]
FRAMES += [("%s too short (%d)" % (name, n), closing("bad-frame", lambda l, t=name, n=n: l.frame(t, bytes(n))))
           for name, n in (("CREDIT", 19), ("UNSUBSCRIBE", 3), ("ITEM", 39), ("MORE", 11), ("NEED", 55), ("DATA", 15),
                           ("STOP", 7), ("GONE", 8), ("WITHDRAW", 8), ("ACK", 0), ("PING", 15), ("PONG", 7))]
FRAMES += [("unknown critical type %d" % n, closing("unknown-frame", lambda l, n=n: l.frame(n, b"x")))
           for n in (0, 19, 127)]
FRAMES += [("unknown flag %#x" % f, closing("unknown-flag", lambda l, f=f: l.frame("PING", bytes(16), flags=f)))
           for f in (1, 2, 4, 8, 0xff)]
FRAMES += [
    ("truncated header, then closed", eof_in_header),
    ("truncated payload, then closed", eof_in_payload),
    ("types 128 and above are skipped", skipped_types),
    ("a skipped type above max.frame", skipped_type_too_large),
    ("the high flags and the zero octets are not looked at", high_flags),
    ("octets that later versions add", extra_octets),
    ("one octet at a time", one_by_one),
    ("second HELLO", closing("out-of-state", lambda l: l.hello())),
    ("JSON: not an object", closing("bad-json", lambda l: l.frame("SUBSCRIBE", b"[]"))),
    ("JSON: not JSON", closing("bad-json", lambda l: l.frame("REFUSE", b"{"))),
    ("JSON: empty", closing("bad-json", lambda l: l.frame("BYE", b""))),
    ("JSON: duplicate key", closing("bad-json", lambda l: l.frame("SUBSCRIBE", b'{"name":"a","name":"b"}'))),
    ("JSON: bad UTF-8", closing("bad-json", lambda l: l.frame("SUBSCRIBE", b'{"name":"\xff"}'))),
    ("JSON: NUL", closing("bad-json", lambda l: l.frame("SUBSCRIBE", b'{"name":"a\\u0000b"}'))),
    ("JSON: octets after the object", closing("bad-json", lambda l: l.frame("SUBSCRIBE", b'{"name":"a"} x'))),
    ("JSON: nine deep", closing("bad-json", lambda l: l.frame("SUBSCRIBE", b'{"name":"a","x":' + b"[" * 8 + b"]" * 8 + b"}"))),
    ("JSON: 16,385 octets", closing("bad-json", lambda l: l.frame("BYE", b'{"code":"bye","words":"x"}' + b" " * 16384))),
    ("JSON: a name of 65 octets", closing("bad-json", lambda l: l.subscribe("n" * 65))),
    ("JSON: a name with a control character", closing("bad-json", lambda l: l.subscribe("a\nb"))),
    ("JSON: no name", closing("bad-json", lambda l: l.frame("SUBSCRIBE", b"{}"))),
    ("JSON: a name that is a number", closing("bad-json", lambda l: l.frame("SUBSCRIBE", b'{"name":1}'))),
    ("JSON: epoch without position", closing("bad-json", lambda l: l.subscribe("s0", epoch="1"))),
    ("JSON: position of 2^53", closing("bad-json", lambda l: l.subscribe("s0", epoch="1", position=1 << 53))),
    ("JSON: position below 0", closing("bad-json", lambda l: l.subscribe("s0", epoch="1", position=-1))),
    ("JSON: REFUSE that says maybe", closing("bad-json", lambda l: l.refuse(1, retry="maybe"))),
    ("CREDIT that falls, items", closing("bad-frame", lambda l: (l.give_credit(10, 100), l.give_credit(9, 100)))),
    ("CREDIT that falls, octets", closing("bad-frame", lambda l: (l.give_credit(10, 100), l.give_credit(10, 99)))),
    ("CREDIT for lane 2", closing("bad-frame", lambda l: l.give_credit(1, 1, lanes=(2,)))),
    ("GONE whose code is longer than it", closing("bad-frame", lambda l: l.frame("GONE", bytes(8) + b"\x09abc"))),
    ("WITHDRAW with a code of 33", closing("bad-frame", lambda l: l.frame("WITHDRAW", bytes(8) + b"\x21" + b"a" * 33))),
    ("ACK with entries of 25", closing("bad-frame", lambda l: l.frame("ACK", b"\x19" + bytes(25)))),
    ("ACK with entries of 0", closing("bad-frame", lambda l: l.frame("ACK", b"\0" + bytes(26)))),
    ("ACK with half an entry", half_entry),
]


# -- items

def gap(link):
    item(link)
    item(link, id=3)


def over_credit(link, lane=ROUTINE):
    """all in one write: no new credit can come between"""
    link.raw(b"".join(encode(7, struct.pack(">QQQIIIB3x", n, 0, 0, 0, 2, 2, lane) + b"{}{}") for n in range(1, 250)))


def over_octets(link, lane=ROUTINE):
    """60 MB announced and taken back count all the same"""
    link.raw(encode(7, struct.pack(">QQQIIIB3x", 1, 0, 0, 0, 2, 60 << 20, lane)) +
             encode(13, struct.pack(">QB", 1, 6) + b"killed") +
             encode(7, struct.pack(">QQQIIIB3x", 2, 0, 0, 0, 2, 2, lane) + b"{}{}"))


def half(link, lane=ROUTINE, envelope=2, document=100):
    """a half-sent item, 4 octets of it"""
    return item(link, id=1, envelope=envelope, document=document, lane=lane)


def two_lanes(w):
    """half-sent in routine: flash goes on, a second routine does not"""
    link = credited(w)
    half(link)
    ident = item(link, id=2, lane=FLASH)
    check(link.answer(ident)[1], "never", "flash beside a half-sent routine item")
    item(link, id=3)
    w.closes(link, "bad-item")


def too_large_document(w):
    """it is read to its end, refused, and the link lives; its octets are not kept"""
    link = credited(w)
    big = octets({**story("urn:lie:large"), "x": "y" * 600000})
    w.refused(link, link.publish(big, ENV), "document-too-large")
    check(give(link, story("urn:lie:after-large"), ENV), "stored", "after it")


def too_large_envelope(w):
    link = credited(w)
    w.refused(link, link.publish(story(), {**ENV, "x": "y" * 17000}), "envelope-too-large")


def hollow(w):
    link = credited(w)
    w.refused(link, item(link, envelope=0, document=0, octets=b""), "bad-envelope")


def hollow_document(w):
    link = credited(w)
    env = octets(ENV)
    w.refused(link, item(link, envelope=len(env), document=0, octets=env), "bad-document")


def withdraw_half(w):
    """WITHDRAW ends a half-sent item, frees the lane, and gets its one answer"""
    link = credited(w)
    half(link)
    link.last_id = 1
    link.frame("WITHDRAW", struct.pack(">QB", 1, 6) + b"killed")
    w.refused(link, 1, "withdrawn", "never")
    check(give(link, story("urn:lie:free"), ENV), "stored", "the lane is free")
    link.more(1, 4, b"x")
    w.closes(link, "bad-item")


def withdraw_done(w):
    link = credited(w)
    ident = link.publish(story("urn:lie:w"), ENV)
    check(link.answer(ident), "stored", "answer")
    link.frame("WITHDRAW", struct.pack(">QB", ident, 6) + b"killed")
    alive(link)


def withdraw_waiting(w):
    """taken back while its part is awaited: one answer, no further NEED"""
    link = credited(w)
    doc, env, _ = picture("urn:lie:back")
    ident = link.publish(doc, {**ENV, **env})
    link.next("NEED")
    link.frame("WITHDRAW", struct.pack(">QB", ident, 6) + b"killed")
    w.refused(link, ident, "withdrawn", "never")
    link.need(bytes(32), 0, 1)
    link.next("GONE")  # it came after whatever followed the answer
    check([f.type for f in link.queue if f.type in ("NEED", "ACK", "REFUSE")], [], "after the answer")


def bye_then(what):
    """BYE and this in one write: the other side has no time to say BYE and leave"""
    def send(link):
        out, raw = [], link.raw
        link.raw = out.append
        link.bye()
        what(link)
        raw(b"".join(out))
    return send


def flood(w):
    """thousands of items without reading one answer: the sender stops at its credit, nothing grows, all are answered"""
    link = credited(w, rcvbuf=4096)
    sent = 0
    for n in range(1000):
        while not link.may(ROUTINE):
            link.pump()
        link.publish(story("urn:lie:f%d" % n), ENV)
        sent += 1
    for ident in range(1, sent + 1):
        check(link.answer(ident), "stored", "item %d" % ident)


def number_given_to_me(w):
    """a subscription number that was given to me is no licence to send under it"""
    link = w.reader("liar", "s0")
    item(link, subscription=link.claim["number"])
    w.closes(link, "bad-item")


ITEMS = [
    ("id 0", closing("bad-item", lambda l: item(l, id=0))),
    ("id 2 first", closing("bad-item", lambda l: item(l, id=2))),
    ("id 2^64-1", closing("bad-item", lambda l: item(l, id=(1 << 64) - 1))),
    ("id jumps", closing("bad-item", gap)),
    ("id repeats", closing("bad-item", lambda l: (item(l, id=1), item(l, id=1)))),
    ("lane 2", closing("bad-item", lambda l: item(l, lane=2))),
    ("lane 255", closing("bad-item", lambda l: item(l, lane=255))),
    ("subscription never given", closing("bad-item", lambda l: item(l, subscription=1))),
    ("subscription 4 billion", closing("bad-item", lambda l: item(l, subscription=0xffffffff))),
    ("a number given to me", number_given_to_me),
    ("envelope of 64 MiB and one", closing("bad-item", lambda l: item(l, envelope=BIG + 1))),
    ("document of 64 MiB and one", closing("bad-item", lambda l: item(l, document=BIG + 1))),
    ("document of 4 GB", closing("bad-item", lambda l: item(l, document=0xffffffff))),
    ("both lengths 4 GB", closing("bad-item", lambda l: item(l, envelope=0xffffffff, document=0xffffffff))),
    ("ITEM with more than declared", closing("bad-item", lambda l: item(l, document=1))),
    ("over credit in items", closing("over-credit", over_credit)),
    ("over credit in items, flash", closing("over-credit", lambda l: over_credit(l, FLASH))),
    ("over credit in octets", closing("over-credit", over_octets)),
    ("over credit in octets, flash", closing("over-credit", lambda l: over_octets(l, FLASH))),
    ("second ITEM in the routine lane", two_lanes),
    ("second ITEM in the flash lane", closing("bad-item", lambda l: (half(l, FLASH), item(l, id=2, lane=FLASH)))),
    ("MORE at a later offset", closing("bad-item", lambda l: l.more(half(l), 5, b"x"))),
    ("MORE at an earlier offset", closing("bad-item", lambda l: l.more(half(l), 3, b"x"))),
    ("MORE at 4 GB", closing("bad-item", lambda l: l.more(half(l), 0xffffffff, b"x"))),
    ("MORE of an unknown id", closing("bad-item", lambda l: l.more(half(l) + 1, 4, b"x"))),
    ("MORE without an item", closing("bad-item", lambda l: l.more(1, 0, b"x"))),
    ("MORE of a whole item", closing("bad-item", lambda l: l.more(item(l), 4, b"x"))),
    ("MORE without octets", closing("bad-item", lambda l: l.more(half(l), 4, b""))),
    ("MORE beyond the end", closing("bad-item", lambda l: l.more(half(l), 4, bytes(99)))),
    ("document above the ceiling", too_large_document),
    ("envelope above the ceiling", too_large_envelope),
    ("no octets at all", hollow),
    ("no octets of document", hollow_document),
    ("WITHDRAW of a half-sent item, then MORE", withdraw_half),
    ("WITHDRAW after the answer is ignored", withdraw_done),
    ("WITHDRAW while a part is awaited", withdraw_waiting),
    ("WITHDRAW never sent", closing("bad-item", lambda l: l.frame("WITHDRAW", struct.pack(">QB", 7, 6) + b"killed"))),
    ("WITHDRAW of id 0", closing("bad-item", lambda l: l.frame("WITHDRAW", struct.pack(">QB", 0, 6) + b"killed"))),
    ("ITEM after BYE", closing("out-of-state", bye_then(item))),
    ("SUBSCRIBE after BYE", closing("out-of-state", bye_then(lambda l: l.subscribe("s0")))),
    ("a second BYE is ignored", closing("bye", bye_then(lambda l: l.bye()))),
    ("1,000 items, hardly read", flood),
]


# -- envelopes

def with_part(**lie):
    data = b"0123456789"
    env = {**ENV, "parts": [{**part("p.jpg", data), **lie}]}
    return {"document": story("urn:lie:part", renditions={"web": {"href": lie.get("name", "p.jpg")}}), "envelope": env}


ENVELOPES = [("envelope: %s" % name, refusing(code, envelope=env)) for name, code, env in (
    ("not JSON", "bad-envelope", b"hello"), ("a list", "bad-envelope", b"[]"), ("cut off", "bad-envelope", b'{"channel":"li'),
    ("duplicate key", "duplicate-key", b'{"channel":"lie.a","channel":"lie.b"}'),
    ("too deep", "too-deep", b'{"channel":"lie.a","x":' + b"[" * 40 + b"]" * 40 + b"}"),
    ("6,000 values", "too-many-values", b'{"channel":"lie.a","x":[' + b"1," * 6000 + b"1]}"),
    ("hops 33", "bad-envelope", {**ENV, "hops": [{"party": "x", "time": "2026-01-01T00:00:00Z"}] * 33}),
    ("hops not a list", "bad-envelope", {**ENV, "hops": "x"}),
    ("channel a number", "bad-envelope", {"channel": 5}),
    ("channel of 65 octets", "bad-envelope", {"channel": "lie." + "a" * 61}),
    ("priority 10", "bad-envelope", {**ENV, "priority": 10}),
    ("priority 0", "bad-envelope", {**ENV, "priority": 0}),
    ("origin of 65 octets", "bad-envelope", {**ENV, "origin": "o" * 65}),
    ("bad UTF-8", "bad-envelope", b'{"channel":"lie.\xff"}'),
    ("parts a string", "bad-envelope", {**ENV, "parts": "p.jpg"}),
    ("65 parts", "too-many-parts", {**ENV, "parts": [part("p%d" % n, b"%d" % n) for n in range(65)]}),
    ("9 parts where 8 are allowed", "too-many-parts", {**ENV, "parts": [part("p%d" % n, b"%d" % n) for n in range(9)]}),
    ("a name twice", "bad-envelope", {**ENV, "parts": [part("p.jpg", b"1"), part("p.jpg", b"2")]}),
)]
ENVELOPES += [("part: %s" % name, refusing(code, **with_part(**lie))) for name, code, lie in (
    ("name ../x", "bad-envelope", {"name": "../x"}), ("name a/../b", "bad-envelope", {"name": "a/../b"}),
    ("name /etc/passwd", "bad-envelope", {"name": "/etc/passwd"}), ("name .", "bad-envelope", {"name": "."}),
    ("name a//b", "bad-envelope", {"name": "a//b"}), ("name empty", "bad-envelope", {"name": ""}),
    ("name with a backslash", "bad-envelope", {"name": "a\\b"}), ("name with a line end", "bad-envelope", {"name": "a\nb"}),
    ("name with DEL", "bad-envelope", {"name": "a\x7fb"}),
    ("name of 256 octets", "bad-envelope", {"name": "n" * 256}), ("sha256 not hex", "bad-envelope", {"sha256": "x" * 64}),
    ("sha256 of 63", "bad-envelope", {"sha256": "a" * 63}), ("size 0", "bad-envelope", {"size": 0}),
    ("size below 0", "bad-envelope", {"size": -1}), ("size 1.5", "bad-envelope", {"size": 1.5}),
    ("size a string", "bad-envelope", {"size": "10"}), ("size 2^64", "bad-envelope", {"size": 1 << 64}),
    ("size above the ceiling", "part-too-large", {"size": (1 << 20) + 1}),
    ("size 4 GB", "part-too-large", {"size": 1 << 32}),
    ("contentType of 128", "bad-envelope", {"contentType": "t" * 128}),
)]


def nul_name(w):
    link = credited(w)
    env = octets({**ENV, "parts": [part("pXjpg", b"1")]}).replace(b"pXjpg", b"p\\u0000jpg")
    ident = link.publish(story("urn:lie:nul"), env)
    got = link.answer(ident)
    holds(got in (("bad-envelope", "never"), ("nul-in-text", "never")), "NUL in a name: %r" % (got,))
    alive(link)


ENVELOPES += [
    ("part: name with NUL", nul_name),
    ("part: the document names one that the envelope lacks",
     refusing("part-missing", story("urn:lie:m", renditions={"web": {"href": "p.jpg"}}), ENV)),
]


# -- parts, the liar sends

def asked(w, size=100000, uri=None, **more):
    """(link, id, NEED, data): an item whose part is asked for"""
    link = credited(w)
    doc, env, parts = picture(uri or "urn:lie:%s" % os.urandom(4).hex(), size=size, **more)
    ident = link.publish(doc, {**ENV, **env})
    return link, ident, link.next("NEED"), next(iter(parts.values()))


def data_case(code, send):
    def case(w):
        link, _, need, data = asked(w)
        check(need.body["offset"], 0, "NEED offset")
        send(link, need.body["handle"], data)
        w.closes(link, code)
    return case


def wrong_hash(w):
    """the first time it is taken for an accident, the second time for a lie"""
    link, ident, need, data = asked(w, size=5000)
    lie = {need.body["sha256"]: bytes(len(data))}
    link.serve(lie, need)
    w.refused(link, ident, "part-mismatch", "later")
    env = {**ENV, "parts": [part("p.jpg", data)]}
    doc = story("urn:lie:again", renditions={"web": {"href": "p.jpg"}})
    ident = link.publish(doc, env)
    check(serve_until(link, ident, lie), ("part-mismatch", "never"), "second time")
    alive(link)


def gone_mine(w):
    """I cannot serve what I offered: later, and the link lives"""
    link, ident, need, _ = asked(w)
    link.frame("GONE", struct.pack(">QB", need.body["handle"], 9) + b"not-found")
    w.refused(link, ident, "parts-gone", "later")


def gone_twice(w):
    link, ident, need, _ = asked(w)
    for _ in range(2):
        link.frame("GONE", struct.pack(">QB", need.body["handle"], 9) + b"not-found")
    w.refused(link, ident, "parts-gone", "later")


def after_stop(w):
    """DATA on its way when STOP was said is dropped without a word"""
    link, ident, need, data = asked(w, size=300000)
    link.data(1, 0, data[:1000])
    link.frame("WITHDRAW", struct.pack(">QB", ident, 6) + b"killed")
    check(link.answer(ident), ("withdrawn", "never"), "answer")
    link.next("STOP")
    for at in range(1000, need.body["length"], 16000):
        link.data(1, at, data[at:min(at + 16000, need.body["length"])])
    alive(link)
    for _ in range(30):
        link.data(1, 0, bytes(16368))  # more than all that was ever asked for
    w.closes(link, "bad-data")


def unfinished(w):
    """more unfinished parts than this partner may have"""
    link = credited(w)
    parts = {}
    idents = []
    for n in range(6):
        doc, env, more = picture("urn:lie:partial%d" % n, size=50000)
        parts.update(more)
        idents.append(link.publish(doc, {**ENV, **env}))
    answers = [serve_until(link, ident, parts) for ident in idents]
    for got in answers:
        holds(got == "stored" or got == ("too-many-partials", "later"), "answer %r" % (got,))
    holds("stored" in answers, "none was taken")
    alive(link)


PARTS = [
    ("DATA never asked for", closing("bad-data", lambda l: l.data(1, 0, b"x"))),
    ("DATA of handle 0", closing("bad-data", lambda l: l.data(0, 0, b"x"))),
    ("DATA of the next handle", data_case("bad-data", lambda l, h, d: l.data(h + 1, 0, b"x"))),
    ("DATA at a later offset", data_case("bad-data", lambda l, h, d: l.data(h, 1, d[1:9]))),
    ("DATA at 2^63", data_case("bad-data", lambda l, h, d: l.data(h, 1 << 63, d[:9]))),
    ("DATA twice", data_case("bad-data", lambda l, h, d: (l.data(h, 0, d[:9]), l.data(h, 0, d[:9])))),
    ("DATA without octets", data_case("bad-data", lambda l, h, d: l.data(h, 0, b""))),
    ("DATA beyond what was asked", data_case("bad-data", lambda l, h, d: [l.data(h, at, bytes(10000)) for at in range(0, 110000, 10000)])),
    ("GONE never asked for", closing("bad-data", lambda l: l.frame("GONE", struct.pack(">QB", 1, 4) + b"busy"))),
    ("wrong hash: later, then never", wrong_hash),
    ("GONE for what I offered", gone_mine),
    ("GONE twice", gone_twice),
    ("DATA after STOP is dropped, up to what was asked", after_stop),
]


# -- the liar receives

counter = iter(range(60))


def claimed(w, document=None, rcvbuf=None, parts=None, envelope=None):
    """a link that has claimed a subscription of its own, in whose channel one item waits"""
    name = "s%d" % next(counter)
    giver = w.link()
    check(give(giver, document or story("urn:lie:for-%s" % name), {"channel": "lie." + name, **(envelope or {})}, parts),
          "stored", "the waiting item")
    link = credited(w, rcvbuf=rcvbuf)
    link.give_credit()
    link.name = name
    link.subscribe(name)
    link.claim = link.next("SUBSCRIBED").body
    return link


def got_one(w, **more):
    link = claimed(w, **more)
    link.head = link.receive()[0]
    return link


def receiving(code, send, **more):
    def case(w):
        link = got_one(w, **more)
        try:
            send(link, link.head["id"])
        except OSError:
            pass
        w.closes(link, code)
    return case


def half_received(w, send, code):
    """answered before it was whole: a large document into a small window"""
    link = claimed(w, document=story("urn:lie:wide%s" % os.urandom(3).hex(), body="z" * 250000), rcvbuf=4096)
    ident = link.next("ITEM").body["id"]
    send(link, ident)
    w.closes(link, code)


def need_unknown(w):
    """for another's photo, an unknown hash and nothing open at all: one answer"""
    link = got_one(w)
    said = set()
    for number, what in enumerate((bytes(32), os.urandom(32), sha(b"x")), 1):
        link.need(what, 0, 10, number)
        said.add(link.next("GONE").body["code"])
    check(said, {"not-open"}, "GONE")
    alive(link)


def need_beyond(w):
    """asked beyond the end of the part that is open here"""
    doc, env, parts = picture("urn:lie:beyond", size=1000)
    link = got_one(w, document=doc, envelope=env, parts=parts)
    hash_ = next(iter(parts))
    link.need(hash_, 500, 1000, 1)
    check(link.next("GONE", "DATA").type, "GONE", "beyond the end")
    link.need(hash_, 1000, 1, 2)
    check(link.next("GONE", "DATA").type, "GONE", "at the end")
    link.need(hash_, 0, 1000, 3)
    check(link.next("DATA").octets, next(iter(parts.values())), "the part")
    link.ack(link.head["id"])
    w.x.log("item.delivered", since=w.mark, peer="liar")


def need_answered(w):
    """a part of an item that is answered is not open any more"""
    doc, env, parts = picture("urn:lie:closed", size=1000)
    link = got_one(w, document=doc, envelope=env, parts=parts)
    link.ack(link.head["id"])
    link.need(next(iter(parts)), 0, 1000, 1)
    check(link.next("GONE", "DATA").body.get("code"), "not-open", "after the answer")


def need_again_and_again(w):
    """one part asked for without end: at most twice its size and a mebioctet"""
    doc, env, parts = picture("urn:lie:greedy", size=200000)
    link = got_one(w, document=doc, envelope=env, parts=parts)
    total, handle = 0, 0
    while True:
        handle += 1
        link.need(next(iter(parts)), 0, 200000, handle)
        frame = link.next("DATA", "GONE")
        here = 0
        while frame.type == "DATA":
            here += len(frame.octets)
            if here == 200000:
                break
            frame = link.next("DATA", "GONE")
        total += here
        if frame.type == "GONE":
            check(frame.body["code"], "not-open", "GONE")
            break
        holds(total <= 2 * 200000 + (1 << 20), "%d octets of a part of 200,000" % total)
    holds(total >= 200000, "it was never served")
    alive(link)


def needs_17(link, _):
    link.raw(b"".join(encode(9, struct.pack(">QQQ32s", n, 0, 50000, link.hash)) for n in range(1, 18)))


def seventeen(w):
    doc, env, parts = picture("urn:lie:seventeen", size=500000)
    link = got_one(w, document=doc, envelope=env, parts=parts)
    link.hash = next(iter(parts))
    try:
        needs_17(link, 0)
    except OSError:
        pass
    w.closes(link, "bad-need")


def need_changes(w):
    doc, env, parts = picture("urn:lie:changes", size=900000)
    link = got_one(w, rcvbuf=4096, document=doc, envelope=env, parts=parts)
    hash_ = next(iter(parts))
    link.raw(encode(9, struct.pack(">QQQ32s", 1, 0, 500000, hash_)) + encode(9, struct.pack(">QQQ32s", 1, 7, 5, hash_)))
    w.closes(link, "bad-need")


def withdrawn_claim(link, _):
    link.frame("UNSUBSCRIBE", struct.pack(">I", link.claim["number"] + 1))


def pings(w):
    """thousands of PINGs, none read meanwhile: only the latest must be answered, and nothing piles up"""
    link = credited(w, rcvbuf=4096)
    link.raw(b"".join(encode(16, struct.pack(">QQ", n, 0)) for n in range(1, 50001)))
    last, n = 0, 0
    while last != 50000:
        got = link.next("PONG").body["token"]
        holds(got > last, "PONG %d after %d" % (got, last))
        last, n = got, n + 1
    holds(n < 50000, "every PING was answered")
    alive(link)


def flooding(code, frame):
    """requests without end, no answer read"""
    def case(w):
        link = credited(w, rcvbuf=4096)
        link.tls.settimeout(30)
        try:
            for _ in range(200):
                link.raw(b"".join(frame(n) for n in range(1, 300)))
        except OSError:
            pass
        link.queue.clear()
        try:
            link.closes()
        except OSError:
            pass
        w.x.log("conn.close", since=w.mark, peer="liar", reason=code)
    return case


def need_flood():
    number = iter(range(1, 1 << 30))
    return flooding("need-flood", lambda n: encode(9, struct.pack(">QQQ32s", next(number), 0, 1, bytes(32))))


def no_such(w):
    """another's subscription and none at all: the same words"""
    link = credited(w)
    said = []
    for name in ("of-other", "from-good", "nothing"):
        link.subscribe(name)
        got = link.next("UNSUBSCRIBED").body
        check((got["name"], got["number"], got["code"]), (name, 0, "no-such-subscription"), name)
        said.append(got.get("words"))
    check(len(set(said)), 1, "words")
    alive(link)


def claims_65(w):
    """64 claims and no more"""
    link = credited(w)
    link.give_credit()
    for n in range(60):
        link.subscribe("s%d" % n)
        link.next("SUBSCRIBED")
    for n in range(4):
        link.subscribe("nothing")
        link.next("UNSUBSCRIBED")
    alive(link)


def credit_ends(w):
    """the exchange keeps to the credit that it was given"""
    name = "s%d" % next(counter)
    giver = w.link()
    for n in range(6):
        check(give(giver, story("urn:lie:credit%d" % n, body="c" * 900), {"channel": "lie." + name}), "stored", "item")
    link = credited(w)
    link.frame("CREDIT", struct.pack(">IQQ", ROUTINE, 2, 1 << 30))
    link.subscribe(name)
    link.next("SUBSCRIBED")
    for _ in range(2):
        link.ack(link.receive()[0]["id"])
    alive(link)
    check([f for f in link.queue if f.type == "ITEM"], [], "a third item")
    link.frame("CREDIT", struct.pack(">IQQ", ROUTINE, 10, 1 << 30))
    link.ack(link.receive()[0]["id"])


def pong_unasked(w):
    link = credited(w)
    for n in range(100):
        link.frame("PONG", struct.pack(">QQ", n, 1 << 63))
    alive(link)


def ack_old_stage(w):
    """stages other than 2, and entries with what later versions add: no answer, no harm"""
    link = got_one(w)
    ident = link.head["id"]
    for stage in (0, 1, 3, 4, 5, 255):
        link.ack(ident, stage=stage)
        link.ack(12345, stage=stage)
    alive(link)
    link.frame("ACK", bytes([30]) + struct.pack(">QQQBB4x", ident, 0, 0, 77, 2))
    w.x.log("item.delivered", since=w.mark, peer="liar", result="stored")


RECEIVER = [
    ("ACK of an id never sent", receiving("bad-ack", lambda l, i: l.ack(i + 1))),
    ("ACK of id 0", receiving("bad-ack", lambda l, i: l.ack(0))),
    ("ACK of 2^64-1", receiving("bad-ack", lambda l, i: l.ack((1 << 64) - 1))),
    ("ACK twice", receiving("bad-ack", lambda l, i: (l.ack(i), l.ack(i)))),
    ("ACK, then REFUSE", receiving("bad-ack", lambda l, i: (l.ack(i), l.refuse(i)))),
    ("REFUSE twice", receiving("bad-ack", lambda l, i: (l.refuse(i, after_ms=60000), l.refuse(i)))),
    ("REFUSE of an unknown id", receiving("bad-ack", lambda l, i: l.refuse(i + 7))),
    ("REFUSE of id 2^53", receiving("bad-json", lambda l, i: l.refuse(1 << 53))),
    ("ACK of an item not yet whole", lambda w: half_received(w, lambda l, i: l.ack(i), "bad-ack")),
    ("REFUSE of an item not yet whole", lambda w: half_received(w, lambda l, i: l.refuse(i), "bad-ack")),
    ("ACK entries of stages to come", ack_old_stage),
    ("NEED of length 0", receiving("bad-need", lambda l, i: l.need(bytes(32), 0, 0))),
    ("NEED of handle 0", receiving("bad-need", lambda l, i: l.need(bytes(32), 0, 1, handle=0))),
    ("NEED to 2^53", receiving("bad-need", lambda l, i: l.need(bytes(32), (1 << 53) - 1, 1))),
    ("NEED whose end wraps", receiving("bad-need", lambda l, i: l.need(bytes(32), (1 << 64) - 1, 2))),
    ("NEED with an open handle and another offset", need_changes),
    ("NEED of unknown hashes", need_unknown),
    ("NEED beyond the end", need_beyond),
    ("NEED of an answered item", need_answered),
    ("NEED again and again", need_again_and_again),
    ("17 NEEDs", seventeen),
    ("need-flood", need_flood()),
    ("STOP never given", receiving("bad-need", lambda l, i: l.frame("STOP", struct.pack(">Q", 5)))),
    ("STOP of handle 0", receiving("bad-need", lambda l, i: l.frame("STOP", bytes(8)))),
    ("UNSUBSCRIBE never given", receiving("bad-claim", withdrawn_claim)),
    ("UNSUBSCRIBE 0", receiving("bad-claim", lambda l, i: l.frame("UNSUBSCRIBE", bytes(4)))),
    ("SUBSCRIBED not asked for", receiving("bad-claim", lambda l, i: l.frame(
        "SUBSCRIBED", {"name": "x", "number": 1, "epoch": "1", "position": 0, "owed": 0, "expired": 0}))),
    ("UNSUBSCRIBED not asked for", receiving("bad-claim", lambda l, i: l.frame(
        "UNSUBSCRIBED", {"name": "x", "number": 1, "code": "busy", "words": ""}))),
    ("claim-flood", flooding("claim-flood", lambda n: encode(3, b'{"name":"nothing"}'))),
    ("another's subscription", no_such),
    ("sixty claims on one link", claims_65),
    ("50,000 PINGs", pings),
    ("PONGs that nobody asked for", pong_unasked),
    ("credit is kept to", credit_ends),
]


def test_frames():
    run_cases(FRAMES, PARTNERS, SUBS)


def test_items():
    run_cases(ITEMS, PARTNERS, SUBS)


def test_envelopes():
    run_cases(ENVELOPES, PARTNERS, SUBS)


def test_parts():
    run_cases(PARTS, PARTNERS, SUBS)


def test_partials():
    four = {**PARTNERS, "liar": PARTNERS["liar"] + " partials = 4"}
    run_cases([("six unfinished parts where four are allowed", unfinished)], four, SUBS)


def test_receiver():
    run_cases(RECEIVER, PARTNERS, SUBS)


# -- time

def idle(w):
    """not an octet, not even PONG"""
    link = credited(w)
    link.auto_pong = False
    w.closes(link, "idle")
    holds(any(f.type == "PING" for f in link.queue), "it was never asked")


def lives_by_pong(w):
    link = credited(w)
    for _ in range(4):
        link.next("PING")
    alive(link)


def stall(w):
    """asks for a photo and does not read"""
    doc, env, parts = picture("urn:lie:stalled", size=1 << 20)
    link = got_one(w, document=doc, envelope=env, parts=parts, rcvbuf=4096)
    link.need(next(iter(parts)), 0, 1 << 20)
    w.x.log("conn.close", since=w.mark, peer="liar", reason="stall")


def part_wait(w):
    """a part that does not come: later; what came of it is kept and not sent twice"""
    link, ident, need, data = asked(w, size=100000, uri="urn:lie:wait")
    for at in range(0, 40000, 10000):
        link.data(need.body["handle"], at, data[at:at + 10000])
    check(link.answer(ident), ("part-wait", "later"), "answer")
    ident = link.publish(story("urn:lie:wait", renditions={"web": {"href": "p.jpg"}}), {**ENV, "parts": [part("p.jpg", data)]})
    need = link.next("NEED")
    check(need.body["offset"], 40000, "the octet at which it goes on")
    link.serve({sha(data): data}, need)
    check(link.answer(ident), "stored", "answer")


def half_left(w):
    """half an item, and no more of it: the link answers and asks meanwhile, and is closed all the same"""
    link = credited(w)
    half(link)
    w.closes(link, "no-more")


def no_hello(w):
    link = w.link(hello=False)
    w.closes(link, "no-hello")


def half_hello(w):
    link = w.link(hello=False)
    link.raw(encode(1, b'{"node":"x","epoch":"0"}')[:-1])
    w.closes(link, "no-hello")


def bye_and_silence(w):
    """after BYE five seconds (here: 0.3) are left, whatever is open"""
    link = got_one(w)
    link.bye()
    link.closes()
    w.x.log("conn.close", since=w.mark, peer="liar", reason="bye")


def test_time():
    slow = "ping = 500ms idle = 4s stall = 2s hello = 700ms part-wait = 500ms bye = 300ms"
    cases = [("silence", idle), ("PONG is life", lives_by_pong), ("output not read", stall), ("a part that does not come", part_wait),
             ("no HELLO", no_hello), ("half a HELLO", half_hello), ("BYE with an item open", bye_and_silence)]
    run_cases(cases, PARTNERS, SUBS, {"limits": slow})
    run_cases([("half an item and no more", half_left)], PARTNERS, SUBS, {"limits": "ping = 200ms idle = 4s ack-wait = 1s"})
