"""News rules at the exchange: identity, versions, kills, embargoes, and what a document must be."""
import datetime
import json
import os
import time

from cases import alive, check, give, holds, octets, picture, run_cases, sha
from newsx import FLASH, Link, part, story

PARTNERS = {"pub": 'publish = {"r.*", "x.*"}', "sub": 'read = {"r.*", "x.*"}'}
SUBS = {}
for number in range(90):
    SUBS["l%d" % number] = 'partner = "sub" channels = {"r.c%d", "x.c%d"} start = "all"' % (number, number)
for number in range(12):
    SUBS["a%d" % number] = 'partner = "sub" channels = {"r.a%d"} start = "all" versions = "all"' % number
latest, every = iter(range(90)), iter(range(12))


class Rule:
    """a publisher, a channel of its own, and who reads it"""

    def __init__(self, w, all_versions=False):
        n = next(every if all_versions else latest)
        self.w, self.name = w, ("a%d" if all_versions else "l%d") % n
        self.channel = ("r.a%d" if all_versions else "r.c%d") % n
        self.uri = "urn:rule:%s:%d" % (os.urandom(4).hex(), n)
        self.pub = w.link("pub")

    def story(self, version="1", **more):
        return story(self.uri, version, **more)

    def give(self, document, wanted="stored", channel=None, envelope=None, parts=None, **more):
        got = give(self.pub, document, {"channel": channel or self.channel, **(envelope or {})}, parts, **more)
        check(got, wanted, "answer to the publisher")

    def read(self):
        self.sub = self.w.reader("sub", self.name)
        return self.sub

    def got(self, document, ack=True, kill=False):
        """the next item is this one, octet for octet"""
        head, envelope, whole = self.sub.receive()
        check(whole, octets(document), "the reader's next item")
        check((head["lane"] == FLASH) or not kill, True, "a kill goes in the flash lane")
        if ack:
            self.sub.ack(head["id"])
        self.head, self.envelope = head, envelope
        return head

    def nothing(self, mark="marker"):
        """no item waits for the reader: what is sent now is the next to come"""
        document = story("urn:rule:%s:%s" % (mark, os.urandom(6).hex()))
        self.give(document)
        self.got(document)
        check([f for f in self.sub.queue if f.type in ("ITEM", "MORE", "WITHDRAW")], [], "after the marker")

    def withdrawn(self, ident, code):
        frame = self.sub.next("WITHDRAW")
        check((frame.body["id"], frame.body["code"]), (ident, code), "WITHDRAW")
        self.sub.refuse(ident, "withdrawn", "never")
        alive(self.sub)


def soon(seconds):
    """a time ahead, RFC 3339 with a zone"""
    return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.timezone.utc).isoformat(timespec="milliseconds")


# -- identity

def facts(w):
    """octets delivered equal octets sent; the envelope says who, where and when"""
    r = Rule(w)
    r.read()
    document = json.dumps(r.story(headline="ຂ່າວດ່ວນ tiếng Việt", odd={"x": [1, 2.50, "\\u00e9"]}), indent=3).encode() + b"\n"
    r.give(document, envelope={"priority": 4, "sent": "2026-11-22T10:00:00Z", "mine": {"kept": True}})
    r.got(document)
    env = r.envelope
    check((env["origin"], env["sender"], env["channel"], env["priority"], env["mine"]),
          ("pub", "pub", r.channel, 4, {"kept": True}), "envelope")
    check([h["party"] for h in env["hops"]], ["exchange"], "hops")
    holds(env["received"].endswith("Z") and env["hops"][0]["time"].endswith("Z"), "received")
    check((r.head["subscription"], r.head["position"] > 0, r.head["sequence"] > 0), (r.sub.claim["number"], True, True), "head")


def forged(w):
    """what a partner says of transport does not count unless it is a node"""
    r = Rule(w)
    r.read()
    document = octets(r.story())
    r.give(document, envelope={"sender": "vna", "received": "1999-01-01T00:00:00Z", "signal": "sig:correction",
                               "hops": [{"party": "reuters", "time": "1999-01-01T00:00:00Z"}]})
    r.got(document)
    check((r.envelope["sender"], [h["party"] for h in r.envelope["hops"]], r.envelope.get("signal")),
          ("pub", ["exchange"], None), "envelope")
    holds(not r.envelope["received"].startswith("1999"), "received")


