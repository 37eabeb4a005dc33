"""ping: each step says how it went; each refusal has a sentence and an exit status of its own, in publish and subscribe too."""
import json
import os
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import types

import ca as ca_
from ca import LEAF_EXT, Ca, together
from cases import alive, check, holds, octets
from kit import NEWSXCTL, ROOT, WAIT_S, Exchange, Key
from newsx import Link, decode, encode, story
from test_rights import old_key

PARTNERS = {"kpl": 'publish = {"kpl.*", "joint"}', "vna": 'read = {"kpl.*"}', "idle": ""}
SUBS = {"from-kpl": 'partner = "vna" channels = {"kpl.*"} start = "all"'}
OPENED = ["name", "port", "tls", "alpn", "server-pin"]
ALL = [*OPENED, "key", "clock", "rights", "round-trip", "rate"]
NAME, PORT, TLS, ALPN, PIN, KEY, CLOCK, RIGHTS, ROUND_TRIP, EXPIRED, CONNECTIONS, HELLO, RATE, REVOKED, \
    CERTIFICATE = range(10, 25)


def run(verb, x, who, *args, server=None, pin=None):
    command = [NEWSXCTL, verb, "--server", server or "127.0.0.1:%d" % x.port, "--server-pin",
               pin or x.keys["exchange"].pin, "--identity", x.keys[who].identity, *args]
    return subprocess.run(command, text=True, capture_output=True, timeout=3 * WAIT_S, check=False)


def steps(got):
    """[(ok?, step)] and the words of the last that failed"""
    lines = [line.split(" ", 2) for line in got.stdout.splitlines()]
    return [name for ok, name, _ in lines if ok == "ok"], {name: words for ok, name, words in lines if ok == "FAIL"}


def fails(x, who, step, status, words, *args, well=None, **more):
    """ping stops at this step, with these words and this status. Gives the sentence"""
    got = run("ping", x, who, *args, **more)
    well_, bad = steps(got)
    check((got.returncode, list(bad)), (status, [step]), "ping: %s%s" % (got.stdout, got.stderr))
    holds(words in bad[step], "%r is not in %r" % (words, bad[step]))
    if well is not None:
        check(well_, well, "what went well")
    return bad[step]


def same_said(x, who, sentence, status, **more):
    """publish and subscribe end with the sentence that ping says"""
    path = os.path.join(x.folder, "story.json")
    with open(path, "wb") as file:
        file.write(octets(story()))
    got = run("publish", x, who, path, **more)
    check(got.returncode, status, "publish: %s%s" % (got.stdout, got.stderr))
    strip = lambda s: s.split(" (", 1)[0]
    holds(strip(sentence) in got.stderr, "publish: %r is not in %r" % (sentence, got.stderr))
    check(got.stdout.split(" ")[0], "undelivered", "what became of the story")
    got = run("subscribe", x, who, "--subscription", "s", "--out", os.path.join(x.folder, "out"), **more)
    check(got.returncode, status, "subscribe: %s" % got.stderr)
    holds(strip(sentence) in got.stderr, "subscribe: %r is not in %r" % (sentence, got.stderr))


class Server:
    """who answers on a port of its own: talk(socket) in a thread for each connection"""

    def __init__(self, talk):
        self.talk, self.server = talk, socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(sock,), daemon=True).start()

    def _one(self, sock):
        try:
            with sock:
                sock.settimeout(WAIT_S)
                self.talk(sock)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


def drain(sock):
    while sock.recv(65536):
        pass


def tls_server(key, alpn=("newsxd/1",), high=ssl.TLSVersion.TLSv1_3, talk=drain):
    """shakes hands with this key, then talks"""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ctx.load_cert_chain(key.crt, key.key)
    ctx.maximum_version = high
    if alpn:
        ctx.set_alpn_protocols(list(alpn))
    return Server(lambda sock: talk(ctx.wrap_socket(sock, server_side=True)))


