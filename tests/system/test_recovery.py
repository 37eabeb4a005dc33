"""Cuts, kills and absences: nothing acknowledged is missing, nothing half visible, nothing begun anew that need not be."""
import hashlib
import json
import os
import random
import signal
import struct
import subprocess
import threading

from kit import NEWSXD, SLOW, Exchange, Failed, Relay
from newsx import FLASH, Link, part, story

PARTNERS = {"kpl": 'publish = {"kpl.*"}', "vna": 'read = {"kpl.*"}', "web": 'read = {"kpl.*"}'}
ALL = {"from-kpl": 'partner = "vna" channels = {"kpl.*"} start = "all"'}
TO = {"channel": "kpl.news"}


def photo_item(link, uri, data, **more):
    mine = part("p.jpg", data)
    document = story(uri, renditions={"o": {"href": "p.jpg"}}, **more)
    return link.publish(document, {**TO, "parts": [mine]}), bytes.fromhex(mine["sha256"])


def store_photo(link, uri, data, **more):
    ident, sha = photo_item(link, uri, data, **more)
    while True:
        frame = link.next("NEED", "ACK", "REFUSE")
        if frame.type == "NEED":
            link.serve({sha: data}, frame)
        elif frame.type == "ACK" and any(entry["id"] == ident for entry in frame.body):
            return sha
        elif frame.type == "REFUSE":
            raise Failed("refused: %r" % (frame.body,))


def subscriber(x, who="vna", name="from-kpl", port=None, credit=True, **more):
    link = Link(port or x.port, x.keys[who].identity, **more)
    if credit:
        link.give_credit()
    link.subscribe(name)
    link.claimed = link.expect("SUBSCRIBED").body
    return link


# ---- the kill loop


class Supply:
    """files to publish, and what is known of each"""

    def __init__(self, folder, noise, count):
        self.noise, self.bodies, self.parts, self.paths, self.acked = noise, {}, {}, [], set()
        os.makedirs(folder)
        for n in range(count):
            uri = "urn:kill:%d" % n
            document = story(uri, body_text="ຂ່າວ tin tức " * noise.randint(1, 300))
            if n % 10 == 3:
                data = noise.randbytes(noise.randint(50_000, 700_000))
                name = "p%d.jpg" % n
                document["renditions"] = {"o": {"href": name}}
                self.parts[uri] = hashlib.sha256(data).hexdigest()
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(data)
            octets = json.dumps(document, ensure_ascii=False).encode()
            self.bodies[uri] = hashlib.sha256(octets).hexdigest()
            path = os.path.join(folder, "%d.json" % n)
            with open(path, "wb") as file:
                file.write(octets)
            self.paths.append((uri, path))

    def waiting(self):
        return [path for uri, path in self.paths if uri not in self.acked]


