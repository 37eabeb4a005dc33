"""HELLO, and the small courtesies: floors, lies in it, vectors, PING, BYE."""
import os
import struct

from cases import alive, check, give, holds, run_cases
from kit import ROOT, Exchange
from newsx import Link, decode, story

PARTNERS = {"liar": 'publish = {"h.*"}'}
GOOD = b'{"node":"x","epoch":"0"}'
MAX = {"frame": 65536, "document": 262144, "envelope": 16384, "parts": 64, "part": 33554432}


def first(code, payload, kind="HELLO", **lie):
    """this first frame closes with this code"""
    def case(w):
        link = w.link(hello=False)
        link.frame(kind, payload, **lie)
        w.closes(link, code)
    return case


def taken(payload):
    """this HELLO is good: HELLO comes back, and the link lives"""
    def case(w):
        link = w.link(hello=False)
        link.frame("HELLO", payload)
        link.peer = link.expect("HELLO").body
        alive(link)
        check(give(link, story("urn:hello:%s" % os.urandom(4).hex()), {"channel": "h.x"}), "stored", "item")
    return case


def hello(**more):
    return {"node": "x", "epoch": "0", **more}


LIES = [
    ("first frame PING", first("bad-hello", bytes(16), "PING")),
    ("first frame ITEM", first("bad-hello", bytes(44), "ITEM")),
    ("first frame BYE", first("bad-hello", b'{"code":"bye"}', "BYE")),
    ("first frame of a type that may be skipped", first("bad-hello", b"x", 200)),
    ("not an object", first("bad-json", b"[]")), ("no JSON", first("bad-json", b"GET / HTTP/1.1")),
    ("empty", first("bad-json", b"")), ("duplicate key", first("bad-json", b'{"node":"x","node":"y","epoch":"0"}')),
    ("no node", first("bad-hello", {"epoch": "0"})), ("no epoch", first("bad-hello", {"node": "x"})),
    ("node a number", first("bad-hello", hello(node=1))), ("node empty", first("bad-hello", hello(node=""))),
    ("node of 65 octets", first("bad-hello", hello(node="n" * 65))), ("node with a line end", first("bad-hello", hello(node="a\nb"))),
    ("epoch a number", first("bad-hello", hello(epoch=0))), ("epoch not hex", first("bad-hello", hello(epoch="xyz"))),
    ("epoch of 17 digits", first("bad-hello", hello(epoch="1" * 17))), ("epoch empty", first("bad-hello", hello(epoch=""))),
    ("boot not hex", first("bad-hello", hello(boot="zz"))), ("boot of 33", first("bad-hello", hello(boot="a" * 33))),
    ("max a list", first("bad-hello", hello(max=[]))), ("max.frame a string", first("bad-hello", hello(max={"frame": "65536"}))),
    ("held without sequence", first("bad-hello", hello(held={"epoch": "1"}))),
    ("held at 2^53", first("bad-hello", hello(held={"epoch": "1", "sequence": 1 << 53}))),
    ("features a string", first("bad-hello", hello(features="x"))),
    ("17,000 octets", first("bad-json", GOOD + b" " * 17000)), ("4 GB", first("frame-too-large", b"", length=0xffffffff)),
    ("flag 1", first("unknown-flag", GOOD, flags=1)),
]
LIES += [("max.%s one below the floor" % k, first("bad-hello", hello(max={k: v - 1}))) for k, v in MAX.items()]
LIES += [("max.%s 0" % k, first("bad-hello", hello(max={k: 0}))) for k in MAX]
GOOD_ONES = [
    ("least", taken(GOOD)), ("floors", taken(hello(max=MAX))), ("unknown keys and features", taken(hello(x={"y": [1]}, features=["later", "z"]))),
    ("huge max", taken(hello(max={k: 1 << 31 for k in MAX}))), ("agent of 300 octets is cut", taken(hello(agent="a" * 250))),
    ("null for what may be left out", taken(hello(agent=None, boot=None, held=None, max=None, features=None))),
    ("Lao node", taken(hello(node="ຂປລ"))),
]


def test_lies():
    run_cases(LIES, PARTNERS)


def test_taken():
    run_cases(GOOD_ONES, PARTNERS, what="HELLOs")


