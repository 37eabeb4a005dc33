"""Rights: what each of three partners may do to the others' channels, stories, photos and debts; and who is let in at all."""
import itertools
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess

from cases import alive, check, give, holds, octets, picture, reader, settled, sha
from kit import NEWSXCTL, WAIT_S, Exchange, Failed, Key
from newsx import Link, part, story

ABC = ("a", "b", "c")
PARTNERS = {n: 'publish = {"%s.*"} read = {"%s.*"}' % (n, n) for n in ABC}
SUBS = {"own-%s" % n: 'partner = "%s" channels = {"%s.*"} start = "all"' % (n, n) for n in ABC}
ALL = {"watch": 'read = {"*"}'}
WATCH = {"watching": 'partner = "watch" channels = {"*"} start = "all"'}


def links(x, names=ABC):
    return {n: Link(x.port, x.keys[n].identity) for n in names}


def test_channels():
    """for every pair: nobody publishes to, reads or claims what is another's, and is told the same as for what is not there"""
    with Exchange(PARTNERS, SUBS) as x:
        on = links(x)
        for me, other in itertools.product(ABC, ABC):
            got = give(on[me], story("urn:%s-to-%s" % (me, other)), {"channel": "%s.news" % other})
            check(got, "stored" if me == other else ("not-allowed", "never"), "%s publishes to %s" % (me, other))
        words = set()
        for me, other in itertools.permutations(ABC, 2):
            on[me].subscribe("own-%s" % other)
            got = on[me].next("UNSUBSCRIBED").body
            on[me].subscribe("own-nobody")
            words.add((got["code"], got["number"], got.get("words")))
            got = on[me].next("UNSUBSCRIBED").body
            words.add((got["code"], got["number"], got.get("words")))
        check(len(words), 1, "words for another's and for nobody's: %s" % words)
        for me in ABC:
            sub = reader(x, me, "own-%s" % me)
            check(sub.claim["owed"] >= 1, True, "owed")
            head, envelope, _ = sub.receive()
            check(envelope["origin"], me, "what %s reads" % me)
            sub.ack(head["id"])
            alive(sub)
            check([f for f in sub.queue if f.type == "ITEM"], [], "more items for %s" % me)
        for link in on.values():
            alive(link)


def test_identity():
    """(origin, uri, version): one partner cannot kill, supersede, conflict with or mark as duplicate what is another's"""
    everything = {n: 'publish = {"joint", "%s.*"}' % n for n in ABC}
    with Exchange({**everything, **ALL}, WATCH) as x:
        on = links(x)
        joint = {"channel": "joint"}
        for mine, theirs in itertools.permutations(ABC, 2):
            uri = "urn:pair:%s%s" % (mine, theirs)
            sent = [(mine, story(uri, "1", by=mine)), (theirs, story(uri, "1", by=theirs)),
                    (theirs, story(uri, "2", by=theirs, pubstatus="canceled")), (mine, story(uri, "2", by=mine)),
                    (theirs, story(uri, "9")), (mine, story(uri, "3", by=mine))]
            for number, (who, document) in enumerate(sent):
                check(give(on[who], document, joint), ("killed", "never") if number == 4 else "stored",
                      "%s, %s, item %d" % (mine, theirs, number))
        watch = reader(x, "watch", "watching")
        seen = {}
        while len(seen) < 12:  # of each pair: the latest of one, the kill of the other
            head, envelope, document = watch.receive()
            seen[(envelope["origin"], re.search(rb"urn:pair:\w+", document)[0])] = document
            watch.ack(head["id"])
        for mine, theirs in itertools.permutations(ABC, 2):
            uri = "urn:pair:%s%s" % (mine, theirs)
            check(seen[(mine, uri.encode())], octets(story(uri, "3", by=mine)), "%s beside the kill of %s" % (mine, theirs))
            check(seen[(theirs, uri.encode())], octets(story(uri, "2", by=theirs, pubstatus="canceled")), "the kill")