def whole(folder, supply):
    """every visible folder is whole: document, envelope, parts with their hash. Gives {uri: times}"""
    seen = {}
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        with open(os.path.join(entry.path, "document.json"), "rb") as file:
            octets = file.read()
        with open(os.path.join(entry.path, "envelope.json"), "rb") as file:
            envelope = json.load(file)
        uri = json.loads(octets)["uri"]
        if hashlib.sha256(octets).hexdigest() != supply.bodies[uri]:
            raise Failed("%s: other octets" % uri)
        for number, one in enumerate(envelope.get("parts", [])):
            names = os.listdir(os.path.join(entry.path, "parts"))
            with open(os.path.join(entry.path, "parts", sorted(names)[number]), "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() != one["sha256"] or one["sha256"] != supply.parts[uri]:
                    raise Failed("%s: another photo" % uri)
        if uri in supply.parts and not envelope.get("parts"):
            raise Failed("%s: visible without its photo" % uri)
        seen[uri] = seen.get(uri, 0) + 1
    return seen


class Taker:
    """newsxctl subscribe, begun again whenever it is gone"""

    def __init__(self, x, out):
        self.x, self.out, self.lines, self.begun, self.going = x, out, 0, 0, True
        self.more = threading.Condition()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.child = None
        self.thread.start()

    def run(self):
        while self.going:
            self.child = self.x.ctl_begin("subscribe", "vna", "--subscription", "from-kpl", "--out", self.out, "--json")
            self.begun += 1
            for _ in self.child.stdout:
                with self.more:
                    self.lines += 1
                    self.more.notify_all()
            self.words = self.child.stderr.read()
            self.child.wait()
            if self.going:
                threading.Event().wait(0.05)  # no busy loop while the daemon is down

    def kill(self):
        if self.child is not None and self.child.poll() is None:
            self.child.kill()

    def end(self):
        self.going = False
        self.child.send_signal(signal.SIGTERM)
        self.thread.join(30)


def publish_until_kill(x, supply, kill):
    """one run of newsxctl publish; kill() is asked after each answer"""
    waiting = supply.waiting()
    child = x.ctl_begin("publish", "kpl", "--channel", "kpl.news", "--json", *waiting)
    for line in child.stdout:
        answer = json.loads(line)
        if answer["result"] in ("stored", "duplicate"):
            supply.acked.add(answer["uri"])
        elif answer.get("retry") == "never":
            raise Failed("refused: %s" % line)
        kill(child)
    words = child.stderr.read()
    if child.wait() not in (0, 75, -signal.SIGKILL):
        raise Failed("publish ended with %s: %s" % (child.returncode, words))


def test_kill_loop():
    """20 SIGKILLs of daemon, publisher and subscriber in the middle of stories, photos and acknowledgements"""
    seed = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1 << 32)
    kills_wanted = int(os.environ.get("KILLS", "20"))
    print("SEED=%d" % seed)
    noise = random.Random(seed)
    with Exchange(PARTNERS, ALL, size="256MiB") as x:
        supply = Supply(os.path.join(x.folder, "out"), noise, 30 * kills_wanted)
        out = os.path.join(x.folder, "in")
        taker, killed = Taker(x, out), {"daemon": 0, "publisher": 0, "subscriber": 0}
        until = noise.randint(1, 40)

        def kill(child):
            nonlocal until
            until -= 1
            if until > 0 or sum(killed.values()) >= kills_wanted:
                return
            until = noise.randint(1, 40)
            who = noise.choice(("daemon", "daemon", "publisher", "subscriber"))
            killed[who] += 1
            if who == "daemon":
                x.kill()
                x.restart()
            elif who == "publisher":
                child.kill()
            else:
                taker.kill()

        while supply.waiting():
            publish_until_kill(x, supply, kill)
        wait_settled(x)
        taker.end()
        seen = whole(out, supply)
        missing = [uri for uri in supply.acked if uri not in seen]
        if missing or any(times > 1 for times in seen.values()):
            raise Failed("missing %s; twice %s" % (missing, [u for u, t in seen.items() if t > 1]))
        delivered = len(x.found("item.delivered"))
        photos = sum(os.path.getsize(p) for p in (os.path.join(x.folder, "out", n) for n in os.listdir(os.path.join(x.folder, "out"))) if p.endswith(".jpg"))
        sent = sum(int(line["out_bytes"]) for line in x.found("conn.close", peer="vna"))
        print("killed %s; %d items acknowledged; %d deliveries answered (%d of them again); photos hold %d octets, the "
              "links of the subscriber that ended in words carried %d" % (killed, len(supply.acked), delivered,
                                                                       delivered - len(seen), photos, sent))
        x.stop()
        x.verify()


def owed(x):
    got = subprocess.run([NEWSXD, "--config", x.config, "--owed", "--json"], text=True, capture_output=True,
                         timeout=30 * SLOW, check=True)
    return {line["subscription"]: line["items"] for line in map(json.loads, got.stdout.splitlines())}


def wait_settled(x, name="from-kpl", turns=600):
    for _ in range(turns):
        if owed(x)[name] == 0:
            return
        threading.Event().wait(0.1)  # another process's disk: there is no event to wait for
    raise Failed("still owed: %s" % owed(x))


# ---- cuts


def test_photo_in_resumes_over_cut_and_kill():
    """a publisher's partial survives the cut and SIGKILL of the daemon: NEED goes on at a committed offset"""
    data = random.Random(1).randbytes(3_000_000)
    with Exchange(PARTNERS, ALL) as x:
        with Link(x.port, x.keys["kpl"].identity) as link:
            _, sha = photo_item(link, "urn:cut:1", data)
            need = link.expect("NEED")
            link.data(need.body["handle"], 0, data[:16368])
            for at in range(16368, 900_000, 16368):
                link.data(need.body["handle"], at, data[at:at + 16368])
        x.log("conn.close", peer="kpl")
        with Link(x.port, x.keys["kpl"].identity) as link:
            photo_item(link, "urn:cut:1", data)
            first = link.expect("NEED").body["offset"]
            for at in range(first, 1_800_000, 16368):
                link.data(1, at, data[at:at + 16368]) if at + 16368 <= first + need.body["length"] else None
        x.log("conn.close", peer="kpl", count=2)
        x.kill()
        x.restart()
        with Link(x.port, x.keys["kpl"].identity) as link:
            ident, _ = photo_item(link, "urn:cut:1", data)
            offset, octets = None, 0
            while True:
                frame = link.next("NEED", "ACK", "REFUSE")
                if frame.type != "NEED":
                    break
                offset = frame.body["offset"] if offset is None else offset
                octets += frame.body["length"]
                link.serve({sha: data}, frame)
            if frame.type != "ACK" or frame.body[0]["id"] != ident:
                raise Failed("not stored: %r" % (frame,))
            if first < 800_000 or offset < first or octets != len(data) - offset:
                raise Failed("it began anew: offsets %s, %s; %d octets asked" % (first, offset, octets))
        sub = subscriber(x)
        head, _, _ = sub.receive()
        if sub.fetch(sha, len(data)) != data:
            raise Failed("other octets")
        sub.ack(head["id"])
        x.log("item.delivered")
        x.stop()
        x.verify()