def vectors():
    with open(os.path.join(ROOT, "proto", "vectors.txt"), encoding="utf-8") as file:
        for line in file:
            if line.strip() and not line.startswith("#"):
                name, text, words = (s.strip() for s in line.split("|", 2))
                yield name, bytes.fromhex(text), words


def test_vectors():
    """the page's reader in Python reads every good vector; the exchange answers every bad one with the code that it names"""
    bad = []
    for name, frame, words in vectors():
        if not name.startswith("!"):
            length, number = struct.unpack_from(">IB", frame)
            check(len(frame), 8 + length, name)
            holds(decode(number, frame[8:]).body is not None, name)
        elif name not in ("!bad-need", "!over-credit"):
            bad.append((name, frame, words))

    def case(code, frame):
        def run(w):
            link = w.link()
            while not link.may(0):
                link.pump()
            link.raw(frame)
            w.closes(link, code)
        return run
    run_cases([("%s: %s" % (name, words), case(name[1:], frame)) for name, frame, words in bad], PARTNERS)


def test_say():
    """what the exchange says of itself is what the page and the configuration promise"""
    with Exchange(PARTNERS, sections={"limits": "document = 300KiB parts = 70"}) as x:
        said = Link(x.port, x.keys["liar"].identity).peer
        check(said["node"], "exchange", "node")
        for key, floor in MAX.items():
            holds(said["max"][key] >= floor, "max.%s" % key)
        check((said["max"]["document"], said["max"]["parts"]), (300 << 10, 70), "max from the configuration")
        again = Link(x.port, x.keys["liar"].identity).peer
        check((again["boot"], again["epoch"]), (said["boot"], said["epoch"]), "one program")
        x.stop()
        x.restart()
        later = Link(x.port, x.keys["liar"].identity).peer
        check((later["boot"] != said["boot"], later["epoch"]), (True, said["epoch"]), "another program, the same store")
        check((said["last"], "restored" in said), (0, False), "an empty store")
        with Link(x.port, x.keys["liar"].identity) as link:
            check(give(link, story(), {"channel": "h.x"}), "stored", "item")
            check(Link(x.port, x.keys["liar"].identity).peer["last"], link.sequence, "the last sequence it gave")


def test_no_waiting():
    """the exchange says HELLO without waiting for ours, and nothing else before it has read it"""
    with Exchange(PARTNERS) as x:
        link = Link(x.port, x.keys["liar"].identity, hello=False)
        check(link.next().type, "HELLO", "first")
        link.frame("HELLO", GOOD)
        check(link.next().type, "CREDIT", "then")


def test_held():
    """a publisher that holds acknowledgements this store does not know: the operator is told"""
    with Exchange(PARTNERS) as x:
        link = Link(x.port, x.keys["liar"].identity)
        check(give(link, story(), {"channel": "h.x"}), "stored", "item")
        epoch, last = link.peer["epoch"], link.sequence
        for held, reason in (({"epoch": epoch, "sequence": last}, None), ({"epoch": epoch, "sequence": last + 5}, "lost"),
                             ({"epoch": "abc", "sequence": 1}, "other-epoch"), ({"epoch": "0", "sequence": 7}, "other-epoch")):
            mark = x.mark()
            alive(Link(x.port, x.keys["liar"].identity, held=held))
            if reason:
                line = x.log("store.rewound", since=mark, reason=reason)
                holds(line["level"] == "err" and (reason != "lost" or line["lost"] == "5"), repr(line))
            else:
                check(x.found("store.rewound", since=mark), [], "no news")


def test_bye():
    """a normal end: both say BYE, in either order, and the log says so"""
    with Exchange(PARTNERS) as x:
        link = Link(x.port, x.keys["liar"].identity)
        link.bye("bye", "done for today")
        check(link.closes(), "bye", "BYE")
        check(x.log("peer.bye")["words"], "done for today", "words")
        x.log("conn.close", reason="bye")
        link = Link(x.port, x.keys["liar"].identity)
        ident = link.publish(story("urn:bye"), {"channel": "h.x"})
        link.bye()
        check(link.answer(ident), "stored", "an answer after BYE")
        check(link.closes(), "bye", "BYE")