def duplicate(w):
    r = Rule(w)
    r.read()
    r.give(r.story())
    r.got(r.story())
    first = r.pub.sequence
    for _ in range(3):
        r.give(r.story(), "duplicate")
        check(r.pub.sequence, first, "sequence of the duplicate")
    r.nothing()


def duplicate_later(w):
    """the same octets after a newer version came are still a duplicate"""
    r = Rule(w)
    r.give(r.story("1"))
    r.give(r.story("2"))
    r.give(r.story("1"), "duplicate")


def conflict(w):
    r = Rule(w)
    r.give(r.story())
    r.give(r.story(headline="another"), ("conflict", "never"))
    r.give(octets(r.story()) + b" ", ("conflict", "never"))
    r.read()
    r.got(r.story())
    r.nothing()


def conflict_parts(w):
    r = Rule(w)
    doc, env, parts = picture(r.uri, b"one photo")
    r.give(doc, envelope=env, parts=parts)
    other = picture(r.uri, b"another photo")
    r.give(doc, ("conflict", "never"), envelope=other[1], parts=other[2])
    r.give(doc, "duplicate", envelope=env, parts=parts)


def other_channel(w):
    """a version or a kill of a story, on a channel where it does not live"""
    r = Rule(w)
    r.give(r.story("1"))
    other = r.channel.replace("r.", "x.")
    r.give(r.story("1"), ("other-channel", "never"), channel=other)
    r.give(r.story("1", pubstatus="canceled"), ("other-channel", "never"), channel=other)
    r.give(r.story("2"), ("other-channel", "never"), channel=other)
    r.give(r.story("2", pubstatus="canceled"), ("other-channel", "never"), channel=other)
    r.give(r.story("2"))


def version_order(w):
    """neither numbers nor times decide"""
    r = Rule(w)
    r.give(r.story("a"))
    r.give(r.story("b"), ("version-order", "never"))
    r.give(r.story("b", versioncreated="2026-11-22T11:00:00Z"))
    none = story(r.uri, "c")
    del none["versioncreated"]
    r.give(none, ("version-order", "never"))


def superseded(w):
    """3, 1, 2: the latest stays 3, and the older ones are recorded, not passed on"""
    r = Rule(w)
    r.read()
    r.give(r.story("3"))
    r.give(r.story("1"), "superseded")
    r.give(r.story("2"), "superseded")
    r.got(r.story("3"))
    r.nothing()


def superseded_all(w):
    """versions = all: one story's versions go in order, and a late one is not passed on over a newer"""
    r = Rule(w, all_versions=True)
    r.give(r.story("1"))
    r.give(r.story("2"))
    r.give(r.story("3"))
    r.read()
    for version in "123":
        r.got(r.story(version))
    r.nothing()


def ten_nine(w):
    r = Rule(w)
    r.give(r.story("10"))
    r.give(r.story("9"), "superseded")
    r.give(r.story("11"))
    r.give(r.story("0010"), "superseded")
    r.read()
    r.got(r.story("11"))
    r.nothing()


def number_and_text(w):
    """2 and "2" are one version; no version is 0"""
    r = Rule(w)
    none = r.story()
    del none["version"]
    r.give(none)
    r.give(r.story(0), ("conflict", "never"))
    r.give(r.story(2))
    r.give(r.story("2"), ("conflict", "never"))


def by_time(w):
    """instants are compared, not their spelling"""
    r = Rule(w)
    r.give(r.story("x", versioncreated="2026-11-22T12:00:00+07:00"))
    r.give(r.story("y", versioncreated="2026-11-22T04:59:59Z"), "superseded")
    r.give(r.story("z", versioncreated="2026-11-22T05:00:00.250Z"))


def settled_before_sent(w):
    """older versions that nobody has read yet are never sent to latest"""
    r = Rule(w)
    for n in range(1, 6):
        r.give(r.story(str(n)))
    r.read()
    r.got(r.story("5"))
    r.nothing()


