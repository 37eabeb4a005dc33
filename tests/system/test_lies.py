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
PARTNERS = {"liar": 'publish = {"lie.*"} read = {"lie.*"} part = 1MiB parts = 8 partials = 4',
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
    ("ACK with half an entry", closing("bad-frame", lambda l: l.frame("ACK", b"\x1a" + bytes(27)))),
]


# -- items

def gap(link):
    item(link)
    item(link, id=3)


def over_credit(link):
    for ident in range(1, 200):
        item(link, id=ident)


def half(link, lane=ROUTINE, envelope=2, document=100):
    """a half-sent item, 4 octets of it"""
    return item(link, id=1, envelope=envelope, document=document, lane=lane)


def over_octets(w):
    """one that overdraws is right, the next one is not; the lane's credit is only raised when things were read"""
    link = w.link()
    while not link.may(ROUTINE):
        link.pump()
    left = link.credit[ROUTINE][1]
    n, ident = 0, 0
    link.raw(b"".join(encode(7, struct.pack(">QQQIIIB3x", i, 0, 0, 0, 2, BIG - 1, 0))
                      for i in (1,)))
    # the item is half-sent: no credit can come for it, and flash has its own
    n, ident = left, item(link, id=2, lane=FLASH)
    check(link.answer(ident)[1], "never", "flash beside a half-sent routine item")
    holds(n > 0, "credit")
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
    check(link.quiet(), [], "after the answer")


def bye_then(what):
    def send(link):
        link.bye()
        what(link)
    return send


def flood(w):
    """thousands of items without reading one answer: the sender stops at its credit, nothing grows, all are answered"""
    link = credited(w, rcvbuf=4096)
    sent = 0
    for n in range(3000):
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
    ("half-sent in routine: flash goes on, a second routine does not", over_octets),
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
    ("3,000 items, hardly read", flood),
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
    ("bad UTF-8", "bad-utf8", b'{"channel":"lie.\xff"}'),
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


def test_frames():
    run_cases(FRAMES, PARTNERS, SUBS)


def test_items():
    run_cases(ITEMS, PARTNERS, SUBS)


def test_envelopes():
    run_cases(ENVELOPES, PARTNERS, SUBS)