def test_photo_out_resumes_over_cut():
    """newsxctl subscribe goes on at the octet after the cable is cut"""
    data = random.Random(2).randbytes(3_000_000)
    with Exchange(PARTNERS, ALL) as x:
        with Link(x.port, x.keys["kpl"].identity) as link:
            store_photo(link, "urn:cut:2", data)
        relay = Relay(x.port)
        relay.cut_after(1_200_000, "down")
        out = os.path.join(x.folder, "in")
        got = x.ctl("subscribe", "vna", "--subscription", "from-kpl", "--out", out, "--count", "1", port=relay.port)
        if got.returncode != 75:
            raise Failed("a cut link should end with 75: %s" % (got,))
        got = x.ctl("subscribe", "vna", "--subscription", "from-kpl", "--out", out, "--count", "1", port=relay.port)
        if got.returncode != 0 or relay.moved["down"] > len(data) * 1.2:
            raise Failed("%s; %d octets crossed the line" % (got, relay.moved["down"]))
        folder = [entry.path for entry in os.scandir(out) if not entry.name.startswith(".")][0]
        name = os.listdir(os.path.join(folder, "parts"))[0]
        with open(os.path.join(folder, "parts", name), "rb") as file:
            if file.read() != data:
                raise Failed("other octets")


def test_another_link_of_the_partner_goes_on():
    """the link that serves a part dies: another link that offered it continues at what came"""
    data = random.Random(3).randbytes(2_000_000)
    with Exchange(PARTNERS, ALL) as x:
        one, two = Link(x.port, x.keys["kpl"].identity), Link(x.port, x.keys["kpl"].identity)
        _, sha = photo_item(one, "urn:two:1", data)
        need = one.expect("NEED")
        ident, _ = photo_item(two, "urn:two:2", data)
        for at in range(0, 600_000, 16368):
            one.data(need.body["handle"], at, data[at:at + 16368])
        one.close()
        asked = []
        while True:
            frame = two.next("NEED", "ACK", "REFUSE")
            if frame.type != "NEED":
                break
            asked.append(frame.body["offset"])
            two.serve({sha: data}, frame)
        if frame.type != "ACK" or frame.body[0]["id"] != ident or not asked or asked[0] == 0:
            raise Failed("%r; asked from %s" % (frame, asked))


# ---- lanes


def test_flash_passes_a_photo_in_mid_transfer():
    """while a photo is on the line: the flash comes after at most what the kernel already had"""
    data = random.Random(4).randbytes(4_000_000)
    with Exchange(PARTNERS, ALL) as x, Link(x.port, x.keys["kpl"].identity) as link:
        sha = store_photo(link, "urn:slow:1", data)
        sub = subscriber(x, rcvbuf=8192)
        sub.receive()
        handle = sub.need(sha, 0, len(data))
        came = sub.next("DATA")
        got = len(came.octets)
        flash = link.publish(story("urn:flash:1", urgency=1), TO, lane=FLASH)
        if link.answer(flash) != "stored":
            raise Failed("the flash was not stored")
        x.log("item.stored", lane="flash")
        while True:
            frame = sub.next("DATA", "ITEM")
            if frame.type == "ITEM":
                break
            got += len(frame.octets)
        print("%d octets of the photo came before the flash" % got)
        if frame.body["lane"] != FLASH or got > len(data) // 4:
            raise Failed("%d octets of the photo came first: %r" % (got, frame.body))
        while got < len(data):
            got += len(sub.next("DATA").octets)
        del handle


def test_flash_passes_a_backlog():
    with Exchange(PARTNERS, ALL) as x, Link(x.port, x.keys["kpl"].identity) as link:
        last = [link.publish(story("urn:b:%d" % n), TO) for n in range(300)][-1]
        while link.next("ACK").body[-1]["id"] != last:
            pass
        sub = subscriber(x, credit=False)
        sub.frame("CREDIT", struct.pack(">IQQ", 0, 5, 1 << 20))
        sub.frame("CREDIT", struct.pack(">IQQ", 1, 8, 1 << 20))
        for _ in range(5):
            sub.receive()
        if link.answer(link.publish(story("urn:b:flash", urgency=2), TO, lane=FLASH)) != "stored":
            raise Failed("the flash was not stored")
        head, _, document = sub.receive()
        if head["lane"] != FLASH or json.loads(document)["uri"] != "urn:b:flash":
            raise Failed("the backlog came first: %r" % (head,))


