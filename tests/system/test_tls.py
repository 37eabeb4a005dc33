"""Who is let in: pins, CAs with names, revocation; every refusal with its own reason; rotation of all of it under load."""
import os
import socket
import ssl
import subprocess
import threading
import time

import ca as ca_
from ca import CA_EXT, LEAF_EXT, Ca, together
from cases import check, holds, octets, reader
from kit import NEWSXD, SLOW, WAIT_S, Exchange, Failed, Key
from newsx import Link, context, story

KNOWN = 'pin = {} ca = "%s.ca" san = {%s} %s publish = {"kpl.*"}'


def skips():
    if ca_.there():
        return False
    print("the openssl command is missing\nSKIP")
    return True


def goodbye(exchange, how, identity=None, **more):
    """connect in that way, be turned away: what the log says of it"""
    mark = exchange.mark()
    try:
        how(exchange, identity, **more)
    except (OSError, ssl.SSLError):
        pass
    return exchange.log("conn.refuse", since=mark)


def shake(exchange, identity, **more):
    """TLS and then whatever the other side says first: an alert, when it does not like us"""
    with socket.create_connection(("127.0.0.1", exchange.port), WAIT_S) as sock:
        ctx = context(identity if "weak" not in more else None, **{k: v for k, v in more.items() if k != "weak"})
        if "weak" in more:  # our own library would not show such a one
            ctx.set_ciphers("DEFAULT:@SECLEVEL=0")
            ctx.load_cert_chain(identity + ".crt", identity + ".key")
        with ctx.wrap_socket(sock) as tls:
            if tls.recv(1):
                raise Failed("let in")


def say(what, linger=False):
    def how(exchange, _):
        with socket.create_connection(("127.0.0.1", exchange.port), WAIT_S) as sock:
            sock.sendall(what)
            while linger or sock.recv(4096):
                if linger and not sock.recv(4096):
                    break
    return how


