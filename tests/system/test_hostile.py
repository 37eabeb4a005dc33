"""Attacks by a partner with a valid certificate that lie in no single frame: names that forge, bombs, floods, ceilings.
Each has its end, by name, and beside all of them an innocent pair exchanges stories on links that are never closed.
(Lies in frames, lengths and states are in test_lies, certificates in test_tls, frames by lot in test_fuzzing.)
"""
import os
import re
import signal
import struct
import subprocess
import time

import barrage
from cases import Steady, alive, check, give, holds, octets, picture, run_cases, serve_until
from kit import BUILD, SLOW, WAIT_S, Exchange, Failed, Key
from newsx import FLASH, ROUTINE, encode, part, story
from test_lies import credited, refusing

ENV = {"channel": "lie.a"}
PARTNERS = {"liar": 'publish = {"lie.*"} read = {"lie.*"} part = 1MiB parts = 8 kills-per-day = 3 connections = 12',
            "hasty": 'publish = {"hasty"} items-per-minute = 5',
            "heavy": 'publish = {"heavy"} octets-per-minute = "1KiB"'}
SUBS = {"h%d" % n: 'partner = "liar" channels = {"lie.h%d"} start = "all"' % n for n in range(12)}

# -- names: each stands in a log line afterwards, as one line that reads back as what was sent

FORGERIES = (
    ("a line end", "a\nlevel=err event=conn.close reason=forged"),
    ("a carriage return", "a\rlevel=err event=x.y"),
    ("a quote", 'a" reason=forged b="'),
    ("a backslash at the end", "a\\"),
    ("an escape sequence", "a\x1b[2J\x1b]0;owned\x07"),
    ("an eight-bit escape", "a\u009b2J"),
    ("writing turned round", "a\u202egnp.exe\u2066"),
    ("blanks and equals", "a reason=forged seq=1"),
    ("a line separator", "a\u2028level=err"),
    ("DEL", "a\x7f\x7f"),
    ("512 letters", "ຂ" * 85),
)


def said_in_hello(value):
    def case(w):
        link = w.link(hello=False)
        link.hello(node="liar", agent=value)
        link.expect("HELLO")
        line = w.x.log("peer.hello", since=w.mark, peer="liar")
        holds(line["node"] == "liar" and "reason" not in line, "forged: %r" % line)
        alive(link)
    return case


def said_in_bye(value):
    def case(w):
        link = credited(w)
        link.bye(words=value)
        line = w.x.log("peer.bye", since=w.mark, peer="liar")
        check((line["code"], line.get("reason")), ("bye", None), "forged: %r" % line)
    return case


def said_in_refuse(value):
    def case(w):
        giver, name = w.link(), "h0"
        check(give(giver, story("urn:hostile:%s" % os.urandom(4).hex()), {"channel": "lie." + name}), "stored", "item")
        link = w.reader("liar", name)
        link.refuse(link.receive()[0]["id"], retry="never", words=value)
        line = w.x.log("item.refused_by", since=w.mark, peer="liar")
        check((line["reason"], line["retry"]), ("busy", "never"), "forged: %r" % line)
    return case


def said_in_uri(value):
    """controls are refused; what is allowed stands in the line of its item"""
    def case(w):
        link = credited(w)
        got = give(link, story("urn:hostile:" + value), ENV)
        holds(got == "stored" or got in (("bad-uri", "never"),), "answer %r" % (got,))
        line = w.x.log("item.stored" if got == "stored" else "item.refused", since=w.mark, peer="liar")
        check(line.get("reason", "bad-uri"), "bad-uri", "forged: %r" % line)
        alive(link)
    return case


NAMES = [("%s: %s" % (where, name), make(value)) for where, make in (
    ("agent", said_in_hello), ("words of BYE", said_in_bye), ("words of REFUSE", said_in_refuse), ("uri", said_in_uri))
    for name, value in FORGERIES]
NAMES += [("part: name %s" % name, refusing("bad-envelope", story("urn:hostile:p", renditions={"r": {"href": name}}),
                                            {**ENV, "parts": [{**part("x", b"1"), "name": name}]}))
          for name in ("a/../../etc/passwd", "..", "a/..", "./a", "a/./b", "//host/share", "\\\\host\\share", "a\x1b[2J", "a\u202eb",
                       "a\tb", "a/" + "n" * 254, "a/")]