def exchange_talk(ahead_s=0, rights=None, pongs=1 << 30):
    """a talk() that says HELLO and answers so many PINGs by a clock of its own; after the last it closes, if there was one"""
    def talk(sock):
        hello = {"node": "fake", "epoch": "1"}
        if rights is not None:
            hello["rights"] = rights
        sock.sendall(encode(1, json.dumps(hello).encode()))
        wire, left = b"", pongs
        while True:
            data = sock.recv(65536)
            if not data:
                return
            wire += data
            while len(wire) >= 8 and len(wire) >= 8 + struct.unpack_from(">I", wire)[0]:
                length, number = struct.unpack_from(">IB", wire)
                frame = decode(number, wire[8:8 + length])
                wire = wire[8 + length:]
                if frame.type == "PING" and pongs and left == 0:
                    return
                if frame.type == "PING" and left > 0:
                    left -= 1
                    sock.sendall(encode(17, struct.pack(">QQ", frame.body["token"], int((time.time() + ahead_s) * 1000))))
    return talk


def test_all_is_well():
    """every step says ok, in order, for people and for programs; rights are the partner's own"""
    with Exchange(PARTNERS, SUBS) as x:
        got = run("ping", x, "kpl")
        check((got.returncode, got.stderr), (0, ""), "status")
        check(steps(got), (ALL, {}), "steps")
        line = {l.split(" ")[1]: l for l in got.stdout.splitlines()}
        check(line["rights"], "ok rights may publish to: kpl.* joint; may subscribe to: nothing", "rights")
        holds(x.keys["kpl"].pin in line["key"] and "exchange" in line["key"], line["key"])
        rows = [json.loads(l) for l in run("ping", x, "vna", "--subscription", "from-kpl", "--json").stdout.splitlines()]
        check([(r["step"], r["ok"]) for r in rows], [(s, True) for s in ALL], "--json")
        row = {r["step"]: r for r in rows}
        check(row["rights"]["words"], "may publish to: nothing; may subscribe to: from-kpl", "rights")
        holds(abs(row["clock"]["ms"]) < 1000 and 0 < row["round-trip"]["us"] < 10**7, "figures: %r" % row)
        holds(row["rate"]["octets_per_s"] > 10000, "rate: %r" % row["rate"])
        check(run("ping", x, "kpl", "--channel", "kpl.news").returncode, 0, "a channel that it may publish to")
        link = Link(x.port, x.keys["kpl"].identity)
        check(link.peer["rights"], {"publish": ["kpl.*", "joint"], "subscriptions": []}, "HELLO")
        alive(link)


def test_many_rights():
    """a list that is too long for HELLO is cut with a mark, and then nothing is denied"""
    names = ["c%02d.%s" % (n, "x" * 40) for n in range(60)]
    with Exchange({"kpl": "publish = {%s}" % ", ".join('"%s"' % n for n in names)}) as x:
        said = Link(x.port, x.keys["kpl"].identity).peer["rights"]["publish"]
        check((said[-1], said[:-1]), ("...", names[:len(said) - 1]), "HELLO")
        holds(9 < len(said) < 13, "%d names" % len(said))
        check(run("ping", x, "kpl", "--channel", names[59]).returncode, 0, "one that is beyond the mark")


def test_rights():
    with Exchange(PARTNERS, SUBS) as x:
        well = [s for s in ALL if s != "rights"]
        fails(x, "idle", "rights", RIGHTS, "may publish nowhere and has no subscription: ask", well=well)
        fails(x, "kpl", "rights", RIGHTS, "may not publish to vna.news: ask", "--channel", "vna.news", well=well)
        fails(x, "kpl", "rights", RIGHTS, "no subscription from-kpl for this key", "--subscription", "from-kpl", well=well)
        said = fails(x, "kpl", "rights", RIGHTS, "may not publish to vna.news: ask", "--channel", "vna.news", "--subscription", "x", well=well)
        for words in ("no subscription x for this key", "this key may publish to: kpl.* joint; may subscribe to: nothing"):
            holds(words in said, "%r is not in %r" % (words, said))
        well_said = fails(x, "kpl", "rights", RIGHTS, "no subscription x", "--channel", "joint", "--subscription", "x", well=well)
        holds("may not publish" not in well_said, well_said)