# ---- absence and slowness


def test_a_week_away():
    """3,000 items while nobody came, daemon killed meanwhile: all come, once each, in order"""
    with Exchange(PARTNERS, ALL, size="128MiB") as x:
        with Link(x.port, x.keys["kpl"].identity) as link:
            for third in range(3):  # no more than `send-ahead` unanswered
                idents = [link.publish(story("urn:week:%d" % (third * 1000 + n)), TO) for n in range(1000)]
                for ident in idents:
                    if link.answer(ident) != "stored":
                        raise Failed("not stored")
        x.kill()
        x.restart()
        with subscriber(x) as sub:
            for n in range(1000):
                head, _, document = sub.receive()
                if json.loads(document)["uri"] != "urn:week:%d" % n:
                    raise Failed("out of order: %s at %d" % (document, n))
                sub.ack(head["id"])
            x.log("item.delivered", count=1000)
        wait_owed(x, 2000)
        x.restart_cleanly()
        with subscriber(x) as sub:
            for n in range(1000, 3000):
                head, _, document = sub.receive()
                if json.loads(document)["uri"] != "urn:week:%d" % n:
                    raise Failed("not continued exactly: %s at %d" % (document, n))
                sub.ack(head["id"])
            x.log("item.delivered", count=3000)
        wait_settled(x)


def wait_owed(x, n, name="from-kpl"):
    for _ in range(200):
        if owed(x)[name] == n:
            return
        threading.Event().wait(0.05)
    raise Failed("owed is %s, not %d" % (owed(x), n))


def rss(x):
    with open("/proc/%d/status" % x.process.pid, encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon"))


def test_a_subscriber_that_does_not_read_costs_the_others_nothing():
    subs = {**ALL, "web": 'partner = "web" channels = {"kpl.*"} start = "all"'}
    with Exchange(PARTNERS, subs, size="256MiB", sections={"store": 'hot-memory = "1MiB"'}) as x:
        slow = subscriber(x, "web", "web", rcvbuf=4096)
        quick = subscriber(x)
        body = "x" * 20000
        with Link(x.port, x.keys["kpl"].identity) as link:
            for n in range(200):
                if link.answer(link.publish(story("urn:w:%d" % n, body_text=body), TO)) != "stored":
                    raise Failed("not stored")
                quick.ack(quick.receive()[0]["id"])
            before = rss(x)
            for n in range(200, 800):
                if link.answer(link.publish(story("urn:w:%d" % n, body_text=body), TO)) != "stored":
                    raise Failed("not stored")
                quick.ack(quick.receive()[0]["id"])
        grown = rss(x) - before
        print("12 MB of items passed one who did not read: memory grew by %d KB" % grown)
        if grown > 12_000 and SLOW == 1:  # a sanitizer keeps what was freed
            raise Failed("memory grew by %d KB" % grown)
        for n in range(800):
            head, _, document = slow.receive()
            if json.loads(document)["uri"] != "urn:w:%d" % n:
                raise Failed("out of order at %d" % n)
            slow.ack(head["id"])
        x.log("item.delivered", subscription="web", count=800)


def test_a_kill_beats_what_was_already_fetched():
    """items wait in memory for credit: one is killed, of one a newer version comes in the flash lane"""
    with Exchange(PARTNERS, ALL) as x, Link(x.port, x.keys["kpl"].identity) as link:
        for n in range(20):
            if link.answer(link.publish(story("urn:q:%d" % n), TO)) != "stored":
                raise Failed("not stored")
        sub = subscriber(x, credit=False)
        sub.frame("CREDIT", struct.pack(">IQQ", 0, 1, 1 << 20))
        sub.receive()
        for document in (story("urn:q:10", "2", pubstatus="canceled"), story("urn:q:12", "2", urgency=1)):
            if link.answer(link.publish(document, TO, lane=FLASH)) != "stored":
                raise Failed("not stored")
        for lane, uri in (("kill", "urn:q:10"), ("flash", "urn:q:12")):
            if x.log("item.stored", lane=lane)["uri"] != uri:
                raise Failed("the log does not say that it is a %s" % lane)
        sub.give_credit()
        came = []
        for _ in range(19):
            head, _, document = sub.receive()
            document = json.loads(document)
            came.append((document["uri"], document["version"]))
            sub.ack(head["id"])
        wanted = {("urn:q:%d" % n, "1") for n in range(1, 20)} - {("urn:q:10", "1"), ("urn:q:12", "1")}
        wanted |= {("urn:q:10", "2"), ("urn:q:12", "2")}
        if set(came) != wanted:
            raise Failed("came: %s" % came)
        x.log("item.delivered", count=19)
