"""torture.py - N SIGKILLs at random moments of a busy exchange, and a checker outside that knows every yes. `make torture N=1000`.

Two publishers (stories, new versions, embargoes, photos), three subscribers that acknowledge and one that never comes
(its debt expires), short keep (retirement all the time). Nothing acknowledged may be missing from any subscriber, no
octet may differ, a position names one item for ever, and the store verifies at the end. SEED=... repeats the choices.
"""
import datetime
import hashlib
import json
import os
import random
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))
from kit import Exchange, Failed  # noqa: E402
from newsx import Link, part, story  # noqa: E402

BROKEN = (Failed, OSError, ssl.SSLError, ValueError)
READERS = ("vna", "web", "abc")
PARTNERS = {"kpl": 'publish = {"kpl.*"}', "afp": 'publish = {"afp.*"}', "gone": 'read = {"kpl.*"}',
            **{name: 'read = {"kpl.*", "afp.*"}' for name in READERS}}
SUBSCRIPTIONS = {"to-" + name: 'partner = "%s" channels = {"*"} start = "all" versions = "all"' % name for name in READERS}
SUBSCRIPTIONS["to-gone"] = 'partner = "gone" channels = {"kpl.*"} start = "all" backlog-age = "5s"'
WINDOW = 16


class World:
    def __init__(self, x, seed):
        self.x, self.seed, self.lock, self.going = x, seed, threading.Lock(), True
        self.documents, self.photos, self.acked, self.positions, self.faults = {}, {}, set(), {}, []

    def fault(self, words):
        with self.lock:
            self.faults.append(words)