def test_publish_says_where_it_may():
    """no channel, where there are two; one that is not ours: which there are is told once"""
    with Exchange(PARTNERS, SUBS) as x:
        paths = [os.path.join(x.folder, "s%d.json" % n) for n in range(2)]
        for path in paths:
            with open(path, "wb") as file:
                file.write(octets(story("urn:" + path)))
        for args, code in ((paths, "bad-channel"), (["--channel", "vna.news", *paths], "not-allowed")):
            got = run("publish", x, "kpl", *args)
            check((got.returncode, got.stdout.count("code=%s never: " % code)), (1, 2), got.stdout)
            check(got.stderr.count("may publish to: kpl.* joint; --channel NAME says where"), 1, got.stderr)
        check(run("publish", x, "kpl", "--channel", "joint", *paths).stderr, "", "well")


def test_usage():
    with Exchange(PARTNERS, SUBS) as x:
        for args in ({"pin": "sha256:short"}, {"server": "::1"}):
            got = run("ping", x, "kpl", **args)
            check((got.returncode, got.stdout), (2, ""), "usage")
        check(run("ping", x, "kpl", "what").returncode, 2, "an argument too many")


def test_name_and_port():
    with Exchange(PARTNERS, SUBS) as x:
        said = fails(x, "kpl", "name", NAME, "is the name right", server="no-such-host.invalid:7417", well=[])
        same_said(x, "kpl", said, 75, server="no-such-host.invalid:7417")
        with socket.socket() as dead:  # bound, and nobody listens
            dead.bind(("127.0.0.1", 0))
            server = "127.0.0.1:%d" % dead.getsockname()[1]
            said = fails(x, "kpl", "port", PORT, "nothing listens at", server=server, well=["name"])
            same_said(x, "kpl", said, 75, server=server)


def test_tls():
    """who does not speak TLS 1.3, in each way"""
    def banner(sock):
        sock.sendall(b"220 mail.example ESMTP\r\n")
        drain(sock)

    with Exchange(PARTNERS, SUBS) as x:
        well = ["name", "port"]
        with Server(banner) as s:
            said = fails(x, "kpl", "tls", TLS, "does not speak TLS 1.3", server=s.address, well=well)
            same_said(x, "kpl", said, TLS, server=s.address)
        with Server(lambda sock: sock.recv(1)) as s:
            fails(x, "kpl", "tls", TLS, "closed the connection before TLS", server=s.address, well=well)
        with Server(drain) as s:
            fails(x, "kpl", "tls", TLS, "does not finish the handshake", server=s.address, well=well)
        with tls_server(x.keys["exchange"], high=ssl.TLSVersion.TLSv1_2) as s:
            said = fails(x, "kpl", "tls", TLS, "does not speak TLS 1.3: is the port right?", server=s.address, well=well)
            same_said(x, "kpl", said, TLS, server=s.address)


def test_alpn():
    """another program that speaks TLS, with or without a word of what it speaks: no talk of its key"""
    with Exchange(PARTNERS, SUBS) as x:
        for key, alpn in (("exchange", ("http/1.1",)), ("exchange", ()), ("vna", ("http/1.1",))):
            with tls_server(x.keys[key], alpn) as s:
                said = fails(x, "kpl", "alpn", ALPN, "speaks TLS but not newsxd/1", server=s.address, well=OPENED[:3])
                same_said(x, "kpl", said, ALPN, server=s.address)


def test_server_pin():
    with Exchange(PARTNERS, SUBS) as x:
        pin = x.keys["vna"].pin
        said = fails(x, "kpl", "server-pin", PIN, x.keys["exchange"].pin, pin=pin, well=OPENED[:4])
        same_said(x, "kpl", said, PIN, pin=pin)
        holds("does not take our key" in x.log("conn.refuse", reason="handshake-failed")["words"], "what the exchange's log says")