def withdrawn_superseded(w):
    """an older version that is open with the reader is taken back"""
    r = Rule(w)
    r.read()
    r.give(r.story("1"))
    head = r.got(r.story("1"), ack=False)
    r.give(r.story("2"))
    r.withdrawn(head["id"], "superseded")
    r.got(r.story("2"))
    r.nothing()


def ack_crosses(w):
    """the ACK that crosses a WITHDRAW stands"""
    r = Rule(w)
    r.read()
    r.give(r.story("1"))
    head = r.got(r.story("1"), ack=False)
    r.give(r.story("2"))
    r.sub.next("WITHDRAW")
    r.sub.ack(head["id"])
    r.got(r.story("2"))
    alive(r.sub)


# -- kills

def kill(spelling="canceled", key="pubstatus"):
    def case(w):
        r = Rule(w)
        r.read()
        r.give(r.story("1"))
        head = r.got(r.story("1"), ack=False)
        word = r.story("2")
        del word["pubstatus"]
        word[key] = spelling
        r.give(word)
        r.withdrawn(head["id"], "killed")
        r.got(word, kill=True)
        r.give(r.story("3"), ("killed", "never"))
        r.give(r.story("1"), "duplicate")
        r.give(r.story("0"), ("killed", "never"))
        r.nothing()
    return case


def kill_unsent(w):
    """what was not yet sent never is; the kill is"""
    r = Rule(w)
    r.give(r.story("1"))
    r.give(r.story("2", pubstatus="canceled"))
    r.read()
    r.got(r.story("2", pubstatus="canceled"), kill=True)
    r.nothing()


def kill_all_versions(w):
    r = Rule(w, all_versions=True)
    r.give(r.story("1"))
    r.give(r.story("2"))
    r.give(r.story("3", pubstatus="canceled"))
    r.read()
    r.got(r.story("3", pubstatus="canceled"), kill=True)
    r.nothing()


def kill_first(w):
    """a kill for a story that never came: nothing of it comes later"""
    r = Rule(w)
    r.read()
    r.give(r.story("2", pubstatus="canceled"))
    r.got(r.story("2", pubstatus="canceled"), kill=True)
    for version in ("1", "2", "3"):
        r.give(r.story(version), ("killed", "never"))
    r.nothing()


def kill_twice(w):
    r = Rule(w)
    r.read()
    r.give(r.story("1"))
    r.got(r.story("1"))
    r.give(r.story("2", pubstatus="canceled"))
    r.give(r.story("2", pubstatus="canceled"), "duplicate")
    r.got(r.story("2", pubstatus="canceled"))
    got = give(r.pub, r.story("3", pubstatus="canceled"), {"channel": r.channel})
    holds(got in ("stored", "superseded", ("killed", "never")), "second kill: %r" % (got,))
    alive(r.pub)


def kill_same_version(w):
    """a kill that carries the version it kills"""
    r = Rule(w)
    r.read()
    r.give(r.story("1"))
    r.got(r.story("1"))
    r.give(r.story("1", pubstatus="canceled"))
    r.got(r.story("1", pubstatus="canceled"), kill=True)
    r.give(r.story("2"), ("killed", "never"))


def kill_older_version(w):
    """a kill is a kill, whatever its version says"""
    r = Rule(w)
    r.read()
    r.give(r.story("5"))
    r.got(r.story("5"))
    r.give(r.story("4", pubstatus="canceled"))
    r.got(r.story("4", pubstatus="canceled"), kill=True)
    r.give(r.story("6"), ("killed", "never"))


def kill_with_embargo(w):
    """a kill that carries an embargo waits only while nothing is out that it could take back"""
    r = Rule(w)
    r.read()
    far = soon(86400 * 30)
    r.give(r.story("1"))
    r.got(r.story("1"))
    r.give(r.story("2", pubstatus="canceled", embargoed=far))
    r.got(r.story("2", pubstatus="canceled", embargoed=far), kill=True)
    other = Rule(w)
    other.read()
    other.give(other.story("1", embargoed=far), "held")
    other.give(other.story("2", pubstatus="canceled", embargoed=far), "held")
    other.give(other.story("3"), ("killed", "never"))
    other.nothing()


