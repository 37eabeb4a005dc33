"""A partner that sends frames by lot: mostly right ones, in no sensible order, some bent. Nothing that it does may end the
daemon, leak (under a sanitizer), close a link without a name, or be felt by the innocent.

SEED=n repeats a run; FUZZ_S=600 is a long one (run.py then needs TEST_S). B=build-san is where it finds most.
"""
import hashlib
import os
import random
import struct
import time

from cases import Innocent, holds, octets
from kit import SLOW, Exchange, Failed, parse_line
from newsx import FLASH, NUMBERS, ROUTINE, SMALL, Link, encode, part, story

SECONDS = float(os.environ.get("FUZZ_S", "8"))
SEED = int(os.environ.get("SEED", str(int.from_bytes(os.urandom(4), "big"))))
LIAR = 'publish = {"lie.*"} read = {"lie.*", "good.*"} connections = 40 part = 1MiB partials = 6'
SUBS = {"f%d" % n: 'partner = "liar" channels = {"lie.*"} start = "all" %s' % ('versions = "all"' if n & 1 else "") for n in range(4)}
SLOW_TIMES = "ping = 300ms idle = 3s stall = 1s hello = 700ms part-wait = 700ms ack-wait = 2s bye = 300ms inbound-memory = 8MiB"


class Fuzzer:
    """one link, and what it may play with"""

    def __init__(self, exchange, dice):
        self.dice, self.handles, self.received, self.sent, self.sub = dice, [], [], 0, 0
        self.link = Link(exchange.port, exchange.keys["liar"].identity, timeout=10, hello=False,
                         rcvbuf=dice.choice((None, None, 4096)))
        self.parts = [dice.randbytes(dice.choice((1, 100, 30000, 200000))) for _ in range(4)]
        self.link.hello(node="liar", **dice.choice(({}, {"held": {"epoch": "1", "sequence": 1 << 52}}, {"max": {"frame": 65536}},
                                                    {"features": ["x" * 40]})))
        if dice.random() < 0.9:
            self.link.expect("HELLO")
            self.link.give_credit(dice.choice((1, 5, 1 << 20)), dice.choice((1, 100000, 1 << 34)))

    # -- things to say. Each may be wrong now and then

    def near(self, number):
        if self.dice.random() < 0.95:
            return number
        return self.dice.choice((number - 1, number + 1, 0, 1, (1 << 64) - 1)) & ((1 << 64) - 1)

    def document(self):
        d = self.dice
        more = d.choice(({}, {"urgency": d.randint(1, 5)}, {"pubstatus": "canceled"}, {"pubstatus": "withheld"},
                         {"embargoed": "2026-11-22T10:00:00Z"}, {"embargoed": "2099-01-01T00:00:00Z"}, {"body_text": "b" * d.randrange(90000)},
                         {"renditions": {"r": {"href": "p%d" % d.randrange(4)}}}, {"renditions": {"r": {"href": "../x"}}}))
        whole = octets(story("urn:f:%d" % d.randrange(30), str(d.randrange(6)), **more))
        if d.random() < 0.05:
            at = d.randrange(len(whole))
            whole = whole[:at] + d.randbytes(d.randrange(3)) + whole[at + 1:]
        return whole

    def envelope(self):
        d = self.dice
        env = {"channel": d.choice(("lie.a", "lie.b", "lie.c", "good.x", ""))}
        if d.random() < 0.5:
            env["parts"] = [part("p%d" % n, self.parts[n]) for n in d.sample(range(4), d.randint(1, 4))]
            if d.random() < 0.1:
                env["parts"][0]["size"] = self.near(env["parts"][0]["size"]) % (1 << 40)
        return octets(env)

    def item(self):
        env, doc = self.envelope(), self.document()
        lane = self.dice.choice((ROUTINE, ROUTINE, FLASH))
        if self.dice.random() < 0.97 and not self.link.may(lane):
            return
        whole, n = env + doc, self.dice.randrange(SMALL - 39)
        self.sent += 1
        ident = self.sent if self.dice.random() < 0.99 else self.near(self.sent)
        self.link.begun[lane][0] += 1
        self.link.begun[lane][1] += len(whole)
        self.say(7, struct.pack(">QQQIIIB3x", ident, 0, 0, 0, len(env), len(doc), lane) + whole[:n])
        for at in range(n, len(whole), SMALL - 12):
            if self.dice.random() < 0.03:
                return self.withdraw() if self.dice.random() < 0.7 else None
            if self.dice.random() < 0.1:
                self.ping()
            self.say(8, struct.pack(">QI", ident, at) + whole[at:at + SMALL - 12])

    def withdraw(self):
        if self.sent:
            self.say(13, struct.pack(">QB", self.near(self.sent), 6) + b"killed")

    def ping(self):
        self.say(self.dice.choice((16, 17)), self.dice.randbytes(16))

    def credit(self):
        self.say(2, struct.pack(">IQQ", self.dice.randrange(2), (1 << 20) + self.near(5) % 9, (1 << 34) + self.near(5) % 9))

    def subscribe(self):
        name = self.dice.choice(("f0", "f1", "f2", "f3", "from-good", "nothing"))
        more = self.dice.choice(({}, {"epoch": "1", "position": 3}, {"epoch": "0", "position": 0}))
        self.say(3, octets({"name": name, **more}))

    def unsubscribe(self):
        if self.sub:
            self.say(5, struct.pack(">I", self.near(self.sub) & 0xffffffff))

    def answer(self):
        if not self.received:
            return
        ident = self.received.pop(self.dice.randrange(len(self.received)))["id"]
        if self.dice.random() < 0.02:
            ident = self.near(ident)
        if self.dice.random() < 0.5:
            self.say(14, bytes([26]) + struct.pack(">QQQBB", ident, 0, 0, self.dice.randrange(6), self.dice.choice((2, 2, 2, 2, 1, 3))))
        else:
            self.say(15, octets({"id": ident & ((1 << 53) - 1), "code": "busy", "retry": self.dice.choice(("later", "never")),
                                 "after_ms": self.dice.choice((0, 100, 1 << 50))}))

    def need(self):
        handle = self.link.last_handle = self.link.last_handle + self.dice.choice((0,) + (1,) * 40 + (3,))
        sha = hashlib.sha256(self.dice.choice(self.parts)).digest()
        self.say(9, struct.pack(">QQQ32s", handle, self.dice.choice((0, 0, 0, 5)), self.dice.choice((1, 100, 30000)), sha))

    def stop(self):
        if self.link.last_handle:
            self.say(11, struct.pack(">Q", self.near(self.link.last_handle)))

    def data(self):
        if not self.handles:
            return
        need = self.handles.pop(self.dice.randrange(len(self.handles)))
        mine = {hashlib.sha256(p).digest(): p for p in self.parts}
        whole = mine.get(need["sha256"], b"")
        if self.dice.random() < 0.1 or not whole:
            self.say(12, struct.pack(">QB", self.near(need["handle"]), 4) + b"busy")
            return
        if self.dice.random() < 0.05:
            whole = bytes(len(whole))
        end = need["offset"] + need["length"]
        for at in range(need["offset"], end, SMALL - 16):
            if self.dice.random() < 0.02:
                return
            self.say(10, struct.pack(">QQ", need["handle"], at) + whole[at:min(end, at + SMALL - 16)])

    def bye(self):
        if self.dice.random() < 0.05:
            self.say(18, octets({"code": "bye", "words": "enough"}))

    def noise(self):
        if self.dice.random() < 0.05:
            self.say(self.dice.randrange(256), self.dice.randbytes(self.dice.randrange(90)))

    def skipped(self):
        self.say(self.dice.randrange(128, 256), self.dice.randbytes(self.dice.randrange(300)))

    def say(self, number, payload):
        frame = bytearray(encode(number, payload))
        if self.dice.random() < 0.002:
            frame[self.dice.randrange(len(frame))] ^= 1 << self.dice.randrange(8)
        if self.dice.random() < 0.03:
            cut = self.dice.randrange(len(frame))
            self.link.raw(bytes(frame[:cut]))
            frame = frame[cut:]
        self.link.raw(bytes(frame))

    # -- what came

    def hear(self, seconds):
        try:
            if not self.link.fill(seconds):
                return False
        except TimeoutError:
            return True
        for frame in self.link.queue:
            if frame.type == "NEED":
                self.handles.append(frame.body)
            elif frame.type == "ITEM":
                self.received.append(frame.body)
            elif frame.type == "SUBSCRIBED":
                self.sub = frame.body["number"]
        self.link.queue.clear()
        return True

    WORDS = [item] * 6 + [withdraw, ping, credit, subscribe, subscribe, unsubscribe, need, stop, bye, noise, skipped] + [answer] * 4 + [data] * 6

    def turn(self):
        """False: it is over"""
        try:
            for _ in range(self.dice.randrange(12)):
                self.dice.choice(self.WORDS)(self)
            return self.dice.random() > 0.01 and (self.dice.random() < 0.3 or self.hear(0.002))
        except (OSError, Failed):
            return False