def test_speaks_for():
    """an origin counts when the partner speaks for it: then it is that origin's story; else never"""
    with Exchange({"a": 'publish = {"joint"}', "bureau": 'publish = {"joint"} speaks-for = {"a"}', **ALL}, WATCH) as x:
        a, bureau = Link(x.port, x.keys["a"].identity), Link(x.port, x.keys["bureau"].identity)
        for origin in ("bureau", "watch", "nobody", "A"):
            check(give(a, story(), {"origin": origin}), ("not-your-origin", "never"), origin)
            x.log("item.refused", peer="a", reason="not-your-origin")
        check(give(a, story("urn:s"), {"origin": "a"}), "stored", "its own name")
        check(give(bureau, story("urn:s"), {"origin": "a"}), "duplicate", "the same through the bureau")
        check(give(bureau, story("urn:s", headline="other"), {"origin": "a"}), ("conflict", "never"), "conflict within one origin")
        check(give(bureau, story("urn:s", headline="other")  , {}), "stored", "the bureau's own story of that uri")
        watch = reader(x, "watch", "watching")
        seen = []
        for _ in range(2):
            head, envelope, _ = watch.receive()
            seen.append((envelope["origin"], envelope["sender"]))
            watch.ack(head["id"])
        check(seen, [("a", "a"), ("bureau", "bureau")], "origin and sender")


def conversation(link, data, uri):
    """the frames that an offer of this photo brings, and what they hold but for numbers of ours"""
    envelope = {"channel": "b.news", "parts": [part("p.jpg", data)]}
    ident = link.publish(story(uri, renditions={"web": {"href": "p.jpg"}}), envelope)
    frames = []
    while True:
        frame = link.next("NEED", "ACK", "REFUSE", "STOP", "GONE")
        if frame.type == "NEED":
            frames.append((frame.type, frame.body["offset"], frame.body["length"], frame.body["sha256"] == sha(data)))
            link.serve({sha(data): data}, frame)
        else:
            frames.append((frame.type, [(e["id"] - ident, e["result"], e["stage"]) for e in frame.body]))
            return frames


def test_photos():
    """another's photo is no photo: it is asked for whole, exactly as an unknown one; one's own is not asked for again"""
    partners = {"a": 'publish = {"a.*"}', "b": 'publish = {"b.*"} read = {"a.*"}', "c": 'publish = {"b.*"} read = {"c.*"}'}
    subs = {"from-a": 'partner = "b" channels = {"a.*"} start = "all"'}
    with Exchange(partners, subs) as x:
        photo = os.urandom(200000)
        doc, env, parts = picture("urn:a:1", photo)
        a = Link(x.port, x.keys["a"].identity)
        check(give(a, doc, {"channel": "a.news", **env}, parts), "stored", "a's photo")
        c = Link(x.port, x.keys["c"].identity)
        known, unknown = conversation(c, photo, "urn:c:1"), conversation(c, os.urandom(200000), "urn:c:2")
        check(known, unknown, "another's photo and an unknown one")
        check([f[0] for f in known], ["NEED", "ACK"], "frames")
        check(known[0][1:3], (0, 200000), "asked for whole")
        check([f[0] for f in conversation(c, photo, "urn:c:3")], ["ACK"], "c's own by now")
        # b: before it was delivered whole it is unknown, afterwards it is b's
        b = reader(x, "b", "from-a")
        head, _, _ = b.receive()
        check(b.fetch(sha(photo), len(photo)) == photo, True, "the photo")
        b.ack(head["id"])
        settled(x, "from-a")
        check([f[0] for f in conversation(b, photo, "urn:b:1")], ["ACK"], "delivered whole to b: not asked again")
        # nobody gets octets for a hash alone
        for link in (a, c):
            link.need(sha(photo), 0, len(photo))
            check(link.next("GONE", "DATA").body.get("code"), "not-open", "NEED by hash")
        doc, env, _ = picture("urn:c:lie", os.urandom(50))
        check(give(c, doc, {"channel": "b.news", **env}, {bytes.fromhex(env["parts"][0]["sha256"]): bytes(50)}),
              ("part-mismatch", "later"), "wrong octets")


def test_partial_possession():
    """half of another's photo read, half of it sent: neither is possession"""
    partners = {"a": 'publish = {"a.*"}', "b": 'publish = {"b.*"} read = {"a.*"}'}
    with Exchange(partners, {"from-a": 'partner = "b" channels = {"a.*"} start = "all"'}) as x:
        photo = os.urandom(100000)
        doc, env, parts = picture("urn:a:1", photo)
        check(give(Link(x.port, x.keys["a"].identity), doc, {"channel": "a.news", **env}, parts), "stored", "a's photo")
        b = reader(x, "b", "from-a")
        head, _, _ = b.receive()
        b.need(sha(photo), 0, 60000)
        while b.next("DATA").body["offset"] + 16368 < 60000:
            pass
        check(conversation(b, photo, "urn:b:1")[0], ("NEED", 0, 100000, True), "after a read of a part of it")
        b.ack(head["id"])