# -- withheld and embargo

def withheld(w):
    r = Rule(w)
    r.read()
    r.give(r.story("1", pubstatus="withheld"), "held")
    r.nothing()
    r.give(r.story("2"))
    r.got(r.story("2"))
    r.nothing()


def embargo_far(key):
    def case(w):
        r = Rule(w)
        r.read()
        r.give(r.story("1", **{key: soon(86400 * 30)}), "held")
        r.nothing()
    return case


def embargo_past(w):
    r = Rule(w)
    r.read()
    document = r.story("1", embargoed="2020-01-01T00:00:00Z")
    r.give(document)
    r.got(document)


def embargo_latest(w):
    """two spellings: the later one counts, whichever it is"""
    for first, second in (("embargoed", "embargoedUntil"), ("embargoedUntil", "embargo"), ("embargo", "embargoed")):
        r = Rule(w)
        r.read()
        r.give(r.story("1", **{first: "2020-01-01T00:00:00Z", second: soon(86400)}), "held")
        r.nothing()


def embargo_due(w):
    """delivered when it comes due, and not before"""
    r = Rule(w)
    r.read()
    due = time.time() + 2.5
    document = r.story("1", embargoed=soon(2.5))
    r.give(document, "held")
    r.nothing()
    r.got(document)
    holds(time.time() >= due - 0.002, "%.3f s too early" % (due - time.time()))
    holds(time.time() < due + 5, "%.3f s late" % (time.time() - due))
    w.x.log("item.released", since=w.mark)


def embargo_moved(w):
    """version 2 without an embargo is free to go, version 1 never goes"""
    r = Rule(w)
    r.read()
    r.give(r.story("1", embargoed=soon(3)), "held")
    r.give(r.story("2"))
    r.got(r.story("2"))
    other = Rule(w)
    other.read()
    other.give(other.story("1", embargoed=soon(3.2)), "held")
    other.sub.receive()  # when the later embargo is over, the earlier is too
    r.nothing()


def embargo_killed(w):
    """killed while still embargoed: not one octet of it goes out"""
    r = Rule(w)
    r.read()
    data = os.urandom(5000)
    doc, env, parts = picture(r.uri, data, headline="SECRET-HEADLINE", embargoed=soon(2))
    r.give(doc, "held", envelope=env, parts=parts)
    r.sub.need(sha(data), 0, 5000)
    check(r.sub.next("GONE", "DATA").type, "GONE", "an embargoed photo by its hash")
    word = r.story("2", pubstatus="canceled")
    r.give(word)
    r.got(word, kill=True)
    other = Rule(w)
    other.read()
    other.give(other.story("1", embargoed=soon(2.2)), "held")
    other.sub.receive()
    r.nothing()


def embargo_parts(w):
    """a photo under embargo has no octets for anyone, then all of them"""
    r = Rule(w)
    r.read()
    data = os.urandom(5000)
    doc, env, parts = picture(r.uri, data, embargoedUntil=soon(2))
    r.give(doc, "held", envelope=env, parts=parts)
    r.sub.need(sha(data), 0, 5000)
    check(r.sub.next("GONE", "DATA").type, "GONE", "before it is due")
    head = r.got(doc, ack=False)
    check(r.sub.fetch(sha(data), len(data)), data, "the photo")
    r.sub.ack(head["id"])


# -- the lane

def flash(w):
    """urgency 1 and 2 overtake a backlog"""
    r = Rule(w)
    for n in range(40):
        r.give(story("%s:%d" % (r.uri, n), body="b" * 3000))
    sub = r.sub = Link(w.x.port, w.x.keys["sub"].identity, rcvbuf=4096)
    w.links.append(sub)
    sub.give_credit(3, 1 << 20, lanes=(0,))
    sub.give_credit(8, 65536, lanes=(1,))
    sub.subscribe(r.name)
    sub.next("SUBSCRIBED")
    for n in range(3):
        sub.ack(sub.receive()[0]["id"])
    for urgency in (1, 2):
        document = r.story(str(urgency), urgency=urgency)
        r.give(document)
        r.got(document)
        check(r.head["lane"], FLASH, "lane of urgency %d" % urgency)
    document = story(r.uri + "u3", urgency=3)
    r.give(document)
    alive(sub)
    check([f for f in sub.queue if f.type == "ITEM"], [], "urgency 3 without routine credit")