def test_key():
    with Exchange(PARTNERS, SUBS) as x:
        x.keys["stranger"] = Key(x.folder, "stranger")
        said = fails(x, "stranger", "key", KEY, "does not know this key", well=OPENED)
        holds(x.keys["stranger"].pin in said, "the pin to give away: %r" % said)
        same_said(x, "stranger", said, KEY)
        check(len(x.found("conn.refuse", reason="unknown-key")), 3, "lines in the log")


def test_expired():
    if not (shutil.which("openssl") and shutil.which("faketime")):
        print("neither openssl nor faketime: SKIP")
        return
    with Exchange({**PARTNERS, "kpl": PARTNERS["kpl"] + " enforce-expiry = yes"}, SUBS) as x:
        check(run("ping", x, "kpl").returncode, 0, "while it lasts")
        old_key(x, "kpl")
        said = fails(x, "kpl", "expired", EXPIRED, "our certificate has expired", well=OPENED)
        same_said(x, "kpl", said, EXPIRED)


def test_connections():
    with Exchange({**PARTNERS, "kpl": PARTNERS["kpl"] + " connections = 2"}, SUBS) as x:
        kept = [Link(x.port, x.keys["kpl"].identity) for _ in range(2)]
        said = fails(x, "kpl", "connections", CONNECTIONS, "no room for one more connection", well=OPENED)
        same_said(x, "kpl", said, 75)
        for link in kept:
            alive(link)
    with Exchange(PARTNERS, SUBS, {"limits": "connections-per-address = 1"}) as x:
        kept = Link(x.port, x.keys["kpl"].identity)
        fails(x, "kpl", "tls", TLS, "too many connections (of this address)", well=["name", "port"])
        alive(kept)
    with Exchange({"node": PARTNERS["kpl"] + " node = yes"}) as x:
        kept = Link(x.port, x.keys["node"].identity, boot="aa")
        fails(x, "node", "connections", CONNECTIONS, "holds the connection")
        alive(kept)


def test_hello():
    """it shakes hands, and then it closes or says nothing"""
    with Exchange(PARTNERS, SUBS) as x:
        with tls_server(x.keys["exchange"], talk=lambda sock: sock.unwrap()) as s:
            said = fails(x, "kpl", "hello", HELLO, "closed before it said HELLO", server=s.address, well=OPENED)
            same_said(x, "kpl", said, 75, server=s.address)
        with tls_server(x.keys["exchange"]) as s:
            fails(x, "kpl", "hello", HELLO, "does not say HELLO: is it an exchange?", server=s.address, well=OPENED)


def test_clock():
    with Exchange(PARTNERS, SUBS) as x:
        for ahead, word in ((600, "ahead of"), (-600, "behind")):
            with tls_server(x.keys["exchange"], talk=exchange_talk(ahead)) as s:
                said = fails(x, "kpl", "clock", CLOCK, "more than a minute", server=s.address,
                             well=[step for step in ALL if step != "clock"])
                holds(word in said and ("599." in said or "600." in said), said)
        with tls_server(x.keys["exchange"], talk=exchange_talk(30)) as s:
            got = run("ping", x, "kpl", server=s.address)
            check(got.returncode, 0, "half a minute")
            holds("does not say what this key may do" in got.stdout, "an exchange that says nothing of rights")


def test_round_trip():
    with Exchange(PARTNERS, SUBS) as x:
        with tls_server(x.keys["exchange"], talk=exchange_talk(rights={"publish": ["*"]}, pongs=0)) as s:
            fails(x, "kpl", "round-trip", ROUND_TRIP, "no PONG came", server=s.address, well=[*OPENED, "key", "rights"])