def test_settling():
    """nobody answers for another: ids are of a connection, claims of a partner"""
    with Exchange(PARTNERS, SUBS) as x:
        on = links(x)
        check(give(on["a"], story(), {"channel": "a.x"}), "stored", "item")
        a = reader(x, "a", "own-a")
        head, _, _ = a.receive()
        b = links(x, "b")["b"]
        b.ack(head["id"])
        check(b.closes(), "bad-ack", "b's ACK of a's item")
        b = links(x, "b")["b"]
        b.subscribe("own-a", epoch=a.claim["epoch"], position=head["position"])
        check(b.next("UNSUBSCRIBED").body["code"], "no-such-subscription", "b says it has a's")
        b.frame("WITHDRAW", struct.pack(">QB", head["id"], 6) + b"killed")
        check(b.closes(), "bad-item", "b's WITHDRAW")
        a.close()
        a = reader(x, "a", "own-a")
        check(a.claim["owed"], 1, "still owed to a")
        check(a.receive()[0]["position"], head["position"], "still sent to a")


def test_reading_rights():
    """a subscription gives what its partner may read, not what it asks for"""
    with Exchange({"a": 'publish = {"a.*"}', "b": 'read = {"a.open"}'}, {"s": 'partner = "b" channels = {"a.*"} start = "all"'}) as x:
        a = Link(x.port, x.keys["a"].identity)
        for n, channel in enumerate(("a.secret", "a.open", "a.opener", "a")):
            got = give(a, story("urn:%d" % n), {"channel": channel})
            check(got, ("not-allowed", "never") if channel == "a" else "stored", channel)
        b = reader(x, "b", "s")
        head, env, _ = b.receive()
        check(env["channel"], "a.open", "channel")
        b.ack(head["id"])
        alive(b)
        check([f for f in b.queue if f.type == "ITEM"], [], "more")
        check(give(b, story(), {"channel": "a.open"}, wait_credit=False) if b.credit[0][0] else "no credit", "no credit", "credit of a reader")


# -- who is let in

def refuse_line(x, reason, mark):
    return x.log("conn.refuse", since=mark, reason=reason)


def ended(connect):
    """it does not come so far as a HELLO"""
    try:
        link = connect()
        link.closes()
        return not any(f.type == "HELLO" for f in link.queue)
    except (OSError, Failed):
        return True


def test_strangers():
    """each kind of stranger has its own reason in the log, and none of them costs anyone anything"""
    with Exchange(PARTNERS, SUBS) as x:
        stranger = Key(x.folder, "stranger")
        rows = [
            ("no-certificate", lambda: Link(x.port, None)),
            ("unknown-key", lambda: Link(x.port, stranger.identity)),
            ("wrong-alpn", lambda: Link(x.port, x.keys["a"].identity, alpn="http/1.1")),
            ("wrong-alpn", lambda: Link(x.port, x.keys["a"].identity, alpn=None)),
            ("old-tls", lambda: Link(x.port, x.keys["a"].identity, low=ssl.TLSVersion.TLSv1_2)),
        ]
        for reason, connect in rows:
            mark = x.mark()
            check(ended(connect), True, reason)
            line = refuse_line(x, reason, mark)
            holds(line["addr"].startswith("127.0.0.1:"), "address: %r" % line)
            if reason == "unknown-key":
                made = subprocess.run([NEWSXCTL, "key", "pin", stranger.crt], text=True, capture_output=True, check=True,
                                      timeout=WAIT_S).stdout
                check((line["pin"], line["spoken"]), (stranger.pin, stranger.spoken), "ready to paste")
                holds(stranger.pin in made and stranger.spoken in made, "newsxctl key pin: %s" % made)
        for octets_, reason in ((b"GET / HTTP/1.1\r\n\r\n", "handshake-failed"), (b"\0" * 600, "handshake-failed")):
            mark = x.mark()
            with socket.create_connection(("127.0.0.1", x.port), WAIT_S) as sock:
                sock.sendall(octets_)
                while sock.recv(4096):
                    pass
            refuse_line(x, reason, mark)
        alive(Link(x.port, x.keys["a"].identity))


def test_pasted():
    """the pin from the log, pasted into the configuration, lets the stranger in"""
    with Exchange(PARTNERS, SUBS) as x:
        stranger = Key(x.folder, "stranger")
        check(ended(lambda: Link(x.port, stranger.identity)), True, "stranger")
        pin = x.log("conn.refuse", reason="unknown-key")["pin"]
        x.partners["new"] = 'pin = {"%s"} publish = {"new.*"}' % pin
        x.configure()
        check(x.reload()["event"], "conf.reload", "reload")
        check(give(Link(x.port, stranger.identity), story(), {"channel": "new.x"}), "stored", "no stranger any more")