def test_frames_by_lot():
    print("SEED=%d FUZZ_S=%g" % (SEED, SECONDS), flush=True)
    dice = random.Random(SEED)
    with Exchange({**Innocent.partners, "liar": LIAR}, {**Innocent.subscriptions, **SUBS},
                  {"limits": SLOW_TIMES, "store": 'keep = "2s"', "log": "item-lines = 50"}) as x:
        end, fuzzers, links, turns = time.monotonic() + SECONDS * SLOW, [], 0, 0
        while time.monotonic() < end:
            while len(fuzzers) < 4:
                try:
                    fuzzers.append(Fuzzer(x, dice))
                    links += 1
                except (OSError, Failed):
                    holds(x.process.poll() is None, "the daemon is gone\n" + x.tail(200))
            for fuzzer in list(fuzzers):
                turns += 1
                if not fuzzer.turn():
                    fuzzers.remove(fuzzer)
                    fuzzer.link.close()
            holds(x.process.poll() is None, "the daemon is gone\n" + x.tail(200))
            if turns % 2000 < 4:
                innocent = Innocent(x)
                innocent.round()
                innocent.close()
        for fuzzer in fuzzers:
            fuzzer.link.close()
        innocent = Innocent(x)
        innocent.round()
        innocent.close()
        reasons = {}
        for line in map(parse_line, x.lines):
            if line.get("event") == "conn.close":
                reasons[line["reason"]] = reasons.get(line["reason"], 0) + 1
        print("%d links, %d turns; closed: %s" % (links, turns, reasons))
        holds("" not in reasons and None not in reasons, "a close without a reason")
        holds(sum(n for r, n in reasons.items() if r not in ("eof", "bye")) > 0, "nothing was ever wrong: %s" % reasons)
        x.stop()
        x.verify()


assert NUMBERS["BYE"] == 18