def test_rate():
    """the small messages are answered, the large ones end the link"""
    with Exchange(PARTNERS, SUBS) as x:
        with tls_server(x.keys["exchange"], talk=exchange_talk(rights={"publish": ["*"]}, pongs=5)) as s:
            fails(x, "kpl", "rate", RATE, "", server=s.address, well=[step for step in ALL if step != "rate"])


def test_revoked_and_other_certificates():
    """a key that is known by a CA: taken back; of a name that nobody listed; not for clients"""
    if not ca_.there():
        print("the openssl command is missing\nSKIP")
        return
    x = Exchange({**PARTNERS, "agency": 'pin = {} ca = "a.ca" san = {"desk.agency.example"} crl = "a.crl" publish = {"joint"}'},
                 SUBS)
    ca = Ca(x.folder, "a")
    leaf = lambda **more: types.SimpleNamespace(identity=ca.leaf(**more))
    x.keys.update({"well": leaf(), "taken-back": leaf(), "other": leaf(san="DNS:other.example"), "server": leaf(ext=LEAF_EXT.replace("clientAuth", "serverAuth"))})
    ca.revoke(x.keys["taken-back"].identity)
    together(x.folder + "/a.ca", ca.crt)
    together(x.folder + "/a.crl", ca.crl())
    with x:
        check(run("ping", x, "well").returncode, 0, "one that is well")
        said = fails(x, "taken-back", "revoked", REVOKED, "revoked", well=OPENED)
        same_said(x, "taken-back", said, REVOKED)
        for who in ("server", "other"):
            said = fails(x, who, "certificate", CERTIFICATE, "", well=OPENED)
            same_said(x, who, said, CERTIFICATE)
        x.log("conn.refuse", reason="wrong-name")
        # of the exchange, not of the partner, is what is wrong here
        together(x.folder + "/a.crl", ca.crl(since=-86400 * 2, until=-86400))
        check(x.reload()["event"], "conf.reload", "a list that is over")
        fails(x, "well", "certificate", CERTIFICATE, "", well=OPENED)
        x.log("conn.refuse", reason="crl-expired")


def test_every_status_of_the_manual_is_provoked_here():
    """newsxctl(1)'s table against the names above, and each of them in a fails() of this file"""
    with open(os.path.join(ROOT, "man/newsxctl.1"), encoding="utf-8") as file:
        table = re.findall(r"^\.It (1[0-9]|2[0-9])[ *]*\n\.Li ([a-z-]+)", file.read(), re.M)
    check([int(number) for number, _ in table], list(range(NAME, CERTIFICATE + 1)), "numbers of the page")
    with open(__file__, encoding="utf-8") as file:
        provoked = set(re.findall(r'fails\(\w+, "[\w-]+", "([\w-]+)", [A-Z_]+', file.read()))
    check(sorted(provoked), sorted(word for _, word in table), "steps that fail in a test")


def test_part_names():
    """an href that cannot be the name of a part is refused before it is sent, as the exchange would"""
    with Exchange(PARTNERS, SUBS) as x:
        with open(os.path.join(x.folder, "p.jpg"), "wb") as file:
            file.write(b"\xff\xd8\xff\xe0" + os.urandom(100))
        for href in ("./p.jpg", "a/./p.jpg", "a\\p.jpg", "keys/.././p.jpg", "keys//p.jpg", "x" * 300):
            path = os.path.join(x.folder, "story.json")
            document = story("urn:part", renditions={"web": {"href": href}})
            with open(path, "wb") as file:
                file.write(octets(document))
            got = run("publish", x, "kpl", "--channel", "joint", path)
            if ".." in href:  # no part, but something somewhere else
                check(got.returncode, 0, got.stdout)
                continue
            check(got.returncode, 1, "publish %s: %s%s" % (href, got.stdout, got.stderr))
            holds("code=part-missing never: the href %s" % href[:40] in got.stdout, got.stdout)
            link = Link(x.port, x.keys["kpl"].identity)
            ident = link.publish(document, {"channel": "joint"})
            check(link.answer(ident), ("part-missing", "never"), "the exchange on %s" % href[:40])
