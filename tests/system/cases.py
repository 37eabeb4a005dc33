"""cases.py - tables of named cases in one daemon, and an innocent pair of partners that must not feel any of them."""
import hashlib
import json
import os
import re
import struct
import subprocess
import threading
import time
import traceback

from kit import NEWSXD, WAIT_S, Exchange, Failed
from newsx import Link, Frame, part, story  # noqa: F401 (for those who import from here)


# a line of the log: a time, and pairs whose values are bare or quoted. Whatever a partner sends is inside quotes
HIDDEN = "\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069"  # as they would do something to a terminal
LINE = (r'[0-9-]+T[0-9:.]+Z level=(err|warn|info|debug) event=[a-z_]+(\.[a-z_]+)+'
        r'( [A-Za-z0-9_.-]+=("([^"\\%s]|\\.)*"|[A-Za-z0-9._:/@+-]*))*' % HIDDEN)


def check(got, wanted, what=""):
    if got != wanted:
        raise Failed("%s: wanted %r, got %r" % (what, wanted, got))


def holds(truth, what):
    if not truth:
        raise Failed(what)


def octets(document):
    return document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()


def sha(data):
    return hashlib.sha256(data).digest()


def picture(uri="urn:test:picture", data=None, size=1000, name="p.jpg", **more):
    """(document, envelope without channel, {sha256: data}) of an item with one part"""
    data = os.urandom(size) if data is None else data
    return story(uri, renditions={"web": {"href": name}}, **more), {"parts": [part(name, data)]}, {sha(data): data}


def alive(link, token=77):
    """the link answers a PING"""
    link.frame("PING", struct.pack(">QQ", token, 0))
    while True:
        got = link.next("PONG")
        if got.body["token"] == token:
            return


def give(link, document, envelope, parts=None, **more):
    """publish, serve what is asked for, give the answer"""
    ident = link.publish(document, envelope, **more)
    return serve_until(link, ident, parts or {})


def serve_until(link, ident, parts):
    while True:
        for frame in list(link.queue):
            if frame.type == "NEED":
                link.queue.remove(frame)
                link.serve(parts, frame)
            elif frame.type == "ACK" and any(e["id"] == ident for e in frame.body):
                return link.answer(ident)
            elif frame.type == "REFUSE" and frame.body["id"] == ident:
                return link.answer(ident)
        link.pump()


def reader(exchange, who, subscription, **said):
    """a link that has claimed; link.claim is the SUBSCRIBED"""
    link = Link(exchange.port, exchange.keys[who].identity)
    link.give_credit(100000, 1 << 34)
    link.subscribe(subscription, **said)
    link.claim = link.expect("SUBSCRIBED").body
    return link


def owed(exchange):
    """newsxd --owed --json beside the running daemon: {subscription: items}"""
    text = subprocess.run([NEWSXD, "--config", exchange.config, "--owed", "--json"], text=True, capture_output=True,
                          timeout=WAIT_S, check=True).stdout
    return {line["subscription"]: line["items"] for line in map(json.loads, text.splitlines())}


def settled(exchange, subscription, items=0):
    """wait until this subscription is owed so many items on disk: answers are noted down some time after they came"""
    end = time.monotonic() + WAIT_S
    while owed(exchange).get(subscription) != items:
        holds(time.monotonic() < end, "%s is not owed %d: %s" % (subscription, items, owed(exchange)))


class Innocent:
    """good publishes, friend reads: each round() is one story from end to end, octet for octet"""
    partners = {"good": 'publish = {"good.*"}', "friend": 'read = {"good.*"}'}
    subscriptions = {"from-good": 'partner = "friend" channels = {"good.*"} start = "all"'}

    def __init__(self, exchange):
        self.exchange, self.n, self.name = exchange, 0, os.urandom(4).hex()
        self.good = Link(exchange.port, exchange.keys["good"].identity)
        self.friend = reader(exchange, "friend", "from-good")

    def round(self):
        self.n += 1
        document = octets(story("urn:good:%s:%d" % (self.name, self.n), body_text="ສະບາຍດີ " * (self.n % 300)))
        check(give(self.good, document, {"channel": "good.news"}), "stored", "the innocent publisher")
        head, _, got = self.friend.receive()
        check(got, document, "the innocent reader")
        self.friend.ack(head["id"])

    def close(self):
        self.good.close()
        self.friend.close()


