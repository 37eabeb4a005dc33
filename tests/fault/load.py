"""load.py - a busy exchange for torture.py and soak.py, and the checker outside that knows every yes it was given.

Publishers give stories, new versions, embargoes, kills and photos over many links; readers take all of it and answer.
What is checked while it comes: octets as they were given, photos by their hash, one item for a position for ever,
nothing of a story after its kill. What is missing at the end: World.missing(). All choices follow from one seed.
"""
import collections
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
from kit import Failed, parse_line  # noqa: E402
from newsx import RESULTS, Link, part, story  # noqa: E402

BROKEN = (Failed, OSError, ssl.SSLError, ValueError)
WINDOW = 16
AHEAD = 500  # items of a publisher that its slowest reader has not seen yet: far less than what makes debts expire


class World:
    """pace: items a second of each publisher, None for as fast as it is answered"""

    def __init__(self, x, seed, pace=None):
        self.x, self.seed, self.pace, self.lock, self.going = x, seed, pace, threading.Lock(), True
        self.documents = {}  # (uri, version) -> SHA-256
        self.killed = {}  # uri -> version of the kill that was given
        self.embargoed, self.photos, self.acked, self.answers = set(), {}, {}, {}
        self.positions, self.faults = {}, []
        self.keep_up = []  # readers that no publisher runs away from

    def fault(self, words):
        with self.lock:
            self.faults.append(words)

    def take_answer(self, key, result):
        """key: None when it was refused"""
        with self.lock:
            if key is not None:
                self.acked.setdefault(key, set()).add(result)
            self.answers[result] = self.answers.get(result, 0) + 1

    def wanted(self):
        """what every reader is owed for good: all that was acknowledged, but not what a kill or newer version took away"""
        with self.lock:
            acked = dict(self.acked)
        out = set()
        for (uri, version), results in acked.items():
            kill = self.killed.get(uri)
            newer = version == "1" and (uri, "2") in acked
            if kill is not None and version != kill and (uri, kill) in acked:
                continue  # told or not, a kill ends it
            if "superseded" in results or (newer and (uri, "1") in self.embargoed):
                continue
            out.add((uri, version))
        return out

    def missing(self, readers, within_s):
        """waits until each reader has all that it is owed; gives what is missing even then"""
        end, wanted = time.monotonic() + within_s, self.wanted()
        while time.monotonic() < end and any(wanted - r.seen for r in readers):
            threading.Event().wait(0.2)
        return {r.name: sorted(wanted - r.seen)[:5] for r in readers if wanted - r.seen}

    def ends(self, publishers, readers, within_s):
        """the publishers stop, the readers when they have all or time is up; gives what is missing"""
        self.going = False
        for thread in publishers:
            thread.join(60)
        missing = self.missing(readers, within_s)
        for reader in readers:
            reader.done = True
        for reader in readers:
            reader.join(10)
        return missing


class Counts:
    """how often each event stood in the log, and what expired and was retired"""

    def __init__(self):
        self.events, self.retired, self.bad = {}, 0, []
        self.expired, self.rules = {}, {}  # by subscription; and by the rule that it passed

    def take(self, lines):
        for line in lines:
            got = parse_line(line)
            event = got.get("event")
            self.events[event] = self.events.get(event, 0) + 1
            if event == "store.retired":
                self.retired += int(got["items"])
            elif event == "subscription.expired":
                for count, name in ((self.expired, got["subscription"]), (self.rules, "%(subscription)s by %(rule)s" % got)):
                    count[name] = count.get(name, 0) + int(got["items"])
            if got.get("level") == "err" or event is None:
                self.bad.append(line)