NAMES += [("version: %s" % name, refusing("bad-version", story("urn:hostile:v", version=value))) for name, value in (
    ("65 octets", "1" * 65), ("a line end", "1\n2"), ("an escape", "1\x1b[2J"), ("below zero", -1), ("a fraction", 1.5), ("a list", [1]), ("empty", ""))]

# -- bombs of JSON, each with the word for it

BOMBS = [("bomb: %s" % name, refusing(code, document)) for name, code, document in (
    ("6,000 empty lists", "too-many-values", b'{"uri":"u","x":[' + b"[]," * 6000 + b"1]}"),
    ("6,000 keys", "too-many-values", b'{"uri":"u","x":{' + b",".join(b'"k%d":{}' % n for n in range(6000)) + b"}}"),
    ("two hundred deep", "too-deep", b'{"uri":"u","x":' + b"[" * 200 + b"]" * 200 + b"}"),
    ("a hundred thousand deep, never closed", "too-deep", b'{"uri":"u","x":' + b'{"a":[' * 30000),
    ("a key twice, once as an escape", "duplicate-key", b'{"uri":"u","\\u0075ri":"v"}'),
    ("a key twice, deep inside", "duplicate-key", b'{"uri":"u","x":[{"y":{"a":1,"a":2}}]}'),
    ("NUL as an escape", "nul-in-text", b'{"uri":"u","x":"\\u0000"}'),
    ("NUL as an octet", "nul-in-text", b'{"uri":"u","x":"a\0b"}'),
    ("half a pair", "bad-utf8", b'{"uri":"u","x":"\\ud800"}'),
    ("overlong UTF-8", "bad-utf8", b'{"uri":"u","x":"\xc0\xaf"}'),
    ("UTF-8 of a surrogate", "bad-utf8", b'{"uri":"u","x":"\xed\xa0\x80"}'),
    ("octet order mark", "bad-document", b'\xef\xbb\xbf{"uri":"u"}'),
    ("UTF-16", "bad-document", '{"uri":"u"}'.encode("utf-16")),
    ("NaN", "bad-document", b'{"uri":"u","x":NaN}'),
    ("a comma at the end", "bad-document", b'{"uri":"u",}'),
    ("two documents", "bad-document", b'{"uri":"u"}{"uri":"v"}'),
    ("a version of a million digits", "bad-version", b'{"uri":"u","version":' + b"9" * 200000 + b"}"),
    ("an urgency of 10^400", "bad-urgency", b'{"uri":"u","urgency":1e400}'),
    ("an embargo that cannot be read", "bad-embargo", b'{"uri":"u","embargoed":"tomorrow"}'),
    ("an embargo without a zone", "bad-embargo", b'{"uri":"u","embargoed":"2030-01-01T00:00:00"}'),
    ("a day that is none", "bad-date", b'{"uri":"u","versioncreated":"2026-02-30T00:00:00Z"}'),
    ("a status of its own", "bad-status", b'{"uri":"u","pubstatus":"maybe"}'),
    ("a uri of 1,025 octets", "bad-uri", octets({"uri": "u" * 1025})),
    ("no uri", "bad-uri", b'{"x":1}'),
)]

# -- ceilings and games

def kill_after_kill(w):
    """tombstones have a ceiling a day"""
    link = credited(w)
    name = os.urandom(4).hex()
    got = [give(link, story("urn:hostile:k:%s:%d" % (name, n), pubstatus="canceled"), ENV, lane=FLASH) for n in range(6)]
    check(got[3:], [("kills-per-day", "later")] * 3, "kills")
    alive(link)


def in_haste(w, who, **more):
    link = w.link(who)
    got = []
    for n in range(12):
        got.append(give(link, story("urn:hostile:%s:%s:%d" % (who, os.urandom(3).hex(), n), **more), {"channel": who}))
    alive(link)
    return got


def too_many_items(w):
    got = in_haste(w, "hasty")
    check((got.count("stored"), got.count(("too-fast", "later"))), (5, 7), "in a minute")


def too_many_flashes(w):
    got = in_haste(w, "hasty", urgency=1)
    check((got.count("stored"), got.count(("too-fast", "later"))), (5, 7), "flashes in a minute")


def too_many_octets(w):
    got = in_haste(w, "heavy", body_text="o" * 400)
    holds(got[0] == "stored" and got[-1] == ("too-fast", "later"), "octets in a minute: %r" % got)