class Publisher(threading.Thread):
    def __init__(self, world, name):
        super().__init__(daemon=True)
        self.world, self.who, self.n = world, name, 0
        self.noise = random.Random("%d %s" % (world.seed, name))
        self.waiting = []  # (key, document, parts) not yet answered for good

    def make(self):
        self.n += 1
        n, more, parts = self.n, {}, []
        if self.n % 9 == 4:
            data = self.noise.randbytes(self.noise.randint(1000, 150_000))
            parts = [part("p.jpg", data)]
            self.world.photos[parts[0]["sha256"]] = data
            more["renditions"] = {"o": {"href": "p.jpg"}}
        if self.n % 13 == 5:
            at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.noise.randint(0, 3))
            more["embargoed"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
        uri, version = "urn:%s:%d" % (self.who, n), "1"
        if n % 7 == 3:
            uri, version = "urn:%s:%d" % (self.who, n - 2), "2"
        document = json.dumps(story(uri, version, body_text="ຂ່າວ " * self.noise.randint(1, 600), **more),
                              ensure_ascii=False).encode()
        key = (uri, version)
        with self.world.lock:
            self.world.documents[key] = document
        return key, document, parts

    def run(self):
        while self.world.going or self.waiting:
            try:
                with Link(self.world.x.port, self.world.x.keys[self.who].identity, timeout=10) as link:
                    self.talk(link)
            except BROKEN as error:
                if "refused for good" in str(error):
                    self.world.fault(str(error))
                    return
                threading.Event().wait(0.02)  # nobody listens for a moment

    def talk(self, link):
        open_items, queue = {}, list(self.waiting)
        while self.world.going or self.waiting:
            while len(open_items) < WINDOW and (queue or self.world.going):
                if not queue:
                    queue.append(self.make())
                    self.waiting.append(queue[0])
                key, document, parts = queue.pop(0)
                ident = link.publish(document, {"channel": self.who + ".news", **({"parts": parts} if parts else {})})
                open_items[ident] = (key, document, parts)
            if not open_items:
                return
            frame = link.next("NEED", "ACK", "REFUSE")
            if frame.type == "NEED":
                link.serve({bytes.fromhex(sha): data for sha, data in list(self.world.photos.items())}, frame)
            elif frame.type == "REFUSE":
                if frame.body["retry"] == "never":
                    raise Failed("refused for good: %r" % (frame.body,))
                queue.append(open_items.pop(frame.body["id"]))
                threading.Event().wait(0.01)
            else:
                for entry in frame.body:
                    item = open_items.pop(entry["id"])
                    self.waiting.remove(item)
                    with self.world.lock:
                        self.world.acked.add(item[0])


class Reader(threading.Thread):
    def __init__(self, world, name):
        super().__init__(daemon=True)
        self.world, self.who, self.seen, self.again, self.done = world, name, set(), 0, False

    def run(self):
        while not self.done:
            try:
                with Link(self.world.x.port, self.world.x.keys[self.who].identity, timeout=2) as link:
                    link.give_credit()
                    link.subscribe("to-" + self.who)
                    link.expect("SUBSCRIBED")
                    while not self.done:
                        self.take(link)
            except BROKEN:
                threading.Event().wait(0.02)

    def take(self, link):
        head, envelope, document = link.receive()
        facts = json.loads(document)
        key = (facts["uri"], facts["version"])
        with self.world.lock:
            wanted, before = self.world.documents.get(key), self.world.positions.setdefault(head["position"], key)
        if wanted != document:
            self.world.fault("%s got other octets of %s" % (self.who, key))
        if before != key:
            self.world.fault("position %d was %s and is %s" % (head["position"], before, key))
        for one in envelope.get("parts", []):
            data = link.fetch(bytes.fromhex(one["sha256"]), one["size"])
            if isinstance(data, str) or hashlib.sha256(data).hexdigest() != one["sha256"]:
                self.world.fault("%s got another photo with %s: %.40r" % (self.who, key, data))
        link.ack(head["id"])
        self.again += key in self.seen
        self.seen.add(key)


def kills(x, n, noise):
    """gives how long each restart took until it listened"""
    took = []
    for _ in range(n):
        threading.Event().wait(noise.expovariate(1 / 0.15))  # the moment is what is random here
        x.kill()
        begin = time.monotonic()
        x.restart()
        took.append(time.monotonic() - begin)
        del x.lines[:-200]
    return sorted(took)


def main():
    n, seed = int(os.environ.get("N", "1000")), int(os.environ.get("SEED", "0"))
    seed = seed or random.SystemRandom().randrange(1 << 32)
    print("SEED=%d" % seed, flush=True)
    sections = {"store": 'keep = "1s"', "log": "level = \"info\" item-lines = 0"}
    with Exchange(PARTNERS, SUBSCRIPTIONS, sections, size="256MiB") as x:
        world = World(x, seed)
        publishers, readers = [Publisher(world, w) for w in ("kpl", "afp")], [Reader(world, w) for w in READERS]
        for thread in publishers + readers:
            thread.start()
        took = kills(x, n, random.Random(seed))
        world.going = False
        for thread in publishers:
            thread.join(60)
        end = time.monotonic() + 120
        # a newer version takes an older one's place while that is still under embargo
        wanted = {(uri, v) for uri, v in world.acked if v == "2" or (uri, "2") not in world.acked}
        while time.monotonic() < end and any(wanted - r.seen for r in readers):
            threading.Event().wait(0.2)
        missing = {r.who: sorted(wanted - r.seen)[:5] for r in readers if wanted - r.seen}
        for reader in readers:
            reader.done = True
        for reader in readers:
            reader.join(10)
        x.stop()
        x.verify()
    print("%d kills; %d items acknowledged, %d photos; %d deliveries, %d of them again; restart until it listens: median "
          "%.0f ms, 99 %% %.0f ms, worst %.0f ms" % (n, len(world.acked), len(world.photos), sum(len(r.seen) + r.again for r in readers),
                                                  sum(r.again for r in readers), took[n // 2] * 1000,
                                                  took[n * 99 // 100] * 1000, took[-1] * 1000))
    for words in world.faults[:10]:
        print("FAIL: " + words)
    if missing:
        print("FAIL: acknowledged and not delivered: %s" % missing)
    return bool(missing or world.faults or not world.acked)


if __name__ == "__main__":
    sys.exit(main())