def lane_lie(w):
    """the lane follows from the document, not from the ITEM"""
    r = Rule(w)
    r.read()
    r.give(r.story("1", urgency=5), lane=FLASH)
    r.got(r.story("1", urgency=5))
    check(r.head["lane"], 0, "a routine story sent as flash")
    r.give(r.story("2", urgency=1))
    r.got(r.story("2", urgency=1))
    check(r.head["lane"], FLASH, "a flash sent as routine")


# -- documents

def guid(w):
    r = Rule(w)
    r.read()
    document = r.story()
    document["guid"] = document.pop("uri")
    r.give(document)
    r.got(document)
    r.give(r.story(), ("conflict", "never"))


def photo_octets(w):
    """three photos, one of them twice, octet for octet"""
    r = Rule(w)
    r.read()
    photos = {"a.jpg": os.urandom(1), "b/ຮູບ.jpg": os.urandom(70000), "c.png": os.urandom(300001)}
    photos["d.jpg"] = photos["a.jpg"]
    doc = r.story(renditions={n: {"href": n} for n in photos})
    env = {"parts": [part(n, d) for n, d in photos.items()]}
    r.give(doc, envelope=env, parts={sha(d): d for d in photos.values()})
    head = r.got(doc, ack=False)
    check([p["name"] for p in r.envelope["parts"]], list(photos), "parts in the envelope")
    for one in r.envelope["parts"]:
        got = r.sub.fetch(bytes.fromhex(one["sha256"]), one["size"])
        check(got == photos[one["name"]], True, one["name"])
    r.sub.ack(head["id"])


def refused(code, document):
    def case(w):
        r = Rule(w)
        whole = document(r) if callable(document) else document
        r.give(whole, (code, "never"))
        w.x.log("item.refused", since=w.mark, peer="pub", reason=code)
        alive(r.pub)
    return case


def with_(**more):
    return lambda r: r.story(**more)


def text(template):
    return lambda r: template.replace(b"URI", r.uri.encode())