def too_many_connections(w):
    links = [w.link() for _ in range(12)]
    let_in = True
    try:
        w.link()
    except (OSError, Failed):
        let_in = False
    holds(not let_in, "let in")
    w.x.log("conn.refuse", since=w.mark, reason="too-many-connections")
    for link in links:
        alive(link)


def takeover_after_takeover(w):
    """a claim taken to and fro: four times a minute"""
    links, got = [credited(w), credited(w)], []
    for n in range(8):
        links[n & 1].subscribe("h1")
        frame = links[n & 1].next("SUBSCRIBED", "UNSUBSCRIBED")
        while frame.type == "UNSUBSCRIBED" and frame.body["code"] == "taken-over":
            frame = links[n & 1].next("SUBSCRIBED", "UNSUBSCRIBED")
        got.append(frame.body.get("code", "claimed"))
    check(got, ["claimed"] * 5 + ["busy"] * 3, "takeovers")
    w.x.log("subscription.refuse", since=w.mark, reason="busy")


def withdraw_after_withdraw(w):
    """begun and taken back, a hundred times in each lane: one answer each, and the lanes are free"""
    link = credited(w)
    for n in range(100):
        for lane in (ROUTINE, FLASH):
            while not link.may(lane):
                link.pump()
            ident = link.item_head(2, 1000, lane, octets=b"{}{")
            link.frame("WITHDRAW", struct.pack(">QB", ident, 6) + b"killed")
            link.frame("WITHDRAW", struct.pack(">QB", ident, 6) + b"killed")
            check(link.answer(ident), ("withdrawn", "never"), "withdrawn %d" % n)
    check(give(link, story("urn:hostile:after"), ENV), "stored", "after it")


def promises(w):
    """flashes whose photo never comes: `busy` when what this partner may hold is held; the innocent never hear it"""
    link = credited(w)
    data = os.urandom(1000)
    env = octets({**ENV, "parts": [part("p.jpg", data)]})
    busy = None
    for n in range(100):
        while not link.may(FLASH):
            link.pump()
        link.publish(story("urn:hostile:promise:%d" % n, urgency=1, body_text="p" * 200000), env, lane=FLASH)
        busy = next((f for f in link.queue if f.type == "REFUSE"), None)
        if busy:
            break
    while not busy:
        link.pump()
        busy = next((f for f in link.queue if f.type == "REFUSE"), None)
    check((busy.body["code"], busy.body["retry"]), ("busy", "later"), "the refusal")
    w.x.log("item.refused", since=w.mark, peer="liar", reason="busy")


def two_links_that_lie(w):
    """a part half from one link, with lies, half from another: later, then never; and whole when it is true"""
    doc, env, parts = picture("urn:hostile:two", size=400000)
    (sha, data), = parts.items()
    one, two = credited(w), credited(w)
    for n, wanted in enumerate((("part-mismatch", "later"), ("part-mismatch", "never"))):
        one.publish(doc, {**ENV, **env})
        need = one.next("NEED")
        b = two.publish(story("urn:hostile:two:%d" % n, renditions=doc["renditions"]), {**ENV, **env})
        for at in range(need.body["offset"], 200000, 16000):
            one.data(need.body["handle"], at, bytes(min(16000, 200000 - at)))
        alive(one)
        one.close()
        need = two.next("NEED")
        holds(need.body["offset"] == 200000, "it goes on at %d" % need.body["offset"])
        two.serve({sha: data}, need)
        check(serve_until(two, b, parts), wanted, "half a lie")
        one = credited(w)


def credit_without_end(w):
    link = credited(w)
    link.give_credit((1 << 64) - 1, (1 << 64) - 1)
    link.give_credit((1 << 64) - 1, (1 << 64) - 1)
    link.subscribe("h2")
    link.next("SUBSCRIBED")
    alive(link)


def claims_in_a_circle(w):
    """claimed and given up two thousand times"""
    link = credited(w)
    for _ in range(2000):
        link.subscribe("h3")
        number = link.next("SUBSCRIBED").body["number"]
        link.frame("UNSUBSCRIBE", struct.pack(">I", number))
        check(link.next("UNSUBSCRIBED").body["code"], "released", "given up")
    alive(link)


def needs_of_an_octet(w):
    """a photo, octet by octet, each by a NEED of its own"""
    doc, env, parts = picture("urn:hostile:octets", size=3000)
    giver = w.link()
    check(give(giver, doc, {"channel": "lie.h4", **env}, parts), "stored", "the photo")
    link = w.reader("liar", "h4")
    link.receive()
    (sha, data), = parts.items()
    for at in range(3000):
        link.need(sha, at, 1)
        check(link.next("DATA").octets, data[at:at + 1], "octet %d" % at)
    alive(link)