def half_hello(exchange, _):
    """the beginning of a handshake record, and then silence"""
    say(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", linger=True)(exchange, None)


def silence(exchange, _):
    say(b"", linger=True)(exchange, None)


def a_world(folder):
    """CAs of two agencies, and identities of every kind: [(name, identity, reason)]"""
    root, other, plain = Ca(folder, "root"), Ca(folder, "other"), Ca(folder, "plain")
    middle = Ca(folder, "middle", by=root)
    unlisted = Ca(folder, "unlisted", by=root)
    lost = Ca(folder, "lost", by=root)
    stale = Ca(folder, "stale")
    forged = Ca(folder, "forged-", ext="basicConstraints = critical,CA:TRUE\nkeyUsage = critical,keyCertSign,cRLSign")
    gone = Ca(folder, "gone", by=root, start=-86400 * 9, end=-86400)
    narrow = Ca(folder, "narrow", by=plain, ext=CA_EXT + "\nnameConstraints = critical,permitted;DNS:.other.example")
    short = Ca(folder, "short", by=plain, ext=CA_EXT.replace("CA:TRUE", "CA:TRUE,pathlen:0"))
    deeper = Ca(folder, "deeper", by=short)
    no_ca = Ca(folder, "no-ca", by=plain, ext=LEAF_EXT)
    weak_ca = Ca(folder, "weak-ca", by=plain, kind="weak")

    good = root.leaf(), middle.leaf(chain=[middle]), plain.leaf(san="DNS:desk.plain.example"), \
        other.leaf(san="email:Desk@Other.Example"), other.leaf(san="URI:urn:agency:other"), stale.leaf(san="DNS:stale.example")
    revoked = root.leaf()
    root.revoke(revoked)
    root.revoke(lost.crt)
    together(folder + "/agency.ca", root.crt)
    together(folder + "/agency.crl", root.crl(), middle.crl(), lost.crl(), gone.crl())
    together(folder + "/plain.ca", plain.crt)
    together(folder + "/other.ca", other.crt)
    together(folder + "/stale.ca", stale.crt)
    together(folder + "/stale.crl", stale.crl(since=-7200, until=-3600))
    agency, at_plain = "DNS:desk.agency.example", "DNS:desk.plain.example"
    nul = "2.5.29.17=DER:" + (b"\x30\x1b\x82\x19desk.agency.example\x00.evil").hex(":")
    bad = [
        ("of a CA that nobody named", forged.leaf(), "untrusted-ca"),
        ("without the CA between", middle.leaf(), "untrusted-ca"),
        ("of another partner's CA, with this one's name", other.leaf(san=agency), "wrong-name"),
        ("a name that is not ours", root.leaf(san="DNS:other.agency.example"), "wrong-name"),
        ("no name at all", root.leaf(san=None), "wrong-name"),
        ("only as common name", root.leaf(san=None, subject="/CN=desk.agency.example"), "wrong-name"),
        ("a wildcard", root.leaf(san="DNS:*.agency.example"), "wrong-name"),
        ("as a URI what should be a DNS name", root.leaf(san="URI:desk.agency.example"), "wrong-name"),
        ("a name with more behind a NUL", root.leaf(san=None, ext=LEAF_EXT + "\n" + nul), "wrong-name"),
        ("mail with another local part", other.leaf(san="email:desk@other.example"), "wrong-name"),
        ("for servers", root.leaf(ext=LEAF_EXT.replace("clientAuth", "serverAuth")), "wrong-purpose"),
        ("for any purpose, unsaid", root.leaf(ext=LEAF_EXT.rsplit("\n", 1)[0]), "wrong-purpose"),
        ("not for signing", root.leaf(ext=LEAF_EXT.replace("digitalSignature", "keyEncipherment")), "wrong-purpose"),
        ("that of a CA", plain.leaf(san=at_plain, ext=CA_EXT + "\nextendedKeyUsage = clientAuth"), "wrong-purpose"),
        ("revoked", revoked, "revoked"),
        ("of a revoked CA", lost.leaf(chain=[lost]), "revoked"),
        ("of a CA without a list", unlisted.leaf(chain=[unlisted]), "crl-missing"),
        ("of a CA whose list is old", stale.leaf(san="DNS:stale.example"), "crl-expired"),
        ("expired", root.leaf(start=-86400 * 3, end=-60), "expired"),
        ("not yet valid", root.leaf(start=3600), "expired"),
        ("of an expired CA", gone.leaf(chain=[gone]), "expired"),
        ("RSA of 1024 bits", plain.leaf(san=at_plain, kind="weak"), "weak-certificate"),
        ("SHA-1", plain.leaf(san=at_plain, md="sha1"), "weak-certificate"),
        ("of a CA of 1024 bits", weak_ca.leaf(san=at_plain, chain=[weak_ca]), "weak-certificate"),
        ("signed by no CA", no_ca.leaf(san=at_plain, chain=[no_ca]), "bad-chain"),
        ("a CA too many", deeper.leaf(san=at_plain, chain=[deeper, short]), "bad-chain"),
        ("outside what its CA may name", narrow.leaf(san=at_plain, chain=[narrow]), "bad-chain"),
        ("a critical extension that nobody knows",
         plain.leaf(san=at_plain, ext=LEAF_EXT + "\n1.2.3.4.5 = critical,ASN1:NULL"), "bad-chain"),
        ("with another signature", tampered(plain.leaf(san=at_plain)), "bad-signature"),
    ]
    return good, bad


def tampered(identity):
    """its last octet, which is the signature's, is another"""
    with open(identity + ".own", encoding="ascii") as file:
        der = bytearray(ssl.PEM_cert_to_DER_cert(file.read()))
    der[-1] ^= 1
    ca_.write(identity + ".crt", ssl.DER_cert_to_PEM_cert(bytes(der)))
    return identity


def test_every_refusal_has_its_reason():
    if skips():
        return
    partners = {
        "pinned": 'publish = {"kpl.*"}',
        "strict": 'enforce-expiry = yes publish = {"kpl.*"}',
        "busy": 'connections = 1 publish = {"kpl.*"}',
        "agency": KNOWN % ("agency", '"desk.agency.example"', 'crl = "agency.crl"'),
        "plain": KNOWN % ("plain", '"DESK.plain.example"', ""),
        "other": KNOWN % ("other", '"Desk@other.example", "urn:agency:other"', ""),
        "stale": KNOWN % ("stale", '"stale.example"', 'crl = "stale.crl"'),
    }
    exchange = Exchange(partners, sections={"limits": 'handshake = "1s"'})
    good, bad = a_world(exchange.folder)
    strict = exchange.keys["strict"]
    maker = Ca(exchange.folder, "strict")  # the same key in a certificate that is over: for the pin it is the same
    maker.sign(strict.key, strict.crt, "/CN=strict", LEAF_EXT, start=-86400 * 3, end=-60)
    with exchange:
        for identity in good[:5]:
            with Link(exchange.port, identity) as link:
                check(link.answer(link.publish(story("urn:tls:" + identity), {"channel": "kpl.news"})), "stored", identity)
        exchange.log("conn.open", conn="5")
        check([line["peer"] for line in exchange.found("conn.open")], ["agency", "agency", "plain", "other", "other"], "who")
        exchange.log("crl.expires", peer="stale")
        for name, identity, reason in bad:
            got = goodbye(exchange, shake, identity, **({"weak": True} if reason == "weak-certificate" else {}))
            check(got["reason"], reason, "%s (%s)" % (name, got.get("words")))
            holds(got["pin"].startswith("sha256:"), got)
        stranger = Key(exchange.folder, "stranger")
        busy = Link(exchange.port, exchange.keys["busy"].identity)
        hello = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"
        others = [
            ("no certificate", shake, None, {}, "no-certificate"),
            ("a stranger's key", shake, stranger.identity, {}, "unknown-key"),
            ("pinned, over, and it matters", shake, strict.identity, {}, "expired"),
            ("one connection too many", shake, exchange.keys["busy"].identity, {}, "too-many-connections"),
            ("TLS 1.2", shake, good[0], {"low": ssl.TLSVersion.TLSv1_2}, "old-tls"),
            ("no ALPN", shake, good[0], {"alpn": None}, "wrong-alpn"),
            ("another ALPN", shake, good[0], {"alpn": "http/1.1"}, "wrong-alpn"),
            ("HTTP", say(b"GET / HTTP/1.1\r\n\r\n"), None, {}, "handshake-failed"),
            ("a hello of nothing", say(hello), None, {}, "handshake-failed"),
            ("a record of 64 KiB", say(b"\x16\x03\x01\xff\xff" + bytes(1000)), None, {}, "handshake-failed"),
            ("application data first", say(b"\x17\x03\x03\x00\x02hi"), None, {}, "handshake-failed"),
            ("half a hello", half_hello, None, {}, "handshake-slow"),
            ("silence", silence, None, {}, "handshake-slow"),
        ]
        for name, how, identity, more, reason in others:
            got = goodbye(exchange, how, identity, **more)
            check(got["reason"], reason, "%s (%s)" % (name, got.get("words")))
        busy.close()
        with Link(exchange.port, exchange.keys["pinned"].identity) as link:  # and the innocent are still let in
            check(link.answer(link.publish(story(), {"channel": "kpl.news"})), "stored", "pinned")
        exchange.stop()


class Load:
    """a publisher and a subscriber that never stop; each item has to arrive once, on links that never break"""
    partners = {"good": 'publish = {"good.*"}', "friend": 'read = {"good.*"}'}
    subscriptions = {"from-good": 'partner = "friend" channels = {"good.*"} start = "all"'}

    def __init__(self, exchange):
        self.exchange, self.sent, self.got, self.faults, self.open = exchange, [], [], [], True
        self.more = threading.Condition()
        self.good = Link(exchange.port, exchange.keys["good"].identity)
        self.friend = reader(exchange, "friend", "from-good")
        self.threads = [threading.Thread(target=self._guard, args=(loop,), daemon=True)
                        for loop in (self._publish, self._read)]
        for thread in self.threads:
            thread.start()

    def _guard(self, loop):
        try:
            loop()
        except Exception as fault:  # pylint: disable=broad-except
            self.faults.append(fault)
            with self.more:
                self.more.notify_all()

    def _publish(self):
        while self.open:
            uri = "urn:load:%d" % len(self.sent)
            check(self.good.answer(self.good.publish(octets(story(uri)), {"channel": "good.news"})), "stored", uri)
            self.sent.append(uri)
        uri = "urn:load:last"
        check(self.good.answer(self.good.publish(octets(story(uri)), {"channel": "good.news"})), "stored", uri)
        self.sent.append(uri)

    def _read(self):
        while not self.got or b"urn:load:last" not in self.got[-1]:
            head, _, document = self.friend.receive()
            with self.more:
                self.got.append(document)
                self.more.notify_all()
            self.friend.ack(head["id"])

    def moves(self):
        """twenty more items since now"""
        with self.more:
            until = len(self.got) + 20
            if not self.more.wait_for(lambda: len(self.got) >= until or self.faults, WAIT_S):
                raise Failed("the load stands still: %d sent, %d got" % (len(self.sent), len(self.got)))
        if self.faults:
            raise self.faults[0]

    def finish(self):
        self.open = False
        for thread in self.threads:
            thread.join(WAIT_S)
        if self.faults:
            raise self.faults[0]
        check(len(self.got), len(self.sent), "delivered")
        check(len(set(self.got)), len(self.got), "each once")


def served(exchange):
    """the certificate that a new connection sees"""
    with socket.create_connection(("127.0.0.1", exchange.port), WAIT_S) as sock:
        with context(exchange.keys["good"].identity).wrap_socket(sock) as tls:
            return tls.getpeercert(True)


def replace(path, by):
    together(path, by)
    os.chmod(path, 0o600)


def taken(exchange):
    check(exchange.reload()["event"], "conf.reload", "reload")


def put_off(exchange, word):
    """the reload is refused in words, and nothing changed"""
    before = served(exchange)
    got = exchange.reload()
    check(got["event"], "conf.refused", "reload")
    holds(word in got["words"], got)
    check(served(exchange), before, "our certificate")


def test_rotation_under_load():
    """keys, pins, CAs and revocation lists change, and nobody who is entitled feels it"""
    if skips():
        return
    exchange = Exchange({**Load.partners, "pin": 'publish = {"kpl.*"}',
                         "agency": KNOWN % ("agency", '"desk.agency.example"', 'crl = "agency.crl"')}, Load.subscriptions)
    folder = exchange.folder
    old, new = Ca(folder, "old"), Ca(folder, "new")
    together(folder + "/agency.ca", old.crt)
    together(folder + "/agency.crl", old.crl())
    with exchange:
        load = Load(exchange)
        load.moves()

        # our own key
        before, ours = served(exchange), Key(folder, "next")
        replace(exchange.keys["exchange"].crt, ours.crt)
        put_off(exchange, "does not belong")  # half of it: refused
        replace(exchange.keys["exchange"].key, ours.key)
        os.chmod(exchange.keys["exchange"].key, 0o644)
        put_off(exchange, "chmod 0640")
        os.chmod(exchange.keys["exchange"].key, 0o640)
        taken(exchange)
        holds(served(exchange) != before, "the new key answers")
        check(exchange.found("key.serving")[-1]["pin"], ours.pin, "key.serving")
        load.moves()

        # a partner's pin: both, then the new one alone
        first, second = exchange.keys["pin"], Key(folder, "second")
        one = Link(exchange.port, first.identity)
        exchange.partners["pin"] = 'pin = {"%s", "%s"} publish = {"kpl.*"}' % (first.pin, second.pin)
        exchange.configure()
        taken(exchange)
        two = Link(exchange.port, second.identity)
        exchange.partners["pin"] = 'pin = {"%s"} publish = {"kpl.*"}' % second.pin
        exchange.configure()
        taken(exchange)
        check(one.closes(), "not-entitled", "the old key")
        check(two.answer(two.publish(story("urn:two"), {"channel": "kpl.news"})), "stored", "the new key")
        load.moves()

        # the CA: both, then the new one alone
        desk, revoked = old.leaf(), new.leaf()
        third = Link(exchange.port, desk)
        write_both(folder, old, new)
        taken(exchange)
        fourth, fifth = Link(exchange.port, new.leaf()), Link(exchange.port, revoked)
        together(folder + "/agency.ca", new.crt)
        taken(exchange)
        check(third.closes(), "untrusted-ca", "a link of the old CA")
        load.moves()

        # the revocation list
        new.revoke(revoked)
        together(folder + "/agency.crl", new.crl())
        begin = time.monotonic()
        taken(exchange)
        check(fifth.closes(), "revoked", "the revoked link")
        took = time.monotonic() - begin
        holds(took < 5, "a revoked link lived on for %.1f s" % took)
        check(goodbye(exchange, shake, revoked)["reason"], "revoked", "nor again")

        # bad files change nothing
        for name, text, word in (("agency.ca", "junk", "no certificate"), ("agency.crl", "junk", "no revocation list"),
                                 ("agency.ca", None, "does not exist"), ("agency.crl", None, "does not exist")):
            path = os.path.join(folder, name)
            os.rename(path, path + ".kept")
            if text:
                ca_.write(path, text)
            put_off(exchange, word)
            checked = subprocess.run([NEWSXD, "--config", exchange.config, "--check"], capture_output=True, text=True,
                                     timeout=WAIT_S, check=False)
            check((checked.returncode, name in checked.stderr), (1, True), checked.stderr)
            os.rename(path + ".kept", path)
        taken(exchange)
        for link, uri in ((two, "urn:2"), (fourth, "urn:4")):
            check(link.answer(link.publish(story(uri), {"channel": "kpl.news"})), "stored", uri)
        load.moves()
        load.finish()
        exchange.stop()


def write_both(folder, *cas):
    together(folder + "/agency.ca", *[ca.crt for ca in cas])
    together(folder + "/agency.crl", *[ca.crl() for ca in cas])


def test_what_ends_takes_its_links_along():
    """a CA, a certificate, a pinned one that is enforced, a revocation list: each closes its live link at its end"""
    if skips():
        return
    exchange = Exchange({
        "by-ca": KNOWN % ("by-ca", '"desk.agency.example"', ""),
        "by-leaf": KNOWN % ("by-leaf", '"leaf.example"', ""),
        "by-list": KNOWN % ("by-list", '"list.example"', 'crl = "by-list.crl"'),
        "strict": 'enforce-expiry = yes publish = {"kpl.*"}',
        "pinned": 'publish = {"kpl.*"}',
    })
    folder, lasts = exchange.folder, 6 * SLOW
    other = Ca(folder, "other")
    leaves = {"by-list": Ca(folder, "by-list")}
    together(folder + "/by-leaf.ca", other.crt)
    together(folder + "/by-list.ca", leaves["by-list"].crt)
    links, ends = {}, time.time() + lasts
    short = Ca(folder, "short", end=lasts)
    together(folder + "/by-ca.ca", short.crt)
    links["by-ca"] = short.leaf()
    links["by-leaf"] = other.leaf(san="DNS:leaf.example", end=lasts)
    links["by-list"] = leaves["by-list"].leaf(san="DNS:list.example")
    together(folder + "/by-list.crl", leaves["by-list"].crl(until=lasts))
    for name in ("strict", "pinned"):
        key = exchange.keys[name]
        other.sign(key.key, key.crt, "/CN=" + name, LEAF_EXT, end=lasts)
        links[name] = key.identity
    with exchange:
        links = {name: Link(exchange.port, identity) for name, identity in links.items()}
        for name, reason in (("by-ca", "expired"), ("by-leaf", "expired"), ("strict", "expired"), ("by-list", "crl-expired")):
            check(links[name].closes(), reason, name)
            late = time.time() - ends
            holds(-1.5 < late < 4 * SLOW, "%s ended %.1f s after its end" % (name, late))
        link = links["pinned"]  # its time does not matter, but is warned about
        check(link.answer(link.publish(story(), {"channel": "kpl.news"})), "stored", "pinned")
        exchange.log("key.expires", peer="pinned")
        exchange.stop()


def test_a_handshake_that_is_under_way_meets_the_new_rules():
    """who has shown its certificate before a reload, and finishes the handshake after it, is asked again"""
    exchange = Exchange({"vna": "", "kpl": 'publish = {"kpl.*"}'})
    with exchange:
        sock = socket.create_connection(("127.0.0.1", exchange.port), WAIT_S)
        taken, made = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context(exchange.keys["kpl"].identity).wrap_bio(taken, made)
        with sock:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    sock.sendall(made.read())
                    taken.write(sock.recv(65536))
            last = made.read()  # certificate, proof of the key, and the end of the handshake
            sock.sendall(last[:-1])
            mark = exchange.mark()
            exchange.partners["kpl"] = 'pin = "%s" publish = {"kpl.*"}' % Key(exchange.folder, "kpl-new").pin
            exchange.configure()
            exchange.reload()
            sock.sendall(last[-1:])
            exchange.log("conn.refuse", since=mark, reason="unknown-key")
            holds(not exchange.found("conn.open", since=mark), "a removed key was let in")
        exchange.stop()