NOT_TAKEN = [
    ("embargo: no time zone", "bad-embargo", with_(embargoed="2099-01-01T00:00:00")),
    ("embargo: words", "bad-embargo", with_(embargo="tomorrow")),
    ("embargo: empty", "bad-embargo", with_(embargoedUntil="")),
    ("embargo: a number", "bad-embargo", with_(embargo=4102444800)),
    ("embargo: 30 February", "bad-embargo", with_(embargoed="2099-02-30T00:00:00Z")),
    ("embargo: one good, one bad", "bad-embargo", with_(embargoed="2020-01-01T00:00:00Z", embargo="later")),
    ("duplicate key", "duplicate-key", text(b'{"uri":"URI","uri":"URI"}')),
    ("duplicate pubstatus", "duplicate-key", text(b'{"uri":"URI","pubstatus":"canceled","pubstatus":"usable"}')),
    ("duplicate key deep inside", "duplicate-key", text(b'{"uri":"URI","x":[{"a":1,"a":2}]}')),
    ("bad UTF-8", "bad-utf8", text(b'{"uri":"URI","headline":"\xe0\xba"}')),
    ("half a surrogate pair", "bad-utf8", text(b'{"uri":"URI","headline":"\\ud800"}')),
    ("NUL in text", "nul-in-text", text(b'{"uri":"URI","headline":"a\\u0000b"}')),
    ("33 deep", "too-deep", text(b'{"uri":"URI","x":' + b"[" * 33 + b"]" * 33 + b"}")),
    ("100,000 deep", "too-deep", text(b'{"uri":"URI","x":' + b"[" * 100000 + b"}")),
    ("6,000 values", "too-many-values", text(b'{"uri":"URI","x":[' + b"0," * 6000 + b"0]}")),
    ("no JSON", "bad-document", b"hello"),
    ("a list", "bad-document", b"[]"),
    ("cut off", "bad-document", text(b'{"uri":"URI","headline":"abc')),
    ("two objects", "bad-document", text(b'{"uri":"URI"}{"uri":"URI"}')),
    ("no uri", "bad-uri", b'{"version":"1"}'),
    ("uri a number", "bad-uri", b'{"uri":5}'),
    ("uri empty", "bad-uri", b'{"uri":""}'),
    ("uri with a line end", "bad-uri", b'{"uri":"a\\nb"}'),
    ("uri of 1,025 octets", "bad-uri", b'{"uri":"' + b"u" * 1025 + b'"}'),
    ("version a list", "bad-version", with_(version=[1])),
    ("version below 0", "bad-version", with_(version=-1)),
    ("version of 65 octets", "bad-version", with_(version="v" * 65)),
    ("status unknown", "bad-status", with_(pubstatus="maybe")),
    ("status a number", "bad-status", with_(pubstatus=1)),
    ("date impossible", "bad-date", with_(versioncreated="2026-13-01T00:00:00Z")),
    ("urgency 0", "bad-urgency", with_(urgency=0)),
    ("urgency 10", "bad-urgency", with_(urgency=10)),
    ("urgency a string", "bad-urgency", with_(urgency="1")),
    ("urgency 1e999", "bad-urgency", text(b'{"uri":"URI","urgency":1e999}')),
    ("language a number", "bad-field", with_(language=5)),
    ("no channel", "bad-channel", None),
]
CASES = [(name, refused(code, doc)) for name, code, doc in NOT_TAKEN if doc is not None]


def no_channel(w):
    r = Rule(w)
    check(give(r.pub, r.story(), {}), ("bad-channel", "never"), "two channels and none named")
    line = w.x.log("item.refused", since=w.mark, reason="bad-channel")
    check([key for key in line if not line[key]], [], "keys without a value: the document was not read")
    check(give(r.pub, r.story(), {"channel": "R C"}), ("bad-channel", "never"), "not a name")


CASES += [
    ("no channel", no_channel),
    ("octets and envelope", facts), ("forged transport", forged), ("duplicate", duplicate), ("duplicate of an older version", duplicate_later),
    ("conflict", conflict), ("conflict by its photo", conflict_parts), ("other-channel", other_channel), ("version-order", version_order),
    ("3, 1, 2", superseded), ("all versions in order", superseded_all), ("10 is newer than 9", ten_nine), ("2 and \"2\"", number_and_text),
    ("instants", by_time), ("settled before sent", settled_before_sent), ("withdrawn when superseded", withdrawn_superseded),
    ("ACK crosses WITHDRAW", ack_crosses), ("kill: canceled", kill()), ("kill: cancelled", kill("cancelled")),
    ("kill: pubStatus", kill("canceled", "pubStatus")), ("kill before it was sent", kill_unsent),
    ("kill of all versions before they were sent", kill_all_versions), ("kill of what never came", kill_first), ("kill twice", kill_twice),
    ("kill with the same version", kill_same_version), ("kill with an older version", kill_older_version), ("kill with an embargo", kill_with_embargo),
    ("withheld", withheld),
    ("embargoed", embargo_far("embargoed")), ("embargoedUntil", embargo_far("embargoedUntil")), ("embargo", embargo_far("embargo")),
    ("embargo in the past", embargo_past), ("embargo: the latest wins", embargo_latest), ("flash overtakes", flash), ("the lane follows the document", lane_lie),
    ("guid for uri", guid), ("photos octet for octet", photo_octets),
]
SLOW = [("embargo comes due", embargo_due), ("embargo moved", embargo_moved), ("killed under embargo", embargo_killed),
        ("photo under embargo", embargo_parts)]


def test_rules():
    run_cases(CASES, PARTNERS, SUBS, what="rules")


def test_embargo():
    run_cases(SLOW, PARTNERS, SUBS, what="rules")