def later_without_end(w):
    """all that comes is refused later: owed with back-off, and no faster"""
    giver = w.link()
    for n in range(50):
        check(give(giver, story("urn:hostile:later:%d" % n), {"channel": "lie.h5"}), "stored", "item")
    link = w.reader("liar", "h5")
    for _ in range(50):
        link.refuse(link.receive()[0]["id"], after_ms=1 << 52)
    check(link.quiet(1.5), [], "at once again")
    alive(link)


def read_nothing(w):
    """everything claimed, nothing read: others go on, and it is closed by name (test_lies: stall)"""
    giver = w.link()
    for n in range(12):
        check(give(giver, story("urn:hostile:deaf:%d" % n, body_text="d" * 200000), {"channel": "lie.h6"}), "stored", "item")
    link = w.link(rcvbuf=4096)
    link.give_credit()
    link.subscribe("h6")
    w.x.log("subscription.claim", since=w.mark, peer="liar")
    for n in range(20):
        giver.publish(story("urn:hostile:deafer:%d" % n, body_text="d" * 200000), {"channel": "lie.h6"})
    alive(giver)


def an_octet_in_a_record(w):
    """every octet of an item in a TLS record of its own"""
    link = credited(w)
    whole = octets(story("urn:hostile:records"))
    env = octets(ENV)
    frame = encode(7, struct.pack(">QQQIIIB3x", 1, 0, 0, 0, len(env), len(whole), 0) + env + whole)
    for octet in frame:
        link.raw(bytes([octet]))
    check(link.answer(1), "stored", "octet by octet")


def skipped_without_end(w):
    """a hundred megaoctets of frames that mean nothing"""
    link = credited(w)
    many = encode(200, bytes(60000)) * 20
    for _ in range(80):
        link.raw(many)
    alive(link)


GAMES = [
    ("more kills than a day has", kill_after_kill), ("more items than a minute has", too_many_items),
    ("more flashes than a minute has", too_many_flashes), ("more octets than a minute has", too_many_octets),
    ("more connections than a partner has", too_many_connections), ("takeovers without end", takeover_after_takeover),
    ("withdrawn without end", withdraw_after_withdraw), ("promises of photos", promises),
    ("a photo of two links, one of which lies", two_links_that_lie), ("credit without end", credit_without_end),
    ("claimed and given up", claims_in_a_circle), ("NEEDs of an octet", needs_of_an_octet),
    ("later without end", later_without_end), ("nothing read", read_nothing), ("an octet a record", an_octet_in_a_record),
    ("a hundred megaoctets of nothing", skipped_without_end),
]


# -- records that Python's ssl cannot make: records.c makes them by hand

def by_hand(w, attack, *seconds):
    """what records.c says came of it. The daemon has a processor to spare meanwhile, unless it goes on for seconds: then
    the innocent pair gets on all the same"""
    def cpu():
        with open("/proc/%d/stat" % w.x.process.pid, encoding="ascii") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    begin, cost, stories = time.monotonic(), -cpu(), -w.innocent.n
    out = subprocess.run([os.path.join(BUILD, "tests/system/records"), w.x.keys["liar"].identity, str(w.x.port), attack,
                          *map(str, seconds)], text=True, capture_output=True, timeout=WAIT_S, check=True).stdout
    took, cost, stories = time.monotonic() - begin, cost + cpu(), stories + w.innocent.n
    if seconds:
        holds(stories >= 5 * seconds[0] / SLOW, "%d innocent stories in %.1f s: %s" % (stories, took, out))
    else:
        holds(cost < (0.3 + 0.25 * took) * SLOW, "it cost %.2f s in %.1f: %s" % (cost, took, out))
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", out)}


def closes(w, reason):
    """how many links have ended for this reason, as the daemon counts them"""
    mark = w.x.mark()
    w.x.process.send_signal(signal.SIGUSR1)
    w.x.log("store.state", since=mark)
    return int(w.x.log("closes.state", since=mark).get(reason, 0))