class Publisher(threading.Thread):
    def __init__(self, world, name):
        super().__init__(daemon=True)
        self.world, self.who, self.n = world, name, 0
        self.noise = random.Random("%d %s" % (world.seed, name))
        self.waiting = []  # (key, document, parts) not yet answered for good
        self.next_at = time.monotonic()

    def make(self):
        self.n += 1
        n, more, parts = self.n, {}, []
        uri, version = "urn:%s:%d" % (self.who, n), "1"
        if n % 7 == 3:
            uri, version = "urn:%s:%d" % (self.who, n - 2), "2"
        if n % 17 == 9:
            uri, version, more["pubstatus"] = "urn:%s:%d" % (self.who, n - 5), "3", "canceled"
            self.world.killed[uri] = version
        elif n % 9 == 4:
            data = self.noise.randbytes(self.noise.randint(1000, 150_000))
            parts = [part("p.jpg", data)]
            self.world.photos[parts[0]["sha256"]] = data
            more["renditions"] = {"o": {"href": "p.jpg"}}
        elif n % 13 == 5:
            at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=self.noise.randint(0, 3))
            more["embargoed"] = at.strftime("%Y-%m-%dT%H:%M:%SZ")
            self.world.embargoed.add((uri, version))
        document = json.dumps(story(uri, version, body_text="ຂ່າວ " * self.noise.randint(1, 600), **more),
                              ensure_ascii=False).encode()
        key = (uri, version)
        with self.world.lock:
            self.world.documents[key] = hashlib.sha256(document).digest()
        return key, document, parts

    def due(self):
        if any(self.n - reader.at[self.who] > AHEAD for reader in self.world.keep_up):
            return False
        if self.world.pace is None:
            return True
        if time.monotonic() < self.next_at:
            return False
        self.next_at = max(self.next_at + 1 / self.world.pace, time.monotonic() - 1)
        return True

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
            while len(open_items) < WINDOW and (queue or (self.world.going and self.due())):
                if not queue:
                    queue.append(self.make())
                    self.waiting.append(queue[0])
                key, document, parts = queue.pop(0)
                ident = link.publish(document, {"channel": self.who + ".news", **({"parts": parts} if parts else {})})
                open_items[ident] = (key, document, parts)
            if open_items:
                self.answer(link, open_items, queue)
            elif self.world.going:
                threading.Event().wait(max(0.001, self.next_at - time.monotonic()))

    def answer(self, link, open_items, queue):
        frame = link.next("NEED", "ACK", "REFUSE")
        if frame.type == "NEED":
            sha = frame.body["sha256"]
            link.serve({sha: self.world.photos[sha.hex()]}, frame)
        elif frame.type == "REFUSE":
            item = open_items.pop(frame.body["id"])
            if frame.body["code"] == "killed" and item[0][0] in self.world.killed:
                self.waiting.remove(item)  # its kill overtook it on the way here
                return
            if frame.body["retry"] == "never":
                raise Failed("refused for good: %r" % (frame.body,))
            queue.append(item)
            self.world.take_answer(None, frame.body["code"])
            threading.Event().wait(0.01)
        else:
            for entry in frame.body:
                item = open_items.pop(entry["id"])
                self.waiting.remove(item)
                for one in item[2]:
                    self.world.photos.pop(one["sha256"], None)
                self.world.take_answer(item[0], RESULTS[entry["result"]])


class Reader(threading.Thread):
    """takes what its subscription is owed; stay: so many seconds on a link, then it comes back on a new one"""

    def __init__(self, world, name, stay=None):
        super().__init__(daemon=True)
        self.world, self.name, self.stay, self.port = world, name, stay, None
        self.seen, self.ended, self.again, self.links, self.done = set(), set(), 0, 0, False
        self.at = collections.Counter()  # by publisher: the number of the last one that came

    def run(self):
        while not self.done:
            try:
                with Link(self.port or self.world.x.port, self.world.x.keys[self.name].identity, timeout=2) as link:
                    self.links += 1
                    link.give_credit()
                    link.subscribe("to-" + self.name)
                    link.expect("SUBSCRIBED")
                    until = time.monotonic() + (self.stay or 1e9)
                    while not self.done and time.monotonic() < until:
                        self.take(link)
            except BROKEN:
                threading.Event().wait(0.02)

    def take(self, link):
        head, envelope, document = link.receive()
        facts = json.loads(document)
        key = (facts["uri"], facts["version"])
        with self.world.lock:
            wanted, before = self.world.documents.get(key), self.world.positions.setdefault(head["position"], key)
        if wanted != hashlib.sha256(document).digest():
            self.world.fault("%s got other octets of %s" % (self.name, key))
        if before != key:
            self.world.fault("position %d was %s and is %s" % (head["position"], before, key))
        if facts["pubstatus"] == "canceled":
            self.ended.add(facts["uri"])
        else:  # kills overtake, the rest comes in its order
            _, who, n = facts["uri"].split(":")
            self.at[who] = max(self.at[who], int(n))
        if facts["pubstatus"] != "canceled" and facts["uri"] in self.ended:
            self.world.fault("%s got %s after its kill" % (self.name, key))
        for one in envelope.get("parts", []):
            self.fetch(link, key, one)
        link.ack(head["id"])
        self.again += key in self.seen
        self.seen.add(key)

    def fetch(self, link, key, one):
        data = link.fetch(bytes.fromhex(one["sha256"]), one["size"])
        if isinstance(data, str):
            raise Failed("gone: %s" % data)  # withdrawn meanwhile, or the link ends; it is owed until it came
        if hashlib.sha256(data).hexdigest() != one["sha256"]:
            self.world.fault("%s got another photo with %s" % (self.name, key))