def test_slow_handshake():
    with Exchange(PARTNERS, SUBS, {"limits": "handshake = 400ms"}) as x:
        silent = socket.create_connection(("127.0.0.1", x.port), WAIT_S)
        dripping = socket.create_connection(("127.0.0.1", x.port), WAIT_S)
        dripping.sendall(b"\x16\x03\x01\x02\x00\x01")
        alive(Link(x.port, x.keys["a"].identity))
        x.log("conn.refuse", reason="handshake-slow", count=2)
        for sock in (silent, dripping):
            try:
                while sock.recv(4096):
                    pass
            except OSError:
                pass


def test_ceilings():
    """connections in all, of an address, of a partner: each says which, and others keep what they have"""
    with Exchange(PARTNERS, SUBS, {"limits": "connections-per-address = 3"}) as x:
        kept = [Link(x.port, x.keys["a"].identity) for _ in range(3)]
        check(ended(lambda: Link(x.port, x.keys["b"].identity)), True, "a fourth")
        x.log("conn.refuse", reason="too-many-from-address")
        for link in kept:
            alive(link)
        kept[0].close()
        x.log("conn.close", peer="a")
        alive(Link(x.port, x.keys["b"].identity))
    with Exchange(PARTNERS, SUBS, {"limits": "connections = 3"}) as x:
        kept = [Link(x.port, x.keys[n].identity) for n in ABC]
        check(ended(lambda: Link(x.port, x.keys["b"].identity)), True, "a fourth")
        x.log("conn.refuse", reason="too-many-connections")
        for link in kept:
            alive(link)
    with Exchange({**PARTNERS, "a": PARTNERS["a"] + " connections = 2"}, SUBS) as x:
        kept = [Link(x.port, x.keys["a"].identity) for _ in range(2)]
        check(ended(lambda: Link(x.port, x.keys["a"].identity)), True, "a third of one partner")
        x.log("conn.refuse", reason="too-many-connections")
        for link in kept:
            alive(link)
        alive(Link(x.port, x.keys["b"].identity))


def old_key(x, name):
    """a certificate of this key that is over since long"""
    key = x.keys[name]
    subprocess.run(["faketime", "2020-01-01 00:00:00", "openssl", "req", "-x509", "-key", key.key, "-subj", "/CN=" + name,
                    "-days", "30", "-out", key.crt], check=True, capture_output=True, timeout=WAIT_S)


def test_expired():
    """expired: refused where enforce-expiry says so, else only warned about"""
    if not (shutil.which("openssl") and shutil.which("faketime")):
        print("neither openssl nor faketime: SKIP")
        return
    with Exchange({"a": PARTNERS["a"] + " enforce-expiry = yes", "b": PARTNERS["b"]}, {}) as x:
        alive(Link(x.port, x.keys["a"].identity))
        old_key(x, "a")
        old_key(x, "b")
        check(ended(lambda: Link(x.port, x.keys["a"].identity)), True, "expired and enforced")
        x.log("conn.refuse", reason="expired")
        alive(Link(x.port, x.keys["b"].identity))
        x.log("key.expires", peer="b", level="warn")


def test_twin():
    """a node has one connection; a partner may have several"""
    with Exchange({"n": PARTNERS["a"].replace("a.*", "n.*") + " node = yes", "a": PARTNERS["a"]}, {}) as x:
        first = Link(x.port, x.keys["n"].identity, boot="aa")
        second = Link(x.port, x.keys["n"].identity, boot="bb")
        check(second.closes(), "twin", "a second program with a node's key")
        alive(first)
        for link in [Link(x.port, x.keys["a"].identity) for _ in range(2)]:
            alive(link)


def test_node_hops():
    """what a node says of the way counts, and our hop comes after"""
    with Exchange({"n": 'publish = {"joint"} node = yes speaks-for = {"far"}', **ALL}, WATCH) as x:
        node = Link(x.port, x.keys["n"].identity)
        hops = [{"party": "far-exchange", "time": "2026-11-22T10:00:00Z"}]
        check(give(node, story(), {"channel": "joint", "origin": "far", "hops": hops, "signal": "sig:correction"}), "stored", "node")
        _, env, _ = reader(x, "watch", "watching").receive()
        check((env["origin"], env["sender"], env["signal"]), ("far", "n", "sig:correction"), "envelope")
        check([h["party"] for h in env["hops"]], ["far-exchange", "exchange"], "hops")
        full = [{"party": "p%d" % n, "time": "2026-11-22T10:00:00Z"} for n in range(32)]
        got = give(node, story("urn:far"), {"channel": "joint", "hops": full})
        holds(got == ("bad-envelope", "never"), "32 hops and ours: %r" % (got,))