def ends(attack, reason, words, *seconds):
    """one link, or one after the other: each is closed by this name, and counted"""
    def case(w):
        got = by_hand(w, attack, *seconds)
        n = got["ended"]
        holds(n > 0 and got["links"] - n <= (2 if seconds else 0), "links %r" % got)
        line = w.x.log("conn.close", since=w.mark, peer="liar", count=n)
        check((line["reason"], line["words"]), (reason, words), "the last of %d ends" % n)
        check(len(w.x.found("conn.close", since=w.mark, peer="liar", reason=reason)), n, "closed as %s" % reason)
        holds(closes(w, reason) >= n, "counted: %s" % reason)
    return case


def is_heard(attack, *seconds):
    """harmless: the link stands, and all that it said was heard"""
    def case(w):
        got = by_hand(w, attack, *seconds)
        check((got["links"], got["ended"]), (1, 0), "links %r" % got)
        if seconds:  # it was cut off in the middle of what it said
            holds(got["heard"] > 0, "heard %r" % got)
        else:
            check(got["heard"], got["pings"], "PINGs")
    return case


KEYS = ("key-update-flood", "too many key updates or empty records")
EMPTY = ("key-update-flood", "too many empty records")
RECORDS = [
    ("key updates, to be answered", ends("key_updates", *KEYS)), ("key updates", ends("silent_key_updates", *KEYS)),
    ("key updates in pieces", ends("key_updates_in_pieces", *KEYS)), ("key updates among PINGs", ends("key_updates_among_pings", *KEYS)),
    ("a few key updates", is_heard("few_key_updates")),
    ("key updates, on link after link", ends("key_updates", *KEYS, 2)),
    ("empty records", ends("empty_records", *EMPTY)), ("records that are only filling", ends("padded_records", *EMPTY)),
    ("empty records, on link after link", ends("empty_records", *EMPTY, 2)),
    ("filling between octets", is_heard("octets_among_padding", 2)),
    ("an octet a record", is_heard("octet_a_record")), ("an octet a record, without end", is_heard("octets_without_end", 2)),
    ("half the header of a record", ends("half_a_header", "idle", "idle")), ("half a record", ends("half_a_record", "idle", "idle")),
] + [("%s after the handshake" % name.replace("_", " "), ends(name, "tls-error", "TLS: " + words)) for name, words in (
    ("hello_request", "unexpected message"), ("client_hello", "unexpected message"), ("session_ticket", "unexpected message"),
    ("end_of_early_data", "unexpected message"), ("certificate", "unexpected message"), ("certificate_request", "unexpected message"),
    ("finished", "unexpected message"), ("unknown_message", "unexpected message"), ("message_of_16_mb", "unexpected message"),
    ("key_update_of_16_mb", "excessive message size"), ("key_update_of_another_kind", "bad key update"),
    ("empty_message", "bad length"), ("half_a_message", "mixed handshake and non handshake data"), ("unknown_type", "bad record type"),
    ("no_type", "bad record type"), ("warnings", "too many warn alerts"), ("wrong_tag", "decryption failed or bad record mac"),
    ("too_long", "encrypted length too long"), ("cipher_change", "bad record type"), ("plain_alert", "bad record type"),
    ("http", "wrong version number"))]


def test_names():
    run_cases(NAMES, PARTNERS, SUBS)


def test_bombs():
    run_cases(BOMBS, PARTNERS, SUBS)


def test_games():
    run_cases(GAMES, PARTNERS, SUBS, {"limits": "inbound-memory = 16MiB"})


def test_records():
    run_cases(RECORDS, PARTNERS, SUBS, {"limits": "ping = 500ms idle = %ds" % (4 * SLOW)})


def test_barrage():
    """all floods at once (make hostile measures them): every innocent story arrives, no innocent link ends"""
    partners = {**Steady.partners, "liar": barrage.LIAR}
    with Exchange(partners, {**Steady.subscriptions, **barrage.SUBS},
                  {"limits": barrage.LIMITS, "log": "item-lines = 50"}, size="1GiB") as x:
        Key(os.path.join(x.folder, "keys"), "liar-stranger")
        innocent = Steady(x)
        with barrage.Running(x, barrage.FLOODS) as running:
            end = time.monotonic() + 6
            while time.monotonic() < end:
                innocent.rest()
            rounds = running.rounds
        innocent.rest()
        holds(len([n for n in rounds.values() if n > 0]) >= 10,  # of 25: they have what is left of the processors
              "floods that never came round: %s" % rounds)
        check([line["reason"] for name in ("good", "friend") for line in x.found("conn.close", peer=name)], [], "innocent links closed")
        innocent.close()
        x.stop()
        print("%d floods beside %d innocent stories: %s" % (len(rounds), innocent.n, rounds))