class Steady(Innocent):
    """the same all the time, beside whatever else happens; rest() looks at it after an attack"""

    def __init__(self, exchange):
        super().__init__(exchange)
        self.over, self.failed = threading.Event(), None
        self.thread = threading.Thread(target=self._rounds, daemon=True)
        self.thread.start()

    def _rounds(self):
        try:
            while not self.over.wait(0.005):
                self.round()
        except Exception as error:  # pylint: disable=broad-except
            self.failed = error

    def rest(self):
        """until a whole round has passed: the one under way began before"""
        upto, end = self.n + 2, time.monotonic() + WAIT_S
        while self.n < upto and self.failed is None and time.monotonic() < end:
            self.thread.join(0.01)
        if self.failed is not None or self.n < upto:
            raise Failed("the innocent pair after %d rounds: %r" % (self.n, self.failed))

    def close(self):
        self.over.set()
        self.thread.join(WAIT_S)
        super().close()


def run_cases(cases, partners, subscriptions=None, sections=None, what="attacks", **more):
    """each case: (name, function(world)); all run, and all that failed are told at the end. Meanwhile an innocent pair
    exchanges stories without a pause, on links that must outlive all of it"""
    bad = []
    with Exchange({**Innocent.partners, **partners}, {**Innocent.subscriptions, **(subscriptions or {})},
                  sections, **more) as exchange:
        innocent = Steady(exchange)
        for name, function in cases:
            world = World(exchange, innocent)
            try:
                function(world)
                innocent.rest()
                print("ok   ", name, flush=True)
            except Exception:  # pylint: disable=broad-except
                print("FAIL ", name, traceback.format_exc(limit=-3), exchange.tail(8), sep="\n", flush=True)
                bad.append(name)
                if exchange.process.poll() is not None or innocent.failed is not None:
                    raise
            finally:
                world.close()
        innocent.close()
        unread = [line for line in exchange.lines if not re.fullmatch(LINE, line)]
        if unread:
            bad.append("lines that are none: %r" % unread[:3])
        if exchange.stop(None) != 0:
            bad.append("SIGTERM at the end")
        exchange.verify()
    if bad:
        raise Failed("%d of %d cases failed: %s" % (len(bad), len(cases), "; ".join(bad)))
    print("%d %s, each with its end; beside them %d innocent stories" % (len(cases), what, innocent.n))


class World:
    """what one case has: links that are closed behind it, the log since its beginning"""

    def __init__(self, exchange, innocent):
        self.x, self.innocent, self.links = exchange, innocent, []
        self.mark = exchange.mark()

    def link(self, who="liar", **more):
        link = Link(self.x.port, self.x.keys[who].identity if who else None, **more)
        self.links.append(link)
        return link

    def reader(self, who, subscription, **said):
        link = reader(self.x, who, subscription, **said)
        self.links.append(link)
        return link

    def closes(self, link, code, peer="liar"):
        """the link ends with this BYE, and the log says so"""
        check(link.closes(), code, "BYE")
        self.x.log("conn.close", since=self.mark, peer=peer, reason=code)

    def refused(self, link, ident, code, retry="never", peer="liar"):
        """this answer, this line in the log, and the link lives"""
        check(link.answer(ident), (code, retry), "answer")
        self.x.log("item.refused", since=self.mark, peer=peer, reason=code, retry=retry)
        alive(link)

    def close(self):
        for link in self.links:
            try:
                link.close()
            except OSError:
                pass
